//! The collector thread: drains the rings, fills batches, hands them to the destinations.

use std::sync::Arc;
use std::time::Duration;

use ringlight_clock::Clock;
use ringlight_model::{CallsiteRegistry, Signal};
use ringlight_ring::{Drained, RingReceiver, Visited, Wake};
use ringlight_spool::Spool;
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::accounts::Accounts;
use crate::batch_processor::{BatchIds, BatchProcessor, LANES};
use crate::config::CollectorConfig;
use crate::control::{Command, Control};
use crate::deadlines::Deadlines;
use crate::destination::{BY_PIPELINE, Destination, Shared as OfPipeline};
use crate::destination_config::DestinationConfig;
use crate::inbox::{Inbox, lane_of};
use crate::meter::Meter;
use crate::open_spans::OpenReports;
use crate::record::is_for_sinks;
use crate::report::{Reporter, Reports};
use crate::requests::Requests;
use crate::sink::{LogFilter, RecordSink};
use crate::stream::{Stream, Streams};
use crate::submit::Shared;
use crate::thread::End;
use crate::wait::sleep_until;

mod flushes;
#[cfg(test)]
mod tests;
mod watch;

use flushes::Flushes;
use watch::{COST_LOOK, Drops, Watch};

/// Record bytes taken from the rings before the exporters get their turn on the thread.
const PASS_BYTES: usize = 128 * 1024;

/// Looks at the rings are up to this many times as often as `drain_interval` says.
const LOOK_SOON_PART: u32 = 8;

/// The part of a ring that is to come together between two looks, as far as their bounds allow: each look wakes a thread
/// whose caches are cold, and much that has waited in a ring is in no cache any more. A ring that fills up faster calls.
const LOOK_RING_PART: usize = 8;

/// The part of the batch delay that is counted for the time in rings that do not empty, at most. The
/// rest is left to the batch, else each pass of a flood would send by itself what it found.
const BACKLOG_PART: u32 = 2;

/// After a silence of so many of the longest times between looks, about a second, the collector looks
/// no more but asks the producers to call with their next record. A call is a system call on a thread
/// of the application, which is why it is not asked for at once.
const SILENCE_LOOKS: u32 = 10;

/// What the collector thread is made of.
pub(crate) struct Parts {
    pub(crate) config: CollectorConfig,
    pub(crate) shared: Arc<Shared>,
    /// Whether producers may wait for room.
    pub(crate) may_wait: bool,
    pub(crate) callsites: Arc<CallsiteRegistry>,
    pub(crate) spool: Option<Spool>,
    pub(crate) destinations: Vec<DestinationConfig>,
    pub(crate) sinks: Vec<Box<dyn RecordSink>>,
    pub(crate) log_filter: Option<Box<dyn LogFilter>>,
    pub(crate) receiver: RingReceiver,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) control: Arc<Control>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) requests: Arc<Requests>,
}

pub(crate) struct Collector {
    receiver: RingReceiver,
    wake: Wake,
    control: Arc<Control>,
    settled: Arc<Notify>,
    reports: Vec<Arc<Reports>>,
    open_reports: Arc<OpenReports>,
    inbox: Inbox,
    flushes: Flushes,
    leaving: Option<Leaving>,
    /// The shortest and the longest time between looks.
    look_soon: Duration,
    look_seldom: Duration,
    /// What is to come together between two looks.
    look_bytes: u64,
    /// What was found since `paced_at`, when it was last reckoned how fast rings fill.
    found_bytes: u64,
    paced_at: Instant,
    /// Time until the next look at the rings.
    look_after: Duration,
    /// When there last was a record.
    found_at: Instant,
    /// From when the delay of the records in the rings is counted: the last look that left none, or the
    /// last time nothing could be there, though with a backlog at most `backlog_max` before the last
    /// look.
    looked_at: Instant,
    backlog_max: Duration,
    drops: Drops,
    watch: Watch,
    meter: Arc<Meter>,
    clock: Arc<Clock>,
    /// Bytes all rings hold together when they are full.
    rings_bytes: usize,
    has_spool: bool,
}

struct Leaving {
    until: Deadlines,
    rings_are_empty: bool,
}

impl Collector {
    /// Runs the pipeline until it is shut down.
    pub(crate) fn run_thread(runtime: Runtime, parts: Parts) {
        let end = End {
            accounts: Arc::clone(&parts.accounts),
            control: Arc::clone(&parts.control),
        };
        runtime.block_on(Self::run_all(parts));
        // A name lookup that hangs must not hold up the end.
        runtime.shutdown_background();
        drop(end);
    }

    /// Everything that goes on on the thread, from the start to the end.
    async fn run_all(parts: Parts) {
        let settled = Arc::new(Notify::new());
        let destinations = Destination::all(
            &parts.destinations,
            &parts.config,
            parts.spool.as_ref(),
            BY_PIPELINE,
            &OfPipeline {
                accounts: &parts.accounts,
                meter: &parts.meter,
                notices: &parts.config.notices,
                settled: &settled,
            },
        );
        let mut tasks = JoinSet::new();
        let mut keepers = JoinSet::new();
        for destination in &destinations {
            let destination_kept = Arc::clone(destination);
            keepers.spawn(async move { destination_kept.keep().await });
            for _ in 0..destination.concurrent_exports_max() {
                tasks.spawn(Arc::clone(destination).work());
            }
        }
        let meter = Arc::clone(&parts.meter);
        let callsites = Arc::clone(&parts.callsites);
        let open = OpenReports::new(&parts.config, callsites, &destinations);
        let reporter = Reporter::new(&parts.config, Arc::clone(&parts.accounts), meter);
        let reports: Vec<_> = destinations
            .iter()
            .filter(|destination| destination.takes(Signal::Metrics))
            .map(|destination| reporter.of(destination))
            .collect();
        for report in &reports {
            tasks.spawn(Arc::clone(report).run());
        }
        let open = Arc::new(open);
        tasks.spawn(Arc::clone(&open).run());
        let reporting = (reports.clone(), Arc::clone(&open));
        let mut collector = Self::new(parts, destinations, settled, reporting);
        let closing = collector.run().await;
        tasks.shutdown().await;
        collector.keep_rest(keepers).await;
        collector.abandon();
        collector.note_cost();
        let mut last: JoinSet<_> = reports.into_iter().map(|r| r.finish(closing)).collect();
        last.spawn(open.finish(closing));
        // An exporter that panics fails for itself alone.
        while last.join_next().await.is_some() {}
        collector.inbox.flush_sinks();
        // After the reports: who takes long to be told does not take it from their time.
        collector.drops.finish();
        collector.inbox.tell_refused();
        collector.note_cost();
    }

    fn new(
        mut parts: Parts,
        destinations: Vec<Arc<Destination>>,
        settled: Arc<Notify>,
        (reports, open_reports): (Vec<Arc<Reports>>, Arc<OpenReports>),
    ) -> Self {
        let streams = streams(&mut parts, destinations);
        let destinations = parts.destinations.iter();
        let names = destinations.map(|one| one.name().to_owned()).collect();
        let config = parts.config;
        let rings_bytes = config.ring_bytes() * (config.producers_max + 1);
        let look_seldom = config.drain_interval.min(config.batch_delay);
        let look_soon = (config.drain_interval / LOOK_SOON_PART).min(look_seldom);
        let look_bytes = (config.ring_bytes() / LOOK_RING_PART) as u64;
        Self {
            wake: parts.receiver.wake_handle(),
            receiver: parts.receiver,
            control: parts.control,
            settled,
            reports,
            open_reports,
            flushes: Flushes::new(config.batch_delay),
            leaving: None,
            look_soon,
            look_bytes,
            found_bytes: 0,
            paced_at: Instant::now(),
            look_seldom,
            look_after: look_soon,
            found_at: Instant::now(),
            looked_at: Instant::now(),
            backlog_max: config.batch_delay / BACKLOG_PART,
            drops: Drops::new(
                Arc::clone(&parts.accounts),
                parts.shared,
                config.notices.clone(),
                names,
            ),
            watch: Watch {
                look_at: Instant::now() + COST_LOOK,
                is_awaited: false,
            },
            meter: parts.meter,
            clock: parts.clock,
            rings_bytes,
            has_spool: parts.spool.is_some(),
            inbox: Inbox::new(
                &config,
                parts.may_wait,
                parts.callsites,
                streams,
                parts.sinks,
                parts.log_filter,
                (parts.accounts, parts.requests),
            ),
        }
    }

    /// Returns when the last report has to be done.
    async fn run(&mut self) -> Instant {
        loop {
            self.take_commands();
            // After the commands: what came before a flush is part of it.
            self.inbox.take_requests();
            let now = Instant::now();
            for report in &self.reports {
                report.expect_change();
            }
            self.open_reports.expect_change();
            // Before anything is looked at: what comes later calls.
            let is_silent = now >= self.found_at + SILENCE_LOOKS * self.look_seldom;
            let listens = is_silent && self.receiver.listen();
            let may_drain = self.inbox.offer(now, self.leaving.is_some());
            let more = may_drain && self.drain(now);
            self.inbox.seal_due(now);
            self.inbox.offer(now, self.leaving.is_some());
            self.flushes.answer(&mut self.inbox);
            if listens || self.drops.is_due(now) {
                self.drops.look(now);
            }
            if let Some(leaving) = &self.leaving {
                let is_done = leaving.rings_are_empty && self.inbox.is_settled();
                if is_done || now >= leaving.until.sent {
                    return leaving.until.end;
                }
            }
            self.inbox.let_sinks_hand_over();
            self.note_cost();
            self.watch.look(now, &self.meter);
            self.clock.keep();
            if more && (self.leaving.is_some() || !self.inbox.is_held()) {
                tokio::task::yield_now().await;
            } else {
                self.wait(now, listens).await;
            }
        }
    }

    fn note_cost(&self) {
        self.meter.note_collector(self.inbox.held_bytes());
    }

    fn take_commands(&mut self) {
        self.flushes.forget_abandoned();
        for command in self.control.take() {
            match command {
                Command::Flush(answer) => self.flushes.add(answer, false),
                Command::ShowSinks(answer) => self.flushes.add(answer, true),
                Command::Shutdown(timeout) if self.leaving.is_none() => self.leave(timeout),
                // The first one has set the deadline.
                Command::Shutdown(_) => {}
                Command::ReportOpen(source) => self.open_reports.watch(source),
                Command::Process(rules) => {
                    self.inbox.go_by(&rules);
                    self.open_reports.go_by(&rules);
                }
            }
        }
    }

    fn leave(&mut self, timeout: Duration) {
        let until = Deadlines::new(timeout, self.has_spool);
        self.leaving = Some(Leaving {
            until,
            rings_are_empty: false,
        });
        self.receiver.sender().close();
        self.inbox.leave(&until);
    }

    /// One pass over the rings; whether there is more to be had at once.
    fn drain(&mut self, now: Instant) -> bool {
        let inbox = &mut self.inbox;
        let since = self.looked_at;
        let drained = self
            .receiver
            .drain_turns(PASS_BYTES, |visited| match visited {
                Visited::Turn(ring) => inbox.turn(ring),
                Visited::Record(bytes) => inbox.take(bytes, since, now),
            });
        inbox.post();
        self.note_look(now, &drained);
        let inbox = &mut self.inbox;
        let flushes = &mut self.flushes;
        flushes.note_drained(drained.bytes, drained.more, 2 * self.rings_bytes);
        let mut seal = flushes.want_seal(now, inbox);
        if let Some(leaving) = &mut self.leaving
            && !drained.more
            && !leaving.rings_are_empty
        {
            leaving.rings_are_empty = true;
            seal = true;
        }
        if seal {
            inbox.seal_all();
            flushes.note_sealed(now, inbox.last_sequence());
        }
        drained.more
    }

    /// Says when the rings are looked at next: once enough has come together at the pace of what was found, or after twice
    /// the time if that was nothing.
    fn note_look(&mut self, now: Instant, drained: &Drained) {
        if drained.records > 0 {
            self.found_at = now;
        }
        self.found_bytes += drained.bytes as u64;
        if drained.more {
            if now > self.looked_at + self.backlog_max {
                self.looked_at = now - self.backlog_max;
            }
            return;
        }
        self.looked_at = now;
        let passed = now.saturating_duration_since(self.paced_at);
        // Something else may have woken the thread just after a look.
        if passed >= self.look_soon {
            let after = match std::mem::take(&mut self.found_bytes) {
                0 => self.look_after * 2,
                found_bytes => passed.mul_f64(self.look_bytes as f64 / found_bytes as f64),
            };
            self.look_after = after.clamp(self.look_soon, self.look_seldom);
            self.paced_at = now;
        }
    }

    /// Has everything that is left, wherever it is, written to disk, as far as there is a spool and time. The
    /// workers have ended.
    async fn keep_rest(&mut self, mut keepers: JoinSet<()>) {
        let Some(leaving) = self.leaving.as_ref().filter(|_| self.has_spool) else {
            keepers.shutdown().await;
            return;
        };
        let until = leaving.until.spooled;
        let (since, now) = (self.looked_at, Instant::now());
        let inbox = &mut self.inbox;
        // The rings are closed, so this sees all there will ever be.
        self.receiver
            .drain_turns(usize::MAX, |visited| match visited {
                Visited::Turn(ring) => inbox.turn(ring),
                Visited::Record(bytes) => inbox.take(bytes, since, now),
            });
        inbox.push_last();
        let ended = async { while keepers.join_next().await.is_some() {} };
        let _ = tokio::time::timeout_at(until, ended).await;
        keepers.shutdown().await;
    }

    /// Counts everything that is left, wherever it is, as dropped. The workers have ended.
    fn abandon(&mut self) {
        // The rings are closed, so this sees all there will ever be.
        let mut left = [0; LANES.len()];
        self.receiver.drain(usize::MAX, |bytes| {
            if !is_for_sinks(bytes) {
                left[lane_of(bytes)] += 1;
            }
        });
        self.inbox.abandon(left);
    }

    async fn wait(&mut self, now: Instant, listens: bool) {
        let is_held = self.inbox.is_held();
        // While a flush or the end waits for the rings, they are looked at without delay.
        let waits_for_rings = !is_held
            && (self.flushes.wait_for_rings()
                || self.leaving.as_ref().is_some_and(|l| !l.rings_are_empty));
        if waits_for_rings {
            tokio::task::yield_now().await;
            return;
        }
        let look = (!listens).then(|| now + self.look_after);
        let due = self.inbox.next_due().filter(|_| !is_held);
        let leaving = self.leaving.as_ref().map(|leaving| leaving.until);
        let deadline = leaving.and_then(|until| until.next(now));
        let seal = self.flushes.next_seal().filter(|_| !is_held);
        let held = self.inbox.held_until(now);
        let until = [look, due, seal, held, deadline, self.watch.next_look()]
            .into_iter()
            .flatten()
            .min();
        tokio::select! {
            () = self.wake.notified() => {}
            () = self.settled.notified() => {}
            () = sleep_until(until) => {}
        }
        if listens {
            // What is there now has called.
            self.looked_at = Instant::now();
        }
    }
}

/// One for all destinations without a filter, and one for each of the others.
fn streams(parts: &mut Parts, mut unfiltered: Vec<Arc<Destination>>) -> Streams {
    let ids = BatchIds::new();
    let (config, callsites) = (&parts.config, &parts.callsites);
    let batches = || BatchProcessor::of_callsites(config, Arc::clone(callsites), ids.clone());
    let mut all = Vec::new();
    for (index, destination) in parts.destinations.iter_mut().enumerate() {
        if let Some(filter) = destination.filter.take() {
            let own = unfiltered.extract_if(.., |destination| destination.index() == index);
            all.push(Stream::new(batches(), Some(filter), own.collect()));
        }
    }
    if !unfiltered.is_empty() {
        all.insert(0, Stream::new(batches(), None, unfiltered));
    }
    Streams { all, ids }
}
