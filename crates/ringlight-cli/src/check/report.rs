//! What was found, name by name: counted while traces are looked at, then told to people or as JSON.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use serde::Serialize;

use super::judge::{Fault, Judged};
use super::map::{Map, MapSpan};
use crate::table::{Column, Table};

/// Names that are not in the map are counted one by one up to this many.
const BESIDE_MAX: usize = 1_000;

/// How many of them are shown to people.
const BESIDE_SHOWN_MAX: usize = 20;

/// What was seen so far.
pub(super) struct Totals<'a> {
    map: &'a Map,
    pub(super) traces: u64,
    /// Spans of the services that are meant, whatever they are called.
    pub(super) spans: u64,
    /// Of each name of the map.
    names: Vec<Tally>,
    beside: BTreeMap<String, u64>,
    beside_left_out: u64,
}

#[derive(Default)]
struct Tally {
    seen: u64,
    failed: u64,
    nested: u64,
    /// Whether each of the values was seen.
    values: Vec<bool>,
    /// How often, with the first one, which is of the newest trace.
    faults: BTreeMap<Fault, (u64, SpanRef)>,
}

struct SpanRef {
    trace_id: String,
    span_id: String,
}

impl<'a> Totals<'a> {
    pub(super) fn new(map: &'a Map) -> Self {
        let names = map.spans.iter().map(|span| Tally {
            values: vec![false; span.values.len()],
            ..Tally::default()
        });
        Self {
            map,
            traces: 0,
            spans: 0,
            names: names.collect(),
            beside: BTreeMap::new(),
            beside_left_out: 0,
        }
    }

    /// Adds a trace.
    pub(super) fn add(&mut self, trace_id: &str, judged: Judged) {
        self.traces += 1;
        self.spans += (judged.seen.len() + judged.beside.len()) as u64;
        for span in judged.seen {
            let tally = &mut self.names[span.name];
            tally.seen += 1;
            tally.failed += u64::from(span.has_failed);
            tally.nested += u64::from(span.is_nested);
            for value in span.values {
                tally.values[value] = true;
            }
            for fault in span.faults {
                let first = || SpanRef {
                    trace_id: trace_id.to_owned(),
                    span_id: span.span_id.clone(),
                };
                tally.faults.entry(fault).or_insert_with(|| (0, first())).0 += 1;
            }
        }
        for name in judged.beside {
            let is_full = self.beside.len() >= BESIDE_MAX;
            match self.beside.entry(name) {
                Entry::Occupied(mut count) => *count.get_mut() += 1,
                Entry::Vacant(_) if is_full => self.beside_left_out += 1,
                Entry::Vacant(place) => {
                    place.insert(1);
                }
            }
        }
    }

    /// What it comes to. `backend` is where the browser finds the traces.
    pub(super) fn report(self, map_path: String, backend: String, left_out: bool) -> Report {
        let names = self.map.spans.iter().zip(&self.names);
        let spans: Vec<NameReport> = names
            .map(|(span, tally)| {
                let problems = problems(self.map, span, tally, &backend);
                NameReport {
                    name: span.name.clone(),
                    result: match (tally.seen, problems.is_empty()) {
                        (0, _) => Verdict::Missing,
                        (_, true) => Verdict::Ok,
                        (_, false) => Verdict::Wrong,
                    },
                    seen: tally.seen,
                    failed: tally.failed,
                    problems,
                }
            })
            .collect();
        Report {
            passed: spans.iter().all(|span| span.result == Verdict::Ok),
            map: map_path,
            backend,
            service: self.map.service.clone(),
            traces: self.traces,
            traces_left_out: left_out,
            span_count: self.spans,
            spans,
            beside: (self.beside.into_iter())
                .map(|(name, seen)| Beside { name, seen })
                .collect(),
            beside_left_out: self.beside_left_out,
        }
    }
}

/// All that was found. As JSON it is what `--json` prints, and described in `docs/span-map.md`.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// Every name was seen, and as the map says.
    pub(super) passed: bool,
    pub(super) map: String,
    backend: String,
    pub(super) service: Option<String>,
    /// Traces that were looked at.
    traces: u64,
    /// There are more, older ones.
    pub(super) traces_left_out: bool,
    /// Spans in them of the service.
    pub(super) span_count: u64,
    /// The names of the map, in its order.
    pub(super) spans: Vec<NameReport>,
    /// The names of spans of the service that are not in the map.
    beside: Vec<Beside>,
    /// Spans of further such names.
    beside_left_out: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct NameReport {
    name: String,
    pub(super) result: Verdict,
    seen: u64,
    failed: u64,
    problems: Vec<Problem>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    Ok,
    Missing,
    Wrong,
}

#[derive(Debug, Serialize)]
struct Problem {
    kind: Kind,
    message: String,
    /// The attribute it is about.
    attribute: Option<String>,
    /// Spans it is about; `None` where it is about all of them together.
    count: Option<u64>,
    /// One of them.
    example: Option<Example>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Attribute,
    Value,
    Within,
    Encloses,
    Outlives,
}

#[derive(Debug, Serialize)]
struct Example {
    trace_id: String,
    span_id: String,
    url: String,
}

#[derive(Debug, Serialize)]
struct Beside {
    name: String,
    seen: u64,
}

/// What is wrong with a name that was seen.
fn problems(map: &Map, span: &MapSpan, tally: &Tally, backend: &str) -> Vec<Problem> {
    if tally.seen == 0 {
        return Vec::new();
    }
    let outer: Vec<&str> = (span.within.iter())
        .map(|name| map.spans[*name].name.as_str())
        .collect();
    let outer = format!("`{}`", outer.join("`, `"));
    let mut problems: Vec<Problem> = (tally.faults.iter())
        .map(|(fault, (count, first))| {
            let of = format!("{count} of {}", tally.seen);
            let (kind, message) = match fault {
                Fault::Attribute(index) => {
                    let key = &span.attributes[*index];
                    (Kind::Attribute, format!("{of} without attribute `{key}`"))
                }
                Fault::NotWithin => (Kind::Within, format!("{of} inside of none of {outer}")),
                Fault::Encloses(index) => {
                    let inner = &map.spans[span.encloses[*index]].name;
                    (Kind::Encloses, format!("{of} without `{inner}` inside"))
                }
                Fault::Outlives => (
                    Kind::Outlives,
                    format!("{of} beginning before or ending after the span around, which `handed_over` would allow"),
                ),
            };
            Problem {
                kind,
                message,
                attribute: match fault {
                    Fault::Attribute(index) => Some(span.attributes[*index].clone()),
                    _ => None,
                },
                count: Some(*count),
                example: Some(Example {
                    url: format!("{backend}/traces/{}?span={}", first.trace_id, first.span_id),
                    trace_id: first.trace_id.clone(),
                    span_id: first.span_id.clone(),
                }),
            }
        })
        .collect();
    let is_told = tally.faults.contains_key(&Fault::NotWithin);
    if !span.within.is_empty() && tally.nested == 0 && !is_told {
        problems.push(Problem {
            kind: Kind::Within,
            message: format!(
                "none is known to be inside of {outer}: what is around them is not stored"
            ),
            attribute: None,
            count: None,
            example: None,
        });
    }
    let values = span.values.iter().zip(&tally.values);
    let missing = values.filter(|(_, is_seen)| !**is_seen);
    problems.extend(missing.map(|((key, value), _)| Problem {
        kind: Kind::Value,
        message: format!("never with `{key}` = {value}"),
        attribute: Some(key.clone()),
        count: None,
        example: None,
    }));
    problems
}

impl Report {
    /// How many names have this result.
    pub(super) fn count(&self, result: Verdict) -> usize {
        let found = self.spans.iter().filter(|span| span.result == result);
        found.count()
    }

    /// A table of the names, what is wrong with each below it, and the sum, for a window of so many characters.
    pub(super) fn as_text(&self, window: Option<usize>) -> String {
        let mut table = Table::new([
            ("SPAN", Column::Text),
            ("SEEN", Column::Number),
            ("FAILED", Column::Number),
            ("", Column::Text),
        ]);
        for span in &self.spans {
            let result = match span.result {
                Verdict::Ok => "ok",
                Verdict::Missing => "missing",
                Verdict::Wrong => "wrong",
            };
            table.row([
                span.name.clone(),
                span.seen.to_string(),
                span.failed.to_string(),
                result.to_owned(),
            ]);
            for problem in &span.problems {
                table.text(&format!("    {}", problem.message));
                if let Some(example) = &problem.example {
                    table.text(&format!("        for example {}", example.url));
                }
            }
        }
        if !self.beside.is_empty() {
            table.text("");
            table.text("not in the map:");
            for Beside { name, seen } in self.beside.iter().take(BESIDE_SHOWN_MAX) {
                table.row([name.clone(), seen.to_string(), String::new(), String::new()]);
            }
            let more = self.beside.len().saturating_sub(BESIDE_SHOWN_MAX);
            if more > 0 {
                table.text(&format!("and {more} more names"));
            }
        }
        let of = match &self.service {
            Some(service) => format!(" of `{service}`"),
            None => String::new(),
        };
        table.text("");
        table.text(&format!(
            "{} of {} names as the map says, in {} traces with {} spans{of}",
            self.count(Verdict::Ok),
            self.spans.len(),
            self.traces,
            self.span_count,
        ));
        table.render(window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_stand_below_each_other_however_long_the_names_are() {
        let span = |name: &str, seen: u64| NameReport {
            name: name.to_owned(),
            result: Verdict::Ok,
            seen,
            failed: 0,
            problems: Vec::new(),
        };
        let beside = |name: &str, seen: u64| Beside {
            name: name.to_owned(),
            seen,
        };
        let report = Report {
            passed: true,
            map: "map.toml".to_owned(),
            backend: "http://127.0.0.1:4320".to_owned(),
            service: None,
            traces: 1,
            traces_left_out: false,
            span_count: 1,
            spans: vec![span("short", 1), span(&"s".repeat(70), 12_345_678_901)],
            beside: vec![beside("b", 7), beside(&"b".repeat(80), 8)],
            beside_left_out: 0,
        };
        let text = report.as_text(None);
        let ends = |start: &str, figure: &str| {
            let line = text.lines().find(|line| line.starts_with(start));
            let line = line.unwrap();
            line.rfind(figure).unwrap() + figure.len()
        };
        let seen = ends("SPAN ", "SEEN");
        assert_eq!(seen, 80 + 2 + 11);
        assert_eq!(ends("short ", " 1"), seen, "{text}");
        assert_eq!(ends("sss", "12345678901"), seen, "{text}");
        assert_eq!(ends("b ", "7"), seen, "{text}");
        assert_eq!(ends("bbb", "8"), seen, "{text}");
        assert_eq!(ends("sss", "ok"), ends("short ", "ok"), "{text}");
    }
}
