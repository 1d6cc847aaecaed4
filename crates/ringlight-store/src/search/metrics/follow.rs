//! The points of one series, one after the other.

use ringlight_model::{MetricKind, PointValue, Temporality};

use super::super::grid::Grid;
use super::cells::{Group, Taken};
use super::sample::Sample;
use crate::table::Stored;
use crate::{Aggregation, SearchError};

/// Two quantiles as good as equal.
const QUANTILE_MARGIN: f64 = 1e-9;

/// A point as it is followed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point<'a> {
    pub(super) start: u64,
    pub(super) time: u64,
    pub(super) value: &'a Stored,
    /// Of the first point of a series, when its instance last reported without it; 0 where that is not
    /// known, and of other points.
    pub(super) absent_at: u64,
}

/// What is known of a series from its points so far.
#[derive(Debug)]
pub(super) struct Follower {
    kind: MetricKind,
    pub(super) group: usize,
    /// The lowest of its numbers.
    pub(super) number: u64,
    /// Start and time of the newest point; 0 while there is none.
    start: u64,
    time: u64,
    /// Its value, of what is cumulative.
    last: Last,
    /// The last value of a window, where only that counts.
    pending: Option<Pending>,
}

/// The last value of a window so far.
#[derive(Debug)]
struct Pending {
    window: usize,
    value: f64,
    /// When there is another point at the latest if the series goes on.
    due: u64,
}

#[derive(Debug, Default)]
enum Last {
    #[default]
    None,
    Number(f64),
    Sample(Sample),
}

/// What is common to all series of a search.
pub(super) struct Rules {
    pub(super) grid: Grid,
    pub(super) aggregation: Aggregation,
}

impl Follower {
    pub(super) fn new(kind: MetricKind, group: usize, number: u64) -> Self {
        Self {
            kind,
            group,
            number,
            start: 0,
            time: 0,
            last: Last::None,
            pending: None,
        }
    }

    /// Whether no point of the series is known yet.
    pub(super) const fn is_new(&self) -> bool {
        self.time == 0
    }

    /// Notes that there is a point at a time before those that are followed.
    pub(super) fn pass(&mut self, time: u64) {
        self.time = self.time.max(time);
    }

    /// Takes the next point into account.
    pub(super) fn follow(
        &mut self,
        point: Point<'_>,
        rules: &Rules,
        group: &mut Group,
        taken: &mut Taken,
    ) -> Result<(), SearchError> {
        // The same again, as a sender repeats that got no answer.
        if point.time == self.time {
            return Ok(());
        }
        let is_cumulative = self.kind.temporality() == Some(Temporality::Cumulative);
        if is_cumulative && point.time < self.time {
            return Ok(());
        }
        match point.value {
            Stored::None => {}
            Stored::Number(number) => {
                let value = number.as_f64();
                if !value.is_nan() {
                    self.number(value, point, rules, group, taken)?;
                }
            }
            Stored::Distribution(value) => self.distribution(value, point, rules, group, taken)?,
        }
        if point.time > self.time {
            (self.start, self.time) = (point.start, point.time);
        }
        Ok(())
    }

    fn number(
        &mut self,
        value: f64,
        point: Point<'_>,
        rules: &Rules,
        group: &mut Group,
        taken: &mut Taken,
    ) -> Result<(), SearchError> {
        let grid = &rules.grid;
        let is_amount = matches!(rules.aggregation, Aggregation::Rate | Aggregation::Sum);
        let is_added_up = match self.kind {
            MetricKind::Sum {
                temporality,
                is_monotonic,
            } => is_monotonic || temporality == Temporality::Delta,
            _ => false,
        };
        match (is_amount, is_added_up) {
            (true, true) => {
                if let Some((from, amount)) = self.increase(value, point, grid) {
                    let mut result = Ok(());
                    grid.spread(from, point.time, |window, part| {
                        if result.is_ok() {
                            result = group.add_number(window, amount * part, taken);
                        }
                    });
                    result?;
                }
                self.last = Last::Number(value);
            }
            (true, false) => self.keep_last(value, point, grid, group, taken)?,
            (false, _) => {
                if let Some(window) = grid.window_of(point.time) {
                    group.add_number(window, value, taken)?;
                }
            }
        }
        Ok(())
    }

    // How much was added, and since when.
    fn increase(&self, value: f64, point: Point<'_>, grid: &Grid) -> Option<(u64, f64)> {
        if self.kind.temporality() == Some(Temporality::Delta) {
            return Some((began(point), value));
        }
        match self.last {
            Last::Number(last) if value >= last && !self.has_restarted(point) => {
                Some((self.time, value - last))
            }
            Last::Number(_) => Some((self.time.max(point.start), value)),
            _ => begin_of_first(point, grid).map(|from| (from, value)),
        }
    }

    // Whether a point says that it counts from a later begin than the last one. One that begins where it
    // ends does not know when it began: only its value tells.
    const fn has_restarted(&self, point: Point<'_>) -> bool {
        point.start != self.start && point.start >= self.time && point.start < point.time
    }

    fn keep_last(
        &mut self,
        value: f64,
        point: Point<'_>,
        grid: &Grid,
        group: &mut Group,
        taken: &mut Taken,
    ) -> Result<(), SearchError> {
        if point.time < self.time {
            return Ok(());
        }
        let window = grid.window_of(point.time);
        let is_over = |pending: &mut Pending| Some(pending.window) != window;
        if let Some(Pending { window, value, .. }) = self.pending.take_if(is_over) {
            group.add_number(window, value, taken)?;
        }
        if let Some(window) = window {
            group.see(window, point.time, taken)?;
            let due = self.due(point);
            self.pending = Some(Pending { window, value, due });
        }
        Ok(())
    }

    // When there is another point at the latest if the series goes on: as long after this one as this one is
    // after the one before, and a quarter more, as no clock is exact. The first one is as long after the start.
    fn due(&self, point: Point<'_>) -> u64 {
        let before = if self.time == 0 {
            point.start
        } else {
            self.time
        };
        if before == 0 || before >= point.time {
            return u64::MAX;
        }
        let interval = point.time - before;
        point
            .time
            .saturating_add(interval)
            .saturating_add(interval / 4)
    }

    /// Takes the last value into account, when all points of the group are known: that of a series that
    /// had ended when another one of the group had its last point of the window is not.
    pub(super) fn finish(
        &mut self,
        group: &mut Group,
        taken: &mut Taken,
    ) -> Result<(), SearchError> {
        let pending = self.pending.take();
        match pending.filter(|pending| pending.due >= group.last_of(pending.window)) {
            Some(pending) => group.add_number(pending.window, pending.value, taken),
            None => Ok(()),
        }
    }

    fn distribution(
        &mut self,
        value: &PointValue,
        point: Point<'_>,
        rules: &Rules,
        group: &mut Group,
        taken: &mut Taken,
    ) -> Result<(), SearchError> {
        let grid = &rules.grid;
        if let (PointValue::Summary(summary), Some(wanted)) = (value, rules.aggregation.quantile())
        {
            let mut reported = summary.quantiles.iter();
            let found = reported.find(|(known, _)| (known - wanted).abs() < QUANTILE_MARGIN);
            if let (Some((_, value)), Some(window)) = (found, grid.window_of(point.time)) {
                group.add_quantile(window, *value, taken)?;
            }
            return Ok(());
        }
        let Some(mut sample) = Sample::of(value) else {
            return Ok(());
        };
        let mut result = Ok(());
        let mut add = |from: u64, sample: &Sample| {
            grid.spread(from, point.time, |window, part| {
                if result.is_ok() {
                    result = group.add_sample(window, sample, part, taken);
                }
            });
        };
        if self.kind.temporality() == Some(Temporality::Delta) {
            sample.is_range_exact = true;
            add(began(point), &sample);
            return result;
        }
        match &self.last {
            Last::Sample(last) => {
                let since = sample.since(last).filter(|_| !self.has_restarted(point));
                match since {
                    Some(since) => add(self.time, &since),
                    None => add(self.time.max(point.start), &sample),
                }
            }
            _ => {
                if let Some(from) = begin_of_first(point, grid) {
                    add(from, &sample);
                }
            }
        }
        self.last = Last::Sample(sample);
        result
    }
}

/// When what a delta says began.
fn began(point: Point<'_>) -> u64 {
    if point.start == 0 || point.start > point.time {
        point.time
    } else {
        point.start
    }
}

/// Since when all that the first known point of something cumulative says was added. That is not known of one
/// that does not say since when it counts: without a start, or with its own time as one, as OTLP has it where
/// the begin is not known. Nor of one that counts from before the time asked for, as there may have been
/// points before it, unless the instance reported without it.
fn begin_of_first(point: Point<'_>, grid: &Grid) -> Option<u64> {
    let has_start = point.start != 0 && point.start < point.time;
    let is_whole = point.absent_at != 0 || point.start >= grid.first_unix_nano();
    (has_start && is_whole).then(|| point.start.max(point.absent_at))
}
