//! Passing on what the backend receives.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ringlight::collector::{Relay, StartError};
use ringlight::{Account, DeliverySnapshot, InitError, LedgerSnapshot, Signal, SpoolConfig};
use ringlight_app_harness::with_causes;
use ringlight_server::Forward;

use crate::address::Address;
use crate::config::ForwardConfig;
use crate::error::{CliError, Exit};

/// Bytes of what is on its way. What cannot be sent is on disk.
const QUEUE_BYTES_MAX: usize = 8 << 20;

/// How long the end waits for what is on its way. What is left then is on disk.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(3);

/// The way to another backend.
#[derive(Debug)]
pub(crate) struct Forwarder {
    relay: Relay,
    spool_dir: PathBuf,
}

impl Forwarder {
    pub(crate) fn start(config: &ForwardConfig, data_dir: &Path) -> Result<Arc<Self>, CliError> {
        let spool_dir = data_dir.join("forward");
        let spool = SpoolConfig {
            bytes_max: config.size_limit_bytes,
            ..SpoolConfig::new(&spool_dir)
        };
        let relay = ringlight::builder()
            .otlp_endpoint(config.url.as_str())
            .pipeline(|pipeline| pipeline.queue_bytes_max = QUEUE_BYTES_MAX)
            .spool(spool)
            .start_relay()
            .map_err(|error| refused(&config.url, error))?;
        Ok(Arc::new(Self { relay, spool_dir }))
    }

    /// Sends what is on its way, for a moment, and says what is left. Blocks.
    pub(crate) fn stop(&self) -> Left {
        let ledger = self.relay.shutdown(SHUTDOWN_TIMEOUT);
        let sum = |of: fn(&Account) -> u64| {
            let signals = Signal::ALL.into_iter();
            signals.map(|signal| of(ledger.account(signal))).sum()
        };
        Left {
            spooled: sum(|account| account.spooled),
            lost: sum(|account| account.rejected + account.dropped_total()),
            dead_letters: dead_letters(&self.spool_dir),
            spool_dir: self.spool_dir.clone(),
        }
    }
}

/// What of the records the other backend does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Left {
    /// Records that wait on disk.
    pub(crate) spooled: u64,
    /// Records that were refused or dropped.
    pub(crate) lost: u64,
    /// Directories with copies of those that were refused, of earlier runs too.
    pub(crate) dead_letters: Vec<PathBuf>,
    pub(crate) spool_dir: PathBuf,
}

/// `<destination>/<signal>/dead-letters` with something in it, as docs/spool-format.md has it. What cannot be read has
/// nothing.
fn dead_letters(spool_dir: &Path) -> Vec<PathBuf> {
    let below = |dir: &Path| -> Vec<PathBuf> {
        let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    let destinations = below(spool_dir).into_iter();
    let signals = destinations.flat_map(|destination| below(&destination));
    let letters = signals.map(|signal| signal.join("dead-letters"));
    let mut found: Vec<_> = letters
        .filter(|dir| {
            let mut files = below(dir).into_iter();
            files.any(|file| file.extension().is_some_and(|ending| ending == "segment"))
        })
        .collect();
    found.sort_unstable();
    found
}

impl Forward for Forwarder {
    fn forward(&self, signal: Signal, request: &[u8]) {
        self.relay.pass_on(signal, request);
    }

    fn destination(&self) -> &str {
        self.relay.name()
    }

    fn ledger(&self) -> LedgerSnapshot {
        self.relay.ledger()
    }

    fn delivery(&self) -> DeliverySnapshot {
        self.relay.delivery()
    }
}

/// The builder knows only that the endpoint was given in code, which is here.
fn refused(url: &Address, error: InitError) -> CliError {
    let unusable = |reason: &str| {
        let message = format!("nothing can be passed on to `{url}`: {reason}");
        CliError::new(Exit::Usage, message)
    };
    match error {
        InitError::Endpoint { reason, hint, .. } => unusable(&reason).with_hint(hint),
        InitError::Header { reason, .. } => unusable(&reason).with_hint(
            "names of headers are letters, digits and `-`, values visible ASCII; see \
             `OTEL_EXPORTER_OTLP_HEADERS`",
        ),
        InitError::Secret {
            origin,
            reason,
            hint,
        } => unusable(&format!("{origin}: {reason}")).with_hint(hint),
        // Its cause is in the text, and its hint is for a directory that was named.
        InitError::Start(error) => CliError::new(Exit::Data, without_hint(&error)).with_hint(
            "what cannot be passed on is kept in `forward` in the data directory: check its rights \
             and the room on its disk, or choose another with `--data-dir`",
        ),
        error => unusable(&with_causes(&error)),
    }
}

fn without_hint(error: &StartError) -> String {
    let mut text = error.to_string();
    text.truncate(text.find("; hint: ").unwrap_or(text.len()));
    text
}
