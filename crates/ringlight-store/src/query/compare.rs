//! Whether a value compares to the right side of a comparison.

use std::cmp::Ordering;

use memchr::memmem;
use regex::Regex;
use ringlight_model::{Severity, SpanId, SpanKind, StatusCode, TraceId, Value};

use super::ast::{Level, Operator};
use super::eval::FieldValue;
use super::required::required_texts;

/// The right side of a comparison, ready to be compared.
#[derive(Debug)]
pub(super) enum Operand {
    Str(String),
    Regex(Box<Pattern>),
    Int(i64),
    Double(f64),
    Bool(bool),
    Status(StatusCode),
    Kind(SpanKind),
    Level(Level),
    TraceId(TraceId),
    SpanId(SpanId),
}

/// A regular expression, and a text that every match contains: looking for that first is many times
/// faster than the expression, which has to read all of what does not match.
#[derive(Debug)]
pub(super) struct Pattern {
    regex: Regex,
    required: Option<memmem::Finder<'static>>,
}

impl Pattern {
    pub(super) fn new(source: &str, regex: Regex) -> Self {
        let required = required_texts(source)
            .into_iter()
            .max_by_key(String::len)
            .map(|text| memmem::Finder::new(text.as_bytes()).into_owned());
        Self { regex, required }
    }

    fn is_match(&self, text: &str) -> bool {
        let may_match = |finder: &memmem::Finder<'_>| finder.find(text.as_bytes()).is_some();
        self.required.as_ref().is_none_or(may_match) && self.regex.is_match(text)
    }
}

impl Operand {
    /// Whether `value operator self` holds. False where the types do not fit.
    pub(super) fn holds(&self, operator: Operator, value: FieldValue<'_>) -> bool {
        let equality = |fits, equal| holds_equality(operator, fits, equal);
        match (value, self) {
            (FieldValue::Value(value), _) => self.holds_value(operator, value),
            (FieldValue::Str(text), _) => self.holds_text(operator, text),
            (FieldValue::Int(number), Self::Int(other)) => operator.accepts(number.cmp(other)),
            (FieldValue::Int(number), Self::Double(other)) => {
                holds_partial(operator, compare_int_double(number, *other))
            }
            (FieldValue::Double(number), Self::Int(other)) => {
                let ordering = compare_int_double(*other, number);
                holds_partial(operator, ordering.map(Ordering::reverse))
            }
            (FieldValue::Double(number), Self::Double(other)) => {
                holds_partial(operator, number.partial_cmp(other))
            }
            (FieldValue::Duration(nanos), Self::Int(other)) => {
                operator.accepts(i128::from(nanos).cmp(&i128::from(*other)))
            }
            (FieldValue::Duration(nanos), Self::Double(other)) => {
                // What does not fit is longer than 292 years; a float that long is a guess anyway.
                let nanos = i64::try_from(nanos).unwrap_or(i64::MAX);
                holds_partial(operator, compare_int_double(nanos, *other))
            }
            (FieldValue::Bool(value), other) => equality(
                matches!(other, Self::Bool(_)),
                matches!(other, Self::Bool(other) if *other == value),
            ),
            (FieldValue::Status(code), other) => equality(
                matches!(other, Self::Status(_)),
                matches!(other, Self::Status(other) if *other == code),
            ),
            (FieldValue::Kind(kind), other) => equality(
                matches!(other, Self::Kind(_)),
                matches!(other, Self::Kind(other) if *other == kind),
            ),
            (FieldValue::TraceId(id), other) => equality(
                matches!(other, Self::TraceId(_)),
                matches!(other, Self::TraceId(other) if *other == id),
            ),
            (FieldValue::SpanId(id), other) => equality(
                matches!(other, Self::SpanId(_)),
                matches!(other, Self::SpanId(other) if *other == id),
            ),
            (FieldValue::Severity(severity), _) => self.holds_severity(operator, severity),
            (
                FieldValue::Int(_)
                | FieldValue::Double(_)
                | FieldValue::Duration(_)
                | FieldValue::Opaque,
                _,
            ) => false,
        }
    }

    fn holds_value(&self, operator: Operator, value: &Value<'_>) -> bool {
        let scalar = match value {
            Value::Str(text) => FieldValue::Str(text),
            Value::Int(number) => FieldValue::Int(*number),
            Value::Double(number) => FieldValue::Double(*number),
            Value::Bool(value) => FieldValue::Bool(*value),
            Value::Array(items) => return self.holds_items(operator, items),
            Value::Empty | Value::Bytes(_) | Value::Map(_) => return false,
        };
        self.holds(operator, scalar)
    }

    fn holds_text(&self, operator: Operator, text: &str) -> bool {
        match (self, operator) {
            (Self::Regex(pattern), Operator::Match) => pattern.is_match(text),
            (Self::Regex(pattern), Operator::NotMatch) => !pattern.is_match(text),
            (Self::Str(other), operator) if !operator.is_regex() => {
                operator.accepts(text.cmp(other.as_str()))
            }
            _ => false,
        }
    }

    // Some item for most operators; every item for `!=` and `!~`, so that `!=` is what `=` is not.
    fn holds_items(&self, operator: Operator, items: &[Value<'_>]) -> bool {
        let mut scalars = items
            .iter()
            .map(|item| !matches!(item, Value::Array(_)) && self.holds_value(operator, item));
        if operator.is_negative() {
            !items.is_empty() && scalars.all(|holds| holds)
        } else {
            scalars.any(|holds| holds)
        }
    }

    // A level is a range of numbers: above it is above its last one.
    fn holds_severity(&self, operator: Operator, severity: Severity) -> bool {
        let number = severity.number();
        match self {
            Self::Int(other) => operator.accepts(i64::from(number).cmp(other)),
            Self::Level(level) if number < level.first() => operator.accepts(Ordering::Less),
            Self::Level(level) if number > level.last() => operator.accepts(Ordering::Greater),
            Self::Level(_) => operator.accepts(Ordering::Equal),
            _ => false,
        }
    }
}

fn holds_equality(operator: Operator, fits: bool, equal: bool) -> bool {
    match operator {
        Operator::Equal => equal,
        Operator::NotEqual => fits && !equal,
        _ => false,
    }
}

// `!=` is the one operator that holds for a NaN, as everywhere.
fn holds_partial(operator: Operator, ordering: Option<Ordering>) -> bool {
    ordering.map_or(operator == Operator::NotEqual, |ordering| {
        operator.accepts(ordering)
    })
}

/// Compares without rounding: a float holds no more than 53 bits of an integer.
fn compare_int_double(int: i64, double: f64) -> Option<Ordering> {
    // 2^63, the first float above every `i64`; its negative is the lowest `i64`.
    const END: f64 = 9_223_372_036_854_775_808.0;
    if double.is_nan() {
        return None;
    }
    if double >= END {
        return Some(Ordering::Less);
    }
    if double < -END {
        return Some(Ordering::Greater);
    }
    let floor = double.floor();
    #[expect(clippy::cast_possible_truncation, reason = "within the range of `i64`")]
    let whole = floor as i64;
    // With equal whole parts, a fraction makes the float the larger one.
    Some(int.cmp(&whole).then(if double > floor {
        Ordering::Less
    } else {
        Ordering::Equal
    }))
}
