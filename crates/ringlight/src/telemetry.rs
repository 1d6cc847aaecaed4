//! The guard: flush, shut down, read the ledger.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;
#[cfg(feature = "otel")]
use std::time::Instant;

use ringlight_collector::{FlushError, Notices, Pipeline, RegisterError, RuleCount, SpanProducer};
use ringlight_model::{CostSnapshot, DeliverySnapshot, LedgerSnapshot, ThreadLedger};

use crate::config::{Hangup, Watch};
use crate::controls::Controls;
#[cfg(feature = "otel")]
use crate::metrics::{MeterProvider, Metrics};
use crate::sync::unpoisoned;

/// Keeps telemetry running; shuts it down when dropped.
///
/// Keep it in a variable of `main` (`let _telemetry = ...`, not `let _ = ...`, which drops at once)
/// until the end. What is recorded after a shutdown is counted as dropped; the first log record that
/// is lost like this is told on stderr.
///
/// All methods work from any thread, inside or outside any async runtime, of any kind: they wait
/// for the collector's own thread and return by their deadline.
#[must_use = "telemetry shuts down when this is dropped: keep it, `let _telemetry = ...`"]
pub struct Telemetry {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) pipeline: Pipeline,
    pub(crate) shutdown_timeout: Duration,
    /// Whether what is recorded of a panic has a backtrace.
    pub(crate) panic_backtrace: bool,
    pub(crate) controls: Controls,
    /// Where metrics go anywhere.
    #[cfg(feature = "otel")]
    pub(crate) metrics: Option<Metrics>,
    #[cfg(feature = "profiling")]
    pub(crate) runtimes: crate::runtime::Runtimes,
    /// Sees changes of the file of settings, until the end.
    pub(crate) watch: Mutex<Option<Watch>>,
}

impl Shared {
    /// Has metrics read, and then waits until everything has left, both within the time.
    pub(crate) fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        let left = self.read_metrics(timeout, false);
        self.pipeline.flush(left).map_err(|error| match error {
            // As long as who asked knows of.
            FlushError::Timeout { in_flight, .. } => FlushError::Timeout { timeout, in_flight },
            other => other,
        })
    }

    fn shutdown(&self, timeout: Duration) -> LedgerSnapshot {
        let left = self.read_metrics(timeout, true);
        #[cfg(feature = "profiling")]
        self.runtimes.end();
        self.pipeline.shutdown(left)
    }

    /// Reads metrics, also for the last time, in a quarter of the time at most: a callback may be stuck; and in another
    /// one the spans that some are made of. What is left of it.
    #[cfg(feature = "otel")]
    fn read_metrics(&self, timeout: Duration, is_last: bool) -> Duration {
        let Some(metrics) = &self.metrics else {
            return timeout;
        };
        let began = Instant::now();
        if metrics.reader.counts_spans() {
            // Those that have ended by now are to be among them.
            self.pipeline.show_sinks(timeout / 4);
        }
        match is_last {
            true => metrics.end(timeout / 4),
            false => metrics.reader.read(timeout / 4),
        }
        timeout.saturating_sub(began.elapsed())
    }

    #[cfg(not(feature = "otel"))]
    fn read_metrics(&self, timeout: Duration, _: bool) -> Duration {
        timeout
    }
}

impl Telemetry {
    /// Waits until everything recorded before the call, metrics included, has been delivered, refused or dropped, and
    /// log lines have been written; at most for `timeout`. For an output of lines that takes nothing, such as
    /// a terminal that was stopped, it waits for a moment only.
    ///
    /// # Errors
    /// The time was up first; telemetry has been shut down already, or belongs to the process this
    /// one was forked from; or the caller is a thread of the pipeline itself.
    pub fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        self.shared.flush(timeout)
    }

    /// Records nothing more, delivers what there is within `timeout`, and ends. What could not be
    /// delivered is counted as dropped in the ledger, which is returned.
    ///
    /// A second call, and dropping the guard afterwards, change nothing and return at once.
    pub fn shutdown(&self, timeout: Duration) -> LedgerSnapshot {
        drop(unpoisoned(self.shared.watch.lock()).take());
        self.shared.shutdown(timeout)
    }

    /// What changes the recording while it runs.
    #[must_use]
    pub fn controls(&self) -> Controls {
        self.shared.controls.clone()
    }

    /// What makes meters for metrics that go the way of everything else; `None` where metrics go nowhere.
    /// [`init`](crate::init) has made it the process's.
    #[cfg(feature = "otel")]
    #[must_use]
    pub fn meter_provider(&self) -> Option<MeterProvider> {
        let metrics = self.shared.metrics.as_ref();
        metrics.map(|metrics| metrics.provider.clone())
    }

    /// Metrics as Prometheus takes them, for a server of one's own: read now, which takes at most so long. `None` where
    /// Prometheus is not to have them (see [`Builder::prometheus`](crate::Builder::prometheus) and
    /// [`prometheus_text`](crate::Builder::prometheus_text)), where a callback takes longer, and after the shutdown.
    ///
    /// It waits for another thread; in async code, call it where blocking is allowed.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use ringlight::metrics::PrometheusFormat;
    ///
    /// # let (_, telemetry) = ringlight::builder().prometheus_text().build()?;
    /// // The header `Accept` of the request.
    /// let format = PrometheusFormat::of_accept("application/openmetrics-text");
    /// let text = telemetry.prometheus_text(format, Duration::from_secs(5));
    /// let content_type = format.content_type();
    /// # assert!(text.is_some());
    /// # Ok::<(), ringlight::InitError>(())
    /// ```
    #[cfg(feature = "prometheus")]
    #[must_use]
    pub fn prometheus_text(
        &self,
        format: crate::metrics::PrometheusFormat,
        timeout: Duration,
    ) -> Option<String> {
        self.shared.metrics.as_ref()?.text(format, timeout)
    }

    /// Watches a runtime of tokio from now on until it ends: its metrics, how late it is, and which span blocks a worker
    /// of it; see [`runtime`](crate::runtime). The one that telemetry was started in is watched already, and to watch
    /// one twice is to watch it once.
    ///
    /// Where telemetry is turned off (`OTEL_SDK_DISABLED`, `enabled = false` in the [file](crate::settings)) or has ended, none is
    /// watched.
    ///
    /// Runtimes are told apart by `tokio.runtime.id`, and by `tokio.runtime.name` where they have a name
    /// (`tokio::runtime::Builder::name`).
    #[cfg(feature = "profiling")]
    pub fn watch_runtime(&self, runtime: &tokio::runtime::Handle) {
        self.shared.runtimes.watch(runtime);
    }

    /// From now on reads the file of settings again, if there is one: when it changes, and at SIGHUP, as far as either
    /// is wanted.
    pub(crate) fn watch_config_file(
        &self,
        looks_at_file: bool,
        reloads_on_hangup: bool,
        notices: &Notices,
    ) {
        let hangup = match reloads_on_hangup.then(Hangup::listen).transpose() {
            Ok(hangup) => hangup,
            Err(reason) => {
                let message = format!("settings are not read again at SIGHUP: {reason}");
                crate::notice::of_settings(notices, message);
                None
            }
        };
        let reloader = self.shared.controls.reloader.clone();
        let watch = Watch::start(reloader, looks_at_file, hangup, notices.clone());
        *unpoisoned(self.shared.watch.lock()) = watch;
    }

    /// A producer of spans that are made without `tracing`, into the same pipeline. Whoever makes a
    /// span has decided that it is recorded: filter and sampler are not asked.
    ///
    /// # Errors
    /// All rings are in use (those of threads that record among them), or telemetry has been shut
    /// down.
    pub fn register_producer(&self) -> Result<SpanProducer, RegisterError> {
        self.shared.pipeline.register()
    }

    /// What became of every record so far. It balances at every moment.
    #[must_use]
    pub fn ledger(&self) -> LedgerSnapshot {
        self.shared.pipeline.ledger()
    }

    /// Slices that are missing in the trace file, since a ring was full: they wait for no room, and are in no ledger.
    #[cfg(feature = "profiling")]
    #[must_use]
    pub fn slices_dropped(&self) -> u64 {
        self.shared.pipeline.slices_dropped()
    }

    /// What became of every record at each destination, by name, the first one first.
    #[must_use]
    pub fn ledgers(&self) -> Vec<(String, LedgerSnapshot)> {
        self.shared.pipeline.ledgers()
    }

    /// The [ledger](Self::ledger), with what each thread that records has to do with it: what it submitted, what of that
    /// was dropped and why, and how full its ring is. The rows add up to the ledger. There are three at
    /// most beside those of threads with a ring, of which there are
    /// [`producers_max`](crate::collector::CollectorConfig::producers_max) at most.
    ///
    /// A thread goes by the name it had when it first recorded.
    #[must_use]
    pub fn ledger_by_thread(&self) -> ThreadLedger {
        self.shared.pipeline.ledger_by_thread()
    }

    /// How often each rule of [`Builder::redact`](crate::Builder::redact) and
    /// [`Builder::process`](crate::Builder::process) has replaced or left out something.
    #[must_use]
    pub fn processing_counts(&self) -> Vec<RuleCount> {
        self.shared.pipeline.processing_counts()
    }

    /// What observing has cost this process so far, as it measures it itself: time on the application's
    /// threads, CPU time of the collector, bytes sent, memory.
    ///
    /// ```
    /// # let (_, telemetry) = ringlight::builder().build()?;
    /// let before = telemetry.cost();
    /// // ... the application works ...
    /// let after = telemetry.cost();
    /// let (span, share) = (after.span_nano, after.process_ratio(&before));
    /// # Ok::<(), ringlight::InitError>(())
    /// ```
    #[must_use]
    pub fn cost(&self) -> CostSnapshot {
        self.shared.pipeline.cost()
    }

    /// How each destination is sent to, by name: requests, records, bytes before compression and on the wire, the
    /// time until an answer comes, and the number and size of requests, which follow what it answers
    /// ([`CollectorConfig::concurrent_exports_max`](crate::collector::CollectorConfig::concurrent_exports_max)).
    ///
    /// ```
    /// use ringlight::Signal;
    ///
    /// # let (_, telemetry) = ringlight::builder().build()?;
    /// for (name, delivery) in telemetry.deliveries() {
    ///     if let Some(bytes) = delivery.signal(Signal::Traces).wire_bytes_per_record() {
    ///         println!("{name}: {bytes:.0} bytes a span");
    ///     }
    /// }
    /// # Ok::<(), ringlight::InitError>(())
    /// ```
    #[must_use]
    pub fn deliveries(&self) -> Vec<(String, DeliverySnapshot)> {
        self.shared.pipeline.deliveries()
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        let _ = self.shutdown(self.shared.shutdown_timeout);
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry")
            .field("pipeline", &self.shared.pipeline)
            .finish_non_exhaustive()
    }
}
