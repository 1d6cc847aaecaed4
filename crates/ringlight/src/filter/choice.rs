//! Log records of one output among those that are recorded for others.

use std::collections::HashMap;
use std::sync::Arc;

use ringlight_collector::LogFilter;
use ringlight_collector::record::{Item, KeyRef, LogRecord, ValueRef};
use ringlight_model::{Callsite, CallsiteId, CallsiteRegistry, Severity};
use tracing_core::Level;

use crate::controls;

use super::{Filters, Output};

/// The field in which `tracing-log` says what target a record of `log` has. All such records of a
/// level have one callsite.
pub(crate) const LOG_TARGET: &str = "log.target";
/// The target of those callsites.
pub(crate) const LOG_CALLSITE: &str = "log";

/// Chooses the log records that an output wants, after they have come out of the rings. Decides once a
/// callsite, until the filters change.
#[derive(Debug)]
pub(crate) struct Choice {
    controls: Arc<controls::Shared>,
    output: Output,
    /// The filters by which was decided.
    filters: Arc<Filters>,
    known: HashMap<CallsiteId, Decision>,
}

#[derive(Debug, Clone, Copy)]
enum Decision {
    Is(bool),
    /// Each record says in this field what its target is.
    ByTarget {
        field: u16,
        level: Level,
    },
}

impl Choice {
    pub(crate) fn new(controls: Arc<controls::Shared>, output: Output) -> Self {
        Self {
            filters: controls.filters(),
            controls,
            output,
            known: HashMap::new(),
        }
    }

    fn decide(&self, callsite: &Callsite) -> Decision {
        let level = level(callsite.severity);
        let field = callsite.fields.iter().position(|name| *name == LOG_TARGET);
        match field.map(u16::try_from) {
            Some(Ok(field)) if callsite.target == LOG_CALLSITE => {
                Decision::ByTarget { field, level }
            }
            _ => Decision::Is(self.filters.takes(self.output, callsite.target, level)),
        }
    }
}

impl LogFilter for Choice {
    fn wants(&mut self, log: &LogRecord<'_>, callsites: &CallsiteRegistry) -> bool {
        if !self.controls.are_current(&self.filters) {
            self.filters = self.controls.filters();
            self.known.clear();
        }
        if !self.filters.are_split() {
            return true;
        }
        // Whoever makes a record without a callsite has decided about it.
        let Some(id) = log.callsite() else {
            return true;
        };
        let decision = match self.known.get(&id) {
            Some(decision) => *decision,
            None => {
                let Some(callsite) = callsites.lookup(id) else {
                    return true;
                };
                let decision = self.decide(&callsite);
                self.known.insert(id, decision);
                decision
            }
        };
        match decision {
            Decision::Is(wanted) => wanted,
            Decision::ByTarget { field, level } => {
                let target = log.items().find_map(|item| match item {
                    Item::Attribute(KeyRef::Field(index), ValueRef::Text(text))
                        if index == field =>
                    {
                        Some(text.to_str())
                    }
                    _ => None,
                });
                let target = target.as_deref().unwrap_or(LOG_CALLSITE);
                self.filters.takes(self.output, target, level)
            }
        }
    }
}

/// The level that became a severity.
const fn level(severity: Severity) -> Level {
    match severity.number() {
        17.. => Level::ERROR,
        13..=16 => Level::WARN,
        9..=12 => Level::INFO,
        5..=8 => Level::DEBUG,
        _ => Level::TRACE,
    }
}
