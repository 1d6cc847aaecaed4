//! Operations: what they come to, in head and blocks.

use ringlight_model::{KeyValue, Span, SpanKind};

use super::{
    MS, SECOND, T0, add, child, config, failed, flush, in_head_and_blocks, open, span, with,
};
use crate::{
    Cancel, OperationAnswer, OperationOrder, OperationSearch, OperationSummary, SearchError, Store,
};

/// From [`T0`] on for so many seconds, in steps of ten.
fn asking(seconds: u64) -> OperationSearch {
    OperationSearch {
        service: None,
        entry_only: false,
        from_unix_nano: T0,
        to_unix_nano: T0 + seconds * SECOND - 1,
        step_nano: 10 * SECOND,
        run: None,
        order: OperationOrder::Total,
        limit: 100,
        attributes: Vec::new(),
        cancel: Cancel::default(),
    }
}

fn ask(store: &Store, search: &OperationSearch) -> OperationAnswer {
    store.search_operations(search).unwrap()
}

fn lasting(nanos: u64, span: Span<'static>) -> Span<'static> {
    Span {
        end_unix_nano: span.start_unix_nano + nanos,
        ..span
    }
}

fn operation<'a>(answer: &'a OperationAnswer, name: &str) -> &'a OperationSummary {
    let mut operations = answer.operations.iter();
    operations.find(|operation| operation.name == name).unwrap()
}

fn names(answer: &OperationAnswer) -> Vec<&str> {
    let operations = answer.operations.iter();
    operations
        .map(|operation| operation.name.as_str())
        .collect()
}

// 100 spans of 1 to 100 ms in the first ten seconds, and two after them.
fn fill(store: &Store) {
    let spans: Vec<_> = (1..=100_u64)
        .map(|n| lasting(n * MS, span(n.into(), n, "get", T0 + n * MS)))
        .collect();
    add(store, "shop", &spans);
    let late = T0 + 15 * SECOND;
    let late = [
        failed(lasting(MS, span(200, 1, "get", late)), "boom"),
        lasting(7 * MS, child(200, 2, 1, "pay", late)),
    ];
    add(store, "shop", &late);
    let other = Span {
        kind: SpanKind::Server,
        ..lasting(3 * MS, span(300, 1, "get", T0))
    };
    add(store, "bank", &[other]);
}

#[test]
fn operations_have_their_figures_and_examples() {
    in_head_and_blocks(fill, |store| {
        let answer = ask(store, &asking(20));
        assert_eq!(names(&answer), ["get", "pay", "get"]);
        assert_eq!(
            (answer.first_unix_nano, answer.end_unix_nano),
            (T0, T0 + 20 * SECOND)
        );
        let get = &answer.operations[0];
        assert_eq!(
            (get.service.as_str(), get.kind),
            ("shop", SpanKind::Internal)
        );
        assert_eq!((get.count, get.error_count, get.root_count), (101, 1, 101));
        assert_eq!(get.total_nano, 5051 * MS);
        for (found, exact) in [
            (get.p50_nano, 50 * MS),
            (get.p95_nano, 95 * MS),
            (get.p99_nano, 99 * MS),
        ] {
            assert!(found.abs_diff(exact) <= exact / 64, "{found} for {exact}");
        }
        assert_eq!(get.longest_nano, 100 * MS);
        let steps: Vec<_> = get
            .steps
            .iter()
            .map(|step| (step.time_unix_nano, step.count, step.error_count))
            .collect();
        assert_eq!(steps, [(T0, 100, 0), (T0 + 10 * SECOND, 1, 1)]);
        let longest = get.longest.unwrap();
        assert_eq!((longest.trace_id.get(), longest.span_id.get()), (100, 100));
        assert_eq!(longest.duration_nano, 100 * MS);
        assert_eq!(get.failed.unwrap().trace_id.get(), 200);
        let typical = get.typical.unwrap().duration_nano;
        assert!(typical.abs_diff(50 * MS) <= 2 * MS, "{typical}");
        let bank = &answer.operations[2];
        assert_eq!(
            (bank.service.as_str(), bank.kind),
            ("bank", SpanKind::Server)
        );
        assert_eq!(bank.failed, None);
    });
}

/// The middle of the bucket that a single span of these 400 ms is in is 398 ms.
#[test]
fn quantiles_of_the_longest_span_are_its_duration() {
    let fill = |store: &Store| {
        add(store, "shop", &[lasting(400 * MS, span(1, 1, "get", T0))]);
        let late = T0 + 10 * SECOND;
        add(
            store,
            "shop",
            &[
                lasting(400 * MS, span(2, 1, "pay", T0)),
                lasting(90 * MS, span(3, 1, "pay", late)),
            ],
        );
    };
    in_head_and_blocks(fill, |store| {
        let answer = ask(store, &asking(20));
        let get = operation(&answer, "get");
        assert_eq!([get.p50_nano, get.p95_nano, get.p99_nano], [400 * MS; 3]);
        let pay = operation(&answer, "pay");
        assert_eq!([pay.p95_nano, pay.p99_nano], [400 * MS; 2]);
        let steps: Vec<_> = pay.steps.iter().map(|step| step.p95_nano).collect();
        assert_eq!(steps, [400 * MS, 90 * MS]);
    });
}

#[test]
fn blocks_answer_without_being_read() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    fill(&store);
    assert_eq!(ask(&store, &asking(20)).stats.records_scanned, 103);
    flush(&store);
    assert_eq!(ask(&store, &asking(20)).stats.records_scanned, 0);
}

#[test]
fn what_is_asked_for_narrows_the_answer() {
    in_head_and_blocks(fill, |store| {
        // The second step only, of which the first nanosecond is not asked for.
        let answer = ask(
            store,
            &OperationSearch {
                from_unix_nano: T0 + 10 * SECOND + 1,
                ..asking(20)
            },
        );
        assert_eq!(names(&answer), ["pay", "get"]);
        assert_eq!(operation(&answer, "get").count, 1);
        let answer = ask(
            store,
            &OperationSearch {
                service: Some("bank".to_owned()),
                ..asking(20)
            },
        );
        assert_eq!(names(&answer), ["get"]);
        assert_eq!(answer.operations[0].count, 1);
        let answer = ask(
            store,
            &OperationSearch {
                run: Some(9),
                ..asking(20)
            },
        );
        assert_eq!(answer.operations, []);
        let answer = ask(
            store,
            &OperationSearch {
                entry_only: true,
                ..asking(20)
            },
        );
        assert_eq!(names(&answer), ["get", "get"]);
        for (order, first) in [
            (OperationOrder::Count, (101, 1)),
            (OperationOrder::Errors, (101, 1)),
            (OperationOrder::P99, (101, 1)),
        ] {
            let answer = ask(
                store,
                &OperationSearch {
                    order,
                    limit: 1,
                    ..asking(20)
                },
            );
            let found = &answer.operations[0];
            assert_eq!((found.count, found.error_count), first, "{order:?}");
            assert_eq!(answer.operations_left_out, 2);
        }
    });
}

#[test]
fn what_failed_within_entries_is_counted() {
    let fill = |store: &Store| {
        fill(store);
        let inner = [1, 2].map(|n| failed(child(200, 10 + n, 1, "charge", T0 + n * SECOND), "no"));
        add(store, "shop", &inner);
        let late = T0 + 15 * SECOND;
        add(
            store,
            "bank",
            &[failed(child(300, 5, 1, "book", late), "no")],
        );
    };
    in_head_and_blocks(fill, |store| {
        let entries = |service: Option<&str>, seconds| {
            let search = OperationSearch {
                entry_only: true,
                service: service.map(Into::into),
                ..asking(seconds)
            };
            ask(store, &search).inner_error_count
        };
        assert_eq!(entries(None, 20), 3);
        assert_eq!(entries(None, 10), 2);
        assert_eq!(entries(Some("bank"), 20), 1);
        assert_eq!(ask(store, &asking(20)).inner_error_count, 0);
    });
}

#[test]
fn a_step_is_a_multiple_of_ten_seconds_and_there_are_not_too_many() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    fill(&store);
    let search = OperationSearch {
        step_nano: 11 * SECOND,
        ..asking(20)
    };
    let answer = ask(&store, &search);
    assert_eq!(answer.step_nano, 20 * SECOND);
    assert_eq!(operation(&answer, "get").steps.len(), 1);
    let search = OperationSearch {
        from_unix_nano: 0,
        ..search
    };
    let refused = store.search_operations(&search);
    assert!(matches!(refused, Err(SearchError::TooManyWindows { .. })));
}

#[test]
fn more_operations_than_there_is_room_for_are_counted() {
    in_head_and_blocks(
        |store| {
            for part in 0..4_u64 {
                let spans: Vec<_> = (0..500)
                    .map(|n| part * 500 + n)
                    .map(|n| {
                        span(
                            u128::from(n) + 1,
                            1,
                            &format!("{n} {}", "x".repeat(800)),
                            T0,
                        )
                    })
                    .collect();
                add(store, "shop", &spans);
            }
        },
        |store| {
            let answer = ask(store, &asking(10));
            assert_eq!(answer.operations.len(), 100);
            assert!(answer.spans_left_out > 0);
            let known = answer.operations_left_out + 100;
            assert_eq!(known + answer.spans_left_out, 2000);
        },
    );
}

#[test]
fn operations_are_sorted_by_an_attribute() {
    in_head_and_blocks(
        |store| {
            let of = |id: u64, name: &str, nanos: u64, bytes: Option<i64>| {
                let span = lasting(nanos, span(id.into(), id, name, T0));
                match bytes {
                    Some(bytes) => with(
                        with(span, KeyValue::new("alloc.bytes", bytes)),
                        KeyValue::new("alloc.count", 1_i64),
                    ),
                    None => span,
                }
            };
            let spans = [
                of(1, "slow", 9 * MS, None),
                of(2, "frees", 8 * MS, Some(-5)),
                of(3, "some", 7 * MS, Some(100)),
                of(4, "quick", 1, Some(700)),
                of(5, "quick", 1, Some(200)),
            ];
            add(store, "shop", &spans);
        },
        |store| {
            let search = OperationSearch {
                order: OperationOrder::Attribute,
                attributes: vec!["alloc.bytes".to_owned(), "alloc.count".to_owned()],
                ..asking(10)
            };
            let answer = ask(store, &search);
            assert_eq!(names(&answer), ["quick", "some", "frees", "slow"]);
            let sums: Vec<Vec<f64>> = answer
                .operations
                .iter()
                .map(|one| one.attributes.iter().map(|total| total.sum).collect())
                .collect();
            assert_eq!(
                sums,
                [vec![900.0, 2.0], vec![100.0, 1.0], vec![-5.0, 1.0], vec![]]
            );
            let first = OperationSearch { limit: 1, ..search };
            let answer = ask(store, &first);
            assert_eq!(names(&answer), ["quick"]);
            assert_eq!(answer.operations[0].attributes[0].sum, 900.0);
            assert_eq!(answer.operations[0].longest.unwrap().duration_nano, 1);
            assert_eq!(answer.operations_left_out, 3);
        },
    );
}

#[test]
fn more_sums_of_attributes_than_are_kept_are_counted() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    let spans: Vec<_> = (1..=64_u64)
        .map(|n| span(n.into(), n, &format!("op {n}"), T0))
        .map(|span| {
            with(
                with(span, KeyValue::new("a", 1_i64)),
                KeyValue::new("b", 2_i64),
            )
        })
        .collect();
    add(&store, "shop", &spans);
    let search = OperationSearch {
        attributes: vec!["a".to_owned(), "b".to_owned()],
        ..asking(10)
    };
    let answer = ask(&store, &search);
    let whole = answer
        .operations
        .iter()
        .filter(|one| one.attributes.len() == 2);
    assert_eq!((whole.count(), answer.attribute_spans_left_out), (32, 32));
}

#[test]
fn numbers_of_attributes_are_added_up() {
    let spans = |bytes: &[i64]| -> Vec<Span<'static>> {
        let spans = bytes.iter().zip(1..).map(|(&bytes, n)| {
            let span = span(n, 1, "get", T0 + SECOND);
            with(span, KeyValue::new("alloc.bytes", bytes))
        });
        spans.collect()
    };
    in_head_and_blocks(
        |store| {
            add(store, "shop", &spans(&[10, 300, -7]));
            let fraction = with(span(50, 1, "get", T0), KeyValue::new("alloc.bytes", 0.5));
            let text = with(span(51, 1, "get", T0), KeyValue::new("alloc.bytes", "many"));
            let late = T0 + 10 * SECOND;
            let late = with(
                span(52, 1, "get", late),
                KeyValue::new("alloc.bytes", 5_i64),
            );
            add(store, "shop", &[fraction, text, late]);
            add(store, "shop", &[span(60, 1, "pay", T0)]);
        },
        |store| {
            let search = OperationSearch {
                attributes: vec!["nothing".to_owned(), "alloc.bytes".to_owned()],
                ..asking(10)
            };
            let answer = ask(store, &search);
            let [bytes] = &operation(&answer, "get").attributes[..] else {
                panic!("{answer:?}");
            };
            assert_eq!((bytes.key.as_str(), bytes.count), ("alloc.bytes", 4));
            assert_eq!((bytes.sum, bytes.max), (303.5, 300.0));
            assert_eq!(operation(&answer, "pay").attributes, []);
            assert_eq!(answer.attribute_spans_left_out, 0);
        },
    );
    // Of more than are looked at, the newest.
    in_head_and_blocks(
        |store| {
            add(store, "shop", &spans(&[1; 40]));
            flush(store);
            let newer = spans(&[2; 40]).into_iter().map(|mut span| {
                span.trace_id = ringlight_model::TraceId::new(span.trace_id.get() + 100);
                span.start_unix_nano += SECOND;
                span
            });
            add(store, "shop", &newer.collect::<Vec<_>>());
        },
        |store| {
            let search = OperationSearch {
                attributes: vec!["alloc.bytes".to_owned()],
                ..asking(10)
            };
            let answer = ask(store, &search);
            assert_eq!(operation(&answer, "get").attributes[0].sum, 80.0);
            assert_eq!(answer.attribute_spans_left_out, 40);
        },
    );
}
