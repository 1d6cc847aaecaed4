//! The handle the application holds: start, flush, shut down, read the ledger.

use std::fmt;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use ringlight_model::{CallsiteRegistry, LedgerSnapshot, Signal};
use ringlight_ring::{RingConfig, RingSender};

use crate::accounts::{Accounts, SignalSet};
use crate::collector::{Collector, Parts};
use crate::config::{CollectorConfig, CollectorConfigError};
use crate::export::ExporterBoxed;
use crate::mark::{in_pipeline, mark_thread};
use crate::recorder::Recorder;
use crate::sink::RecordSink;
use crate::sync::unpoisoned;
use crate::text::Readable;

/// How long a pipeline that is dropped without a shutdown goes on in the background.
const DROP_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a pipeline did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A setting is out of range.
    #[error(transparent)]
    Config(#[from] CollectorConfigError),
    /// The operating system gave no thread or no event queue.
    #[error("cannot start the collector thread: {0}")]
    Thread(#[from] std::io::Error),
}

/// The time was up before everything had left.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlushError {
    /// The pipeline goes on with what is still in flight.
    #[error("{in_flight} records are still on their way after {}", Readable(*timeout))]
    Timeout {
        /// How long was waited.
        timeout: Duration,
        /// Records still in flight, all signals together.
        in_flight: u64,
    },
    /// The pipeline has ended, or is that of the process this one was forked from; there is nothing
    /// to flush.
    #[error("the pipeline has been shut down")]
    Closed,
    /// A thread of the pipeline itself cannot wait for the pipeline.
    #[error("flushed from a thread of the pipeline itself")]
    InPipeline,
}

/// What the collector thread is told.
pub(crate) enum Command {
    /// Send everything that is there now, then answer.
    Flush(SyncSender<()>),
    /// Take nothing more, send what there is for at most this long, end.
    Shutdown(Duration),
}

/// What application threads and the collector thread share besides rings and books.
#[derive(Default)]
pub(crate) struct Control {
    state: Mutex<ControlState>,
    ended: Condvar,
}

#[derive(Default)]
struct ControlState {
    commands: Vec<Command>,
    is_ended: bool,
}

impl Control {
    fn lock(&self) -> MutexGuard<'_, ControlState> {
        unpoisoned(self.state.lock())
    }

    pub(crate) fn take(&self) -> Vec<Command> {
        std::mem::take(&mut self.lock().commands)
    }

    /// False when nobody will take it any more.
    fn send(&self, command: Command) -> bool {
        let mut state = self.lock();
        if state.is_ended {
            return false;
        }
        state.commands.push(command);
        true
    }

    /// Everybody who waits for the end is let go. Commands not taken are dropped, which lets those
    /// who wait for them go as well.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.is_ended = true;
        state.commands.clear();
        self.ended.notify_all();
    }

    /// Waits for the end; whether it came in time.
    fn wait_ended(&self, timeout: Duration) -> bool {
        let until = Instant::now().checked_add(timeout);
        let mut state = self.lock();
        while !state.is_ended {
            let left = until.map_or(timeout, |until| {
                until.saturating_duration_since(Instant::now())
            });
            if left.is_zero() {
                return false;
            }
            state = unpoisoned(self.ended.wait_timeout(state, left)).0;
        }
        true
    }
}

/// A running pipeline: rings, collector thread, destinations.
///
/// All methods may be called from any thread, inside or outside any async runtime: they wait for
/// the collector's own thread, never for the caller's runtime. Dropping it without
/// [`shutdown`](Self::shutdown) lets the collector finish in the background for up to five seconds.
///
/// A process that was forked from this one has a copy without the collector's thread: there nothing
/// waits, be it for a lock that another thread held. What is recorded is dropped, and the ledgers are
/// empty.
pub struct Pipeline {
    recorder: Recorder,
    sender: RingSender,
    accounts: Arc<Accounts>,
    control: Arc<Control>,
    destinations: Vec<String>,
}

impl Pipeline {
    /// Starts the collector thread. Connects to nothing: a destination that is not there does not
    /// delay or fail the start.
    ///
    /// `callsites` must know every callsite before its first record. Records that a destination does
    /// not take, or none does, count as exported there once the sinks have seen them.
    ///
    /// # Errors
    /// A setting is out of range, or the system has no thread to give.
    pub fn start(
        config: CollectorConfig,
        callsites: Arc<CallsiteRegistry>,
        destinations: Vec<Arc<dyn ExporterBoxed>>,
        sinks: Vec<Box<dyn RecordSink>>,
    ) -> Result<Self, StartError> {
        config.validate()?;
        let rings = RingConfig::new(config.ring_bytes(), config.producers_max);
        let (sender, receiver) =
            ringlight_ring::channel(rings).map_err(|error| CollectorConfigError {
                field: "ring_bits",
                value: config.ring_bits.to_string(),
                allowed: error.to_string(),
            })?;
        let mut taken: Vec<_> = destinations.iter().map(|e| signals_of(&**e)).collect();
        if taken.is_empty() {
            taken.push(SignalSet::default());
        }
        let accounts = Arc::new(Accounts::new(sender.clone(), taken));
        let control = Arc::new(Control::default());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_name("ringlight-blocking")
            .max_blocking_threads(2)
            .on_thread_start(mark_thread)
            .build()?;
        let pipeline = Self {
            recorder: Recorder::new(sender.clone(), config.policy, config.notices.clone()),
            sender,
            accounts: Arc::clone(&accounts),
            control: Arc::clone(&control),
            destinations: destinations
                .iter()
                .map(|exporter| exporter.name_boxed().to_owned())
                .collect(),
        };
        let parts = Parts {
            config,
            callsites,
            destinations,
            sinks,
            receiver,
            accounts,
            control,
        };
        std::thread::Builder::new()
            .name("ringlight-collector".to_owned())
            .spawn(move || {
                mark_thread();
                Collector::run_thread(runtime, parts);
            })?;
        Ok(pipeline)
    }

    /// A handle to record with.
    #[must_use]
    pub fn recorder(&self) -> Recorder {
        self.recorder.clone()
    }

    /// The ledger of the first destination, exact at this moment.
    #[must_use]
    pub fn ledger(&self) -> LedgerSnapshot {
        self.snapshot(0)
    }

    /// The ledger of every destination, by name. The submitted records are the same for all.
    #[must_use]
    pub fn ledgers(&self) -> Vec<(String, LedgerSnapshot)> {
        self.destinations
            .iter()
            .enumerate()
            .map(|(index, name)| (name.clone(), self.snapshot(index)))
            .collect()
    }

    fn snapshot(&self, index: usize) -> LedgerSnapshot {
        if self.recorder.has_collector() {
            self.accounts.snapshot(index)
        } else {
            LedgerSnapshot::default()
        }
    }

    /// Waits until everything recorded before the call has been delivered, refused or dropped at
    /// every destination, at most for `timeout`.
    ///
    /// # Errors
    /// The time was up first, the pipeline has ended, or the caller is the pipeline itself.
    pub fn flush(&self, timeout: Duration) -> Result<(), FlushError> {
        if in_pipeline() {
            return Err(FlushError::InPipeline);
        }
        if !self.recorder.has_collector() {
            return Err(FlushError::Closed);
        }
        let (answer, answered) = sync_channel(1);
        if !self.control.send(Command::Flush(answer)) {
            return Err(FlushError::Closed);
        }
        self.sender.wake();
        match answered.recv_timeout(timeout) {
            Ok(()) => Ok(()),
            Err(RecvTimeoutError::Disconnected) => Err(FlushError::Closed),
            Err(RecvTimeoutError::Timeout) => Err(FlushError::Timeout {
                timeout,
                in_flight: self.accounts.in_flight(),
            }),
        }
    }

    /// Takes no more records, delivers what there is within `timeout`, and ends. What is left then
    /// is counted as dropped.
    ///
    /// Returns by the deadline whatever the destinations do; the ledger it returns is final if the
    /// collector ended in time, which it always does unless a sink blocks. A second call waits for
    /// the end the first one set in motion, at most for its own `timeout`.
    pub fn shutdown(&self, timeout: Duration) -> LedgerSnapshot {
        if !self.recorder.has_collector() {
            return self.ledger();
        }
        self.control.send(Command::Shutdown(timeout));
        // Wakes the collector, too.
        self.sender.close();
        if !in_pipeline() {
            self.control.wait_ended(timeout);
        }
        self.ledger()
    }
}

fn signals_of(exporter: &dyn ExporterBoxed) -> SignalSet {
    let signals = Signal::ALL.into_iter();
    signals
        .filter(|signal| exporter.place_boxed(*signal).is_some())
        .collect()
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        if self.recorder.has_collector() {
            self.control.send(Command::Shutdown(DROP_TIMEOUT));
            self.sender.close();
        }
    }
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("destinations", &self.destinations)
            .finish_non_exhaustive()
    }
}
