//! Numbered records, a backend that fails at random, and the question whether the client's ledger
//! says what the backend saw, to the record.

use std::collections::{BTreeMap, BTreeSet};

use ringlight_collector::{CollectorConfig, OverflowPolicy};
use ringlight_export::OtlpConfig;
use ringlight_model::Signal;
use ringlight_testing::{Backend, Code, Received, Reply, wholes};

use crate::support::{PATIENCE, PROTOCOLS, Protocol, config, record_span, start};

const RECORDS: u64 = 3_000;

/// Replies of a bad day. Records are never lost between an answer and the ledger, so each of them
/// has one right account.
fn bad_day(seed: u64, protocol: Protocol) -> Vec<Reply> {
    let mut random = fastrand::Rng::with_seed(seed);
    let replies = (0..40).map(|_| match random.u32(..14) {
        0 => Reply::Reset,
        1 => Reply::TakeAndReset,
        2 => Reply::Grpc(Code::UNAVAILABLE, None),
        3 if protocol == Protocol::Grpc => Reply::Grpc(Code::INVALID_ARGUMENT, None),
        3 => Reply::Http(400, None),
        4 => Reply::Partial {
            rejected: 2,
            message: "two of them",
        },
        5 => Reply::Garbage,
        6 => Reply::Delayed(std::time::Duration::from_millis(2)),
        7 => Reply::Http(503, Some("0".to_owned())),
        8 => Reply::Cut,
        _ => Reply::Ok,
    });
    replies.collect()
}

fn check(seed: u64, protocol: Protocol) {
    let backend = Backend::start();
    backend.script(bad_day(seed, protocol));
    let pipeline = start(
        CollectorConfig {
            batch_records_max: 50,
            policy: OverflowPolicy::Block,
            ..config()
        },
        protocol.exporter(&OtlpConfig::new(backend.url())),
    );
    std::thread::scope(|scope| {
        for thread in 0..3 {
            let recorder = pipeline.recorder();
            scope.spawn(move || {
                for number in 0..RECORDS / 3 {
                    assert!(record_span(&recorder, thread * (RECORDS / 3) + number + 1));
                    if number % 100 == 0 {
                        std::thread::yield_now();
                    }
                }
            });
        }
    });
    pipeline.flush(PATIENCE).unwrap();
    let ledger = pipeline.shutdown(PATIENCE);
    let account = ledger.account(Signal::Traces);
    let context = format!("seed {seed}, {protocol:?}: {account:?}");
    assert!(account.balances(), "{context}");
    assert_eq!(account.submitted, RECORDS, "{context}");
    assert_eq!(
        (account.in_flight, account.dropped_total()),
        (0, 0),
        "{context}"
    );

    // The answers to earlier attempts may have been lost with their connection; the last one was
    // heard, or there would have been another.
    let seen = backend.stop();
    let mut batches: BTreeMap<&str, &Received> = BTreeMap::new();
    for request in seen.data() {
        if let Some(earlier) = batches.insert(request.batch_id(), request) {
            assert_eq!(
                earlier.body, request.body,
                "a batch never changes; {context}"
            );
        }
    }
    // What failed while others were taken was tried in halves, which then have its account.
    let halved: BTreeSet<String> = batches.keys().flat_map(|id| wholes(id)).collect();
    let (mut exported, mut rejected) = (0, 0);
    let mut numbers = Vec::new();
    for (_, request) in batches.iter().filter(|(id, _)| !halved.contains(**id)) {
        let spans = numbers_of(request);
        let records = spans.len() as u64;
        numbers.extend(spans);
        match &request.reply {
            Reply::Partial { rejected: some, .. } => {
                let some = some.cast_unsigned().min(records);
                rejected += some;
                exported += records - some;
            }
            Reply::Grpc(Code::INVALID_ARGUMENT, _) | Reply::Http(400, _) => rejected += records,
            Reply::Ok | Reply::Garbage | Reply::Delayed(_) => exported += records,
            other => panic!("{other:?} was the last answer to a batch; {context}"),
        }
    }
    assert_eq!(
        (account.exported, account.rejected),
        (exported, rejected),
        "{context}"
    );
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=RECORDS).collect::<Vec<_>>(), "{context}");
}

fn numbers_of(request: &Received) -> Vec<u64> {
    let resources = request.traces().resource_spans.into_iter();
    let scopes = resources.flat_map(|resource| resource.scope_spans);
    let ids = scopes
        .flat_map(|scope| scope.spans)
        .map(|span| span.span_id);
    ids.map(|id| u64::from_be_bytes(id.try_into().unwrap()))
        .collect()
}

#[test]
fn the_ledger_says_what_the_backend_saw() {
    for protocol in PROTOCOLS {
        for seed in 0..12 {
            check(seed, protocol);
        }
    }
}
