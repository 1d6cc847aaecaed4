//! Written and read, by us and by others.

use std::time::Duration;

use ringlight_model::{
    DropReason, KeyValue, MemoryUse, Resource, Scope, SignalDelivery, ThreadKind,
};

use super::*;
use crate::encode;

fn ledger() -> LedgerSnapshot {
    let mut ledger = LedgerSnapshot::default();
    let traces = ledger.account_mut(Signal::Traces);
    traces.submitted = 100;
    traces.recovered = 10;
    traces.exported_recovered = 4;
    traces.exported = 90;
    traces.rejected = 1;
    traces.in_flight = 9;
    traces.spooled = 3;
    traces.dropped[DropReason::RingFull] = 5;
    traces.dropped[DropReason::Shutdown] = 2;
    ledger.account_mut(Signal::Logs).submitted = u64::from(u32::MAX) + 7;
    ledger.account_mut(Signal::Logs).in_flight = u64::from(u32::MAX) + 7;
    ledger.account_mut(Signal::Metrics).submitted = 12;
    ledger.account_mut(Signal::Metrics).exported = 12;
    ledger.set_negative_durations(4);
    ledger.set_unmatched_exits(6);
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

/// Three signals, each with six outcomes and the drops by reason.
const fn accounts_points_count() -> usize {
    SIGNALS.len() * (6 + DropReason::ALL.len())
}

fn by_thread() -> ThreadLedger {
    let mut main = ThreadAccount::of_thread("main".to_owned(), 1);
    main.counts_mut(Signal::Traces).submitted = 90;
    main.counts_mut(Signal::Traces).dropped[DropReason::RingFull] = 5;
    main.ring_used_bytes = 4096;
    let mut ended = ThreadAccount::of_several(ThreadKind::Ended);
    ended.counts_mut(Signal::Traces).submitted = 10;
    ended.counts_mut(Signal::Logs).submitted = u64::from(u32::MAX) + 7;
    let mut pipeline = ThreadAccount::of_several(ThreadKind::Pipeline);
    pipeline.counts_mut(Signal::Traces).dropped[DropReason::Shutdown] = 2;
    ThreadLedger {
        ledger: ledger(),
        threads: vec![main, ended, pipeline],
        ring_bytes: 524_288,
    }
}

fn cost() -> Cost {
    Cost {
        total: CostSnapshot {
            span_nano: Some(85.5),
            spans_measured: 12,
            log_nano: None,
            logs_measured: 0,
            producer_time: Duration::from_micros(8),
            collector_time: Duration::from_millis(3),
            process_time: Duration::from_secs(2),
            elapsed: Duration::from_secs(60),
            sent_bytes: 1234,
            memory: MemoryUse {
                rings_bytes: 1_048_576,
                buffers_bytes: 500,
                open_spans_bytes: 32_768,
            },
            sampling_ratio: 0.5,
            budget_ratio: Some(0.02),
        },
        core_ratio: 0.004,
        process_ratio: 0.125,
    }
}

fn delivery() -> DeliverySnapshot {
    let mut delivery = DeliverySnapshot::default();
    *delivery.signal_mut(Signal::Traces) = SignalDelivery {
        requests: 3,
        records: 1_000,
        encoded_bytes: 200_000,
        wire_bytes: 40_000,
        latency: Some(Duration::from_millis(12)),
        concurrency: 4,
        batch_bytes: 262_144,
    };
    delivery.signal_mut(Signal::Logs).concurrency = 1;
    delivery
}

fn written(
    ledger: &ThreadLedger,
    cost: Option<&Cost>,
    delivery: Option<&DeliverySnapshot>,
    is_final: bool,
) -> Vec<u8> {
    let report = Report {
        ledger,
        cost,
        delivery,
        rules: &[],
        start_unix_nano: 5,
        time_unix_nano: 10,
        is_final,
    };
    super::encode(&resource(), &report)
}

#[test]
fn threads_cost_and_delivery_are_read_as_they_were_written() {
    let (threads, cost, delivery) = (by_thread(), cost(), delivery());
    let report = read(&written(&threads, Some(&cost), Some(&delivery), false))
        .unwrap()
        .remove(0);
    assert_eq!(report.ledger, ledger());
    assert_eq!(report.threads, threads.threads);
    assert_eq!(report.ring_bytes, 524_288);
    assert_eq!(report.cost, Some(cost));
    assert_eq!(report.delivery, Some(delivery));
}

#[test]
fn rows_that_are_read_are_bounded() {
    let mut many = by_thread();
    let row = |id| ThreadAccount::of_thread("worker".to_owned(), id);
    many.threads = (1..200).map(row).collect();
    let report = read(&written(&many, None, None, false)).unwrap().remove(0);
    assert_eq!(report.threads.len(), ROWS_MAX);
    assert_eq!(report.threads[..], many.threads[..ROWS_MAX]);
}

#[test]
fn a_report_is_read_as_it_was_written() {
    let only_ledger = ThreadLedger {
        ledger: ledger(),
        ..ThreadLedger::default()
    };
    for is_final in [false, true] {
        let request = written(&only_ledger, None, None, is_final);
        let reports = read(&request).unwrap();
        assert_eq!(
            reports,
            [LedgerReport {
                service: "shop".to_owned(),
                instance: "i-1".to_owned(),
                start_unix_nano: 5,
                time_unix_nano: 10,
                is_final,
                ledger: ledger(),
                threads: Vec::new(),
                ring_bytes: 0,
                cost: None,
                delivery: None,
                // And those beside the accounts: what is recovered of each signal, and negative durations.
                points: (accounts_points_count() + SIGNALS.len() + 2) as u64,
            }]
        );
        assert!(reports[0].ledger.balances());
    }
}

#[test]
fn every_point_of_a_report_is_counted_also_of_what_is_not_read() {
    let ledger = by_thread();
    let points = |rules: &[(String, u64)]| {
        let report = Report {
            ledger: &ledger,
            cost: None,
            delivery: None,
            rules,
            start_unix_nano: 5,
            time_unix_nano: 10,
            is_final: false,
        };
        let request = super::encode(&resource(), &report);
        let reports = read(&request).unwrap();
        assert_eq!(reports[0].ledger, ledger.ledger);
        reports[0].points
    };
    let rules = [("redact".to_owned(), 3), ("drop".to_owned(), 1)];
    assert_eq!(points(&rules), points(&[]) + 2);
}

#[test]
fn metrics_are_in_a_report_where_there_are_any() {
    let points = |ledger| {
        let ledger = ThreadLedger {
            ledger,
            ..ThreadLedger::default()
        };
        let reports = read(&written(&ledger, None, Some(&delivery()), false)).unwrap();
        reports[0].points as usize
    };
    let mut without = ledger();
    *without.account_mut(Signal::Metrics) = ringlight_model::Account::default();
    // The accounts, what is recovered, and six of the delivery: no request was answered yet.
    let of_metrics = accounts_points_count() / SIGNALS.len() + 1 + 6;
    assert_eq!(points(ledger()), points(without) + of_metrics);
}

#[test]
fn a_report_is_an_ordinary_metric_to_others() {
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use opentelemetry_proto::tonic::metrics::v1::{metric, number_data_point};
    use prost::Message as _;
    let request = written(&by_thread(), Some(&cost()), Some(&delivery()), true);
    let request = ExportMetricsServiceRequest::decode(&request[..]).unwrap();
    let scope = &request.resource_metrics[0].scope_metrics[0];
    let metric = &scope.metrics[0];
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
    let named = |name: &str| {
        let mut metrics = scope.metrics.iter();
        metrics.find(|metric| metric.name == name).unwrap()
    };
    let negative = named("ringlight.ledger.negative_durations");
    let Some(metric::Data::Sum(sum)) = &negative.data else {
        panic!("{negative:?}");
    };
    assert!(sum.is_monotonic);
    let values: Vec<_> = sum.data_points.iter().map(|point| point.value).collect();
    assert_eq!(values, [Some(number_data_point::Value::AsInt(4))]);
    let records = named("ringlight.thread.records");
    let Some(metric::Data::Sum(sum)) = &records.data else {
        panic!("{records:?}");
    };
    assert!(!sum.is_monotonic);
    let keys: Vec<_> = sum.data_points[0]
        .attributes
        .iter()
        .map(|a| a.key.as_str())
        .collect();
    assert_eq!(
        keys,
        [
            "ringlight.thread.kind",
            "thread.name",
            "thread.id",
            "signal",
            "outcome"
        ]
    );
    let cost = named("ringlight.producer.cost");
    assert_eq!(cost.unit, "ns");
    let Some(metric::Data::Gauge(gauge)) = &cost.data else {
        panic!("{cost:?}");
    };
    assert_eq!(
        gauge.data_points[0].value,
        Some(number_data_point::Value::AsDouble(85.5))
    );
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
