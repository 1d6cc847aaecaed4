//! Tail sampling: what is kept back, what is sent of it, and that every span is accounted for.

use std::time::Duration;

use crate::support::{Answer, PATIENCE, Scripted, config, start, traces, wait_for_traces};
use ringlight_collector::record::{Head, SpanHeader, copy_words};
use ringlight_collector::{CollectorConfig, Notice, Notices, Recorder, TailSampling};
use ringlight_model::{CallsiteId, DropReason, Signal, SpanId, SpanKind, StatusCode, TraceId};

const MS: u64 = 1_000_000;

/// Nothing but errors and what takes 100 ms.
fn tail_sampled(wait_max: Duration) -> CollectorConfig {
    CollectorConfig {
        tail_sampling: Some(TailSampling {
            slower_than: Some(Duration::from_millis(100)),
            otherwise_ratio: 0.0,
            wait_max,
            ..TailSampling::default()
        }),
        ..config()
    }
}

/// Hands over span `number` of a trace; a root if it has no parent.
fn span(recorder: &Recorder, trace: u128, number: u64, parent: u64, status: StatusCode, ms: u64) {
    let callsite = CallsiteId::new(0);
    let mut header = SpanHeader::new(callsite, TraceId::new(trace), SpanId::new(number));
    header.head = Head::span(SpanKind::Internal, status, 1);
    header.parent_span_id = SpanId::new(parent);
    header.start_unix_nano = 1;
    header.end_unix_nano = 1 + ms * MS;
    let words = header.to_words();
    assert!(
        recorder.record(Signal::Traces, words.len() * 8, |room| copy_words(
            words, room
        ))
    );
}

/// Two spans of each of these traces: one in order, one that fails, one that is slow.
fn three_traces(recorder: &Recorder) {
    use StatusCode::{Error, Unset};
    span(recorder, 1, 11, 10, Unset, 1);
    span(recorder, 2, 21, 20, Error, 1);
    span(recorder, 3, 31, 30, Unset, 1);
    span(recorder, 1, 10, 0, Unset, 99);
    span(recorder, 2, 20, 0, Unset, 1);
    span(recorder, 3, 30, 0, Unset, 100);
}

fn ids(backend: &Scripted) -> Vec<u64> {
    let mut ids = backend.span_numbers();
    ids.sort_unstable();
    ids
}

#[test]
fn errors_and_slow_traces_are_sent_whole_and_the_rest_is_counted() {
    let backend = Scripted::new("backend", Answer::Ok);
    let (notices, told) = std::sync::mpsc::channel();
    let pipeline = start(
        CollectorConfig {
            notices: Notices::new(move |notice: &Notice| drop(notices.send(notice.clone()))),
            ..tail_sampled(Duration::from_secs(3600))
        },
        &[&backend],
    );
    three_traces(&pipeline.recorder());
    let account = wait_for_traces(&pipeline, |account| account.in_flight == 0);
    assert_eq!(account.exported, 4);
    assert_eq!(account.dropped[DropReason::TailSampled], 2);
    assert_eq!(ids(&backend), [20, 21, 30, 31]);
    pipeline.shutdown(PATIENCE);
    assert_eq!(told.try_recv().ok(), None, "nothing was lost");
}

#[test]
fn what_is_kept_back_is_in_flight_until_a_flush_or_the_end_judges_it() {
    let backend = Scripted::new("backend", Answer::Ok);
    let pipeline = start(tail_sampled(Duration::from_secs(3600)), &[&backend]);
    let recorder = pipeline.recorder();
    span(&recorder, 1, 11, 10, StatusCode::Unset, 100);
    span(&recorder, 2, 21, 20, StatusCode::Unset, 1);
    // A failed trace behind them, so that it is known when they have been looked at.
    span(&recorder, 3, 31, 30, StatusCode::Error, 1);
    let account = wait_for_traces(&pipeline, |account| account.exported == 1);
    assert_eq!(account.in_flight, 2);
    pipeline.flush(PATIENCE).unwrap();
    let account = traces(&pipeline);
    assert_eq!((account.exported, account.in_flight), (2, 0));
    assert_eq!(account.dropped[DropReason::TailSampled], 1);

    // Late spans follow; new traces are judged at the end.
    span(&recorder, 1, 10, 0, StatusCode::Unset, 1);
    span(&recorder, 2, 20, 0, StatusCode::Unset, 500);
    span(&recorder, 4, 41, 40, StatusCode::Unset, 100);
    let ledger = pipeline.shutdown(PATIENCE);
    let account = *ledger.account(Signal::Traces);
    assert!(account.balances(), "{account:?}");
    // Of a trace that was not sent, what is slow itself is sent all the same.
    assert_eq!((account.exported, account.in_flight), (5, 0));
    assert_eq!(ids(&backend), [10, 11, 20, 31, 41]);
}

#[test]
fn a_trace_that_does_not_end_is_judged_in_time() {
    let backend = Scripted::new("backend", Answer::Ok);
    let mut config = tail_sampled(Duration::from_millis(5));
    if let Some(tail) = &mut config.tail_sampling {
        tail.slower_than = Some(Duration::from_secs(3600));
    }
    let pipeline = start(config, &[&backend]);
    let recorder = pipeline.recorder();
    span(&recorder, 1, 11, 10, StatusCode::Unset, 3_600_000);
    span(&recorder, 2, 21, 20, StatusCode::Unset, 1);
    let account = wait_for_traces(&pipeline, |account| account.in_flight == 0);
    assert_eq!(account.exported, 1);
    assert_eq!(ids(&backend), [11]);
}

#[test]
fn an_end_without_a_backend_accounts_for_what_is_kept_back() {
    let backend = Scripted::new("backend", Answer::Never);
    let pipeline = start(tail_sampled(Duration::from_secs(3600)), &[&backend]);
    three_traces(&pipeline.recorder());
    span(&pipeline.recorder(), 4, 41, 40, StatusCode::Unset, 100);
    pipeline.shutdown(Duration::from_millis(50));
    // On a busy machine the collector may end a little later than that.
    let account = wait_for_traces(&pipeline, |account| account.in_flight == 0);
    assert_eq!((account.exported, account.dropped_total()), (0, 7));
}
