//! Metric data points, and what they belong to.
//!
//! Every type here can borrow its text from the request it was decoded from. Times are nanoseconds
//! since the Unix epoch.

use std::borrow::Cow;

use crate::{KeyValue, SpanId, TraceId};

/// What the points of a metric are relative to. Discriminants are those of OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Temporality {
    /// Each point is about the time since the one before.
    Delta = 1,
    /// Each point is about the time since a fixed start.
    Cumulative = 2,
}

impl Temporality {
    /// The temporality of an OTLP number; `None` for the unspecified one and for unknown numbers.
    #[must_use]
    pub const fn from_otlp(number: i32) -> Option<Self> {
        match number {
            1 => Some(Self::Delta),
            2 => Some(Self::Cumulative),
            _ => None,
        }
    }

    /// The name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delta => "delta",
            Self::Cumulative => "cumulative",
        }
    }
}

/// What the points of a metric are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum MetricKind {
    /// A number as it was at a moment.
    #[default]
    Gauge,
    /// A sum of what was added.
    Sum {
        /// What it is relative to.
        temporality: Temporality,
        /// Whether nothing is ever taken away.
        is_monotonic: bool,
    },
    /// A distribution in buckets with explicit bounds.
    Histogram {
        /// What it is relative to.
        temporality: Temporality,
    },
    /// A distribution in buckets whose bounds grow exponentially.
    ExponentialHistogram {
        /// What it is relative to.
        temporality: Temporality,
    },
    /// Quantiles of a distribution, as Prometheus' summaries have them. Count and sum are since a
    /// fixed start.
    Summary,
}

impl MetricKind {
    /// The name in JSON, without temporality and monotonicity.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Sum { .. } => "sum",
            Self::Histogram { .. } => "histogram",
            Self::ExponentialHistogram { .. } => "exponential_histogram",
            Self::Summary => "summary",
        }
    }

    /// What the points are relative to; `None` for a gauge.
    #[must_use]
    pub const fn temporality(self) -> Option<Temporality> {
        match self {
            Self::Gauge => None,
            Self::Summary => Some(Temporality::Cumulative),
            Self::Sum { temporality, .. }
            | Self::Histogram { temporality }
            | Self::ExponentialHistogram { temporality } => Some(temporality),
        }
    }

    /// Whether the points are sums of which nothing is ever taken away.
    #[must_use]
    pub const fn is_monotonic(self) -> bool {
        matches!(
            self,
            Self::Sum {
                is_monotonic: true,
                ..
            }
        )
    }
}

/// What is measured.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Metric<'a> {
    /// Name.
    pub name: Cow<'a, str>,
    /// For people; may be empty.
    pub description: Cow<'a, str>,
    /// Unit, as UCUM writes it; may be empty.
    pub unit: Cow<'a, str>,
    /// What its points are.
    pub kind: MetricKind,
}

impl Metric<'_> {
    /// The same metric, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> Metric<'static> {
        Metric {
            name: Cow::Owned(self.name.into_owned()),
            description: Cow::Owned(self.description.into_owned()),
            unit: Cow::Owned(self.unit.into_owned()),
            kind: self.kind,
        }
    }
}

/// A number: OTLP keeps integers and floating-point numbers apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Double(f64),
}

impl Number {
    /// The number; integers beyond 2^53 are rounded.
    #[must_use]
    pub const fn as_f64(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Double(value) => value,
        }
    }
}

/// A distribution in buckets with explicit bounds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Histogram {
    /// How many values were observed.
    pub count: u64,
    /// Their sum, where it is known.
    pub sum: Option<f64>,
    /// The lowest of them, where it is known.
    pub min: Option<f64>,
    /// The highest of them, where it is known.
    pub max: Option<f64>,
    /// Upper bounds of all buckets but the last, included in their buckets, increasing.
    pub bounds: Vec<f64>,
    /// Values in each bucket: one more than there are bounds, or none.
    pub buckets: Vec<u64>,
}

/// Buckets next to each other of an exponential histogram.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExponentialBuckets {
    /// Index of the first bucket. Bucket i holds values above base^i, up to base^(i + 1).
    pub offset: i32,
    /// Values in each bucket.
    pub counts: Vec<u64>,
}

/// A distribution in buckets whose bounds are powers of 2^(2^-scale).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ExponentialHistogram {
    /// How many values were observed.
    pub count: u64,
    /// Their sum, where it is known.
    pub sum: Option<f64>,
    /// The lowest of them, where it is known.
    pub min: Option<f64>,
    /// The highest of them, where it is known.
    pub max: Option<f64>,
    /// Resolution: the higher, the finer the buckets.
    pub scale: i32,
    /// Values that are zero, or at most `zero_threshold` away from it.
    pub zero_count: u64,
    /// What counts as zero.
    pub zero_threshold: f64,
    /// Buckets of values above zero.
    pub positive: ExponentialBuckets,
    /// Buckets of values below zero, by their absolute values.
    pub negative: ExponentialBuckets,
}

/// Quantiles of a distribution.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Summary {
    /// How many values were observed.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// Quantiles, 0 to 1, and their values.
    pub quantiles: Vec<(f64, f64)>,
}

/// The value of a point.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum PointValue {
    /// There is none: the point says that the series was not measured.
    #[default]
    None,
    /// Of a gauge or a sum.
    Number(Number),
    /// Of a histogram.
    Histogram(Histogram),
    /// Of an exponential histogram.
    Exponential(ExponentialHistogram),
    /// Of a summary.
    Summary(Summary),
}

/// One of the values behind a point, and the span it was recorded in.
#[derive(Debug, Clone, PartialEq)]
pub struct Exemplar<'a> {
    /// When, Unix nanoseconds.
    pub time_unix_nano: u64,
    /// The value.
    pub value: Number,
    /// The trace it was recorded in; invalid where there was none.
    pub trace_id: TraceId,
    /// The span it was recorded in; invalid where there was none.
    pub span_id: SpanId,
    /// Attributes of the measurement that are not attributes of the point.
    pub attributes: Vec<KeyValue<'a>>,
}

impl Default for Exemplar<'_> {
    fn default() -> Self {
        Self {
            time_unix_nano: 0,
            value: Number::Double(0.0),
            trace_id: TraceId::INVALID,
            span_id: SpanId::INVALID,
            attributes: Vec::new(),
        }
    }
}

impl Exemplar<'_> {
    /// The same exemplar, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> Exemplar<'static> {
        Exemplar {
            time_unix_nano: self.time_unix_nano,
            value: self.value,
            trace_id: self.trace_id,
            span_id: self.span_id,
            attributes: owned(self.attributes),
        }
    }
}

/// A data point of a [`Metric`].
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MetricPoint<'a> {
    /// Attributes.
    pub attributes: Vec<KeyValue<'a>>,
    /// Since when, Unix nanoseconds; 0 where that is not known.
    pub start_unix_nano: u64,
    /// When, Unix nanoseconds.
    pub time_unix_nano: u64,
    /// The value.
    pub value: PointValue,
    /// Some of the values behind it.
    pub exemplars: Vec<Exemplar<'a>>,
    /// Flags of OTLP's `DataPointFlags`.
    pub flags: u32,
}

impl MetricPoint<'_> {
    /// Bit of [`flags`](Self::flags): nothing was measured, the point has no value.
    pub const NO_RECORDED_VALUE: u32 = 1;

    /// The same point, borrowing nothing.
    #[must_use]
    pub fn into_owned(self) -> MetricPoint<'static> {
        MetricPoint {
            attributes: owned(self.attributes),
            start_unix_nano: self.start_unix_nano,
            time_unix_nano: self.time_unix_nano,
            value: self.value,
            exemplars: self
                .exemplars
                .into_iter()
                .map(Exemplar::into_owned)
                .collect(),
            flags: self.flags,
        }
    }
}

fn owned(attributes: Vec<KeyValue<'_>>) -> Vec<KeyValue<'static>> {
    attributes.into_iter().map(KeyValue::into_owned).collect()
}
