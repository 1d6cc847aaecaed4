//! What is kept of open spans, for how long, and what it is said to be.

use ringlight_otlp::encode;
use ringlight_otlp::open_report::Round;

use super::*;

const SECOND: u64 = 1_000_000_000;
const TRACE: TraceId = TraceId::new(7);

/// What the store was last shown, by source.
#[derive(Default)]
struct Shown(HashMap<u64, Vec<u64>>);

impl Shown {
    fn show(&mut self, source: u64, request: &[u8]) {
        let mut ids = Ids::default();
        OtlpDecoder::new(Limits::default())
            .walk(Signal::Traces, request, &mut ids)
            .unwrap();
        let mut spans: Vec<_> = ids.0.iter().map(|(_, span)| span.get()).collect();
        spans.sort_unstable();
        self.0.insert(source, spans);
    }

    fn all(&self) -> Vec<u64> {
        let mut all: Vec<_> = self.0.values().flatten().copied().collect();
        all.sort_unstable();
        all
    }
}

fn scope_spans(span_id: u64, name: &str) -> Vec<u8> {
    let mut buf = Vec::new();
    let span = Span {
        trace_id: TRACE,
        span_id: SpanId::new(span_id),
        name: name.into(),
        ..Span::default()
    };
    encode::span(&mut buf, &span);
    buf
}

fn open_span(span_id: u64) -> OpenSpan<'static> {
    OpenSpan {
        trace_id: TRACE,
        span_id: SpanId::new(span_id),
        scope_spans: scope_spans(span_id, "open").into(),
    }
}

fn report(sender: &'static str, number: u64, spans: &[u64]) -> OpenReport<'static> {
    OpenReport {
        resource: &[],
        round: Round {
            sender: sender.into(),
            number,
            interval_ms: 2000,
            ..Round::default()
        },
        spans: spans.iter().map(|&span| open_span(span)).collect(),
    }
}

struct Bench {
    open: OpenSpans,
    shown: Shown,
}

impl Bench {
    fn new() -> Self {
        Self {
            open: OpenSpans::default(),
            shown: Shown::default(),
        }
    }

    fn take(&mut self, report: &OpenReport<'_>, now: u64) -> Taken {
        let shown = &mut self.shown;
        self.open
            .take(report, now, |source, request| shown.show(source, request))
    }

    fn sweep(&mut self, now: u64) {
        let shown = &mut self.shown;
        self.open
            .sweep(now, |source, request| shown.show(source, request));
    }

    /// Of spans that the store shows as open.
    fn lost_count(&self, spans: &[u64], now: u64) -> u64 {
        let spans: Vec<_> = spans.iter().map(|&span| SpanId::new(span)).collect();
        self.open.lost_count(TRACE, &spans, now)
    }

    fn progress(&self, span: u64, now: u64) -> Progress {
        self.open.progress((TRACE, SpanId::new(span)), now)
    }
}

#[test]
fn a_round_takes_the_place_of_the_one_before_it_only() {
    let mut bench = Bench::new();
    let taken = bench.take(&report("a", 2, &[1, 2]), SECOND);
    assert_eq!((taken.spans, taken.refused), (2, 0));
    bench.take(&report("b", 1, &[9]), SECOND);
    assert_eq!(bench.shown.all(), [1, 2, 9]);
    // It was overtaken on its way.
    let late = bench.take(&report("a", 1, &[5]), SECOND);
    assert_eq!(late, Taken::default());
    assert_eq!(bench.shown.all(), [1, 2, 9]);
    bench.take(&report("a", 3, &[2, 3]), SECOND);
    assert_eq!(
        bench.shown.all(),
        [1, 2, 3, 9],
        "the record of 1 is on its way"
    );
}

#[test]
fn a_span_that_closed_and_did_not_arrive_is_forgotten_after_a_while() {
    let mut bench = Bench::new();
    bench.take(&report("a", 1, &[1, 2]), SECOND);
    for round in 2..=7 {
        bench.take(&report("a", round, &[2]), SECOND * 2 * round);
    }
    assert_eq!(bench.shown.all(), [2]);
    // The last one has closed as well, and the client says nothing any more.
    bench.take(&report("a", 8, &[]), SECOND * 16);
    assert_eq!(bench.shown.all(), [2]);
    assert_eq!(bench.progress(2, SECOND * 17), Progress::InProgress);
    bench.sweep(SECOND * 40);
    assert!(bench.shown.all().is_empty());
    assert_eq!(bench.open.clients().by_sender.len(), 0);
    assert_eq!(bench.open.clients().bytes, 0);
}

#[test]
fn what_was_open_when_its_client_ended_or_fell_silent_is_lost() {
    let mut bench = Bench::new();
    let mut last = report("a", 1, &[1]);
    last.round.is_final = true;
    bench.take(&last, SECOND);
    bench.take(&report("b", 1, &[2]), SECOND);
    assert_eq!(bench.progress(1, 2 * SECOND), Progress::Lost);
    assert_eq!(bench.progress(2, 2 * SECOND), Progress::InProgress);
    assert_eq!(bench.lost_count(&[1, 2], 2 * SECOND), 1);
    assert_eq!(bench.progress(2, 12 * SECOND), Progress::Lost);
    assert_eq!(bench.lost_count(&[1, 2], 12 * SECOND), 2);
    let of_another = bench
        .open
        .lost_count(TraceId::new(8), &[SpanId::new(1)], 12 * SECOND);
    assert_eq!(of_another, 0);
    // It was only slow.
    bench.take(&report("b", 2, &[2]), 13 * SECOND);
    assert_eq!(bench.progress(2, 14 * SECOND), Progress::InProgress);
    bench.sweep(13 * SECOND + LOST_KEPT.as_nanos() as u64);
    assert_eq!(bench.shown.all(), [2]);
    bench.sweep(14 * SECOND + LOST_KEPT.as_nanos() as u64);
    assert!(bench.shown.all().is_empty());
}

#[test]
fn a_span_that_was_stored_meanwhile_is_not_lost() {
    let mut bench = Bench::new();
    let mut last = report("a", 1, &[1, 2]);
    last.round.is_final = true;
    bench.take(&last, SECOND);
    bench.take(&report("b", 1, &[3]), SECOND);
    // The record of 1 came after the last report; the store shows the others.
    assert_eq!(bench.lost_count(&[2, 3], 2 * SECOND), 1);
    assert_eq!(bench.lost_count(&[], 2 * SECOND), 0);
}

#[test]
fn a_span_is_that_of_the_client_that_reported_it_first() {
    let mut bench = Bench::new();
    bench.take(&report("a", 1, &[1]), SECOND);
    let taken = bench.take(&report("b", 1, &[1, 2]), SECOND);
    assert_eq!((taken.spans, taken.refused), (1, 1));
    // It closed there; now the other one may.
    bench.take(&report("a", 2, &[]), 2 * SECOND);
    let taken = bench.take(&report("b", 2, &[1, 2]), 40 * SECOND);
    assert_eq!((taken.spans, taken.refused), (2, 0));
    assert_eq!(bench.shown.all(), [1, 2]);
}

#[test]
fn a_long_interval_is_a_long_silence_within_bounds() {
    let mut bench = Bench::new();
    let mut slow = report("a", 1, &[1]);
    slow.round.interval_ms = 60_000;
    bench.take(&slow, 0);
    assert_eq!(bench.progress(1, 200 * SECOND), Progress::InProgress);
    assert_eq!(bench.progress(1, 300 * SECOND), Progress::Lost);
    let mut absurd = report("b", 1, &[2]);
    absurd.round.interval_ms = u64::MAX;
    bench.take(&absurd, 0);
    assert_eq!(bench.progress(2, 15_000 * SECOND), Progress::Lost);
}

#[test]
fn what_is_not_the_span_it_says_is_refused() {
    let mut bench = Bench::new();
    let mut bad = report("a", 1, &[1, 2, 3, 4]);
    bad.spans[0].scope_spans = scope_spans(9, "another").into();
    bad.spans[1].scope_spans = vec![0xff].into();
    let two = [scope_spans(3, "one"), scope_spans(4, "too many")].concat();
    bad.spans[2].scope_spans = two.into();
    let taken = bench.take(&bad, SECOND);
    assert_eq!((taken.spans, taken.refused), (1, 3));
    assert_eq!(bench.shown.all(), [4]);
}

#[test]
fn of_a_report_so_many_spans_are_looked_at() {
    let mut bench = Bench::new();
    let many: Vec<u64> = (1..=OPEN_SPANS_MAX as u64 + 10).collect();
    let mut bad = report("a", 1, &many);
    for span in &mut bad.spans[..OPEN_SPANS_MAX] {
        span.scope_spans = vec![0xff].into();
    }
    let taken = bench.take(&bad, SECOND);
    assert_eq!(
        (taken.spans, taken.refused),
        (0, OPEN_SPANS_MAX as u64 + 10)
    );
    assert!(bench.shown.all().is_empty());
}

#[test]
fn clients_spans_and_bytes_are_bounded() {
    let mut bench = Bench::new();
    let many: Vec<u64> = (1..=OPEN_SPANS_MAX as u64 + 10).collect();
    let taken = bench.take(&report("a", 1, &many), SECOND);
    assert_eq!((taken.spans, taken.refused), (OPEN_SPANS_MAX as u64, 10));

    for number in 0..OPEN_CLIENTS_MAX as u64 {
        let mut one = report("", 1, &[10_000 + number]);
        one.round.sender = format!("client {number}").into();
        bench.take(&one, SECOND * 2 + number);
    }
    assert_eq!(bench.open.clients().by_sender.len(), OPEN_CLIENTS_MAX);
    assert!(
        !bench.open.clients().by_sender.contains_key("a"),
        "the oldest"
    );

    let mut large = report("large", 1, &[1]);
    large.spans[0].scope_spans = scope_spans(1, &"x".repeat(OPEN_BYTES_MAX / 2)).into();
    bench.take(&large, 3 * SECOND);
    assert!(bench.open.clients().by_sender.len() > 1);
    large.spans[0] = OpenSpan {
        span_id: SpanId::new(2),
        scope_spans: scope_spans(2, &"x".repeat(OPEN_BYTES_MAX / 2)).into(),
        ..open_span(2)
    };
    large.round.sender = "larger".into();
    bench.take(&large, 4 * SECOND);
    let clients = bench.open.clients();
    assert!(clients.bytes <= OPEN_BYTES_MAX && clients.by_sender.contains_key("larger"));
    let spans = clients.by_sender.values().flat_map(|client| &client.spans);
    let counted: usize = spans.clone().map(|(_, kept)| kept.scope_spans.len()).sum();
    assert_eq!(counted, clients.bytes);
    assert_eq!(spans.count(), clients.sender_of.len());
}
