//! Metrics that are made of spans: how many of each name, kind and status there were, and how long they took.
//!
//! A sink adds up what the collector's thread drains, before tail sampling: a span's time is the one its record has, so
//! that no clock is read for it. The thread that reads metrics takes what has been added up.
//!
//! The table of series is with one of the two threads at a time: it is [`Lent`] to the collector's during a pass over the
//! rings, and who comes to read then is given what there is at its end.

mod histogram;
mod meaning;
mod series;
#[cfg(feature = "prometheus")]
mod total;
mod write;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_sdk::metrics::Temporality;
use ringlight_clock::wall_unix_nano;
use ringlight_collector::record::Record;
use ringlight_collector::{Lent, RecordSink};
use ringlight_model::CallsiteRegistry;

use crate::controls;
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
    table: Arc<Lent<Box<Table>>>,
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

impl SpanMetrics {
    /// Nothing so far.
    pub(crate) fn new(wanted: Wanted, has_exemplars: bool) -> Self {
        let is_delta = wanted
            .sent
            .is_some_and(|sent| sent != Temporality::Cumulative);
        Self {
            table: Arc::new(Lent::new(Box::new(Table::new(has_exemplars)))),
            is_delta,
            since_unix_nano: wall_unix_nano(),
            #[cfg(feature = "prometheus")]
            total: (is_delta && wanted.is_scraped).then(Total::default),
        }
    }

    /// What adds spans, which stand for as many as the sampling says.
    pub(crate) fn sink(&self, controls: &Arc<controls::Shared>) -> Box<dyn RecordSink> {
        Box::new(SpanSink {
            lent: Arc::clone(&self.table),
            table: None,
            controls: Arc::clone(controls),
        })
    }

    /// What has been added up since the start, or since the last time. `None` while it cannot be had.
    pub(in crate::metrics) fn read(&mut self) -> Option<Reading> {
        let is_delta = self.is_delta;
        let series = self.table.ask(PASS_MAX, move |table| match is_delta {
            // They begin anew.
            true => table.take(),
            // They go on, with other exemplars.
            false => table.copy(),
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
        let series = self.table.ask(PASS_MAX, |table| table.look())?;
        Some(match &self.total {
            None => series,
            Some(total) => total.with(&series),
        })
    }
}

/// Adds up spans on the collector's thread.
#[derive(Debug)]
struct SpanSink {
    lent: Arc<Lent<Box<Table>>>,
    /// During a pass over the rings that has shown it a span.
    table: Option<Box<Table>>,
    controls: Arc<controls::Shared>,
}

impl RecordSink for SpanSink {
    fn record(&mut self, record: &Record<'_>, callsites: &CallsiteRegistry) {
        let Record::Span(span) = record else { return };
        if self.table.is_none() {
            self.table = self.lent.borrow();
        }
        if let Some(table) = &mut self.table {
            let weight = self.controls.sampling.weight(span.trace_id());
            table.add(span, callsites, weight);
        }
    }

    fn flush(&mut self) {
        if let Some(table) = self.table.take() {
            self.lent.give_back(table);
        }
    }
}

/// One that panicked in the middle of a pass is called no more; what it has added up stays.
impl Drop for SpanSink {
    fn drop(&mut self) {
        self.flush();
    }
}
