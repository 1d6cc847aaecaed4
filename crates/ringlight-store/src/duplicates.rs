//! What was stored before is not stored again.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, RandomState};

use hashbrown::{HashMap, HashSet};
use ringlight_model::{SpanId, TraceId};
use twox_hash::XxHash3_128;

use crate::block::filter::{may_contain, trace_hash};
use crate::block::section::Section;
use crate::state::{Block, BlockKey, Shared};
use crate::table::{SpanTable, WantedKeys};

/// Requests among which a repeated batch is recognized, counted over both signals.
pub(crate) const BATCHES_MAX: u64 = 65_536;

/// Spans whose ids are kept in memory, in each of two generations.
const GENERATION_SPANS: usize = 262_144;

/// The name of a batch, as it is remembered, and those of the batches it is a part of.
///
/// A client that sends a batch in halves calls those of `p-7` `p.1-7` and `p.2-7`, and the first half of the second one
/// `p.2.1-7`. If the whole was stored and only the answer was lost, its halves are stored as well.
#[derive(Debug)]
pub(crate) struct BatchName {
    pub(crate) hash: u128,
    wholes: Vec<u128>,
}

impl BatchName {
    pub(crate) fn new(id: &str) -> Self {
        let hash = |id: &str| XxHash3_128::oneshot(id.as_bytes());
        let mut wholes = Vec::new();
        if let Some((mut process, number)) = id.rsplit_once('-') {
            let half = |process: &str| {
                process
                    .strip_suffix(".1")
                    .or(process.strip_suffix(".2"))
                    .map(str::len)
            };
            while let Some(whole) = half(process) {
                process = &process[..whole];
                wholes.push(hash(&format!("{process}-{number}")));
            }
        }
        Self {
            hash: hash(id),
            wholes,
        }
    }
}

/// The batch ids seen last.
#[derive(Debug, Default)]
pub(crate) struct Batches {
    known: HashSet<u128, foldhash::fast::RandomState>,
    order: VecDeque<u128>,
}

impl Batches {
    /// Whether a batch was stored, by itself or as a part of another.
    pub(crate) fn contains(&self, batch: &BatchName) -> bool {
        let mut names = std::iter::once(&batch.hash).chain(&batch.wholes);
        names.any(|name| self.known.contains(name))
    }

    /// Remembers a batch, forgetting the oldest if there are too many.
    pub(crate) fn insert(&mut self, batch: u128) {
        if self.known.insert(batch) {
            self.order.push_back(batch);
        }
        if self.order.len() as u64 > BATCHES_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// Forgets a batch that could not be stored after all.
    pub(crate) fn remove(&mut self, batch: u128) {
        if self.known.remove(&batch) {
            self.order.retain(|known| *known != batch);
        }
    }
}

/// The spans seen last, by a hash of their ids.
///
/// The hash is seeded by the process, so that ids cannot be chosen to collide; among a million
/// spans by chance, one is taken for another with a probability of 1 in 10^13.
#[derive(Debug)]
pub(crate) struct Spans {
    hasher: RandomState,
    current: HashSet<u64, Identity>,
    previous: HashSet<u64, Identity>,
    current_first_seq: u64,
    /// Every span of a request from this one on is known here; older ones are in blocks.
    pub(crate) complete_from_seq: u64,
}

impl Spans {
    /// Knows nothing of requests before `next_seq`.
    pub(crate) fn new(next_seq: u64) -> Self {
        Self {
            hasher: RandomState::new(),
            current: HashSet::default(),
            previous: HashSet::default(),
            current_first_seq: next_seq,
            complete_from_seq: next_seq,
        }
    }

    pub(crate) fn hash(&self, trace: TraceId, span: SpanId) -> u64 {
        self.hasher.hash_one((trace, span))
    }

    /// Remembers a span; false if it was known.
    pub(crate) fn insert(&mut self, hash: u64) -> bool {
        !self.previous.contains(&hash) && self.current.insert(hash)
    }

    /// Whether a span is known.
    pub(crate) fn contains(&self, hash: u64) -> bool {
        self.previous.contains(&hash) || self.current.contains(&hash)
    }

    /// Forgets a span that could not be stored after all.
    pub(crate) fn remove(&mut self, hash: u64) {
        self.current.remove(&hash);
    }

    /// Begins a new generation when the current one is full. `sealed_until` is the last request all
    /// of whose spans are in blocks: what is forgotten must be found there.
    pub(crate) fn rotate(&mut self, next_seq: u64, sealed_until: u64) {
        if self.current.len() >= GENERATION_SPANS && sealed_until + 1 >= self.current_first_seq {
            self.previous = std::mem::take(&mut self.current);
            self.complete_from_seq = self.current_first_seq;
            self.current_first_seq = next_seq;
        }
    }
}

/// Hashes are hashed already.
#[derive(Debug, Clone, Default)]
pub(crate) struct Identity(u64);

impl std::hash::BuildHasher for Identity {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        Self(0)
    }
}

impl std::hash::Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }
}

/// Marks the rows of a request that are in blocks older than what [`Spans`] knows.
///
/// A repeated span has the time it had, so only blocks around that time come into question: for
/// telemetry as it happens, none.
pub(crate) fn mark_stored_before(
    table: &SpanTable,
    blocks: &[std::sync::Arc<Block>],
    complete_from_seq: u64,
    shared: &Shared,
    is_duplicate: &mut [bool],
) {
    let (Some(&first), Some(&last)) = (table.starts.iter().min(), table.starts.iter().max()) else {
        return;
    };
    let around: Vec<_> = blocks
        .iter()
        .filter(|block| {
            let info = &block.info;
            info.first_seq < complete_from_seq && info.time_min <= last && info.time_max >= first
        })
        .collect();
    if around.is_empty() {
        return;
    }
    let mut rows_of: Vec<Vec<usize>> = vec![Vec::new(); table.traces.ids.len()];
    for (row, &trace) in table.traces.rows.iter().enumerate() {
        rows_of[trace as usize].push(row);
    }
    let mut loaded: HashMap<BlockKey, Option<SpanTable>, foldhash::fast::RandomState> =
        HashMap::default();
    for (&trace_id, rows) in table.traces.ids.iter().zip(&rows_of) {
        let hash = trace_hash(trace_id);
        for block in &around {
            let is_possible = shared
                .trace_filter(block)
                .is_ok_and(|filter| may_contain(&filter, hash));
            if !is_possible {
                continue;
            }
            let stored = loaded
                .entry(block.key())
                .or_insert_with(|| load_ids(block).ok());
            if let Some(stored) = stored {
                mark(table, rows, trace_id, stored, is_duplicate);
            }
        }
    }
}

fn load_ids(block: &Block) -> Result<SpanTable, crate::slice::ReadError> {
    let mut stored = SpanTable::default();
    for section in [Section::Core, Section::Traces, Section::Ids] {
        let bytes = block.section(section)?;
        stored.read_section(section, block.info.rows as usize, &bytes, &WantedKeys::All)?;
    }
    Ok(stored)
}

fn mark(
    table: &SpanTable,
    rows: &[usize],
    trace_id: TraceId,
    stored: &SpanTable,
    is_duplicate: &mut [bool],
) {
    let Some(trace) = stored.traces.ids.iter().position(|&id| id == trace_id) else {
        return;
    };
    let known: HashSet<SpanId, foldhash::fast::RandomState> = stored
        .traces
        .rows
        .iter()
        .zip(&stored.span_ids)
        .filter(|&(&number, _)| number as usize == trace)
        .map(|(_, &id)| id)
        .collect();
    for &row in rows {
        is_duplicate[row] |= known.contains(&table.span_ids[row]);
    }
}
