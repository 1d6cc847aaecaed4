//! What searches read, and when they stop.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::{SearchError, SearchStats};

const BLOCKS: u64 = 8;

/// A block for each of the first numbers, made of ten traces of `spans` and as many log records.
fn in_blocks(spans: impl Fn(u64, u64) -> Vec<Span<'static>>) -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    for block in 0..BLOCKS {
        let spans: Vec<_> = (1..=10)
            .flat_map(|n| spans(block, block * 10 + n))
            .collect();
        add(&store, "s", &spans);
        let line = log("line", Severity::INFO, T0 + block * SECOND);
        add_logs(&store, "s", &[line]);
        flush(&store);
    }
    (directory, store)
}

fn numbered(block: u64, n: u64) -> Vec<Span<'static>> {
    let start = T0 + block * SECOND + n * MS;
    let root = span(n.into(), 1, &format!("step {block}"), start);
    let root = with(root, KeyValue::new("n", n.cast_signed()));
    vec![with(root, KeyValue::new("share", n as f64 / 10.0))]
}

fn stats(store: &Store, query: &str) -> (usize, SearchStats) {
    let page = search(store, query);
    (page.traces.len(), page.stats)
}

#[test]
fn a_cancelled_search_reads_no_further_block() {
    let (_directory, store) = in_blocks(numbered);
    let asked = Arc::new(AtomicU64::new(0));
    let at = |count: u64| {
        let asked = Arc::clone(&asked);
        asked.store(0, Ordering::Relaxed);
        Cancel::when(move || asked.fetch_add(1, Ordering::Relaxed) + 1 >= count)
    };
    let search = |cancel| TraceSearch {
        cancel,
        ..traces_of("{ span.n =~ \"[a-z]+\" }")
    };
    let whole = store.search_traces(&search(at(u64::MAX))).unwrap();
    assert_eq!(whole.stats.blocks_read, BLOCKS);
    assert!(asked.load(Ordering::Relaxed) >= BLOCKS);
    for count in 1..=BLOCKS {
        let cancelled = store.search_traces(&search(at(count)));
        assert!(matches!(cancelled, Err(SearchError::Cancelled)), "{count}");
        // Asked before each block, and once more where two threads look through blocks.
        let asked = asked.load(Ordering::Relaxed);
        assert!((count..count + 2).contains(&asked), "{asked} for {count}");
    }
    // Each block is read once for what it finds and once for what is shown.
    for count in 1..=2 * BLOCKS {
        let cancelled = store.search_logs(&LogSearch {
            cancel: at(count),
            ..logs_of("{ severity = info }")
        });
        assert!(matches!(cancelled, Err(SearchError::Cancelled)), "{count}");
        assert_eq!(asked.load(Ordering::Relaxed), count);
    }
}

#[test]
fn a_search_is_cancelled_while_it_gathers_a_trace() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    for block in 0..BLOCKS {
        let parent = u64::from(block > 0);
        let part = child(1, block + 1, parent, "part", T0 + block * SECOND);
        add(&store, "s", &[part]);
        flush(&store);
    }
    let asked = Arc::new(AtomicU64::new(0));
    let mut search = traces_of("{ span:parentID = nil }");
    let cancelled_at = |search: &mut TraceSearch, count: u64| {
        asked.store(0, Ordering::Relaxed);
        let asked = Arc::clone(&asked);
        search.cancel = Cancel::when(move || asked.fetch_add(1, Ordering::Relaxed) + 1 >= count);
        store.search_traces(search)
    };
    let page = cancelled_at(&mut search, u64::MAX).unwrap();
    assert_eq!(page.traces[0].span_count, BLOCKS);
    let asked_by_all = asked.load(Ordering::Relaxed);
    // Once for each block that is looked through and for each the trace is gathered from.
    assert!(asked_by_all >= 2 * BLOCKS, "{asked_by_all}");
    for count in 1..=asked_by_all {
        let page = cancelled_at(&mut search, count);
        assert!(matches!(page, Err(SearchError::Cancelled)), "{count}");
    }
}

#[test]
fn only_blocks_that_have_such_numbers_are_read() {
    let (directory, store) = in_blocks(numbered);
    let check = |store: &Store, query: &str, traces: usize, blocks: u64| {
        let (found, stats) = stats(store, query);
        assert_eq!((found, stats.blocks_read), (traces, blocks), "{query}");
    };
    let check_all = |store: &Store| {
        check(store, "{ span.n > 70.5 }", 10, 1);
        check(store, "{ .n >= 70 }", 11, 2);
        check(store, "{ span.n < 0.5 }", 0, 0);
        check(store, "{ span.n = 15 }", 1, 1);
        check(store, "{ span.share <= 0.15 }", 1, 1);
        check(store, "{ span.share > 7.95 && span.n > 0 }", 1, 1);
        check(store, "{ resource.n > 0 }", 0, 0);
        check(store, "{ span.n > 75 || span.n < 5 }", 9, 2);
    };
    check_all(&store);
    drop(store);
    check_all(&open(config(directory.path())));
}

#[test]
fn only_blocks_with_a_name_that_can_match_are_read() {
    let (_directory, store) = in_blocks(numbered);
    for (query, traces, blocks) in [
        ("{ name =~ \"step [23]\" }", 20, 2),
        ("{ name =~ \"nothing.*\" }", 0, 0),
        ("{ name !~ \"step [0-6]\" }", 10, 1),
        ("{ !(name != \"step 5\") && duration > 1ms }", 10, 1),
        (
            "{ name = \"step 1\" || (name = \"step 2\" && span.n = 25) }",
            11,
            2,
        ),
    ] {
        let (found, stats) = stats(&store, query);
        assert_eq!((found, stats.blocks_read), (traces, blocks), "{query}");
    }
}

#[test]
fn traces_that_match_as_a_whole_are_found_among_many_that_do_not() {
    // Trace 33 goes on in the block after the one it begins in, trace 78 is long in itself.
    let (_directory, store) = in_blocks(|block, n| {
        let mut spans = numbered(block, n);
        if n == 41 {
            spans.push(child(33, 2, 1, "late", T0 + block * SECOND));
        }
        if n == 78 {
            spans.push(child(78, 2, 1, "long", T0 + block * SECOND + 500 * MS));
        }
        spans
    });
    assert_eq!(found(&store, "{ traceDuration > 200ms }"), [78, 33]);
    assert_eq!(
        found(&store, "{ traceDuration > 200ms && name = \"late\" }"),
        [33]
    );
    // By the number of spans, by one of them and the root, and nothing at all.
    assert_eq!(found(&store, "{ duration > 1ms } | count() > 1"), [78, 33]);
    assert_eq!(
        found(&store, "{ rootServiceName = \"s\" && name = \"late\" }"),
        [33]
    );
    let none = search(&store, "{ rootServiceName = \"s\" && span.n > 1000 }");
    assert_eq!((none.traces.len(), none.stats.blocks_total), (0, BLOCKS));
    let first = TraceSearch {
        limit: 1,
        ..traces_of("{ traceDuration > 200ms }")
    };
    let page = store.search_traces(&first).unwrap();
    assert_eq!(ids(&page), [78]);
    let second = TraceSearch {
        cursor: page.next,
        ..first
    };
    assert_eq!(ids(&store.search_traces(&second).unwrap()), [33]);
    // In a window that has only a part of the trace.
    let later = TraceSearch {
        from_unix_nano: Some(T0 + 4 * SECOND),
        to_unix_nano: Some(T0 + 5 * SECOND),
        ..traces_of("{ traceDuration > 200ms }")
    };
    assert_eq!(ids(&store.search_traces(&later).unwrap()), [33]);
}
