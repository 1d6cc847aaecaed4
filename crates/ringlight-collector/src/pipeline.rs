//! The handle the application holds: start, flush, shut down, read the ledger.

use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use ringlight_clock::Clock;
use ringlight_model::{
    CallsiteRegistry, CostSnapshot, DeliverySnapshot, LedgerSnapshot, Resource, Signal,
    ThreadLedger,
};
use ringlight_otlp::encode;
use ringlight_ring::{RegisterError, RingSender};
use ringlight_spool::SpoolError;
use tokio::sync::{oneshot, watch};

use crate::accounts::{Accounts, SignalSet};
use crate::collector::{Collector, Parts};
use crate::config::{CollectorConfig, CollectorConfigError, OverflowPolicy};
use crate::destination_config::DestinationConfig;
use crate::mark::{in_pipeline, mark_thread};
use crate::meter::Meter;
use crate::metrics::CollectorMetrics;
use crate::open_spans::OpenSpanSource;
use crate::processing::{Processing, Redaction, RuleCount};
use crate::recorder::Recorder;
use crate::requests::{AttributeRules, RequestSender, Requests};
use crate::sink::{LogFilter, RecordSink};
use crate::spans::{Origin, SpanProducer};
use crate::spool::SpoolConfig;
use crate::submit::Shared;
use crate::sync::unpoisoned;
use crate::text::Readable;
use crate::thread;

/// How long a pipeline that is dropped without a shutdown goes on in the background.
const DROP_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a pipeline did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A setting is out of range.
    #[error(transparent)]
    Config(#[from] CollectorConfigError),
    /// The directory for what cannot be sent cannot be used.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The operating system gave no thread or no event queue.
    #[error("cannot start the collector thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// The time was up before everything had left.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlushError {
    /// The pipeline goes on with what is still in flight.
    #[error("{in_flight} records are still on their way after {}", Readable(*timeout))]
    Timeout {
        /// How long was waited.
        timeout: Duration,
        /// Records still in flight, all signals together.
        in_flight: u64,
    },
    /// The pipeline has ended, or is that of the process this one was forked from; there is nothing
    /// to flush.
    #[error("the pipeline has been shut down")]
    Closed,
    /// A thread of the pipeline itself cannot wait for the pipeline.
    #[error("flushed from a thread of the pipeline itself")]
    InPipeline,
}

/// What the collector thread is told.
pub(crate) enum Command {
    /// Send everything that is there now, then answer.
    Flush(Answer),
    /// Show the sinks everything that is there now, then answer.
    ShowSinks(Answer),
    /// Take nothing more, send what there is for at most this long, end.
    Shutdown(Duration),
    /// Report the open spans that this one knows.
    ReportOpen(Arc<dyn OpenSpanSource>),
    /// Go by these rules from now on.
    Process(Box<Processing>),
}

/// Where the answer to a flush goes. Dropping it tells who waits that there is none.
pub(crate) enum Answer {
    Thread {
        sender: SyncSender<()>,
        /// Gone with the thread's patience.
        waiter: Weak<()>,
    },
    Task(oneshot::Sender<()>),
}

/// What a thread waits for an answer with.
struct Answered {
    receiver: Receiver<()>,
    _waiter: Arc<()>,
}

impl Answer {
    fn to_thread() -> (Self, Answered) {
        let (sender, receiver) = sync_channel(1);
        let waiter = Arc::new(());
        let answer = Self::Thread {
            sender,
            waiter: Arc::downgrade(&waiter),
        };
        let answered = Answered {
            receiver,
            _waiter: waiter,
        };
        (answer, answered)
    }

    /// Whether somebody still waits for it.
    pub(crate) fn is_awaited(&self) -> bool {
        match self {
            Self::Thread { waiter, .. } => waiter.strong_count() > 0,
            Self::Task(sender) => !sender.is_closed(),
        }
    }

    /// Whoever gave up waiting does not hear it.
    pub(crate) fn send(self) {
        match self {
            Self::Thread { sender, .. } => {
                let _ = sender.try_send(());
            }
            Self::Task(sender) => {
                let _ = sender.send(());
            }
        }
    }
}

/// What application threads and the collector thread share besides rings and books.
#[derive(Default)]
pub(crate) struct Control {
    state: Mutex<ControlState>,
    /// For threads that wait for the end, and for tasks.
    ended: Condvar,
    ended_for_tasks: watch::Sender<bool>,
}

#[derive(Default)]
struct ControlState {
    commands: Vec<Command>,
    is_ended: bool,
}

impl Control {
    fn lock(&self) -> MutexGuard<'_, ControlState> {
        unpoisoned(self.state.lock())
    }

    pub(crate) fn take(&self) -> Vec<Command> {
        std::mem::take(&mut self.lock().commands)
    }

    /// False when nobody will take it any more.
    ///
    /// What has not been taken is bounded by who waits for it: flushes that nobody waits for any more
    /// make room, and of rules only the last ones are kept.
    pub(crate) fn send(&self, command: Command) -> bool {
        let mut state = self.lock();
        if state.is_ended {
            return false;
        }
        let has_rules = matches!(command, Command::Process(_));
        let is_wanted = |command: &Command| match command {
            Command::Flush(answer) | Command::ShowSinks(answer) => answer.is_awaited(),
            Command::Process(_) => !has_rules,
            Command::Shutdown(_) | Command::ReportOpen(_) => true,
        };
        state.commands.retain(is_wanted);
        state.commands.push(command);
        true
    }

    /// Everybody who waits for the end is let go. Commands not taken are dropped, which lets those
    /// who wait for them go as well.
    pub(crate) fn end(&self) {
        let commands = {
            let mut state = self.lock();
            state.is_ended = true;
            std::mem::take(&mut state.commands)
        };
        self.ended.notify_all();
        // Without the lock: this rouses tasks, on whatever thread they like.
        drop(commands);
        self.ended_for_tasks.send_replace(true);
    }

    async fn ended(&self) {
        let mut ended = self.ended_for_tasks.subscribe();
        // The sender is here, so it does not fail.
        let _ = ended.wait_for(|ended| *ended).await;
    }

    /// Waits for the end; whether it came in time.
    pub(crate) fn wait_ended(&self, timeout: Duration) -> bool {
        let until = Instant::now().checked_add(timeout);
        let mut state = self.lock();
        while !state.is_ended {
            let left = until.map_or(timeout, |until| {
                until.saturating_duration_since(Instant::now())
            });
            if left.is_zero() {
                return false;
            }
            state = unpoisoned(self.ended.wait_timeout(state, left)).0;
        }
        true
    }
}

/// A running pipeline: rings, collector thread, destinations.
///
/// All methods may be called from any thread, inside or outside any async runtime: they wait for
/// the collector's own thread, never for the caller's runtime. Dropping it without
/// [`shutdown`](Self::shutdown) lets the collector finish in the background for up to five seconds.
///
/// A process that was forked from this one has a copy without the collector's thread: there nothing
/// waits, be it for a lock that another thread held. What is recorded is dropped, and the ledgers are
/// empty.
pub struct Pipeline {
    shared: Arc<Shared>,
    spans: Arc<Origin>,
    sender: RingSender,
    accounts: Arc<Accounts>,
    control: Arc<Control>,
    meter: Arc<Meter>,
    clock: Arc<Clock>,
    processing: Processing,
    destinations: Vec<String>,
    request_sender: Option<RequestSender>,
    attribute_rules: AttributeRules,
    resource: Arc<Resource<'static>>,
}

impl Pipeline {
    /// Starts the collector thread. Connects to nothing: a destination that is not there does not
    /// delay or fail the start.
    ///
    /// `callsites` must know every callsite before its first record. Records that a destination does
    /// not take, or none does, count as exported there once the sinks have seen them.
    ///
    /// # Errors
    /// A setting is out of range, two destinations would have one part of the spool, its directory cannot be used, or the
    /// system has no thread to give.
    pub fn start(
        config: CollectorConfig,
        callsites: Arc<CallsiteRegistry>,
        destinations: impl IntoIterator<Item: Into<DestinationConfig>>,
        sinks: Vec<Box<dyn RecordSink>>,
    ) -> Result<Self, StartError> {
        let may_wait = config.policy != OverflowPolicy::Drop;
        Self::start_with(config, may_wait, callsites, destinations, sinks, None)
    }

    /// As [`start`](Self::start), exporting only the log records that `log_filter` wants. What it does
    /// not want counts as exported once the sinks have seen it, and is left out of the reports.
    ///
    /// # Errors
    /// As for `start`.
    pub fn start_filtered(
        config: CollectorConfig,
        callsites: Arc<CallsiteRegistry>,
        destinations: impl IntoIterator<Item: Into<DestinationConfig>>,
        sinks: Vec<Box<dyn RecordSink>>,
        log_filter: impl LogFilter + 'static,
    ) -> Result<Self, StartError> {
        let may_wait = config.policy != OverflowPolicy::Drop;
        let log_filter = Some(Box::new(log_filter) as Box<dyn LogFilter>);
        Self::start_with(config, may_wait, callsites, destinations, sinks, log_filter)
    }

    /// As [`start`](Self::start), with a word on whether producers may wait for room, so that a full
    /// queue holds up the drain for as long as it takes.
    pub(crate) fn start_with(
        mut config: CollectorConfig,
        may_wait: bool,
        callsites: Arc<CallsiteRegistry>,
        destinations: impl IntoIterator<Item: Into<DestinationConfig>>,
        sinks: Vec<Box<dyn RecordSink>>,
        log_filter: Option<Box<dyn LogFilter>>,
    ) -> Result<Self, StartError> {
        config.validate()?;
        let destinations: Vec<DestinationConfig> =
            destinations.into_iter().map(Into::into).collect();
        for destination in &destinations {
            destination.validate(&config)?;
        }
        if config.spool.is_some() {
            DestinationConfig::validate_spool_names(&destinations)?;
        }
        Processing::process_settings(&mut config);
        // Who sends nothing does not keep others from the directory.
        let spool = config.spool.as_ref().filter(|_| !destinations.is_empty());
        let spool = spool.map(SpoolConfig::open).transpose()?;
        let (sender, receiver) = config.channel()?;
        let mut taken: Vec<_> = destinations.iter().map(signals_of).collect();
        if taken.is_empty() {
            taken.push(SignalSet::default());
        }
        let shared = Shared::new(sender.clone(), config.policy, config.notices.clone());
        let accounts = Accounts::new(sender.clone(), taken);
        let accounts = Arc::new(accounts.with_asides(Arc::clone(&shared.asides)));
        let control = Arc::new(Control::default());
        let meter = Meter::new(sender.clone(), config.governor.clone());
        let runtime = thread::runtime(blocking_threads_max(&config, &destinations))?;
        let clock = config.clock();
        let requests = Arc::new(Requests::new(config.queue_bytes_max));
        let takes_metrics = (destinations.iter()).any(|one| one.takes(Signal::Metrics));
        let mut resource = Vec::new();
        encode::resource_message(&mut resource, &config.resource);
        let pipeline = Self {
            spans: Origin::new(
                Arc::clone(&shared),
                Arc::clone(&callsites),
                config.limits,
                Arc::clone(&clock),
            ),
            clock: Arc::clone(&clock),
            processing: config.processing.clone(),
            accounts: Arc::clone(&accounts),
            control: Arc::clone(&control),
            meter: Arc::clone(&meter),
            destinations: destinations
                .iter()
                .map(|destination| destination.name().to_owned())
                .collect(),
            request_sender: takes_metrics.then(|| RequestSender {
                requests: Arc::clone(&requests),
                accounts: Arc::clone(&accounts),
                shared: Arc::clone(&shared),
                sender: sender.clone(),
                destinations: (0..destinations.len()).collect(),
                resource: resource.into(),
            }),
            attribute_rules: AttributeRules::new(config.processing.clone()),
            resource: Arc::new(config.resource.clone()),
            shared,
            sender,
        };
        let parts = Parts {
            config,
            shared: Arc::clone(&pipeline.shared),
            may_wait,
            callsites,
            spool,
            destinations,
            sinks,
            log_filter,
            receiver,
            accounts,
            control,
            meter,
            clock,
            requests,
        };
        std::thread::Builder::new()
            .name("ringlight-collector".to_owned())
            .spawn(move || {
                mark_thread();
                Collector::run_thread(runtime, parts);
            })?;
        Ok(pipeline)
    }

    /// A handle to record with.
    #[must_use]
    pub fn recorder(&self) -> Recorder {
        Recorder::new(Arc::clone(&self.shared))
    }

    /// A handle to send requests with that are not made of records: those of metrics. What waits to be taken over is
    /// bounded by [`queue_bytes_max`](CollectorConfig::queue_bytes_max). `None` if no destination takes metrics.
    #[must_use]
    pub fn request_sender(&self) -> Option<RequestSender> {
        self.request_sender.clone()
    }

    /// The rules for attributes that others than the pipeline write, as those of metrics.
    #[must_use]
    pub fn attribute_rules(&self) -> AttributeRules {
        self.attribute_rules.clone()
    }

    /// What the process says about itself, by the rules.
    #[must_use]
    pub fn resource(&self) -> &Resource<'static> {
        &self.resource
    }

    /// Has destinations that are a Ringlight backend told of the spans that `source` knows to be open
    /// for long ([`CollectorConfig::open_span_after`]). There can be one source; a second one is
    /// ignored.
    pub fn report_open_spans(&self, source: Arc<dyn OpenSpanSource>) {
        if self.shared.has_collector() && self.control.send(Command::ReportOpen(source)) {
            self.sender.wake();
        }
    }

    /// A producer of spans with a ring of its own.
    ///
    /// # Errors
    /// All [`producers_max`](CollectorConfig::producers_max) rings are in use, or the pipeline has
    /// been shut down.
    pub fn register(&self) -> Result<SpanProducer, RegisterError> {
        self.spans.register()
    }

    /// The ledger of the first destination, exact at this moment.
    #[must_use]
    pub fn ledger(&self) -> LedgerSnapshot {
        self.snapshot(0)
    }

    /// The ledger of the first destination by thread, exact at this moment: its rows add up to it. There
    /// are three rows at most beside those of threads that own rings, of which there are
    /// [`producers_max`](CollectorConfig::producers_max) at most.
    #[must_use]
    pub fn ledger_by_thread(&self) -> ThreadLedger {
        if self.shared.has_collector() {
            self.accounts.by_thread(0)
        } else {
            ThreadLedger::default()
        }
    }

    /// Redacts this from now on in place of what the [base](Processing::base_redaction) of the
    /// [processing](CollectorConfig::processing) was; all other rules stay. Records that are still in the rings go by it;
    /// the resource and scopes stay as they were at the start. Rules that come back count on.
    ///
    /// # Errors
    /// There is no base, so that nobody is to change it, or the pipeline has been shut down: the redaction is handed back.
    pub fn set_base_redaction(&self, redaction: Redaction) -> Result<(), Redaction> {
        let Some(new) = self.processing.rebased(redaction.clone()) else {
            return Err(redaction);
        };
        // Made here, so that expressions are not compiled on the collector's thread.
        let _ = new.rules();
        self.attribute_rules.set_processing(new.clone());
        if !self.shared.has_collector() || !self.control.send(Command::Process(Box::new(new))) {
            return Err(redaction);
        }
        self.sender.wake();
        Ok(())
    }

    /// How often each rule of the [processing](CollectorConfig::processing) has replaced or left out something.
    #[must_use]
    pub fn processing_counts(&self) -> Vec<RuleCount> {
        self.processing.counts()
    }

    /// What observing has cost so far.
    #[must_use]
    pub fn cost(&self) -> CostSnapshot {
        if self.shared.has_collector() {
            self.meter.snapshot()
        } else {
            CostSnapshot::default()
        }
    }

    /// The clock that spans are timed by, kept by the collector's thread.
    #[must_use]
    pub fn clock(&self) -> Arc<Clock> {
        Arc::clone(&self.clock)
    }

    /// Where whoever records on the application's threads says what that takes.
    #[must_use]
    pub fn meter(&self) -> Arc<Meter> {
        Arc::clone(&self.meter)
    }

    /// The ledger of every destination, by name. The submitted records are the same for all.
    #[must_use]
    pub fn ledgers(&self) -> Vec<(String, LedgerSnapshot)> {
        self.destinations
            .iter()
            .enumerate()
            .map(|(index, name)| (name.clone(), self.snapshot(index)))
            .collect()
    }

    /// Slices that were not recorded, since there was no room: see [`Recorder::record_slice`]. They are in no ledger.
    #[must_use]
    pub fn slices_dropped(&self) -> u64 {
        self.shared.slices_dropped()
    }

    /// How every destination is sent to, by name.
    #[must_use]
    pub fn deliveries(&self) -> Vec<(String, DeliverySnapshot)> {
        let has_collector = self.shared.has_collector();
        let delivery = |index| match has_collector {
            true => self.accounts.delivery(index),
            false => DeliverySnapshot::default(),
        };
        let names = self.destinations.iter().enumerate();
        names
            .map(|(index, name)| (name.clone(), delivery(index)))
            .collect()
    }

    fn snapshot(&self, index: usize) -> LedgerSnapshot {
        if self.shared.has_collector() {
            self.accounts.snapshot(index)
        } else {
            LedgerSnapshot::default()
        }
    }

    /// Waits until everything recorded before the call has been delivered, refused or dropped at
    /// every destination, at most for `timeout`. With a [spool](CollectorConfig::spool) it is enough that
    /// records for a destination that is away, or asked for time, are on disk.
    ///
    /// Flushes share batches: while the one an earlier flush sealed is on its way, the next is sealed
    /// 100 ms after it, or after [`batch_delay`](CollectorConfig::batch_delay) where that is shorter. One
    /// whose time is up leaves nothing behind.
    ///
    /// # Errors
    /// The time was up first, the pipeline has ended, or the caller is the pipeline itself.
    pub fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        if in_pipeline() {
            return Err(FlushError::InPipeline);
        }
        if !self.shared.has_collector() {
            return Err(FlushError::Closed);
        }
        let (answer, answered) = Answer::to_thread();
        if !self.control.send(Command::Flush(answer)) {
            return Err(FlushError::Closed);
        }
        self.sender.wake();
        match answered.receiver.recv_timeout(timeout) {
            Ok(()) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => Err(FlushError::Closed),
            Err(RecvTimeoutError::Timeout) => Err(FlushError::Timeout {
                timeout,
                in_flight: self.accounts.in_flight(),
            }),
        }
    }

    /// Waits until the [sinks](RecordSink) have seen everything recorded before the call, at most for `timeout`; what
    /// becomes of it at the destinations is not waited for. Whether they have.
    pub fn show_sinks(&self, timeout: Duration) -> bool {
        if in_pipeline() || !self.shared.has_collector() {
            return false;
        }
        let (answer, answered) = Answer::to_thread();
        if !self.control.send(Command::ShowSinks(answer)) {
            return false;
        }
        self.sender.wake();
        answered.receiver.recv_timeout(timeout).is_ok()
    }

    /// As [`flush`](Self::flush), for a task, without a limit of time.
    pub(crate) async fn flushed(&self) -> Result<(), FlushError> {
        if in_pipeline() {
            return Err(FlushError::InPipeline);
        }
        let (answer, answered) = oneshot::channel();
        let is_sent =
            self.shared.has_collector() && self.control.send(Command::Flush(Answer::Task(answer)));
        if !is_sent {
            return Err(FlushError::Closed);
        }
        self.sender.wake();
        answered.await.map_err(|_| FlushError::Closed)
    }

    /// As [`shutdown`](Self::shutdown), for a task.
    pub(crate) async fn ended(&self, timeout: Duration) -> LedgerSnapshot {
        if self.shared.has_collector() {
            self.control.send(Command::Shutdown(timeout));
            // Wakes the collector, too.
            self.sender.close();
            if !in_pipeline() {
                self.control.ended().await;
            }
        }
        self.ledger()
    }

    /// The accounts of spans of the first destination under the names of the span collector.
    pub(crate) fn metrics(&self) -> CollectorMetrics {
        if self.shared.has_collector() {
            self.accounts.metrics(0)
        } else {
            CollectorMetrics::default()
        }
    }

    /// Takes no more records, delivers what there is within `timeout`, and ends. What is left then
    /// is counted as dropped.
    ///
    /// Returns by the deadline whatever the destinations do; the ledger it returns is final if the
    /// collector ended in time, which it always does unless a sink blocks. A second call waits for
    /// the end the first one set in motion, at most for its own `timeout`.
    pub fn shutdown(&self, timeout: Duration) -> LedgerSnapshot {
        if !self.shared.has_collector() {
            return self.ledger();
        }
        self.control.send(Command::Shutdown(timeout));
        // Wakes the collector, too.
        self.sender.close();
        if !in_pipeline() {
            self.control.wait_ended(timeout);
        }
        self.ledger()
    }
}

/// Threads for what blocks, at most: look-ups of names, and what exporters do there, such as writing to
/// a file. They are started when there is work for them, and end after ten seconds without.
///
/// Each request under way, of each destination for each signal, has one, and another for what a request
/// left behind when its time was up: so that those that are stuck leave some to the others. The logs of each
/// destination for each signal have one.
pub(crate) fn blocking_threads_max(
    config: &CollectorConfig,
    destinations: &[DestinationConfig],
) -> usize {
    let of = |destination: &DestinationConfig| {
        let requests = destination.settings(config).concurrent_exports_max;
        (2 * requests + 1) * Signal::ALL.len()
    };
    destinations.iter().map(of).sum::<usize>().max(1)
}

fn signals_of(destination: &DestinationConfig) -> SignalSet {
    let signals = Signal::ALL.into_iter();
    signals
        .filter(|signal| destination.takes(*signal))
        .collect()
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        if self.shared.has_collector() {
            self.control.send(Command::Shutdown(DROP_TIMEOUT));
            self.sender.close();
        }
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("destinations", &self.destinations)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flushes_that_nobody_waits_for_do_not_add_up_before_they_are_taken() {
        let control = Control::default();
        for _ in 0..100 {
            let (answer, answered) = Answer::to_thread();
            assert!(control.send(Command::Flush(answer)));
            drop(answered);
            let (answer, answered) = oneshot::channel();
            assert!(control.send(Command::Flush(Answer::Task(answer))));
            drop(answered);
        }
        let (answer, _answered) = Answer::to_thread();
        assert!(control.send(Command::Flush(answer)));
        assert!(control.send(Command::Shutdown(Duration::ZERO)));
        let taken = control.take();
        assert!(matches!(
            taken[..],
            [Command::Flush(_), Command::Shutdown(_)]
        ));
    }
}
