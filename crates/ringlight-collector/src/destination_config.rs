//! A destination and what is its own: settings.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ringlight_model::Signal;

use crate::config::{
    CollectorConfig, CollectorConfigError, HOUR, MS, RetryConfig, duration, number, validate_delays,
};
use crate::export::ExporterBoxed;
use crate::sink::RecordFilter;
use crate::spool::SpoolMode;

/// Where batches go, with settings of its own: its queue, its retries, its part of the spool, which records it
/// gets. What is `None` is as in [`CollectorConfig`].
///
/// Destinations never touch each other: one that is dead, slow or refusing holds no other up. Those without a filter
/// share the bytes of each batch; for one with a filter its records are encoded once more.
///
/// ```
/// use std::sync::Arc;
///
/// use ringlight_collector::{DestinationConfig, ExporterBoxed};
///
/// # fn example(exporter: Arc<dyn ExporterBoxed>) {
/// let archive = DestinationConfig {
///     name: Some("archive".to_owned()),
///     queue_bytes_max: Some(8 << 20),
///     ..DestinationConfig::new(exporter)
/// };
/// # }
/// ```
pub struct DestinationConfig {
    /// Sends the batches. What it has no place for is not for this destination.
    pub exporter: Arc<dyn ExporterBoxed>,
    /// The destination's name in ledgers, and that of its directory in the spool, where the next process finds it
    /// again, whatever the address is then; no two with a part of the spool have the same. Default: the exporter's name in ledgers; in the spool `default` for the
    /// first destination, `default-1` for the second and so on.
    pub name: Option<String>,
    /// The signals it gets, of those the exporter takes. Default: all.
    pub signals: Option<Vec<Signal>>,
    /// Which records it gets. Default: all. What it does not get counts as exported there, and is left out of the
    /// report to it.
    pub filter: Option<Box<dyn RecordFilter>>,
    /// See [`CollectorConfig::queue_bytes_max`].
    pub queue_bytes_max: Option<usize>,
    /// See [`CollectorConfig::concurrent_exports_max`].
    pub concurrent_exports_max: Option<usize>,
    /// See [`CollectorConfig::export_timeout`]; for metrics, too.
    pub export_timeout: Option<Duration>,
    /// See [`CollectorConfig::retry`].
    pub retry: Option<RetryConfig>,
    /// Whether it has a part of the spool, if there is one, and which batches go there. Default: as for all.
    pub spool: Option<DestinationSpoolMode>,
}

/// Which batches of a destination go to disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DestinationSpoolMode {
    /// None: what cannot be sent is kept in memory, as far as there is room.
    Off,
    /// As this mode says.
    On(SpoolMode),
}

impl DestinationConfig {
    /// All records of all signals that the exporter takes, with the settings of the pipeline.
    #[must_use]
    pub fn new(exporter: Arc<dyn ExporterBoxed>) -> Self {
        Self {
            exporter,
            name: None,
            signals: None,
            filter: None,
            queue_bytes_max: None,
            concurrent_exports_max: None,
            export_timeout: None,
            retry: None,
            spool: None,
        }
    }

    /// What it is called.
    pub(crate) fn name(&self) -> &str {
        self.name
            .as_deref()
            .unwrap_or_else(|| self.exporter.name_boxed())
    }

    /// What its part of the spool is called, for the destination with this index.
    pub(crate) fn spool_name(&self, index: usize) -> String {
        let unnamed = || match index {
            0 => "default".to_owned(),
            index => format!("default-{index}"),
        };
        self.name.clone().unwrap_or_else(unnamed)
    }

    /// Checks that no two have one part of the spool: what one has sent would be lost to the other.
    pub(crate) fn validate_spool_names(all: &[Self]) -> Result<(), CollectorConfigError> {
        let mut known = HashSet::new();
        for (index, destination) in all.iter().enumerate() {
            let name = destination.spool_name(index);
            if destination.spool == Some(DestinationSpoolMode::Off) || known.insert(name.clone()) {
                continue;
            }
            return Err(CollectorConfigError {
                field: "destination.name",
                value: format!("`{name}` twice"),
                allowed: "another one for each destination that has a part of the spool".to_owned(),
            });
        }
        Ok(())
    }

    /// Whether it gets records of this signal.
    #[must_use]
    pub fn takes(&self, signal: Signal) -> bool {
        let is_meant = self
            .signals
            .as_ref()
            .is_none_or(|signals| signals.contains(&signal));
        is_meant && self.exporter.place_boxed(signal).is_some()
    }

    /// The settings of the pipeline, with its own in their place.
    pub(crate) fn settings(&self, config: &CollectorConfig) -> DestinationSettings {
        DestinationSettings {
            queue_bytes_max: self.queue_bytes_max.unwrap_or(config.queue_bytes_max),
            concurrent_exports_max: self
                .concurrent_exports_max
                .unwrap_or(config.concurrent_exports_max),
            export_timeout: self.export_timeout.unwrap_or(config.export_timeout),
            metrics_timeout: self.export_timeout.or(config.metrics_timeout),
            retry: self.retry.unwrap_or(config.retry),
            batch_bytes_max: config.batch_bytes_max,
        }
    }

    pub(crate) fn validate(&self, config: &CollectorConfig) -> Result<(), CollectorConfigError> {
        self.settings(config).validate()
    }
}

/// The settings of one destination.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DestinationSettings {
    pub(crate) queue_bytes_max: usize,
    pub(crate) concurrent_exports_max: usize,
    pub(crate) export_timeout: Duration,
    pub(crate) metrics_timeout: Option<Duration>,
    pub(crate) retry: RetryConfig,
    pub(crate) batch_bytes_max: usize,
}

impl DestinationSettings {
    /// Of the pipeline itself.
    pub(crate) const fn of(config: &CollectorConfig) -> Self {
        Self {
            queue_bytes_max: config.queue_bytes_max,
            concurrent_exports_max: config.concurrent_exports_max,
            export_timeout: config.export_timeout,
            metrics_timeout: config.metrics_timeout,
            retry: config.retry,
            batch_bytes_max: config.batch_bytes_max,
        }
    }

    /// How long an attempt with records of this signal may take.
    pub(crate) fn timeout(&self, signal: Signal) -> Duration {
        match (signal, self.metrics_timeout) {
            (Signal::Metrics, Some(timeout)) => timeout,
            _ => self.export_timeout,
        }
    }

    pub(crate) fn validate(&self) -> Result<(), CollectorConfigError> {
        number(
            "queue_bytes_max",
            self.queue_bytes_max,
            self.batch_bytes_max..=1 << 30,
        )?;
        number(
            "concurrent_exports_max",
            self.concurrent_exports_max,
            1..=64,
        )?;
        duration("export_timeout", self.export_timeout, MS..=HOUR)?;
        validate_delays(&self.retry)
    }
}

impl fmt::Debug for DestinationConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DestinationConfig")
            .field("name", &self.name())
            .field("signals", &self.signals)
            .field("is_filtered", &self.filter.is_some())
            .finish_non_exhaustive()
    }
}

impl From<Arc<dyn ExporterBoxed>> for DestinationConfig {
    fn from(exporter: Arc<dyn ExporterBoxed>) -> Self {
        Self::new(exporter)
    }
}

impl<E: ExporterBoxed + 'static> From<Arc<E>> for DestinationConfig {
    fn from(exporter: Arc<E>) -> Self {
        Self::new(exporter)
    }
}
