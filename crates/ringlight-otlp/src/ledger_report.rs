//! A client's ledger on its way to a backend, as an OTLP metrics request.
//!
//! The metric `ringlight.ledger.records`, under the scope `ringlight`: a cumulative sum that is not
//! monotonic (what is in flight shrinks), one integer data point for each signal and outcome, with
//! the attributes `signal`, `outcome` and, for drops, `reason`. Beside it
//! `ringlight.ledger.negative_durations`, a monotonic sum of one data point. The scope attribute
//! `ringlight.ledger.final` is true on the last report of a process.
//!
//! Any OTLP backend takes it as an ordinary metric; ours compares it with what it stored.

use ringlight_model::{
    Account, DecodeError, DropReason, KeyValue, LedgerSnapshot, Resource, Scope, Signal, Value,
};

use crate::decode::{self, Budget, ItemError, lenient};
use crate::encode::proto::{self, Room};
use crate::encode::{self, Owner, Scalar, attribute};
use crate::fields::{per_resource, per_scope, request};
use crate::wire::{Reader, Slice};

/// Name of the scope.
pub const SCOPE: &str = "ringlight";
/// Name of the metric with the accounts.
pub const METRIC: &str = "ringlight.ledger.records";
/// Name of the metric that counts spans which ended before they began.
pub const NEGATIVE_DURATIONS: &str = "ringlight.ledger.negative_durations";
/// Scope attribute that is true on the last report of a process.
pub const FINAL: &str = "ringlight.ledger.final";

const SUBMITTED: &str = "submitted";
const EXPORTED: &str = "exported";
const REJECTED: &str = "rejected";
const DROPPED: &str = "dropped";
const IN_FLIGHT: &str = "in_flight";
const SPOOLED: &str = "spooled";

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`.
const CUMULATIVE: u64 = 2;

/// Field numbers of `Metric`, `Sum` and `NumberDataPoint`.
mod fields {
    pub(super) const METRIC_NAME: u32 = 1;
    pub(super) const METRIC_DESCRIPTION: u32 = 2;
    pub(super) const METRIC_UNIT: u32 = 3;
    pub(super) const METRIC_SUM: u32 = 7;
    pub(super) const SUM_POINTS: u32 = 1;
    pub(super) const SUM_TEMPORALITY: u32 = 2;
    pub(super) const SUM_IS_MONOTONIC: u32 = 3;
    pub(super) const POINT_START: u32 = 2;
    pub(super) const POINT_TIME: u32 = 3;
    pub(super) const POINT_INT: u32 = 6;
    pub(super) const POINT_ATTRIBUTES: u32 = 7;
}

/// One client's ledger as a backend received it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerReport {
    /// `service.name` of the client.
    pub service: String,
    /// `service.instance.id` of the client, empty where it sent none.
    pub instance: String,
    /// When the client took the snapshot, Unix nanoseconds.
    pub time_unix_nano: u64,
    /// Whether this is the client's last report.
    pub is_final: bool,
    /// The accounts of traces and logs, and what is counted beside them.
    pub ledger: LedgerSnapshot,
    /// How many data points of the request the report took.
    pub points: u64,
}

/// The signals a ledger is reported for.
const SIGNALS: [Signal; 2] = [Signal::Traces, Signal::Logs];

/// The `ExportMetricsServiceRequest` that reports `ledger`.
///
/// `resource` should carry `service.name` and `service.instance.id`; `start_unix_nano` is when the
/// client began to count.
#[must_use]
pub fn encode(
    resource: &Resource<'_>,
    ledger: &LedgerSnapshot,
    start_unix_nano: u64,
    time_unix_nano: u64,
    is_final: bool,
) -> Vec<u8> {
    let mut buf = Vec::with_capacity(2048);
    let outer = encode::open_resource(&mut buf, resource);
    let scope = Scope {
        name: SCOPE.into(),
        attributes: vec![KeyValue::new(FINAL, is_final)],
        ..Scope::default()
    };
    let inner = encode::open_scope(&mut buf, &scope);
    let times = (start_unix_nano, time_unix_nano);
    let what = b"What became of the records the application submitted.";
    sum(&mut buf, METRIC, what, b"{record}", |buf| {
        for signal in SIGNALS {
            for_each_outcome(ledger.account(signal), |outcome, reason, value| {
                point(buf, times, value, |buf| {
                    let mut text = |key, value| {
                        attribute(buf, Owner::DataPoint, key, Scalar::Str(value));
                    };
                    text("signal", signal.as_str());
                    text("outcome", outcome);
                    if let Some(reason) = reason {
                        text("reason", reason.as_str());
                    }
                });
            });
        }
    });
    let what = b"Spans that ended before they began, sent with a duration of zero.";
    sum(&mut buf, NEGATIVE_DURATIONS, what, b"{span}", |buf| {
        proto::varint_field(buf, fields::SUM_IS_MONOTONIC, 1);
        point(buf, times, ledger.negative_durations(), |_| ());
    });
    proto::close(&mut buf, inner);
    proto::close(&mut buf, outer);
    buf
}

/// A metric that is a cumulative sum.
fn sum(
    buf: &mut Vec<u8>,
    name: &str,
    description: &[u8],
    unit: &[u8],
    points: impl FnOnce(&mut Vec<u8>),
) {
    let metric = proto::open(buf, per_scope::ITEMS, Room::Medium);
    proto::bytes_field(buf, fields::METRIC_NAME, name.as_bytes());
    proto::bytes_field(buf, fields::METRIC_DESCRIPTION, description);
    proto::bytes_field(buf, fields::METRIC_UNIT, unit);
    let sum = proto::open(buf, fields::METRIC_SUM, Room::Medium);
    proto::varint_field(buf, fields::SUM_TEMPORALITY, CUMULATIVE);
    points(buf);
    proto::close(buf, sum);
    proto::close(buf, metric);
}

/// A data point: when counting began and when it was read, what was counted, its attributes.
fn point(
    buf: &mut Vec<u8>,
    (start_unix_nano, time_unix_nano): (u64, u64),
    value: u64,
    attributes: impl FnOnce(&mut Vec<u8>),
) {
    let point = proto::open(buf, fields::SUM_POINTS, Room::Small);
    proto::fixed64_field(buf, fields::POINT_START, start_unix_nano);
    proto::fixed64_field(buf, fields::POINT_TIME, time_unix_nano);
    proto::fixed64_field(buf, fields::POINT_INT, value);
    attributes(buf);
    proto::close(buf, point);
}

fn for_each_outcome(
    account: &Account,
    mut show: impl FnMut(&'static str, Option<DropReason>, u64),
) {
    show(SUBMITTED, None, account.submitted);
    show(EXPORTED, None, account.exported);
    show(REJECTED, None, account.rejected);
    for reason in DropReason::ALL {
        show(DROPPED, Some(reason), account.dropped[reason as usize]);
    }
    show(IN_FLIGHT, None, account.in_flight);
    show(SPOOLED, None, account.spooled);
}

/// The ledger reports in an `ExportMetricsServiceRequest`; any other metric in it is passed over.
///
/// # Errors
/// When the request does not decode.
pub fn read(request: &[u8]) -> Result<Vec<LedgerReport>, DecodeError> {
    let mut reports = Vec::new();
    let mut reader = Reader::new(request);
    while let Some((number, field)) = reader.next()? {
        if number == request::RESOURCES {
            read_resource(field.slice(reader.position())?, &mut reports)?;
        }
    }
    Ok(reports)
}

fn read_resource(message: Slice<'_>, reports: &mut Vec<LedgerReport>) -> Result<(), DecodeError> {
    let mut resource = Resource::default();
    let mut reader = message.reader();
    while let Some((number, field)) = reader.next()? {
        if number == per_resource::RESOURCE {
            let slice = field.slice(reader.position())?;
            lenient(decode::resource(
                &mut Budget::default(),
                slice,
                &mut resource,
            ))?;
        }
    }
    let mut reader = message.reader();
    while let Some((number, field)) = reader.next()? {
        if number == per_resource::SCOPES {
            let slice = field.slice(reader.position())?;
            reports.extend(read_scope(slice, &resource)?);
        }
    }
    Ok(())
}

fn read_scope(
    message: Slice<'_>,
    resource: &Resource<'_>,
) -> Result<Option<LedgerReport>, DecodeError> {
    let mut scope = Scope::default();
    let mut reader = message.reader();
    while let Some((number, field)) = reader.next()? {
        if number == per_scope::SCOPE {
            let slice = field.slice(reader.position())?;
            lenient(decode::scope(&mut Budget::default(), slice, &mut scope))?;
        }
    }
    if scope.name != SCOPE {
        return Ok(None);
    }
    let mut report = LedgerReport {
        service: resource.service_name().to_owned(),
        instance: resource
            .text("service.instance.id")
            .unwrap_or_default()
            .to_owned(),
        time_unix_nano: 0,
        is_final: scope
            .attributes
            .iter()
            .any(|item| item.key == FINAL && item.value == Value::Bool(true)),
        ledger: LedgerSnapshot::default(),
        points: 0,
    };
    let mut reader = message.reader();
    while let Some((number, field)) = reader.next()? {
        if number == per_scope::ITEMS {
            lenient(read_metric(field.slice(reader.position())?, &mut report))?;
        }
    }
    Ok((report.points > 0).then_some(report))
}

fn read_metric(message: Slice<'_>, report: &mut LedgerReport) -> Result<(), ItemError> {
    let mut name: &[u8] = &[];
    let mut reader = message.reader();
    while let Some((number, field)) = reader.next()? {
        if number == fields::METRIC_NAME {
            name = field.slice(reader.position())?.bytes;
        }
    }
    let is_ledger = name == METRIC.as_bytes();
    if !is_ledger && name != NEGATIVE_DURATIONS.as_bytes() {
        return Ok(());
    }
    let mut reader = message.reader();
    while let Some((number, field)) = reader.next()? {
        if number != fields::METRIC_SUM {
            continue;
        }
        let mut sum = field.slice(reader.position())?.reader();
        while let Some((number, field)) = sum.next()? {
            if number == fields::SUM_POINTS {
                read_point(field.slice(sum.position())?, is_ledger, report)?;
            }
        }
    }
    Ok(())
}

fn read_point(
    message: Slice<'_>,
    is_ledger: bool,
    report: &mut LedgerReport,
) -> Result<(), ItemError> {
    let mut budget = Budget::default();
    let mut attributes = Vec::new();
    let mut value = 0;
    let mut reader = message.reader();
    while let Some((number, field)) = reader.next()? {
        let at = reader.position();
        match number {
            fields::POINT_TIME => {
                report.time_unix_nano = report.time_unix_nano.max(field.fixed64(at)?);
            }
            fields::POINT_INT => value = i64::max(0, field.fixed64(at)? as i64) as u64,
            fields::POINT_ATTRIBUTES => {
                decode::attribute(&mut budget, field, at, &mut attributes)?;
            }
            _ => {}
        }
    }
    report.points += 1;
    if !is_ledger {
        report.ledger.set_negative_durations(value);
        return Ok(());
    }
    let text = |key: &str| {
        let item = attributes.iter().find(|item| item.key == key);
        item.and_then(|item| item.value.as_str())
            .unwrap_or_default()
    };
    let Some(signal) = SIGNALS
        .into_iter()
        .find(|signal| signal.as_str() == text("signal"))
    else {
        return Ok(());
    };
    let account = report.ledger.account_mut(signal);
    match text("outcome") {
        SUBMITTED => account.submitted = value,
        EXPORTED => account.exported = value,
        REJECTED => account.rejected = value,
        IN_FLIGHT => account.in_flight = value,
        SPOOLED => account.spooled = value,
        DROPPED => {
            if let Some(reason) = DropReason::from_name(text("reason")) {
                account.dropped[reason as usize] = value;
            }
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger() -> LedgerSnapshot {
        let mut ledger = LedgerSnapshot::default();
        let traces = ledger.account_mut(Signal::Traces);
        traces.submitted = 100;
        traces.exported = 80;
        traces.rejected = 1;
        traces.in_flight = 9;
        traces.spooled = 3;
        traces.dropped[DropReason::RingFull as usize] = 5;
        traces.dropped[DropReason::Shutdown as usize] = 2;
        ledger.account_mut(Signal::Logs).submitted = u64::from(u32::MAX) + 7;
        ledger.account_mut(Signal::Logs).in_flight = u64::from(u32::MAX) + 7;
        ledger.set_negative_durations(4);
        ledger
    }

    fn resource() -> Resource<'static> {
        Resource {
            attributes: vec![
                KeyValue::new("service.name", "shop"),
                KeyValue::new("service.instance.id", "i-1"),
            ],
            ..Resource::default()
        }
    }

    /// Two signals, each with five outcomes and the drops by reason.
    const fn accounts_points_count() -> usize {
        SIGNALS.len() * (5 + DropReason::ALL.len())
    }

    #[test]
    fn a_report_is_read_as_it_was_written() {
        for is_final in [false, true] {
            let request = encode(&resource(), &ledger(), 5, 10, is_final);
            let reports = read(&request).unwrap();
            assert_eq!(
                reports,
                [LedgerReport {
                    service: "shop".to_owned(),
                    instance: "i-1".to_owned(),
                    time_unix_nano: 10,
                    is_final,
                    ledger: ledger(),
                    points: accounts_points_count() as u64 + 1,
                }]
            );
            assert!(reports[0].ledger.balances());
        }
    }

    #[test]
    fn a_report_is_an_ordinary_metric_to_others() {
        use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
        use opentelemetry_proto::tonic::metrics::v1::{metric, number_data_point};
        use prost::Message as _;
        let request = encode(&resource(), &ledger(), 5, 10, true);
        let request = ExportMetricsServiceRequest::decode(&request[..]).unwrap();
        let scope = &request.resource_metrics[0].scope_metrics[0];
        let [metric, negative] = &scope.metrics[..] else {
            panic!("{:?}", scope.metrics);
        };
        assert_eq!(metric.name, METRIC);
        let Some(metric::Data::Sum(sum)) = &metric.data else {
            panic!("{metric:?}");
        };
        assert!(!sum.is_monotonic);
        assert_eq!(sum.aggregation_temporality, 2);
        assert_eq!(sum.data_points.len(), accounts_points_count());
        assert_eq!(
            sum.data_points[0].value,
            Some(number_data_point::Value::AsInt(100))
        );
        assert_eq!(negative.name, NEGATIVE_DURATIONS);
        let Some(metric::Data::Sum(sum)) = &negative.data else {
            panic!("{negative:?}");
        };
        assert!(sum.is_monotonic);
        assert_eq!(sum.aggregation_temporality, 2);
        let values: Vec<_> = sum.data_points.iter().map(|point| point.value).collect();
        assert_eq!(values, [Some(number_data_point::Value::AsInt(4))]);
    }

    #[test]
    fn other_metrics_are_no_reports() {
        let mut request = Vec::new();
        let outer = encode::open_resource(&mut request, &resource());
        let inner = encode::open_scope(
            &mut request,
            &Scope {
                name: "shop".into(),
                ..Scope::default()
            },
        );
        encode::close(&mut request, inner);
        encode::close(&mut request, outer);
        assert_eq!(read(&request), Ok(vec![]));
        assert_eq!(read(&[]), Ok(vec![]));
        assert!(read(&[0x0a, 5]).is_err());
    }
}
