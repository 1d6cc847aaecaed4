//! A backend in every mood, and what it remembers.

use std::collections::{BTreeMap, HashSet};

use fastrand::Rng;
use ringlight_model::{LogRecord, RecordVisitor, RejectReason, Resource, Scope, Span};
use ringlight_otlp::OtlpDecoder;

use super::*;
use crate::sync::unpoisoned;

/// A number of a record, of its signal.
pub(super) type Number = (Signal, u64);

/// How a backend behaves for a while.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Mood {
    Healthy,
    Slow(Duration),
    /// Nobody is there.
    Down,
    /// Takes the batch, and the answer is lost.
    Mute,
    /// So many of a hundred requests fail, one way or another.
    Flaky(u8),
    /// Asks for time.
    Busy(Option<Duration>),
    /// Does not answer.
    Hangs,
    /// Refuses batches for good.
    Refuses,
    /// Refuses one record of each batch for good.
    RefusesOne,
    /// Takes requests of up to so many bytes.
    Small(usize),
}

/// What the backend knows, over all processes.
#[derive(Default)]
pub(super) struct Known {
    pub(super) taken: HashSet<Number>,
    /// Refused for good, at least once.
    pub(super) refused: HashSet<Number>,
    /// Records of batches that were answered with success.
    pub(super) acknowledged: BTreeMap<Signal, u64>,
    /// From when on it is in which mood, by signal.
    pub(super) moods: BTreeMap<Signal, Vec<(Instant, Mood)>>,
    pub(super) rng: Option<Rng>,
}

#[derive(Clone)]
pub(super) struct Backend {
    known: Arc<Mutex<Known>>,
    /// Spans and log records go to places of their own, each in a mood of its own.
    pub(super) has_places: bool,
}

impl Backend {
    pub(super) fn new(has_places: bool) -> Self {
        Self {
            known: Arc::default(),
            has_places,
        }
    }

    pub(super) fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        unpoisoned(self.known.lock())
    }

    fn mood(&self, signal: Signal) -> Mood {
        let known = self.known();
        let now = Instant::now();
        let moods = known.moods.get(&signal).into_iter().flatten();
        let current = moods.take_while(|(since, _)| *since <= now).last();
        current.map_or(Mood::Healthy, |(_, mood)| *mood)
    }

    fn take(&self, batch: &EncodedBatch, refused: u64) {
        let mut numbers = numbers_of(batch);
        assert_eq!(numbers.len(), batch.records as usize);
        let taken = numbers.split_off(refused.min(numbers.len() as u64) as usize);
        let mut known = self.known();
        known.taken.extend(taken);
        known.refused.extend(numbers);
    }

    fn acknowledge(&self, batch: &EncodedBatch, refused: u64) -> ExportOutcome {
        let records = u64::from(batch.records) - refused;
        *self.known().acknowledged.entry(batch.signal).or_default() += records;
        ExportOutcome {
            rejected: refused,
            ..ExportOutcome::default()
        }
    }

    fn chance(&self, of_hundred: u8) -> bool {
        let mut known = self.known();
        known
            .rng
            .as_mut()
            .is_some_and(|rng| rng.u8(..100) < of_hundred)
    }
}

fn unreachable<T>() -> Result<T, ExportError> {
    Err(ExportError::Unreachable {
        reason: "nobody there".to_owned(),
        source: None,
    })
}

impl ExporterBoxed for Backend {
    fn export_boxed(&self, batch: EncodedBatch) -> ExportFuture<'_> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(3)).await;
            let busy = |after| {
                Err(ExportError::Retryable {
                    reason: "busy".to_owned(),
                    after,
                })
            };
            let mut mood = self.mood(batch.signal);
            if let Mood::Flaky(share) = mood {
                let failures = [Mood::Down, Mood::Mute, Mood::Busy(None), Mood::Healthy];
                let which = usize::from(self.chance(50)) + 2 * usize::from(self.chance(30));
                mood = if self.chance(share) {
                    failures[which]
                } else {
                    Mood::Healthy
                };
            }
            match mood {
                Mood::Small(bytes) if batch.bytes.len() > bytes => Err(ExportError::TooLarge {
                    reason: "too large".to_owned(),
                }),
                Mood::Down => unreachable(),
                Mood::Mute => {
                    self.take(&batch, 0);
                    unreachable()
                }
                Mood::Busy(after) => busy(after),
                Mood::Hangs => std::future::pending().await,
                Mood::Refuses => {
                    self.known().refused.extend(numbers_of(&batch));
                    Err(ExportError::Permanent {
                        reason: "not this".to_owned(),
                    })
                }
                Mood::RefusesOne => {
                    self.take(&batch, 1);
                    Ok(self.acknowledge(&batch, 1))
                }
                Mood::Slow(delay) => {
                    tokio::time::sleep(delay).await;
                    self.take(&batch, 0);
                    Ok(self.acknowledge(&batch, 0))
                }
                Mood::Healthy | Mood::Flaky(_) | Mood::Small(_) => {
                    self.take(&batch, 0);
                    Ok(self.acknowledge(&batch, 0))
                }
            }
        })
    }

    fn name_boxed(&self) -> &str {
        "backend"
    }

    fn place_boxed(&self, signal: Signal) -> Option<&str> {
        match signal {
            Signal::Traces => Some("backend"),
            Signal::Logs if self.has_places => Some("backend for logs"),
            Signal::Logs | Signal::Metrics => Some("backend"),
            Signal::Profiles => None,
        }
    }

    fn reports_open_spans_boxed(&self) -> bool {
        false
    }
}

pub(super) fn numbers_of(batch: &EncodedBatch) -> Vec<Number> {
    if batch.signal == Signal::Metrics {
        return life::metrics_of(&batch.bytes);
    }
    struct Numbers(Vec<Number>);
    impl RecordVisitor for Numbers {
        fn resource(&mut self, _: &Resource<'_>) {}
        fn scope(&mut self, _: &Scope<'_>) {}
        fn span(&mut self, span: &Span<'_>) {
            self.0.push((Signal::Traces, span.span_id.get()));
        }
        fn log(&mut self, log: &LogRecord<'_>) {
            self.0.push((Signal::Logs, log.time_unix_nano));
        }
        fn rejected(&mut self, reason: RejectReason) {
            panic!("{reason:?}");
        }
    }
    let mut numbers = Numbers(Vec::new());
    let decoder = OtlpDecoder::new(ringlight_model::Limits::default());
    decoder
        .walk(batch.signal, &batch.bytes, &mut numbers)
        .unwrap();
    numbers.0
}
