//! Which records are left out.

use std::fmt;

use ringlight_model::{CallsiteKind, Severity, glob_matches, target_matches};

/// A description of records, all parts of which hold for a record that is meant. In its patterns, `*` stands
/// for any text.
///
/// ```
/// use ringlight_collector::RecordPattern;
/// use ringlight_model::Severity;
///
/// let probes = RecordPattern::spans().name("GET /health*");
/// let chatter = RecordPattern::logs().target("hyper").less_severe_than(Severity::WARN);
/// let bots = RecordPattern::spans().attribute("user_agent.original", "*bot*");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct RecordPattern {
    kind: CallsiteKind,
    name: Option<String>,
    target: Option<String>,
    below: Option<Severity>,
    message: Option<String>,
    attributes: Vec<(String, String)>,
}

/// What of a record is the same for all of its callsite.
pub(super) struct Origin<'a> {
    pub(super) kind: CallsiteKind,
    pub(super) target: &'a str,
}

/// The rest of it.
pub(super) trait Subject {
    /// Whether it has a name, of those it has, for which this holds.
    fn has_name(&self, is_meant: impl Fn(&str) -> bool) -> bool;

    /// Its severity; that of its level for a span.
    fn severity(&self) -> Severity;

    /// The message of a log record.
    fn has_message(&self, is_meant: impl Fn(&str) -> bool) -> bool;

    /// Whether it has such an attribute, the value as text, for which this holds.
    fn has_attribute(&self, key: &str, is_meant: impl Fn(&str) -> bool) -> bool;
}

impl RecordPattern {
    const fn new(kind: CallsiteKind) -> Self {
        Self {
            kind,
            name: None,
            target: None,
            below: None,
            message: None,
            attributes: Vec::new(),
        }
    }

    /// Spans. Those below one that is left out keep it as their parent.
    #[must_use]
    pub const fn spans() -> Self {
        Self::new(CallsiteKind::Span)
    }

    /// Log records, which are then shown as lines as little as they are sent.
    #[must_use]
    pub const fn logs() -> Self {
        Self::new(CallsiteKind::Event)
    }

    /// Only spans called so, in the code or by `otel.name`; only log records of an event called so.
    #[must_use]
    pub fn name(mut self, pattern: impl Into<String>) -> Self {
        self.name = Some(pattern.into());
        self
    }

    /// Only records with this target, or one below it: `shop` is also about `shop::checkout`.
    #[must_use]
    pub fn target(mut self, pattern: impl Into<String>) -> Self {
        self.target = Some(pattern.into());
        self
    }

    /// Only records less severe than this. A span is as severe as its level; one without a level is not meant.
    #[must_use]
    pub const fn less_severe_than(mut self, severity: Severity) -> Self {
        self.below = Some(severity);
        self
    }

    /// Only log records with such a message.
    #[must_use]
    pub fn message(mut self, pattern: impl Into<String>) -> Self {
        self.message = Some(pattern.into());
        self
    }

    /// Only records that have this attribute with such a value. Numbers and truth values are compared as they
    /// are written: `200`, `true`.
    #[must_use]
    pub fn attribute(mut self, key: impl Into<String>, pattern: impl Into<String>) -> Self {
        self.attributes.push((key.into(), pattern.into()));
        self
    }

    /// Whether it may be about records from there.
    pub(super) fn may_mean(&self, origin: &Origin<'_>) -> bool {
        let target = self.target.as_deref();
        self.kind == origin.kind && target.is_none_or(|p| target_matches(p, origin.target))
    }

    /// Whether it is about this record, of an origin it may be about.
    pub(super) fn means(&self, record: &impl Subject) -> bool {
        let is_below = |severity: Severity| {
            let own = record.severity();
            own != Severity::UNSPECIFIED && own < severity
        };
        self.below.is_none_or(is_below)
            && self
                .name
                .as_deref()
                .is_none_or(|p| record.has_name(|n| glob_matches(p, n)))
            && (self.message.as_deref()).is_none_or(|p| record.has_message(|m| glob_matches(p, m)))
            && (self.attributes.iter())
                .all(|(key, p)| record.has_attribute(key, |v| glob_matches(p, v)))
    }
}

/// As in the name of a count: `spans name=GET /health*`.
impl fmt::Display for RecordPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            CallsiteKind::Span => "spans",
            CallsiteKind::Event => "logs",
        })?;
        for (part, pattern) in [
            ("name", &self.name),
            ("target", &self.target),
            ("message", &self.message),
        ] {
            if let Some(pattern) = pattern {
                write!(f, " {part}={pattern}")?;
            }
        }
        if let Some(severity) = self.below {
            write!(f, " severity<{}", severity.as_str())?;
        }
        for (key, pattern) in &self.attributes {
            write!(f, " {key}={pattern}")?;
        }
        Ok(())
    }
}
