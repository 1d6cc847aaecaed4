//! The report, written.

use ringlight_model::{
    Account, DeliverySnapshot, DropReason, KeyValue, LedgerSnapshot, Resource, Scope, Signal,
    SignalDelivery, ThreadAccount, ThreadKind, ThreadLedger,
};

use super::{
    Cost, DROPPED, EXPORTED, FINAL, IN_FLIGHT, METRIC, RECORDED, RECOVERED, REJECTED, Report,
    SCOPE, SIGNALS, SPOOLED, SUBMITTED, fields, keys, names, of, parts,
};
use crate::encode::proto::{self, Room};
use crate::encode::{self, Owner, Scalar, attribute};
use crate::fields::per_scope;

/// `AGGREGATION_TEMPORALITY_CUMULATIVE`.
const CUMULATIVE: u64 = 2;

/// The `ExportMetricsServiceRequest` of a report.
///
/// `resource` should carry `service.name` and `service.instance.id`.
#[must_use]
pub fn encode(resource: &Resource<'_>, report: &Report<'_>) -> Vec<u8> {
    let mut buf = Vec::with_capacity(4096);
    let outer = encode::open_resource(&mut buf, resource);
    let scope = Scope {
        name: SCOPE.into(),
        attributes: vec![KeyValue::new(FINAL, report.is_final)],
        ..Scope::default()
    };
    let inner = encode::open_scope(&mut buf, &scope);
    let mut metrics = Metrics {
        buf: &mut buf,
        start_unix_nano: report.start_unix_nano,
        time_unix_nano: report.time_unix_nano,
    };
    ledger(&mut metrics, report.ledger);
    exported_recovered(&mut metrics, report.ledger);
    negative_durations(&mut metrics, report.ledger);
    unmatched_exits(&mut metrics, report.ledger);
    threads(&mut metrics, report.ledger);
    changes(&mut metrics, report.rules);
    if let Some(cost) = report.cost {
        self::cost(&mut metrics, cost);
    }
    if let Some(delivery) = report.delivery {
        let signals: Vec<_> = signals(&report.ledger.ledger).collect();
        self::delivery(&mut metrics, delivery, &signals);
    }
    proto::close(&mut buf, inner);
    proto::close(&mut buf, outer);
    buf
}

/// Those that threads record, and what else there is anything of.
fn signals(ledger: &LedgerSnapshot) -> impl Iterator<Item = Signal> {
    let is_there = |signal: &Signal| {
        let account = ledger.account(*signal);
        RECORDED.contains(signal) || account.submitted + account.recovered > 0
    };
    SIGNALS.into_iter().filter(is_there)
}

fn ledger(metrics: &mut Metrics<'_>, ledger: &ThreadLedger) {
    let about = About {
        name: METRIC,
        description: "What became of the records the application submitted.",
        unit: "{record}",
        shape: Shape::Sum,
    };
    metrics.metric(about, |points| {
        for signal in signals(&ledger.ledger) {
            for_each_outcome(ledger.ledger.account(signal), |outcome, reason, value| {
                let reason = reason.map(|reason| (keys::REASON, Scalar::Str(reason.as_str())));
                let attributes = [of_signal(signal), (keys::OUTCOME, Scalar::Str(outcome))];
                points.int(value, attributes.into_iter().chain(reason));
            });
        }
    });
}

fn exported_recovered(metrics: &mut Metrics<'_>, ledger: &ThreadLedger) {
    let of = |signal| ledger.ledger.account(signal).exported_recovered;
    if SIGNALS.iter().all(|signal| of(*signal) == 0) {
        return;
    }
    let text = "Of the exported records, those of an earlier process, which left them on disk.";
    let name = names::EXPORTED_RECOVERED;
    metrics.metric(about(name, text, "{record}", Shape::Counter), |points| {
        for signal in signals(&ledger.ledger) {
            points.int(of(signal), [of_signal(signal)]);
        }
    });
}

fn negative_durations(metrics: &mut Metrics<'_>, ledger: &ThreadLedger) {
    let about = About {
        name: names::NEGATIVE_DURATIONS,
        description: "Spans that ended before they began, sent with a duration of zero.",
        unit: "{span}",
        shape: Shape::Counter,
    };
    metrics.metric(about, |points| {
        points.int(ledger.ledger.negative_durations(), [])
    });
}

fn unmatched_exits(metrics: &mut Metrics<'_>, ledger: &ThreadLedger) {
    let exits = ledger.ledger.unmatched_exits();
    if exits == 0 {
        return;
    }
    let text = "Spans that were left by a thread that had not entered them.";
    let about = about(names::UNMATCHED_EXITS, text, "{exit}", Shape::Counter);
    metrics.metric(about, |points| points.int(exits, []));
}

fn for_each_outcome(
    account: &Account,
    mut show: impl FnMut(&'static str, Option<DropReason>, u64),
) {
    show(SUBMITTED, None, account.submitted);
    show(EXPORTED, None, account.exported);
    show(REJECTED, None, account.rejected);
    for reason in DropReason::ALL {
        show(DROPPED, Some(reason), account.dropped[reason]);
    }
    show(IN_FLIGHT, None, account.in_flight);
    show(SPOOLED, None, account.spooled);
    show(RECOVERED, None, account.recovered);
}

fn threads(metrics: &mut Metrics<'_>, ledger: &ThreadLedger) {
    if ledger.threads.is_empty() {
        return;
    }
    let about = About {
        name: names::THREAD_RECORDS,
        description: "What threads submitted, and what of it was dropped.",
        unit: "{record}",
        // A row shrinks when its thread gives a ring back, or gets a row of its own.
        shape: Shape::Sum,
    };
    metrics.metric(about, |points| {
        for row in &ledger.threads {
            for signal in RECORDED {
                let counts = row.counts(signal);
                let mut point = |outcome, reason: Option<DropReason>, value| {
                    let reason = reason.map(|reason| (keys::REASON, Scalar::Str(reason.as_str())));
                    let attributes = [of_signal(signal), (keys::OUTCOME, Scalar::Str(outcome))];
                    points.int(value, whose(row).chain(attributes).chain(reason));
                };
                if counts.submitted > 0 {
                    point(SUBMITTED, None, counts.submitted);
                }
                for reason in DropReason::ALL {
                    let dropped = counts.dropped[reason];
                    if dropped > 0 {
                        point(DROPPED, Some(reason), dropped);
                    }
                }
            }
        }
    });
    let about = About {
        name: names::RING_USAGE,
        description: "Bytes that wait in the rings of threads.",
        unit: "By",
        shape: Shape::Sum,
    };
    metrics.metric(about, |points| {
        for row in &ledger.threads {
            if row.kind != ThreadKind::Pipeline {
                points.int(row.ring_used_bytes, whose(row));
            }
        }
    });
    let about = About {
        name: names::RING_LIMIT,
        description: "Bytes that a ring holds.",
        unit: "By",
        shape: Shape::Sum,
    };
    metrics.metric(about, |points| points.int(ledger.ring_bytes, []));
}

/// The attributes that tell the rows of threads apart.
fn whose(row: &ThreadAccount) -> impl Iterator<Item = (&'static str, Scalar<'_>)> {
    let thread = (row.kind == ThreadKind::Thread).then(|| {
        [
            (keys::THREAD_NAME, Scalar::Str(&row.name)),
            (keys::THREAD_ID, Scalar::Int(row.id.cast_signed())),
        ]
    });
    let kind = (keys::KIND, Scalar::Str(row.kind.as_str()));
    std::iter::once(kind).chain(thread.into_iter().flatten())
}

fn changes(metrics: &mut Metrics<'_>, rules: &[(String, u64)]) {
    if rules.is_empty() {
        return;
    }
    let about = About {
        name: names::CHANGES,
        description: "What rules replaced, renamed or left out before it left the process.",
        unit: "{change}",
        shape: Shape::Counter,
    };
    metrics.metric(about, |points| {
        for (rule, count) in rules {
            points.int(*count, [(keys::RULE, Scalar::Str(rule))]);
        }
    });
}

fn cost(metrics: &mut Metrics<'_>, cost: &Cost) {
    let total = &cost.total;
    let by_signal = [
        (RECORDED[0], total.span_nano, total.spans_measured),
        (RECORDED[1], total.log_nano, total.logs_measured),
    ];
    let text = "Time that recording one record takes on a thread of the application.";
    metrics.metric(
        about(names::PRODUCER_COST, text, "ns", Shape::Gauge),
        |points| {
            for (of, nano, _) in by_signal {
                nano.into_iter()
                    .for_each(|nano| points.double(nano, [of_signal(of)]));
            }
        },
    );
    let text = "Records whose recording was measured.";
    let samples = about(names::PRODUCER_SAMPLES, text, "{record}", Shape::Counter);
    metrics.metric(samples, |points| {
        by_signal
            .into_iter()
            .for_each(|(of, _, count)| points.int(count, [of_signal(of)]));
    });
    // An estimate by the cost of late: it shrinks when that does.
    let text = "Time that recording took on the application's threads.";
    metrics.metric(
        about(names::PRODUCER_CPU, text, "s", Shape::Sum),
        |points| points.double(total.producer_time.as_secs_f64(), []),
    );
    for (name, text, time) in [
        (
            names::COLLECTOR_CPU,
            "CPU time of the collector's thread.",
            total.collector_time,
        ),
        (
            names::PROCESS_CPU,
            "CPU time of the process.",
            total.process_time,
        ),
    ] {
        metrics.metric(about(name, text, "s", Shape::Counter), |points| {
            points.double(time.as_secs_f64(), []);
        });
    }
    let text = "Time since telemetry started.";
    metrics.metric(about(names::UPTIME, text, "s", Shape::Gauge), |points| {
        points.double(total.elapsed.as_secs_f64(), []);
    });
    let text = "Bytes of the bodies of requests, before compression.";
    metrics.metric(about(names::SENT, text, "By", Shape::Counter), |points| {
        points.int(total.sent_bytes, []);
    });
    let text = "Memory that telemetry holds.";
    metrics.metric(about(names::MEMORY, text, "By", Shape::Sum), |points| {
        for (part, bytes) in [
            (parts::RINGS, total.memory.rings_bytes),
            (parts::BUFFERS, total.memory.buffers_bytes),
            (parts::OPEN_SPANS, total.memory.open_spans_bytes),
        ] {
            points.int(bytes, [(keys::PART, Scalar::Str(part))]);
        }
    });
    let text = "The part of CPU time that observing takes: of one core's, or of the process's.";
    metrics.metric(about(names::OVERHEAD, text, "1", Shape::Gauge), |points| {
        points.double(cost.core_ratio, [(keys::OF, Scalar::Str(of::CORE))]);
        points.double(cost.process_ratio, [(keys::OF, Scalar::Str(of::PROCESS))]);
    });
    if let Some(budget) = total.budget_ratio {
        let text = "The part of the process's CPU time that observing may take.";
        metrics.metric(about(names::BUDGET, text, "1", Shape::Gauge), |points| {
            points.double(budget, []);
        });
    }
    let text = "The part of the traces that begin here that the budget lets through.";
    metrics.metric(about(names::SAMPLING, text, "1", Shape::Gauge), |points| {
        points.double(total.sampling_ratio, []);
    });
}

fn delivery(metrics: &mut Metrics<'_>, delivery: &DeliverySnapshot, signals: &[Signal]) {
    let signals = || (signals.iter()).map(|signal| (*signal, delivery.signal(*signal)));
    let mut number = |about: About, of: fn(&SignalDelivery) -> u64| {
        metrics.metric(about, |points| {
            for (name, delivery) in signals() {
                points.int(of(delivery), [of_signal(name)]);
            }
        });
    };
    let counter = Shape::Counter;
    let text = "Requests that were answered with success.";
    number(about(names::REQUESTS, text, "{request}", counter), |d| {
        d.requests
    });
    let text = "Records in requests that were answered with success.";
    number(about(names::RECORDS, text, "{record}", counter), |d| {
        d.records
    });
    let text =
        "Bytes of the bodies of requests that were answered with success, before compression.";
    number(about(names::ENCODED, text, "By", counter), |d| {
        d.encoded_bytes
    });
    let text =
        "Bytes of the bodies of requests that were answered with success, as they were sent.";
    number(about(names::WIRE, text, "By", counter), |d| d.wire_bytes);
    let text = "Requests that may be under way at a time.";
    let concurrency = about(names::CONCURRENCY, text, "{request}", Shape::Gauge);
    number(concurrency, |d| d.concurrency);
    let text = "Bytes that a batch may have, before compression.";
    number(about(names::BATCH_LIMIT, text, "By", Shape::Gauge), |d| {
        d.batch_bytes
    });
    let text = "Time until a request is answered, smoothed.";
    metrics.metric(about(names::LATENCY, text, "s", Shape::Gauge), |points| {
        for (name, delivery) in signals() {
            if let Some(latency) = delivery.latency {
                points.double(latency.as_secs_f64(), [of_signal(name)]);
            }
        }
    });
}

/// What a metric says about itself.
#[derive(Clone, Copy)]
struct About {
    name: &'static str,
    description: &'static str,
    unit: &'static str,
    shape: Shape,
}

const fn about(
    name: &'static str,
    description: &'static str,
    unit: &'static str,
    shape: Shape,
) -> About {
    About {
        name,
        description,
        unit,
        shape,
    }
}

fn of_signal(signal: Signal) -> (&'static str, Scalar<'static>) {
    (keys::SIGNAL, Scalar::Str(signal.as_str()))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Gauge,
    /// A cumulative sum that may shrink.
    Sum,
    /// One that does not.
    Counter,
}

struct Metrics<'a> {
    buf: &'a mut Vec<u8>,
    start_unix_nano: u64,
    time_unix_nano: u64,
}

impl Metrics<'_> {
    fn metric(&mut self, about: About, write_points: impl FnOnce(&mut Self)) {
        let metric = proto::open(self.buf, per_scope::ITEMS, Room::Medium);
        for (field, text) in [
            (fields::METRIC_NAME, about.name),
            (fields::METRIC_DESCRIPTION, about.description),
            (fields::METRIC_UNIT, about.unit),
        ] {
            proto::bytes_field(self.buf, field, text.as_bytes());
        }
        let field = match about.shape {
            Shape::Gauge => fields::METRIC_GAUGE,
            Shape::Sum | Shape::Counter => fields::METRIC_SUM,
        };
        let data = proto::open(self.buf, field, Room::Medium);
        if about.shape != Shape::Gauge {
            proto::varint_field(self.buf, fields::SUM_TEMPORALITY, CUMULATIVE);
        }
        if about.shape == Shape::Counter {
            proto::varint_field(self.buf, fields::SUM_IS_MONOTONIC, 1);
        }
        write_points(self);
        proto::close(self.buf, data);
        proto::close(self.buf, metric);
    }

    fn int<'a>(
        &mut self,
        value: u64,
        attributes: impl IntoIterator<Item = (&'static str, Scalar<'a>)>,
    ) {
        self.point(fields::POINT_INT, value, attributes);
    }

    fn double<'a>(
        &mut self,
        value: f64,
        attributes: impl IntoIterator<Item = (&'static str, Scalar<'a>)>,
    ) {
        self.point(fields::POINT_DOUBLE, value.to_bits(), attributes);
    }

    fn point<'a>(
        &mut self,
        field: u32,
        bits: u64,
        attributes: impl IntoIterator<Item = (&'static str, Scalar<'a>)>,
    ) {
        let point = proto::open(self.buf, fields::POINTS, Room::Medium);
        proto::fixed64_field(self.buf, fields::POINT_START, self.start_unix_nano);
        proto::fixed64_field(self.buf, fields::POINT_TIME, self.time_unix_nano);
        proto::fixed64_field(self.buf, field, bits);
        for (key, value) in attributes {
            attribute(self.buf, Owner::DataPoint, key, value);
        }
        proto::close(self.buf, point);
    }
}
