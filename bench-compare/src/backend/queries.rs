//! Questions about everything that was stored.

use std::{fmt::Write as _, time::Instant};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{
    http,
    load::{SPANS_PER_TRACE, mix, trace_id},
};

/// Searches, each for a kind of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Search {
    /// The newest traces: what the UI asks first.
    Newest,
    /// A span by a value that no other has.
    Attribute,
    /// Spans by name and duration.
    Slow,
    /// Failed spans by a value that a quarter of all have.
    Failed,
    /// A pattern that nothing matches, so that nothing ends the search early.
    Nothing,
}

impl Search {
    /// All of them.
    pub(crate) const ALL: [Self; 5] = [
        Self::Newest,
        Self::Attribute,
        Self::Slow,
        Self::Failed,
        Self::Nothing,
    ];

    /// The name in results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Newest => "search-newest",
            Self::Attribute => "search-attribute",
            Self::Slow => "search-slow",
            Self::Failed => "search-failed",
            Self::Nothing => "search-nothing",
        }
    }

    /// The name of its aim.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Self::Newest => "search for the newest traces (p95), ms",
            Self::Attribute => "search for a rare value (p95), ms",
            Self::Slow => "search for slow spans (p95), ms",
            Self::Failed => "search for failed spans (p95), ms",
            Self::Nothing => "search for what is not there (p95), ms",
        }
    }

    /// The query, which differs from call to call where it can.
    fn query(self, call: u64, traces: u64) -> String {
        let random = mix(call + 1);
        match self {
            Self::Newest => String::new(),
            Self::Attribute => {
                format!("{{ span.id = {} }}", random % (traces * SPANS_PER_TRACE))
            }
            Self::Slow => format!(
                "{{ name = \"root\" && duration > {}us }}",
                19_000 + random % 900
            ),
            Self::Failed => "{ status = error && span.route = \"/health\" }".to_owned(),
            Self::Nothing => format!("{{ span.took =~ \"{}m?s\" }}", random % 1_000),
        }
    }

    /// Whether so many traces can be the answer.
    fn allows(self, found: usize) -> bool {
        match self {
            Self::Attribute => found == 1,
            Self::Nothing => found == 0,
            _ => found > 0,
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
    let mut made = Calls::default();
    for call in 0..calls {
        let query = search.query(call, traces);
        let answer = made.get(api, &http::search(&query))?;
        let found = answer["traces"].as_array();
        let found = found.context("a search answers traces")?.len();
        if !search.allows(found) {
            made.wrong.push(format!("`{query}`: {found} traces"));
        }
    }
    Ok(made)
}
