//! Passes on requests that others have made: what a backend received, on its way to the next one.
//!
//! A relay is a pipeline without rings. Requests of one signal are joined into batches, as far as protobuf lets two requests be one
//! by writing them one after the other; from there on everything is as in a pipeline.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use ringlight_model::{DeliverySnapshot, DropReason, LedgerSnapshot, Signal};
use ringlight_ring::RingReceiver;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::accounts::{Accounts, Fate, SignalSet};
use crate::batch_processor::BatchIds;
use crate::config::CollectorConfig;
use crate::control::{Command, Control};
use crate::deadlines::Deadlines;
use crate::destination::{Destination, Shared as OfPipeline};
use crate::destination_config::DestinationConfig;
use crate::export::EncodedBatch;
use crate::inbox::HOLD_MAX;
use crate::mark::mark_thread;
use crate::meter::Meter;
use crate::pipeline::StartError;
use crate::spool::SpoolConfig;
use crate::sync::unpoisoned;
use crate::thread::{self, End, blocking_threads_max};
use crate::wait::sleep_until;

/// How long a relay that is dropped without a shutdown goes on in the background.
const DROP_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends the export requests it is given to a destination, through the same queue, retries and spool as a
/// [`Pipeline`](crate::Pipeline), and accounts for every record.
///
/// Its thread, named `ringlight-relay`, has a small runtime of its own. All methods may be called from any thread. What it
/// holds in memory is bounded by [`queue_bytes_max`](CollectorConfig::queue_bytes_max), once for what waits
/// to be batched and once for the destination; a request that is larger is taken where there is no other.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use ringlight_collector::{CollectorConfig, DestinationConfig, ExporterBoxed, Relay};
/// use ringlight_model::Signal;
///
/// # fn example(exporter: Arc<dyn ExporterBoxed>, request: &[u8]) -> Result<(), ringlight_collector::StartError> {
/// let relay = Relay::start(CollectorConfig::default(), DestinationConfig::new(exporter))?;
/// relay.pass_on(Signal::Traces, request);
/// let ledger = relay.shutdown(Duration::from_secs(5));
/// assert!(ledger.balances());
/// # Ok(())
/// # }
/// ```
pub struct Relay {
    shared: Arc<Shared>,
    accounts: Arc<Accounts>,
    control: Arc<Control>,
    name: String,
    /// What the destination has a place for.
    takes: SignalSet,
    // Nothing comes through it; the books count what does.
    _rings: RingReceiver,
}

/// What the relay's thread and those who give it something share.
struct Shared {
    inbox: Mutex<Inbox>,
    /// There is something to be looked at.
    changed: Notify,
    batch_bytes_max: usize,
    queue_bytes_max: usize,
}

/// Requests that no destination has yet.
struct Inbox {
    open: [Open; Signal::ALL.len()],
    sealed: VecDeque<EncodedBatch>,
    /// Bytes of all of them.
    held_bytes: usize,
    ids: BatchIds,
    is_closed: bool,
}

/// The batch of one signal that is being filled.
#[derive(Default)]
struct Open {
    bytes: Vec<u8>,
    records: u32,
    oldest: Option<Instant>,
    /// It is full with as many.
    bytes_max: usize,
}

impl Relay {
    /// Starts the thread. Connects to nothing: a destination that is not there does not delay or fail the start.
    ///
    /// Of the settings, those of batches, destinations, spool and notices apply. A filter of the destination does not: requests
    /// are passed on whole.
    ///
    /// # Errors
    /// A setting is out of range, the spool's directory cannot be used, or the system has no thread to give.
    pub fn start(
        config: CollectorConfig,
        destination: DestinationConfig,
    ) -> Result<Self, StartError> {
        config.validate()?;
        destination.validate(&config)?;
        let threads = blocking_threads_max(&config, std::slice::from_ref(&destination));
        // Before the runtime is made, which cannot be dropped where this is called from async code.
        let (relay, passing) = Self::new(config, destination)?;
        let runtime = thread::runtime(threads)?;
        std::thread::Builder::new()
            .name("ringlight-relay".to_owned())
            .spawn(move || {
                mark_thread();
                passing.run_thread(runtime);
            })?;
        Ok(relay)
    }

    /// A relay with settings that are valid, and what is to run on its thread.
    pub(crate) fn new(
        config: CollectorConfig,
        destination: DestinationConfig,
    ) -> Result<(Self, Passing), StartError> {
        let spool = config.spool.as_ref().map(SpoolConfig::open).transpose()?;
        let (sender, receiver) = config.channel()?;
        let signals = Signal::ALL.into_iter();
        let takes: SignalSet = signals.filter(|s| destination.takes(*s)).collect();
        let accounts = Arc::new(Accounts::new(sender.clone(), [takes]));
        let control = Arc::new(Control::default());
        let shared = Arc::new(Shared {
            inbox: Mutex::new(Inbox::new(config.batch_bytes_max)),
            changed: Notify::new(),
            batch_bytes_max: config.batch_bytes_max,
            queue_bytes_max: destination.settings(&config).queue_bytes_max,
        });
        let relay = Self {
            shared: Arc::clone(&shared),
            accounts: Arc::clone(&accounts),
            control: Arc::clone(&control),
            name: destination.name().to_owned(),
            takes,
            _rings: receiver,
        };
        let settled = Arc::new(Notify::new());
        let destinations = Destination::all(
            &[destination],
            &config,
            spool.as_ref(),
            &Signal::ALL,
            &OfPipeline {
                accounts: &accounts,
                meter: &Meter::new(sender, config.governor.clone()),
                notices: &config.notices,
                settled: &settled,
            },
        );
        let passing = Passing {
            shared,
            accounts,
            control,
            destinations,
            settled,
            delay: config.batch_delay,
            has_spool: spool.is_some(),
            held_since: None,
            leaving: None,
        };
        Ok((relay, passing))
    }

    /// Passes an `Export*ServiceRequest` on, in protobuf. Never waits: where there is no room its records are dropped
    /// and counted, as they are after the shutdown. What does not decode, or has no records, is left out, and so is a signal
    /// that the destination does not take: it is in no ledger.
    pub fn pass_on(&self, signal: Signal, request: &[u8]) {
        if !self.takes.contains(signal) {
            return;
        }
        let records = ringlight_otlp::items(signal, request).unwrap_or(0);
        if records == 0 {
            return;
        }
        self.accounts.received(signal, records.into());
        let mut inbox = self.shared.inbox();
        let is_full =
            inbox.held_bytes > 0 && inbox.held_bytes + request.len() > self.shared.queue_bytes_max;
        if inbox.is_closed || is_full {
            let reason = if inbox.is_closed {
                DropReason::Closed
            } else {
                DropReason::QueueFull
            };
            drop(inbox);
            let fate = Fate::Dropped(reason);
            self.accounts
                .settle_batch(&[0], signal, records.into(), fate);
            return;
        }
        inbox.add(signal, request, records);
        drop(inbox);
        self.shared.changed.notify_one();
    }

    /// What became of every record so far. It balances at every moment. Records are spans, log records, data points
    /// of metrics, and profiles.
    #[must_use]
    pub fn ledger(&self) -> LedgerSnapshot {
        self.accounts.snapshot(0)
    }

    /// How the destination is sent to.
    #[must_use]
    pub fn delivery(&self) -> DeliverySnapshot {
        self.accounts.delivery(0)
    }

    /// The name of the destination.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes no more requests, delivers what there is within `timeout`, and ends. What is left then is on disk, where there
    /// is a spool, or is counted as dropped. Returns by the deadline.
    pub fn shutdown(&self, timeout: Duration) -> LedgerSnapshot {
        self.end(timeout);
        self.control.wait_ended(timeout);
        self.ledger()
    }

    /// Begins the end, and does not wait for it.
    pub(crate) fn end(&self, timeout: Duration) {
        self.shared.inbox().is_closed = true;
        self.control.send(Command::Shutdown(timeout));
        self.shared.changed.notify_one();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.end(DROP_TIMEOUT);
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Relay").field(&self.name).finish()
    }
}

impl Shared {
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        unpoisoned(self.inbox.lock())
    }
}

impl Inbox {
    fn new(bytes_max: usize) -> Self {
        let open = |_| Open {
            bytes_max,
            ..Open::default()
        };
        Self {
            open: std::array::from_fn(open),
            sealed: VecDeque::new(),
            held_bytes: 0,
            ids: BatchIds::new(),
            is_closed: false,
        }
    }

    fn add(&mut self, signal: Signal, request: &[u8], records: u32) {
        let open = &self.open[signal as usize];
        if open.bytes.len() + request.len() > open.bytes_max {
            self.seal(signal);
        }
        self.held_bytes += request.len();
        let open = &mut self.open[signal as usize];
        open.bytes.extend_from_slice(request);
        open.records += records;
        open.oldest.get_or_insert_with(Instant::now);
        // The profiles of a request share a dictionary, and no request can have two.
        if open.bytes.len() >= open.bytes_max || signal == Signal::Profiles {
            self.seal(signal);
        }
    }

    fn seal(&mut self, signal: Signal) {
        let open = &mut self.open[signal as usize];
        open.oldest = None;
        let (bytes, records) = (std::mem::take(&mut open.bytes), open.records);
        open.records = 0;
        if records > 0 {
            self.sealed.push_back(EncodedBatch {
                signal,
                bytes: Bytes::from(bytes),
                records,
                id: self.ids.next(),
            });
        }
    }

    fn take(&mut self, at: usize) -> Option<EncodedBatch> {
        let batch = self.sealed.remove(at)?;
        self.held_bytes -= batch.bytes.len();
        Some(batch)
    }
}

/// The relay on its thread.
pub(crate) struct Passing {
    shared: Arc<Shared>,
    accounts: Arc<Accounts>,
    control: Arc<Control>,
    /// One for every place of the exporter.
    destinations: Vec<Arc<Destination>>,
    settled: Arc<Notify>,
    delay: Duration,
    has_spool: bool,
    /// Since when the first sealed batch has no room.
    held_since: Option<Instant>,
    leaving: Option<Deadlines>,
}

impl Passing {
    fn run_thread(mut self, runtime: Runtime) {
        let end = End {
            accounts: Arc::clone(&self.accounts),
            control: Arc::clone(&self.control),
        };
        runtime.block_on(self.run_all());
        runtime.shutdown_background();
        drop(end);
    }

    /// Returns when the relay has ended.
    pub(crate) async fn run_all(&mut self) {
        let mut workers = JoinSet::new();
        let mut keepers = JoinSet::new();
        for destination in &self.destinations {
            let kept = Arc::clone(destination);
            keepers.spawn(async move { kept.keep().await });
            for _ in 0..destination.concurrent_exports_max() {
                workers.spawn(Arc::clone(destination).work());
            }
        }
        self.run().await;
        workers.shutdown().await;
        self.end(keepers).await;
    }

    /// Returns when everything has left, or the time for that is up.
    async fn run(&mut self) {
        loop {
            for command in self.control.take() {
                if let Command::Shutdown(timeout) = command
                    && self.leaving.is_none()
                {
                    self.leave(timeout);
                }
            }
            let now = Instant::now();
            self.seal(now);
            self.offer(now);
            if let Some(until) = &self.leaving
                && (now >= until.sent || self.is_settled())
            {
                return;
            }
            self.wait(now).await;
        }
    }

    fn leave(&mut self, timeout: Duration) {
        let until = Deadlines::new(timeout, self.has_spool);
        self.leaving = Some(until);
        for destination in &self.destinations {
            destination.leave(&until);
        }
    }

    fn of(&self, signal: Signal) -> Option<&Arc<Destination>> {
        self.destinations.iter().find(|d| d.takes(signal))
    }

    /// When the open batch of a signal is to be sealed: as in a pipeline, not while it would only wait behind another.
    fn due(&self, inbox: &Inbox, signal: Signal) -> Option<Instant> {
        let oldest = inbox.open[signal as usize].oldest?;
        let is_ready = self.of(signal).is_none_or(|d| d.is_ready());
        is_ready.then_some(oldest + self.delay)
    }

    /// Seals what is due, or everything at the end.
    fn seal(&self, now: Instant) {
        let mut inbox = self.shared.inbox();
        for signal in Signal::ALL {
            if let Some(destination) = self.of(signal) {
                let bytes_max = destination.batch_bytes().min(self.shared.batch_bytes_max);
                inbox.open[signal as usize].bytes_max = bytes_max;
            }
            let is_due = self.due(&inbox, signal).is_some_and(|due| now >= due);
            if is_due || self.leaving.is_some() {
                inbox.seal(signal);
            }
        }
    }

    /// Hands sealed batches to the destination. One that answers but has no room is waited for a moment, since there is
    /// room here; at the end for as long as there is time, which holds up no other place.
    fn offer(&mut self, now: Instant) {
        let waits = self.leaving.is_some();
        let mut at = 0;
        loop {
            let mut inbox = self.shared.inbox();
            let Some(batch) = inbox.sealed.get(at) else {
                return;
            };
            let (signal, bytes) = (batch.signal, batch.bytes.len());
            let Some(destination) = self.of(signal).cloned() else {
                // It is not for here, and nothing like it is let in.
                inbox.take(at);
                continue;
            };
            if !destination.has_room(bytes) && (waits || destination.is_lively()) {
                if waits {
                    at += 1;
                    continue;
                }
                let since = *self.held_since.get_or_insert(now);
                if now < since + HOLD_MAX {
                    return;
                }
                destination.set_stalled();
            }
            let batch = inbox.take(at);
            drop(inbox);
            self.held_since = None;
            if let Some(batch) = batch {
                destination.push(batch);
            }
        }
    }

    fn is_settled(&self) -> bool {
        let inbox = self.shared.inbox();
        let is_empty = inbox.sealed.is_empty() && inbox.open.iter().all(|open| open.records == 0);
        let last = inbox.ids.last_sequence();
        drop(inbox);
        let is_settled = |d: &Arc<Destination>| d.is_settled_up_to(last) && !d.awaits_backlog();
        is_empty && self.destinations.iter().all(is_settled)
    }

    async fn wait(&self, now: Instant) {
        let due = {
            let inbox = self.shared.inbox();
            let due = |signal| self.due(&inbox, signal);
            Signal::ALL.into_iter().filter_map(due).min()
        };
        let hold = self.held_since.map(|since| since + HOLD_MAX);
        // A batch that has no room wakes nobody when its turn to be dropped comes.
        let hold = hold.filter(|until| *until > now);
        let sent = self.leaving.and_then(|until| until.next(now));
        let until = [due, hold, sent].into_iter().flatten().min();
        tokio::select! {
            () = self.shared.changed.notified() => {}
            () = self.settled.notified() => {}
            () = sleep_until(until) => {}
        }
    }

    /// What is left goes to disk as far as there is a spool and time, and is dropped otherwise. The workers have ended.
    async fn end(&self, mut keepers: JoinSet<()>) {
        let sealed = {
            let mut inbox = self.shared.inbox();
            Signal::ALL
                .into_iter()
                .for_each(|signal| inbox.seal(signal));
            inbox.held_bytes = 0;
            std::mem::take(&mut inbox.sealed)
        };
        for batch in sealed {
            if let Some(destination) = self.of(batch.signal) {
                destination.push_last(batch);
            }
        }
        for destination in &self.destinations {
            destination.end_keeping();
        }
        if let Some(until) = &self.leaving {
            let ended = async { while keepers.join_next().await.is_some() {} };
            let _ = tokio::time::timeout_at(until.spooled, ended).await;
        }
        keepers.shutdown().await;
        for destination in &self.destinations {
            destination.abandon();
            destination.tell_refused();
        }
        self.accounts.close();
    }
}
