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
use ringlight_collector::{RequestSender, in_pipeline, mark_thread};

use super::encode::Encoder;
use super::exemplars::Reservoirs;
use super::spans::{Reading, SpanMetrics};

/// OpenTelemetry's reader, in the SDK's hands.
#[derive(Debug)]
pub(super) struct Manual(Arc<ManualReader>);

impl Manual {
    /// The reader for the SDK, and the same for those who read.
    pub(super) fn new(temporality: Temporality) -> (Self, Arc<ManualReader>) {
        let reader = ManualReader::builder()
            .with_temporality(temporality)
            .build();
        let reader = Arc::new(reader);
        (Self(Arc::clone(&reader)), reader)
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

/// Commands that wait at most: each is of a thread that waits for the answer.
const COMMANDS_MAX: usize = 64;

impl Reader {
    pub(super) fn start(
        reading: Arc<ManualReader>,
        reservoirs: Arc<Reservoirs>,
        spans: Option<SpanMetrics>,
        sender: RequestSender,
        interval: Duration,
    ) -> std::io::Result<Self> {
        let (commands, taken) = sync_channel(COMMANDS_MAX);
        let counts_spans = spans.is_some();
        let mut work = Work {
            reading,
            reservoirs,
            spans,
            has_told_overflow: false,
            encoder: Encoder::new(sender.clone()),
            sender,
        };
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

struct Work {
    reading: Arc<ManualReader>,
    reservoirs: Arc<Reservoirs>,
    spans: Option<SpanMetrics>,
    /// Whether a person knows that there are more series of spans than there may be.
    has_told_overflow: bool,
    encoder: Encoder,
    sender: RequestSender,
}

impl Work {
    fn run(&mut self, commands: &Receiver<Command>, interval: Duration) {
        let mut next = Instant::now() + interval;
        loop {
            let left = next.saturating_duration_since(Instant::now());
            let answer = match commands.recv_timeout(left) {
                Ok(Command::Read(answer)) => Some(answer),
                Ok(Command::End(answer)) => {
                    self.read();
                    let _ = answer.try_send(());
                    return;
                }
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            self.read();
            match answer {
                Some(answer) => {
                    let _ = answer.try_send(());
                }
                // From now, not from when it was due: a process that was stopped has nothing to catch up with.
                None => next = Instant::now() + interval,
            }
        }
    }

    /// Reads and sends. The SDK fails only when it has been shut down, and then there is nothing to send.
    fn read(&mut self) {
        let mut metrics = ResourceMetrics::default();
        // A callback's panic is caught where it is called; this is for the SDK's own.
        let read = catch_unwind(AssertUnwindSafe(|| self.reading.collect(&mut metrics)));
        if matches!(read, Ok(Ok(()))) {
            let exemplars = self.reservoirs.take();
            let spans = self.spans.as_mut().and_then(SpanMetrics::read);
            if let Some(request) = self.encoder.encode(&metrics, &exemplars, spans.as_ref()) {
                self.sender.send_metrics(request);
            }
            if spans.is_some_and(|spans| spans.has_overflow()) && !self.has_told_overflow {
                self.has_told_overflow = true;
                crate::notice::say(format_args!("{}", Reading::overflow_notice()));
            }
        }
    }
}
