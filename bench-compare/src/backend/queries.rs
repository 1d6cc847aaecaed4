//! Questions about everything that was stored.

use std::{fmt::Write as _, time::Instant};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{
    data::{CHILD_NAME, LoadSpan, ROOT_NAME, SPANS_PER_TRACE, mix, route, trace_id},
    http,
};

/// Traces of a page where no other number is asked for.
pub(crate) const PAGE_TRACES: usize = 50;
/// A slow root takes longer than this many microseconds, or up to so many more.
const SLOW_US: (u64, u64) = (72_000, 3_000);
/// One root in so many is slow by the lowest and by the highest of these.
pub(crate) const SLOW_ONE_IN: (u64, u64) = (96, 384);

/// Searches, each for a kind of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Search {
    /// The newest traces: what the UI asks first.
    Newest,
    /// A span by an integer that hardly any other has.
    Attribute,
    /// A span by a text that hardly any other has.
    Text,
    /// Spans by name and duration.
    Slow,
    /// Failed spans by the most frequent route.
    Failed,
    /// A pattern that nothing matches, so that nothing ends the search early.
    Nothing,
}

/// What is asked, and which spans of the load are an answer.
struct Question {
    query: String,
    matches: Box<dyn Fn(LoadSpan) -> bool>,
}

impl Question {
    fn new(query: String, matches: impl Fn(LoadSpan) -> bool + 'static) -> Self {
        Self {
            query,
            matches: Box::new(matches),
        }
    }

    /// How many traces the first page has, of so many stored.
    fn expected(&self, traces: u64) -> usize {
        (0..traces)
            .filter(|trace| LoadSpan::of_trace(*trace).any(&self.matches))
            .take(PAGE_TRACES)
            .count()
    }
}

impl Search {
    /// All of them.
    pub(crate) const ALL: [Self; 6] = [
        Self::Newest,
        Self::Attribute,
        Self::Text,
        Self::Slow,
        Self::Failed,
        Self::Nothing,
    ];

    /// The name in results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Newest => "search-newest",
            Self::Attribute => "search-attribute",
            Self::Text => "search-text",
            Self::Slow => "search-slow",
            Self::Failed => "search-failed",
            Self::Nothing => "search-nothing",
        }
    }

    /// The name of its aim.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::Newest => "search for the newest traces (p95), ms",
            Self::Attribute => "search for a rare number (p95), ms",
            Self::Text => "search for a rare text (p95), ms",
            Self::Slow => "search for slow spans (p95), ms",
            Self::Failed => "search for failed spans (p95), ms",
            Self::Nothing => "search for what is not there (p95), ms",
        }
    }

    /// The question of a call, which differs from call to call where it can.
    fn question(self, call: u64, traces: u64) -> Question {
        let random = mix(call + 1);
        let trace = random % traces;
        match self {
            Self::Newest => Question::new(String::new(), |_| true),
            Self::Attribute => {
                let id = LoadSpan::new(trace, mix(random) % SPANS_PER_TRACE).id();
                Question::new(format!("{{ span.id = {id} }}"), move |span| span.id() == id)
            }
            Self::Text => {
                // A root's, as the texts of roots are the rarer ones.
                let root = LoadSpan::new(trace, 0);
                let duration_ns = root.duration_ns();
                Question::new(
                    format!("{{ span.took = \"{}\" }}", root.took()),
                    move |span| span.duration_ns() == duration_ns,
                )
            }
            Self::Slow => {
                let us = SLOW_US.0 + random % SLOW_US.1;
                Question::new(
                    format!("{{ name = \"root\" && duration > {us}us }}"),
                    move |span| span.is_root() && span.duration_ns() > 1_000 * us,
                )
            }
            Self::Failed => {
                let frequent = route(0);
                Question::new(
                    format!("{{ status = error && span.route = \"{frequent}\" }}"),
                    move |span| span.failed() && span.route() == frequent,
                )
            }
            // All took less than a second, so that an `m` or a `µ` is before each `s`.
            Self::Nothing => Question::new(
                format!("{{ span.took =~ \"[0-9.]+{}s\" }}", random % 1_000),
                |_| false,
            ),
        }
    }
}

/// How long calls took, and what was wrong with the answers.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    /// Milliseconds, one a call.
    pub(crate) times_ms: Vec<f64>,
    /// Answers that cannot be right.
    pub(crate) wrong: Vec<String>,
}

impl Calls {
    fn get(&mut self, api: &str, path: &str) -> Result<Value> {
        let started = Instant::now();
        let answer = http::get(api, path)?;
        self.times_ms.push(started.elapsed().as_secs_f64() * 1e3);
        Ok(answer)
    }
}

/// Asks for traces, anywhere among all, by their ids.
pub(crate) fn traces_by_id(api: &str, traces: u64, calls: u64) -> Result<Calls> {
    let mut made = Calls::default();
    for call in 0..calls {
        let mut path = "/api/v1/traces/".to_owned();
        for byte in trace_id(mix(call + 1) % traces) {
            // Writing to a string does not fail.
            let _ = write!(path, "{byte:02x}");
        }
        let answer = made.get(api, &path)?;
        let spans = answer["spans"].as_array().map_or(0, Vec::len);
        if spans as u64 != SPANS_PER_TRACE {
            made.wrong.push(format!("{path}: {spans} spans"));
        }
    }
    Ok(made)
}

/// Searches among all traces, for a page of the API's own size.
pub(crate) fn searches(api: &str, search: Search, traces: u64, calls: u64) -> Result<Calls> {
    // Before any call, so that nothing else happens between them.
    let questions = (0..calls).map(|call| search.question(call, traces));
    let questions: Vec<(String, usize)> = questions
        .map(|question| {
            let expected = question.expected(traces);
            (question.query, expected)
        })
        .collect();
    let mut made = Calls::default();
    for (query, expected) in questions {
        let answer = made.get(api, &http::search(&query))?;
        let found = answer["traces"].as_array();
        let found = found.context("a search answers traces")?.len();
        if found != expected {
            made.wrong
                .push(format!("`{query}`: {found} traces instead of {expected}"));
        }
    }
    Ok(made)
}

/// Asks what the operations of all spans were like, as the first page of the UI does.
pub(crate) fn operations(api: &str, spans: u64, calls: u64) -> Result<Calls> {
    const PATH: &str = "/api/v1/operations";
    let expected = [
        (ROOT_NAME, spans / SPANS_PER_TRACE),
        (CHILD_NAME, spans - spans / SPANS_PER_TRACE),
    ];
    let mut made = Calls::default();
    for _ in 0..calls {
        let answer = made.get(api, PATH)?;
        let operations = answer["operations"].as_array();
        let operations = operations.context("operations are answered as a list")?;
        for (name, count) in expected {
            let of_name = operations.iter().filter(|one| one["name"] == name);
            let counted: u64 = of_name.filter_map(|one| one["count"].as_u64()).sum();
            if counted != count {
                made.wrong
                    .push(format!("{PATH}: {counted} of `{name}` instead of {count}"));
            }
        }
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACES: u64 = 20_000;

    #[test]
    fn what_is_found_is_known_before_it_is_asked_for() {
        for call in 0..3 {
            let expected = |search: Search| search.question(call, TRACES).expected(TRACES);
            assert_eq!(expected(Search::Newest), PAGE_TRACES);
            assert_eq!(expected(Search::Attribute), 1);
            assert!((1..4).contains(&expected(Search::Text)));
            assert_eq!(expected(Search::Slow), PAGE_TRACES);
            assert!((1..10).contains(&expected(Search::Failed)));
            assert_eq!(expected(Search::Nothing), 0);
        }
    }

    #[test]
    fn slow_roots_are_as_frequent_as_the_report_says() {
        for (us, one_in) in [
            (SLOW_US.0, SLOW_ONE_IN.0),
            (SLOW_US.0 + SLOW_US.1, SLOW_ONE_IN.1),
        ] {
            let traces = 10 * TRACES;
            let slow = (0..traces).filter(|trace| {
                let root = LoadSpan::new(*trace, 0);
                root.duration_ns() > 1_000 * us
            });
            let expected = (traces / one_in) as f64;
            let off = (slow.count() as f64 - expected).abs();
            assert!(off < 4.0 * expected.sqrt(), "{off} of {expected}");
        }
    }

    #[test]
    fn no_text_of_a_duration_is_what_the_pattern_for_nothing_is() {
        for span in (0..TRACES).flat_map(LoadSpan::of_trace) {
            let took = span.took();
            let before = took.strip_suffix('s').and_then(|text| text.chars().last());
            assert!(matches!(before, Some('m' | 'µ')), "{took}");
        }
    }
}
