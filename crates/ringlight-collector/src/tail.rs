//! Tail sampling: finished spans are kept back until their trace can be judged.
//!
//! A trace is judged at once when a span of it failed or its local root was slow; a moment after its
//! local root has closed, since what other threads recorded before may come out of their rings later;
//! and else when it has been kept back for long enough, when there is no more room, or at a flush.
//! Spans that come later follow the judgement, which is remembered for a while, unless they are worth
//! sending by themselves: then so is what comes after them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use ringlight_model::{StatusCode, TraceId};
use tokio::time::Instant;

use crate::config::{CollectorConfigError, duration, number};
use crate::record::SpanRecord;

/// How long a trace is kept back after its local root has closed: time for a pass over all rings.
const LINGER: Duration = Duration::from_millis(500);
/// Odd numbers without a pattern.
const MIX: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xd1b5_4a32_d192_ed03];
/// Judgements that are remembered.
const JUDGED_MAX: usize = 16_384;
/// Bytes of a kept back trace beside its records: entries here and there, buffers half full.
const TRACE_BYTES: usize = 256;

/// Which of the recorded traces are sent, judged by how they went. Spans that were not recorded in
/// the first place, by head sampling, are nothing it can judge.
///
/// A trace is what this process saw of it: each process judges for itself, when the first span of the
/// trace here has closed. Where a trace enters a process more than once, what comes later follows the
/// first judgement, unless it failed or was slow itself. Log records are sent whatever becomes of
/// their trace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TailSampling {
    /// Whether traces with a failed span are sent. Default yes.
    pub errors: bool,
    /// Traces whose local root took at least this long are sent, and those that have gone on for as
    /// long when they are judged. Default 1 s; `None` for no such rule.
    pub slower_than: Option<Duration>,
    /// The share of all other traces that is sent, chosen by their ids. Range 0 to 1, default 0.1.
    pub otherwise_ratio: f64,
    /// How long a trace is kept back at most, until its local root closes. Range 1 ms to 1 h,
    /// default 10 s.
    pub wait_max: Duration,
    /// Bytes of spans that are kept back. Range 64 KiB to 1 GiB, default 8 MiB. When it is exceeded
    /// the traces that have waited longest are judged by what is known.
    pub bytes_max: usize,
}

impl Default for TailSampling {
    fn default() -> Self {
        Self {
            errors: true,
            slower_than: Some(Duration::from_secs(1)),
            otherwise_ratio: 0.1,
            wait_max: Duration::from_secs(10),
            bytes_max: 8 << 20,
        }
    }
}

impl TailSampling {
    pub(crate) fn validate(&self) -> Result<(), CollectorConfigError> {
        const HOUR: Duration = Duration::from_secs(3600);
        const MS: Duration = Duration::from_millis(1);
        duration("tail_sampling.wait_max", self.wait_max, MS..=HOUR)?;
        number(
            "tail_sampling.bytes_max",
            self.bytes_max,
            64 << 10..=1 << 30,
        )?;
        if (0.0..=1.0).contains(&self.otherwise_ratio) {
            return Ok(());
        }
        Err(CollectorConfigError {
            field: "tail_sampling.otherwise_ratio",
            value: self.otherwise_ratio.to_string(),
            allowed: "0 to 1".to_owned(),
        })
    }
}

/// Whether a trace begins with the span, as far as this process goes.
fn is_local_root(span: &SpanRecord<'_>) -> bool {
    !span.parent_span_id().is_valid() || span.head().has_remote_parent()
}

/// What becomes of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Its trace is sent.
    Send,
    /// Its trace is not sent.
    Drop,
    /// It is kept back.
    Hold,
}

/// A trace that has been judged, and its spans kept back so far.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) is_sent: bool,
    pub(crate) spans_count: u64,
    records: Vec<u8>,
}

impl Judged {
    /// The bytes of the spans' records, in the order they came in.
    pub(crate) fn records(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.records.as_slice();
        std::iter::from_fn(move || {
            let (len, after) = rest.split_first_chunk()?;
            let (record, after) = after.split_at_checked(usize::from_le_bytes(*len))?;
            rest = after;
            Some(record)
        })
    }
}

/// Spans of one trace.
#[derive(Debug)]
struct Held {
    /// Its place in the order: when it is judged at the latest, and the number of the trace.
    place: (Instant, u64),
    since: Instant,
    /// How long its local root took, once that has closed.
    root_nano: Option<u64>,
    /// Each record behind its length.
    records: Vec<u8>,
    spans_count: u64,
    longest_nano: u64,
}

/// The spans that are kept back.
#[derive(Debug)]
pub(crate) struct Tail {
    config: TailSampling,
    held: HashMap<TraceId, Held, foldhash::fast::RandomState>,
    /// The same traces in the order they are to be judged.
    order: BTreeMap<(Instant, u64), TraceId>,
    next_number: u64,
    held_bytes: usize,
    judged: HashMap<TraceId, bool, foldhash::fast::RandomState>,
    judged_order: VecDeque<TraceId>,
}

impl Tail {
    pub(crate) fn new(config: TailSampling) -> Self {
        Self {
            config,
            held: HashMap::default(),
            order: BTreeMap::new(),
            next_number: 0,
            held_bytes: 0,
            judged: HashMap::default(),
            judged_order: VecDeque::new(),
        }
    }

    /// Takes in a span that ended with this status. What becomes of it is returned; traces that can
    /// be judged now, because of it or because there is no more room, are added to `judged`.
    pub(crate) fn take(
        &mut self,
        span: &SpanRecord<'_>,
        status: StatusCode,
        bytes: &[u8],
        now: Instant,
        judged: &mut Vec<Judged>,
    ) -> Verdict {
        let trace = span.trace_id();
        let nanos = span.end_unix_nano().saturating_sub(span.start_unix_nano());
        let is_root = is_local_root(span);
        let is_failed = self.config.errors && status == StatusCode::Error;
        let is_worth_it = is_failed || (is_root && self.is_slow(nanos));
        if let Some(is_sent) = self.judged.get_mut(&trace) {
            *is_sent |= is_worth_it;
            return Verdict::of(*is_sent);
        }
        if is_worth_it {
            judged.extend(self.release(trace, true));
            return Verdict::Send;
        }
        self.hold(trace, bytes, nanos, now);
        if is_root {
            self.linger(trace, nanos, now);
        }
        while self.held_bytes > self.config.bytes_max
            && let Some(oldest) = self.judge_next(now)
        {
            judged.push(oldest);
        }
        Verdict::Hold
    }

    fn hold(&mut self, trace: TraceId, bytes: &[u8], nanos: u64, now: Instant) {
        let place = (now + self.config.wait_max, self.next_number);
        let (order, held_bytes) = (&mut self.order, &mut self.held_bytes);
        let held = self.held.entry(trace).or_insert_with(|| {
            order.insert(place, trace);
            *held_bytes += TRACE_BYTES;
            Held {
                place,
                since: now,
                root_nano: None,
                records: Vec::new(),
                spans_count: 0,
                longest_nano: 0,
            }
        });
        self.next_number += 1;
        let before = held.records.capacity();
        held.records.extend_from_slice(&bytes.len().to_le_bytes());
        held.records.extend_from_slice(bytes);
        *held_bytes += held.records.capacity() - before;
        held.spans_count += 1;
        held.longest_nano = held.longest_nano.max(nanos);
    }

    /// Notes that the local root of a trace has closed.
    fn linger(&mut self, trace: TraceId, nanos: u64, now: Instant) {
        let Some(held) = self.held.get_mut(&trace) else {
            return;
        };
        held.root_nano = held.root_nano.max(Some(nanos));
        let due = now + LINGER;
        if due < held.place.0 {
            self.order.remove(&held.place);
            held.place.0 = due;
            self.order.insert(held.place, trace);
        }
    }

    fn is_slow(&self, nanos: u64) -> bool {
        let is_slow = |limit: Duration| u128::from(nanos) >= limit.as_nanos();
        self.config.slower_than.is_some_and(is_slow)
    }

    /// Whether a trace is among the share that is sent of those that are nothing special.
    fn is_among_others(&self, trace: TraceId) -> bool {
        // All of the id, since not every system makes all of it random; mixed, since a head sampler goes
        // by a part of it, and those it took would else be all those that are taken here.
        let (high, low) = ((trace.get() >> 64) as u64, trace.get() as u64);
        let product = u128::from(high ^ MIX[0]) * u128::from(low ^ MIX[1]);
        let mixed = (product >> 64) as u64 ^ product as u64;
        let position = mixed.wrapping_mul(MIX[0]) as f64 / 2_f64.powi(64);
        position < self.config.otherwise_ratio
    }

    /// The judgement of the next trace that has been kept back for long enough by now.
    pub(crate) fn judge_due(&mut self, now: Instant) -> Option<Judged> {
        if self.next_due()? > now {
            return None;
        }
        self.judge_next(now)
    }

    /// When the next trace has been kept back for long enough.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let ((due, _), _) = self.order.first_key_value()?;
        Some(*due)
    }

    /// The judgement of the trace that is to be judged next, by what is known of it now.
    pub(crate) fn judge_next(&mut self, now: Instant) -> Option<Judged> {
        let trace = *self.order.first_key_value()?.1;
        let held = self.held.get(&trace)?;
        let elapsed = now.saturating_duration_since(held.since).as_nanos();
        let elapsed = u64::try_from(elapsed).unwrap_or(u64::MAX);
        let nanos = held.root_nano.unwrap_or(held.longest_nano.max(elapsed));
        let is_sent = self.is_slow(nanos) || self.is_among_others(trace);
        self.release(trace, is_sent)
    }

    /// Bytes of the spans that are kept back.
    pub(crate) const fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Spans that are kept back.
    pub(crate) fn held_count(&self) -> u64 {
        self.held.values().map(|held| held.spans_count).sum()
    }

    fn release(&mut self, trace: TraceId, is_sent: bool) -> Option<Judged> {
        if self.judged_order.len() >= JUDGED_MAX
            && let Some(oldest) = self.judged_order.pop_front()
        {
            self.judged.remove(&oldest);
        }
        self.judged.insert(trace, is_sent);
        self.judged_order.push_back(trace);
        let held = self.held.remove(&trace)?;
        self.order.remove(&held.place);
        self.held_bytes -= TRACE_BYTES + held.records.capacity();
        Some(Judged {
            is_sent,
            spans_count: held.spans_count,
            records: held.records,
        })
    }
}

impl Verdict {
    const fn of(is_sent: bool) -> Self {
        if is_sent { Self::Send } else { Self::Drop }
    }
}

#[cfg(test)]
mod tests {
    use ringlight_model::{CallsiteId, SpanId, SpanKind};

    use super::*;
    use crate::record::{Head, Record, SpanHeader};

    const MS: u64 = 1_000_000;

    #[derive(Clone, Copy, PartialEq)]
    enum Is {
        Child,
        Root,
        RemoteRoot,
        FailedChild,
    }

    /// A tail, and what came out of it: the spans sent, by number, and how many were dropped.
    struct Bench {
        tail: Tail,
        start: Instant,
        sent: Vec<u64>,
        dropped: u64,
        held: u64,
    }

    impl Bench {
        fn new(config: TailSampling) -> Self {
            Self {
                tail: Tail::new(config),
                start: Instant::now(),
                sent: Vec::new(),
                dropped: 0,
                held: 0,
            }
        }

        /// Nothing but the rules decides.
        fn strict() -> Self {
            Self::new(TailSampling {
                otherwise_ratio: 0.0,
                ..TailSampling::default()
            })
        }

        fn span(&mut self, trace: u128, number: u64, is: Is, duration_ms: u64, at_ms: u64) {
            let mut header =
                SpanHeader::new(CallsiteId::new(1), TraceId::new(trace), SpanId::new(number));
            let status = if is == Is::FailedChild {
                StatusCode::Error
            } else {
                StatusCode::Unset
            };
            header.head = Head::span(SpanKind::Internal, status, 1);
            header.parent_span_id = SpanId::new(if is == Is::Root { 0 } else { 99 });
            if is == Is::RemoteRoot {
                header.head = header.head.with_remote_parent();
            }
            header.start_unix_nano = 1;
            header.end_unix_nano = 1 + duration_ms * MS;
            let bytes: Vec<u8> = header
                .to_words()
                .into_iter()
                .flat_map(u64::to_le_bytes)
                .collect();
            let Ok(Record::Span(span)) = Record::parse(&bytes) else {
                panic!("not a span");
            };
            let now = self.start + Duration::from_millis(at_ms);
            let mut judged = Vec::new();
            match self.tail.take(&span, status, &bytes, now, &mut judged) {
                Verdict::Send => self.sent.push(number),
                Verdict::Drop => self.dropped += 1,
                Verdict::Hold => self.held += 1,
            }
            judged.into_iter().for_each(|judged| self.judge(&judged));
        }

        /// Lets time pass.
        fn pass(&mut self, at_ms: u64) {
            let now = self.start + Duration::from_millis(at_ms);
            while let Some(judged) = self.tail.judge_due(now) {
                self.judge(&judged);
            }
        }

        fn judge(&mut self, judged: &Judged) {
            let records: Vec<_> = judged.records().collect();
            assert_eq!(records.len() as u64, judged.spans_count);
            self.held -= judged.spans_count;
            for record in records {
                let Ok(Record::Span(span)) = Record::parse(record) else {
                    panic!("not a span");
                };
                if judged.is_sent {
                    self.sent.push(span.span_id().get());
                } else {
                    self.dropped += 1;
                }
            }
        }

        fn check(&self, sent: &[u64], dropped: u64, held: u64) {
            let mut all = self.sent.clone();
            all.sort_unstable();
            assert_eq!(
                (all.as_slice(), self.dropped, self.held),
                (sent, dropped, held)
            );
            assert_eq!(self.tail.held_count(), held);
            if held == 0 {
                assert_eq!(self.tail.held_bytes, 0);
                assert!(self.tail.order.is_empty());
            }
        }
    }

    #[test]
    fn a_trace_with_a_failed_span_is_sent_whole() {
        let mut bench = Bench::strict();
        bench.span(7, 1, Is::Child, 1, 0);
        bench.span(8, 2, Is::Child, 1, 0);
        bench.check(&[], 0, 2);
        bench.span(7, 3, Is::FailedChild, 1, 0);
        bench.check(&[1, 3], 0, 1);
        bench.span(7, 4, Is::Root, 1, 0);
        bench.span(8, 5, Is::Root, 1, 0);
        bench.pass(500);
        bench.check(&[1, 3, 4], 2, 0);
        // Late ones follow, but those that are worth it themselves.
        bench.span(7, 6, Is::Child, 1, 600);
        bench.span(8, 7, Is::Child, 1, 600);
        bench.span(8, 8, Is::FailedChild, 1, 600);
        bench.span(8, 9, Is::Child, 1, 600);
        bench.check(&[1, 3, 4, 6, 8, 9], 3, 0);
    }

    #[test]
    fn what_another_thread_recorded_before_the_root_closed_may_come_after_it() {
        let mut bench = Bench::strict();
        bench.span(7, 1, Is::Child, 1, 0);
        bench.span(7, 2, Is::Root, 1, 100);
        bench.pass(599);
        bench.check(&[], 0, 2);
        bench.span(7, 3, Is::FailedChild, 1, 599);
        bench.check(&[1, 2, 3], 0, 0);
    }

    #[test]
    fn a_slow_trace_is_sent() {
        let mut bench = Bench::strict();
        // What takes long within a trace that does not is nothing special: it went on beside it.
        bench.span(7, 1, Is::Child, 2000, 0);
        bench.span(7, 2, Is::Root, 999, 0);
        bench.span(8, 3, Is::Child, 1, 0);
        bench.span(8, 4, Is::RemoteRoot, 1000, 0);
        bench.pass(500);
        bench.check(&[3, 4], 2, 0);
    }

    #[test]
    fn of_the_others_a_share_is_sent_whatever_ids_are_made_of() {
        let spread = |n: u64| n * (u64::MAX / 999);
        let ids: [fn(u64) -> u128; 3] = [
            |n| u128::from(n * (u64::MAX / 999)) << 64 | 5,
            |n| u128::from(n * (u64::MAX / 999)),
            |n| u128::from(0x6560_0000_u64) << 96 | u128::from(n * (u64::MAX / 999)),
        ];
        assert_ne!(spread(1), spread(2));
        for id in ids {
            let mut bench = Bench::new(TailSampling {
                otherwise_ratio: 0.25,
                ..TailSampling::default()
            });
            for n in 0..1000_u64 {
                bench.span(id(n), 2 * n, Is::Child, 1, 0);
                bench.span(id(n), 2 * n + 1, Is::Root, 1, 0);
            }
            bench.pass(500);
            assert_eq!(bench.sent.len() as u64 + bench.dropped, 2000);
            let share = bench.sent.len() as f64 / 2000.0;
            assert!((share - 0.25).abs() < 0.05, "{share}");
        }
    }

    #[test]
    fn what_waited_long_enough_is_judged_by_what_is_known() {
        let mut bench = Bench::new(TailSampling {
            otherwise_ratio: 0.0,
            slower_than: Some(Duration::from_secs(11)),
            ..TailSampling::default()
        });
        bench.span(7, 1, Is::Child, 11_000, 0);
        bench.span(8, 2, Is::Child, 1, 5);
        bench.span(9, 3, Is::Child, 1, 6);
        bench.span(9, 4, Is::Root, 1, 7);
        let at = |ms| Some(bench.start + Duration::from_millis(ms));
        assert_eq!(bench.tail.next_due(), at(507));
        bench.pass(9_999);
        bench.check(&[], 2, 2);
        bench.pass(10_005);
        bench.check(&[1], 3, 0);
        assert_eq!(bench.tail.next_due(), None);
        // That it was slow shows when its root closes.
        bench.span(8, 5, Is::Root, 12_000, 12_000);
        bench.check(&[1, 5], 3, 0);
    }

    #[test]
    fn a_trace_that_goes_on_for_long_is_slow() {
        let mut bench = Bench::strict();
        bench.span(7, 1, Is::Child, 1, 0);
        bench.pass(10_000);
        bench.check(&[1], 0, 0);
    }

    #[test]
    fn there_is_never_more_than_there_is_room_for() {
        let bytes_max = 64 * 1024;
        let mut bench = Bench::new(TailSampling {
            otherwise_ratio: 1.0,
            bytes_max,
            ..TailSampling::default()
        });
        // One trace never ends, and others come and go or stay.
        for n in 0..20_000_u64 {
            bench.span(1, 10 * n, Is::Child, 1, n);
            bench.span(u128::from(n) + 2, 10 * n + 1, Is::Child, 1, n);
            if n.is_multiple_of(2) {
                bench.span(u128::from(n) + 2, 10 * n + 2, Is::Root, 1, n);
            }
            assert!(bench.tail.held_bytes <= bytes_max);
        }
        assert_eq!(bench.sent.len() as u64 + bench.held, 50_000);
        assert!(bench.tail.order.len() == bench.tail.held.len());
        assert!(bench.tail.judged.len() <= JUDGED_MAX);
        assert_eq!(bench.tail.judged.len(), bench.tail.judged_order.len());
        bench.pass(100_000);
        assert_eq!((bench.sent.len(), bench.dropped), (50_000, 0));
        assert_eq!((bench.tail.held_bytes, bench.tail.held_count()), (0, 0));
    }
}
