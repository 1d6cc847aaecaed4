//! Answers that would be too large. Pages of log records are tested in `tests/search.rs`.

use super::*;

#[test]
fn a_trace_too_large_for_one_answer_is_cut_behind_its_first_spans() {
    const SPANS: u64 = 10;
    let fill = |store: &Store| {
        // The later ones first, so that their order in the store is not that of their start.
        for id in (1..=SPANS).rev() {
            let text = KeyValue::new("text", "x".repeat(1000));
            let service = if id % 2 == 0 { "shop" } else { "bank" };
            add(
                store,
                service,
                &[with(span(1, id, "step", T0 + id * MS), text)],
            );
        }
    };
    in_head_and_blocks(fill, |store| {
        let check = |bytes_max: usize, expected: u64| {
            let trace = store.trace_within(TraceId::new(1), bytes_max).unwrap();
            let ids: Vec<u64> = trace
                .spans
                .iter()
                .map(|one| one.span.span_id.get())
                .collect();
            assert_eq!(ids, (1..=expected).collect::<Vec<_>>(), "{bytes_max}");
            assert_eq!(trace.spans_left_out, SPANS - expected, "{bytes_max}");
            for one in &trace.spans {
                let expected = ["shop", "bank"][(one.span.span_id.get() % 2) as usize];
                assert_eq!(trace.resources[one.resource].service_name(), expected);
            }
            assert_eq!(trace.resources.len(), expected.min(2) as usize);
        };
        // One is always shown.
        check(0, 1);
        check(3000, 2);
        check(usize::MAX, SPANS);
    });
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    assert_eq!(store.trace_within(TraceId::new(1), 0), None);
}
