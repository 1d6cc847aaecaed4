//! Metrics: what is stored, and what is answered.

mod distributions;
mod instances;
mod limits;
mod names;
mod numbers;
mod room;

use ringlight_model::{Limits, Signal};
use ringlight_otlp::json;

use super::{SECOND, T0, config, flush, in_head_and_blocks, ingest, open};
use crate::query::{Query, QuerySignal};
use crate::{
    Aggregation, Cancel, IngestReceipt, MetricAnswer, MetricSearch, MetricSeries, SearchError,
    Store,
};

/// A request of metrics as JSON.
pub(crate) fn request(service: &str, metrics: &str) -> Vec<u8> {
    let json = format!(
        r#"{{"resourceMetrics":[{{"resource":{{"attributes":[
        {{"key":"service.name","value":{{"stringValue":"{service}"}}}}]}},
        "scopeMetrics":[{{"scope":{{"name":"tests"}},"metrics":[{metrics}]}}]}}]}}"#
    );
    let converted = json::to_protobuf(Signal::Metrics, json.as_bytes(), &Limits::default());
    converted.unwrap().request
}

fn add(store: &Store, service: &str, metrics: &str) -> IngestReceipt {
    ingest(store, Signal::Metrics, &request(service, metrics), None).unwrap()
}

/// The JSON of a point `seconds` after [`T0`], with what else it has.
fn point(seconds: u64, rest: &str) -> String {
    let time = T0 + seconds * SECOND;
    format!(r#"{{"timeUnixNano":"{time}",{rest}}}"#)
}

/// The same with a start, too.
fn since(start: u64, seconds: u64, rest: &str) -> String {
    let start = T0 + start * SECOND;
    point(seconds, &format!(r#""startTimeUnixNano":"{start}",{rest}"#))
}

fn int(value: i64) -> String {
    format!(r#""asInt":"{value}""#)
}

fn double(value: f64) -> String {
    format!(r#""asDouble":{value}"#)
}

fn text(key: &str, value: &str) -> String {
    format!(r#""attributes":[{{"key":"{key}","value":{{"stringValue":"{value}"}}}}]"#)
}

fn metric(name: &str, kind: &str, fields: &str, points: &[String]) -> String {
    let points = points.join(",");
    format!(r#"{{"name":"{name}","unit":"1","{kind}":{{{fields}"dataPoints":[{points}]}}}}"#)
}

fn gauge(name: &str, points: &[String]) -> String {
    metric(name, "gauge", "", points)
}

const CUMULATIVE: &str = r#""aggregationTemporality":2,"#;
const DELTA: &str = r#""aggregationTemporality":1,"#;

fn counter(name: &str, temporality: &str, points: &[String]) -> String {
    let fields = format!(r#"{temporality}"isMonotonic":true,"#);
    metric(name, "sum", &fields, points)
}

/// From [`T0`] on for so many seconds, in steps of ten.
fn asking(name: &str, aggregation: Aggregation, seconds: u64) -> MetricSearch {
    MetricSearch {
        name: name.to_owned(),
        kind: None,
        unit: None,
        is_monotonic: None,
        query: Query::everything(QuerySignal::Metrics),
        aggregation: Some(aggregation),
        by: Vec::new(),
        from_unix_nano: T0,
        to_unix_nano: T0 + seconds * SECOND - 1,
        step_nano: 10 * SECOND,
        limit: 100,
        cancel: Cancel::default(),
    }
}

fn asking_by(name: &str, aggregation: Aggregation, seconds: u64, by: &[&str]) -> MetricSearch {
    MetricSearch {
        by: by.iter().map(|&key| key.to_owned()).collect(),
        ..asking(name, aggregation, seconds)
    }
}

fn filtered(search: MetricSearch, query: &str) -> MetricSearch {
    MetricSearch {
        query: Query::parse(query, QuerySignal::Metrics).unwrap(),
        ..search
    }
}

fn answer(store: &Store, search: &MetricSearch) -> MetricAnswer {
    store.search_metric(search).unwrap()
}

/// Seconds after [`T0`] and values, rounded to a millionth.
fn points(series: &MetricSeries) -> Vec<(u64, f64)> {
    let rounded = |value: f64| (value * 1e6).round() / 1e6;
    let points = series.points.iter();
    points
        .map(|&(time, value)| ((time - T0) / SECOND, rounded(value)))
        .collect()
}

/// The points of the only series of an answer.
fn values(store: &Store, search: &MetricSearch) -> Vec<(u64, f64)> {
    let answer = answer(store, search);
    let [series] = &answer.series[..] else {
        panic!("{answer:?}");
    };
    points(series)
}

/// Labels and points of all series.
fn series(store: &Store, search: &MetricSearch) -> Vec<(String, Vec<(u64, f64)>)> {
    let answer = answer(store, search);
    let labels = |series: &MetricSeries| {
        let labels = series.labels.iter();
        let labels = labels.map(|label| format!("{}={}", label.key, label.value));
        labels.collect::<Vec<_>>().join(",")
    };
    answer
        .series
        .iter()
        .map(|series| (labels(series), points(series)))
        .collect()
}
