//! Tokens to a checked tree.
//!
//! Recursive descent; the recursion is bounded by [`QUERY_DEPTH_MAX`](super::QUERY_DEPTH_MAX).

mod comparison;

use regex::Regex;

use super::ast::{Ast, Expr, Literal, Stage};
use super::error::QueryError;
use super::lex::{Spanned, Token, tokens};
use super::{QUERY_BYTES_MAX, QUERY_DEPTH_MAX, QuerySignal};
use comparison::Side;

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
        let what = match self.signal {
            QuerySignal::Traces => None,
            QuerySignal::Logs => Some("log records"),
            QuerySignal::Metrics => Some("data points"),
        };
        if let Some(what) = what {
            let message = format!("`count()` counts the spans of a trace, not {what}");
            return Err(self.error_here(message));
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
