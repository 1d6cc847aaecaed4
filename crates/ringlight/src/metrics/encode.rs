//! Metrics as OTLP, straight from what the SDK aggregated.
//!
//! Source: `opentelemetry/proto/metrics/v1/metrics.proto`, version 1.11.

use opentelemetry::{Array, InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::{
    AggregatedMetrics, ExponentialBucket, ExponentialHistogram, Gauge, Histogram, Metric,
    MetricData, ResourceMetrics, Sum,
};
use ringlight_collector::{AttributeRules, RequestSender};
use ringlight_model::{KeyValue as ModelKeyValue, Scope, Value as ModelValue};
use ringlight_otlp::encode::proto::{self, Open, Room};
use ringlight_otlp::encode::{self, Owner, attribute_value};

use super::exemplars::{self, Exemplar, Number, OfPoints, Taken};
use super::overflows::Overflows;
use super::spans::Reading;
use crate::otel::unix_nano;

/// Field numbers.
pub(super) mod field {
    pub(in crate::metrics) const ITEMS: u32 = 2;
    pub(in crate::metrics) const SCOPE_SCHEMA_URL: u32 = 3;
    pub(in crate::metrics) mod metric {
        pub(crate) const NAME: u32 = 1;
        pub(crate) const DESCRIPTION: u32 = 2;
        pub(crate) const UNIT: u32 = 3;
        pub(crate) const GAUGE: u32 = 5;
        pub(crate) const SUM: u32 = 7;
        pub(crate) const HISTOGRAM: u32 = 9;
        pub(crate) const EXPONENTIAL_HISTOGRAM: u32 = 10;
    }
    pub(in crate::metrics) mod data {
        pub(crate) const POINTS: u32 = 1;
        pub(crate) const TEMPORALITY: u32 = 2;
        pub(crate) const IS_MONOTONIC: u32 = 3;
    }
    /// Start and time are the same in all points.
    pub(in crate::metrics) mod point {
        pub(crate) const START: u32 = 2;
        pub(crate) const TIME: u32 = 3;
        pub(crate) const DOUBLE: u32 = 4;
        pub(crate) const EXEMPLARS: u32 = 5;
        pub(crate) const INT: u32 = 6;
    }
    pub(in crate::metrics) mod histogram {
        pub(crate) const COUNT: u32 = 4;
        pub(crate) const SUM: u32 = 5;
        pub(crate) const BUCKET_COUNTS: u32 = 6;
        pub(crate) const BOUNDS: u32 = 7;
        pub(crate) const EXEMPLARS: u32 = 8;
        pub(crate) const MIN: u32 = 11;
        pub(crate) const MAX: u32 = 12;
    }
    pub(in crate::metrics) mod exponential {
        pub(crate) const COUNT: u32 = 4;
        pub(crate) const SUM: u32 = 5;
        pub(crate) const SCALE: u32 = 6;
        pub(crate) const ZERO_COUNT: u32 = 7;
        pub(crate) const POSITIVE: u32 = 8;
        pub(crate) const NEGATIVE: u32 = 9;
        pub(crate) const EXEMPLARS: u32 = 11;
        pub(crate) const MIN: u32 = 12;
        pub(crate) const MAX: u32 = 13;
        pub(crate) const ZERO_THRESHOLD: u32 = 14;
        pub(crate) const OFFSET: u32 = 1;
        pub(crate) const BUCKET_COUNTS: u32 = 2;
    }
    pub(in crate::metrics) mod exemplar {
        pub(crate) const TIME: u32 = 2;
        pub(crate) const DOUBLE: u32 = 3;
        pub(crate) const SPAN_ID: u32 = 4;
        pub(crate) const TRACE_ID: u32 = 5;
        pub(crate) const INT: u32 = 6;
    }
}

/// The attribute of the set that has what is over the limit of sets.
pub(super) const OVERFLOW: &str = "otel.metric.overflow";

/// Encodes what was read.
pub(super) struct Encoder {
    /// Where it goes, which knows the resource.
    sender: RequestSender,
    rules: AttributeRules,
}

impl Encoder {
    pub(super) const fn new(sender: RequestSender, rules: AttributeRules) -> Self {
        Self { sender, rules }
    }

    /// Sends an `ExportMetricsServiceRequest`, unless there is nothing to be in it.
    pub(super) fn send(
        &self,
        metrics: &ResourceMetrics,
        exemplars: &Taken,
        overflows: &Overflows,
        spans: Option<&Reading>,
    ) {
        let mut buf = Vec::with_capacity(4096);
        let resource = encode::open_resource_encoded(&mut buf, self.sender.resource());
        let mut is_empty = true;
        for scope_metrics in metrics.scope_metrics() {
            let scope = scope_metrics.scope();
            let opened = encode::open_scope(&mut buf, &model_scope(scope));
            for metric in scope_metrics.metrics() {
                is_empty = false;
                let name = (scope.clone(), metric.name().to_ascii_lowercase());
                let exemplars = exemplars.get(&name).map_or(&[][..], Vec::as_slice);
                if self.write_metric(&mut buf, metric, exemplars) {
                    overflows.count(scope.name(), metric.name());
                }
            }
            if let Some(url) = scope.schema_url() {
                proto::bytes_field(&mut buf, field::SCOPE_SCHEMA_URL, url.as_bytes());
            }
            proto::close(&mut buf, opened);
        }
        if let Some(spans) = spans {
            is_empty &= !spans.write(&mut buf, &self.rules);
        }
        proto::close(&mut buf, resource);
        if !is_empty {
            self.sender.send_metrics(buf);
        }
    }

    /// Writes a metric; whether it has more sets of attributes than it may.
    fn write_metric(&self, buf: &mut Vec<u8>, metric: &Metric, exemplars: &[Exemplar]) -> bool {
        let open = proto::open(buf, field::ITEMS, Room::Large);
        for (number, text) in [
            (field::metric::NAME, metric.name()),
            (field::metric::DESCRIPTION, metric.description()),
            (field::metric::UNIT, metric.unit()),
        ] {
            if !text.is_empty() {
                proto::bytes_field(buf, number, text.as_bytes());
            }
        }
        let mut points = Points {
            buf,
            rules: self.rules.has_rules().then_some(&self.rules),
            exemplars,
            of_points: OfPoints::default(),
            has_overflow: false,
        };
        match metric.data() {
            AggregatedMetrics::F64(data) => points.data(data),
            AggregatedMetrics::U64(data) => points.data(data),
            AggregatedMetrics::I64(data) => points.data(data),
        }
        let has_overflow = points.has_overflow;
        proto::close(buf, open);
        has_overflow
    }
}

fn model_scope(scope: &InstrumentationScope) -> Scope<'_> {
    Scope {
        name: scope.name().into(),
        version: scope.version().unwrap_or_default().into(),
        attributes: scope
            .attributes()
            .map(|attribute| {
                ModelKeyValue::new(attribute.key.as_str(), model_value(&attribute.value))
            })
            .collect(),
        ..Scope::default()
    }
}

pub(super) fn model_value(value: &Value) -> ModelValue<'_> {
    match value {
        Value::Bool(value) => ModelValue::Bool(*value),
        Value::I64(value) => ModelValue::Int(*value),
        Value::F64(value) => ModelValue::Double(*value),
        Value::String(text) => ModelValue::Str(text.as_str().into()),
        Value::Array(Array::Bool(values)) => {
            ModelValue::Array(values.iter().copied().map(ModelValue::Bool).collect())
        }
        Value::Array(Array::I64(values)) => {
            ModelValue::Array(values.iter().copied().map(ModelValue::Int).collect())
        }
        Value::Array(Array::F64(values)) => {
            ModelValue::Array(values.iter().copied().map(ModelValue::Double).collect())
        }
        Value::Array(Array::String(values)) => {
            let texts = values.iter().map(|text| text.as_str().into());
            ModelValue::Array(texts.map(ModelValue::Str).collect())
        }
        // What the API may add has a text at least.
        other => ModelValue::Str(other.as_str().into_owned().into()),
    }
}

/// Writes the points of one metric.
struct Points<'a> {
    buf: &'a mut Vec<u8>,
    /// Whose rules attributes go through, if there are any.
    rules: Option<&'a AttributeRules>,
    exemplars: &'a [Exemplar],
    /// Those of the points that are still to be written.
    of_points: OfPoints<'a>,
    has_overflow: bool,
}

impl Points<'_> {
    fn data<T: Copy + Into<Number>>(&mut self, data: &MetricData<T>) {
        self.of_points = exemplars::of_points(data, self.exemplars);
        match data {
            MetricData::Gauge(gauge) => self.gauge(gauge),
            MetricData::Sum(sum) => self.sum(sum),
            MetricData::Histogram(histogram) => self.histogram(histogram),
            MetricData::ExponentialHistogram(histogram) => self.exponential(histogram),
        }
    }

    fn gauge<T: Copy + Into<Number>>(&mut self, gauge: &Gauge<T>) {
        let data = proto::open(self.buf, field::metric::GAUGE, Room::Large);
        let start = gauge.start_time().map(unix_nano);
        for point in gauge.data_points() {
            let open = self.point(start, unix_nano(gauge.time()));
            self.number(point.value().into());
            self.attributes(Owner::DataPoint, field::point::EXEMPLARS, || {
                point.attributes()
            });
            proto::close(self.buf, open);
        }
        proto::close(self.buf, data);
    }

    fn sum<T: Copy + Into<Number>>(&mut self, sum: &Sum<T>) {
        let data = proto::open(self.buf, field::metric::SUM, Room::Large);
        for point in sum.data_points() {
            let open = self.point(Some(unix_nano(sum.start_time())), unix_nano(sum.time()));
            self.number(point.value().into());
            self.attributes(Owner::DataPoint, field::point::EXEMPLARS, || {
                point.attributes()
            });
            proto::close(self.buf, open);
        }
        self.temporality(sum.temporality());
        if sum.is_monotonic() {
            proto::varint_field(self.buf, field::data::IS_MONOTONIC, 1);
        }
        proto::close(self.buf, data);
    }

    fn histogram<T: Copy + Into<Number>>(&mut self, histogram: &Histogram<T>) {
        let data = proto::open(self.buf, field::metric::HISTOGRAM, Room::Large);
        let (start, time) = (histogram.start_time(), histogram.time());
        for point in histogram.data_points() {
            let open = self.point(Some(unix_nano(start)), unix_nano(time));
            proto::fixed64_field(self.buf, field::histogram::COUNT, point.count());
            self.double(field::histogram::SUM, point.sum());
            let counts = proto::open(self.buf, field::histogram::BUCKET_COUNTS, Room::Medium);
            for count in point.bucket_counts() {
                self.buf.extend_from_slice(&count.to_le_bytes());
            }
            proto::close(self.buf, counts);
            let bounds = proto::open(self.buf, field::histogram::BOUNDS, Room::Medium);
            for bound in point.bounds() {
                self.buf.extend_from_slice(&bound.to_le_bytes());
            }
            proto::close(self.buf, bounds);
            self.extremes(
                (field::histogram::MIN, point.min()),
                (field::histogram::MAX, point.max()),
            );
            self.attributes(Owner::HistogramPoint, field::histogram::EXEMPLARS, || {
                point.attributes()
            });
            proto::close(self.buf, open);
        }
        self.temporality(histogram.temporality());
        proto::close(self.buf, data);
    }

    fn exponential<T: Copy + Into<Number>>(&mut self, histogram: &ExponentialHistogram<T>) {
        use field::exponential as of;
        let data = proto::open(self.buf, field::metric::EXPONENTIAL_HISTOGRAM, Room::Large);
        let (start, time) = (histogram.start_time(), histogram.time());
        for point in histogram.data_points() {
            let open = self.point(Some(unix_nano(start)), unix_nano(time));
            proto::fixed64_field(self.buf, of::COUNT, point.count() as u64);
            self.double(of::SUM, point.sum());
            proto::varint_field(self.buf, of::SCALE, zigzag(i32::from(point.scale())));
            proto::fixed64_field(self.buf, of::ZERO_COUNT, point.zero_count());
            self.buckets(of::POSITIVE, point.positive_bucket());
            self.buckets(of::NEGATIVE, point.negative_bucket());
            self.extremes((of::MIN, point.min()), (of::MAX, point.max()));
            let threshold = point.zero_threshold().to_bits();
            proto::fixed64_field(self.buf, of::ZERO_THRESHOLD, threshold);
            self.attributes(Owner::ExponentialPoint, of::EXEMPLARS, || {
                point.attributes()
            });
            proto::close(self.buf, open);
        }
        self.temporality(histogram.temporality());
        proto::close(self.buf, data);
    }

    fn buckets(&mut self, number: u32, buckets: &ExponentialBucket) {
        let open = proto::open(self.buf, number, Room::Medium);
        let offset = zigzag(buckets.offset());
        proto::varint_field(self.buf, field::exponential::OFFSET, offset);
        let counts = proto::open(self.buf, field::exponential::BUCKET_COUNTS, Room::Medium);
        for count in buckets.counts() {
            proto::varint(self.buf, count);
        }
        proto::close(self.buf, counts);
        proto::close(self.buf, open);
    }

    fn point(&mut self, start: Option<u64>, time: u64) -> Open {
        let open = proto::open(self.buf, field::data::POINTS, Room::Medium);
        if let Some(start) = start {
            proto::fixed64_field(self.buf, field::point::START, start);
        }
        proto::fixed64_field(self.buf, field::point::TIME, time);
        open
    }

    fn number(&mut self, number: Number) {
        let (field, bits) = match number {
            Number::Int(value) => (field::point::INT, value as u64),
            Number::Double(value) => (field::point::DOUBLE, value.to_bits()),
        };
        proto::fixed64_field(self.buf, field, bits);
    }

    fn double<T: Into<Number>>(&mut self, field: u32, value: T) {
        let value: Number = value.into();
        proto::fixed64_field(self.buf, field, value.as_f64().to_bits());
    }

    fn extremes<T: Into<Number>>(&mut self, min: (u32, Option<T>), max: (u32, Option<T>)) {
        for (field, value) in [min, max] {
            if let Some(value) = value {
                self.double(field, value);
            }
        }
    }

    fn temporality(&mut self, temporality: Temporality) {
        let number = match temporality {
            Temporality::Delta => 1,
            _ => 2,
        };
        proto::varint_field(self.buf, field::data::TEMPORALITY, number);
    }

    /// The attributes of the next point, and the exemplars that are of it.
    fn attributes<'p, I: Iterator<Item = &'p KeyValue>>(
        &mut self,
        owner: Owner,
        exemplar_field: u32,
        attributes: impl Fn() -> I,
    ) {
        self.has_overflow |= attributes().any(|attribute| attribute.key.as_str() == OVERFLOW);
        self.write_attributes(owner, attributes());
        for exemplar in self.of_points.next().unwrap_or_default() {
            let is_of_point = |one: &&KeyValue| attributes().any(|other| other == *one);
            let filtered = exemplar.attributes.iter();
            let filtered = filtered.filter(|one| !is_of_point(one));
            self.exemplar(exemplar_field, exemplar, filtered);
        }
    }

    fn write_attributes<'p>(
        &mut self,
        owner: Owner,
        attributes: impl Iterator<Item = &'p KeyValue>,
    ) {
        let attributes = attributes.map(|attribute| {
            let value = model_value(&attribute.value);
            ModelKeyValue::new(attribute.key.as_str(), value)
        });
        let mut write = |attribute: &ModelKeyValue<'_>| {
            attribute_value(self.buf, owner, &*attribute.key, &attribute.value);
        };
        match self.rules {
            None => attributes.for_each(|attribute| write(&attribute)),
            Some(rules) => rules.processed(attributes.collect()).iter().for_each(write),
        }
    }

    /// What its point does not have of its attributes goes with it.
    fn exemplar<'p>(
        &mut self,
        number: u32,
        exemplar: &Exemplar,
        filtered: impl Iterator<Item = &'p KeyValue>,
    ) {
        let open = proto::open(self.buf, number, Room::Medium);
        let time = exemplar.time_unix_nano;
        proto::fixed64_field(self.buf, field::exemplar::TIME, time);
        let (value, bits) = match exemplar.value {
            Number::Int(value) => (field::exemplar::INT, value as u64),
            Number::Double(value) => (field::exemplar::DOUBLE, value.to_bits()),
        };
        proto::fixed64_field(self.buf, value, bits);
        if let Some((trace_id, span_id)) = exemplar.span {
            let (span, trace) = (span_id.to_bytes(), trace_id.to_bytes());
            proto::bytes_field(self.buf, field::exemplar::SPAN_ID, &span);
            proto::bytes_field(self.buf, field::exemplar::TRACE_ID, &trace);
        }
        self.write_attributes(Owner::DataPoint, filtered);
        proto::close(self.buf, open);
    }
}

/// A signed number as protobuf's `sint32` has it.
pub(super) const fn zigzag(value: i32) -> u64 {
    ((value << 1) ^ (value >> 31)) as u32 as u64
}
