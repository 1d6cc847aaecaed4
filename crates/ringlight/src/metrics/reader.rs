//! The thread that reads metrics and sends them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{InstrumentKind, ManualReader, Pipeline, Temporality};
use ringlight_collector::{in_pipeline, mark_thread};

use super::encode::Encoder;
use super::exemplars::Reservoirs;
#[cfg(feature = "prometheus")]
use super::exemplars::{self, Taken};
use super::overflows::Overflows;
#[cfg(feature = "prometheus")]
use super::prometheus::{PrometheusFormat, Writer};
use super::spans::{SpanMetrics, count_overflow};

/// OpenTelemetry's reader, in the SDK's hands.
#[derive(Debug)]
pub(super) struct Manual(Arc<ManualReader>);

/// The readers of the provider.
pub(super) struct Readings {
    sent: Option<Arc<ManualReader>>,
    /// The same one where both want what there is since the start: measurements are then aggregated once.
    scraped: Option<Arc<ManualReader>>,
    /// What the process uses, which is read less often.
    #[cfg(all(feature = "profiling", target_os = "linux"))]
    pub(super) process: Option<super::process::Process>,
}

impl Readings {
    pub(super) fn new(temporality: Temporality, is_sent: bool, is_scraped: bool) -> Self {
        let reader = |temporality| {
            let builder = ManualReader::builder().with_temporality(temporality);
            Arc::new(builder.build())
        };
        let sent = is_sent.then(|| reader(temporality));
        let scraped = is_scraped.then(|| match &sent {
            Some(sent) if temporality == Temporality::Cumulative => Arc::clone(sent),
            _ => reader(Temporality::Cumulative),
        });
        Self {
            sent,
            scraped,
            #[cfg(all(feature = "profiling", target_os = "linux"))]
            process: None,
        }
    }

    /// For the SDK.
    pub(super) fn readers(&self) -> impl Iterator<Item = Manual> {
        let sent = self.sent.iter();
        let is_other = |one: &&Arc<ManualReader>| {
            self.sent
                .as_ref()
                .is_none_or(|sent| !Arc::ptr_eq(sent, one))
        };
        sent.chain(self.scraped.iter().filter(is_other))
            .map(|reader| Manual(Arc::clone(reader)))
    }
}

impl MetricReader for Manual {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}

enum Command {
    /// Read now, and say when it is done.
    Read(SyncSender<()>),
    /// The same, for the last time.
    End(SyncSender<()>),
    /// Read now for Prometheus.
    #[cfg(feature = "prometheus")]
    Text(PrometheusFormat, GiveText),
}

/// Reads every so often, and when it is told to.
#[derive(Debug)]
pub(crate) struct Reader {
    commands: SyncSender<Command>,
    /// Told to end, so that nobody waits again for one that is stuck. Relaxed: nothing is read by it.
    is_ended: AtomicBool,
    /// Whether some metrics are made of spans.
    counts_spans: bool,
    /// A process that is forked from this one has no such thread.
    process: u32,
}

/// Takes the text.
#[cfg(feature = "prometheus")]
pub(super) type GiveText = Box<dyn FnOnce(String) + Send>;

/// Commands that wait at most: each is of a thread that waits for the answer.
const COMMANDS_MAX: usize = 64;

impl Reader {
    pub(super) fn start(mut work: Work, interval: Duration) -> std::io::Result<Self> {
        let (commands, taken) = sync_channel(COMMANDS_MAX);
        let counts_spans = work.spans.is_some();
        std::thread::Builder::new()
            .name("ringlight-metrics".to_owned())
            .spawn(move || {
                mark_thread();
                work.run(&taken, interval);
            })?;
        Ok(Self {
            commands,
            is_ended: AtomicBool::new(false),
            counts_spans,
            process: std::process::id(),
        })
    }

    /// Whether some metrics are made of spans, which the collector's thread has to have seen before.
    pub(crate) const fn counts_spans(&self) -> bool {
        self.counts_spans
    }

    /// Has metrics read for Prometheus, and does not wait for it. False if that is not to be, as at the end; else `give` is
    /// dropped at the latest when telemetry ends.
    #[cfg(feature = "prometheus")]
    pub(super) fn text(&self, format: PrometheusFormat, give: GiveText) -> bool {
        !self.is_ended.load(Ordering::Relaxed)
            && self.process == std::process::id()
            && self.commands.try_send(Command::Text(format, give)).is_ok()
    }

    /// Has metrics read now, and waits until they are on their way, for at most so long.
    pub(crate) fn read(&self, timeout: Duration) {
        if !self.is_ended.load(Ordering::Relaxed) {
            self.ask(Command::Read, timeout);
        }
    }

    /// The same for the last time. Further calls do nothing.
    pub(crate) fn end(&self, timeout: Duration) {
        if !self.is_ended.swap(true, Ordering::Relaxed) {
            self.ask(Command::End, timeout);
        }
    }

    fn ask(&self, command: impl FnOnce(SyncSender<()>) -> Command, timeout: Duration) {
        if in_pipeline() || self.process != std::process::id() {
            return;
        }
        let (answer, answered) = sync_channel(1);
        // Where it is stuck in a callback, or has ended, there is nothing to wait for.
        if self.commands.try_send(command(answer)).is_ok() {
            let _ = answered.recv_timeout(timeout);
        }
    }
}

/// What the thread reads, and what it does with it.
pub(super) struct Work {
    pub(super) readings: Readings,
    pub(super) reservoirs: Arc<Reservoirs>,
    pub(super) overflows: Arc<Overflows>,
    /// Where metrics are sent.
    pub(super) encoder: Option<Encoder>,
    /// Where Prometheus gets them.
    #[cfg(feature = "prometheus")]
    pub(super) writer: Option<Writer>,
    /// Of each instrument the exemplars that were taken last, one an order of magnitude.
    #[cfg(feature = "prometheus")]
    pub(super) seen: Taken,
    /// What is made of spans.
    pub(super) spans: Option<SpanMetrics>,
}

impl Work {
    fn run(&mut self, commands: &Receiver<Command>, interval: Duration) {
        let mut next = Instant::now() + interval;
        loop {
            let left = next.saturating_duration_since(Instant::now());
            match commands.recv_timeout(left) {
                Ok(Command::Read(answer)) => {
                    self.read_now();
                    let _ = answer.try_send(());
                }
                Ok(Command::End(answer)) => {
                    self.read_now();
                    let _ = answer.try_send(());
                    return;
                }
                #[cfg(feature = "prometheus")]
                Ok(Command::Text(format, give)) => self.write(format, give),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            // After every command, since there may always be a next one.
            if Instant::now() >= next {
                self.read();
                // From now, not from when it was due: a process that was stopped has nothing to catch up with.
                next = Instant::now() + interval;
            }
        }
    }

    /// Reads what there is at this moment, and sends it: the process may end after it.
    fn read_now(&mut self) {
        #[cfg(all(feature = "profiling", target_os = "linux"))]
        if let Some(process) = &self.readings.process {
            process.renew();
        }
        self.read();
    }

    /// Reads and sends.
    fn read(&mut self) {
        let metrics = self.readings.sent.as_ref().and_then(collected);
        let exemplars = self.reservoirs.take();
        // Also where Prometheus alone has them: the longest of them is that of another time from now on.
        let spans = self.spans.as_mut().and_then(SpanMetrics::read);
        if let (Some(metrics), Some(encoder)) = (metrics, &self.encoder) {
            encoder.send(&metrics, &exemplars, &self.overflows, spans.as_ref());
            if let Some(spans) = &spans {
                count_overflow(&spans.series, &self.overflows);
            }
        }
        #[cfg(feature = "prometheus")]
        if self.writer.is_some() {
            exemplars::renew(&mut self.seen, exemplars);
        }
    }

    /// Reads for Prometheus. A panic, which only the SDK's can be, is as if nothing were asked.
    #[cfg(feature = "prometheus")]
    fn write(&self, format: PrometheusFormat, give: GiveText) {
        let metrics = self.readings.scraped.as_ref().and_then(collected);
        if let (Some(metrics), Some(writer)) = (metrics, &self.writer) {
            let mut exemplars = self.seen.clone();
            exemplars::renew(&mut exemplars, self.reservoirs.look());
            let spans = self.spans.as_ref().and_then(SpanMetrics::look);
            let spans = spans.unwrap_or_default();
            give(writer.write(format, &metrics, &exemplars, &spans, &self.overflows));
            count_overflow(&spans, &self.overflows);
        }
    }
}

/// What there is. The SDK fails only when it has been shut down, and then there is nothing.
fn collected(reading: &Arc<ManualReader>) -> Option<ResourceMetrics> {
    let mut metrics = ResourceMetrics::default();
    // A callback's panic is caught where it is called; this is for the SDK's own.
    let read = catch_unwind(AssertUnwindSafe(|| reading.collect(&mut metrics)));
    matches!(read, Ok(Ok(()))).then_some(metrics)
}

#[cfg(all(test, feature = "prometheus"))]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use opentelemetry::metrics::MeterProvider as _;
    use opentelemetry_sdk::metrics::SdkMeterProvider;
    use ringlight_collector::{AttributeRules, Notices};
    use ringlight_model::Resource;

    use super::super::exemplars::ExemplarFilter;
    use super::*;

    /// Asks for a text and, before that is finished, for the next one, so that there is always one who waits.
    fn ask(commands: &SyncSender<Command>, times: usize) {
        if times == 0 {
            return;
        }
        let next = commands.clone();
        let give = Box::new(move |_| ask(&next, times - 1));
        let _ = commands.try_send(Command::Text(PrometheusFormat::Text, give));
    }

    #[test]
    fn who_asks_for_texts_all_the_time_does_not_keep_it_from_sending() {
        const TEXTS: usize = 50;
        // The callback is called for each reader, of which there are two.
        let readings = Readings::new(Temporality::Delta, true, true);
        let mut builder = SdkMeterProvider::builder();
        for reader in readings.readers() {
            builder = builder.with_reader(reader);
        }
        let provider = builder.build();
        let read = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&read);
        let _gauge = (provider.meter("tested").u64_observable_gauge("read"))
            .with_callback(move |_| {
                counted.fetch_add(1, Ordering::Relaxed);
            })
            .build();
        let mut work = Work {
            readings,
            reservoirs: Arc::new(Reservoirs::new(ExemplarFilter::AlwaysOff)),
            overflows: Arc::new(Overflows::new(Notices::new(|_| ()))),
            encoder: None,
            writer: Some(Writer::new(&Resource::default(), AttributeRules::default())),
            seen: Taken::new(),
            spans: None,
        };
        let (commands, taken) = sync_channel(COMMANDS_MAX);
        ask(&commands, TEXTS);
        drop(commands);
        // It is always time.
        work.run(&taken, Duration::ZERO);
        assert_eq!(read.load(Ordering::Relaxed), 2 * TEXTS);
    }
}
