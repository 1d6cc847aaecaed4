//! The ledger on its way to the backend, as OTLP metrics.
//!
//! A report is not part of what it reports: it goes around the queue and the books. A backend that
//! does not take metrics is asked once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ringlight_model::{LedgerSnapshot, Resource, Signal};
use ringlight_otlp::ledger_report;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::accounts::Accounts;
use crate::config::CollectorConfig;
use crate::destination::Destination;
use crate::export::{BatchId, EncodedBatch, ExportError};

/// What the reports of all destinations have in common.
pub(crate) struct Reporter {
    accounts: Arc<Accounts>,
    resource: Arc<Resource<'static>>,
    instance: Arc<str>,
    interval: Duration,
    export_timeout: Duration,
    start_unix_nano: u64,
}

/// The reports to one destination.
pub(crate) struct Reports {
    index: usize,
    destination: Arc<Destination>,
    accounts: Arc<Accounts>,
    resource: Arc<Resource<'static>>,
    instance: Arc<str>,
    interval: Duration,
    export_timeout: Duration,
    start_unix_nano: u64,
    /// Relaxed: only the uniqueness of the number matters.
    sequence: AtomicU64,
    /// The ledger may have changed.
    changed: Notify,
    /// The backend takes no metrics. All accesses are Relaxed: a hint between tasks of one thread.
    is_refused: AtomicBool,
}

impl Reporter {
    pub(crate) fn new(config: &CollectorConfig, accounts: Arc<Accounts>) -> Self {
        Self {
            accounts,
            resource: Arc::new(config.resource.clone()),
            instance: Arc::from(format!("{:032x}-report", fastrand::u128(..)).as_str()),
            interval: config.report_interval,
            export_timeout: config.export_timeout,
            start_unix_nano: ringlight_clock::wall_unix_nano(),
        }
    }

    /// To this destination, which takes metrics.
    pub(crate) fn of(&self, destination: &Arc<Destination>) -> Arc<Reports> {
        Arc::new(Reports {
            index: destination.index(),
            destination: Arc::clone(destination),
            accounts: Arc::clone(&self.accounts),
            resource: Arc::clone(&self.resource),
            instance: Arc::clone(&self.instance),
            interval: self.interval,
            export_timeout: self.export_timeout,
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
        let mut last = LedgerSnapshot::default();
        while !self.is_refused.load(Ordering::Relaxed) {
            tokio::time::sleep(self.interval).await;
            let ledger = self.accounts.reported(self.index);
            if ledger == last || self.destination.is_away() {
                // Sleeps as long as the collector does. What it did since the last time counts, so
                // the ledger is looked at once more before that.
                self.changed.notified().await;
                continue;
            }
            if self.send(&ledger, false, self.export_timeout).await {
                last = ledger;
            }
        }
    }

    /// The last report, done by `deadline`.
    pub(crate) async fn finish(self: Arc<Self>, deadline: Instant) {
        let ledger = self.accounts.reported(self.index);
        let left = deadline.saturating_duration_since(Instant::now());
        let is_futile = self.is_refused.load(Ordering::Relaxed)
            || self.destination.is_away()
            || left.is_zero()
            || ledger == LedgerSnapshot::default();
        if !is_futile {
            self.send(&ledger, true, left.min(self.export_timeout))
                .await;
        }
    }

    async fn send(&self, ledger: &LedgerSnapshot, is_final: bool, limit: Duration) -> bool {
        let request = ledger_report::encode(
            &self.resource,
            ledger,
            self.start_unix_nano,
            ringlight_clock::wall_unix_nano(),
            is_final,
        );
        // Relaxed: only the uniqueness of the number matters.
        let sequence = self.sequence.fetch_add(1, Ordering::Relaxed);
        let batch = EncodedBatch {
            signal: Signal::Metrics,
            bytes: Bytes::from(request),
            records: 0,
            id: BatchId::new(Arc::clone(&self.instance), sequence),
        };
        let export = self.destination.exporter().export_boxed(batch);
        match tokio::time::timeout(limit, export).await {
            Ok(Ok(outcome)) => {
                self.destination.note(&outcome);
                true
            }
            Ok(Err(ExportError::Unsupported { .. } | ExportError::Permanent { .. })) => {
                self.is_refused.store(true, Ordering::Relaxed);
                false
            }
            // The next report says it again.
            Ok(Err(_)) | Err(_) => false,
        }
    }
}
