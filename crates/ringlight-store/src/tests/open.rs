//! Spans that are still open: shown beside what is stored, and never twice.

use super::*;
use crate::OPEN_SOURCES_MAX;

/// Shows spans of a service as open and waits until searches see it.
fn show(store: &Store, source: u64, spans: &[Span<'_>]) {
    store.show_open(source, &span_request("s", spans)).unwrap();
    // The writer does one thing after the other.
    store.ask(|reply| Message::HoldSeals(false, reply));
}

/// The spans of a trace, each with whether it is open.
fn spans_of(store: &Store, trace: u128) -> Vec<(u64, bool)> {
    let trace = store.trace(TraceId::new(trace));
    let spans = trace.iter().flat_map(|trace| &trace.spans);
    spans
        .map(|span| (span.span.span_id.get(), span.is_open))
        .collect()
}

#[test]
fn an_open_span_is_found_as_any_and_counted_as_none() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    let root = with(span(1, 1, "root", T0), KeyValue::new("step", 3_i64));
    show(&store, 1, &[root, span(2, 1, "other", T0 + SECOND)]);
    for (query, expected) in [
        ("{}", vec![2, 1]),
        (r#"{ name = "root" }"#, vec![1]),
        ("{ span.step = 3 }", vec![1]),
        (r#"{ rootName = "other" }"#, vec![2]),
        ("{ span.step = 4 }", vec![]),
    ] {
        assert_eq!(found(&store, query), expected, "{query}");
    }
    let page = search(&store, r#"{ name = "root" }"#);
    let summary = &page.traces[0];
    assert_eq!((&*summary.root_name, summary.span_count), ("root", 1));
    assert_eq!(summary.open_spans, [SpanId::new(1)]);
    assert_eq!(spans_of(&store, 1), [(1, true)]);
    let stats = store.stats();
    assert_eq!((stats.span_count, stats.head_records), (0, 0));
    assert_eq!(store.services(), []);

    // A source says all it knows at once; another one is not touched.
    show(&store, 2, &[span(3, 1, "of another", T0)]);
    show(&store, 1, &[span(2, 1, "other", T0 + SECOND)]);
    assert_eq!(found(&store, "{}"), [2, 3]);
    show(&store, 1, &[]);
    assert_eq!(found(&store, "{}"), [3]);
    drop(store);
    let store = open(config(directory.path()));
    assert_eq!(found(&store, "{}"), []);
}

#[test]
fn a_span_is_open_or_stored_whichever_comes_first() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    let spans = |end| {
        let mut spans = [span(1, 1, "root", T0), child(1, 2, 1, "child", T0 + MS)];
        spans[0].end_unix_nano = end;
        spans
    };
    show(&store, 1, &spans(T0 + SECOND));
    assert_eq!(spans_of(&store, 1), [(1, true), (2, true)]);
    add(&store, "s", &spans(T0 + SECOND)[1..]);
    assert_eq!(spans_of(&store, 1), [(1, true), (2, false)]);
    let page = search(&store, "{}");
    assert_eq!(page.traces[0].span_count, 2);
    assert_eq!(page.traces[0].open_spans, [SpanId::new(1)]);
    // A report that was made before the child had closed, in head and in blocks.
    for _ in 0..2 {
        show(&store, 1, &spans(T0 + 2 * SECOND));
        assert_eq!(spans_of(&store, 1), [(1, true), (2, false)]);
        flush(&store);
    }
    add(&store, "s", &spans(T0 + 3 * SECOND)[..1]);
    assert_eq!(spans_of(&store, 1), [(1, false), (2, false)]);
    drop(store);
    // What is stored is known from the blocks alone after a restart.
    let store = open(config(directory.path()));
    show(&store, 1, &spans(T0 + 2 * SECOND));
    assert_eq!(spans_of(&store, 1), [(1, false), (2, false)]);
    let page = search(&store, "{}");
    assert_eq!(page.traces[0].span_count, 2);
    assert_eq!(page.traces[0].open_spans, []);
    assert_eq!(page.traces[0].duration_nano, 3 * SECOND);
}

#[test]
fn an_open_trace_has_its_place_among_the_others_on_every_page() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    for trace in [1, 3, 5] {
        add(&store, "s", &[span(trace, 1, "stored", T0 + trace as u64)]);
    }
    let open = [2, 4].map(|trace| span(trace, 1, "open", T0 + trace as u64));
    show(&store, 1, &open);
    let mut search = TraceSearch {
        limit: 2,
        ..traces_of("{}")
    };
    let mut pages = Vec::new();
    loop {
        let page = store.search_traces(&search).unwrap();
        pages.push(ids(&page));
        search.cursor = page.next;
        if search.cursor.is_none() {
            break;
        }
    }
    assert_eq!(pages, [vec![5, 4], vec![3, 2], vec![1]]);
}

#[test]
fn what_does_not_decode_is_not_shown() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    assert!(store.show_open(1, &[0xff]).is_err());
    show(&store, 1, &[span(1, 1, "open", T0)]);
    store.close();
    assert!(store.show_open(1, &[]).is_err());
}

#[test]
fn what_waits_for_the_writer_is_the_last_word_of_so_many_sources() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    let say = |source: u64, spans: &[Span<'_>]| {
        let request = span_request("s", spans);
        store.show_open(source, &request)
    };
    let trace_of = |source: u64, name: &str| span(u128::from(source), 1, name, T0 + source);
    let held = store.hold_writer();
    let sources = 1..=OPEN_SOURCES_MAX as u64;
    for name in ["first", "last"] {
        for source in sources.clone() {
            say(source, &[trace_of(source, name)]).unwrap();
        }
    }
    let one_more = OPEN_SOURCES_MAX as u64 + 1;
    let refused = say(one_more, &[trace_of(one_more, "refused")]);
    assert!(matches!(refused, Err(IngestError::Overloaded { .. })));
    assert_eq!(store.stats().open_reports_refused, 1);
    // Who shows nothing takes no room.
    say(one_more, &[]).unwrap();
    held.recv().unwrap();
    store.ask(|reply| Message::HoldSeals(false, reply));
    let open = &store.shared().read().spans.open;
    assert_eq!(open.len(), OPEN_SOURCES_MAX);
    assert!(open.values().all(|chunk| chunk.table.name(0) == "last"));
}

#[test]
fn a_source_that_shows_nothing_any_more_makes_room() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    let sources = OPEN_SOURCES_MAX as u64;
    for source in 1..=sources {
        show(&store, source, &[span(u128::from(source), 1, "open", T0)]);
    }
    let request = span_request("s", &[span(9_999, 1, "open", T0)]);
    assert!(store.show_open(sources + 1, &request).is_err());
    show(&store, 7, &[]);
    store.show_open(sources + 1, &request).unwrap();
}

#[test]
fn a_span_of_two_sources_is_seen_once() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    let both = span(1, 1, "both", T0);
    show(&store, 1, std::slice::from_ref(&both));
    show(
        &store,
        2,
        &[both.clone(), child(1, 2, 1, "own", T0), both.clone()],
    );
    assert_eq!(spans_of(&store, 1), [(1, true), (2, true)]);
    // When the first one says so no more, the second one may.
    show(&store, 1, &[]);
    assert_eq!(spans_of(&store, 1), [(2, true)]);
    show(&store, 2, std::slice::from_ref(&both));
    assert_eq!(spans_of(&store, 1), [(1, true)]);
    add(&store, "s", &[both]);
    assert_eq!(spans_of(&store, 1), [(1, false)]);
}

#[test]
fn a_span_that_is_stored_touches_its_own_source_only() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    let of = |source: u64| [1, 2].map(|id| span(u128::from(source), id, "open", T0));
    show(&store, 1, &of(1));
    show(&store, 2, &of(2));
    let chunks = || store.shared().read().spans.open.clone();
    let before = chunks();
    add(&store, "s", &[span(3, 1, "of nobody", T0)]);
    add(&store, "s", &of(1)[..1]);
    let after = chunks();
    assert!(Arc::ptr_eq(&before[&2], &after[&2]));
    assert_eq!(spans_of(&store, 1), [(1, false), (2, true)]);
    add(&store, "s", &of(1)[1..]);
    assert_eq!(chunks().keys().copied().collect::<Vec<_>>(), [2]);
}
