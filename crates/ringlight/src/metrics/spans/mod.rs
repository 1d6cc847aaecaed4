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
use series::{SERIES_MAX, Series, Table};

/// How long is waited for the end of a pass over the rings, which takes a millisecond unless the thread gets no processor.
const PASS_MAX: Duration = Duration::from_secs(5);

/// What has been added up, for whoever reads it.
#[derive(Debug)]
pub(crate) struct SpanMetrics {
    shared: Arc<Shared>,
    /// Since when it is added up.
    since_unix_nano: u64,
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
    is_delta: bool,
}

#[derive(Debug, Default)]
struct State {
    /// Not there during a pass over the rings.
    table: Option<Box<Table>>,
    /// Whether somebody waits for the end of the pass.
    is_awaited: bool,
    /// What was read for them then.
    series: Option<Vec<Series>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        unpoisoned(self.state.lock())
    }

    fn series(&self, table: &mut Table) -> Vec<Series> {
        match self.is_delta {
            true => table.take(),
            false => table.copy(),
        }
    }

    /// What is in the table, at the end of the pass that goes on, if that comes in time.
    fn read(&self) -> Option<Vec<Series>> {
        let mut state = self.lock();
        if let Some(table) = &mut state.table {
            return Some(self.series(table));
        }
        state.is_awaited = true;
        let waits = |state: &mut State| state.is_awaited;
        let waited = self.is_read.wait_timeout_while(state, PASS_MAX, waits);
        let (mut state, _) = unpoisoned(waited);
        state.is_awaited = false;
        state.series.take()
    }

    /// Puts the table back.
    fn end_pass(&self, mut table: Box<Table>) {
        let mut state = self.lock();
        if state.is_awaited {
            state.series = Some(self.series(&mut table));
            state.is_awaited = false;
            self.is_read.notify_all();
        }
        state.table = Some(table);
    }
}

impl SpanMetrics {
    /// Nothing so far.
    pub(crate) fn new(temporality: Temporality, has_exemplars: bool) -> Self {
        let state = State {
            table: Some(Box::new(Table::new(has_exemplars))),
            ..State::default()
        };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                is_read: Condvar::new(),
                // As the SDK has it for histograms and counters.
                is_delta: temporality != Temporality::Cumulative,
            }),
            since_unix_nano: wall_unix_nano(),
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
        let series = self.shared.read()?;
        let is_delta = self.shared.is_delta;
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
