//! Tokio's runtimes: what they do as metrics, how late they are, and which span blocks them (feature `profiling`).
//!
//! [`init`](crate::init) and its kin watch the runtime they are called in; [`Telemetry::watch_runtime`] watches
//! others:
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let telemetry = ringlight::init()?;
//! let mut runtime = tokio::runtime::Builder::new_multi_thread();
//! let runtime = runtime.name("jobs").build()?;
//! telemetry.watch_runtime(runtime.handle());
//! # Ok(())
//! # }
//! ```
//!
//! [`Telemetry::watch_runtime`]: crate::Telemetry::watch_runtime
//!
//! # Metrics
//!
//! Scope `ringlight.runtime`. OpenTelemetry's semantic conventions have none for tokio; names are those of
//! `opentelemetry-instrumentation-tokio`, with durations in seconds as the conventions ask. Attributes:
//! `tokio.runtime.id`, `tokio.runtime.name` where the runtime has a name, and `tokio.worker.index` for those of single
//! workers.
//!
//! `docs/runtime.md` lists all of them, with units, and what `--cfg tokio_unstable` adds.
//!
//! # Blocked workers
//!
//! A worker that does not come back from a task for [`Builder::blocked_worker_after`](crate::Builder::blocked_worker_after),
//! 100 ms by default, is blocked: it computes, waits for a lock, or sleeps by `std::thread::sleep`. A thread of the
//! pipeline sees that by tokio's own counters of the worker, and which span it is in by what threads publish, for
//! which no clock is read. It says so by an event at level warn, target `ringlight::runtime`, that belongs to the span:
//! at most one a minute of each span of the source. In a trace file it is on the worker's thread. Where no recorded span
//! encloses the work, the event says that.
//!
//! # Limits
//!
//! - Tokio's counters move when a worker parks, or has polled 61 times: so many polls that take as long together
//!   count as one.
//! - Of a runtime with one thread only what tasks do is seen, while there is any task: what `block_on` runs
//!   itself holds nobody up but itself. And a runtime with tasks that nobody drives looks the same: its
//!   tasks wait.
//! - Which thread is a worker tokio tells with `--cfg tokio_unstable`. Without, a worker that was blocked before it
//!   ever polled a task in which a span was entered has no name; and of two threads that came to stand still at the
//!   same time, one a worker outside of spans and the other one that was a worker and has called `block_in_place`, the
//!   wrong one may be named.
//! - The span of a trace that is not recorded has no name, and one of the OpenTelemetry API is not seen.
//! - Of a runtime with one thread, no lag is longer than its thread was busy meanwhile, but for 100 ms that it may take to
//!   wake up: between one `block_on` and the next nobody drives it.
//! - 64 runtimes are watched at a time, and the spans of 1024 threads.
//!
//! # What it costs
//!
//! A thread that wakes 40 times a second while a runtime is watched, and a task of the runtime ten times a
//! second, which is one of `tokio.alive_tasks`. Entering a span and leaving it is three plain stores and some loads
//! more each.

mod blocked;
#[cfg(feature = "otel")]
mod instruments;
#[cfg(feature = "otel")]
mod lag;
mod probe;
mod role;
mod watchdog;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use ringlight_collector::Notices;
use tokio::runtime::Handle;
use tracing_core::Dispatch;
use tracing_core::dispatcher::WeakDispatch;

use crate::subscriber::PublishedSpans;
use crate::sync::unpoisoned;

use probe::Probe;
pub(crate) use role::role;
use role::{note_role, of};
use watchdog::Watchdog;

/// Runtimes that are watched at a time.
const RUNTIMES_MAX: usize = 64;

/// How runtimes are watched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RuntimeConfig {
    /// Whether the one telemetry starts in is.
    pub(crate) watches_current: bool,
    /// After how long a worker is blocked; zero for never.
    pub(crate) blocked_after: Duration,
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self {
            watches_current: true,
            blocked_after: Duration::from_millis(100),
        }
    }
}

/// A runtime that is watched.
#[derive(Debug)]
struct Watched {
    handle: Handle,
    /// What stands for it.
    number: u64,
    probe: Arc<Probe>,
}

impl Watched {
    /// Its name, where it has one.
    fn name(&self) -> Option<&str> {
        self.handle.name()
    }
}

/// The runtimes that are watched, by those who watch.
#[derive(Debug, Default)]
struct List {
    notices: Notices,
    runtimes: Mutex<Vec<Arc<Watched>>>,
    /// Nothing is watched any more. Relaxed: changed and read under the lock, and by the watchdog, which may be a
    /// moment late.
    is_over: AtomicBool,
}

impl List {
    /// Those that have not ended.
    fn alive(&self) -> Vec<Arc<Watched>> {
        let mut runtimes = unpoisoned(self.runtimes.lock());
        runtimes.retain(|runtime| !runtime.probe.has_ended());
        runtimes.clone()
    }

    /// Adds one unless it is there.
    fn add(&self, handle: &Handle) {
        let number = of(handle);
        let mut runtimes = unpoisoned(self.runtimes.lock());
        runtimes.retain(|runtime| !runtime.probe.has_ended());
        let is_there = runtimes.iter().any(|runtime| runtime.number == number);
        if is_there || self.is_over() {
            return;
        }
        if runtimes.len() == RUNTIMES_MAX {
            drop(runtimes);
            let message = format!(
                "more than {RUNTIMES_MAX} runtimes are to be watched: further ones are not"
            );
            return crate::notice::of_recording(&self.notices, message);
        }
        let probe = Arc::new(Probe::new(number));
        runtimes.push(Arc::new(Watched {
            handle: handle.clone(),
            number,
            probe: Arc::clone(&probe),
        }));
        // To spawn may run code of the application.
        drop(runtimes);
        probe.start(handle);
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Watches nothing any more.
    fn end(&self) {
        let mut runtimes = unpoisoned(self.runtimes.lock());
        self.is_over.store(true, Ordering::Relaxed);
        let ended = std::mem::take(&mut *runtimes);
        drop(runtimes);
        ended.iter().for_each(|runtime| runtime.probe.end());
    }
}

/// Watches runtimes for one telemetry.
#[derive(Debug)]
pub(crate) struct Runtimes {
    config: RuntimeConfig,
    list: Arc<List>,
    /// What the watchdog begins with, until it does.
    start: Mutex<Option<Start>>,
    /// The watchdog ends when it is dropped; a message has it look at the list again.
    commands: Mutex<Option<SyncSender<()>>>,
    /// Where events go, if not to the process's subscriber.
    dispatch: Arc<OnceLock<WeakDispatch>>,
}

#[derive(Debug)]
struct Start {
    spans: PublishedSpans,
    #[cfg(feature = "otel")]
    provider: Option<crate::metrics::MeterProvider>,
}

impl Runtimes {
    pub(crate) fn new(
        config: RuntimeConfig,
        spans: PublishedSpans,
        notices: Notices,
        #[cfg(feature = "otel")] provider: Option<crate::metrics::MeterProvider>,
    ) -> Self {
        let start = Start {
            spans,
            #[cfg(feature = "otel")]
            provider,
        };
        Self {
            config,
            list: Arc::new(List {
                notices,
                ..List::default()
            }),
            start: Mutex::new(Some(start)),
            commands: Mutex::default(),
            dispatch: Arc::default(),
        }
    }

    /// Watches the runtime the caller is in, if it is in one and has not said otherwise. Events go to `dispatch`,
    /// or else to the process's subscriber.
    pub(crate) fn begin(&self, dispatch: Option<&Dispatch>) {
        if let Some(dispatch) = dispatch {
            let _ = self.dispatch.set(dispatch.downgrade());
        }
        if self.config.watches_current
            && let Ok(current) = Handle::try_current()
        {
            self.watch(&current);
        }
    }

    pub(crate) fn watch(&self, handle: &Handle) {
        crate::uncounted::uncounted(|| {
            let add = || self.list.add(handle);
            // A callsite of tokio that is met here for the first time is asked about of the thread's subscriber, and
            // for good: without one, nobody would ever see the spans of tasks.
            match self.dispatch.get().and_then(WeakDispatch::upgrade) {
                Some(dispatch) => tracing::dispatcher::with_default(&dispatch, add),
                None => add(),
            }
            let mut commands = unpoisoned(self.commands.lock());
            if let Some(start) = unpoisoned(self.start.lock()).take() {
                *commands = self.start(start);
            }
            if let Some(commands) = &*commands {
                // Where one waits already, that one will do.
                let _ = commands.try_send(());
            }
        });
    }

    fn start(&self, start: Start) -> Option<SyncSender<()>> {
        #[cfg(feature = "otel")]
        let measured = start.provider.map(|provider| {
            use opentelemetry::metrics::MeterProvider as _;
            instruments::Instruments::new(&provider.meter(instruments::SCOPE), &self.list)
        });
        let mut watchdog = Watchdog::new(
            self.config.blocked_after,
            Arc::clone(&self.list),
            start.spans,
            Arc::clone(&self.dispatch),
            #[cfg(feature = "otel")]
            measured,
        );
        let (commands, taken) = sync_channel(1);
        let thread = std::thread::Builder::new().name("ringlight-runtime".to_owned());
        match thread.spawn(move || watchdog.run(&taken)) {
            Ok(_) => Some(commands),
            Err(error) => {
                let message =
                    format!("runtimes are not watched: the system has no thread to give: {error}");
                crate::notice::of_recording(&self.list.notices, message);
                None
            }
        }
    }

    /// Watches nothing any more.
    pub(crate) fn end(&self) {
        self.list.end();
        drop(unpoisoned(self.start.lock()).take());
        drop(unpoisoned(self.commands.lock()).take());
    }
}
