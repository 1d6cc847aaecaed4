//! What a store holds at a moment, shared between the writer and the searches.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

use crate::block::BlockInfo;
use crate::block::section::Section;
use crate::open_reports::OpenReports;
use crate::search::{Turn, Turns};
use crate::series::Registry;
use crate::slice::{ReadError, Slice};
use crate::table::{LogTable, MetricTable, SpanTable, Table};
use crate::{AttributeKey, Cancel, InstanceStored, SearchError, StoreConfig};

/// Keys offered for completion; those found later are not offered.
const KEYS_MAX: usize = 20_000;
/// Instances of services that are accounted for; the oldest are forgotten first.
const INSTANCES_MAX: usize = 10_000;
/// Bytes of trace filters kept in memory.
const TRACE_FILTERS_BYTES_MAX: usize = 32 << 20;

/// Nothing is left half-done under the locks of a store, so a poisoned one is as good as another.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The records of one request, in memory and in the intake.
#[derive(Debug)]
pub(crate) struct Chunk<T> {
    /// The slice in whose intake it is.
    pub(crate) slice: u32,
    pub(crate) seq: u64,
    pub(crate) run: u64,
    pub(crate) received_unix_nano: u64,
    pub(crate) since: Instant,
    pub(crate) memory_bytes: usize,
    pub(crate) time_min: u64,
    pub(crate) time_max: u64,
    /// Whole, with at least one row.
    pub(crate) table: T,
    /// Who says that these spans are still open, in a chunk that is in no intake and no head.
    pub(crate) open_of: Option<u64>,
}

/// A sealed block.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) slice: Arc<Slice>,
    pub(crate) id: u64,
    pub(crate) info: BlockInfo,
}

impl Block {
    pub(crate) fn section(&self, section: Section) -> Result<Vec<u8>, ReadError> {
        self.slice.section(self.id, section)
    }

    pub(crate) fn key(&self) -> BlockKey {
        (self.slice.id, self.id)
    }
}

/// Names a block among all there are.
pub(crate) type BlockKey = (u32, u64);

/// The records of one signal.
#[derive(Debug)]
pub(crate) struct SignalState<T> {
    /// Not sealed yet, oldest first.
    pub(crate) head: VecDeque<Arc<Chunk<T>>>,
    /// Sealed, oldest first. Shared with searches, copied when it changes meanwhile.
    pub(crate) blocks: Arc<Vec<Arc<Block>>>,
    /// What is not stored: spans that are still open, by who says so.
    pub(crate) open: BTreeMap<u64, Arc<Chunk<T>>>,
}

impl<T> Default for SignalState<T> {
    fn default() -> Self {
        Self {
            head: VecDeque::new(),
            blocks: Arc::default(),
            open: BTreeMap::new(),
        }
    }
}

/// Everything there is. Written by the writer alone.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) spans: SignalState<SpanTable>,
    pub(crate) logs: SignalState<LogTable>,
    pub(crate) metrics: SignalState<MetricTable>,
    /// Oldest first; the last is the one written to.
    pub(crate) slices: Vec<Arc<Slice>>,
    /// The newest request searches see.
    pub(crate) last_seq: u64,
    /// Keys seen in spans, and in log records.
    pub(crate) keys: [BTreeSet<AttributeKey>; 2],
}

impl State {
    pub(crate) fn add_keys(&mut self, info: &mut BlockInfo) {
        let Some(known) = self.keys.get_mut(info.signal as usize) else {
            return;
        };
        for key in std::mem::take(&mut info.keys) {
            if known.len() < KEYS_MAX {
                known.insert(key);
            }
        }
    }
}

/// One signal as it was at a moment.
#[derive(Debug)]
pub(crate) struct Snapshot<T> {
    pub(crate) chunks: Vec<Arc<Chunk<T>>>,
    pub(crate) blocks: Arc<Vec<Arc<Block>>>,
    pub(crate) last_seq: u64,
}

/// Shared by all parts of a store.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: StoreConfig,
    pub(crate) run: u64,
    state: RwLock<State>,
    /// Taken after the state where both are.
    series: RwLock<Registry>,
    /// Memory of the head and of requests on their way there. Added to by whoever brings a request,
    /// taken from by the writer. Relaxed: it orders nothing, and a bound that is late by a request
    /// still bounds.
    pub(crate) head_bytes: AtomicUsize,
    /// Whether the writer was asked to make room in the head and has not seen that yet. Relaxed, as
    /// it only keeps requests from asking again.
    pub(crate) wants_room: AtomicBool,
    /// Whether the last write failed for lack of space. Relaxed, as it is only shown.
    pub(crate) disk_full: AtomicBool,
    /// Damaged things met. Relaxed, as it is only shown.
    pub(crate) corrupt: AtomicU64,
    instances: Mutex<Instances>,
    open_reports: Mutex<OpenReports>,
    trace_filters: Mutex<TraceFilters>,
    /// For the one search that keeps totals of all traces, which takes memory.
    totals: Turns,
}

impl Shared {
    pub(crate) fn new(config: StoreConfig, run: u64, state: State, series: Registry) -> Self {
        Self {
            config,
            run,
            state: RwLock::new(state),
            series: RwLock::new(series),
            head_bytes: AtomicUsize::new(0),
            wants_room: AtomicBool::new(false),
            disk_full: AtomicBool::new(false),
            corrupt: AtomicU64::new(0),
            instances: Mutex::default(),
            open_reports: Mutex::default(),
            trace_filters: Mutex::default(),
            totals: Turns::default(),
        }
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The series there are.
    pub(crate) fn series(&self) -> RwLockReadGuard<'_, Registry> {
        self.series.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same for the writer.
    pub(crate) fn series_mut(&self) -> RwLockWriteGuard<'_, Registry> {
        self.series.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn snapshot<T: Table>(&self) -> Snapshot<T> {
        let state = self.read();
        let signal = T::state(&state);
        Snapshot {
            chunks: signal
                .head
                .iter()
                .chain(signal.open.values())
                .cloned()
                .collect(),
            blocks: Arc::clone(&signal.blocks),
            last_seq: state.last_seq,
        }
    }

    pub(crate) fn count_corrupt(&self) {
        self.corrupt.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn instances(&self) -> MutexGuard<'_, Instances> {
        lock(&self.instances)
    }

    pub(crate) fn open_reports(&self) -> MutexGuard<'_, OpenReports> {
        lock(&self.open_reports)
    }

    /// Waits until no other search keeps totals of all traces.
    pub(crate) fn turn_for_totals(&self, cancel: &Cancel) -> Result<Turn<'_>, SearchError> {
        self.totals.take(cancel)
    }

    /// The trace filter of a block, from memory if it is there.
    pub(crate) fn trace_filter(&self, block: &Block) -> Result<Arc<[u8]>, ReadError> {
        if let Some(filter) = lock(&self.trace_filters).filters.get(&block.key()) {
            return Ok(Arc::clone(filter));
        }
        let filter: Arc<[u8]> = block.section(Section::TraceFilter)?.into();
        lock(&self.trace_filters).insert(block.key(), Arc::clone(&filter));
        Ok(filter)
    }
}

#[derive(Debug, Default)]
struct TraceFilters {
    filters: HashMap<BlockKey, Arc<[u8]>, foldhash::fast::RandomState>,
    order: VecDeque<BlockKey>,
    bytes: usize,
}

impl TraceFilters {
    fn insert(&mut self, key: BlockKey, filter: Arc<[u8]>) {
        self.bytes += filter.len();
        if let Some(replaced) = self.filters.insert(key, filter) {
            self.bytes -= replaced.len();
        } else {
            self.order.push_back(key);
        }
        while self.bytes > TRACE_FILTERS_BYTES_MAX {
            let Some(oldest) = self.order.pop_front() else {
                return;
            };
            if let Some(removed) = self.filters.remove(&oldest) {
                self.bytes -= removed.len();
            }
        }
    }
}

/// What each instance has stored, by instance and service.
#[derive(Debug, Default)]
pub(crate) struct Instances {
    known: HashMap<(String, String), InstanceStored>,
    order: VecDeque<(String, String)>,
}

impl Instances {
    /// The account of an instance.
    pub(crate) fn entry(&mut self, instance: &str, service: &str) -> &mut InstanceStored {
        let key = (instance.to_owned(), service.to_owned());
        if !self.known.contains_key(&key) {
            self.order.push_back(key.clone());
            if self.order.len() > INSTANCES_MAX
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
            }
        }
        self.known
            .entry(key)
            .or_insert_with_key(|(instance, service)| InstanceStored {
                instance: instance.clone(),
                service: service.clone(),
                ..InstanceStored::default()
            })
    }

    pub(crate) fn all(&self) -> Vec<InstanceStored> {
        let mut all: Vec<_> = self.known.values().cloned().collect();
        all.sort_by(|a, b| (&a.service, &a.instance).cmp(&(&b.service, &b.instance)));
        all
    }
}
