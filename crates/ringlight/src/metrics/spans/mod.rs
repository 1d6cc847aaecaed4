//! Metrics that are made of spans: how many of each name, kind and status there were, and how long they took.
//!
//! A sink adds up what the collector's thread drains, before tail sampling: a span's time is the one its record has, so
//! that no clock is read for it. The thread that reads metrics takes what has been added up.
//!
//! The table of series is with one of the two threads at a time. The collector's takes it with the first span of a pass
//! over the rings and puts it back at the end of the pass, so that it takes a lock once a pass and not once a span. Who
//! comes to read during a pass is given what there is at its end: in a flood the next pass begins at once.

mod histogram;
mod meaning;
mod series;
#[cfg(feature = "prometheus")]
mod total;
mod write;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use opentelemetry_sdk::metrics::Temporality;
use ringlight_clock::wall_unix_nano;
use ringlight_collector::RecordSink;
use ringlight_collector::record::Record;
use ringlight_model::CallsiteRegistry;

use crate::controls;
use crate::sync::unpoisoned;
#[cfg(feature = "prometheus")]
pub(in crate::metrics) use histogram::{Histogram, SCALE};
#[cfg(feature = "prometheus")]
pub(in crate::metrics) use series::Longest;
pub(in crate::metrics) use series::Series;
use series::{SERIES_MAX, Table};
#[cfg(feature = "prometheus")]
use total::Total;
pub(in crate::metrics) use write::count_overflow;
#[cfg(feature = "prometheus")]
pub(in crate::metrics) use write::{About, CALLS, HISTOGRAMS, scope};

/// How long is waited for the end of a pass over the rings, which takes a millisecond unless the thread gets no processor.
const PASS_MAX: Duration = Duration::from_secs(5);

/// What has been added up, for whoever reads it.
#[derive(Debug)]
pub(crate) struct SpanMetrics {
    shared: Arc<Shared>,
    is_delta: bool,
    /// Since when it is added up.
    since_unix_nano: u64,
    /// What has been taken, where somebody wants all there is since the start as well.
    #[cfg(feature = "prometheus")]
    total: Option<Total>,
}

/// What is added up is wanted by whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// Where it is sent: as the SDK has counters and histograms.
    pub(crate) sent: Option<Temporality>,
    /// Whether Prometheus has it: all there is since the start.
    pub(crate) is_scraped: bool,
}

/// What was read at one moment.
#[derive(Debug)]
pub(in crate::metrics) struct Reading {
    pub(in crate::metrics) series: Vec<Series>,
    pub(in crate::metrics) is_delta: bool,
    pub(in crate::metrics) start_unix_nano: u64,
    pub(in crate::metrics) time_unix_nano: u64,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    is_read: Condvar,
}

/// How series are read.
#[derive(Debug, Clone, Copy)]
enum How {
    /// They begin anew.
    Take,
    /// They go on, with other exemplars.
    Copy,
    /// They stay as they are.
    #[cfg(feature = "prometheus")]
    Look,
}

impl How {
    fn read(self, table: &mut Table) -> Vec<Series> {
        match self {
            Self::Take => table.take(),
            Self::Copy => table.copy(),
            #[cfg(feature = "prometheus")]
            Self::Look => table.look(),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    /// Not there during a pass over the rings.
    table: Option<Box<Table>>,
    /// How somebody reads who waits for the end of the pass.
    awaited: Option<How>,
    /// What was read for them then.
    series: Option<Vec<Series>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        unpoisoned(self.state.lock())
    }

    /// What is in the table, at the end of the pass that goes on, if that comes in time.
    fn read(&self, how: How) -> Option<Vec<Series>> {
        let mut state = self.lock();
        if let Some(table) = &mut state.table {
            return Some(how.read(table));
        }
        state.awaited = Some(how);
        let waits = |state: &mut State| state.awaited.is_some();
        let waited = self.is_read.wait_timeout_while(state, PASS_MAX, waits);
        let (mut state, _) = unpoisoned(waited);
        state.awaited = None;
        state.series.take()
    }

    /// Puts the table back.
    fn end_pass(&self, mut table: Box<Table>) {
        let mut state = self.lock();
        if let Some(how) = state.awaited.take() {
            state.series = Some(how.read(&mut table));
            self.is_read.notify_all();
        }
        state.table = Some(table);
    }
}

impl SpanMetrics {
    /// Nothing so far.
    pub(crate) fn new(wanted: Wanted, has_exemplars: bool) -> Self {
        let is_delta = wanted
            .sent
            .is_some_and(|sent| sent != Temporality::Cumulative);
        let state = State {
            table: Some(Box::new(Table::new(has_exemplars))),
            ..State::default()
        };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                is_read: Condvar::new(),
            }),
            is_delta,
            since_unix_nano: wall_unix_nano(),
            #[cfg(feature = "prometheus")]
            total: (is_delta && wanted.is_scraped).then(Total::default),
        }
    }

    /// What adds spans, which stand for as many as the sampling says.
    pub(crate) fn sink(&self, controls: &Arc<controls::Shared>) -> Box<dyn RecordSink> {
        Box::new(SpanSink {
            shared: Arc::clone(&self.shared),
            table: None,
            controls: Arc::clone(controls),
        })
    }

    /// What has been added up since the start, or since the last time. `None` while it cannot be had.
    pub(in crate::metrics) fn read(&mut self) -> Option<Reading> {
        let is_delta = self.is_delta;
        let series = self.shared.read(match is_delta {
            true => How::Take,
            false => How::Copy,
        })?;
        #[cfg(feature = "prometheus")]
        if let Some(total) = &mut self.total {
            total.add(&series);
        }
        // Not before the last time, though the wall clock may have been set back.
        let time_unix_nano = wall_unix_nano().max(self.since_unix_nano);
        let start_unix_nano = self.since_unix_nano;
        if is_delta {
            self.since_unix_nano = time_unix_nano;
        }
        Some(Reading {
            series,
            is_delta,
            start_unix_nano,
            time_unix_nano,
        })
    }

    /// What has been added up since the start, which changes nothing. `None` while it cannot be had.
    #[cfg(feature = "prometheus")]
    pub(in crate::metrics) fn look(&self) -> Option<Vec<Series>> {
        let series = self.shared.read(How::Look)?;
        Some(match &self.total {
            None => series,
            Some(total) => total.with(&series),
        })
    }
}

/// Adds up spans on the collector's thread.
#[derive(Debug)]
struct SpanSink {
    shared: Arc<Shared>,
    /// During a pass over the rings that has shown it a span.
    table: Option<Box<Table>>,
    controls: Arc<controls::Shared>,
}

impl RecordSink for SpanSink {
    fn record(&mut self, record: &Record<'_>, callsites: &CallsiteRegistry) {
        let Record::Span(span) = record else { return };
        if self.table.is_none() {
            self.table = self.shared.lock().table.take();
        }
        if let Some(table) = &mut self.table {
            let weight = self.controls.sampling.weight(span.trace_id());
            table.add(span, callsites, weight);
        }
    }

    fn flush(&mut self) {
        if let Some(table) = self.table.take() {
            self.shared.end_pass(table);
        }
    }
}

/// One that panicked in the middle of a pass is called no more; what it has added up stays.
impl Drop for SpanSink {
    fn drop(&mut self) {
        self.flush();
    }
}
