//! Searching while requests arrive, blocks are sealed and slices change.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;

const TRACES: u64 = 600;

#[test]
fn a_search_sees_all_that_was_acknowledged_before_it_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(StoreConfig {
        block_records: 64,
        block_age: Duration::from_millis(5),
        size_limit_bytes: 16 << 20,
        ..config(directory.path())
    });
    let (acknowledged, is_done) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1..=TRACES {
                let spans: Vec<_> = (1..=3).map(|id| span(n.into(), id, "x", T0 + n)).collect();
                add(&store, "s", &spans);
                add_logs(&store, "s", &[log(&n.to_string(), Severity::INFO, T0 + n)]);
                acknowledged.store(n, Ordering::Release);
            }
            is_done.store(true, Ordering::Release);
        });
        let mut searches = 0;
        while !is_done.load(Ordering::Acquire) || searches == 0 {
            let before = acknowledged.load(Ordering::Acquire);
            let page = store
                .search_traces(&TraceSearch {
                    limit: 1000,
                    ..traces_of("{ name = \"x\" }")
                })
                .unwrap();
            let found = ids(&page);
            assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), found.len());
            assert!((1..=before).all(|n| found.contains(&n.into())), "{before}");
            assert!(page.traces.iter().all(|trace| trace.span_count == 3));
            let page = store
                .search_logs(&LogSearch {
                    limit: 1000,
                    ..logs_of("")
                })
                .unwrap();
            let found = bodies(&page);
            assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), found.len());
            assert!(
                (1..=before).all(|n| found.contains(&n.to_string())),
                "{before}"
            );
            if before > 0 {
                let trace = store.trace(TraceId::new(before.into())).unwrap();
                assert_eq!(trace.spans.len(), 3);
            }
            searches += 1;
        }
    });
    flush(&store);
    let stats = store.stats();
    assert_eq!((stats.span_count, stats.log_count), (3 * TRACES, TRACES));
    assert_eq!(
        (stats.corrupt, stats.head_records, stats.head_bytes),
        (0, 0, 0)
    );
}

#[test]
fn the_same_spans_from_many_threads_at_once_are_stored_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(StoreConfig {
        block_records: 64,
        ..config(directory.path())
    });
    let stored: u64 = std::thread::scope(|scope| {
        let sender = || {
            let mut stored = 0;
            for n in 1..=100_u64 {
                let spans: Vec<_> = (1..=5).map(|id| span(n.into(), id, "x", T0 + n)).collect();
                stored += add(&store, "s", &spans).stored;
            }
            stored
        };
        let senders: Vec<_> = (0..4).map(|_| scope.spawn(sender)).collect();
        senders
            .into_iter()
            .map(|sender| sender.join().unwrap())
            .sum()
    });
    assert_eq!(stored, 500);
    let instance = &store.stored_by_instance()[0];
    assert_eq!((instance.spans, instance.spans_duplicate), (500, 1500));
    flush(&store);
    assert_eq!(store.stats().span_count, 500);
}
