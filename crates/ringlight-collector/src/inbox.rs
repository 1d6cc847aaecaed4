//! What a record goes through once it has left its ring: sinks, the open batch of its signal, the
//! sealed batches that wait for room at the destinations.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ringlight_model::{CallsiteRegistry, DropReason};
use tokio::time::Instant;

use crate::accounts::{Accounts, Fate};
use crate::batch_processor::{BatchProcessor, LANES};
use crate::config::CollectorConfig;
use crate::destination::Destination;
use crate::export::EncodedBatch;
use crate::record::{LogRecord, Record};
use crate::sink::{LogFilter, RecordSink};
use crate::sinks::Sinks;
use crate::tail::{Judged, Tail, Verdict};

/// The lane of spans.
const TRACES: usize = 0;
/// The lane of log records.
const LOGS: usize = 1;

/// How long a full queue of a destination that answers holds up the drain before its batches are
/// dropped instead.
const HOLD_MAX: Duration = Duration::from_millis(200);

/// Everything a drained record goes through on the collector thread.
pub(crate) struct Inbox {
    accounts: Arc<Accounts>,
    destinations: Vec<Arc<Destination>>,
    sinks: Sinks,
    /// Without one, every log record is exported.
    log_filter: Option<Box<dyn LogFilter>>,
    callsites: Arc<CallsiteRegistry>,
    batches: BatchProcessor,
    /// Batches the destinations have no room for at the moment. While there are any, nothing is
    /// drained or judged, so there are never more than one pass over the rings makes, and what was
    /// kept back.
    sealed: VecDeque<EncodedBatch>,
    held_since: Option<Instant>,
    /// Records drained and not yet in the books, of traces and of logs.
    unposted: [u64; 2],
    /// Spans that ended before they began, not yet in the books.
    negative_durations: u64,
    /// Whether any destination takes them, of traces and of logs.
    is_taken: [bool; 2],
    tail: Option<Tail>,
    /// Traces that have been judged and not dealt with yet; empty between calls.
    judged: Vec<Judged>,
    /// Spans of traces that are not sent, not yet in the books.
    unsent: u64,
    /// Log records that are for the sinks alone, not yet in the books.
    unwanted: u64,
    /// Whether producers may wait, so that a full queue holds up the drain for as long as it takes.
    may_wait: bool,
}

/// The lane of a record by its first byte, which tells a span. Whatever else it may be is booked as
/// a log record.
pub(crate) fn lane_of(bytes: &[u8]) -> usize {
    usize::from(bytes.first() != Some(&1))
}

impl Inbox {
    pub(crate) fn new(
        config: &CollectorConfig,
        may_wait: bool,
        callsites: Arc<CallsiteRegistry>,
        destinations: Vec<Arc<Destination>>,
        sinks: Vec<Box<dyn RecordSink>>,
        log_filter: Option<Box<dyn LogFilter>>,
        accounts: Arc<Accounts>,
    ) -> Self {
        let is_taken = LANES.map(|signal| destinations.iter().any(|d| d.takes(signal)));
        Self {
            accounts,
            destinations,
            sinks: Sinks::new(sinks, config.notices.clone()),
            log_filter,
            batches: BatchProcessor::of_callsites(config, Arc::clone(&callsites)),
            callsites,
            sealed: VecDeque::new(),
            held_since: None,
            unposted: [0; 2],
            negative_durations: 0,
            is_taken,
            tail: config.tail_sampling.map(Tail::new),
            judged: Vec::new(),
            unsent: 0,
            unwanted: 0,
            may_wait,
        }
    }

    /// One record out of a ring, where it came after `since`, which its batch is counted from.
    #[inline]
    pub(crate) fn take(&mut self, bytes: &[u8], since: Instant, now: Instant) {
        let Ok(record) = Record::parse(bytes) else {
            return self.malformed(lane_of(bytes));
        };
        self.sinks.show(&record, &self.callsites);
        let lane = match record {
            Record::Span(span) => {
                self.negative_durations += u64::from(span.ends_before_it_starts());
                TRACES
            }
            Record::Log(_) => LOGS,
        };
        if !self.is_taken[lane] {
            self.unposted[lane] += 1;
            return;
        }
        if let Record::Log(log) = &record
            && !self.is_exported(log)
        {
            self.unwanted += 1;
            return;
        }
        match (&mut self.tail, &record) {
            (Some(tail), Record::Span(span)) => {
                let status = self.batches.status(span);
                let verdict = tail.take(span, status, bytes, now, &mut self.judged);
                self.settle_judged(since);
                match verdict {
                    Verdict::Send => self.batch(lane, &record, since),
                    Verdict::Drop => self.unsent += 1,
                    Verdict::Hold => {}
                }
            }
            _ => self.batch(lane, &record, since),
        }
    }

    #[inline]
    fn is_exported(&mut self, log: &LogRecord<'_>) -> bool {
        let filter = self.log_filter.as_mut();
        filter.is_none_or(|filter| filter.wants(log, &self.callsites))
    }

    /// Puts a record into the open batch.
    #[inline]
    fn batch(&mut self, lane: usize, record: &Record<'_>, since: Instant) {
        let Ok(is_full) = self.batches.take(lane, record, since) else {
            return self.malformed(lane);
        };
        self.unposted[lane] += 1;
        if is_full {
            self.seal(lane);
        }
    }

    /// Judges traces that are kept back: those that have waited long enough, or all.
    fn judge(&mut self, now: Instant, all: bool) {
        let Some(tail) = &mut self.tail else { return };
        while let Some(judged) = if all {
            tail.judge_next(now)
        } else {
            tail.judge_due(now)
        } {
            self.judged.push(judged);
        }
        self.settle_judged(now);
    }

    /// Deals with the spans of traces that have been judged.
    fn settle_judged(&mut self, since: Instant) {
        for judged in std::mem::take(&mut self.judged) {
            if !judged.is_sent {
                self.unsent += judged.spans_count;
                continue;
            }
            for bytes in judged.records() {
                match Record::parse(bytes) {
                    Ok(record) => self.batch(TRACES, &record, since),
                    Err(_) => self.malformed(TRACES),
                }
            }
        }
    }

    #[cold]
    fn malformed(&mut self, lane: usize) {
        self.accounts.lost(LANES[lane], 1, DropReason::Malformed);
    }

    /// Books what was drained since the last time.
    pub(crate) fn post(&mut self) {
        for (lane, signal) in LANES.into_iter().enumerate() {
            let records = std::mem::take(&mut self.unposted[lane]);
            if records > 0 {
                self.accounts.drained(signal, records);
            }
        }
        let negative = std::mem::take(&mut self.negative_durations);
        if negative > 0 {
            self.accounts.negative_durations(negative);
        }
        let unsent = std::mem::take(&mut self.unsent);
        if unsent > 0 {
            let reason = DropReason::TailSampled;
            self.accounts.lost(LANES[TRACES], unsent, reason);
        }
        let unwanted = std::mem::take(&mut self.unwanted);
        if unwanted > 0 {
            self.accounts.unwanted(LANES[LOGS], unwanted);
        }
    }

    fn seal(&mut self, lane: usize) {
        if self.batches.records(lane) > 0 {
            self.post();
        }
        self.sealed.extend(self.batches.seal(lane));
    }

    /// Seals all there is, after judging what is kept back by what is known of it.
    pub(crate) fn seal_all(&mut self) {
        self.judge(Instant::now(), true);
        self.post();
        self.seal(0);
        self.seal(1);
    }

    /// Hands everything there is to the destinations, which have it written to disk or drop it.
    pub(crate) fn push_last(&mut self) {
        self.seal_all();
        for batch in std::mem::take(&mut self.sealed) {
            let takes = |d: &&Arc<Destination>| d.takes(batch.signal);
            for destination in self.destinations.iter().filter(takes) {
                destination.push_last(batch.clone());
            }
        }
        for destination in &self.destinations {
            destination.end_keeping();
        }
    }

    /// Drops everything and closes the books: `left_in_rings` records by lane, open and sealed batches, and what the
    /// destinations, whose workers have ended, still have.
    pub(crate) fn abandon(&mut self, left_in_rings: [u64; LANES.len()]) {
        self.post();
        let fate = Fate::Dropped(DropReason::Shutdown);
        let kept_back = self.tail.take().map_or(0, |tail| tail.held_count());
        let reason = DropReason::Shutdown;
        self.accounts.lost(LANES[TRACES], kept_back, reason);
        for batch in self.sealed.drain(..) {
            let records = u64::from(batch.records);
            self.accounts.settle_batch(batch.signal, records, fate);
        }
        for (lane, signal) in LANES.into_iter().enumerate() {
            let open = self.batches.abandon(lane);
            self.accounts.settle_batch(signal, open, fate);
            self.accounts
                .lost(signal, left_in_rings[lane], DropReason::Shutdown);
        }
        for destination in &self.destinations {
            destination.abandon();
        }
        self.accounts.close();
    }

    /// Tells the destinations that the application is leaving.
    pub(crate) fn leave(&self, deadline: Instant) {
        for destination in &self.destinations {
            destination.leave(deadline);
        }
    }

    /// Whether sealed batches wait for room at a destination.
    pub(crate) fn is_held(&self) -> bool {
        !self.sealed.is_empty()
    }

    /// Bytes of the buffers of batches, wherever those are, and of what is kept back.
    pub(crate) fn held_bytes(&self) -> usize {
        let kept_back = self.tail.as_ref().map_or(0, Tail::held_bytes);
        self.batches.held_bytes() + kept_back
    }

    /// Sequence number of the batch sealed last, 0 before the first.
    pub(crate) const fn last_sequence(&self) -> u64 {
        self.batches.last_sequence()
    }

    /// Judges and seals what has waited long enough, unless there is nowhere to put it.
    pub(crate) fn seal_due(&mut self, now: Instant) {
        if self.is_held() {
            return;
        }
        self.judge(now, false);
        self.post();
        for lane in 0..LANES.len() {
            if self.batches.due(lane).is_some_and(|due| now >= due) {
                self.seal(lane);
            }
        }
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        let batches = (0..LANES.len()).filter_map(|lane| self.batches.due(lane));
        batches
            .chain(self.tail.as_ref().and_then(Tail::next_due))
            .min()
    }

    /// Hands sealed batches to the destinations. Whether all are gone, so that draining may go on.
    ///
    /// A destination that answers but has no room holds everything up for a moment, since the
    /// rings have room; with a blocking policy, and at the end, for as long as it takes.
    pub(crate) fn offer(&mut self, now: Instant, is_leaving: bool) -> bool {
        let waits = is_leaving || self.may_wait;
        while let Some(front) = self.sealed.front() {
            let (signal, bytes) = (front.signal, front.bytes.len());
            let takes = |d: &&Arc<Destination>| d.takes(signal);
            let is_full =
                |d: &&Arc<Destination>| takes(d) && !d.has_room(bytes) && (waits || d.is_lively());
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
                for destination in self.destinations.iter().filter(takes) {
                    destination.push(batch.clone());
                }
            }
        }
        true
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.is_settled_up_to(self.batches.last_sequence())
    }

    pub(crate) fn is_settled_up_to(&self, sequence: u64) -> bool {
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

    pub(crate) fn flush_sinks(&mut self) {
        self.sinks.flush();
    }
}
