//! Searching for log records.

use super::*;
use crate::{KeyScope, ValueSearch};

fn fill(store: &Store) {
    let mut event = log("user logged in", Severity::INFO, T0 + 2 * SECOND);
    event.event_name = "login".into();
    event.attributes = vec![KeyValue::new("user", "ada"), KeyValue::new("tries", 2_i64)];
    event.trace_id = TraceId::new(7);
    event.span_id = SpanId::new(8);
    let mut table = log("", Severity::DEBUG, T0 + 3 * SECOND);
    table.body = ringlight_model::Value::Map(vec![KeyValue::new("rows", 3_i64)]);
    add_logs(
        store,
        "shop",
        &[
            log("starting", Severity::INFO, T0),
            log("connection timeout after 5 s", Severity::ERROR, T0 + SECOND),
            event,
            table,
        ],
    );
    let mut plain = log("no severity", Severity::UNSPECIFIED, 0);
    plain.observed_unix_nano = T0 + 4 * SECOND;
    add_logs(store, "bank", &[plain]);
}

#[test]
fn filters_find_log_records_newest_first() {
    in_head_and_blocks(fill, |store| {
        let check = |query: &str, expected: &[&str]| {
            assert_eq!(found_logs(store, query), expected, "{query}");
        };
        let (none, map) = ("no severity", r#"{"rows":3}"#);
        let (login, timeout) = ("user logged in", "connection timeout after 5 s");
        check("", &[none, map, login, timeout, "starting"]);
        check("{ severity >= error }", &[timeout]);
        check("{ severity >= info }", &[login, timeout, "starting"]);
        check("{ severity < info }", &[map]);
        check("{ body =~ \".*timeout.*\" }", &[timeout]);
        check("{ body = \"starting\" }", &["starting"]);
        check("{ body =~ \".*rows.*\" }", &[map]);
        check("{ body !~ \".*t.*\" }", &[map, login]);
        check("{ log.user = \"ada\" }", &[login]);
        check(
            "{ .tries > 1 && resource.service.name = \"shop\" }",
            &[login],
        );
        check("{ resource.service.name = \"bank\" }", &[none]);
        check("{ event:name = \"login\" }", &[login]);
        check("{ log.user = \"bob\" }", &[]);
    });
}

#[test]
fn log_records_of_a_trace_or_a_span_are_found() {
    in_head_and_blocks(fill, |store| {
        let check = |trace_id: Option<u128>, span_id: Option<u64>, expected: &[&str]| {
            let page = store
                .search_logs(&LogSearch {
                    trace_id: trace_id.map(TraceId::new),
                    span_id: span_id.map(SpanId::new),
                    ..logs_of("")
                })
                .unwrap();
            assert_eq!(bodies(&page), expected);
        };
        check(Some(7), None, &["user logged in"]);
        check(Some(7), Some(8), &["user logged in"]);
        check(None, Some(8), &["user logged in"]);
        check(Some(7), Some(9), &[]);
        check(Some(6), None, &[]);
    });
}

#[test]
fn records_come_with_what_they_belong_to() {
    in_head_and_blocks(fill, |store| {
        let page = store
            .search_logs(&logs_of("{ log.user = \"ada\" }"))
            .unwrap();
        let entry = &page.logs[0];
        assert_eq!(*entry.resource, resource("shop"));
        assert_eq!(*entry.scope, scope());
        assert_eq!(entry.record.event_name, "login");
        assert_eq!(entry.record.trace_id, TraceId::new(7));
        assert_eq!(entry.record.attributes.len(), 2);
    });
}

#[test]
fn a_record_without_any_time_was_observed_when_it_was_received() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    add_logs(&store, "s", &[log("timeless", Severity::INFO, 0)]);
    let page = store.search_logs(&logs_of("")).unwrap();
    assert_eq!(page.logs[0].record.time_unix_nano, 0);
    assert!(page.logs[0].record.observed_unix_nano > 0);
}

#[test]
fn searches_read_only_blocks_that_can_match() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    for n in 0..20_u64 {
        let severity = if n == 3 {
            Severity::ERROR
        } else {
            Severity::INFO
        };
        let mut record = log(&format!("message number-{n}x"), severity, T0 + n * SECOND);
        record.trace_id = TraceId::new(u128::from(n) + 1);
        add_logs(&store, &format!("service-{n}"), &[record]);
        flush(&store);
    }
    let check = |search: LogSearch, found: usize, read: u64| {
        let page = store.search_logs(&search).unwrap();
        assert_eq!(page.logs.len(), found, "{}", search.query);
        assert_eq!(page.stats.blocks_total, 20);
        assert_eq!(page.stats.blocks_read, read, "{}", search.query);
    };
    check(logs_of("{ severity >= warn }"), 1, 1);
    check(logs_of("{ severity >= fatal }"), 0, 0);
    check(logs_of("{ body =~ \".*number-12x.*\" }"), 1, 1);
    check(logs_of("{ body =~ \".*umber-13.*\" }"), 1, 1);
    check(logs_of("{ body =~ \".*nowhere.*\" }"), 0, 0);
    check(logs_of("{ body =~ \"(?i).*NUMBER-12X.*\" }"), 1, 1);
    check(logs_of("{ body =~ \"(?i).*NoWhere.*\" }"), 0, 0);
    check(logs_of("{ body =~ \"(?i).*MESSAGE NU.*\" }"), 20, 20);
    check(logs_of("{ resource.service.name = \"service-5\" }"), 1, 1);
    let of_trace = LogSearch {
        trace_id: Some(TraceId::new(5)),
        ..logs_of("")
    };
    check(of_trace, 1, 1);
    let newest = LogSearch {
        limit: 3,
        ..logs_of("")
    };
    check(newest, 3, 4);
}

#[test]
fn pages_are_stable_while_data_arrives() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    for n in 0..30_u64 {
        // Times repeat, so that the order among equals matters.
        let logs: Vec<_> = (0..2)
            .map(|i| log(&format!("{n}.{i}"), Severity::INFO, T0 + (n / 4) * SECOND))
            .collect();
        add_logs(&store, "s", &logs);
        if n % 7 == 0 {
            flush(&store);
        }
    }
    let everything = found_logs(&store, "");
    assert_eq!(everything.len(), 60);
    let (mut all, mut cursor) = (Vec::new(), None);
    loop {
        let page = store
            .search_logs(&LogSearch {
                limit: 7,
                cursor,
                ..logs_of("")
            })
            .unwrap();
        all.extend(bodies(&page));
        add_logs(&store, "s", &[log("new", Severity::INFO, T0 + SECOND)]);
        flush(&store);
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(all, everything);
}

#[test]
fn values_are_offered() {
    in_head_and_blocks(fill, |store| {
        let check = |scope, key: &str, expected: &[&str]| {
            let values = store.attribute_values(&ValueSearch {
                signal: Signal::Logs,
                metric: None,
                scope,
                key,
                prefix: "",
                limit: 10,
            });
            let texts: Vec<_> = values.iter().map(ToString::to_string).collect();
            assert_eq!(texts, expected, "{key}");
        };
        check(Some(KeyScope::Log), "user", &["ada"]);
        check(
            Some(KeyScope::Intrinsic),
            "severity",
            &["debug", "error", "info"],
        );
        check(Some(KeyScope::Intrinsic), "event:name", &["login"]);
        check(Some(KeyScope::Resource), "service.name", &["bank", "shop"]);
    });
}
