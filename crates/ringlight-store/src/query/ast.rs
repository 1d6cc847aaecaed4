//! The parsed form of a query, and its canonical text.

use std::fmt::{self, Write as _};

use ringlight_model::{SpanKind, StatusCode};

/// A whole query: which records, and what must hold for the traces they are in.
///
/// `Display` gives the canonical text; parsing that text gives the same tree again.
#[derive(Debug, Clone, PartialEq)]
pub struct Ast {
    /// What must hold for a record.
    pub filter: Expr,
    /// What must hold for the matching spans of a trace together. Empty for logs.
    pub stages: Vec<Stage>,
}

/// A condition on one record.
///
/// Canonical: an `And` holds at least two conditions and none of them is an `And`; likewise `Or`.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// Always or never.
    Constant(bool),
    /// The attribute is the boolean `true`.
    Is(Field),
    /// A field compared with a value.
    Compare(Comparison),
    /// The condition does not hold.
    Not(Box<Expr>),
    /// All hold.
    And(Vec<Expr>),
    /// At least one holds.
    Or(Vec<Expr>),
}

/// A field compared with a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// The left side.
    pub field: Field,
    /// The operator.
    pub operator: Operator,
    /// The right side. Its type fits the field and the operator.
    pub value: Literal,
}

/// A comparison operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterEqual,
    /// `=~`: the whole text matches a regular expression.
    Match,
    /// `!~`: it does not.
    NotMatch,
}

/// Something a record has.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    /// A field every record of the signal has.
    Intrinsic(Intrinsic),
    /// An attribute.
    Attribute {
        /// Where it is looked for.
        scope: AttributeScope,
        /// Its key, never empty.
        key: String,
    },
}

impl Field {
    /// Whether its value needs the whole trace, not only the span.
    #[must_use]
    pub const fn is_of_trace(&self) -> bool {
        matches!(self, Self::Intrinsic(intrinsic) if intrinsic.is_of_trace())
    }
}

/// Where an attribute is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AttributeScope {
    /// `.key`: on the span, log record or data point, else on its resource.
    Any,
    /// `span.key`
    Span,
    /// `resource.key`
    Resource,
    /// `event.key`: on some event of the span.
    Event,
    /// `log.key`
    Log,
    /// `point.key`
    Point,
}

/// A field every record of the signal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Intrinsic {
    /// The span's name.
    Name,
    /// The span's duration.
    Duration,
    /// The span's status.
    Status,
    /// What the status says.
    StatusMessage,
    /// The span's kind.
    Kind,
    /// The span's own id, of a log record the id of the span it was logged in.
    SpanId,
    /// The id of the span's parent; missing on a root.
    ParentSpanId,
    /// The trace's id.
    TraceId,
    /// The name of the trace's root span; missing while no root has arrived.
    RootName,
    /// The service of the trace's root span; missing while no root has arrived.
    RootServiceName,
    /// From the first start to the last end in the trace.
    TraceDuration,
    /// The name of some event of the span, or of a log record that is an event.
    EventName,
    /// The name of the instrumentation scope.
    ScopeName,
    /// The version of the instrumentation scope.
    ScopeVersion,
    /// The log record's severity; missing when unspecified.
    Severity,
    /// The severity as the source named it.
    SeverityText,
    /// The log record's body; as JSON when it is not text.
    Body,
}

/// A value written in a query.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// Text; for `=~` and `!~` a regular expression that compiles.
    Str(String),
    /// An integer.
    Int(i64),
    /// A finite floating-point number.
    Double(f64),
    /// A duration in nanoseconds.
    Duration(i64),
    /// A truth value.
    Bool(bool),
    /// The absence of a value.
    Nil,
    /// A span's status.
    Status(StatusCode),
    /// A span's kind.
    Kind(SpanKind),
    /// A range of severities.
    Level(Level),
}

/// A range of severities with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Level {
    /// 1 to 4.
    Trace,
    /// 5 to 8.
    Debug,
    /// 9 to 12.
    Info,
    /// 13 to 16.
    Warn,
    /// 17 to 20.
    Error,
    /// 21 to 24.
    Fatal,
}

/// A condition on the matching spans of a trace together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Stage {
    /// `| count() > 3`: on their number.
    Count {
        /// Any operator but `=~` and `!~`.
        operator: Operator,
        /// What their number is compared with.
        value: i64,
    },
}

impl Operator {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::Match => "=~",
            Self::NotMatch => "!~",
        }
    }

    /// The operator that says the same with the sides exchanged.
    #[must_use]
    pub(super) const fn flipped(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessEqual => Self::GreaterEqual,
            Self::Greater => Self::Less,
            Self::GreaterEqual => Self::LessEqual,
            same => same,
        }
    }

    /// Whether it takes a regular expression.
    #[must_use]
    pub const fn is_regex(self) -> bool {
        matches!(self, Self::Match | Self::NotMatch)
    }

    /// Whether an order is asked for.
    #[must_use]
    pub const fn is_ordering(self) -> bool {
        matches!(
            self,
            Self::Less | Self::LessEqual | Self::Greater | Self::GreaterEqual
        )
    }

    /// Whether it is `!=` or `!~`.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        matches!(self, Self::NotEqual | Self::NotMatch)
    }

    /// Whether the operator accepts how the left side is ordered against the right.
    #[must_use]
    pub fn accepts(self, ordering: std::cmp::Ordering) -> bool {
        match self {
            Self::Equal | Self::Match => ordering.is_eq(),
            Self::NotEqual | Self::NotMatch => ordering.is_ne(),
            Self::Less => ordering.is_lt(),
            Self::LessEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterEqual => ordering.is_ge(),
        }
    }
}

impl AttributeScope {
    /// As it is written before the dot; empty for [`Any`](Self::Any).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Any => "",
            Self::Span => "span",
            Self::Resource => "resource",
            Self::Event => "event",
            Self::Log => "log",
            Self::Point => "point",
        }
    }
}

impl Intrinsic {
    /// The canonical way to write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Duration => "duration",
            Self::Status => "status",
            Self::StatusMessage => "statusMessage",
            Self::Kind => "kind",
            Self::SpanId => "span:id",
            Self::ParentSpanId => "span:parentID",
            Self::TraceId => "trace:id",
            Self::RootName => "rootName",
            Self::RootServiceName => "rootServiceName",
            Self::TraceDuration => "traceDuration",
            Self::EventName => "event:name",
            Self::ScopeName => "instrumentation:name",
            Self::ScopeVersion => "instrumentation:version",
            Self::Severity => "severity",
            Self::SeverityText => "severityText",
            Self::Body => "body",
        }
    }

    /// Whether its value needs the whole trace, not only the span.
    #[must_use]
    pub const fn is_of_trace(self) -> bool {
        matches!(
            self,
            Self::RootName | Self::RootServiceName | Self::TraceDuration
        )
    }
}

impl Level {
    /// All levels, from the finest.
    pub const ALL: [Self; 6] = [
        Self::Trace,
        Self::Debug,
        Self::Info,
        Self::Warn,
        Self::Error,
        Self::Fatal,
    ];

    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }

    /// The lowest severity number in the range.
    #[must_use]
    pub const fn first(self) -> u8 {
        (self as u8) * 4 + 1
    }

    /// The highest severity number in the range.
    #[must_use]
    pub const fn last(self) -> u8 {
        self.first() + 3
    }
}

/// Whether a character may stand in an attribute's name without quotes, as in TraceQL.
pub(super) fn is_plain_key_char(c: char) -> bool {
    !c.is_whitespace()
        && !matches!(
            c,
            '{' | '}' | '(' | ')' | '=' | '~' | '!' | '<' | '>' | '&' | '|' | '^' | ',' | '"'
        )
}

impl fmt::Display for Ast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.filter {
            Expr::Constant(true) => f.write_str("{ }")?,
            filter => write!(f, "{{ {filter} }}")?,
        }
        self.stages.iter().try_for_each(|stage| match stage {
            Stage::Count { operator, value } => {
                write!(f, " | count() {} {value}", operator.as_str())
            }
        })
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Constant(value) => write!(f, "{value}"),
            Self::Is(field) => write!(f, "{field}"),
            Self::Compare(Comparison {
                field,
                operator,
                value,
            }) => write!(f, "{field} {} {value}", operator.as_str()),
            Self::Not(inner) => match **inner {
                Self::Constant(_) | Self::Is(_) | Self::Not(_) => write!(f, "!{inner}"),
                Self::Compare(_) | Self::And(_) | Self::Or(_) => write!(f, "!({inner})"),
            },
            Self::And(items) => write_joined(f, items, " && "),
            Self::Or(items) => write_joined(f, items, " || "),
        }
    }
}

// Parentheses stand wherever `&&` and `||` meet, so that nobody has to know which binds tighter.
fn write_joined(f: &mut fmt::Formatter<'_>, items: &[Expr], separator: &str) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        match item {
            Expr::And(_) | Expr::Or(_) => write!(f, "({item})")?,
            _ => write!(f, "{item}")?,
        }
    }
    Ok(())
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Intrinsic(intrinsic) => f.write_str(intrinsic.as_str()),
            Self::Attribute { scope, key } => {
                write!(f, "{}.", scope.as_str())?;
                if key.chars().all(is_plain_key_char) {
                    return f.write_str(key);
                }
                f.write_char('"')?;
                for c in key.chars() {
                    if matches!(c, '"' | '\\') {
                        f.write_char('\\')?;
                    }
                    f.write_char(c)?;
                }
                f.write_char('"')
            }
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Str(text) => write_quoted(f, text),
            Self::Int(value) => write!(f, "{value}"),
            // `Debug` keeps the point or the exponent that tells a float from an integer.
            Self::Double(value) => write!(f, "{value:?}"),
            Self::Duration(nanos) => write_duration(f, *nanos),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Nil => f.write_str("nil"),
            Self::Status(code) => f.write_str(code.as_str()),
            Self::Kind(kind) => f.write_str(kind.as_str()),
            Self::Level(level) => f.write_str(level.as_str()),
        }
    }
}

fn write_quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

// In the largest unit that leaves no fraction.
fn write_duration(f: &mut fmt::Formatter<'_>, nanos: i64) -> fmt::Result {
    const UNITS: [(&str, i64); 5] = [
        ("h", 3_600_000_000_000),
        ("m", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
    ];
    if nanos == 0 {
        return f.write_str("0s");
    }
    match UNITS.into_iter().find(|(_, size)| nanos % size == 0) {
        Some((unit, size)) => write!(f, "{}{unit}", nanos / size),
        None => write!(f, "{nanos}ns"),
    }
}
