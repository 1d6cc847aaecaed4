//! Properties over generated queries and records.

use std::collections::HashSet;

use proptest::prelude::*;
use ringlight_model::{KeyValue, Severity, SpanKind, StatusCode, Value};

use super::super::{
    Ast, AttributeScope, Comparison, Constraint, Constraints, Expr, Field, FieldValue, Intrinsic,
    Level, Literal, Operator, Query, QuerySignal, Stage, equality_forms,
};
use super::{TestRecord, with_key};

fn number_operator() -> impl Strategy<Value = Operator> + Clone {
    proptest::sample::select(vec![
        Operator::Equal,
        Operator::NotEqual,
        Operator::Less,
        Operator::LessEqual,
        Operator::Greater,
        Operator::GreaterEqual,
    ])
}

fn equality() -> impl Strategy<Value = Operator> + Clone {
    proptest::sample::select(vec![Operator::Equal, Operator::NotEqual])
}

fn regex_operator() -> impl Strategy<Value = Operator> + Clone {
    proptest::sample::select(vec![Operator::Match, Operator::NotMatch])
}

// Few values, so that records have them.
fn text() -> impl Strategy<Value = String> + Clone {
    proptest::sample::select(vec!["a", "b", "ab", "", "a \"b\"\n\\\u{7}é"]).prop_map(str::to_owned)
}

fn pattern() -> impl Strategy<Value = String> + Clone {
    proptest::sample::select(vec![
        "a",
        "a.*",
        ".*b",
        "a|b",
        "",
        "[^a]*",
        "(?i)A",
        r"(?is)A \x22(B.).*",
        "(ab)+",
        ".*ab.*",
        "a(b|c)",
    ])
    .prop_map(str::to_owned)
}

fn float() -> impl Strategy<Value = f64> + Clone {
    proptest::sample::select(vec![0.0, 1.0, -1.5, 2.5, 1e300, 9_007_199_254_740_992.0])
}

fn int() -> impl Strategy<Value = i64> + Clone {
    proptest::sample::select(vec![0, 1, -1, 2, 9_007_199_254_740_993, i64::MAX, i64::MIN])
}

fn duration() -> impl Strategy<Value = i64> + Clone {
    proptest::sample::select(vec![
        0,
        1,
        1_500,
        -2_000_000,
        3_600_000_000_000,
        1_000_000_001,
    ])
}

fn attribute(signal: QuerySignal) -> impl Strategy<Value = Field> + Clone {
    let scopes = match signal {
        QuerySignal::Traces => vec![
            AttributeScope::Any,
            AttributeScope::Span,
            AttributeScope::Resource,
            AttributeScope::Event,
        ],
        QuerySignal::Logs => vec![
            AttributeScope::Any,
            AttributeScope::Log,
            AttributeScope::Resource,
        ],
        QuerySignal::Metrics => vec![
            AttributeScope::Any,
            AttributeScope::Point,
            AttributeScope::Resource,
        ],
    };
    let keys = vec!["a", "b", "http.method", "with space", "q\"\\", "{}", "é"];
    (
        proptest::sample::select(scopes),
        proptest::sample::select(keys),
    )
        .prop_map(|(scope, key)| Field::Attribute {
            scope,
            key: key.to_owned(),
        })
}

fn compare(
    field: impl Strategy<Value = Field> + 'static,
    operator: impl Strategy<Value = Operator> + 'static,
    value: impl Strategy<Value = Literal> + 'static,
) -> BoxedStrategy<Expr> {
    (field, operator, value)
        .prop_map(|(field, operator, value)| {
            Expr::Compare(Comparison {
                field,
                operator,
                value,
            })
        })
        .boxed()
}

fn intrinsic(intrinsic: Intrinsic) -> Just<Field> {
    Just(Field::Intrinsic(intrinsic))
}

fn leaf(signal: QuerySignal) -> BoxedStrategy<Expr> {
    let attributes = || attribute(signal);
    let scalars = prop_oneof![
        text().prop_map(Literal::Str),
        int().prop_map(Literal::Int),
        float().prop_map(Literal::Double),
        duration().prop_map(Literal::Duration),
    ];
    let named = prop_oneof![any::<bool>().prop_map(Literal::Bool), Just(Literal::Nil)];
    let shared = prop_oneof![
        1 => any::<bool>().prop_map(Expr::Constant),
        1 => attributes().prop_map(Expr::Is),
        4 => compare(attributes(), number_operator(), scalars),
        2 => compare(attributes(), equality(), named),
        2 => compare(attributes(), regex_operator(), pattern().prop_map(Literal::Str)),
    ];
    let own = match signal {
        QuerySignal::Traces => leaf_of_traces(),
        QuerySignal::Logs => leaf_of_logs(),
        QuerySignal::Metrics => compare(
            intrinsic(Intrinsic::ScopeName),
            number_operator(),
            text().prop_map(Literal::Str),
        )
        .boxed(),
    };
    prop_oneof![shared, own].boxed()
}

fn leaf_of_traces() -> BoxedStrategy<Expr> {
    let nanos = || {
        prop_oneof![
            duration().prop_map(Literal::Duration),
            int().prop_map(Literal::Int),
            float().prop_map(Literal::Double),
        ]
    };
    let codes = vec![StatusCode::Unset, StatusCode::Ok, StatusCode::Error];
    let kinds = vec![SpanKind::Unspecified, SpanKind::Internal, SpanKind::Server];
    let text_literal = || text().prop_map(Literal::Str);
    prop_oneof![
        compare(
            intrinsic(Intrinsic::Name),
            number_operator(),
            text_literal()
        ),
        compare(
            intrinsic(Intrinsic::EventName),
            number_operator(),
            text_literal()
        ),
        compare(intrinsic(Intrinsic::RootName), equality(), text_literal()),
        compare(
            intrinsic(Intrinsic::Name),
            regex_operator(),
            pattern().prop_map(Literal::Str)
        ),
        compare(intrinsic(Intrinsic::Duration), number_operator(), nanos()),
        compare(
            intrinsic(Intrinsic::TraceDuration),
            number_operator(),
            nanos()
        ),
        compare(
            intrinsic(Intrinsic::Status),
            equality(),
            proptest::sample::select(codes).prop_map(Literal::Status)
        ),
        compare(
            intrinsic(Intrinsic::Kind),
            equality(),
            proptest::sample::select(kinds).prop_map(Literal::Kind)
        ),
    ]
    .boxed()
}

fn leaf_of_logs() -> BoxedStrategy<Expr> {
    let levels = proptest::sample::select(Level::ALL.to_vec()).prop_map(Literal::Level);
    prop_oneof![
        compare(intrinsic(Intrinsic::Severity), number_operator(), levels),
        compare(
            intrinsic(Intrinsic::Severity),
            number_operator(),
            (-1_i64..26).prop_map(Literal::Int)
        ),
        compare(
            intrinsic(Intrinsic::Body),
            number_operator(),
            text().prop_map(Literal::Str)
        ),
        compare(
            intrinsic(Intrinsic::Body),
            regex_operator(),
            pattern().prop_map(Literal::Str)
        ),
    ]
    .boxed()
}

// Regular expressions are counted; a tree with too many of them is not a query.
fn expr(signal: QuerySignal) -> impl Strategy<Value = Expr> {
    leaf(signal)
        .prop_recursive(4, 14, 3, |inner| {
            prop_oneof![
                inner.clone().prop_map(|inner| Expr::Not(Box::new(inner))),
                proptest::collection::vec(inner.clone(), 2..4).prop_map(|items| flat(items, true)),
                proptest::collection::vec(inner, 2..4).prop_map(|items| flat(items, false)),
            ]
        })
        .prop_filter("at most 16 regular expressions", |expr| regexes(expr) <= 16)
}

fn regexes(expr: &Expr) -> usize {
    match expr {
        Expr::Compare(comparison) => usize::from(comparison.operator.is_regex()),
        Expr::Not(inner) => regexes(inner),
        Expr::And(items) | Expr::Or(items) => items.iter().map(regexes).sum(),
        Expr::Constant(_) | Expr::Is(_) => 0,
    }
}

fn flat(items: Vec<Expr>, is_and: bool) -> Expr {
    let items = items
        .into_iter()
        .flat_map(|item| match item {
            Expr::And(inner) if is_and => inner,
            Expr::Or(inner) if !is_and => inner,
            other => vec![other],
        })
        .collect();
    if is_and {
        Expr::And(items)
    } else {
        Expr::Or(items)
    }
}

fn value() -> impl Strategy<Value = Value<'static>> {
    let scalar = prop_oneof![
        Just(Value::Empty),
        text().prop_map(Value::from),
        any::<bool>().prop_map(Value::Bool),
        int().prop_map(Value::Int),
        duration().prop_map(Value::Int),
        float().prop_map(Value::Double),
        Just(Value::Double(f64::NAN)),
    ];
    prop_oneof![
        4 => scalar.clone(),
        1 => proptest::collection::vec(scalar, 0..3).prop_map(Value::Array),
    ]
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue<'static>>> {
    let keys = proptest::sample::subsequence(vec!["a", "b", "http.method", "é"], 0..=4);
    keys.prop_flat_map(|keys| {
        keys.into_iter()
            .map(|key| value().prop_map(move |value| KeyValue::new(key, value)))
            .collect::<Vec<_>>()
    })
}

fn record() -> impl Strategy<Value = TestRecord> {
    let codes = vec![StatusCode::Unset, StatusCode::Ok, StatusCode::Error];
    let kinds = vec![SpanKind::Unspecified, SpanKind::Internal, SpanKind::Server];
    let events = proptest::collection::vec((text(), attributes()), 0..3);
    (
        (text(), 0_u64..3, 0..=i64::MAX.unsigned_abs()),
        proptest::sample::select(codes),
        proptest::sample::select(kinds),
        (0_i32..25, text(), proptest::option::of(text())),
        (attributes(), attributes(), events),
    )
        .prop_map(|(main, status, kind, log, attributes)| TestRecord {
            name: main.0,
            duration_nano: main.1,
            trace_duration_nano: main.2,
            status,
            kind,
            severity: Severity::from_otlp(log.0),
            body: log.1,
            root_name: log.2,
            own: attributes.0,
            resource: attributes.1,
            events: attributes.2,
            ..TestRecord::default()
        })
}

/// The language said again, as plainly as possible: all values of a field, then the operator.
fn oracle(expr: &Expr, record: &TestRecord) -> bool {
    match expr {
        Expr::Constant(value) => *value,
        Expr::Not(inner) => !oracle(inner, record),
        Expr::And(items) => items.iter().all(|item| oracle(item, record)),
        Expr::Or(items) => items.iter().any(|item| oracle(item, record)),
        Expr::Is(field) => values(field, record)
            .iter()
            .any(|value| oracle_holds(value, Operator::Equal, &Literal::Bool(true))),
        Expr::Compare(Comparison {
            field,
            operator,
            value: Literal::Nil,
        }) => values(field, record).is_empty() == (*operator == Operator::Equal),
        Expr::Compare(Comparison {
            field,
            operator,
            value,
        }) => values(field, record)
            .iter()
            .any(|found| oracle_holds(found, *operator, value)),
    }
}

#[derive(Debug, Clone)]
enum Found {
    Value(Value<'static>),
    Status(StatusCode),
    Kind(SpanKind),
    Severity(u8),
}

fn values(field: &Field, record: &TestRecord) -> Vec<Found> {
    if let Field::Attribute {
        scope: AttributeScope::Any,
        key,
    } = field
    {
        let own = with_key(&record.own, key).filter(|value| **value != Value::Empty);
        let found = own.or(with_key(&record.resource, key));
        return found
            .filter(|value| **value != Value::Empty)
            .map(|value| Found::Value(value.clone()))
            .into_iter()
            .collect();
    }
    record
        .values(field)
        .into_iter()
        .filter_map(|value| match value {
            FieldValue::Value(Value::Empty) => None,
            FieldValue::Value(value) => Some(Found::Value(value.clone().into_owned())),
            FieldValue::Str(text) => Some(Found::Value(Value::from(text.to_owned()))),
            FieldValue::Duration(nanos) => Some(Found::Value(Value::Int(
                i64::try_from(nanos).unwrap_or(i64::MAX),
            ))),
            FieldValue::Status(code) => Some(Found::Status(code)),
            FieldValue::Kind(kind) => Some(Found::Kind(kind)),
            FieldValue::Severity(severity) => Some(severity.number())
                .filter(|n| *n > 0)
                .map(Found::Severity),
            other => panic!("no such value in a test record: {other:?}"),
        })
        .collect()
}

fn oracle_holds(found: &Found, operator: Operator, literal: &Literal) -> bool {
    let is = |equal: bool| match operator {
        Operator::Equal => equal,
        Operator::NotEqual => !equal,
        _ => false,
    };
    match (found, literal) {
        (Found::Status(code), Literal::Status(other)) => is(code == other),
        (Found::Kind(kind), Literal::Kind(other)) => is(kind == other),
        (Found::Severity(number), Literal::Int(other)) => {
            operator.accepts(i64::from(*number).cmp(other))
        }
        (Found::Severity(number), Literal::Level(level)) => {
            let rank = Level::ALL[usize::from((number - 1) / 4)];
            operator.accepts(rank.cmp(level))
        }
        (Found::Value(value), literal) => oracle_value(value, operator, literal),
        _ => false,
    }
}

fn oracle_value(value: &Value<'_>, operator: Operator, literal: &Literal) -> bool {
    let literal = match literal {
        Literal::Duration(nanos) => &Literal::Int(*nanos),
        other => other,
    };
    match (value, literal) {
        (Value::Array(items), literal) if operator.is_negative() => {
            !items.is_empty()
                && items
                    .iter()
                    .all(|item| oracle_value(item, operator, literal))
        }
        (Value::Array(items), literal) => items
            .iter()
            .any(|item| oracle_value(item, operator, literal)),
        (Value::Str(text), Literal::Str(pattern)) if operator.is_regex() => {
            let found = regex::Regex::new(pattern)
                .unwrap()
                .find_iter(text)
                .any(|found| found.len() == text.len());
            // `find` prefers the first alternative, not the longest; anchoring settles it.
            let anchored = regex::Regex::new(&format!(r"\A(?:{pattern})\z")).unwrap();
            (found || anchored.is_match(text)) == (operator == Operator::Match)
        }
        (Value::Str(text), Literal::Str(other)) => operator.accepts(text.as_ref().cmp(other)),
        (Value::Bool(value), Literal::Bool(other)) => match operator {
            Operator::Equal => value == other,
            Operator::NotEqual => value != other,
            _ => false,
        },
        (Value::Int(value), Literal::Int(other)) => operator.accepts(value.cmp(other)),
        (Value::Int(value), Literal::Double(other)) => exact(*value, *other)
            .map_or(operator == Operator::NotEqual, |ordering| {
                operator.accepts(ordering)
            }),
        (Value::Double(value), Literal::Int(other)) => exact(*other, *value)
            .map_or(operator == Operator::NotEqual, |ordering| {
                operator.accepts(ordering.reverse())
            }),
        (Value::Double(value), Literal::Double(other)) => value
            .partial_cmp(other)
            .map_or(operator == Operator::NotEqual, |ordering| {
                operator.accepts(ordering)
            }),
        _ => false,
    }
}

// All floats of these tests are multiples of one half, so that doubling makes integers of them.
fn exact(int: i64, double: f64) -> Option<std::cmp::Ordering> {
    if double.is_nan() {
        return None;
    }
    if double.abs() > 1e30 {
        return 0.0_f64.partial_cmp(&double);
    }
    #[expect(clippy::cast_possible_truncation, reason = "an integer below 1e31")]
    let doubled = (double * 2.0) as i128;
    Some((i128::from(int) * 2).cmp(&doubled))
}

/// Whether a block holding just this record could be skipped, judged as a store would.
fn is_pruned(constraints: &Constraints, record: &TestRecord) -> bool {
    constraints.all.iter().any(|constraint| match constraint {
        Constraint::Never => true,
        Constraint::Duration { min_nano, max_nano } => {
            !(*min_nano..=*max_nano).contains(&record.duration_nano)
        }
        Constraint::TraceDuration { min_nano } => record.trace_duration_nano < *min_nano,
        Constraint::TraceId(id) => record.trace_id != *id,
        Constraint::Status(code) => record.status != *code,
        Constraint::Kind(kind) => record.kind != *kind,
        Constraint::Severity { min, max } => !(*min..=*max).contains(&record.severity.number()),
        Constraint::Intrinsic(intrinsic, text) => !record
            .values(&Field::Intrinsic(*intrinsic))
            .iter()
            .any(|value| matches!(value, FieldValue::Str(found) if found == text)),
        Constraint::Present { scope, key } => candidates(*scope, key, record).is_empty(),
        Constraint::Equals { scope, key, form } => {
            let mut forms = HashSet::new();
            for value in candidates(*scope, key, record) {
                equality_forms(value, &mut |form| {
                    forms.insert(form);
                });
            }
            !forms.contains(form)
        }
        Constraint::Number {
            scope,
            key,
            min,
            max,
        } => {
            let mut may_meet = false;
            for value in candidates(*scope, key, record) {
                equality_forms(value, &mut |form| {
                    may_meet |= form.number().is_some_and(|n| *min <= n && n <= *max);
                });
            }
            !may_meet
        }
        Constraint::Contains { scope, key, text } => {
            let mut contains = false;
            for value in candidates(*scope, key, record) {
                equality_forms(value, &mut |form| {
                    contains |= matches!(form, super::super::EqualityForm::Str(found) if found.contains(text));
                });
            }
            !contains
        }
        Constraint::BodyContains(text) => !record.body.contains(text),
        Constraint::AnyOf(alternatives) => alternatives.iter().all(|one| is_pruned(one, record)),
    })
}

fn candidates<'a>(
    scope: AttributeScope,
    key: &str,
    record: &'a TestRecord,
) -> Vec<&'a Value<'static>> {
    let own = with_key(&record.own, key);
    let resource = with_key(&record.resource, key);
    match scope {
        AttributeScope::Any => own.into_iter().chain(resource).collect(),
        AttributeScope::Span | AttributeScope::Log | AttributeScope::Point => {
            own.into_iter().collect()
        }
        AttributeScope::Resource => resource.into_iter().collect(),
        AttributeScope::Event => record
            .events
            .iter()
            .filter_map(|(_, attributes)| with_key(attributes, key))
            .collect(),
    }
}

fn signal() -> impl Strategy<Value = QuerySignal> {
    proptest::sample::select(vec![
        QuerySignal::Traces,
        QuerySignal::Logs,
        QuerySignal::Metrics,
    ])
}

fn query() -> impl Strategy<Value = (QuerySignal, Ast)> {
    signal().prop_flat_map(|signal| {
        let stages = match signal {
            QuerySignal::Traces => proptest::collection::vec(
                (number_operator(), int())
                    .prop_map(|(operator, value)| Stage::Count { operator, value }),
                0..3,
            )
            .boxed(),
            QuerySignal::Logs | QuerySignal::Metrics => Just(Vec::new()).boxed(),
        };
        (Just(signal), expr(signal), stages)
            .prop_map(|(signal, filter, stages)| (signal, Ast { filter, stages }))
    })
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn parsing_the_canonical_text_gives_the_same_tree((signal, ast) in query()) {
        let text = ast.to_string();
        let query = Query::parse(&text, signal)
            .map_err(|error| TestCaseError::fail(format!("`{text}`: {error}")))?;
        prop_assert_eq!(query.ast(), &ast, "`{}`", text);
        // The text can be used in any place, with any spacing around it.
        let spaced = Query::parse(&format!("  {text}\n"), signal).unwrap();
        prop_assert_eq!(spaced.ast(), &ast);
    }

    #[test]
    fn evaluation_agrees_with_the_plain_reading(
        (signal, ast) in query(),
        records in proptest::collection::vec(record(), 1..8),
    ) {
        let query = Query::parse(&ast.to_string(), signal).unwrap();
        for record in &records {
            prop_assert_eq!(
                query.matches(record), oracle(&ast.filter, record), "`{}` {:?}", query, record
            );
        }
    }

    #[test]
    fn a_verdict_without_the_trace_is_that_of_every_trace(
        ast in query().prop_map(|(_, ast)| ast),
        record in record(),
        traces in proptest::collection::vec((proptest::option::of(text()), any::<u32>()), 1..8),
    ) {
        let Ok(query) = Query::parse(&ast.to_string(), QuerySignal::Traces) else {
            return Ok(());
        };
        let verdict = query.judge(&record, |field| !field.is_of_trace());
        prop_assert!(verdict.is_some() || query.needs_trace(), "`{}`", query);
        for (root_name, duration) in traces {
            let in_trace = TestRecord {
                root_name,
                trace_duration_nano: duration.into(),
                ..record.clone()
            };
            if let Some(verdict) = verdict {
                prop_assert_eq!(query.matches(&in_trace), verdict, "`{}`", query);
            }
        }
    }

    #[test]
    fn constraints_never_exclude_a_match(
        (signal, ast) in query(),
        records in proptest::collection::vec(record(), 1..8),
    ) {
        let query = Query::parse(&ast.to_string(), signal).unwrap();
        let constraints = query.constraints();
        for record in records.iter().filter(|record| query.matches(*record)) {
            prop_assert!(
                !is_pruned(&constraints, record), "`{}` {:?} {:?}", query, constraints, record
            );
        }
    }

    #[test]
    fn any_text_is_a_query_or_an_error_inside_it(
        text in prop_oneof![
            any::<String>(),
            proptest::collection::vec(proptest::sample::select(vec![
                "{", "}", "(", ")", "!", "&&", "||", "|", "=", "!=", "=~", "!~", "<", ">=", "-", "5",
                "1.5", "10ms", "\"a\"", "`b`", "name", "status", "error", "span.a", ".b", "severity",
                "warn", "count()", "nil", "true", " ", "\"", "\\", "é", "span.\"x y\"", "trace:id",
            ]), 0..16).prop_map(|parts| parts.join(" ")),
        ],
        signal in signal(),
    ) {
        match Query::parse(&text, signal) {
            Ok(query) => {
                let again = Query::parse(&query.to_string(), signal).unwrap();
                prop_assert_eq!(again.ast(), query.ast());
            }
            Err(error) => {
                prop_assert!(error.byte_offset + error.byte_length <= text.len());
                prop_assert!(text.is_char_boundary(error.byte_offset));
                prop_assert!(text.is_char_boundary(error.byte_offset + error.byte_length));
                prop_assert!(error.offset + error.length <= text.chars().count());
                prop_assert!(!error.message.is_empty());
            }
        }
    }
}
