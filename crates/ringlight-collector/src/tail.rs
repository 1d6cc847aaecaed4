//! Tail sampling: finished spans are kept back until their trace can be judged.
//!
//! A trace is judged when its local root has closed, at once when a span of it fails, and else when
//! it has been kept back for long enough, when there is no more room, or at a flush. Spans that come
//! later follow the judgement, which is remembered for a while.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use ringlight_model::{StatusCode, TraceId};
use tokio::time::Instant;

use crate::config::{CollectorConfigError, duration, number};
use crate::record::SpanRecord;

/// Judgements that are remembered.
const JUDGED_MAX: usize = 16_384;
/// Bytes of a kept back trace beside its records: entries here and there, buffers half full.
const TRACE_BYTES: usize = 256;

/// Which of the recorded traces are sent, judged by how they went. Spans that were not recorded in
/// the first place, by head sampling, are nothing it can judge.
///
/// A trace is what this process saw of it: each process judges for itself. Log records are sent
/// whatever becomes of their trace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TailSampling {
    /// Whether traces with a failed span are sent. Default yes.
    pub errors: bool,
    /// Traces whose local root, or any span if that is still open when they are judged, took at
    /// least this long are sent. Default 1 s; `None` for no such rule.
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
    /// Its place in the order.
    number: u64,
    since: Instant,
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
    /// The same traces in the order they were first met, by number.
    order: BTreeMap<u64, TraceId>,
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

    /// Takes a span in. What becomes of it is returned; traces that can be judged now, because of it
    /// or because there is no more room, are added to `judged`.
    pub(crate) fn take(
        &mut self,
        span: &SpanRecord<'_>,
        bytes: &[u8],
        now: Instant,
        judged: &mut Vec<Judged>,
    ) -> Verdict {
        let trace = span.trace_id();
        if let Some(is_sent) = self.judged.get(&trace) {
            return Verdict::of(*is_sent);
        }
        let nanos = span.end_unix_nano().saturating_sub(span.start_unix_nano());
        let is_failed = self.config.errors && span.head().status() == StatusCode::Error;
        if is_failed || is_local_root(span) {
            let is_sent = is_failed || self.is_sent(trace, nanos);
            judged.extend(self.release(trace, is_sent));
            return Verdict::of(is_sent);
        }
        self.hold(trace, bytes, nanos, now);
        while self.held_bytes > self.config.bytes_max
            && let Some(oldest) = self.judge_oldest()
        {
            judged.push(oldest);
        }
        Verdict::Hold
    }

    fn hold(&mut self, trace: TraceId, bytes: &[u8], nanos: u64, now: Instant) {
        let number = self.next_number;
        let (order, held_bytes) = (&mut self.order, &mut self.held_bytes);
        let held = self.held.entry(trace).or_insert_with(|| {
            order.insert(number, trace);
            *held_bytes += TRACE_BYTES;
            Held {
                number,
                since: now,
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

    /// Whether a trace is sent that took so long and did not fail.
    fn is_sent(&self, trace: TraceId, nanos: u64) -> bool {
        let is_slow = |limit: Duration| u128::from(nanos) >= limit.as_nanos();
        self.config.slower_than.is_some_and(is_slow) || self.is_among_others(trace)
    }

    /// Whether a trace is among the share that is sent of those that are nothing special.
    fn is_among_others(&self, trace: TraceId) -> bool {
        // The other half of the id than a head sampler goes by, else those it took would be all
        // those that are taken here.
        let position = (trace.get() >> 64) as u64 as f64 / 2_f64.powi(64);
        position < self.config.otherwise_ratio
    }

    /// The judgement of the trace that has waited longest, if that is long enough by now.
    pub(crate) fn judge_due(&mut self, now: Instant) -> Option<Judged> {
        if self.next_due()? > now {
            return None;
        }
        self.judge_oldest()
    }

    /// When the next trace has waited long enough.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let (_, trace) = self.order.first_key_value()?;
        Some(self.held.get(trace)?.since + self.config.wait_max)
    }

    /// The judgement of the trace that has waited longest, by what is known of it.
    pub(crate) fn judge_oldest(&mut self) -> Option<Judged> {
        let trace = *self.order.first_key_value()?.1;
        let nanos = self.held.get(&trace)?.longest_nano;
        self.release(trace, self.is_sent(trace, nanos))
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
        self.order.remove(&held.number);
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
            match self.tail.take(&span, &bytes, now, &mut judged) {
                Verdict::Send => self.sent.push(number),
                Verdict::Drop => self.dropped += 1,
                Verdict::Hold => self.held += 1,
            }
            judged.into_iter().for_each(|judged| self.judge(&judged));
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
        // Late ones follow.
        bench.span(7, 6, Is::Child, 1, 0);
        bench.span(8, 7, Is::FailedChild, 1, 0);
        bench.check(&[1, 3, 4, 6], 3, 0);
    }

    #[test]
    fn a_slow_trace_is_sent() {
        let mut bench = Bench::strict();
        // What takes long within a trace that does not is nothing special: it went on beside it.
        bench.span(7, 1, Is::Child, 2000, 0);
        bench.span(7, 2, Is::Root, 999, 0);
        bench.span(8, 3, Is::Child, 1, 0);
        bench.span(8, 4, Is::RemoteRoot, 1000, 0);
        bench.check(&[3, 4], 2, 0);
    }

    #[test]
    fn of_the_others_a_share_is_sent() {
        let mut bench = Bench::new(TailSampling {
            otherwise_ratio: 0.25,
            ..TailSampling::default()
        });
        for n in 0..1000_u64 {
            let trace = u128::from(n * (u64::MAX / 999)) << 64 | u128::from(n);
            bench.span(trace, 2 * n, Is::Child, 1, 0);
            bench.span(trace, 2 * n + 1, Is::Root, 1, 0);
        }
        assert_eq!(bench.sent.len(), 2 * 250);
        assert_eq!(bench.dropped, 2 * 750);
    }

    #[test]
    fn what_waited_long_enough_is_judged_by_what_is_known() {
        let mut bench = Bench::strict();
        bench.span(7, 1, Is::Child, 1500, 0);
        bench.span(8, 2, Is::Child, 1, 5);
        bench.span(9, 3, Is::Child, 1, 6);
        bench.span(9, 4, Is::Root, 1, 7);
        let at = |ms| Some(bench.start + Duration::from_millis(ms));
        assert_eq!(bench.tail.next_due(), at(10_000));
        let (early, late) = (at(9_999).unwrap(), at(10_005).unwrap());
        assert!(bench.tail.judge_due(early).is_none());
        while let Some(judged) = bench.tail.judge_due(late) {
            bench.judge(&judged);
        }
        bench.check(&[1], 3, 0);
        assert_eq!(bench.tail.next_due(), None);
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
        while let Some(judged) = bench.tail.judge_oldest() {
            bench.judge(&judged);
        }
        assert_eq!((bench.sent.len(), bench.dropped), (50_000, 0));
        assert_eq!((bench.tail.held_bytes, bench.tail.held_count()), (0, 0));
    }
}
