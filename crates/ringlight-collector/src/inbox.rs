//! What a record goes through once it has left its ring: sinks, the open batch of its signal, the
//! sealed batches that wait for room at the destinations.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use ringlight_model::{CallsiteRegistry, DropReason, Limits};
use tokio::time::Instant;

use crate::accounts::{Accounts, Fate};
use crate::batch_processor::{AUDIT, LANES, LOGS, TRACES};
use crate::config::CollectorConfig;
use crate::deadlines::Deadlines;
use crate::destination::Destination;
use crate::export::EncodedBatch;
use crate::processing::{Processed, Processing, Processor};
use crate::record::{Head, LogRecord, Record, is_for_sinks};
use crate::requests::{Request, Requests};
use crate::sink::{LogFilter, RecordSink};
use crate::sinks::Sinks;
use crate::stream::{Stream, Streams};
use crate::tail::{Judged, Tail, Verdict};

/// How long a full queue of a destination that answers holds up the drain before its batches are
/// dropped instead.
pub(crate) const HOLD_MAX: Duration = Duration::from_millis(200);

/// Everything a drained record goes through on the collector thread.
pub(crate) struct Inbox {
    accounts: Arc<Accounts>,
    /// What came another way than through the rings.
    requests: Arc<Requests>,
    /// What everything below is shown has gone through this.
    processor: Option<Box<Processor>>,
    /// Whether there are rules. Without what applies them, nothing goes on its way.
    has_rules: bool,
    /// What a span that was submitted whole may have.
    limits: Limits,
    sinks: Sinks,
    /// Without one, every log record is exported.
    log_filter: Option<Box<dyn LogFilter>>,
    callsites: Arc<CallsiteRegistry>,
    streams: Streams,
    /// Batches, and the streams they are of, that the destinations have no room for at the moment. While there are any, nothing is
    /// drained or judged, so there are never more than one pass over the rings makes, and what was
    /// kept back.
    /// At the end, when the rings are closed, all that is in them may be here.
    sealed: VecDeque<(usize, EncodedBatch)>,
    /// The batch that is held for a moment, by its number, and since when.
    held: Option<(u64, Instant)>,
    /// Records drained and not yet in the books, by lane.
    unposted: [u64; LANES.len()],
    /// Spans that ended before they began, not yet in the books.
    negative_durations: u64,
    tail: Option<Tail>,
    /// Traces that have been judged and not dealt with yet; empty between calls.
    judged: Vec<Judged>,
    /// Spans of traces that are not sent, not yet in the books.
    unsent: u64,
    /// Log records that are for the sinks alone, not yet in the books.
    unwanted: u64,
    /// Records that rules were to leave out, not yet in the books, by lane.
    filtered: [u64; LANES.len()],
    /// Whether producers may wait, so that a full queue holds up the drain for as long as it takes.
    may_wait: bool,
}

/// How long a batch has been held.
fn held_for(held: &mut Option<(u64, Instant)>, batch: &EncodedBatch, now: Instant) -> Duration {
    let number = batch.id.sequence();
    let known = held.filter(|(held, _)| *held == number);
    let (_, since) = *held.insert(known.unwrap_or((number, now)));
    now.saturating_duration_since(since)
}

/// The lane of a record by its first byte, which tells a span, and by its eighth. Whatever else it may be is booked
/// as a log record.
pub(crate) fn lane_of(bytes: &[u8]) -> usize {
    let head = bytes
        .first_chunk()
        .map_or(0, |head| u64::from_le_bytes(*head));
    match bytes.first() {
        Some(1) => TRACES,
        _ if Head::from_word(head).is_audit() => AUDIT,
        _ => LOGS,
    }
}

impl Inbox {
    pub(crate) fn new(
        config: &CollectorConfig,
        may_wait: bool,
        callsites: Arc<CallsiteRegistry>,
        streams: Streams,
        sinks: Vec<Box<dyn RecordSink>>,
        log_filter: Option<Box<dyn LogFilter>>,
        (accounts, requests): (Arc<Accounts>, Arc<Requests>),
    ) -> Self {
        let mut inbox = Self {
            accounts,
            requests,
            has_rules: false,
            processor: None,
            limits: config.limits,
            sinks: Sinks::new(sinks, config.notices.clone()),
            log_filter,
            streams,
            callsites,
            sealed: VecDeque::new(),
            held: None,
            unposted: [0; LANES.len()],
            negative_durations: 0,
            tail: config.tail_sampling.map(Tail::new),
            judged: Vec::new(),
            unsent: 0,
            unwanted: 0,
            filtered: [0; LANES.len()],
            may_wait,
        };
        inbox.go_by(&config.processing);
        inbox
    }

    /// Goes by these rules from the next record on.
    pub(crate) fn go_by(&mut self, processing: &Processing) {
        self.processor = Processor::of(processing, &self.limits, &self.callsites);
        self.has_rules = self.processor.is_some();
    }

    /// What comes next is out of this ring.
    #[inline]
    pub(crate) fn turn(&mut self, ring: usize) {
        self.sinks.turn(ring);
    }

    /// One record out of a ring, where it came after `since`, which its batch is counted from.
    #[inline]
    pub(crate) fn take(&mut self, bytes: &[u8], since: Instant, now: Instant) {
        let Ok(record) = Record::parse(bytes) else {
            return self.take_other(bytes);
        };
        if self.has_rules {
            self.process(bytes, &record, since, now);
        } else {
            self.accept(bytes, record, since, now);
        }
    }

    /// What is neither a span nor a log record: one for sinks, or none at all.
    #[cold]
    #[inline(never)]
    fn take_other(&mut self, bytes: &[u8]) {
        if is_for_sinks(bytes) {
            self.sinks.show_own(bytes, &self.callsites);
        } else {
            self.malformed(lane_of(bytes));
        }
    }

    /// One record on its way through the rules.
    #[inline(never)]
    fn process(&mut self, bytes: &[u8], record: &Record<'_>, since: Instant, now: Instant) {
        let lane = lane_of(bytes);
        // Taken out, since what it makes of the record is its own.
        let Some(mut processor) = self.processor.take() else {
            return self.malformed(lane);
        };
        match processor.process(record) {
            Processed::Same => self.accept(bytes, *record, since, now),
            Processed::Changed(bytes) => match Record::parse(bytes) {
                Ok(record) => self.accept(bytes, record, since, now),
                Err(_) => self.malformed(lane),
            },
            Processed::Filtered => self.filtered[lane] += 1,
            Processed::Malformed => self.malformed(lane),
        }
        self.processor = Some(processor);
    }

    /// One record as it may leave the process.
    #[inline]
    fn accept(&mut self, bytes: &[u8], record: Record<'_>, since: Instant, now: Instant) {
        self.sinks.show(&record, &self.callsites);
        let lane = match record {
            Record::Span(span) => {
                self.negative_durations += u64::from(span.ends_before_it_starts());
                TRACES
            }
            Record::Log(log) if log.head().is_audit() => AUDIT,
            Record::Log(_) => LOGS,
        };
        if !self.streams.all.iter().any(|stream| stream.takes(lane)) {
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
                let status = match self.streams.all.first_mut() {
                    Some(stream) => stream.batches_mut().status(span),
                    None => span.head().status(),
                };
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

    /// Puts a record into the open batches.
    #[inline]
    fn batch(&mut self, lane: usize, record: &Record<'_>, since: Instant) {
        self.unposted[lane] += 1;
        for index in 0..self.streams.all.len() {
            let stream = &mut self.streams.all[index];
            if stream.takes(lane) && stream.take(lane, record, since, &self.callsites) {
                self.seal(index, lane);
            }
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
        self.lose(lane, 1, DropReason::Malformed);
    }

    /// Books records that came out of the rings, or are left there, and go no further.
    fn lose(&self, lane: usize, records: u64, reason: DropReason) {
        self.accounts.lost(LANES[lane], records, reason);
        if lane == AUDIT {
            for stream in &self.streams.all {
                self.accounts.audit_lost(stream.indexes(), records);
            }
        }
    }

    /// Books what was drained since the last time.
    pub(crate) fn post(&mut self) {
        for (lane, signal) in LANES.into_iter().enumerate() {
            let records = std::mem::take(&mut self.unposted[lane]);
            if records > 0 {
                let takers = self
                    .streams
                    .all
                    .iter_mut()
                    .filter(|stream| stream.takes(lane));
                let shares: Vec<_> = takers.map(|stream| stream.post(lane)).collect();
                self.accounts.drained(signal, records, &shares);
                let bad = shares.iter().filter(|share| share.malformed > 0);
                if lane == AUDIT {
                    bad.for_each(|share| {
                        let (indexes, records) = (share.destinations, share.malformed);
                        self.accounts.audit_lost(indexes, records);
                    });
                }
            }
        }
        let negative = std::mem::take(&mut self.negative_durations);
        if negative > 0 {
            self.accounts.add_negative_durations(negative);
        }
        let unsent = std::mem::take(&mut self.unsent);
        if unsent > 0 {
            let reason = DropReason::TailSampled;
            self.accounts.lost(LANES[TRACES], unsent, reason);
        }
        for (lane, signal) in LANES.into_iter().enumerate() {
            let filtered = std::mem::take(&mut self.filtered[lane]);
            if filtered > 0 {
                self.accounts.lost(signal, filtered, DropReason::Filtered);
            }
        }
        let unwanted = std::mem::take(&mut self.unwanted);
        if unwanted > 0 {
            self.accounts.unwanted(LANES[LOGS], unwanted);
        }
    }

    fn seal(&mut self, stream: usize, lane: usize) {
        if self.streams.all[stream].batches().records(lane) > 0 {
            self.post();
        }
        let batch = self.streams.all[stream].seal(lane);
        self.sealed.extend(batch.map(|batch| (stream, batch)));
    }

    /// Seals all there is, after judging what is kept back by what is known of it.
    pub(crate) fn seal_all(&mut self) {
        self.judge(Instant::now(), true);
        self.post();
        for stream in 0..self.streams.all.len() {
            (0..LANES.len()).for_each(|lane| self.seal(stream, lane));
        }
    }

    /// Puts what came another way than through the rings with the sealed batches.
    pub(crate) fn take_requests(&mut self) {
        let requests = self.requests.take();
        self.seal_requests(requests);
    }

    fn seal_requests(&mut self, requests: Vec<Request>) {
        for request in requests {
            for (index, stream) in self.streams.all.iter().enumerate() {
                if stream.takers(request.signal).next().is_some() {
                    let batch = EncodedBatch {
                        signal: request.signal,
                        bytes: request.bytes.clone(),
                        records: request.records,
                        id: self.streams.ids.next(),
                    };
                    self.sealed.push_back((index, batch));
                }
            }
        }
    }

    /// Hands everything there is to the destinations, which have it written to disk or drop it.
    pub(crate) fn push_last(&mut self) {
        self.seal_all();
        let last = self.requests.close();
        self.seal_requests(last);
        for (stream, batch) in std::mem::take(&mut self.sealed) {
            for destination in self.streams.all[stream].takers(batch.signal) {
                destination.push_last(batch.clone());
            }
        }
        for destination in self.streams.destinations() {
            destination.end_keeping();
        }
    }

    /// Drops everything and closes the books: `left_in_rings` records by lane, open and sealed batches, and what the
    /// destinations, whose workers have ended, still have.
    pub(crate) fn abandon(&mut self, left_in_rings: [u64; LANES.len()]) {
        self.post();
        let last = self.requests.close();
        self.seal_requests(last);
        let fate = Fate::Dropped(DropReason::Shutdown);
        let kept_back = self.tail.take().map_or(0, |tail| tail.held_count());
        let reason = DropReason::Shutdown;
        self.accounts.lost(LANES[TRACES], kept_back, reason);
        for (stream, batch) in self.sealed.drain(..) {
            let records = u64::from(batch.records);
            let indexes = self.streams.all[stream].indexes();
            if batch.id.is_audit() {
                self.accounts.audit_lost(indexes, records);
            }
            self.accounts
                .settle_batch(indexes, batch.signal, records, fate);
        }
        for (lane, signal) in LANES.into_iter().enumerate() {
            for stream in &mut self.streams.all {
                let open = stream.batches_mut().abandon(lane);
                if lane == AUDIT {
                    self.accounts.audit_lost(stream.indexes(), open);
                }
                self.accounts
                    .settle_batch(stream.indexes(), signal, open, fate);
            }
            self.lose(lane, left_in_rings[lane], DropReason::Shutdown);
        }
        for destination in self.streams.destinations() {
            destination.abandon();
        }
        self.accounts.close();
    }

    /// Tells the destinations that the application is leaving.
    pub(crate) fn leave(&self, until: &Deadlines) {
        for destination in self.streams.destinations() {
            destination.leave(until);
        }
    }

    /// Tells what destinations refused and a person does not know yet, at the end.
    pub(crate) fn tell_refused(&self) {
        for destination in self.streams.destinations() {
            destination.tell_refused();
        }
    }

    /// Whether sealed batches wait for room at a destination.
    pub(crate) fn is_held(&self) -> bool {
        !self.sealed.is_empty()
    }

    /// Until when a batch that waits for room is waited for, if that is to come.
    pub(crate) fn held_until(&self, now: Instant) -> Option<Instant> {
        let until = self.held.map(|(_, since)| since + HOLD_MAX);
        until.filter(|until| *until > now)
    }

    /// Bytes of the buffers of batches, wherever those are, and of what is kept back.
    pub(crate) fn held_bytes(&self) -> usize {
        let kept_back = self.tail.as_ref().map_or(0, Tail::held_bytes);
        let streams = self
            .streams
            .all
            .iter()
            .map(|stream| stream.batches().held_bytes());
        streams.sum::<usize>() + kept_back
    }

    /// Sequence number of the batch sealed last, 0 before the first.
    pub(crate) fn last_sequence(&self) -> u64 {
        self.streams.ids.last_sequence()
    }

    /// Judges and seals what has waited long enough, unless there is nowhere to put it.
    pub(crate) fn seal_due(&mut self, now: Instant) {
        if self.is_held() {
            return;
        }
        self.judge(now, false);
        self.post();
        for stream in 0..self.streams.all.len() {
            self.streams.all[stream].adapt();
            for lane in 0..LANES.len() {
                let due = self.streams.all[stream].due(lane);
                if due.is_some_and(|due| now >= due) {
                    self.seal(stream, lane);
                }
            }
        }
    }

    pub(crate) fn next_due(&self) -> Option<Instant> {
        let lanes = |stream: &'_ Stream| {
            let due = |lane| stream.due(lane);
            (0..LANES.len()).filter_map(due).min()
        };
        let batches = self.streams.all.iter().filter_map(lanes);
        batches
            .chain(self.tail.as_ref().and_then(Tail::next_due))
            .min()
    }

    /// Hands sealed batches to the destinations. Whether draining may go on: all are gone, or it is the end, since the
    /// rings are closed then and what is in them is all there will be.
    ///
    /// A destination that answers but has no room holds everything up for a moment, since the
    /// rings have room; with a blocking policy, and at the end, for as long as it takes, unless others have room: they do
    /// not wait for one that is away, nor at the end for one that may be. At the end batches for others do not wait
    /// behind those that are held.
    pub(crate) fn offer(&mut self, now: Instant, is_leaving: bool) -> bool {
        let waits = is_leaving || self.may_wait;
        let mut is_any_held = false;
        let mut at = 0;
        while let Some((stream, batch)) = self.sealed.get(at) {
            let (stream, bytes) = (&self.streams.all[*stream], batch.bytes.len());
            let signal = batch.signal;
            let others_have_room = stream.takers(signal).any(|d| d.has_room(bytes));
            let is_waited_for = |d: &&Arc<Destination>| {
                let is_lively = d.is_lively() || (self.may_wait && !is_leaving && !d.is_away());
                !d.has_room(bytes) && (is_lively || (waits && !others_have_room))
            };
            if stream.takers(signal).any(|d| is_waited_for(&d)) {
                let for_long = waits && (!others_have_room || (self.may_wait && !is_leaving));
                // One after the other, as they came.
                let is_first = !for_long && !std::mem::replace(&mut is_any_held, true);
                let is_over = is_first && held_for(&mut self.held, batch, now) >= HOLD_MAX;
                if !is_over && is_leaving {
                    at += 1;
                    continue;
                }
                if !is_over {
                    return false;
                }
                for destination in stream.takers(signal).filter(is_waited_for) {
                    destination.set_stalled();
                }
                is_any_held = false;
            }
            for destination in stream.takers(signal) {
                destination.push(batch.clone());
            }
            self.sealed.remove(at);
        }
        true
    }

    /// Whether the end has nothing to wait for.
    pub(crate) fn is_settled(&self) -> bool {
        let mut destinations = self.streams.destinations();
        self.is_settled_up_to(self.streams.ids.last_sequence())
            && !destinations.any(|destination| destination.awaits_backlog())
    }

    pub(crate) fn is_settled_up_to(&self, sequence: u64) -> bool {
        let is_handed_over = self
            .sealed
            .front()
            .is_none_or(|(_, batch)| batch.id.sequence() > sequence);
        is_handed_over
            && self
                .streams
                .destinations()
                .all(|destination| destination.is_settled_up_to(sequence))
    }

    pub(crate) fn let_sinks_hand_over(&mut self) {
        self.sinks.hand_over();
    }

    pub(crate) fn flush_sinks(&mut self) {
        self.sinks.flush();
    }
}
