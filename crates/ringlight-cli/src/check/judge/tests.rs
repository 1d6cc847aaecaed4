use serde_json::json;

use super::*;

const MAP: &str = r#"
service = "shop"

[[span]]
name = "order"
encloses = ["pay"]
attributes = ["amount", "currency"]
values.state = ["new", 3, true]

[[span]]
name = "pay"
within = ["order"]

[[span]]
name = "ship"
within = ["order"]
handed_over = true
"#;

/// A span of the service `shop` that ended, from the first to the second millisecond.
fn span(id: u64, parent: u64, name: &str, [start_ms, end_ms]: [u64; 2]) -> Value {
    let hex = |id: u64| match id {
        0 => String::new(),
        id => format!("{id:016x}"),
    };
    json!({
        "span_id": hex(id),
        "parent_span_id": hex(parent),
        "name": name,
        "start_unix_nano": (start_ms * 1_000_000).to_string(),
        "duration_nano": (end_ms - start_ms) * 1_000_000,
        "state": "ended",
        "status": {"code": "unset", "message": ""},
        "resource": 0,
        "attributes": [],
    })
}

fn order() -> Value {
    let mut order = span(1, 0, "order", [10, 90]);
    order["attributes"] = json!([
        {"key": "amount", "type": "int", "value": "7"},
        {"key": "currency", "type": "empty", "value": null},
    ]);
    order
}

fn pay() -> Value {
    span(2, 1, "pay", [20, 30])
}

fn with(mut span: Value, key: &str, value: Value) -> Value {
    span[key] = value;
    span
}

fn judged_with(spans: &[Value], spans_left_out: u64) -> Judged {
    let trace = json!({
        "trace_id": "0".repeat(32),
        "resources": [{"service": "shop"}, {"service": "model"}],
        "spans": spans,
        "spans_left_out": spans_left_out,
    });
    let text = trace.to_string();
    let trace: Trace<'_> = serde_json::from_str(&text).unwrap();
    judge(&Map::parse(MAP).unwrap(), &trace)
}

fn judged(spans: &[Value]) -> Judged {
    judged_with(spans, 0)
}

/// What is wrong, as the span's id and the fault.
#[track_caller]
fn check(spans: &[Value], expected: &[(u64, Fault)]) {
    let judged = judged(spans);
    let found: Vec<(u64, Fault)> = (judged.seen.iter())
        .flat_map(|span| span.faults.iter().map(|fault| (&span.span_id, *fault)))
        .map(|(id, fault)| (u64::from_str_radix(id, 16).unwrap(), fault))
        .collect();
    assert_eq!(found, expected);
    assert_eq!(judged.has_faults(), !expected.is_empty());
}

#[test]
fn a_trace_that_is_as_the_map_says_has_no_faults() {
    check(&[order(), pay()], &[]);
    // However deep, and around spans that are not in the map.
    let deep = [
        order(),
        span(5, 1, "between", [15, 40]),
        with(pay(), "parent_span_id", json!("0000000000000005")),
    ];
    check(&deep, &[]);
    let judged = judged(&deep);
    assert_eq!(judged.beside, ["between"]);
    assert_eq!(judged.last_end_unix_nano, 90_000_000);
    assert!(judged.seen[1].is_nested && !judged.seen[0].is_nested);
}

#[test]
fn a_missing_attribute_is_a_fault_unless_the_span_failed_or_goes_on() {
    let bare = span(1, 0, "order", [10, 90]);
    let faults = [(1, Fault::Attribute(0)), (1, Fault::Attribute(1))];
    check(&[bare.clone(), pay()], &faults);
    let failed = with(bare.clone(), "status", json!({"code": "error"}));
    check(&[failed.clone(), pay()], &[]);
    assert!(judged(&[failed]).seen[0].has_failed);
    for state in ["in_progress", "lost"] {
        check(&[with(bare.clone(), "state", json!(state)), pay()], &[]);
    }
}

#[test]
fn what_has_to_be_inside_is_a_fault_where_it_is_not() {
    check(&[order()], &[(1, Fault::Encloses(0))]);
    let beside = with(pay(), "parent_span_id", json!(""));
    let faults = [(1, Fault::Encloses(0)), (2, Fault::NotWithin)];
    check(&[order(), beside], &faults);
    check(&[with(order(), "status", json!({"code": "error"}))], &[]);
    check(&[with(order(), "state", json!("in_progress"))], &[]);
    // It may be among those that did not fit.
    assert!(!judged_with(&[order()], 1).has_faults());
    // One of another service is another one.
    let other = with(pay(), "resource", json!(1));
    check(&[order(), other], &[(1, Fault::Encloses(0))]);
}

#[test]
fn outside_of_what_has_to_be_around_is_a_fault_as_far_as_that_is_known() {
    check(
        &[with(pay(), "parent_span_id", json!(""))],
        &[(2, Fault::NotWithin)],
    );
    let inside_of_another = [span(7, 0, "audit", [0, 99]), span(2, 7, "pay", [20, 30])];
    check(&inside_of_another, &[(2, Fault::NotWithin)]);
    // What is around may still be open, or on its way.
    check(&[pay()], &[]);
    assert!(!judged(&[pay()]).seen[0].is_nested);
    // A failure excuses nothing here.
    let failed = with(pay(), "status", json!({"code": "error"}));
    check(
        &[with(failed, "parent_span_id", json!(""))],
        &[(2, Fault::NotWithin)],
    );
    // A span of the name that another service has is another one.
    let other = with(order(), "resource", json!(1));
    check(&[other, pay()], &[(2, Fault::NotWithin)]);
}

#[test]
fn spans_that_are_inside_of_each_other_end_the_search() {
    check(
        &[span(2, 3, "pay", [20, 30]), span(3, 2, "pay", [20, 30])],
        &[],
    );
}

#[test]
fn a_span_lies_within_its_parent_unless_it_was_handed_over() {
    let late = span(2, 1, "pay", [20, 92]);
    check(&[order(), late.clone()], &[(2, Fault::Outlives)]);
    check(
        &[order(), span(2, 1, "pay", [8, 30])],
        &[(2, Fault::Outlives)],
    );
    // The wall clock is corrected now and then.
    check(&[order(), span(2, 1, "pay", [9, 91])], &[]);
    check(&[order(), pay(), span(3, 1, "ship", [95, 99])], &[]);
    // Of an open parent it is not known when it ends, of another process not what its clock says.
    check(
        &[with(order(), "state", json!("in_progress")), late.clone()],
        &[],
    );
    let other = [
        order(),
        pay(),
        with(span(6, 1, "call", [0, 99]), "resource", json!(1)),
    ];
    let answer = span(8, 6, "pay", [0, 120]);
    check(&[&other[..], &[answer]].concat(), &[]);
}

#[test]
fn values_are_compared_with_their_type() {
    let seen = |attributes: Value| {
        let order = with(order(), "attributes", attributes);
        judged(&[order]).seen[0].values.clone()
    };
    let state = |value_type: &str, value: Value| {
        seen(json!([{"key": "state", "type": value_type, "value": value}]))
    };
    assert_eq!(state("string", json!("new")), [0]);
    assert_eq!(state("int", json!("3")), [1]);
    assert_eq!(state("bool", json!(true)), [2]);
    assert_eq!(state("string", json!("3")), [0; 0]);
    assert_eq!(state("bytes", json!("new")), [0; 0]);
    let items = json!([{"type": "string", "value": "old"}, {"type": "string", "value": "new"}]);
    assert_eq!(state("array", items), [0]);
    assert_eq!(seen(json!([])), [0; 0]);
}
