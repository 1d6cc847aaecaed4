//! The report, read. What breaks a limit is read as far as it goes: a report is a courtesy, not data.

use std::time::Duration;

use ringlight_model::{
    DecodeError, DropReason, KeyValue, LedgerSnapshot, Resource, Scope, Signal, SignalDelivery,
    ThreadAccount, ThreadKind, Value,
};

use super::{
    Cost, DROPPED, EXPORTED, FINAL, IN_FLIGHT, LedgerReport, METRIC, RECOVERED, REJECTED, ROWS_MAX,
    SCOPE, SIGNALS, SPOOLED, SUBMITTED, fields, keys, names, of, parts,
};
use crate::decode::{self, Budget, ItemError, lenient};
use crate::fields::{per_resource, per_scope, request};
use crate::wire::{Reader, Slice};

/// Characters of a thread's name that are read.
const NAME_CHARS_MAX: usize = 64;

/// The reports in an `ExportMetricsServiceRequest`; any other metric in it is passed over.
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
        start_unix_nano: 0,
        time_unix_nano: 0,
        is_final: scope
            .attributes
            .iter()
            .any(|item| item.key == FINAL && item.value == Value::Bool(true)),
        ledger: LedgerSnapshot::default(),
        threads: Vec::new(),
        ring_bytes: 0,
        cost: None,
        delivery: None,
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
    let mut name = &[][..];
    let mut reader = message.reader();
    while let Some((number, field)) = reader.next()? {
        if number == fields::METRIC_NAME {
            name = field.slice(reader.position())?.bytes;
        }
    }
    // What is not known here, as of a newer client, is a part of the report all the same, and no metric of the application's.
    let take = taker(name).unwrap_or(|_, _| {});
    let mut reader = message.reader();
    while let Some((number, field)) = reader.next()? {
        if !matches!(number, fields::METRIC_SUM | fields::METRIC_GAUGE) {
            continue;
        }
        let mut data = field.slice(reader.position())?.reader();
        while let Some((number, field)) = data.next()? {
            if number == fields::POINTS {
                let point = read_point(field.slice(data.position())?)?;
                report.points += 1;
                report.time_unix_nano = report.time_unix_nano.max(point.time_unix_nano);
                take(report, &point);
            }
        }
    }
    Ok(())
}

/// What a point of a metric tells the report.
type Take = fn(&mut LedgerReport, &Point<'_>);

fn taker(name: &[u8]) -> Option<Take> {
    Some(match std::str::from_utf8(name).ok()? {
        METRIC => ledger,
        names::NEGATIVE_DURATIONS => |report, point| {
            report.ledger.set_negative_durations(point.int);
        },
        names::UNMATCHED_EXITS => |report, point| {
            report.ledger.set_unmatched_exits(point.int);
        },
        names::THREAD_RECORDS => thread_records,
        names::RING_USAGE => |report, point| {
            if let Some(row) = row(report, point) {
                row.ring_used_bytes = point.int;
            }
        },
        names::RING_LIMIT => |report, point| report.ring_bytes = point.int,
        names::PRODUCER_COST => |report, point| {
            let total = &mut cost(report).total;
            match point.signal() {
                Some(Signal::Traces) => total.span_nano = Some(point.double),
                Some(Signal::Logs) => total.log_nano = Some(point.double),
                _ => {}
            }
        },
        names::PRODUCER_SAMPLES => |report, point| {
            let total = &mut cost(report).total;
            match point.signal() {
                Some(Signal::Traces) => total.spans_measured = point.int,
                Some(Signal::Logs) => total.logs_measured = point.int,
                _ => {}
            }
        },
        names::PRODUCER_CPU => |report, point| cost(report).total.producer_time = point.time(),
        names::COLLECTOR_CPU => |report, point| cost(report).total.collector_time = point.time(),
        names::PROCESS_CPU => |report, point| cost(report).total.process_time = point.time(),
        names::UPTIME => |report, point| cost(report).total.elapsed = point.time(),
        names::SENT => |report, point| cost(report).total.sent_bytes = point.int,
        names::REQUESTS => |report, point| {
            delivery(report, point, |delivery, point| {
                delivery.requests = point.int
            });
        },
        names::RECORDS => |report, point| {
            delivery(report, point, |delivery, point| {
                delivery.records = point.int
            });
        },
        names::ENCODED => |report, point| {
            delivery(report, point, |delivery, point| {
                delivery.encoded_bytes = point.int;
            });
        },
        names::WIRE => |report, point| {
            delivery(report, point, |delivery, point| {
                delivery.wire_bytes = point.int
            });
        },
        names::CONCURRENCY => |report, point| {
            delivery(report, point, |delivery, point| {
                delivery.concurrency = point.int
            });
        },
        names::BATCH_LIMIT => |report, point| {
            delivery(report, point, |delivery, point| {
                delivery.batch_bytes = point.int
            });
        },
        names::EXPORTED_RECOVERED => |report, point| {
            if let Some(signal) = point.signal() {
                report.ledger.account_mut(signal).exported_recovered = point.int;
            }
        },
        names::LATENCY => |report, point| {
            delivery(report, point, |delivery, point| {
                delivery.latency = Some(point.time());
            });
        },
        names::MEMORY => |report, point| {
            let memory = &mut cost(report).total.memory;
            match point.text(keys::PART) {
                parts::RINGS => memory.rings_bytes = point.int,
                parts::BUFFERS => memory.buffers_bytes = point.int,
                parts::OPEN_SPANS => memory.open_spans_bytes = point.int,
                _ => {}
            }
        },
        names::OVERHEAD => |report, point| match point.text(keys::OF) {
            of::CORE => cost(report).core_ratio = point.double,
            of::PROCESS => cost(report).process_ratio = point.double,
            _ => {}
        },
        names::BUDGET => |report, point| cost(report).total.budget_ratio = Some(point.double),
        names::SAMPLING => |report, point| cost(report).total.sampling_ratio = point.double,
        _ => return None,
    })
}

fn ledger(report: &mut LedgerReport, point: &Point<'_>) {
    report.start_unix_nano = point.start_unix_nano;
    let Some(signal) = point.signal() else { return };
    let account = report.ledger.account_mut(signal);
    match point.text(keys::OUTCOME) {
        SUBMITTED => account.submitted = point.int,
        EXPORTED => account.exported = point.int,
        REJECTED => account.rejected = point.int,
        IN_FLIGHT => account.in_flight = point.int,
        SPOOLED => account.spooled = point.int,
        RECOVERED => account.recovered = point.int,
        DROPPED => {
            if let Some(reason) = DropReason::from_name(point.text(keys::REASON)) {
                account.dropped[reason] = point.int;
            }
        }
        _ => {}
    }
}

fn thread_records(report: &mut LedgerReport, point: &Point<'_>) {
    let Some(signal) = point.signal() else { return };
    let Some(row) = row(report, point) else {
        return;
    };
    let counts = row.counts_mut(signal);
    match point.text(keys::OUTCOME) {
        SUBMITTED => counts.submitted = point.int,
        DROPPED => {
            if let Some(reason) = DropReason::from_name(point.text(keys::REASON)) {
                counts.dropped[reason] = point.int;
            }
        }
        _ => {}
    }
}

/// The row a point is about, a new one if it is the first; within the bound.
fn row<'a>(report: &'a mut LedgerReport, point: &Point<'_>) -> Option<&'a mut ThreadAccount> {
    let kind = ThreadKind::from_name(point.text(keys::KIND))?;
    let name: String = point
        .text(keys::THREAD_NAME)
        .chars()
        .take(NAME_CHARS_MAX)
        .collect();
    let id = point.attribute(keys::THREAD_ID).and_then(|id| match id {
        Value::Int(id) => u64::try_from(*id).ok(),
        _ => None,
    });
    let id = id.unwrap_or(0);
    let is_it = |row: &ThreadAccount| row.kind == kind && row.id == id && row.name == name;
    let at = match report.threads.iter().position(is_it) {
        Some(at) => at,
        None if report.threads.len() < ROWS_MAX => {
            let mut row = ThreadAccount::of_thread(name, id);
            row.kind = kind;
            report.threads.push(row);
            report.threads.len() - 1
        }
        None => return None,
    };
    report.threads.get_mut(at)
}

fn delivery(
    report: &mut LedgerReport,
    point: &Point<'_>,
    take: fn(&mut SignalDelivery, &Point<'_>),
) {
    if let Some(signal) = point.signal() {
        let delivery = report.delivery.get_or_insert_default();
        take(delivery.signal_mut(signal), point);
    }
}

fn cost(report: &mut LedgerReport) -> &mut Cost {
    report.cost.get_or_insert_default()
}

/// A data point. What it is not, an integer or a double, is zero.
#[derive(Default)]
struct Point<'a> {
    start_unix_nano: u64,
    time_unix_nano: u64,
    int: u64,
    double: f64,
    attributes: Vec<KeyValue<'a>>,
}

impl Point<'_> {
    fn attribute(&self, key: &str) -> Option<&Value<'_>> {
        let item = self.attributes.iter().find(|item| item.key == key);
        item.map(|item| &item.value)
    }

    fn text(&self, key: &str) -> &str {
        let value = self.attribute(key).and_then(Value::as_str);
        value.unwrap_or_default()
    }

    fn signal(&self) -> Option<Signal> {
        let name = self.text(keys::SIGNAL);
        SIGNALS.into_iter().find(|signal| signal.as_str() == name)
    }

    /// Seconds; none where they are no time.
    fn time(&self) -> Duration {
        Duration::try_from_secs_f64(self.double).unwrap_or_default()
    }
}

fn read_point(message: Slice<'_>) -> Result<Point<'_>, ItemError> {
    let mut budget = Budget::default();
    let mut point = Point::default();
    let mut reader = message.reader();
    while let Some((number, field)) = reader.next()? {
        let at = reader.position();
        match number {
            fields::POINT_START => point.start_unix_nano = field.fixed64(at)?,
            fields::POINT_TIME => point.time_unix_nano = field.fixed64(at)?,
            fields::POINT_INT => {
                point.int = u64::try_from(field.fixed64(at)?.cast_signed()).unwrap_or(0);
            }
            fields::POINT_DOUBLE => {
                let double = f64::from_bits(field.fixed64(at)?);
                // What is no number, or none that can be meant, is shown as nothing.
                point.double = if double.is_finite() {
                    double.max(0.0)
                } else {
                    0.0
                };
            }
            fields::POINT_ATTRIBUTES => {
                decode::attribute(&mut budget, field, at, &mut point.attributes)?;
            }
            _ => {}
        }
    }
    Ok(point)
}
