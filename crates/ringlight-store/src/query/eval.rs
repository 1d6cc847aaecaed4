//! Whether a record matches.

use regex::Regex;
use ringlight_model::{Severity, SpanId, SpanKind, StatusCode, TraceId, Value};

use super::QuerySignal;
use super::ast::{Ast, AttributeScope, Comparison, Expr, Field, Intrinsic, Literal, Operator};
use super::compare::{Operand, Pattern};

/// A record, as far as a query is concerned.
pub trait Fields {
    /// Shows the values of a field to `test`, one by one, until it accepts one. Answers whether it
    /// did. A field that is missing is not shown at all; `event.` attributes and event names are
    /// shown once per event that has them, every other field at most once.
    ///
    /// `index` is the field's position in [`Query::fields`](super::Query::fields). The field is
    /// never one of scope [`AttributeScope::Any`].
    fn any(
        &self,
        index: usize,
        field: &Field,
        test: &mut dyn FnMut(FieldValue<'_>) -> bool,
    ) -> bool;
}

/// The value of a field.
#[derive(Debug, Clone, Copy)]
pub enum FieldValue<'a> {
    /// An attribute's value of any type.
    Value(&'a Value<'a>),
    /// Text; a body that is not text is shown as its JSON.
    Str(&'a str),
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// A truth value.
    Bool(bool),
    /// A duration in nanoseconds.
    Duration(u64),
    /// A span's status.
    Status(StatusCode),
    /// A span's kind.
    Kind(SpanKind),
    /// A severity; unspecified is the same as missing.
    Severity(Severity),
    /// A trace id; the invalid one is the same as missing.
    TraceId(TraceId),
    /// A span id; the invalid one is the same as missing.
    SpanId(SpanId),
    /// A value nothing is compared with: bytes, or nested attributes.
    Opaque,
}

/// The compiled form of a query's filter.
#[derive(Debug)]
pub(super) struct Program {
    root: Node,
    fields: Vec<Field>,
}

#[derive(Debug)]
enum Node {
    Constant(bool),
    Not(Box<Node>),
    And(Vec<Node>),
    Or(Vec<Node>),
    Leaf(Leaf),
}

#[derive(Debug)]
struct Leaf {
    // Positions in `fields`, of which the first one that is there counts.
    slots: Vec<usize>,
    test: Test,
}

#[derive(Debug)]
enum Test {
    Present,
    Missing,
    Compare(Operator, Operand),
}

impl Program {
    /// Compiles a tree; `regexes` are its regular expressions in order.
    pub(super) fn compile(ast: &Ast, signal: QuerySignal, regexes: Vec<Regex>) -> Self {
        let mut compiler = Compiler {
            signal,
            fields: Vec::new(),
            regexes: regexes.into_iter(),
        };
        let root = compiler.node(&ast.filter);
        Self {
            root,
            fields: compiler.fields,
        }
    }

    pub(super) fn fields(&self) -> &[Field] {
        &self.fields
    }

    pub(super) fn matches<F: Fields + ?Sized>(&self, record: &F) -> bool {
        self.root.holds(&self.fields, record)
    }

    pub(super) fn judge<F: Fields + ?Sized>(
        &self,
        record: &F,
        is_known: impl Fn(&Field) -> bool,
    ) -> Option<bool> {
        self.root.judge(&self.fields, record, &is_known)
    }

    pub(super) fn may_be_ruled_out_by(&self, is_known: impl Fn(&Field) -> bool) -> bool {
        self.root.can_be_judged(false, &self.fields, &is_known)
    }
}

struct Compiler {
    signal: QuerySignal,
    fields: Vec<Field>,
    regexes: std::vec::IntoIter<Regex>,
}

impl Compiler {
    fn node(&mut self, expr: &Expr) -> Node {
        match expr {
            Expr::Constant(value) => Node::Constant(*value),
            Expr::Not(inner) => Node::Not(Box::new(self.node(inner))),
            Expr::And(items) => Node::And(items.iter().map(|item| self.node(item)).collect()),
            Expr::Or(items) => Node::Or(items.iter().map(|item| self.node(item)).collect()),
            Expr::Is(field) => Node::Leaf(Leaf {
                slots: self.slots(field),
                test: Test::Compare(Operator::Equal, Operand::Bool(true)),
            }),
            Expr::Compare(comparison) => Node::Leaf(Leaf {
                slots: self.slots(&comparison.field),
                test: self.test(comparison),
            }),
        }
    }

    fn slots(&mut self, field: &Field) -> Vec<usize> {
        let Field::Attribute {
            scope: AttributeScope::Any,
            key,
        } = field
        else {
            return vec![self.slot(field.clone())];
        };
        let own = match self.signal {
            QuerySignal::Traces => AttributeScope::Span,
            QuerySignal::Logs => AttributeScope::Log,
            QuerySignal::Metrics => AttributeScope::Point,
        };
        [own, AttributeScope::Resource]
            .map(|scope| {
                self.slot(Field::Attribute {
                    scope,
                    key: key.clone(),
                })
            })
            .into()
    }

    fn slot(&mut self, field: Field) -> usize {
        match self.fields.iter().position(|known| *known == field) {
            Some(slot) => slot,
            None => {
                self.fields.push(field);
                self.fields.len() - 1
            }
        }
    }

    fn test(&mut self, comparison: &Comparison) -> Test {
        let Comparison {
            field,
            operator,
            value,
        } = comparison;
        let operand = match value {
            Literal::Nil if operator.is_negative() => return Test::Present,
            Literal::Nil => return Test::Missing,
            Literal::Str(text) => self.text_operand(field, *operator, text),
            // A duration is a number of nanoseconds, whatever it is compared with.
            Literal::Int(value) | Literal::Duration(value) => Operand::Int(*value),
            Literal::Double(value) => Operand::Double(*value),
            Literal::Bool(value) => Operand::Bool(*value),
            Literal::Status(code) => Operand::Status(*code),
            Literal::Kind(kind) => Operand::Kind(*kind),
            Literal::Level(level) => Operand::Level(*level),
        };
        Test::Compare(*operator, operand)
    }

    fn text_operand(&mut self, field: &Field, operator: Operator, text: &str) -> Operand {
        let id = match field {
            Field::Intrinsic(Intrinsic::TraceId) => text.parse().ok().map(Operand::TraceId),
            Field::Intrinsic(Intrinsic::SpanId | Intrinsic::ParentSpanId) => {
                text.parse().ok().map(Operand::SpanId)
            }
            _ => None,
        };
        let regex = if operator.is_regex() {
            self.regexes.next()
        } else {
            None
        };
        let pattern = regex.map(|regex| Operand::Regex(Box::new(Pattern::new(text, regex))));
        id.or(pattern)
            .unwrap_or_else(|| Operand::Str(text.to_owned()))
    }
}

impl Node {
    fn holds<F: Fields + ?Sized>(&self, fields: &[Field], record: &F) -> bool {
        match self {
            Self::Constant(value) => *value,
            Self::Not(inner) => !inner.holds(fields, record),
            Self::And(items) => items.iter().all(|item| item.holds(fields, record)),
            Self::Or(items) => items.iter().any(|item| item.holds(fields, record)),
            Self::Leaf(leaf) => leaf.holds(fields, record),
        }
    }

    // Like `holds`, with only some of the fields known: `None` if it depends on the others.
    fn judge<F: Fields + ?Sized>(
        &self,
        fields: &[Field],
        record: &F,
        is_known: &impl Fn(&Field) -> bool,
    ) -> Option<bool> {
        match self {
            Self::Not(inner) => inner.judge(fields, record, is_known).map(|holds| !holds),
            Self::And(items) => {
                let mut verdict = Some(true);
                for item in items {
                    match item.judge(fields, record, is_known) {
                        Some(false) => return Some(false),
                        Some(true) => {}
                        None => verdict = None,
                    }
                }
                verdict
            }
            Self::Or(items) => {
                let mut verdict = Some(false);
                for item in items {
                    match item.judge(fields, record, is_known) {
                        Some(true) => return Some(true),
                        Some(false) => {}
                        None => verdict = None,
                    }
                }
                verdict
            }
            Self::Leaf(leaf) if !leaf.slots.iter().all(|&slot| is_known(&fields[slot])) => None,
            Self::Constant(_) | Self::Leaf(_) => Some(self.holds(fields, record)),
        }
    }

    // Whether `judge` gives this verdict for some record.
    fn can_be_judged(
        &self,
        verdict: bool,
        fields: &[Field],
        is_known: &impl Fn(&Field) -> bool,
    ) -> bool {
        let can_be = |item: &Self| item.can_be_judged(verdict, fields, is_known);
        match (self, verdict) {
            (Self::Constant(value), _) => *value == verdict,
            (Self::Not(inner), _) => inner.can_be_judged(!verdict, fields, is_known),
            (Self::And(items), true) | (Self::Or(items), false) => items.iter().all(can_be),
            (Self::And(items), false) | (Self::Or(items), true) => items.iter().any(can_be),
            (Self::Leaf(leaf), _) => leaf.slots.iter().all(|&slot| is_known(&fields[slot])),
        }
    }
}

impl Leaf {
    fn holds<F: Fields + ?Sized>(&self, fields: &[Field], record: &F) -> bool {
        for &slot in &self.slots {
            let mut is_present = false;
            let accepted = record.any(slot, &fields[slot], &mut |value| {
                if value.is_missing() {
                    return false;
                }
                is_present = true;
                match &self.test {
                    Test::Present | Test::Missing => true,
                    Test::Compare(operator, operand) => operand.holds(*operator, value),
                }
            });
            if is_present {
                return accepted && !matches!(self.test, Test::Missing);
            }
        }
        matches!(self.test, Test::Missing)
    }
}

impl FieldValue<'_> {
    fn is_missing(&self) -> bool {
        match self {
            Self::Value(Value::Empty) => true,
            Self::Severity(severity) => *severity == Severity::UNSPECIFIED,
            Self::TraceId(id) => !id.is_valid(),
            Self::SpanId(id) => !id.is_valid(),
            _ => false,
        }
    }
}
