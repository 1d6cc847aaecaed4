//! The collector thread: drains the rings, fills batches, hands them to the destinations.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use ringlight_model::{CallsiteRegistry, DropReason, Signal};
use ringlight_otlp::encode;
use ringlight_ring::{RingReceiver, Wake};
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::accounts::{Accounts, Fate};
use crate::batch::{OpenBatch, Spare};
use crate::config::{OverflowPolicy, PipelineConfig};
use crate::destination::Destination;
use crate::encode::Encoder;
use crate::export::{BatchId, EncodedBatch, ExporterBoxed};
use crate::pipeline::{Command, Control};
use crate::record::Record;
use crate::report::Reporter;
use crate::sink::RecordSink;

/// Record bytes taken from the rings before the exporters get their turn on the thread.
const PASS_BYTES: usize = 128 * 1024;

/// Time between looks at the rings while there is something to be found; doubled with every look
/// in vain up to the second. A ring that fills up faster calls.
const LOOK_SOON: Duration = Duration::from_millis(10);
const LOOK_SELDOM: Duration = Duration::from_millis(100);

/// A batch is full when it comes this close to its limit, so that the record that fills it stays
/// below, as a rule, and its buffer does not grow for it.
const HEADROOM_PART: usize = 64;

/// How long a full queue of a destination that answers holds up the drain before its batches are
/// dropped instead.
const HOLD_MAX: Duration = Duration::from_millis(200);

/// Time of a shutdown kept for the last report, and as much again for the end after it: a part of
/// the whole, at most the second.
const CLOSING_PART: u32 = 8;
const CLOSING_MAX: Duration = Duration::from_millis(100);

/// What the collector thread is made of.
pub(crate) struct Parts {
    pub(crate) config: PipelineConfig,
    pub(crate) callsites: Arc<CallsiteRegistry>,
    pub(crate) destinations: Vec<Arc<dyn ExporterBoxed>>,
    pub(crate) sinks: Vec<Box<dyn RecordSink>>,
    pub(crate) receiver: RingReceiver,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) control: Arc<Control>,
}

/// Ends the pipeline for whoever waits, however the thread ends.
struct End {
    accounts: Arc<Accounts>,
    control: Arc<Control>,
}

impl Drop for End {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.accounts.write_off();
        }
        self.control.end();
    }
}

pub(crate) struct Collector {
    receiver: RingReceiver,
    wake: Wake,
    control: Arc<Control>,
    settled: Arc<Notify>,
    inbox: Inbox,
    flushes: Vec<Flush>,
    leaving: Option<Leaving>,
    look_after: Duration,
    /// Bytes all rings hold together when they are full.
    rings_bytes: usize,
}

/// A flush on its way through: rings, then batches, then destinations.
struct Flush {
    answer: SyncSender<()>,
    /// Record bytes drained since it was asked for.
    drained_bytes: usize,
    /// Once the rings are through: the last batch that matters.
    up_to: Option<u64>,
}

struct Leaving {
    /// When what is left is dropped.
    deadline: Instant,
    /// When the thread ends.
    end: Instant,
    rings_are_empty: bool,
}

impl Collector {
    /// Runs the pipeline until it is shut down.
    pub(crate) fn run_thread(runtime: Runtime, parts: Parts) {
        let end = End {
            accounts: Arc::clone(&parts.accounts),
            control: Arc::clone(&parts.control),
        };
        runtime.block_on(async {
            let settled = Arc::new(Notify::new());
            let destinations: Vec<_> = (0..)
                .zip(&parts.destinations)
                .map(|(index, exporter)| {
                    Arc::new(Destination::new(
                        index,
                        Arc::clone(exporter),
                        Arc::clone(&parts.accounts),
                        &parts.config,
                        Arc::clone(&settled),
                    ))
                })
                .collect();
            let mut tasks = JoinSet::new();
            for destination in &destinations {
                for _ in 0..parts.config.concurrent_exports_max {
                    tasks.spawn(Arc::clone(destination).work());
                }
            }
            let reporter = Reporter::new(&parts.config, Arc::clone(&parts.accounts));
            let reports: Vec<_> = (0..)
                .zip(&destinations)
                .map(|(index, destination)| reporter.of(index, destination))
                .collect();
            for report in &reports {
                tasks.spawn(Arc::clone(report).run());
            }
            let mut collector = Self::new(parts, destinations, settled);
            let closing = collector.run().await;
            tasks.shutdown().await;
            collector.abandon();
            let last: JoinSet<_> = reports.into_iter().map(|r| r.finish(closing)).collect();
            last.join_all().await;
            collector.inbox.flush_sinks();
        });
        // A name lookup that hangs must not hold up the end.
        runtime.shutdown_background();
        drop(end);
    }

    fn new(parts: Parts, destinations: Vec<Arc<Destination>>, settled: Arc<Notify>) -> Self {
        let config = parts.config;
        let rings_bytes = config.ring_bytes() * (config.producers_max + 1);
        Self {
            wake: parts.receiver.wake_handle(),
            receiver: parts.receiver,
            control: parts.control,
            settled,
            flushes: Vec::new(),
            leaving: None,
            look_after: LOOK_SOON,
            rings_bytes,
            inbox: Inbox::new(
                config,
                parts.callsites,
                destinations,
                parts.sinks,
                parts.accounts,
            ),
        }
    }

    /// Returns when the last report has to be done.
    async fn run(&mut self) -> Instant {
        loop {
            self.take_commands();
            let now = Instant::now();
            let may_drain = self.inbox.offer(now, self.leaving.is_some());
            let more = may_drain && self.drain(now);
            self.inbox.seal_due(now);
            self.inbox.offer(now, self.leaving.is_some());
            self.answer_flushes();
            if let Some(leaving) = &self.leaving {
                let is_done = leaving.rings_are_empty && self.inbox.is_settled();
                if is_done || now >= leaving.deadline {
                    return leaving.end;
                }
            }
            if more && self.inbox.sealed.is_empty() {
                tokio::task::yield_now().await;
            } else {
                self.inbox.flush_sinks();
                self.wait(now).await;
            }
        }
    }

    fn take_commands(&mut self) {
        for command in self.control.take() {
            match command {
                Command::Flush(answer) => self.flushes.push(Flush {
                    answer,
                    drained_bytes: 0,
                    up_to: None,
                }),
                Command::Shutdown(timeout) if self.leaving.is_none() => self.leave(timeout),
                // The first one has set the deadline.
                Command::Shutdown(_) => {}
            }
        }
    }

    fn leave(&mut self, timeout: Duration) {
        let now = Instant::now();
        // No clock expresses it: a year stands for "as long as it takes".
        let timeout = timeout.min(Duration::from_secs(365 * 24 * 3600));
        let closing = (timeout / CLOSING_PART).min(CLOSING_MAX);
        let deadline = now + (timeout - 2 * closing);
        self.leaving = Some(Leaving {
            deadline,
            end: now + (timeout - closing),
            rings_are_empty: false,
        });
        self.receiver.sender().close();
        for destination in &self.inbox.destinations {
            destination.leave(deadline);
        }
    }

    /// One pass over the rings; whether there is more to be had at once.
    fn drain(&mut self, now: Instant) -> bool {
        let inbox = &mut self.inbox;
        let drained = self
            .receiver
            .drain(PASS_BYTES, |bytes| inbox.take(bytes, now));
        inbox.post();
        self.look_after = if drained.records > 0 {
            LOOK_SOON
        } else {
            (self.look_after * 2).min(LOOK_SELDOM)
        };
        let is_through =
            |flush: &Flush| !drained.more || flush.drained_bytes > 2 * self.rings_bytes;
        let mut seal = false;
        for flush in &mut self.flushes {
            flush.drained_bytes = flush.drained_bytes.saturating_add(drained.bytes);
            if flush.up_to.is_none() && is_through(flush) {
                seal = true;
                flush.up_to = Some(0);
            }
        }
        if let Some(leaving) = &mut self.leaving
            && !drained.more
            && !leaving.rings_are_empty
        {
            leaving.rings_are_empty = true;
            seal = true;
        }
        if seal {
            self.inbox.seal_all();
            let last = self.inbox.sequence;
            for flush in &mut self.flushes {
                if flush.up_to == Some(0) {
                    flush.up_to = Some(last);
                }
            }
        }
        drained.more
    }

    /// Counts everything that is left, wherever it is, as dropped. The workers have ended.
    fn abandon(&mut self) {
        let inbox = &mut self.inbox;
        inbox.abandon();
        // The rings are closed, so this sees all there will ever be.
        let mut left = [0; LANES.len()];
        self.receiver
            .drain(usize::MAX, |bytes| left[lane_of(bytes)] += 1);
        for (signal, records) in LANES.into_iter().zip(left) {
            inbox.accounts.drained(signal, records);
            let fate = Fate::Dropped(DropReason::Shutdown);
            inbox.accounts.settle_batch(signal, records, fate);
        }
        for destination in &inbox.destinations {
            destination.abandon();
        }
    }

    fn answer_flushes(&mut self) {
        if self.flushes.is_empty() {
            return;
        }
        let inbox = &mut self.inbox;
        let is_done = |flush: &Flush| {
            flush
                .up_to
                .is_some_and(|sequence| inbox.is_settled_up_to(sequence))
        };
        if !self.flushes.iter().any(is_done) {
            return;
        }
        inbox.flush_sinks();
        self.flushes.retain(|flush| {
            let done = flush
                .up_to
                .is_some_and(|sequence| inbox.is_settled_up_to(sequence));
            if done {
                // Whoever gave up waiting does not hear it.
                let _ = flush.answer.try_send(());
            }
            !done
        });
    }

    async fn wait(&self, now: Instant) {
        let is_held = !self.inbox.sealed.is_empty();
        // While a flush or the end waits for the rings, they are looked at without delay.
        let waits_for_rings = !is_held
            && (self.flushes.iter().any(|flush| flush.up_to.is_none())
                || self.leaving.as_ref().is_some_and(|l| !l.rings_are_empty));
        if waits_for_rings {
            tokio::task::yield_now().await;
            return;
        }
        let mut until = now + self.look_after;
        if let Some(due) = self.inbox.next_due()
            && !is_held
        {
            until = until.min(due);
        }
        if let Some(leaving) = &self.leaving {
            until = until.min(leaving.deadline);
        }
        tokio::select! {
            () = self.wake.notified() => {}
            () = self.settled.notified() => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }
}

/// Everything a drained record goes through on the collector thread.
struct Inbox {
    accounts: Arc<Accounts>,
    destinations: Vec<Arc<Destination>>,
    sinks: Vec<Box<dyn RecordSink>>,
    callsites: Arc<CallsiteRegistry>,
    encoder: Encoder,
    /// Open batches of traces and of logs.
    open: [OpenBatch; 2],
    /// Batches the destinations have no room for at the moment. While there are any, nothing is
    /// drained, so there are never more than one pass over the rings makes.
    sealed: VecDeque<EncodedBatch>,
    held_since: Option<Instant>,
    /// Records drained and not yet in the books, of traces and of logs.
    unposted: [u64; 2],
    spare: Spare,
    resource: Vec<u8>,
    instance: Arc<str>,
    /// Sequence number of the batch sealed last; the first one has 1.
    sequence: u64,
    sinks_are_dirty: bool,
    policy: OverflowPolicy,
    batch_records_max: usize,
    batch_bytes_max: usize,
    batch_delay: Duration,
}

/// The signals that come through rings, by the index of their open batch.
const LANES: [Signal; 2] = [Signal::Traces, Signal::Logs];

/// The lane of a record by its first byte, which tells a span. Whatever else it may be is booked as
/// a log record.
fn lane_of(bytes: &[u8]) -> usize {
    usize::from(bytes.first() != Some(&1))
}

impl Inbox {
    fn new(
        config: PipelineConfig,
        callsites: Arc<CallsiteRegistry>,
        destinations: Vec<Arc<Destination>>,
        sinks: Vec<Box<dyn RecordSink>>,
        accounts: Arc<Accounts>,
    ) -> Self {
        let mut resource = Vec::new();
        encode::resource_message(&mut resource, &config.resource);
        let instance = match config.resource.text("service.instance.id") {
            Some(id) if !id.is_empty() => Arc::from(id),
            _ => Arc::from(format!("{:032x}", fastrand::u128(..)).as_str()),
        };
        Self {
            accounts,
            destinations,
            sinks,
            encoder: Encoder::new(
                Arc::clone(&callsites),
                config.limits,
                config.source_location,
            ),
            callsites,
            open: [OpenBatch::new(), OpenBatch::new()],
            sealed: VecDeque::new(),
            held_since: None,
            unposted: [0; 2],
            spare: Spare::new(config.queue_bytes_max),
            resource,
            instance,
            sequence: 0,
            sinks_are_dirty: false,
            policy: config.policy,
            batch_records_max: config.batch_records_max,
            batch_bytes_max: config.batch_bytes_max - config.batch_bytes_max / HEADROOM_PART,
            batch_delay: config.batch_delay,
        }
    }

    /// One record out of a ring.
    #[inline]
    fn take(&mut self, bytes: &[u8], now: Instant) {
        let Ok(record) = Record::parse(bytes) else {
            return self.malformed(lane_of(bytes));
        };
        if !self.sinks.is_empty() {
            self.show(&record);
        }
        let lane = match record {
            Record::Span(_) => 0,
            Record::Log(_) => 1,
        };
        if self.destinations.is_empty() {
            self.unposted[lane] += 1;
            return;
        }
        let Ok(callsite) = self.encoder.callsite(record.callsite()) else {
            return self.malformed(lane);
        };
        self.unposted[lane] += 1;
        let encoder = &mut self.encoder;
        let batch = &mut self.open[lane];
        let scope = encoder.scope_index(callsite);
        batch.add(scope, now, |buf| match &record {
            Record::Span(span) => encoder.span(buf, callsite, span),
            Record::Log(log) => encoder.log(buf, callsite, log),
        });
        let is_full = batch.bytes() >= self.batch_bytes_max
            || batch.records() as usize >= self.batch_records_max;
        if is_full {
            self.seal(lane);
        }
    }

    fn show(&mut self, record: &Record<'_>) {
        self.sinks_are_dirty = true;
        let callsites = &self.callsites;
        // A sink that panics is not shown anything again.
        self.sinks.retain_mut(|sink| {
            catch_unwind(AssertUnwindSafe(|| sink.record(record, callsites))).is_ok()
        });
    }

    #[cold]
    fn malformed(&mut self, lane: usize) {
        self.accounts.drained(LANES[lane], 1);
        let fate = Fate::Dropped(DropReason::Malformed);
        self.accounts.settle_batch(LANES[lane], 1, fate);
    }

    /// Books what was drained since the last time.
    fn post(&mut self) {
        for (lane, signal) in LANES.into_iter().enumerate() {
            let records = std::mem::take(&mut self.unposted[lane]);
            if records == 0 {
                continue;
            }
            self.accounts.drained(signal, records);
            if self.destinations.is_empty() {
                let fate = Fate::Delivered { rejected: 0 };
                self.accounts.settle_batch(signal, records, fate);
            }
        }
    }

    fn seal(&mut self, lane: usize) {
        let records = self.open[lane].records();
        if records == 0 {
            return;
        }
        self.post();
        self.sequence += 1;
        let bytes = self.open[lane].seal(&self.resource, &self.encoder, &self.spare);
        self.sealed.push_back(EncodedBatch {
            signal: LANES[lane],
            bytes,
            records,
            id: BatchId::new(Arc::clone(&self.instance), self.sequence),
        });
    }

    fn seal_all(&mut self) {
        self.seal(0);
        self.seal(1);
    }

    /// Drops what has not been handed over.
    fn abandon(&mut self) {
        self.post();
        let fate = Fate::Dropped(DropReason::Shutdown);
        for batch in self.sealed.drain(..) {
            let records = u64::from(batch.records);
            self.accounts.settle_batch(batch.signal, records, fate);
        }
        for (lane, signal) in LANES.into_iter().enumerate() {
            let records = u64::from(self.open[lane].records());
            self.open[lane] = OpenBatch::new();
            self.accounts.settle_batch(signal, records, fate);
        }
    }

    /// Seals what has waited long enough, unless there is nowhere to put it.
    fn seal_due(&mut self, now: Instant) {
        if !self.sealed.is_empty() {
            return;
        }
        for lane in 0..LANES.len() {
            let is_due = self.open[lane]
                .oldest()
                .is_some_and(|oldest| now >= oldest + self.batch_delay);
            if is_due {
                self.seal(lane);
            }
        }
    }

    fn next_due(&self) -> Option<Instant> {
        let oldest = self.open.iter().filter_map(OpenBatch::oldest).min()?;
        Some(oldest + self.batch_delay)
    }

    /// Hands sealed batches to the destinations. Whether all are gone, so that draining may go on.
    ///
    /// A destination that answers but has no room holds everything up for a moment, since the
    /// rings have room; with a blocking policy, and at the end, for as long as it takes.
    fn offer(&mut self, now: Instant, is_leaving: bool) -> bool {
        let waits = is_leaving || self.policy != OverflowPolicy::Drop;
        while let Some(front) = self.sealed.front() {
            let bytes = front.bytes.len();
            let is_full = |d: &&Arc<Destination>| !d.has_room(bytes) && (waits || d.is_lively());
            if self.destinations.iter().any(|d| is_full(&d)) {
                let since = *self.held_since.get_or_insert(now);
                if waits || now < since + HOLD_MAX {
                    return false;
                }
                for destination in self.destinations.iter().filter(is_full) {
                    destination.set_stalled();
                }
            }
            self.held_since = None;
            if let Some(batch) = self.sealed.pop_front() {
                for destination in &self.destinations {
                    destination.push(batch.clone());
                }
            }
        }
        true
    }

    fn is_settled(&self) -> bool {
        self.is_settled_up_to(self.sequence)
    }

    fn is_settled_up_to(&self, sequence: u64) -> bool {
        let is_handed_over = self
            .sealed
            .front()
            .is_none_or(|batch| batch.id.sequence() > sequence);
        is_handed_over
            && self
                .destinations
                .iter()
                .all(|destination| destination.is_settled_up_to(sequence))
    }

    fn flush_sinks(&mut self) {
        if std::mem::take(&mut self.sinks_are_dirty) {
            self.sinks
                .retain_mut(|sink| catch_unwind(AssertUnwindSafe(|| sink.flush())).is_ok());
        }
    }
}
