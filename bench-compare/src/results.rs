//! What a run found.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{machine::Machine, stats::Estimate, subjects::Account};

/// One line of results.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// `record`, `unsampled`, `threads`, `axum`, `features`, `channels`, `allocations`, `deliver`, `ship` or `backend`.
    pub(crate) bench: String,
    /// Whom it is about; in `features`, what is on, in `allocations`, around which allocator.
    pub(crate) subject: String,
    /// Shape, number of threads, way of producing, kind of channel, or part of the backend.
    pub(crate) case: String,
    /// What `median`, `low` and `high` count.
    pub(crate) unit: String,
    /// The median of the samples; their 95th percentile where the unit begins with `p95_`.
    pub(crate) median: f64,
    /// Lower end of its 95 % confidence interval.
    pub(crate) low: f64,
    /// Upper end of its 95 % confidence interval.
    pub(crate) high: f64,
    /// Spans recorded, in all samples.
    pub(crate) produced: u64,
    /// Of those, how many the server received.
    pub(crate) delivered: u64,
}

impl Figure {
    pub(crate) fn new(
        bench: &str,
        subject: impl AsRef<str>,
        (case, unit): (&str, &str),
        estimate: Estimate,
        (produced, delivered): (u64, u64),
    ) -> Self {
        Self {
            bench: bench.to_owned(),
            subject: subject.as_ref().to_owned(),
            case: case.to_owned(),
            unit: unit.to_owned(),
            median: rounded(estimate.median),
            low: rounded(estimate.low),
            high: rounded(estimate.high),
            produced,
            delivered,
        }
    }
}

/// To three decimals: more would be noise in the file.
fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

/// Everything of one run.
#[derive(Debug, Default)]
pub(crate) struct Results {
    /// The figures, in the order of the report.
    pub(crate) figures: Vec<Figure>,
    /// What it ran on, looked at before.
    pub(crate) machine: Machine,
    /// Spans and log records that were compared with what was sent, by subject.
    pub(crate) compared: BTreeMap<String, u64>,
    /// What the subjects that keep account say they dropped, by run and reason.
    pub(crate) dropped: BTreeMap<String, Account>,
    /// What differed from what was sent, each with its run.
    pub(crate) differences: Vec<String>,
}

impl Results {
    /// Whether anything of a bench was measured.
    pub(crate) fn has_bench(&self, bench: &str) -> bool {
        self.figures.iter().any(|figure| figure.bench == bench)
    }

    /// The figure of a cell, if it was measured.
    pub(crate) fn find(&self, subject: impl AsRef<str>, case: &str, unit: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| {
            figure.subject == subject.as_ref() && figure.case == case && figure.unit == unit
        })
    }
}
