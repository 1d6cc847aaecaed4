//! The application's side of a process: it records, or receives what others recorded, and ends.

use std::collections::HashSet;

use ringlight_model::{LedgerSnapshot, LogRecord, Resource, Scope, Span};
use ringlight_otlp::encode;
use ringlight_otlp::encode::proto::{self, Room};
use ringlight_testing::DiskOperation;
use tokio::sync::oneshot;

use super::backend::Number;
use super::*;
use crate::relay::Relay;

/// What a process gives its records to.
pub(super) enum Intake {
    Pipeline {
        sender: RingSender,
        control: Arc<Control>,
        accounts: Arc<Accounts>,
        requests: RequestSender,
    },
    Relay(Relay),
}

impl Intake {
    /// The books for the backend with this index.
    pub(super) fn ledger(&self, index: usize) -> LedgerSnapshot {
        match self {
            Self::Pipeline { accounts, .. } => accounts.snapshot(index),
            Self::Relay(relay) => relay.ledger(),
        }
    }
}

pub(super) struct Life {
    pub(super) intake: Intake,
    /// Recorded, and not acknowledged.
    pub(super) open: HashSet<Number>,
}

impl Life {
    pub(super) async fn script(&mut self, world: &mut World, plan: &Plan) {
        let end = Instant::now() + plan.lasts;
        let mut producer = match &self.intake {
            Intake::Pipeline { sender, .. } => Some(sender.register().unwrap()),
            Intake::Relay(_) => None,
        };
        while Instant::now() < end {
            let burst = if plan.is_last { 0 } else { world.rng.u64(..60) };
            let numbers: Vec<_> = (0..burst).map(|_| self.next(world)).collect();
            match (&self.intake, &mut producer) {
                (Intake::Relay(relay), _) => receive(relay, world, &numbers),
                (Intake::Pipeline { requests, .. }, Some(producer)) => {
                    let (metrics, records): (Vec<_>, Vec<_>) =
                        (numbers.into_iter()).partition(|(signal, _)| *signal == Signal::Metrics);
                    records
                        .into_iter()
                        .for_each(|number| record(producer, number));
                    if !metrics.is_empty() {
                        requests.send_metrics(request_of(&metrics));
                    }
                }
                _ => {}
            }
            if plan.disk_fails && world.rng.u8(..6) == 0 {
                let operations = [
                    DiskOperation::Write,
                    DiskOperation::Sync,
                    DiskOperation::Create,
                    DiskOperation::Rename,
                    DiskOperation::Remove,
                ];
                let which = operations[world.rng.usize(..operations.len())];
                world.disk.fail(which, std::io::ErrorKind::StorageFull);
            } else if plan.disk_fails && world.rng.bool() {
                world.disk.heal();
            }
            if world.rng.u8(..5) == 0 {
                self.flush(world).await;
            }
            tokio::time::sleep(Duration::from_millis(world.rng.u64(1..3_000))).await;
        }
        if plan.is_killed {
            world.disk.die();
            return;
        }
        match &self.intake {
            Intake::Pipeline {
                sender, control, ..
            } => {
                control.send(Command::Shutdown(plan.timeout));
                sender.close();
            }
            Intake::Relay(relay) => relay.end(plan.timeout),
        }
    }

    fn next(&mut self, world: &mut World) -> Number {
        let signal = match world.rng.u8(..6) {
            0 | 1 => Signal::Logs,
            2 => Signal::Metrics,
            _ => Signal::Traces,
        };
        let number = (signal, world.recorded.len() as u64 + 1);
        world.recorded.insert(number);
        self.open.insert(number);
        number
    }

    async fn flush(&mut self, world: &mut World) {
        let Intake::Pipeline {
            sender, control, ..
        } = &self.intake
        else {
            return;
        };
        let (answer, answered) = oneshot::channel();
        control.send(Command::Flush(Answer::Task(answer)));
        sender.wake();
        let limit = Duration::from_millis(world.rng.u64(1..20_000));
        if let Ok(Ok(())) = tokio::time::timeout(limit, answered).await {
            world.acknowledged.extend(self.open.drain());
        }
    }
}

fn record(producer: &mut RingProducer, (signal, number): Number) {
    let callsite = CallsiteId::new(0);
    let bytes = match signal {
        Signal::Logs => bytes_of(LogHeader::new(callsite, Severity::WARN, number).to_words()),
        _ => bytes_of(SpanHeader::new(callsite, TraceId::new(1), SpanId::new(number)).to_words()),
    };
    producer.add(Counted::Submitted.index(signal), 1);
    if producer.push(&bytes).is_err() {
        producer.add(Counted::RingFull.index(signal), 1);
    }
}

/// The records as the requests of others, of a few each.
fn receive(relay: &Relay, world: &mut World, numbers: &[Number]) {
    let (resource, scope) = (Resource::default(), Scope::default());
    let mut left = numbers;
    while !left.is_empty() {
        let (now, later) = left.split_at(world.rng.usize(1..=left.len()));
        left = later;
        let of = |signal| now.iter().filter(move |number| number.0 == signal);
        let spans = of(Signal::Traces).map(|(_, number)| Span {
            trace_id: TraceId::new(1),
            span_id: SpanId::new(*number),
            ..Span::default()
        });
        let logs = of(Signal::Logs).map(|(_, number)| LogRecord {
            time_unix_nano: *number,
            ..LogRecord::default()
        });
        let (spans, logs): (Vec<_>, Vec<_>) = (spans.collect(), logs.collect());
        relay.pass_on(Signal::Traces, &encode::request(&resource, &scope, &spans));
        relay.pass_on(Signal::Logs, &encode::request(&resource, &scope, &logs));
        let metrics: Vec<_> = of(Signal::Metrics).copied().collect();
        if !metrics.is_empty() {
            relay.pass_on(Signal::Metrics, &request_of(&metrics));
        }
    }
}

/// An `ExportMetricsServiceRequest` of data points, a few in each metric, that have their numbers in a field of strings.
fn request_of(points: &[Number]) -> Vec<u8> {
    let mut request = Vec::new();
    let resource = proto::open(&mut request, 1, Room::Large);
    let scope = proto::open(&mut request, 2, Room::Large);
    for points in points.chunks(7) {
        let metric = proto::open(&mut request, 2, Room::Large);
        let gauge = proto::open(&mut request, 5, Room::Large);
        for (_, number) in points {
            let point = proto::open(&mut request, 1, Room::Small);
            proto::bytes_field(&mut request, 7, format!("#{number};").as_bytes());
            proto::close(&mut request, point);
        }
        proto::close(&mut request, gauge);
        proto::close(&mut request, metric);
    }
    proto::close(&mut request, scope);
    proto::close(&mut request, resource);
    request
}

/// The numbers of the data points of a request, or of several that were joined.
pub(super) fn metrics_of(request: &[u8]) -> Vec<Number> {
    let text = String::from_utf8_lossy(request);
    // A length may be a `#`, too; no number follows it.
    let points = text.split('#').filter_map(|point| point.split_once(';'));
    let numbers = points.filter_map(|(number, _)| number.parse().ok());
    numbers.map(|number| (Signal::Metrics, number)).collect()
}

fn bytes_of<const N: usize>(words: [u64; N]) -> Vec<u8> {
    let mut bytes = vec![0; N * 8];
    copy_words(words, &mut bytes);
    bytes
}
