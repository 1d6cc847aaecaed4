//! Comparisons: what may stand on either side of an operator, and whether it fits together.

use regex::RegexBuilder;

use super::{Parser, is_spelled_operator};
use crate::query::ast::{
    AttributeScope, Comparison, Expr, Field, Intrinsic, Level, Literal, Operator,
};
use crate::query::error::QueryError;
use crate::query::fields::{
    KINDS, STATUSES, described, expected_values, intrinsic_of, intrinsics, takes_text, value_fits,
};
use crate::query::lex::Token;
use crate::query::{QUERY_REGEXES_MAX, QuerySignal};

// Enough for any pattern people write; a query holds at most `QUERY_REGEXES_MAX` of them.
const REGEX_BYTES_MAX: usize = 256 * 1024;
const REGEX_NEST_MAX: u32 = 32;

// Of TraceQL and of other signals; what else stands before a dot begins the key of an attribute.
const SCOPES_ELSEWHERE: [&str; 7] = [
    "span",
    "event",
    "log",
    "point",
    "parent",
    "link",
    "instrumentation",
];

// What stands on one side of a comparison operator.
pub(super) enum Side {
    Field(Field),
    Literal(Literal),
    // A word such as `error`, whose meaning depends on the other side.
    Word(String),
}

impl Parser<'_> {
    pub(super) fn comparison(&mut self) -> Result<Expr, QueryError> {
        let left_start = self.at;
        let left = self.side()?;
        let Token::Operator(operator) = *self.peek() else {
            return self.alone(left, left_start);
        };
        let operator_at = self.at;
        self.advance();
        let right_start = self.at;
        let right = self.side()?;
        let (field, operator, value, value_start) = match (left, right) {
            (Side::Field(field), value @ (Side::Literal(_) | Side::Word(_))) => {
                (field, operator, value, right_start)
            }
            (value @ (Side::Literal(_) | Side::Word(_)), Side::Field(field)) => {
                if operator.is_regex() {
                    return Err(
                        self.error_since(left_start, "the regular expression stands on the right")
                    );
                }
                // The value's tokens are no longer the last ones taken.
                (field, operator.flipped(), value, left_start)
            }
            (Side::Field(_), Side::Field(_)) => {
                return Err(self
                    .error_since(right_start, "two fields are not compared with each other")
                    .expecting(["a value"]));
            }
            (left, _) => return Err(self.no_field(&left, left_start)),
        };
        let (value_from, value_to) = if value_start == left_start {
            (left_start, operator_at)
        } else {
            (right_start, self.at)
        };
        let place = (
            self.place(value_from).0,
            self.place(value_to.saturating_sub(1)).1,
        );
        let value = self.resolve(&field, value, place)?;
        self.check(&field, operator, &value, operator_at, place)?;
        Ok(Expr::Compare(Comparison {
            field,
            operator,
            value,
        }))
    }

    fn no_field(&self, left: &Side, left_start: usize) -> QueryError {
        let (start, end) = self.place(left_start);
        match left {
            Side::Word(word) => self.unknown_word(word, start, end),
            _ => QueryError::new(self.text, start, end, "nothing of the record is compared")
                .expecting(self.field_examples()),
        }
    }

    // Something that no comparison operator follows.
    fn alone(&self, side: Side, start: usize) -> Result<Expr, QueryError> {
        match side {
            Side::Literal(Literal::Bool(value)) => Ok(Expr::Constant(value)),
            Side::Field(field @ Field::Attribute { .. }) => Ok(Expr::Is(field)),
            Side::Field(Field::Intrinsic(_)) => {
                let error = if *self.peek() == Token::End {
                    self.error_here("the comparison is not finished")
                } else {
                    self.unexpected()
                };
                Err(error.expecting(["a comparison such as `=`, `!=` or `>`"]))
            }
            Side::Word(word) => {
                let (from, to) = self.place(start);
                Err(self.unknown_word(&word, from, to))
            }
            Side::Literal(_) => Err(self
                .error_since(start, "a value by itself says nothing about a record")
                .expecting(self.field_examples())),
        }
    }

    fn field_examples(&self) -> [&'static str; 3] {
        match self.signal {
            QuerySignal::Traces => ["`name`", "`duration`", "an attribute such as `span.key`"],
            QuerySignal::Logs => ["`severity`", "`body`", "an attribute such as `log.key`"],
            QuerySignal::Metrics => [
                "an attribute such as `point.key`",
                "`resource.key`",
                "`instrumentation:name`",
            ],
        }
    }

    fn unknown_word(&self, word: &str, start: usize, end: usize) -> QueryError {
        if is_spelled_operator(word) {
            let operator = match word.to_ascii_lowercase().as_str() {
                "and" => "&&",
                "or" => "||",
                _ => "!",
            };
            let message = format!("`{word}` is written `{operator}`");
            return QueryError::new(self.text, start, end, message);
        }
        let message = match (self.signal, intrinsic_of(word)) {
            (QuerySignal::Traces, Some(_)) => format!("spans have no `{word}`"),
            (QuerySignal::Logs, Some(_)) => format!("log records have no `{word}`"),
            (QuerySignal::Metrics, Some(_)) => format!("data points have no `{word}`"),
            _ => format!("`{word}` is not a field"),
        };
        let names = intrinsics(self.signal).map(|(name, _)| name);
        let mut expected = vec![format!("an attribute such as `.{word}`")];
        if word.contains(':') || intrinsic_of(word).is_some() {
            expected.clear();
        }
        let names: Vec<String> = names
            .filter(|name| !name.contains(':') || self.signal == QuerySignal::Metrics)
            .map(|name| format!("`{name}`"))
            .collect();
        expected.push(format!("one of {}", names.join(" ")));
        QueryError::new(self.text, start, end, message).expecting(expected)
    }

    // One operand.
    pub(super) fn side(&mut self) -> Result<Side, QueryError> {
        let start = self.at;
        let is_negative = self.take(&Token::Minus);
        let side = match self.peek().clone() {
            Token::Int(value) => {
                let value = i128::from(value) * if is_negative { -1 } else { 1 };
                self.advance();
                let value = i64::try_from(value).map_err(|_| {
                    self.error_since(start, "the number is too large")
                        .expecting(["an integer of 64 bits"])
                })?;
                return Ok(Side::Literal(Literal::Int(value)));
            }
            Token::Double(value) => Literal::Double(if is_negative { -value } else { value }),
            Token::Duration(nanos) => Literal::Duration(if is_negative { -nanos } else { nanos }),
            _ if is_negative => return Err(self.unexpected().expecting(["a number"])),
            Token::Str(content) => Literal::Str(content),
            Token::Attribute { scope, key } => {
                let field = self.attribute(&scope, key)?;
                self.advance();
                return Ok(Side::Field(field));
            }
            Token::Word(word) => {
                let known = intrinsics(self.signal).find(|(name, _)| *name == word);
                match (word.as_str(), known) {
                    (_, Some((_, intrinsic))) => {
                        self.advance();
                        return Ok(Side::Field(Field::Intrinsic(intrinsic)));
                    }
                    ("true", _) => Literal::Bool(true),
                    ("false", _) => Literal::Bool(false),
                    ("nil", _) => Literal::Nil,
                    _ => {
                        self.advance();
                        return Ok(Side::Word(word));
                    }
                }
            }
            _ => {
                return Err(self
                    .unexpected()
                    .expecting(["a field", "a value", "`(`", "`!`"]));
            }
        };
        self.advance();
        Ok(Side::Literal(side))
    }

    fn attribute(&self, scope: &str, key: String) -> Result<Field, QueryError> {
        let found = match (scope, self.signal) {
            ("", _) => Some(AttributeScope::Any),
            ("resource", _) => Some(AttributeScope::Resource),
            ("span", QuerySignal::Traces) => Some(AttributeScope::Span),
            ("event", QuerySignal::Traces) => Some(AttributeScope::Event),
            ("log", QuerySignal::Logs) => Some(AttributeScope::Log),
            ("point", QuerySignal::Metrics) => Some(AttributeScope::Point),
            _ => None,
        };
        if let Some(scope) = found {
            return Ok(Field::Attribute { scope, key });
        }
        let scopes: &[&str] = match self.signal {
            QuerySignal::Traces => &["span.", "resource.", "event."],
            QuerySignal::Logs => &["log.", "resource."],
            QuerySignal::Metrics => &["point.", "resource."],
        };
        let (start, end) = self.place(self.at);
        let written = self.text.get(start..end).unwrap_or_default();
        let message = match (scope, self.signal) {
            ("span" | "event", QuerySignal::Logs) => {
                format!("log records have no `{scope}.` attributes")
            }
            ("log", QuerySignal::Traces) => "spans have no `log.` attributes".to_owned(),
            ("span" | "event" | "log", QuerySignal::Metrics) => {
                format!("data points have no `{scope}.` attributes")
            }
            _ if SCOPES_ELSEWHERE.contains(&scope) => format!("`{scope}` is not a scope"),
            // The key of an attribute as records show it.
            _ => {
                let message = format!("the attribute is written `.{written}`");
                let expected = scopes.iter().map(|scope| format!("`{scope}{written}`"));
                let expected = std::iter::once(format!("`.{written}`")).chain(expected);
                return Err(QueryError::new(self.text, start, end, message).expecting(expected));
            }
        };
        let mut expected: Vec<String> = scopes.iter().map(|scope| format!("`{scope}`")).collect();
        expected.push(format!("a dot before it: `.{written}`"));
        Err(QueryError::new(self.text, start, start + scope.len(), message).expecting(expected))
    }

    // The value a side stands for when it is compared with a field.
    fn resolve(
        &self,
        field: &Field,
        side: Side,
        (start, end): (usize, usize),
    ) -> Result<Literal, QueryError> {
        let word = match side {
            Side::Literal(literal) => return Ok(literal),
            Side::Word(word) => word,
            // The caller passes the side that is not the field.
            Side::Field(_) => String::new(),
        };
        let named = match field {
            Field::Intrinsic(Intrinsic::Status) => STATUSES
                .into_iter()
                .find(|status| status.as_str() == word)
                .map(Literal::Status),
            Field::Intrinsic(Intrinsic::Kind) => KINDS
                .into_iter()
                .find(|kind| kind.as_str() == word)
                .map(Literal::Kind),
            Field::Intrinsic(Intrinsic::Severity) => Level::ALL
                .into_iter()
                .find(|level| level.as_str().eq_ignore_ascii_case(&word))
                .map(Literal::Level),
            _ => None,
        };
        named.ok_or_else(|| {
            let message = format!("`{word}` is not a value `{field}` is compared with");
            let mut expected = expected_values(field);
            if takes_text(field) {
                expected = vec![format!("quotes around text: `\"{word}\"`")];
            }
            QueryError::new(self.text, start, end, message).expecting(expected)
        })
    }

    // Whether field, operator and value fit together.
    fn check(
        &mut self,
        field: &Field,
        operator: Operator,
        value: &Literal,
        operator_at: usize,
        (start, end): (usize, usize),
    ) -> Result<(), QueryError> {
        if !value_fits(field, value) {
            let message = format!("`{field}` is not compared with {}", described(value));
            return Err(
                QueryError::new(self.text, start, end, message).expecting(expected_values(field))
            );
        }
        let (operator_start, operator_end) = self.place(operator_at);
        let refuse = |message: String, expected: &[&str]| {
            QueryError::new(self.text, operator_start, operator_end, message)
                .expecting(expected.iter().copied())
        };
        let shown = operator.as_str();
        match (field, value) {
            (
                Field::Intrinsic(Intrinsic::TraceId | Intrinsic::SpanId | Intrinsic::ParentSpanId),
                _,
            )
            | (_, Literal::Nil | Literal::Bool(_) | Literal::Status(_) | Literal::Kind(_))
                if operator.is_ordering() || operator.is_regex() =>
            {
                let message = format!("`{shown}` does not apply to {}", described(value));
                Err(refuse(message, &["`=`", "`!=`"]))
            }
            (_, Literal::Str(pattern)) if operator.is_regex() => self.regex(pattern, start, end),
            _ if operator.is_regex() => {
                let message = format!("`{shown}` takes a regular expression in quotes");
                Err(refuse(
                    message,
                    &["`=`", "`!=`", "`<`", "`<=`", "`>`", "`>=`"],
                ))
            }
            _ => Ok(()),
        }
    }

    fn regex(&mut self, pattern: &str, start: usize, end: usize) -> Result<(), QueryError> {
        let fail = |message: String| Err(QueryError::new(self.text, start, end, message));
        if self.regexes.len() == QUERY_REGEXES_MAX {
            return fail(format!(
                "the query has more than {QUERY_REGEXES_MAX} regular expressions"
            ));
        }
        // The pattern alone must be one: `)(` would become one by the brackets that anchor it.
        if let Err(error) = regex_syntax::parse(pattern) {
            let reason = match &error {
                regex_syntax::Error::Parse(error) => error.kind().to_string(),
                regex_syntax::Error::Translate(error) => error.kind().to_string(),
                _ => "it does not parse".to_owned(),
            };
            return fail(format!("the regular expression is not valid: {reason}"));
        }
        let build = |pattern: String| {
            RegexBuilder::new(&pattern)
                .size_limit(REGEX_BYTES_MAX)
                .dfa_size_limit(REGEX_BYTES_MAX)
                .nest_limit(REGEX_NEST_MAX)
                .build()
        };
        // A comment at the end of a pattern in `(?x)` mode swallows the bracket; there, and only
        // there, the line feed that ends it means nothing.
        let built = match build(format!("^(?:{pattern})$")) {
            Err(regex::Error::Syntax(_)) => build(format!("^(?:{pattern}\n)$")),
            other => other,
        };
        match built {
            Ok(regex) => {
                self.regexes.push(regex);
                Ok(())
            }
            Err(regex::Error::CompiledTooBig(_)) => {
                fail("the regular expression needs too much memory".to_owned())
            }
            Err(_) => fail("the regular expression is nested too deep".to_owned()),
        }
    }
}
