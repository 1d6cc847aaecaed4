//! Span metrics as OTLP.
//!
//! Names and attributes are those of the `spanmetrics` connector of the OpenTelemetry Collector, as it has them by
//! default.
//!
//! Source: `opentelemetry/proto/metrics/v1/metrics.proto`, version 1.11.

use ringlight_collector::AttributeRules;
use ringlight_model::{KeyValue, Scope, SpanKind, StatusCode};
use ringlight_otlp::encode::proto::{self, Room};
use ringlight_otlp::encode::{self, Owner, attribute_value};

use super::histogram::{Histogram, SCALE};
use super::series::{Longest, Series};
use super::{Reading, SERIES_MAX};
use crate::metrics::Overflows;
use crate::metrics::encode::{OVERFLOW, field, zigzag};

const SCOPE: &str = "ringlight.spans";
const PREFIX: &str = "traces.span.metrics";
const DELTA: u64 = 1;
const CUMULATIVE: u64 = 2;

/// Where all of them are.
pub(in crate::metrics) fn scope() -> Scope<'static> {
    Scope {
        name: SCOPE.into(),
        version: env!("CARGO_PKG_VERSION").into(),
        ..Scope::default()
    }
}

/// What a metric is, besides its points.
#[derive(Debug, Clone, Copy)]
pub(in crate::metrics) struct About {
    /// The last part of its name.
    name: &'static str,
    pub(in crate::metrics) description: &'static str,
    pub(in crate::metrics) unit: &'static str,
}

impl About {
    pub(in crate::metrics) fn name(&self) -> String {
        format!("{PREFIX}.{}", self.name)
    }
}

pub(in crate::metrics) const CALLS: About = About {
    name: "calls",
    description: "Spans that have ended.",
    unit: "{call}",
};

/// A histogram that series have.
#[derive(Debug, Clone, Copy)]
pub(in crate::metrics) struct OfSeries {
    pub(in crate::metrics) about: About,
    /// Nothing is in it where spans do not say.
    pub(in crate::metrics) histogram: fn(&Series) -> &Histogram,
    pub(in crate::metrics) exemplar: fn(&Series) -> Option<Longest>,
}

pub(in crate::metrics) const HISTOGRAMS: [OfSeries; 3] = [
    OfSeries {
        about: About {
            name: "duration",
            description: "How long spans took.",
            unit: "ns",
        },
        histogram: |one| &one.duration,
        exemplar: |one| one.longest,
    },
    OfSeries {
        about: About {
            name: "busy",
            description: "How long spans were entered.",
            unit: "ns",
        },
        histogram: |one| &one.busy,
        exemplar: |_| None,
    },
    OfSeries {
        about: About {
            name: "idle",
            description: "How long spans were open without being entered.",
            unit: "ns",
        },
        histogram: |one| &one.idle,
        exemplar: |_| None,
    },
];

/// Counts where there are more series than there may be.
pub(in crate::metrics) fn count_overflow(series: &[Series], overflows: &Overflows) {
    if series.iter().any(|series| series.of.is_none()) {
        overflows.count_and_tell(
            SCOPE,
            &CALLS.name(),
            format_args!(
                "has {SERIES_MAX} sets of name, kind and status of spans, further ones are in one with `{OVERFLOW}`; \
                 hint: name spans by what they do, without ids"
            ),
        );
    }
}

impl Series {
    /// What tells it apart.
    pub(in crate::metrics) fn attributes(&self) -> Vec<KeyValue<'_>> {
        match &self.of {
            None => vec![KeyValue::new(OVERFLOW, true)],
            Some((name, kind, status)) => vec![
                KeyValue::new("span.name", &**name),
                KeyValue::new("span.kind", kind_text(*kind)),
                KeyValue::new("status.code", status_text(*status)),
            ],
        }
    }
}

impl Reading {
    /// Appends a `ScopeMetrics`, unless there is nothing to be in it; whether there is.
    pub(in crate::metrics) fn write(&self, buf: &mut Vec<u8>, rules: &AttributeRules) -> bool {
        if self.series.is_empty() {
            return false;
        }
        let opened = encode::open_scope(buf, &scope());
        let mut points = Points {
            buf,
            reading: self,
            rules: rules.has_rules().then_some(rules),
        };
        points.calls();
        for histogram in HISTOGRAMS {
            points.histogram(histogram);
        }
        proto::close(buf, opened);
        true
    }
}

struct Points<'a> {
    buf: &'a mut Vec<u8>,
    reading: &'a Reading,
    /// Whose rules attributes go through, if there are any.
    rules: Option<&'a AttributeRules>,
}

impl Points<'_> {
    fn calls(&mut self) {
        let metric = self.metric(CALLS);
        let data = proto::open(self.buf, field::metric::SUM, Room::Large);
        for series in &self.reading.series {
            let point = self.point();
            proto::fixed64_field(self.buf, field::point::INT, series.duration.count());
            self.attributes(series, Owner::DataPoint);
            proto::close(self.buf, point);
        }
        self.temporality();
        proto::varint_field(self.buf, field::data::IS_MONOTONIC, 1);
        proto::close(self.buf, data);
        proto::close(self.buf, metric);
    }

    fn histogram(&mut self, of: OfSeries) {
        let histogram = of.histogram;
        let series = self.reading.series.iter();
        let mut series = series.filter(|one| histogram(one).count() > 0).peekable();
        if series.peek().is_none() {
            return;
        }
        let metric = self.metric(of.about);
        let data = proto::open(self.buf, field::metric::EXPONENTIAL_HISTOGRAM, Room::Large);
        for one in series {
            let point = self.point();
            self.distribution(histogram(one));
            self.attributes(one, Owner::ExponentialPoint);
            if let Some(longest) = (of.exemplar)(one) {
                self.exemplar(longest);
            }
            proto::close(self.buf, point);
        }
        self.temporality();
        proto::close(self.buf, data);
        proto::close(self.buf, metric);
    }

    fn metric(&mut self, about: About) -> proto::Open {
        let open = proto::open(self.buf, field::ITEMS, Room::Large);
        for (number, text) in [
            (field::metric::NAME, &*about.name()),
            (field::metric::DESCRIPTION, about.description),
            (field::metric::UNIT, about.unit),
        ] {
            proto::bytes_field(self.buf, number, text.as_bytes());
        }
        open
    }

    fn point(&mut self) -> proto::Open {
        let open = proto::open(self.buf, field::data::POINTS, Room::Medium);
        let start = self.reading.start_unix_nano;
        proto::fixed64_field(self.buf, field::point::START, start);
        proto::fixed64_field(self.buf, field::point::TIME, self.reading.time_unix_nano);
        open
    }

    fn distribution(&mut self, histogram: &Histogram) {
        use field::exponential as of;
        let buf = &mut *self.buf;
        let mut double = |number, value: f64| proto::fixed64_field(buf, number, value.to_bits());
        double(of::SUM, histogram.sum() as f64);
        if let Some((min, max)) = histogram.extremes() {
            double(of::MIN, min as f64);
            double(of::MAX, max as f64);
        }
        proto::fixed64_field(buf, of::COUNT, histogram.count());
        proto::fixed64_field(buf, of::ZERO_COUNT, histogram.zeros());
        proto::varint_field(buf, of::SCALE, zigzag(SCALE));
        let (first, counts) = histogram.buckets();
        let buckets = proto::open(buf, of::POSITIVE, Room::Medium);
        proto::varint_field(buf, of::OFFSET, zigzag(first));
        let open = proto::open(buf, of::BUCKET_COUNTS, Room::Medium);
        for count in counts {
            proto::varint(buf, *count);
        }
        proto::close(buf, open);
        proto::close(buf, buckets);
    }

    fn attributes(&mut self, series: &Series, owner: Owner) {
        let attributes = series.attributes();
        let attributes = match self.rules {
            None => attributes,
            Some(rules) => rules.processed(attributes),
        };
        for attribute in &attributes {
            attribute_value(self.buf, owner, &*attribute.key, &attribute.value);
        }
    }

    fn exemplar(&mut self, longest: Longest) {
        let open = proto::open(self.buf, field::exponential::EXEMPLARS, Room::Small);
        let time = longest.end_unix_nano;
        proto::fixed64_field(self.buf, field::exemplar::TIME, time);
        let value = (longest.nano as f64).to_bits();
        proto::fixed64_field(self.buf, field::exemplar::DOUBLE, value);
        let (span, trace) = (longest.span_id.to_bytes(), longest.trace_id.to_bytes());
        proto::bytes_field(self.buf, field::exemplar::SPAN_ID, &span);
        proto::bytes_field(self.buf, field::exemplar::TRACE_ID, &trace);
        proto::close(self.buf, open);
    }

    fn temporality(&mut self) {
        let number = if self.reading.is_delta {
            DELTA
        } else {
            CUMULATIVE
        };
        proto::varint_field(self.buf, field::data::TEMPORALITY, number);
    }
}

const fn kind_text(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Unspecified => "SPAN_KIND_UNSPECIFIED",
        SpanKind::Internal => "SPAN_KIND_INTERNAL",
        SpanKind::Server => "SPAN_KIND_SERVER",
        SpanKind::Client => "SPAN_KIND_CLIENT",
        SpanKind::Producer => "SPAN_KIND_PRODUCER",
        SpanKind::Consumer => "SPAN_KIND_CONSUMER",
    }
}

const fn status_text(status: StatusCode) -> &'static str {
    match status {
        StatusCode::Unset => "STATUS_CODE_UNSET",
        StatusCode::Ok => "STATUS_CODE_OK",
        StatusCode::Error => "STATUS_CODE_ERROR",
    }
}
