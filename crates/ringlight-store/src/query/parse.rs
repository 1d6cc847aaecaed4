//! Tokens to a checked tree.
//!
//! Recursive descent; the recursion is bounded by [`QUERY_DEPTH_MAX`](super::QUERY_DEPTH_MAX).

use regex::{Regex, RegexBuilder};

use super::ast::{
    Ast, AttributeScope, Comparison, Expr, Field, Intrinsic, Level, Literal, Operator, Stage,
};
use super::error::QueryError;
use super::fields::{
    KINDS, STATUSES, described, expected_values, intrinsic_of, intrinsics, takes_text, value_fits,
};
use super::lex::{Spanned, Token, tokens};
use super::{QUERY_BYTES_MAX, QUERY_DEPTH_MAX, QUERY_REGEXES_MAX, QuerySignal};

// Enough for any pattern people write; a query holds at most `QUERY_REGEXES_MAX` of them.
const REGEX_BYTES_MAX: usize = 256 * 1024;
const REGEX_NEST_MAX: u32 = 32;

/// The tree, and its regular expressions in the order in which they stand in it.
pub(super) fn parse(text: &str, signal: QuerySignal) -> Result<(Ast, Vec<Regex>), QueryError> {
    if text.len() > QUERY_BYTES_MAX {
        let end = text.floor_char_boundary(QUERY_BYTES_MAX);
        let message = format!("the query is longer than {QUERY_BYTES_MAX} bytes");
        return Err(QueryError::new(text, end, text.len(), message));
    }
    let mut parser = Parser {
        text,
        signal,
        tokens: tokens(text)?,
        at: 0,
        depth: 0,
        regexes: Vec::new(),
    };
    let ast = parser.query()?;
    Ok((ast, parser.regexes))
}

// What stands on one side of a comparison operator.
enum Side {
    Field(Field),
    Literal(Literal),
    // A word such as `error`, whose meaning depends on the other side.
    Word(String),
}

struct Parser<'a> {
    text: &'a str,
    signal: QuerySignal,
    // Never empty; the last one is `End`.
    tokens: Vec<Spanned>,
    at: usize,
    depth: usize,
    regexes: Vec<Regex>,
}

impl Parser<'_> {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).map_or(&Token::End, |t| &t.token)
    }

    // The bytes of the token at an index; of the last one when there are no more.
    fn place(&self, index: usize) -> (usize, usize) {
        self.tokens
            .get(index)
            .or(self.tokens.last())
            .map_or((0, 0), |t| (t.start, t.end))
    }

    fn advance(&mut self) {
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
    }

    fn take(&mut self, token: &Token) -> bool {
        let taken = self.peek() == token;
        if taken {
            self.advance();
        }
        taken
    }

    // An error about the tokens from `first` up to the current one, which is not included.
    fn error_since(&self, first: usize, message: impl Into<String>) -> QueryError {
        let (start, _) = self.place(first);
        let (_, end) = self.place(self.at.saturating_sub(1).max(first));
        QueryError::new(self.text, start, end, message)
    }

    fn error_here(&self, message: impl Into<String>) -> QueryError {
        let (start, end) = self.place(self.at);
        QueryError::new(self.text, start, end, message)
    }

    fn unexpected(&self) -> QueryError {
        let (start, end) = self.place(self.at);
        let shown = self.text.get(start..end).unwrap_or("");
        let message = match self.peek() {
            Token::Word(word) if is_spelled_operator(word) => {
                let operator = match word.to_ascii_lowercase().as_str() {
                    "and" => "&&",
                    "or" => "||",
                    _ => "!",
                };
                format!("`{word}` is written `{operator}`")
            }
            token => format!("{} stands where it cannot", token.describe(shown)),
        };
        QueryError::new(self.text, start, end, message)
    }

    fn query(&mut self) -> Result<Ast, QueryError> {
        let filter = match self.peek() {
            Token::End => Expr::Constant(true),
            Token::OpenBrace => self.braces()?,
            _ => self.or_chain()?,
        };
        let mut stages = Vec::new();
        while self.take(&Token::Pipe) {
            stages.push(self.stage()?);
        }
        match self.peek() {
            Token::End => Ok(Ast { filter, stages }),
            Token::And | Token::Or | Token::Operator(_) | Token::OpenBrace
                if self.text.contains('{') =>
            {
                Err(self
                    .error_here(
                        "span sets are not combined; one pair of braces holds all conditions",
                    )
                    .expecting(["the end of the query", "`| count() > 3`"]))
            }
            _ => Err(self
                .unexpected()
                .expecting(["`&&`", "`||`", "`|`", "the end of the query"])),
        }
    }

    fn braces(&mut self) -> Result<Expr, QueryError> {
        self.advance();
        if self.take(&Token::CloseBrace) {
            return Ok(Expr::Constant(true));
        }
        let filter = self.or_chain()?;
        if self.take(&Token::CloseBrace) {
            return Ok(filter);
        }
        Err(self.unexpected().expecting(["`&&`", "`||`", "`}`"]))
    }

    fn stage(&mut self) -> Result<Stage, QueryError> {
        const EXPECTED: [&str; 1] = ["`count() > 3`"];
        match self.peek() {
            Token::Word(word) if word == "count" => {}
            Token::Word(word) => {
                let message = format!("`{word}` is not supported behind `|`");
                return Err(self.error_here(message).expecting(EXPECTED));
            }
            _ => return Err(self.unexpected().expecting(EXPECTED)),
        }
        if self.signal == QuerySignal::Logs {
            return Err(self.error_here("`count()` counts the spans of a trace, not log records"));
        }
        self.advance();
        for (token, expected) in [(Token::OpenParen, "`()`"), (Token::CloseParen, "`)`")] {
            if !self.take(&token) {
                return Err(self.unexpected().expecting([expected]));
            }
        }
        let Token::Operator(operator) = *self.peek() else {
            return Err(self
                .unexpected()
                .expecting(["`=`", "`!=`", "`<`", "`<=`", "`>`", "`>=`"]));
        };
        if operator.is_regex() {
            return Err(self
                .error_here("a number is not matched with a regular expression")
                .expecting(["`=`", "`!=`", "`<`", "`<=`", "`>`", "`>=`"]));
        }
        self.advance();
        let start = self.at;
        match self.side()? {
            Side::Literal(Literal::Int(value)) => Ok(Stage::Count { operator, value }),
            _ => Err(self
                .error_since(start, "the number of spans is compared with an integer")
                .expecting(["an integer"])),
        }
    }

    // `||` binds the chains of `&&`. TraceQL itself reads both from left to right, so `a || b && c`,
    // which the two readings differ on, is refused.
    fn or_chain(&mut self) -> Result<Expr, QueryError> {
        let mut items = vec![self.and_chain()?];
        while self.take(&Token::Or) {
            items.push(self.unary()?);
            if *self.peek() == Token::And {
                return Err(self
                    .error_here("`&&` behind `||` can be read in two ways")
                    .expecting(["parentheses: `a || (b && c)`", "`(a || b) && c`"]));
            }
        }
        Ok(join(items, Expr::Or))
    }

    fn and_chain(&mut self) -> Result<Expr, QueryError> {
        let mut items = vec![self.unary()?];
        while self.take(&Token::And) {
            items.push(self.unary()?);
        }
        Ok(join(items, Expr::And))
    }

    fn enter(&mut self) -> Result<(), QueryError> {
        self.depth += 1;
        if self.depth > QUERY_DEPTH_MAX {
            let message = format!("the query is nested deeper than {QUERY_DEPTH_MAX} levels");
            return Err(self.error_here(message));
        }
        Ok(())
    }

    fn unary(&mut self) -> Result<Expr, QueryError> {
        if *self.peek() == Token::Not {
            self.enter()?;
            self.advance();
            let inner_start = self.at;
            let inner = self.unary()?;
            let is_grouped =
                self.tokens.get(inner_start).map(|t| &t.token) == Some(&Token::OpenParen);
            if matches!(inner, Expr::Compare(_)) && !is_grouped {
                let (start, end) = self.place(inner_start);
                let message = "`!` binds tighter than a comparison";
                return Err(QueryError::new(self.text, start, end, message)
                    .expecting([format!("`!({})`", shown_comparison(&inner))]));
            }
            self.depth -= 1;
            return Ok(Expr::Not(Box::new(inner)));
        }
        if *self.peek() == Token::OpenParen {
            self.enter()?;
            self.advance();
            let inner = self.or_chain()?;
            if !self.take(&Token::CloseParen) {
                return Err(self.unexpected().expecting(["`&&`", "`||`", "`)`"]));
            }
            self.depth -= 1;
            return Ok(inner);
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Expr, QueryError> {
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
            _ => format!("`{word}` is not a field"),
        };
        let names = intrinsics(self.signal).map(|(name, _)| name);
        let mut expected = vec![format!("an attribute such as `.{word}`")];
        if word.contains(':') || intrinsic_of(word).is_some() {
            expected.clear();
        }
        expected.push(format!(
            "one of {}",
            names
                .filter(|name| !name.contains(':'))
                .map(|name| format!("`{name}`"))
                .collect::<Vec<_>>()
                .join(" ")
        ));
        QueryError::new(self.text, start, end, message).expecting(expected)
    }

    // One operand.
    fn side(&mut self) -> Result<Side, QueryError> {
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
            _ => None,
        };
        if let Some(scope) = found {
            return Ok(Field::Attribute { scope, key });
        }
        let message = match (scope, self.signal) {
            ("span" | "event", QuerySignal::Logs) => {
                format!("log records have no `{scope}.` attributes")
            }
            ("log", QuerySignal::Traces) => "spans have no `log.` attributes".to_owned(),
            _ => format!("`{scope}` is not a scope"),
        };
        let mut expected: Vec<String> = match self.signal {
            QuerySignal::Traces => ["`span.`", "`resource.`", "`event.`"]
                .map(Into::into)
                .into(),
            QuerySignal::Logs => ["`log.`", "`resource.`"].map(Into::into).into(),
        };
        expected.push(format!("a dot before it: `.{scope}.{key}`"));
        let (start, _) = self.place(self.at);
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

fn is_spelled_operator(word: &str) -> bool {
    ["and", "or", "not"]
        .iter()
        .any(|name| word.eq_ignore_ascii_case(name))
}

fn shown_comparison(expr: &Expr) -> String {
    let shown = expr.to_string();
    if shown.chars().count() > 60 {
        "...".to_owned()
    } else {
        shown
    }
}

// Flat: a chain inside a chain of the same operator becomes part of it.
fn join(mut items: Vec<Expr>, variant: fn(Vec<Expr>) -> Expr) -> Expr {
    if items.len() == 1 {
        return items.swap_remove(0);
    }
    let is_and = matches!(variant(Vec::new()), Expr::And(_));
    let mut flat = Vec::with_capacity(items.len());
    for item in items {
        match item {
            Expr::And(inner) if is_and => flat.extend(inner),
            Expr::Or(inner) if !is_and => flat.extend(inner),
            other => flat.push(other),
        }
    }
    variant(flat)
}
