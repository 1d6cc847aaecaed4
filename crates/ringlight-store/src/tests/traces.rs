//! Searching for traces.

use super::*;
use crate::{AttributeSearch, KeyScope, ValueSearch};
use ringlight_model::Value;

fn fill(store: &Store) {
    let shop = [
        span(1, 1, "GET /cart", T0),
        with(
            child(1, 2, 1, "query", T0 + MS),
            KeyValue::new("db.rows", 42_i64),
        ),
        failed(child(1, 3, 1, "pay", T0 + 2 * MS), "no money"),
    ];
    add(store, "shop", &shop);
    add(store, "bank", &[child(1, 4, 3, "charge", T0 + 3 * MS)]);
    let mut slow = span(2, 1, "GET /slow", T0 + SECOND);
    slow.end_unix_nano = T0 + 3 * SECOND;
    slow.attributes = vec![
        KeyValue::new("http.status", 500_i64),
        KeyValue::new("user", "ada"),
    ];
    add(store, "shop", &[slow]);
    // The root is yet to come.
    add(store, "bank", &[child(3, 2, 1, "orphan", T0 + 2 * SECOND)]);
}

#[test]
fn filters_find_traces_newest_first() {
    in_head_and_blocks(fill, |store| {
        let check = |query: &str, expected: &[u128]| {
            assert_eq!(found(store, query), expected, "{query}");
        };
        check("", &[3, 2, 1]);
        check("{}", &[3, 2, 1]);
        check("{ name = \"pay\" }", &[1]);
        check("{ name =~ \"GET.*\" }", &[2, 1]);
        check("{ status = error }", &[1]);
        check("{ statusMessage = \"no money\" }", &[1]);
        check("{ duration > 1s }", &[2]);
        check("{ duration <= 10ms }", &[3, 1]);
        check("{ resource.service.name = \"bank\" }", &[3, 1]);
        check("{ span.db.rows = 42 }", &[1]);
        check("{ span.db.rows > 42 }", &[]);
        check("{ .http.status >= 500 && .user = \"ada\" }", &[2]);
        check("{ span.user != nil }", &[2]);
        check("{ span.missing = 1 || name = \"orphan\" }", &[3]);
        check("{ !(name = \"orphan\") }", &[2, 1]);
    });
}

#[test]
fn facts_of_the_whole_trace_are_right_wherever_its_spans_are() {
    in_head_and_blocks(fill, |store| {
        let check = |query: &str, expected: &[u128]| {
            assert_eq!(found(store, query), expected, "{query}");
        };
        check("{ rootName = \"GET /cart\" }", &[1]);
        check("{ rootName = \"GET /cart\" && name = \"charge\" }", &[1]);
        check("{ rootName = \"charge\" }", &[]);
        check("{ rootServiceName = \"shop\" }", &[2, 1]);
        check(
            "{ rootServiceName = \"shop\" && resource.service.name = \"bank\" }",
            &[1],
        );
        check("{ rootName != nil }", &[2, 1]);
        check("{ traceDuration > 1s }", &[2]);
        check("{ traceDuration = 13ms }", &[1]);
        check("{ traceDuration < 1s && rootName = nil }", &[3]);
        check("{} | count() > 3", &[1]);
        check("{} | count() > 4", &[]);
        check("{ resource.service.name = \"shop\" } | count() = 3", &[1]);
        check("{} | count() < 2", &[3, 2]);
    });
}

#[test]
fn summaries_describe_the_whole_trace() {
    in_head_and_blocks(fill, |store| {
        let page = search(store, "{ name = \"charge\" }");
        let [trace] = page.traces.as_slice() else {
            panic!("{page:?}");
        };
        assert_eq!(trace.root_service, "shop");
        assert_eq!(trace.root_name, "GET /cart");
        assert_eq!(
            (trace.first_name.as_str(), trace.first_service.as_str()),
            ("GET /cart", "shop")
        );
        assert_eq!(trace.start_unix_nano, T0);
        assert_eq!(trace.duration_nano, 13 * MS);
        assert_eq!((trace.span_count, trace.error_count), (4, 1));
        assert_eq!(trace.services, ["bank", "shop"]);
        let orphan = &search(store, "{ name = \"orphan\" }").traces[0];
        assert_eq!(
            (orphan.root_name.as_str(), orphan.root_service.as_str()),
            ("", "")
        );
        assert_eq!(
            (orphan.first_name.as_str(), orphan.first_service.as_str()),
            ("orphan", "bank")
        );
    });
}

#[test]
fn a_trace_is_given_whole() {
    in_head_and_blocks(fill, |store| {
        let trace = store.trace(TraceId::new(1)).unwrap();
        let names: Vec<&str> = trace.spans.iter().map(|s| s.span.name.as_ref()).collect();
        assert_eq!(names, ["GET /cart", "query", "pay", "charge"]);
        let services: Vec<&str> = trace
            .spans
            .iter()
            .map(|s| trace.resources[s.resource].service_name())
            .collect();
        assert_eq!(services, ["shop", "shop", "shop", "bank"]);
        assert_eq!(trace.resources.len(), 2);
        assert_eq!(trace.scopes, [scope()]);
        assert_eq!(trace.spans[1].span.attributes[0].key, "db.rows");
        assert!(store.trace(TraceId::new(99)).is_none());
    });
}

#[test]
fn the_time_range_is_about_matching_spans() {
    in_head_and_blocks(fill, |store| {
        let check = |query: &str, from: u64, to: u64, expected: &[u128]| {
            let page = store.search_traces(&TraceSearch {
                from_unix_nano: Some(from),
                to_unix_nano: Some(to),
                ..traces_of(query)
            });
            assert_eq!(ids(&page.unwrap()), expected, "{query}");
        };
        check("", T0, T0, &[1]);
        check("", T0 + 1, T0 + SECOND, &[2, 1]);
        check("{ name = \"charge\" }", T0, T0 + 2 * MS, &[]);
        check("", 0, T0 - 1, &[]);
        // The root lies outside, the span asked for inside.
        check(
            "{ rootName = \"GET /cart\" }",
            T0 + 3 * MS,
            T0 + 4 * MS,
            &[1],
        );
    });
}

#[test]
fn the_order_is_by_the_first_span_even_if_it_came_last() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    add(
        &store,
        "s",
        &[child(1, 2, 1, "late child", T0 + 10 * SECOND)],
    );
    flush(&store);
    add(&store, "s", &[span(2, 1, "middle", T0 + 5 * SECOND)]);
    flush(&store);
    assert_eq!(found(&store, ""), [1, 2]);
    add(&store, "s", &[span(1, 1, "early root", T0)]);
    assert_eq!(found(&store, ""), [2, 1]);
    assert_eq!(found(&store, "{ name = \"late child\" }"), [1]);
}

#[test]
fn searches_read_only_blocks_that_can_match() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    for n in 1..=20_u64 {
        let start = T0 + n * SECOND;
        let mut one = span(n.into(), 1, &format!("operation-{n}"), start);
        one.attributes = vec![
            KeyValue::new("order", n as i64),
            KeyValue::new("customer", format!("customer {n}")),
        ];
        if n == 9 {
            let tags = Value::Array(vec!["blue".into(), "green".into()]);
            one.attributes.push(KeyValue::new("tags", tags));
        }
        one.end_unix_nano = start + (n + 1) * 10 * MS;
        let one = if n == 3 { failed(one, "broken") } else { one };
        add(&store, &format!("service-{n}"), &[one]);
        flush(&store);
    }
    let check = |query: &str, expected: &[u128], read: u64| {
        let page = search(&store, query);
        assert_eq!(ids(&page), expected, "{query}");
        assert_eq!(page.stats.blocks_total, 20);
        assert_eq!(page.stats.blocks_read, read, "{query}");
    };
    check("{ resource.service.name = \"service-7\" }", &[7], 1);
    check("{ name = \"operation-8\" }", &[8], 1);
    check("{ name = \"operation-99\" }", &[], 0);
    check("{ status = error }", &[3], 1);
    check("{ duration >= 210ms }", &[20], 1);
    check("{ duration > 210ms }", &[], 0);
    check("{ span.order = 5 }", &[5], 1);
    check("{ span.order = 5.0 }", &[5], 1);
    check("{ span.other = 5 }", &[], 0);
    // The texts of lists are not with the others, so a block that has one is read.
    check("{ span.customer =~ \".*mer 7\" }", &[7], 2);
    check("{ span.customer =~ \"customer [a-z]\" }", &[], 20);
    check("{ span.customer = \"mer 7\" }", &[], 0);
    check("{ .customer =~ \".*mer 7\" }", &[7], 2);
    check("{ .service.name =~ \".*vice-7\" }", &[7], 20);
    check("{ span.tags =~ \"blue.*\" }", &[9], 1);
    check(
        "{ span.customer =~ \"customer 9\" && span.tags = \"green\" }",
        &[9],
        1,
    );
    check("{ kind = server }", &[], 0);
    check("{ rootName = \"operation-4\" }", &[4], 1);
    check(
        "{ trace:id = \"00000000000000000000000000000009\" }",
        &[9],
        1,
    );
    check("{ name = \"operation-1\" || span.order = 2 }", &[2, 1], 2);
    check("{ name = \"operation-1\" && span.order = 2 }", &[], 0);
    // Newest first: what fills the page is enough.
    let page = store
        .search_traces(&TraceSearch {
            limit: 3,
            ..traces_of("")
        })
        .unwrap();
    assert_eq!(ids(&page), [20, 19, 18]);
    assert!(page.stats.blocks_read <= 4, "{:?}", page.stats);
    // By time.
    let page = store
        .search_traces(&TraceSearch {
            from_unix_nano: Some(T0 + 5 * SECOND),
            to_unix_nano: Some(T0 + 6 * SECOND),
            ..traces_of("")
        })
        .unwrap();
    assert_eq!(ids(&page), [6, 5]);
    assert_eq!(page.stats.blocks_read, 2);
}

#[test]
fn texts_of_lists_are_found_under_keys_that_no_index_lists() {
    let tags = || Value::Array(vec!["blue-green".into(), "red".into()]);
    let long = "k".repeat(300);
    let many = (0..600).map(|n| KeyValue::new(format!("key-{n}"), n));
    let many: Vec<_> = many.chain([KeyValue::new("tags", tags())]).collect();
    for (key, attributes) in [
        ("tags", many),
        (long.as_str(), vec![KeyValue::new(long.clone(), tags())]),
    ] {
        in_head_and_blocks(
            |store| {
                let mut one = span(1, 1, "one", T0);
                one.attributes = attributes.clone();
                add(store, "s", &[one]);
                let mut line = log("line", Severity::INFO, T0);
                line.attributes = attributes.clone();
                add_logs(store, "s", &[line]);
            },
            |store| {
                for test in ["= \"blue-green\"", "=~ \"blue.*\""] {
                    assert_eq!(found(store, &format!("{{ span.{key} {test} }}")), [1]);
                    let page = store.search_logs(&logs_of(&format!("log.{key} {test}")));
                    assert_eq!(page.unwrap().logs.len(), 1, "{test}");
                }
            },
        );
    }
}

#[test]
fn pages_are_stable_while_data_arrives() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    for n in 1..=50_u64 {
        add(&store, "s", &[span(n.into(), 1, "x", T0 + n * MS)]);
        if n % 7 == 0 {
            flush(&store);
        }
    }
    let mut all = Vec::new();
    let mut cursor = None;
    for n in 0.. {
        let page = store
            .search_traces(&TraceSearch {
                limit: 4,
                cursor,
                ..traces_of("")
            })
            .unwrap();
        all.extend(ids(&page));
        // New traces, and older spans of traces that were shown, so that these move.
        let n = u64::from(n as u32);
        add(
            &store,
            "s",
            &[span(1000 + u128::from(n), 1, "new", T0 + SECOND)],
        );
        add(
            &store,
            "s",
            &[span(50 - u128::from(n), 2, "late", T0 - SECOND)],
        );
        if n % 3 == 0 {
            flush(&store);
        }
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(all, (1..=50).rev().collect::<Vec<u128>>());
}

#[test]
fn a_page_that_holds_everything_has_no_next() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    let spans: Vec<_> = (1..=4).map(|n| span(n, 1, "x", T0)).collect();
    add(&store, "s", &spans);
    let page = |limit, cursor| {
        store
            .search_traces(&TraceSearch {
                limit,
                cursor,
                ..traces_of("")
            })
            .unwrap()
    };
    assert_eq!(page(4, None).next, None);
    let first = page(3, None);
    // Traces that start at the same time are told apart by their ids.
    assert_eq!(ids(&first), [4, 3, 2]);
    let second = page(3, first.next);
    assert_eq!((ids(&second), second.next), (vec![1], None));
}

#[test]
fn searches_can_be_limited_to_a_run() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    let first = store.run_id();
    add(&store, "s", &[span(1, 1, "x", T0)]);
    drop(store);
    let store = open(config(directory.path()));
    add(&store, "s", &[span(2, 1, "x", T0)]);
    let check = |run, expected: &[u128]| {
        let page = store.search_traces(&TraceSearch {
            run,
            ..traces_of("")
        });
        assert_eq!(ids(&page.unwrap()), expected);
    };
    check(Some(first), &[1]);
    check(Some(store.run_id()), &[2]);
    check(None, &[2, 1]);
    flush(&store);
    check(Some(store.run_id()), &[2]);
}

#[test]
fn wrong_signals_and_cursors_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    let mut search = traces_of("");
    search.cursor = Some("nonsense".to_owned());
    let error = store.search_traces(&search).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cursor `nonsense` is not one that was given by an earlier page"
    );
    search.query = Query::everything(QuerySignal::Logs);
    assert!(matches!(
        store.search_traces(&search),
        Err(crate::SearchError::WrongSignal { .. })
    ));
}

#[test]
fn keys_and_values_are_offered() {
    in_head_and_blocks(fill, |store| {
        let keys = store.attributes(&AttributeSearch {
            signal: Signal::Traces,
            metric: None,
            prefix: "",
            limit: 100,
        });
        let names: Vec<_> = keys
            .iter()
            .map(|key| format!("{:?} {} {}", key.scope, key.key, key.value_type.as_str()))
            .collect();
        assert!(names.contains(&"Intrinsic name string".to_owned()));
        assert_eq!(
            &names[names.len() - 5..],
            [
                "Span db.rows int",
                "Span http.status int",
                "Span user string",
                "Resource service.instance.id string",
                "Resource service.name string",
            ]
        );
        let check = |scope, key: &str, prefix: &str, expected: &[&str]| {
            let values = store.attribute_values(&ValueSearch {
                signal: Signal::Traces,
                metric: None,
                scope,
                key,
                prefix,
                limit: 100,
            });
            let texts: Vec<_> = values.iter().map(ToString::to_string).collect();
            assert_eq!(texts, expected, "{key}");
        };
        check(Some(KeyScope::Span), "http.status", "", &["500"]);
        check(None, "user", "a", &["ada"]);
        check(None, "user", "b", &[]);
        check(
            Some(KeyScope::Resource),
            "service.name",
            "",
            &["bank", "shop"],
        );
        check(Some(KeyScope::Span), "service.name", "", &[]);
        check(Some(KeyScope::Intrinsic), "status", "", &["error", "unset"]);
        check(
            Some(KeyScope::Intrinsic),
            "rootName",
            "",
            &["GET /cart", "GET /slow"],
        );
        check(Some(KeyScope::Intrinsic), "rootServiceName", "", &["shop"]);
        check(
            Some(KeyScope::Intrinsic),
            "name",
            "GET",
            &["GET /cart", "GET /slow"],
        );
    });
}

#[test]
fn services_are_listed() {
    in_head_and_blocks(fill, |store| {
        let services = store.services();
        let rows: Vec<_> = services
            .iter()
            .map(|s| (s.name.as_str(), s.span_count, s.log_count))
            .collect();
        assert_eq!(rows, [("bank", 2, 0), ("shop", 4, 0)]);
    });
}

#[test]
fn services_have_times_of_their_own_though_they_share_a_block() {
    let fill = |store: &Store| {
        add(store, "early", &[span(1, 1, "a", T0)]);
        add(store, "late", &[span(2, 2, "b", T0 + 9 * SECOND)]);
        let logs = [T0 + 2 * SECOND, T0 + SECOND].map(|time| log("x", Severity::INFO, time));
        add_logs(store, "early", &logs);
        add_logs(store, "quiet", &logs[..1]);
    };
    in_head_and_blocks(fill, |store| {
        let times: Vec<_> = store
            .services()
            .into_iter()
            .map(|s| (s.name, s.first_unix_nano - T0, s.last_unix_nano - T0))
            .collect();
        let expected = [
            ("early".to_owned(), 0, 2 * SECOND),
            ("late".to_owned(), 9 * SECOND, 9 * SECOND),
            ("quiet".to_owned(), 2 * SECOND, 2 * SECOND),
        ];
        assert_eq!(times, expected);
    });
}
