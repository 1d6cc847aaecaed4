//! What the points of a group of series come to, window by window.

use ringlight_model::Exemplar;

use super::super::grid::Grid;
use super::sample::Sample;
use crate::{Aggregation, MetricSeries, SearchError};

/// Exemplars of a series of an answer.
const EXEMPLARS_MAX: usize = 100;

/// Bytes that all windows of a search may take together.
const BYTES_MAX: usize = 64 << 20;

/// What is kept of a window.
#[derive(Debug, Clone)]
pub(super) enum Cell {
    /// Of numbers.
    Numbers {
        count: f64,
        sum: f64,
        min: f64,
        max: f64,
    },
    /// Of distributions.
    Sample(Sample),
    /// The highest of quantiles that were reported as such.
    Highest(f64),
}

/// The windows of a group.
#[derive(Debug, Default)]
pub(super) struct Group {
    cells: Vec<Option<Cell>>,
    /// The time of the newest point of each window, where it matters which series had ended by then.
    last: Vec<u64>,
    exemplars: Vec<(usize, Exemplar<'static>)>,
}

/// Bytes taken so far.
#[derive(Debug, Default)]
pub(super) struct Taken(usize);

impl Taken {
    fn take(&mut self, bytes: usize) -> Result<(), SearchError> {
        self.0 += bytes;
        if self.0 > BYTES_MAX {
            return Err(SearchError::TooMuch);
        }
        Ok(())
    }
}

impl Group {
    fn cell(
        &mut self,
        window: usize,
        taken: &mut Taken,
        new: impl FnOnce() -> Cell,
    ) -> Result<&mut Cell, SearchError> {
        if self.cells.len() <= window {
            taken.take(size_of::<Cell>() * (window + 1 - self.cells.len()))?;
            self.cells.resize(window + 1, None);
        }
        Ok(self.cells[window].get_or_insert_with(new))
    }

    /// Adds a number to a window.
    pub(super) fn add_number(
        &mut self,
        window: usize,
        value: f64,
        taken: &mut Taken,
    ) -> Result<(), SearchError> {
        let cell = self.cell(window, taken, || Cell::Numbers {
            count: 0.0,
            sum: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        })?;
        if let Cell::Numbers {
            count,
            sum,
            min,
            max,
        } = cell
        {
            *count += 1.0;
            *sum += value;
            *min = min.min(value);
            *max = max.max(value);
        }
        Ok(())
    }

    /// Adds a part of a distribution to a window.
    pub(super) fn add_sample(
        &mut self,
        window: usize,
        sample: &Sample,
        part: f64,
        taken: &mut Taken,
    ) -> Result<(), SearchError> {
        let cell = self.cell(window, taken, || Cell::Sample(Sample::default()))?;
        if let Cell::Sample(known) = cell {
            let before = known.memory_bytes();
            known.add(sample, part);
            taken.take(known.memory_bytes().saturating_sub(before))?;
        }
        Ok(())
    }

    /// Shows a reported quantile to a window.
    pub(super) fn add_quantile(
        &mut self,
        window: usize,
        value: f64,
        taken: &mut Taken,
    ) -> Result<(), SearchError> {
        let cell = self.cell(window, taken, || Cell::Highest(f64::NEG_INFINITY))?;
        if let Cell::Highest(known) = cell {
            *known = known.max(value);
        }
        Ok(())
    }

    /// Notes a point of a window.
    pub(super) fn see(
        &mut self,
        window: usize,
        time: u64,
        taken: &mut Taken,
    ) -> Result<(), SearchError> {
        if self.last.len() <= window {
            taken.take(size_of::<u64>() * (window + 1 - self.last.len()))?;
            self.last.resize(window + 1, 0);
        }
        self.last[window] = self.last[window].max(time);
        Ok(())
    }

    /// The time of the newest point that was noted of a window.
    pub(super) fn last_of(&self, window: usize) -> u64 {
        self.last.get(window).copied().unwrap_or(0)
    }

    /// Shows an exemplar to a window, which keeps the highest.
    pub(super) fn add_exemplar(&mut self, window: usize, exemplar: &Exemplar<'static>) {
        let at = self
            .exemplars
            .binary_search_by_key(&window, |(known, _)| *known);
        match at {
            Ok(at) => {
                let known = &mut self.exemplars[at].1;
                if exemplar.value.as_f64() > known.value.as_f64() {
                    *known = exemplar.clone();
                }
            }
            Err(at) => {
                self.exemplars.insert(at, (window, exemplar.clone()));
                if self.exemplars.len() > EXEMPLARS_MAX {
                    self.exemplars.remove(0);
                }
            }
        }
    }

    /// The answer.
    pub(super) fn finish(self, grid: &Grid, aggregation: Aggregation) -> MetricSeries {
        let value = |cell: Cell| value_of(cell, grid, aggregation);
        let points = self.cells.into_iter().enumerate();
        let points = points.filter_map(|(window, cell)| {
            let value = cell.and_then(value).filter(|value| value.is_finite())?;
            Some((grid.start_of(window), value))
        });
        MetricSeries {
            labels: Vec::new(),
            points: points.collect(),
            exemplars: self.exemplars.into_iter().map(|(_, one)| one).collect(),
        }
    }
}

fn value_of(cell: Cell, grid: &Grid, aggregation: Aggregation) -> Option<f64> {
    let per_second = |amount: f64| amount / grid.step_seconds();
    match cell {
        Cell::Highest(value) => Some(value),
        Cell::Numbers {
            count,
            sum,
            min,
            max,
        } => Some(match aggregation {
            Aggregation::Rate => per_second(sum),
            Aggregation::Avg => sum / count,
            Aggregation::Min => min,
            Aggregation::Max => max,
            Aggregation::Count => count,
            _ => sum,
        }),
        Cell::Sample(sample) => {
            let exact = sample.range.filter(|_| sample.is_range_exact);
            match aggregation {
                Aggregation::Rate => Some(per_second(sample.count)),
                Aggregation::Count => Some(sample.count),
                Aggregation::Sum => Some(sample.sum),
                Aggregation::Avg => Some(sample.sum / sample.count),
                Aggregation::Min => exact.map(|(min, _)| min).or(sample.quantile(0.0)),
                Aggregation::Max => exact.map(|(_, max)| max).or(sample.quantile(1.0)),
                quantile => sample.quantile(quantile.quantile()?),
            }
        }
    }
}
