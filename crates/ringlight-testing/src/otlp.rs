//! Reading what arrived.

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint, number_data_point};

/// The value of an attribute, if it is there and has one.
///
/// # Panics
/// It is there twice.
#[must_use]
#[track_caller]
pub fn attribute(attributes: &[KeyValue], key: &str) -> Option<Value> {
    let mut found = attributes.iter().filter(|attribute| attribute.key == key);
    let attribute = found.next()?;
    assert!(found.next().is_none(), "`{key}` is there twice");
    attribute.value.clone()?.value
}

/// A text as [`attribute`] returns it.
#[must_use]
pub fn text(text: &str) -> Option<Value> {
    Some(Value::StringValue(text.to_owned()))
}

/// The text of an attribute.
///
/// # Panics
/// It is missing, there twice, or no text.
#[must_use]
#[track_caller]
pub fn text_of(attributes: &[KeyValue], key: &str) -> String {
    match attribute(attributes, key) {
        Some(Value::StringValue(text)) => text,
        other => panic!("`{key}` is {other:?}"),
    }
}

/// The message of a log record.
///
/// # Panics
/// It has none, or one that is no text.
#[must_use]
#[track_caller]
pub fn body(log: &LogRecord) -> &str {
    match log.body.as_ref().and_then(|body| body.value.as_ref()) {
        Some(Value::StringValue(text)) => text,
        other => panic!("the body is {other:?}"),
    }
}

/// The metric of this name.
///
/// # Panics
/// There is none, or another one.
#[must_use]
#[track_caller]
pub fn named(metrics: &[Metric], name: &str) -> Metric {
    let mut found = metrics.iter().filter(|metric| metric.name == name);
    let Some(metric) = found.next() else {
        panic!("there is no `{name}`");
    };
    assert!(found.next().is_none(), "`{name}` is there twice");
    metric.clone()
}

/// The points of a gauge or a sum.
///
/// # Panics
/// It is neither.
#[must_use]
#[track_caller]
pub fn points(metric: &Metric) -> Vec<NumberDataPoint> {
    match metric.data.clone() {
        Some(Data::Gauge(gauge)) => gauge.data_points,
        Some(Data::Sum(sum)) => sum.data_points,
        other => panic!("`{}` is {other:?}", metric.name),
    }
}

/// The value of a point that is a whole number.
///
/// # Panics
/// It is none.
#[must_use]
#[track_caller]
pub fn int(point: &NumberDataPoint) -> i64 {
    match point.value {
        Some(number_data_point::Value::AsInt(value)) => value,
        other => panic!("the value is {other:?}"),
    }
}
