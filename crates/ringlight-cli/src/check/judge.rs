//! Holding one trace against the map.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::api::{Span, Trace};
use super::map::Map;

/// Wall clocks are corrected while a span is open; its duration is not.
const CLOCK_TOLERANCE_NANO: u64 = 1_000_000;

/// How many spans around one are looked at. A span that is deeper counts as one of which it is not known
/// what is further around.
const DEPTH_MAX: usize = 1_000;

/// What is not as the map says. Indices are those of the name's own lists in the map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// An attribute is missing.
    Attribute(usize),
    /// It is inside of none of those it has to be inside of.
    NotWithin,
    /// A span is not inside of it.
    Encloses(usize),
    /// It begins before or ends after the span it is inside of.
    Outlives,
}

/// A span of the map.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Index into the map's spans.
    pub(super) name: usize,
    pub(super) has_failed: bool,
    /// It is known to be inside of one of those it has to be inside of.
    pub(super) is_nested: bool,
    /// Which of the values in the map's list it has.
    pub(super) values: Vec<usize>,
    pub(super) faults: Vec<Fault>,
    pub(super) span_id: String,
}

/// What there is to say of a trace.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) seen: Vec<Seen>,
    /// The names of the other spans.
    pub(super) beside: Vec<String>,
    /// When the newest span of any service ended, or was last heard of.
    pub(super) last_end_unix_nano: u64,
}

impl Judged {
    pub(super) fn has_faults(&self) -> bool {
        self.seen.iter().any(|span| !span.faults.is_empty())
    }
}

/// Holds a trace against the map.
pub(super) fn judge(map: &Map, trace: &Trace<'_>) -> Judged {
    let tree = Tree::new(map, trace);
    let mut judged = Judged::default();
    for (index, span) in trace.spans.iter().enumerate() {
        judged.last_end_unix_nano = judged.last_end_unix_nano.max(span.end_unix_nano());
        match tree.names[index] {
            Some(name) => judged.seen.push(tree.judge(index, name)),
            None if tree.is_meant(span) => judged.beside.push(span.name.clone().into_owned()),
            None => {}
        }
    }
    judged
}

/// The spans of a trace by what they are inside of.
struct Tree<'a> {
    map: &'a Map,
    trace: &'a Trace<'a>,
    by_id: HashMap<&'a str, usize>,
    /// The index into the map of each span that is in it.
    names: Vec<Option<usize>>,
    /// A span, and the index into the map of a name that is somewhere inside of it.
    inside: HashSet<(usize, usize)>,
}

impl<'a> Tree<'a> {
    fn new(map: &'a Map, trace: &'a Trace<'a>) -> Self {
        let spans = trace.spans.iter();
        let mut tree = Self {
            map,
            trace,
            by_id: (spans.enumerate())
                .map(|(index, span)| (span.span_id, index))
                .collect(),
            names: Vec::new(),
            inside: HashSet::new(),
        };
        tree.names = (trace.spans.iter())
            .map(|span| map.index_of(&span.name).filter(|_| tree.is_meant(span)))
            .collect();
        for (index, name) in tree.names.iter().enumerate() {
            let Some(name) = name else { continue };
            for outer in tree.around(index).0 {
                let outer_name = tree.names[outer].map(|name| &map.spans[name]);
                if outer_name.is_some_and(|outer| outer.encloses.contains(name)) {
                    tree.inside.insert((outer, *name));
                }
            }
        }
        tree
    }

    fn is_meant(&self, span: &Span<'_>) -> bool {
        let resource = self.trace.resources.get(span.resource);
        resource.is_some_and(|resource| self.map.is_about(&resource.service))
    }

    fn parent(&self, span: usize) -> Option<usize> {
        let id = self.trace.spans[span].parent_span_id;
        self.by_id.get(id).copied()
    }

    /// The spans around one, from the inside, and whether these are all. They are not where one of them
    /// is still open or was not recorded.
    fn around(&self, span: usize) -> (Vec<usize>, bool) {
        let around = std::iter::successors(self.parent(span), |outer| self.parent(*outer));
        let around: Vec<usize> = around.take(DEPTH_MAX).collect();
        let outermost = &self.trace.spans[around.last().copied().unwrap_or(span)];
        let is_whole = outermost.parent_span_id.is_empty();
        (around, is_whole)
    }

    fn judge(&self, index: usize, name: usize) -> Seen {
        let span = &self.trace.spans[index];
        let wanted = &self.map.spans[name];
        let (around, is_whole) = self.around(index);
        let mut names_around = around.iter().filter_map(|outer| self.names[*outer]);
        let is_nested = names_around.any(|name| wanted.within.contains(&name));
        let has_failed = span.status.code == "error";
        let has_ended = span.state == "ended";
        let mut faults = Vec::new();
        if !wanted.within.is_empty() && !is_nested && is_whole {
            faults.push(Fault::NotWithin);
        }
        if has_ended && !has_failed {
            let missing = wanted.attributes.iter().enumerate();
            let missing = missing.filter(|(_, key)| span.attribute(key).is_none());
            faults.extend(missing.map(|(index, _)| Fault::Attribute(index)));
            // What was left out of the answer may be what is looked for.
            if self.trace.spans_left_out == 0 {
                let missing = wanted.encloses.iter().enumerate();
                let missing = missing.filter(|(_, inner)| !self.inside.contains(&(index, **inner)));
                faults.extend(missing.map(|(index, _)| Fault::Encloses(index)));
            }
        }
        if has_ended && !wanted.is_handed_over && self.outlives_parent(index) {
            faults.push(Fault::Outlives);
        }
        let values = wanted.values.iter().enumerate();
        Seen {
            name,
            has_failed,
            is_nested,
            values: values
                .filter(|(_, (key, value))| has_value(span, key, value))
                .map(|(index, _)| index)
                .collect(),
            faults,
            span_id: span.span_id.to_owned(),
        }
    }

    /// Whether a span is not within the time of its parent, as far as both are of one process and so of one
    /// clock.
    fn outlives_parent(&self, index: usize) -> bool {
        let span = &self.trace.spans[index];
        let Some(parent) = self.parent(index).map(|parent| &self.trace.spans[parent]) else {
            return false;
        };
        parent.state == "ended"
            && parent.resource == span.resource
            && (span.start_unix_nano.saturating_add(CLOCK_TOLERANCE_NANO) < parent.start_unix_nano
                || span.end_unix_nano()
                    > parent.end_unix_nano().saturating_add(CLOCK_TOLERANCE_NANO))
    }
}

fn has_value(span: &Span<'_>, key: &str, wanted: &Value) -> bool {
    span.attribute(key)
        .is_some_and(|found| fits(found.value_type, &found.value, wanted))
}

/// Whether a value of the API is the one that is wanted; a list is when one of its items is.
fn fits(value_type: &str, found: &Value, wanted: &Value) -> bool {
    match value_type {
        "string" | "bool" => found == wanted,
        "int" => {
            let found = found.as_str().and_then(|text| text.parse::<i64>().ok());
            found.is_some() && found == wanted.as_i64()
        }
        "array" => found.as_array().is_some_and(|items| {
            items.iter().any(|item| {
                let value_type = item["type"].as_str().unwrap_or_default();
                fits(value_type, &item["value"], wanted)
            })
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
