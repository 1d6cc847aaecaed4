//! The store itself: opening, and the operations it offers.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use ringlight_model::{Decoder, RejectReason, Signal, TraceId, Value};

use crate::catalogue::{Catalogue, RunRow};
use crate::directory::DataDirectory;
use crate::intake::Records;
use crate::open::{Opened, open_slices};
use crate::open_reports::TooManySources;
use crate::slice::database_error;
use crate::state::{Shared, lock};
use crate::writer::{Message, Pending, Start, Writer, run_sealer};
use crate::{
    AttributeKey, AttributeSearch, Ingest, IngestError, IngestReceipt, InstanceStored, LogPage,
    LogSearch, MetricAnswer, MetricSearch, MetricSummary, OperationAnswer, OperationSearch, Run,
    SearchError, ServiceSummary, StoreConfig, StoreError, StoreStats, Trace, TracePage,
    TraceSearch, ValueSearch, duplicates, intake, now_unix_nano, search,
};

/// What is counted for a request beside its bytes, so that tiny ones are bounded, too.
const REQUEST_OVERHEAD_BYTES: usize = 4096;
/// Bytes of memory a byte of a request is expected to become, until that is known.
const COLUMNS_PER_WIRE_BYTE: usize = 3;
/// When a refused request should be sent again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// An open store. All operations may be called from any thread; they block, so an asynchronous
/// caller moves them to a thread that may.
pub struct Store {
    directory: DataDirectory,
    decoder: Arc<dyn Decoder>,
    shared: Arc<Shared>,
    messages: Sender<Message>,
    open: Mutex<OpenParts>,
}

/// What closing takes away.
struct OpenParts {
    catalogue: Option<Catalogue>,
    runs: Vec<RunRow>,
    threads: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("directory", &self.directory)
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store of a directory, creating it if there is none, and begins a run. A directory that another process has
    /// open is waited for, for half a second.
    ///
    /// # Errors
    /// When a field of the configuration is out of range, the directory cannot be used or belongs
    /// to something else, another process has it open, its format is newer, or the disk is full.
    pub fn open(config: StoreConfig, decoder: Arc<dyn Decoder>) -> Result<Self, StoreError> {
        config.validate()?;
        let path = config.data_dir.clone();
        Self::open_directory(config, decoder).map_err(|error| error.or_disk_full(&path))
    }

    fn open_directory(config: StoreConfig, decoder: Arc<dyn Decoder>) -> Result<Self, StoreError> {
        let directory = DataDirectory::open(&config.data_dir)?;
        let (catalogue, was_damaged) = Catalogue::open(directory.path())?;
        let now = now_unix_nano();
        let opened = open_slices(&config, now)?;
        let error = database_error("begin a run in", directory.path());
        end_crashed_runs(&catalogue, &opened).map_err(&error)?;
        let run = catalogue
            .begin_run(opened.last_run(), &config.command, now)
            .map_err(&error)?;
        let runs = catalogue.runs().map_err(&error)?;
        let shared = Arc::new(Shared::new(config, run, opened.state, opened.series));
        let corrupt = opened.corrupt + u64::from(was_damaged);
        shared.corrupt.store(corrupt, Ordering::Relaxed);
        let (messages, inbox) = channel();
        // One job a signal at a time, so that handing one over never waits.
        let (jobs, job_inbox) = sync_channel(3);
        let start = Start {
            shared: Arc::clone(&shared),
            slices: opened.writers,
            active: opened.active,
            next_seq: opened.last_seq + 1,
            batches: opened.batches,
        };
        let mut writer = Writer::new(start, inbox, jobs);
        writer.replay_intake(&*decoder);
        let threads = start_threads(writer, job_inbox, messages.clone())?;
        Ok(Self {
            directory,
            decoder,
            shared,
            messages,
            open: Mutex::new(OpenParts {
                catalogue: Some(catalogue),
                runs,
                threads,
            }),
        })
    }

    /// The directory it lives in.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        self.directory.path()
    }

    /// The number of the current run.
    #[must_use]
    pub fn run_id(&self) -> u64 {
        self.shared.run
    }

    /// Stores a request. Returns once it is durable and searches see it.
    ///
    /// # Errors
    /// When the request does not decode, too much is waiting already, the disk is full, writing
    /// fails or the store is closed. [`IngestError`] says when to try again.
    pub fn ingest(&self, ingest: Ingest<'_>) -> Result<IngestReceipt, IngestError> {
        let Ingest {
            signal,
            request,
            batch_id,
        } = ingest;
        if signal == Signal::Profiles {
            return Err(IngestError::UnsupportedSignal(signal));
        }
        let expected = request.len().saturating_mul(COLUMNS_PER_WIRE_BYTE) + REQUEST_OVERHEAD_BYTES;
        let mut reserved = Reserved::new(&self.shared);
        self.reserve(&mut reserved, expected)?;
        let received_unix_nano = now_unix_nano();
        let (records, mut rejected) =
            intake::decode(&*self.decoder, signal, request, received_unix_nano)
                .map_err(IngestError::Decode)?;
        if records.rows() == 0 {
            return Ok(IngestReceipt {
                rejected,
                ..IngestReceipt::default()
            });
        }
        let compressed = lz4_flex::block::compress(request);
        let needed = records.memory_bytes() + compressed.len() + REQUEST_OVERHEAD_BYTES;
        self.reserve(&mut reserved, needed)?;
        let (reply, answer) = sync_channel(1);
        let pending = Pending {
            records,
            request: compressed,
            length: request.len(),
            batch: batch_id.map(duplicates::BatchName::new),
            received_unix_nano,
            reserved_bytes: reserved.hand_over(),
            reply,
        };
        if let Err(refused) = self.messages.send(Message::Ingest(Box::new(pending))) {
            if let Message::Ingest(pending) = refused.0 {
                let bytes = pending.reserved_bytes;
                self.shared.head_bytes.fetch_sub(bytes, Ordering::Relaxed);
            }
            return Err(IngestError::Closed);
        }
        let outcome = answer.recv().map_err(|_| IngestError::Closed)??;
        if outcome.refused > 0 {
            rejected.push((RejectReason::TooManySeries, outcome.refused));
        }
        Ok(IngestReceipt {
            accepted: outcome.stored + outcome.duplicates,
            stored: outcome.stored,
            duplicates: outcome.duplicates,
            rejected,
        })
    }

    /// Shows spans that are still open to searches, as `source` says in an export request of spans
    /// that end now. What the same source said before is forgotten, and each span once it is stored.
    /// Returns before searches see it. Nothing of it is stored or counted. A span that several sources have
    /// is that of the first one.
    ///
    /// It waits for nobody: what one source says takes the place of what of it still waits. There are
    /// [`OPEN_SOURCES_MAX`](crate::OPEN_SOURCES_MAX) sources at most, until one says that nothing is open any
    /// more; how much each of them shows is bounded by whoever calls.
    ///
    /// # Errors
    /// When the request does not decode, there are too many sources, or the store is closed.
    pub fn show_open(&self, source: u64, request: &[u8]) -> Result<(), IngestError> {
        let decoded = intake::decode(&*self.decoder, Signal::Traces, request, now_unix_nano());
        let (records, _) = decoded.map_err(IngestError::Decode)?;
        if let Records::Spans(table) = records {
            let put = self.shared.open_reports().put(source, table);
            let must_call = put.map_err(|TooManySources| IngestError::Overloaded {
                retry_after: RETRY_AFTER,
            })?;
            if must_call && self.messages.send(Message::ShowOpen).is_err() {
                // Nobody will; the next one is told that, too.
                self.shared.open_reports().take();
                return Err(IngestError::Closed);
            }
        }
        Ok(())
    }

    /// Traces that match, newest first.
    ///
    /// # Errors
    /// When the query is not for traces or the cursor is not one of this store.
    pub fn search_traces(&self, search: &TraceSearch) -> Result<TracePage, SearchError> {
        search::search_traces(&self.shared, search)
    }

    /// A whole trace, if any span of it is stored. Of one that takes more than 256 MiB the first
    /// spans; [`Trace::spans_left_out`] says how many are missing.
    #[must_use]
    pub fn trace(&self, trace_id: TraceId) -> Option<Trace> {
        search::trace(&self.shared, trace_id, search::TRACE_BYTES_MAX)
    }

    /// Log records that match, newest first.
    ///
    /// # Errors
    /// When the query is not for logs or the cursor is not one of this store.
    pub fn search_logs(&self, search: &LogSearch) -> Result<LogPage, SearchError> {
        search::search_logs(&self.shared, search)
    }

    /// All metrics something is stored of, sorted by name.
    #[must_use]
    pub fn metrics(&self) -> Vec<MetricSummary> {
        search::metrics(&self.shared)
    }

    /// What a metric was like over time.
    ///
    /// # Errors
    /// When there is no such metric, the query is not for metrics, the aggregation makes no sense of
    /// its kind, or the answer would be too large.
    pub fn search_metric(&self, search: &MetricSearch) -> Result<MetricAnswer, SearchError> {
        search::search_metric(&self.shared, search)
    }

    /// What operations were like: how many spans, how many failed, how long they took. Spans that are open
    /// are not among them.
    ///
    /// # Errors
    /// When the time has too many steps or the answer would be too large.
    pub fn search_operations(
        &self,
        search: &OperationSearch,
    ) -> Result<OperationAnswer, SearchError> {
        search::search_operations(&self.shared, search)
    }

    /// All services something is stored of, sorted by name.
    #[must_use]
    pub fn services(&self) -> Vec<ServiceSummary> {
        search::services(&self.shared)
    }

    /// All runs, newest first. A run of which nothing is stored any more is left out, except for the
    /// current one.
    #[must_use]
    pub fn runs(&self) -> Vec<Run> {
        search::runs(&self.shared, &self.open_parts().runs)
    }

    /// Keys that queries can use, intrinsics first, then sorted.
    #[must_use]
    pub fn attributes(&self, search: &AttributeSearch<'_>) -> Vec<AttributeKey> {
        search::attributes(&self.shared, search)
    }

    /// Values a key has in the newest records, sorted. Looks at a bounded number of them.
    #[must_use]
    pub fn attribute_values(&self, search: &ValueSearch<'_>) -> Vec<Value<'static>> {
        search::attribute_values(&self.shared, search)
    }

    /// The state of the store.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        search::stats(&self.shared)
    }

    /// What each instance of a service has stored since the store was opened. Bounded: beyond
    /// 10 000 instances the oldest are forgotten.
    #[must_use]
    pub fn stored_by_instance(&self) -> Vec<InstanceStored> {
        self.shared.instances().all()
    }

    /// Seals what is in memory, ends the run and closes the files. Does nothing the second time.
    /// Dropping the store does the same. Searches still answer from what was sealed.
    pub fn close(&self) {
        let mut open = self.open_parts();
        let Some(catalogue) = open.catalogue.take() else {
            return;
        };
        // Fails only if the writer has ended already.
        let _ = self.messages.send(Message::Close);
        for thread in open.threads.drain(..) {
            let _ = thread.join();
        }
        let ended = now_unix_nano();
        // If this fails, the next start takes the run for one that crashed and ends it.
        let _ = catalogue.end_run(self.shared.run, ended);
        let run = self.shared.run;
        if let Some(row) = open.runs.iter_mut().find(|row| row.id == run) {
            row.ended_unix_nano = Some(ended);
        }
    }

    // Refused when the head has no room for it; then what is there is sealed without waiting for
    // more, so that there is room when the request comes again.
    fn reserve(&self, reserved: &mut Reserved<'_>, bytes: usize) -> Result<(), IngestError> {
        if reserved.set(bytes) {
            return Ok(());
        }
        // Relaxed: the message orders what the writer does, this only keeps it to one at a time.
        if !self.shared.wants_room.swap(true, Ordering::Relaxed) {
            // Fails only if the writer has ended already.
            let _ = self.messages.send(Message::MakeRoom);
        }
        Err(IngestError::Overloaded {
            retry_after: RETRY_AFTER,
        })
    }

    fn open_parts(&self) -> MutexGuard<'_, OpenParts> {
        lock(&self.open)
    }

    #[cfg(test)]
    pub(crate) fn trace_within(&self, trace_id: TraceId, bytes_max: usize) -> Option<Trace> {
        search::trace(&self.shared, trace_id, bytes_max)
    }

    #[cfg(test)]
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The writer does nothing until this is received, once it has come to it.
    #[cfg(test)]
    pub(crate) fn hold_writer(&self) -> Receiver<()> {
        let (reply, answer) = sync_channel(0);
        let message = Message::HoldSeals(false, reply);
        assert!(self.messages.send(message).is_ok());
        answer
    }

    #[cfg(test)]
    pub(crate) fn ask(&self, message: impl FnOnce(std::sync::mpsc::SyncSender<()>) -> Message) {
        let (reply, answer) = sync_channel(1);
        assert!(self.messages.send(message(reply)).is_ok());
        answer.recv().unwrap();
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}

/// Memory set aside for a request until the writer takes care of it.
struct Reserved<'a> {
    shared: &'a Shared,
    bytes: usize,
}

impl<'a> Reserved<'a> {
    const fn new(shared: &'a Shared) -> Self {
        Self { shared, bytes: 0 }
    }

    /// Sets aside so much instead of what was set aside before. False when the head has no room for
    /// it; a request that alone is larger is let in when there is nothing else.
    fn set(&mut self, bytes: usize) -> bool {
        let head_bytes = &self.shared.head_bytes;
        let before = head_bytes.fetch_add(bytes, Ordering::Relaxed);
        let others = before.saturating_sub(self.bytes);
        head_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = bytes;
        others == 0 || others.saturating_add(bytes) <= self.shared.config.head_bytes_max
    }

    fn hand_over(mut self) -> usize {
        std::mem::take(&mut self.bytes)
    }
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        self.shared
            .head_bytes
            .fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

// A run that was not closed ended when the last of its requests arrived, for all that is known.
fn end_crashed_runs(catalogue: &Catalogue, opened: &Opened) -> Result<(), rusqlite::Error> {
    for run in catalogue.runs()? {
        if run.ended_unix_nano.is_none() {
            let last = opened.last_received(run.id);
            catalogue.end_run(run.id, last.max(run.started_unix_nano))?;
        }
    }
    Ok(())
}

fn start_threads(
    writer: Writer,
    jobs: Receiver<crate::writer::SealJob>,
    messages: Sender<Message>,
) -> Result<Vec<JoinHandle<()>>, StoreError> {
    let builder = |name: &str| std::thread::Builder::new().name(name.to_owned());
    let thread_error = |source| StoreError::Thread { source };
    let sealer = builder("ringlight-sealer")
        .spawn(move || run_sealer(&jobs, &messages))
        .map_err(thread_error)?;
    let writer = builder("ringlight-store")
        .spawn(move || writer.run())
        .map_err(thread_error)?;
    Ok(vec![writer, sealer])
}
