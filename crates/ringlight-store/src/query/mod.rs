//! The filter language: a documented subset of [TraceQL], for traces, logs
//! and metrics.
//!
//! [`Query::parse`] turns text into a [`Query`], which can be asked three things: whether a record
//! matches ([`Query::matches`], over anything that implements [`Fields`]), whether a trace with a
//! number of matching spans is accepted ([`Query::accepts_count`]), and which conditions are
//! necessary for any match at all ([`Query::constraints`]), so that whole blocks can be skipped.
//!
//! Guarantees: a query of any length and nesting is parsed without overflowing the stack; its
//! regular expressions run in linear time and bounded memory; evaluation allocates nothing; an
//! error names the place, what is wrong there and what was expected. The language is described for
//! its users in `docs/query-language.md`.
//!
//! It must not know how records are stored, or what a block is.
//!
//! [TraceQL]: https://grafana.com/docs/tempo/latest/traceql/

mod ast;
mod compare;
mod constraints;
mod error;
mod eval;
mod fields;
mod lex;
mod parse;
mod required;
#[cfg(test)]
mod tests;

use std::fmt;

pub use ast::{
    Ast, AttributeScope, Comparison, Expr, Field, Intrinsic, Level, Literal, Operator, Stage,
};
pub use constraints::{Constraint, Constraints, EqualityForm, equality_forms};
pub use error::QueryError;
pub use eval::{FieldValue, Fields};

/// Bytes a query may have. Far above what people write; below what a URL carries.
pub const QUERY_BYTES_MAX: usize = 8 * 1024;
/// Levels of parentheses and `!` a query may have.
pub const QUERY_DEPTH_MAX: usize = 64;
/// Regular expressions a query may have.
pub const QUERY_REGEXES_MAX: usize = 16;

/// Which records a query is about; they have different fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QuerySignal {
    /// Spans, and the traces they form.
    Traces,
    /// Log records.
    Logs,
    /// Series of metrics.
    Metrics,
}

impl fmt::Display for QuerySignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Traces => "traces",
            Self::Logs => "logs",
            Self::Metrics => "metrics",
        })
    }
}

/// A parsed, checked and compiled query. Cheap to clone.
#[derive(Clone)]
pub struct Query {
    inner: std::sync::Arc<Inner>,
}

struct Inner {
    signal: QuerySignal,
    ast: Ast,
    program: eval::Program,
}

impl Query {
    /// Reads a query. Empty text matches everything.
    ///
    /// # Errors
    /// When the text is not a query of this signal, with the place and what was expected.
    pub fn parse(text: &str, signal: QuerySignal) -> Result<Self, QueryError> {
        let (ast, regexes) = parse::parse(text, signal)?;
        let program = eval::Program::compile(&ast, signal, regexes);
        Ok(Self {
            inner: std::sync::Arc::new(Inner {
                signal,
                ast,
                program,
            }),
        })
    }

    /// The query that matches every record of a signal.
    #[must_use]
    pub fn everything(signal: QuerySignal) -> Self {
        let ast = Ast {
            filter: Expr::Constant(true),
            stages: Vec::new(),
        };
        let program = eval::Program::compile(&ast, signal, Vec::new());
        Self {
            inner: std::sync::Arc::new(Inner {
                signal,
                ast,
                program,
            }),
        }
    }

    /// The signal it was parsed for.
    #[must_use]
    pub fn signal(&self) -> QuerySignal {
        self.inner.signal
    }

    /// The parsed form.
    #[must_use]
    pub fn ast(&self) -> &Ast {
        &self.inner.ast
    }

    /// The fields evaluation asks for, each once; [`Fields::any`] is given the position in this
    /// list, so that an implementation can resolve them once for many records. None has
    /// [`AttributeScope::Any`]: such a field is listed once per scope it may be found in.
    #[must_use]
    pub fn fields(&self) -> &[Field] {
        self.inner.program.fields()
    }

    /// Whether a record matches.
    #[must_use]
    pub fn matches<F: Fields + ?Sized>(&self, record: &F) -> bool {
        self.inner.program.matches(record)
    }

    /// Whether a record matches as far as it can be told by the fields that are known: `None` if it
    /// depends on others, which are not asked for.
    #[must_use]
    pub fn judge<F: Fields + ?Sized>(
        &self,
        record: &F,
        is_known: impl Fn(&Field) -> bool,
    ) -> Option<bool> {
        self.inner.program.judge(record, is_known)
    }

    /// Whether there can be records that these fields alone rule out.
    #[must_use]
    pub fn may_be_ruled_out_by(&self, is_known: impl Fn(&Field) -> bool) -> bool {
        self.inner.program.may_be_ruled_out_by(is_known)
    }

    /// Whether every record matches, so that none needs to be looked at.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.inner.ast.filter == Expr::Constant(true)
    }

    /// Whether a field of the whole trace is used (`rootName`, `rootServiceName`,
    /// `traceDuration`), so that a span cannot be judged on its own.
    #[must_use]
    pub fn needs_trace(&self) -> bool {
        self.fields().iter().any(Field::is_of_trace)
    }

    /// Whether there is a condition on how many spans of a trace match.
    #[must_use]
    pub fn has_count(&self) -> bool {
        !self.inner.ast.stages.is_empty()
    }

    /// Whether a trace is accepted in which `matching` spans match. A trace without any is not,
    /// whatever the condition: there is nothing to count.
    #[must_use]
    pub fn accepts_count(&self, matching: u64) -> bool {
        matching > 0
            && self.inner.ast.stages.iter().all(|stage| match stage {
                Stage::Count { operator, value } => {
                    operator.accepts(i64::try_from(matching).unwrap_or(i64::MAX).cmp(value))
                }
            })
    }

    /// Conditions that every matching record meets.
    #[must_use]
    pub fn constraints(&self) -> Constraints {
        constraints::of(&self.inner.ast.filter)
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.inner.ast, f)
    }
}

impl fmt::Debug for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Query({}, {self})", self.inner.signal)
    }
}
