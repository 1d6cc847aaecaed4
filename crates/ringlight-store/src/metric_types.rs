//! What is asked of metrics and what is answered.

use ringlight_model::{Exemplar, KeyValue, Metric, MetricKind};

use crate::query::Query;
use crate::{Cancel, SearchStats};

/// What is made of the points of a window of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Aggregation {
    /// How much was added, or observed, a second.
    Rate,
    /// How much was added, or the sum of the values observed. Of what is no sum of additions: of each
    /// series that has not ended its last value, added up.
    Sum,
    /// The mean of the values.
    Avg,
    /// The lowest value.
    Min,
    /// The highest value.
    Max,
    /// How many values were observed; of numbers, how many points there are.
    Count,
    /// The median.
    P50,
    /// The 90th percentile.
    P90,
    /// The 95th percentile.
    P95,
    /// The 99th percentile.
    P99,
}

impl Aggregation {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Rate,
        Self::Sum,
        Self::Avg,
        Self::Min,
        Self::Max,
        Self::Count,
        Self::P50,
        Self::P90,
        Self::P95,
        Self::P99,
    ];

    /// The name in the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
            Self::Count => "count",
            Self::P50 => "p50",
            Self::P90 => "p90",
            Self::P95 => "p95",
            Self::P99 => "p99",
        }
    }

    /// Those that make sense of metrics of a kind; the first is what is answered if none is asked for.
    #[must_use]
    pub const fn allowed(kind: MetricKind) -> &'static [Self] {
        use Aggregation::{Avg, Count, Max, Min, P50, P90, P95, P99, Rate, Sum};
        match kind {
            MetricKind::Gauge => &[Avg, Min, Max, Sum, Count],
            MetricKind::Sum {
                is_monotonic: true, ..
            } => &[Rate, Sum, Count],
            MetricKind::Sum { .. } => &[Sum, Avg, Min, Max, Count],
            MetricKind::Histogram { .. } | MetricKind::ExponentialHistogram { .. } => {
                &[P95, P50, P90, P99, Avg, Min, Max, Rate, Sum, Count]
            }
            MetricKind::Summary => &[Avg, P50, P90, P95, P99, Rate, Sum, Count],
        }
    }

    /// The quantile, 0 to 1, if it is one.
    pub(crate) const fn quantile(self) -> Option<f64> {
        match self {
            Self::P50 => Some(0.5),
            Self::P90 => Some(0.9),
            Self::P95 => Some(0.95),
            Self::P99 => Some(0.99),
            _ => None,
        }
    }
}

impl std::fmt::Display for Aggregation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A metric and what is stored of it.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricSummary {
    /// The metric. The same name with another kind or unit is another metric, and so is a sum that may shrink
    /// beside one that may not. Temporality makes no difference: it is that of the newest point, as is the
    /// description.
    pub metric: Metric<'static>,
    /// Its series.
    pub series_count: u64,
    /// The services it comes from, sorted.
    pub services: Vec<String>,
    /// Names of the scopes it comes from, sorted.
    pub scopes: Vec<String>,
    /// Keys of attributes of its points, sorted, 100 at most.
    pub attribute_keys: Vec<String>,
    /// Time of its newest point, Unix nanoseconds. Of metrics that were not seen since the store was
    /// opened, and have no point in its newest blocks, an earlier time.
    pub last_unix_nano: u64,
}

/// What is asked about a metric.
#[derive(Debug, Clone)]
pub struct MetricSearch {
    /// Its name.
    pub name: String,
    /// Which kind, as [`MetricKind::as_str`] names it, if there are several of the name. By default the
    /// one that has a point last.
    pub kind: Option<String>,
    /// Of which unit, if there are several of the name and kind; empty for the one without a unit.
    pub unit: Option<String>,
    /// Whether it is a sum of which nothing is ever taken away, if there are both.
    pub is_monotonic: Option<bool>,
    /// Which series, parsed for [`QuerySignal::Metrics`](crate::query::QuerySignal::Metrics).
    pub query: Query,
    /// What is made of the points. By default the first one of [`Aggregation::allowed`].
    pub aggregation: Option<Aggregation>,
    /// Attributes of points, or else of their resources, for each combination of which there is an
    /// answer. `point.` or `resource.` before a key says where to look.
    pub by: Vec<String>,
    /// First time, Unix nanoseconds, included.
    pub from_unix_nano: u64,
    /// Last time, Unix nanoseconds, included.
    pub to_unix_nano: u64,
    /// Length of a window in nanoseconds, at least 1. Windows begin at multiples of it.
    pub step_nano: u64,
    /// Series of the answer at most, from 1 to 1000.
    pub limit: usize,
    /// Whether the answer is still wanted.
    pub cancel: Cancel,
}

/// What a metric was like over time.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricAnswer {
    /// The metric.
    pub metric: Metric<'static>,
    /// What was made of its points.
    pub aggregation: Aggregation,
    /// A series for each combination of attributes, sorted by these.
    pub series: Vec<MetricSeries>,
    /// Combinations that are left out since there are too many; those without a point since the time asked for
    /// began go first.
    pub series_left_out: u64,
    /// What the search cost.
    pub stats: SearchStats,
}

/// What points with certain attributes were like over time.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MetricSeries {
    /// The attributes asked for that they have.
    pub labels: Vec<KeyValue<'static>>,
    /// Begin of a window, Unix nanoseconds, and the value; in order, without windows of which nothing is
    /// known. The value is finite.
    pub points: Vec<(u64, f64)>,
    /// Of each window the exemplar with the highest value; the newest 100, oldest first.
    pub exemplars: Vec<Exemplar<'static>>,
}
