//! Conditions that are necessary for a match, for skipping whole blocks.

use std::borrow::Cow;

use ringlight_model::{SpanKind, StatusCode, TraceId, Value};

use super::ast::{AttributeScope, Comparison, Expr, Field, Intrinsic, Literal, Operator};
use super::required::{required_in_any_case, required_texts};

/// Conditions a record meets if it matches; all of them. A block none of whose records can meet
/// one of them holds no match. Ignoring any of them is always safe.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Constraints {
    /// The conditions.
    pub all: Vec<Constraint>,
}

/// A condition every matching record meets.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Constraint {
    /// Nothing matches.
    Never,
    /// The span's duration lies in this range, both ends included.
    Duration {
        /// At least so many nanoseconds.
        min_nano: u64,
        /// At most so many nanoseconds.
        max_nano: u64,
    },
    /// The duration of the trace is at least this; so the trace's spans together span it.
    TraceDuration {
        /// At least so many nanoseconds.
        min_nano: u64,
    },
    /// The record belongs to this trace.
    TraceId(TraceId),
    /// The span's status is this.
    Status(StatusCode),
    /// The span's kind is this.
    Kind(SpanKind),
    /// The severity number lies in this range, both ends included.
    Severity {
        /// The lowest.
        min: u8,
        /// The highest.
        max: u8,
    },
    /// The field, whose value is text, is exactly this. `resource.service.name` arrives here as
    /// an attribute.
    Intrinsic(Intrinsic, String),
    /// The attribute is there.
    Present {
        /// Where; [`AttributeScope::Any`] is the record, or the resource.
        scope: AttributeScope,
        /// Its key.
        key: String,
    },
    /// The attribute, or an item of it if it is a list, equals this value. Two values are equal
    /// if one of their [`equality_forms`] is the same.
    Equals {
        /// Where; [`AttributeScope::Any`] is the record, or the resource.
        scope: AttributeScope,
        /// Its key.
        key: String,
        /// The form its value has.
        form: EqualityForm<'static>,
    },
    /// The attribute, or an item of it if it is a list, is a number in this range, both ends
    /// included. Integers count as the double nearest to them.
    Number {
        /// Where; [`AttributeScope::Any`] is the record, or the resource.
        scope: AttributeScope,
        /// Its key.
        key: String,
        /// At least this.
        min: f64,
        /// At most this.
        max: f64,
    },
    /// The attribute, or an item of it if it is a list, is text that contains this, which is not
    /// empty.
    Contains {
        /// Where; [`AttributeScope::Any`] is the record, or the resource.
        scope: AttributeScope,
        /// Its key.
        key: String,
        /// The text.
        text: String,
    },
    /// The log record's body contains this text, which is not empty.
    BodyContains(String),
    /// The record meets one of these.
    AnyOf(Vec<Constraints>),
}

/// A value reduced so that two values which `=` holds for have the same form: `5` and `5.0` have.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum EqualityForm<'a> {
    /// Text.
    Str(Cow<'a, str>),
    /// A number without a fraction.
    Int(i64),
    /// The bits of any other number.
    Double(u64),
    /// A truth value.
    Bool(bool),
}

impl<'a> EqualityForm<'a> {
    /// The form of text.
    #[must_use]
    pub const fn text(text: &'a str) -> Self {
        Self::Str(Cow::Borrowed(text))
    }

    /// The double nearest to it, if it is a number.
    #[must_use]
    pub const fn number(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Double(bits) => Some(f64::from_bits(*bits)),
            Self::Str(_) | Self::Bool(_) => None,
        }
    }

    /// The form of a floating-point number.
    #[must_use]
    pub fn double(value: f64) -> Self {
        // 2^63 is the first float that does not fit; every float below it fits exactly or has a
        // fraction.
        const END: f64 = 9_223_372_036_854_775_808.0;
        if value.fract() == 0.0 && (-END..END).contains(&value) {
            #[expect(clippy::cast_possible_truncation, reason = "checked just above")]
            return Self::Int(value as i64);
        }
        Self::Double(value.to_bits())
    }
}

/// Shows every form under which `=` finds the value: its own, and those of its items if it is a
/// list. A bloom filter that holds these for every attribute answers [`Constraint::Equals`].
pub fn equality_forms<'a>(value: &'a Value<'_>, sink: &mut dyn FnMut(EqualityForm<'a>)) {
    match value {
        Value::Array(items) => items
            .iter()
            .filter(|item| !matches!(item, Value::Array(_)))
            .for_each(|item| equality_forms(item, sink)),
        Value::Str(text) => sink(EqualityForm::text(text)),
        Value::Int(value) => sink(EqualityForm::Int(*value)),
        Value::Double(value) => sink(EqualityForm::double(*value)),
        Value::Bool(value) => sink(EqualityForm::Bool(*value)),
        Value::Empty | Value::Bytes(_) | Value::Map(_) => {}
    }
}

impl Constraints {
    /// Whether nothing can match.
    #[must_use]
    pub fn is_never(&self) -> bool {
        self.all.contains(&Constraint::Never)
    }

    fn never() -> Self {
        Self {
            all: vec![Constraint::Never],
        }
    }

    fn one(constraint: Constraint) -> Self {
        Self {
            all: vec![constraint],
        }
    }
}

pub(super) fn of(expr: &Expr) -> Constraints {
    match expr {
        Expr::Constant(true) => Constraints::default(),
        Expr::Constant(false) => Constraints::never(),
        Expr::Is(field) => equals(field, EqualityForm::Bool(true)),
        // What a negation excludes says nothing about what it keeps, except for a constant.
        Expr::Not(inner) => match **inner {
            Expr::Constant(true) => Constraints::never(),
            _ => Constraints::default(),
        },
        Expr::And(items) => {
            let mut all = Vec::new();
            for item in items {
                let constraints = of(item);
                if constraints.is_never() {
                    return constraints;
                }
                all.extend(constraints.all);
            }
            Constraints { all }
        }
        Expr::Or(items) => alternatives(items),
        Expr::Compare(comparison) => comparison_constraints(comparison),
    }
}

fn alternatives(items: &[Expr]) -> Constraints {
    let mut possible: Vec<Constraints> = items.iter().map(of).collect();
    possible.retain(|constraints| !constraints.is_never());
    match possible.len() {
        0 => Constraints::never(),
        1 => possible.swap_remove(0),
        _ if possible.iter().any(|one| one.all.is_empty()) => Constraints::default(),
        _ => Constraints::one(Constraint::AnyOf(possible)),
    }
}

fn comparison_constraints(comparison: &Comparison) -> Constraints {
    let Comparison {
        field,
        operator,
        value,
    } = comparison;
    match (field, value) {
        (Field::Attribute { scope, key }, Literal::Nil) => match operator {
            Operator::NotEqual => present(*scope, key),
            _ => Constraints::default(),
        },
        (Field::Attribute { scope, key }, Literal::Str(pattern))
            if *operator == Operator::Match =>
        {
            let mut constraints = present(*scope, key);
            let texts = required_texts(pattern).into_iter();
            constraints
                .all
                .extend(texts.map(|text| Constraint::Contains {
                    scope: *scope,
                    key: key.clone(),
                    text,
                }));
            constraints
        }
        (Field::Attribute { scope, key }, value) => match (operator, form(value)) {
            (Operator::Equal, Some(form)) => equals(field, form),
            (operator, Some(form)) => ordered(*scope, key, *operator, &form),
            _ => present(*scope, key),
        },
        (Field::Intrinsic(intrinsic), value) => intrinsic_constraints(*intrinsic, *operator, value),
    }
}

fn form(value: &Literal) -> Option<EqualityForm<'static>> {
    match value {
        Literal::Str(text) => Some(EqualityForm::Str(Cow::Owned(text.clone()))),
        Literal::Int(value) | Literal::Duration(value) => Some(EqualityForm::Int(*value)),
        Literal::Double(value) => Some(EqualityForm::double(*value)),
        Literal::Bool(value) => Some(EqualityForm::Bool(*value)),
        Literal::Nil | Literal::Status(_) | Literal::Kind(_) | Literal::Level(_) => None,
    }
}

fn present(scope: AttributeScope, key: &str) -> Constraints {
    Constraints::one(Constraint::Present {
        scope,
        key: key.to_owned(),
    })
}

fn equals(field: &Field, form: EqualityForm<'static>) -> Constraints {
    let Field::Attribute { scope, key } = field else {
        return Constraints::default();
    };
    let number = form.number().map(|number| Constraint::Number {
        scope: *scope,
        key: key.clone(),
        min: number,
        max: number,
    });
    let equals = Constraint::Equals {
        scope: *scope,
        key: key.clone(),
        form,
    };
    let all = number.into_iter().chain([equals]).collect();
    Constraints { all }
}

fn ordered(
    scope: AttributeScope,
    key: &str,
    operator: Operator,
    form: &EqualityForm<'_>,
) -> Constraints {
    let mut constraints = present(scope, key);
    let range = form.number().and_then(|number| match operator {
        Operator::Less | Operator::LessEqual => Some((f64::NEG_INFINITY, number)),
        Operator::Greater | Operator::GreaterEqual => Some((number, f64::INFINITY)),
        _ => None,
    });
    constraints
        .all
        .extend(range.map(|(min, max)| Constraint::Number {
            scope,
            key: key.to_owned(),
            min,
            max,
        }));
    constraints
}

fn intrinsic_constraints(intrinsic: Intrinsic, operator: Operator, value: &Literal) -> Constraints {
    match (intrinsic, operator, value) {
        (Intrinsic::Status, Operator::Equal, Literal::Status(code)) => {
            Constraints::one(Constraint::Status(*code))
        }
        (Intrinsic::Kind, Operator::Equal, Literal::Kind(kind)) => {
            Constraints::one(Constraint::Kind(*kind))
        }
        (Intrinsic::Duration, _, Literal::Duration(nanos) | Literal::Int(nanos)) => {
            match range(operator, i128::from(*nanos), i128::from(u64::MAX)) {
                Some((min, max)) => Constraints::one(Constraint::Duration {
                    min_nano: u64::try_from(min).unwrap_or(0),
                    max_nano: u64::try_from(max).unwrap_or(u64::MAX),
                }),
                None => Constraints::never(),
            }
        }
        (Intrinsic::TraceDuration, _, Literal::Duration(nanos) | Literal::Int(nanos)) => {
            match range(operator, i128::from(*nanos), i128::from(u64::MAX)) {
                Some((min, _)) => Constraints::one(Constraint::TraceDuration {
                    min_nano: u64::try_from(min).unwrap_or(0),
                }),
                None => Constraints::never(),
            }
        }
        (Intrinsic::Severity, _, Literal::Level(_) | Literal::Int(_)) => severity(operator, value),
        (Intrinsic::Body, Operator::Equal, Literal::Str(text)) => body_contains(text.clone()),
        (Intrinsic::Body, Operator::Match, Literal::Str(pattern)) => {
            let texts = required_texts(pattern).into_iter();
            let mut all: Vec<_> = texts.map(Constraint::BodyContains).collect();
            let windows = required_in_any_case(pattern).into_iter();
            all.extend(
                windows
                    .map(|ways| Constraint::AnyOf(ways.into_iter().map(body_contains).collect())),
            );
            Constraints { all }
        }
        (Intrinsic::TraceId, Operator::Equal, Literal::Str(text)) => match text.parse() {
            Ok(id) => Constraints::one(Constraint::TraceId(id)),
            Err(_) => Constraints::never(),
        },
        (Intrinsic::SpanId | Intrinsic::ParentSpanId, ..) => Constraints::default(),
        (_, Operator::Equal, Literal::Str(text)) => {
            Constraints::one(Constraint::Intrinsic(intrinsic, text.clone()))
        }
        _ => Constraints::default(),
    }
}

// The values from 0 to `end` that the operator accepts, as a range; `None` if there is none.
fn range(operator: Operator, value: i128, end: i128) -> Option<(i128, i128)> {
    let (min, max) = match operator {
        Operator::Equal => (value, value),
        Operator::Less => (0, value - 1),
        Operator::LessEqual => (0, value),
        Operator::Greater => (value + 1, end),
        Operator::GreaterEqual => (value, end),
        Operator::NotEqual | Operator::Match | Operator::NotMatch => (0, end),
    };
    let (min, max) = (min.max(0), max.min(end));
    (min <= max).then_some((min, max))
}

fn severity(operator: Operator, value: &Literal) -> Constraints {
    let (first, last) = match value {
        Literal::Level(level) => (i128::from(level.first()), i128::from(level.last())),
        Literal::Int(number) => (i128::from(*number), i128::from(*number)),
        _ => return Constraints::default(),
    };
    let range = match operator {
        Operator::Equal => (first, last),
        Operator::Less => (1, first - 1),
        Operator::LessEqual => (1, last),
        Operator::Greater => (last + 1, 24),
        Operator::GreaterEqual => (first, 24),
        Operator::NotEqual | Operator::Match | Operator::NotMatch => (1, 24),
    };
    let (min, max) = (range.0.max(1), range.1.min(24));
    match (u8::try_from(min), u8::try_from(max)) {
        (Ok(min), Ok(max)) if min <= max => Constraints::one(Constraint::Severity { min, max }),
        _ => Constraints::never(),
    }
}

fn body_contains(text: String) -> Constraints {
    if text.is_empty() {
        return Constraints::default();
    }
    Constraints::one(Constraint::BodyContains(text))
}
