//! The ledger, by thread too, and the cost on their way to the backend, as OTLP metrics.
//!
//! A report goes out when the ledger has changed; what else is in it is that of the moment. It is not
//! part of the ledger it reports: it goes around the queue and the books. A backend that does not take
//! metrics is asked once; one that refuses a report is told less and less often.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ringlight_model::{CostSnapshot, Resource, Signal, ThreadLedger};
use ringlight_otlp::ledger_report::{self, Cost, Report};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::accounts::Accounts;
use crate::batch_processor::random_name;
use crate::config::CollectorConfig;
use crate::destination::Destination;
use crate::export::{BatchId, EncodedBatch, ExportError};
use crate::meter::Meter;
use crate::processing::Processing;
use crate::send::Unsent;

/// The longest time between two reports to a backend that refuses them.
const PAUSE_MAX: Duration = Duration::from_secs(64);

/// What the reports of all destinations have in common.
pub(crate) struct Reporter {
    accounts: Arc<Accounts>,
    meter: Arc<Meter>,
    processing: Processing,
    resource: Arc<Resource<'static>>,
    instance: Arc<str>,
    interval: Duration,
    start_unix_nano: u64,
}

/// The reports to one destination.
pub(crate) struct Reports {
    index: usize,
    destination: Arc<Destination>,
    accounts: Arc<Accounts>,
    meter: Arc<Meter>,
    processing: Processing,
    resource: Arc<Resource<'static>>,
    instance: Arc<str>,
    interval: Duration,
    start_unix_nano: u64,
    /// Relaxed: only the uniqueness of the number matters.
    sequence: AtomicU64,
    /// The ledger may have changed.
    changed: Notify,
    /// The backend takes no metrics. All accesses are Relaxed: a hint between tasks of one thread.
    is_refused: AtomicBool,
}

/// What the backend was told last.
#[derive(Default)]
struct Told {
    ledger: ThreadLedger,
    cost: CostSnapshot,
}

impl Told {
    /// Whether the ledger says the same. How full the rings are does not count: that says nothing once
    /// they have been emptied.
    fn is_as_told(&self, ledger: &ThreadLedger) -> bool {
        self.ledger.ledger == ledger.ledger && self.ledger.has_same_rows(ledger)
    }
}

impl Reporter {
    pub(crate) fn new(
        config: &CollectorConfig,
        accounts: Arc<Accounts>,
        meter: Arc<Meter>,
    ) -> Self {
        Self {
            accounts,
            meter,
            processing: config.processing.clone(),
            resource: Arc::new(config.resource.clone()),
            instance: Arc::from(format!("{}-report", random_name()).as_str()),
            interval: config.report_interval,
            start_unix_nano: ringlight_clock::wall_unix_nano(),
        }
    }

    /// To this destination, which takes metrics.
    pub(crate) fn of(&self, destination: &Arc<Destination>) -> Arc<Reports> {
        Arc::new(Reports {
            index: destination.index(),
            destination: Arc::clone(destination),
            accounts: Arc::clone(&self.accounts),
            meter: Arc::clone(&self.meter),
            processing: self.processing.clone(),
            resource: Arc::clone(&self.resource),
            instance: Arc::clone(&self.instance),
            interval: self.interval,
            start_unix_nano: self.start_unix_nano,
            sequence: AtomicU64::new(0),
            changed: Notify::new(),
            is_refused: AtomicBool::new(self.interval.is_zero()),
        })
    }
}

impl Reports {
    /// Says that the ledger may change, or have changed, since the last call.
    pub(crate) fn expect_change(&self) {
        self.changed.notify_one();
    }

    /// Reports whenever the ledger has changed, for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut last = Told::default();
        let mut pause = self.interval;
        while !self.is_refused.load(Ordering::Relaxed) {
            tokio::time::sleep(pause).await;
            let ledger = self
                .accounts
                .reported(self.index, ledger_report::THREADS_MAX);
            if last.is_as_told(&ledger) || self.destination.is_away() {
                // Sleeps as long as the collector does. What it did since the last time counts, so
                // the ledger is looked at once more before that.
                self.changed.notified().await;
                continue;
            }
            let cost = self.meter.snapshot();
            let limit = self.destination.timeout(Signal::Metrics);
            let answer = self.send(&ledger, &cost, &last.cost, false, limit).await;
            pause = match &answer {
                Err(Unsent::Failed(ExportError::Permanent { .. })) => {
                    (pause * 2).min(PAUSE_MAX.max(self.interval))
                }
                _ => self.interval,
            };
            if answer.is_ok() {
                last = Told { ledger, cost };
            }
        }
    }

    /// The last report, done by `deadline`.
    pub(crate) async fn finish(self: Arc<Self>, deadline: Instant) {
        let ledger = self
            .accounts
            .reported(self.index, ledger_report::THREADS_MAX);
        let left = deadline.saturating_duration_since(Instant::now());
        let is_futile = self.is_refused.load(Ordering::Relaxed)
            || self.destination.is_away()
            || left.is_zero()
            || Told::default().is_as_told(&ledger);
        if !is_futile {
            let cost = self.meter.snapshot();
            let limit = left.min(self.destination.timeout(Signal::Metrics));
            // Its shares are those of the whole time.
            let none = CostSnapshot::default();
            // There is no other after it.
            let _ = self.send(&ledger, &cost, &none, true, limit).await;
        }
    }

    async fn send(
        &self,
        ledger: &ThreadLedger,
        cost: &CostSnapshot,
        cost_before: &CostSnapshot,
        is_final: bool,
        limit: Duration,
    ) -> Result<(), Unsent> {
        let cost = Cost {
            total: *cost,
            core_ratio: cost.core_ratio(cost_before),
            process_ratio: cost.process_ratio(cost_before),
        };
        let rules = self.processing.counts().into_iter();
        let rules: Vec<_> = rules.map(|rule| (rule.rule, rule.count)).collect();
        let delivery = self.accounts.delivery(self.index);
        let report = Report {
            ledger,
            cost: Some(&cost),
            delivery: Some(&delivery),
            rules: &rules,
            start_unix_nano: self.start_unix_nano,
            time_unix_nano: ringlight_clock::wall_unix_nano(),
            is_final,
        };
        let request = ledger_report::encode(&self.resource, &report);
        // Relaxed: only the uniqueness of the number matters.
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        let batch = EncodedBatch {
            signal: Signal::Metrics,
            bytes: Bytes::from(request),
            records: 0,
            id: BatchId::new(Arc::clone(&self.instance), sequence),
        };
        match self.destination.send(batch, Instant::now() + limit).await {
            Ok(outcome) => {
                self.destination.note(&outcome);
                Ok(())
            }
            // Whatever else is wrong may be over with the next one: credentials are renewed, a backend is mended.
            Err(unsent) => {
                let is_final = matches!(unsent, Unsent::Failed(ExportError::Unsupported { .. }));
                self.is_refused.store(is_final, Ordering::Relaxed);
                Err(unsent)
            }
        }
    }
}
