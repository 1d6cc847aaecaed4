//! Which records are for which output.

use std::sync::Arc;

use tracing_core::{Level, LevelFilter, Metadata};

use crate::subscriber::Outputs;

use super::Filter;

/// Where records go. Each may have directives of its own, in place of `RUST_LOG`.
///
/// A span or event is recorded if any output that is there wants it, and reaches those that do:
///
/// - [`Traces`](Self::Traces) decides about **spans**. One that it does not want does not exist: its
///   children are children of the span around it, and its logs belong to that. Where no traces are sent, a
///   span that log lines want is there, too, to be named in them.
/// - [`Lines`](Self::Lines) and [`Logs`](Self::Logs) decide about **events**, each for itself. A log
///   record carries the ids of the innermost span that is there, and a line names all that are.
/// - What events do to a span is a matter of `Traces` again: an error makes it fail, and an event is one
///   of its own ([`Builder::span_events`](crate::Builder::span_events)), if `Traces` wants that event. That
///   holds for audit events, too, which are recorded though no output wants them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// Log lines. Its variable is `RUST_LOG_LINES`.
    Lines,
    /// Log records that are exported: by OTLP and by every
    /// [`exporter`](crate::Builder::exporter). Its variable is `RUST_LOG_LOGS`.
    Logs,
    /// Spans, exported or not. Its variable is `RUST_LOG_TRACES`.
    Traces,
}

impl Output {
    pub(crate) const ALL: [Self; 3] = [Self::Lines, Self::Logs, Self::Traces];

    /// The variable of its directives.
    pub(crate) const fn variable(self) -> &'static str {
        match self {
            Self::Lines => "RUST_LOG_LINES",
            Self::Logs => "RUST_LOG_LOGS",
            Self::Traces => "RUST_LOG_TRACES",
        }
    }
}

/// A filter for all outputs, and those of single ones.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Filters {
    general: Filter,
    /// By [`Output`].
    own: [Option<Filter>; Output::ALL.len()],
    /// The target of audit events, if there is one.
    audit: Option<Arc<str>>,
}

/// Audit events are at this level or a more severe one.
pub(crate) const AUDIT_LEVEL: Level = Level::INFO;

/// Whether an event's target is that of audit events, or one below it.
pub(crate) fn is_audit(audit: Option<&str>, target: &str) -> bool {
    let rest = audit.and_then(|audit| target.strip_prefix(audit));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

impl Filters {
    /// One filter for all.
    pub(crate) fn new(general: Filter) -> Self {
        Self {
            general,
            own: [const { None }; Output::ALL.len()],
            audit: None,
        }
    }

    /// The same where events of a target are recorded whatever the directives say.
    pub(crate) fn with_audit(mut self, target: Option<&str>) -> Self {
        self.audit = target.map(Arc::from);
        self
    }

    /// The target of audit events, if there is one.
    pub(crate) fn audit(&self) -> Option<Arc<str>> {
        self.audit.clone()
    }

    /// Whether an output takes such events. Audit events are recorded whatever the directives say; what they do to spans goes
    /// by those.
    pub(crate) fn takes(&self, output: Output, target: &str, level: Level) -> bool {
        self.of(output).takes(target, level)
            || output != Output::Traces && self.is_audit(target, level)
    }

    fn is_audit(&self, target: &str, level: Level) -> bool {
        level <= AUDIT_LEVEL && is_audit(self.audit.as_deref(), target)
    }

    /// Changes the filter of the outputs that have none of their own.
    pub(crate) fn set_general(&mut self, filter: Filter) {
        self.general = filter;
    }

    /// Gives an output a filter of its own, or the one for all again.
    pub(crate) fn set_own(&mut self, output: Output, filter: Option<Filter>) {
        self.own[output as usize] = filter;
    }

    /// The filter of the outputs that have none of their own.
    pub(crate) const fn general(&self) -> &Filter {
        &self.general
    }

    /// An output's own filter.
    pub(crate) fn own(&self, output: Output) -> Option<&Filter> {
        self.own[output as usize].as_ref()
    }

    /// What an output goes by.
    pub(crate) fn of(&self, output: Output) -> &Filter {
        self.own[output as usize].as_ref().unwrap_or(&self.general)
    }

    /// Whether outputs may want different things.
    pub(crate) fn are_split(&self) -> bool {
        self.own.iter().any(Option::is_some)
    }

    /// Whether anything from such a callsite is recorded, given the outputs there are.
    pub(crate) fn wants(&self, metadata: &Metadata<'_>, outputs: &Outputs) -> bool {
        let is_for = |output| self.of(output).enabled(metadata);
        let is_audit = || self.is_audit(metadata.target(), *metadata.level());
        let is_for_lines = || outputs.lines && is_for(Output::Lines);
        let as_span = || is_for(Output::Traces) || !outputs.spans && is_for_lines();
        let changes_spans = || {
            let may = outputs.span_events || *metadata.level() == Level::ERROR;
            outputs.spans && may && is_for(Output::Traces)
        };
        let as_event = || {
            let is_for_logs = || outputs.exported_logs && is_for(Output::Logs);
            let is_kept = (outputs.lines || outputs.exported_logs) && is_audit();
            is_kept || is_for_lines() || is_for_logs() || changes_spans()
        };
        if metadata.is_span() {
            as_span()
        } else if metadata.is_event() {
            as_event()
        } else {
            // Somebody asks about a level.
            as_span() || as_event()
        }
    }

    /// The most verbose level at which anything may be recorded.
    pub(crate) fn max_level(&self, outputs: &Outputs) -> LevelFilter {
        let others = [
            (outputs.lines, Output::Lines),
            (outputs.exported_logs, Output::Logs),
        ];
        let levels = others.into_iter().filter(|(is_there, _)| *is_there);
        levels
            .map(|(_, output)| self.of(output).max_level())
            .chain(self.audit.as_ref().map(|_| AUDIT_LEVEL.into()))
            .fold(self.of(Output::Traces).max_level(), Ord::max)
    }
}
