//! What is done to records on their way out, how they are kept meanwhile, and who takes them.

use std::sync::Arc;
use std::time::Duration;

use ringlight_clock::Clock;
use ringlight_collector::{
    CollectorConfig, DestinationConfig, ExporterBoxed, OverflowPolicy, Processing, RecordSink,
    Redaction, SpoolConfig,
};

use super::Builder;

impl Builder {
    /// Replaces what is secret or personal in everything that leaves the process, be it sent, written to a file or
    /// shown as a log line. Default: as `RINGLIGHT_REDACT` says (`standard` or `none`), else nothing is. What the
    /// variable asks for is added to what the code does. The guide is `docs/processing.md`.
    ///
    /// ```
    /// # fn main() -> Result<(), ringlight::InitError> {
    /// let _telemetry = ringlight::builder()
    ///     .redact(ringlight::Redaction::standard())
    ///     .init()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn redact(self, redaction: Redaction) -> Self {
        self.process(|processing| processing.redact(redaction))
    }

    /// Renames and leaves out attributes, and leaves out whole records, before they go to any output.
    ///
    /// ```
    /// use ringlight::RecordPattern;
    ///
    /// let builder = ringlight::builder().process(|rules| {
    ///     rules
    ///         .rename_attribute("http.method", "http.request.method")
    ///         .drop_attribute("debug.*")
    ///         .drop_records(RecordPattern::spans().name("GET /health*"))
    /// });
    /// ```
    pub fn process(self, add: impl FnOnce(Processing) -> Processing + Send + 'static) -> Self {
        self.pipeline(move |config| {
            config.processing = add(std::mem::take(&mut config.processing));
        })
    }

    /// How long a record waits for others to travel with. Default: `OTEL_BSP_SCHEDULE_DELAY`, else
    /// 200 ms, so that a span is seen within a second of its end.
    pub fn batch_delay(self, delay: Duration) -> Self {
        self.pipeline(move |config| config.batch_delay = delay)
    }

    /// A Ringlight backend is told of spans that have been open for longer than this, every two seconds
    /// ([`CollectorConfig::report_interval`]), and shows them as in progress; zero turns that off. Default:
    /// 10 s. Spans of the OpenTelemetry API and those of a producer are seen when they end.
    pub fn open_span_after(self, after: Duration) -> Self {
        self.pipeline(move |config| config.open_span_after = after)
    }

    /// Keeps in this directory what cannot be sent, so that it outlives an outage of the backend, and the process.
    /// Default: `RINGLIGHT_SPOOL_DIR` (with `RINGLIGHT_SPOOL_MODE`, `.._SIZE_LIMIT` and `.._MAX_AGE`), else what
    /// cannot be sent is kept in memory as far as there is room.
    ///
    /// Give each process a directory of its own, on a disk that stays. A path stands for the
    /// [defaults](SpoolConfig): up to 1 GiB, for 3 days.
    ///
    /// ```no_run
    /// use ringlight::{SpoolConfig, SpoolMode};
    ///
    /// # fn main() -> Result<(), ringlight::InitError> {
    /// let mut spool = SpoolConfig::new("/var/lib/shop/telemetry");
    /// spool.mode = SpoolMode::Always;
    /// let _telemetry = ringlight::builder().spool(spool).init()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn spool(self, spool: impl Into<SpoolConfig>) -> Self {
        let spool = spool.into();
        self.pipeline(move |config| config.spool = Some(spool))
    }

    /// What a thread does when its ring is full. Default: drop the new record and count it.
    pub fn overflow(self, policy: OverflowPolicy) -> Self {
        self.pipeline(move |config| config.policy = policy)
    }

    /// Anything about the pipeline: buffers, queues, retries, limits, where
    /// [notices](CollectorConfig::notices) go, which by default is stderr.
    ///
    /// `change` is called when telemetry starts, with what the variables say (`OTEL_BSP_*` and so on), and
    /// what it sets holds over that. Of several calls, those of methods for single settings among
    /// them, the last one holds. Attributes of the resource are added to those of
    /// [`resource_attribute`](Self::resource_attribute) and of the variables.
    ///
    /// The defaults are those of [`CollectorConfig`], but for [`batch_delay`](Self::batch_delay) and
    /// [`producers_max`](CollectorConfig::producers_max), how many threads have a ring of their own: four for each
    /// processor this process may use, 64 at least and 1024 at most. A ring takes its memory (512 KiB, see
    /// [`ring_bits`](CollectorConfig::ring_bits)) when its thread first records, and is used again when that
    /// has ended: so all of them are 32 MiB at most on up to 16 processors, and 2 MiB a processor beyond. Further
    /// threads share one ring behind a lock, which costs them time and nothing else; a person is told.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # fn main() -> Result<(), ringlight::InitError> {
    /// let _telemetry = ringlight::builder()
    ///     .pipeline(|config| {
    ///         config.ring_bits = 14;
    ///         config.export_timeout = Duration::from_secs(3);
    ///     })
    ///     .init()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn pipeline(mut self, change: impl FnOnce(&mut CollectorConfig) + Send + 'static) -> Self {
        self.inputs.changes.add(change);
        self
    }

    /// One more destination, beside the one for OTLP. As to that one, nothing goes there where telemetry is turned off
    /// (`OTEL_SDK_DISABLED`, `enabled = false`).
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    /// use std::time::Duration;
    ///
    /// use ringlight::Signal;
    /// use ringlight::collector::{EncodedBatch, ExportError, ExportOutcome, Exporter, SpanBatch};
    ///
    /// /// Keeps the names of spans.
    /// struct Names(Arc<Mutex<Vec<String>>>);
    ///
    /// impl Exporter for Names {
    ///     async fn export(&self, batch: EncodedBatch) -> Result<ExportOutcome, ExportError> {
    ///         let batch = SpanBatch::try_from(batch).expect("only spans are taken");
    ///         let keep = |name: &str| self.0.lock().unwrap().push(name.to_owned());
    ///         batch.for_each(|_, _, span| keep(&span.name)).expect("it is our own");
    ///         Ok(ExportOutcome::default())
    ///     }
    ///
    ///     fn name(&self) -> &str {
    ///         "names"
    ///     }
    ///
    ///     fn place(&self, signal: Signal) -> Option<&str> {
    ///         (signal == Signal::Traces).then_some("names")
    ///     }
    /// }
    ///
    /// let names = Arc::new(Mutex::new(Vec::new()));
    /// let (dispatch, telemetry) = ringlight::builder().exporter(Names(Arc::clone(&names))).build()?;
    /// tracing::dispatcher::with_default(&dispatch, || tracing::info_span!("order").in_scope(|| {}));
    /// telemetry.shutdown(Duration::from_secs(5));
    /// assert_eq!(*names.lock().unwrap(), ["order"]);
    /// # Ok::<_, ringlight::InitError>(())
    /// ```
    pub fn exporter(self, exporter: impl ExporterBoxed + 'static) -> Self {
        self.destination(DestinationConfig::from(Arc::new(exporter)))
    }

    /// One more destination, with settings of its own: a name, signals, which records it gets, its queue,
    /// retries and part of the [spool](Self::spool). Destinations never touch each other.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// # #[cfg(feature = "otel")] {
    /// use ringlight::Signal;
    /// use ringlight::collector::{DestinationConfig, OtlpConfig, OtlpHttpExporter};
    ///
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let vendor = OtlpConfig::new("https://otlp.example.com");
    /// let vendor = DestinationConfig {
    ///     name: Some("vendor".to_owned()),
    ///     signals: Some(vec![Signal::Traces]),
    ///     ..DestinationConfig::new(Arc::new(OtlpHttpExporter::new(&vendor)?))
    /// };
    /// let _telemetry = ringlight::builder()
    ///     .otlp_endpoint("http://localhost:4317")
    ///     .destination(vendor)
    ///     .init()?;
    /// # Ok(())
    /// # }
    /// # }
    /// ```
    pub fn destination(mut self, destination: DestinationConfig) -> Self {
        self.destinations.push(destination);
        self
    }

    /// One more local consumer of records, beside log lines. It is called on the collector's
    /// thread, with all records: those of [`Output::Logs`](crate::Output::Logs) and [`Output::Traces`](crate::Output::Traces), and what only log lines
    /// want.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU64, Ordering};
    ///
    /// use ringlight::RecordSink;
    /// use ringlight::collector::{CallsiteRegistry, StatusCode, record::Record};
    ///
    /// /// Counts spans that failed.
    /// struct Failures(Arc<AtomicU64>);
    ///
    /// impl RecordSink for Failures {
    ///     fn record(&mut self, record: &Record<'_>, _: &CallsiteRegistry) {
    ///         if let Record::Span(span) = record
    ///             && span.head().status() == StatusCode::Error
    ///         {
    ///             self.0.fetch_add(1, Ordering::Relaxed);
    ///         }
    ///     }
    ///
    ///     fn flush(&mut self) {}
    /// }
    /// # let failures = Arc::<AtomicU64>::default();
    /// let builder = ringlight::builder().sink(Failures(Arc::clone(&failures)));
    /// ```
    pub fn sink(mut self, sink: impl RecordSink + 'static) -> Self {
        self.sinks.push(Box::new(sink));
        self
    }

    /// Times of what is recorded through `tracing` and the OpenTelemetry API are read from this clock; for
    /// tests, with a [`ManualTime`](crate::ManualTime) that they set. Default: the best clock there is.
    pub fn clock(self, clock: Clock) -> Self {
        self.pipeline(move |config| config.clock = Some(Arc::new(clock)))
    }
}
