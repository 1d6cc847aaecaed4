//! Starting a pipeline.

use std::sync::Arc;

use ringlight_model::{CallsiteRegistry, Signal};
use ringlight_otlp::encode;
use ringlight_ring::RingSender;
use ringlight_spool::{Spool, SpoolError};

use super::Pipeline;
use crate::accounts::{Accounts, SignalSet};
use crate::collector::{Collector, Parts};
use crate::config::{CollectorConfig, CollectorConfigError, OverflowPolicy};
use crate::control::Control;
use crate::destination_config::DestinationConfig;
use crate::mark::mark_thread;
use crate::meter::Meter;
use crate::processing::Processing;
use crate::requests::{AttributeRules, RequestSender, Requests};
use crate::sink::{LogFilter, RecordSink};
use crate::spans::Origin;
use crate::spool::SpoolConfig;
use crate::submit::Shared;
use crate::thread::{self, blocking_threads_max};

/// Why a pipeline did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A setting is out of range.
    #[error(transparent)]
    Config(#[from] CollectorConfigError),
    /// The directory for what cannot be sent cannot be used.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The operating system gave no thread or no event queue.
    #[error("cannot start the collector thread: {0}")]
    Thread(#[from] std::io::Error),
}

impl Pipeline {
    /// Starts the collector thread. Connects to nothing: a destination that is not there does not
    /// delay or fail the start.
    ///
    /// `callsites` must know every callsite before its first record. Records that a destination does
    /// not take, or none does, count as exported there once the sinks have seen them.
    ///
    /// # Errors
    /// A setting is out of range, two destinations would have one part of the spool, its directory cannot be used, or the
    /// system has no thread to give.
    pub fn start(
        config: CollectorConfig,
        callsites: Arc<CallsiteRegistry>,
        destinations: impl IntoIterator<Item: Into<DestinationConfig>>,
        sinks: Vec<Box<dyn RecordSink>>,
    ) -> Result<Self, StartError> {
        let may_wait = config.policy != OverflowPolicy::Drop;
        Self::start_with(config, may_wait, callsites, destinations, sinks, None)
    }

    /// As [`start`](Self::start), exporting only the log records that `log_filter` wants. What it does
    /// not want counts as exported once the sinks have seen it, and is left out of the reports.
    ///
    /// # Errors
    /// As for `start`.
    pub fn start_filtered(
        config: CollectorConfig,
        callsites: Arc<CallsiteRegistry>,
        destinations: impl IntoIterator<Item: Into<DestinationConfig>>,
        sinks: Vec<Box<dyn RecordSink>>,
        log_filter: impl LogFilter + 'static,
    ) -> Result<Self, StartError> {
        let may_wait = config.policy != OverflowPolicy::Drop;
        let log_filter = Some(Box::new(log_filter) as Box<dyn LogFilter>);
        Self::start_with(config, may_wait, callsites, destinations, sinks, log_filter)
    }

    /// As [`start`](Self::start), with a word on whether producers may wait for room, so that a full
    /// queue holds up the drain for as long as it takes.
    pub(crate) fn start_with(
        mut config: CollectorConfig,
        may_wait: bool,
        callsites: Arc<CallsiteRegistry>,
        destinations: impl IntoIterator<Item: Into<DestinationConfig>>,
        sinks: Vec<Box<dyn RecordSink>>,
        log_filter: Option<Box<dyn LogFilter>>,
    ) -> Result<Self, StartError> {
        let destinations: Vec<_> = destinations.into_iter().map(Into::into).collect();
        validate(&config, &destinations)?;
        Processing::process_settings(&mut config);
        let spool = open_spool(&config, &destinations)?;
        let (sender, receiver) = config.channel()?;
        let shared = Shared::new(sender.clone(), config.policy, config.notices.clone());
        let accounts = Accounts::new(sender.clone(), signals_taken(&destinations));
        let accounts = Arc::new(accounts.with_asides(Arc::clone(&shared.asides)));
        let meter = Meter::new(sender.clone(), config.governor.clone());
        let runtime = thread::runtime(blocking_threads_max(&config, &destinations))?;
        let parts = Parts {
            clock: config.clock(),
            requests: Arc::new(Requests::new(config.queue_bytes_max)),
            config,
            shared,
            may_wait,
            callsites,
            spool,
            destinations,
            sinks,
            log_filter,
            receiver,
            accounts,
            control: Arc::new(Control::default()),
            meter,
        };
        let pipeline = Self::of(&parts, sender);
        std::thread::Builder::new()
            .name("ringlight-collector".to_owned())
            .spawn(move || {
                mark_thread();
                Collector::run_thread(runtime, parts);
            })?;
        Ok(pipeline)
    }

    /// What the application has of the parts of the collector.
    fn of(parts: &Parts, sender: RingSender) -> Self {
        let (config, destinations) = (&parts.config, &parts.destinations);
        let takes_metrics = destinations.iter().any(|one| one.takes(Signal::Metrics));
        let request_sender = takes_metrics.then(|| {
            let mut resource = Vec::new();
            encode::resource_message(&mut resource, &config.resource);
            RequestSender {
                requests: Arc::clone(&parts.requests),
                accounts: Arc::clone(&parts.accounts),
                shared: Arc::clone(&parts.shared),
                sender: sender.clone(),
                destinations: (0..destinations.len()).collect(),
                resource: resource.into(),
            }
        });
        let names = destinations.iter().map(|one| one.name().to_owned());
        Self {
            spans: Origin::new(
                Arc::clone(&parts.shared),
                Arc::clone(&parts.callsites),
                config.limits,
                Arc::clone(&parts.clock),
            ),
            clock: Arc::clone(&parts.clock),
            processing: config.processing.clone(),
            accounts: Arc::clone(&parts.accounts),
            control: Arc::clone(&parts.control),
            meter: Arc::clone(&parts.meter),
            destinations: names.collect(),
            request_sender,
            attribute_rules: AttributeRules::new(config.processing.clone()),
            resource: Arc::new(config.resource.clone()),
            shared: Arc::clone(&parts.shared),
            sender,
        }
    }
}

fn validate(
    config: &CollectorConfig,
    destinations: &[DestinationConfig],
) -> Result<(), CollectorConfigError> {
    config.validate()?;
    for destination in destinations {
        destination.validate(config)?;
    }
    if config.spool.is_some() {
        DestinationConfig::validate_spool_names(destinations)?;
    }
    Ok(())
}

/// Who sends nothing does not keep others from the directory.
fn open_spool(
    config: &CollectorConfig,
    destinations: &[DestinationConfig],
) -> Result<Option<Spool>, SpoolError> {
    let spool = config.spool.as_ref().filter(|_| !destinations.is_empty());
    spool.map(SpoolConfig::open).transpose()
}

/// The signals that each destination takes, or of none where there is no destination.
fn signals_taken(destinations: &[DestinationConfig]) -> Vec<SignalSet> {
    let of = |destination: &DestinationConfig| {
        let signals = Signal::ALL.into_iter();
        let taken = signals.filter(|signal| destination.takes(*signal));
        taken.collect()
    };
    match destinations {
        [] => vec![SignalSet::default()],
        destinations => destinations.iter().map(of).collect(),
    }
}
