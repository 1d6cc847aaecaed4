//! The figures of operations, put together.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::super::grid::Grid;
use super::super::source::Source;
use crate::durations::{Durations, middle_of};
use crate::table::{Operation, OperationKey, SpanTable, WINDOW_NANO, Window};
use crate::{OperationStep, SearchError};

/// Bytes that a thread's figures may take; two threads work on a search.
const BYTES_MAX: usize = if cfg!(test) { 1 << 20 } else { 32 << 20 };
/// Bytes from which on no further operations are taken.
const NEW_BYTES_MAX: usize = BYTES_MAX / 2;
/// Spans of about middle length that are kept in mind, a window each.
const TYPICAL_MAX: usize = 8;

/// A span that may be an example.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) source: Source<SpanTable>,
    pub(super) row: u32,
    window: u64,
    duration_nano: u64,
}

/// What an operation was like in a step.
#[derive(Debug, Default)]
struct Step {
    count: u64,
    error_count: u64,
    longest_nano: u64,
    durations: Durations,
}

/// What an operation was like.
#[derive(Debug)]
pub(super) struct Total {
    pub(super) count: u64,
    pub(super) error_count: u64,
    pub(super) root_count: u64,
    pub(super) total_nano: u64,
    pub(super) longest_nano: u64,
    pub(super) longest: Option<Candidate>,
    pub(super) failed: Option<Candidate>,
    middles: Vec<Candidate>,
    /// Of all steps, once these are complete.
    durations: Durations,
    /// By the number of the step, with the time each begins.
    steps: Vec<(usize, u64, Step)>,
}

impl Total {
    fn new() -> Self {
        Self {
            count: 0,
            error_count: 0,
            root_count: 0,
            total_nano: 0,
            longest_nano: 0,
            longest: None,
            failed: None,
            middles: Vec::new(),
            durations: Durations::default(),
            steps: Vec::new(),
        }
    }

    pub(super) fn quantile(&self, per_mille: u64) -> u64 {
        self.durations
            .quantile(per_mille, self.longest_nano)
            .unwrap_or(0)
    }

    /// The span that is nearest to the median, of those kept in mind.
    pub(super) fn typical(&self) -> Option<&Candidate> {
        let median = self.quantile(500);
        let distance = |candidate: &&Candidate| candidate.duration_nano.abs_diff(median);
        self.middles.iter().min_by_key(distance)
    }

    pub(super) fn steps(&self) -> Vec<OperationStep> {
        let steps = self.steps.iter();
        steps
            .map(|(_, time_unix_nano, step)| OperationStep {
                time_unix_nano: *time_unix_nano,
                count: step.count,
                error_count: step.error_count,
                p95_nano: step.durations.quantile(950, step.longest_nano).unwrap_or(0),
            })
            .collect()
    }

    fn step(&mut self, number: usize, time_unix_nano: u64) -> &mut Step {
        let place = self.steps.binary_search_by_key(&number, |step| step.0);
        let place = place.unwrap_or_else(|place| {
            let step = (number, time_unix_nano, Step::default());
            self.steps.insert(place, step);
            place
        });
        &mut self.steps[place].2
    }

    fn add(&mut self, window: &Window, step: (usize, u64), source: &Source<SpanTable>) {
        let count = window.count();
        self.count = self.count.saturating_add(count);
        self.error_count = self.error_count.saturating_add(window.error_count);
        self.root_count = self.root_count.saturating_add(window.root_count);
        self.total_nano = self.total_nano.saturating_add(window.total_nano);
        let step = self.step(step.0, step.1);
        step.count = step.count.saturating_add(count);
        step.error_count = step.error_count.saturating_add(window.error_count);
        step.longest_nano = step.longest_nano.max(window.longest_nano);
        for &(bucket, count) in &window.durations {
            step.durations.add(bucket, count);
        }
        let candidate = |row: u32, duration_nano: u64| Candidate {
            source: source.clone(),
            row,
            window: window.number,
            duration_nano,
        };
        self.show_longest(candidate(window.longest_row, window.longest_nano));
        if let Some(row) = window.failed_row {
            self.show_failed(candidate(row, 0));
        }
        self.show_middle(candidate(window.middle_row, middle_nano(window, count)));
    }

    fn show_longest(&mut self, one: Candidate) {
        let is_known = self.longest.is_some();
        if !is_known || one.duration_nano > self.longest_nano {
            self.longest_nano = one.duration_nano;
            self.longest = Some(one);
        }
    }

    fn show_failed(&mut self, one: Candidate) {
        if self
            .failed
            .as_ref()
            .is_none_or(|known| one.window > known.window)
        {
            self.failed = Some(one);
        }
    }

    // Keeps those of the newest windows.
    fn show_middle(&mut self, one: Candidate) {
        let window = one.window;
        if self.middles.len() < TYPICAL_MAX {
            self.middles.push(one);
        } else if let Some(oldest) = self.middles.iter_mut().min_by_key(|known| known.window)
            && oldest.window < window
        {
            *oldest = one;
        }
    }

    fn join(&mut self, other: Self) {
        self.count = self.count.saturating_add(other.count);
        self.error_count = self.error_count.saturating_add(other.error_count);
        self.root_count = self.root_count.saturating_add(other.root_count);
        self.total_nano = self.total_nano.saturating_add(other.total_nano);
        for (number, time_unix_nano, step) in other.steps {
            let known = self.step(number, time_unix_nano);
            known.count = known.count.saturating_add(step.count);
            known.error_count = known.error_count.saturating_add(step.error_count);
            known.longest_nano = known.longest_nano.max(step.longest_nano);
            known.durations.add_all(&step.durations);
        }
        if let Some(longest) = other.longest {
            self.show_longest(longest);
        }
        if let Some(failed) = other.failed {
            self.show_failed(failed);
        }
        other
            .middles
            .into_iter()
            .for_each(|one| self.show_middle(one));
    }

    fn complete(&mut self) {
        for (.., step) in &self.steps {
            self.durations.add_all(&step.durations);
        }
    }

    fn memory_bytes(&self) -> usize {
        let steps = self.steps.iter();
        let durations = steps.map(|(.., step)| step.durations.memory_bytes());
        size_of::<Self>()
            + size_of::<(usize, u64, Step)>() * self.steps.capacity()
            + size_of::<Candidate>() * self.middles.capacity()
            + durations.sum::<usize>()
    }
}

// The middle of the bucket that half of the window's spans are not above.
fn middle_nano(window: &Window, count: u64) -> u64 {
    let mut seen = 0_u64;
    let middle = window.durations.iter().find(|&&(_, count_of)| {
        seen = seen.saturating_add(count_of);
        seen > count / 2
    });
    middle.map_or(0, |&(bucket, _)| middle_of(bucket))
}

/// What one thread has seen.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) operations: HashMap<OperationKey, Total, RandomState>,
    pub(super) spans_left_out: u64,
    bytes: usize,
}

impl Totals {
    /// Adds the figures of an operation in a source, if they are asked for.
    pub(super) fn add(
        &mut self,
        operation: Operation,
        source: &Source<SpanTable>,
        service: Option<&str>,
        grid: &Grid,
    ) {
        let is_wanted = service.is_none_or(|wanted| *operation.key.service == *wanted);
        let windows = operation.windows.iter().filter_map(|window| {
            let step = grid.window_of(window.number.saturating_mul(WINDOW_NANO))?;
            Some((window, step))
        });
        let mut windows = windows.filter(|_| is_wanted).peekable();
        if windows.peek().is_none() {
            return;
        }
        let total = match self.operations.entry(operation.key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(_) if self.bytes > NEW_BYTES_MAX => {
                let counts = windows.map(|(window, _)| window.count());
                self.spans_left_out += counts.sum::<u64>();
                return;
            }
            Entry::Vacant(place) => {
                self.bytes += place.key().service.len() + place.key().name.len();
                place.insert(Total::new())
            }
        };
        // What is too much already grows no further; the answer is an error then.
        if self.bytes > BYTES_MAX {
            return;
        }
        let before = total.memory_bytes();
        for (window, step) in windows {
            total.add(window, (step, grid.start_of(step)), source);
        }
        self.bytes += total.memory_bytes().saturating_sub(before);
    }

    /// The figures of all threads.
    pub(super) fn join(parts: Vec<Self>) -> Result<Self, SearchError> {
        let mut all = Self::default();
        for part in parts {
            if part.bytes > BYTES_MAX {
                return Err(SearchError::TooMuch);
            }
            all.spans_left_out += part.spans_left_out;
            for (key, total) in part.operations {
                match all.operations.entry(key) {
                    Entry::Occupied(mut known) => known.get_mut().join(total),
                    Entry::Vacant(place) => drop(place.insert(total)),
                }
            }
        }
        all.operations.values_mut().for_each(Total::complete);
        Ok(all)
    }
}
