//! Head and blocks alike, as sources of rows.

use std::collections::{HashMap, HashSet, VecDeque};
use std::ops::Deref;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::SearchStats;
use crate::block::section::{Section, SectionSet};
use crate::slice::ReadError;
use crate::state::{Block, BlockKey, Chunk, Shared, Snapshot};
use crate::table::{Table, WantedKeys};

/// Blocks kept decoded during a search.
const LOADED_MAX: usize = 12;

/// Rows that are searched together: a request of the head, or a block.
#[derive(Debug)]
pub(crate) enum Source<T> {
    Chunk(Arc<Chunk<T>>),
    Block(Arc<Block>),
}

impl<T> Clone for Source<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Chunk(chunk) => Self::Chunk(Arc::clone(chunk)),
            Self::Block(block) => Self::Block(Arc::clone(block)),
        }
    }
}

impl<T: Table> Source<T> {
    /// All sources of a snapshot that have rows of requests up to `last_seq`, those with the newest
    /// rows first.
    pub(crate) fn newest_first(snapshot: &Snapshot<T>, last_seq: u64) -> Vec<Self> {
        let chunks = snapshot.chunks.iter().cloned().map(Self::Chunk);
        let blocks = snapshot.blocks.iter().cloned().map(Self::Block);
        let mut sources: Vec<Self> = chunks
            .chain(blocks)
            .filter(|source| source.first_seq() <= last_seq)
            .collect();
        sources.sort_by_key(|source| std::cmp::Reverse(source.time_max()));
        sources
    }

    pub(crate) fn first_seq(&self) -> u64 {
        match self {
            Self::Chunk(chunk) => chunk.seq,
            Self::Block(block) => block.info.first_seq,
        }
    }

    /// Whether its rows are not stored, but spans that are still open.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Self::Chunk(chunk) if chunk.open_of.is_some())
    }

    pub(crate) fn run(&self) -> u64 {
        match self {
            Self::Chunk(chunk) => chunk.run,
            Self::Block(block) => block.info.run,
        }
    }

    pub(crate) fn time_min(&self) -> u64 {
        match self {
            Self::Chunk(chunk) => chunk.time_min,
            Self::Block(block) => block.info.time_min,
        }
    }

    pub(crate) fn time_max(&self) -> u64 {
        match self {
            Self::Chunk(chunk) => chunk.time_max,
            Self::Block(block) => block.info.time_max,
        }
    }
}

/// The rows of a source, with at least the sections asked for.
#[derive(Debug)]
pub(crate) enum Rows<T> {
    Chunk(Arc<Chunk<T>>),
    Block(Arc<T>),
}

impl<T> Deref for Rows<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Chunk(chunk) => &chunk.table,
            Self::Block(table) => table,
        }
    }
}

/// Reads blocks for one search, each section once while it is kept, and counts what it read.
#[derive(Debug)]
pub(crate) struct Loader<'a, T> {
    pub(crate) shared: &'a Shared,
    pub(crate) stats: SearchStats,
    /// Which attributes it reads.
    pub(crate) keys: WantedKeys,
    loaded: HashMap<BlockKey, Arc<T>, RandomState>,
    order: VecDeque<BlockKey>,
    read: HashSet<BlockKey, RandomState>,
    /// The texts of a block's values, of which nothing else was needed so far.
    values: Option<(BlockKey, Vec<u8>)>,
    broken: HashSet<BlockKey, RandomState>,
}

impl<'a, T: Table> Loader<'a, T> {
    pub(crate) fn new(shared: &'a Shared, blocks_total: usize) -> Self {
        Self {
            shared,
            stats: SearchStats {
                blocks_total: blocks_total as u64,
                ..SearchStats::default()
            },
            keys: WantedKeys::All,
            loaded: HashMap::default(),
            order: VecDeque::new(),
            read: HashSet::default(),
            values: None,
            broken: HashSet::default(),
        }
    }

    /// The rows of a source; `None` for a block that cannot be read.
    pub(crate) fn rows(&mut self, source: &Source<T>, sections: SectionSet) -> Option<Rows<T>> {
        match source {
            Source::Chunk(chunk) => Some(Rows::Chunk(Arc::clone(chunk))),
            Source::Block(block) => self.block(block, sections).map(Rows::Block),
        }
    }

    /// The rows of a block, with the dictionary, the core and the sections asked for.
    pub(crate) fn block(&mut self, block: &Block, sections: SectionSet) -> Option<Arc<T>> {
        let key = block.key();
        if self.broken.contains(&key) {
            return None;
        }
        let known = self.loaded.remove(&key);
        let mut table = match known {
            Some(table) if table.loaded().contains_all(sections) => {
                self.loaded.insert(key, Arc::clone(&table));
                return Some(table);
            }
            Some(table) => Arc::try_unwrap(table).unwrap_or_default(),
            None => T::default(),
        };
        let values = self.values.take_if(|(of, _)| *of == key);
        let values = values.map(|(_, values)| values);
        if let Err(error) = load(&mut table, block, sections, &self.keys, values) {
            self.give_up(block, &error);
            return None;
        }
        if self.read.insert(key) {
            self.stats.blocks_read += 1;
        }
        let table = Arc::new(table);
        self.keep(key, Arc::clone(&table));
        Some(table)
    }

    fn keep(&mut self, key: BlockKey, table: Arc<T>) {
        if self.loaded.insert(key, table).is_none() {
            self.order.retain(|known| *known != key);
            self.order.push_back(key);
        }
        while self.loaded.len() > LOADED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.loaded.remove(&oldest);
        }
    }

    /// The bytes of a section on its own; `None` for a block that cannot be read.
    pub(crate) fn section(&mut self, block: &Block, section: Section) -> Option<Vec<u8>> {
        if self.broken.contains(&block.key()) {
            return None;
        }
        match block.section(section) {
            Ok(bytes) => Some(bytes),
            Err(error) => {
                self.give_up(block, &error);
                None
            }
        }
    }

    /// Asks about the texts of a block's values, as they are stored: with other bytes before them,
    /// and without any between them. No for a block that cannot be read.
    pub(crate) fn ask_values(
        &mut self,
        block: &Block,
        question: impl FnOnce(&[u8]) -> bool,
    ) -> bool {
        let Some(bytes) = self.section(block, Section::Values) else {
            return false;
        };
        let answer = question(&bytes);
        if answer {
            self.values = Some((block.key(), bytes));
        }
        answer
    }

    /// The rows of a block that was read before and is still kept.
    pub(crate) fn kept(&self, block: &Block) -> Option<&Arc<T>> {
        self.loaded.get(&block.key())
    }

    /// What an index answers about a source: of the head always yes, of a block that cannot be read
    /// no.
    pub(crate) fn ask(
        &mut self,
        source: &Source<T>,
        question: impl FnOnce(&Block, &Shared) -> Result<bool, ReadError>,
    ) -> bool {
        let Source::Block(block) = source else {
            return true;
        };
        question(block, self.shared).unwrap_or_else(|error| {
            self.give_up(block, &error);
            false
        })
    }

    /// Counts what another loader read for the same search, and keeps what that one kept.
    pub(crate) fn account(&mut self, mut other: Self) {
        self.stats.records_scanned += other.stats.records_scanned;
        self.stats.blocks_corrupt += other.stats.blocks_corrupt;
        self.broken.extend(other.broken);
        for key in other.read {
            self.stats.blocks_read += u64::from(self.read.insert(key));
        }
        for key in other.order {
            if let Some(table) = other.loaded.remove(&key)
                && !self.loaded.contains_key(&key)
            {
                self.keep(key, table);
            }
        }
    }

    /// Leaves a block out of the rest of the search.
    pub(crate) fn give_up(&mut self, block: &Block, error: &ReadError) {
        if !self.broken.insert(block.key()) {
            return;
        }
        // A slice that was deleted meanwhile is not damage.
        let is_held = {
            let state = self.shared.read();
            state.slices.iter().any(|slice| slice.id == block.slice.id)
        };
        if is_held || matches!(error, ReadError::Corrupt(_)) {
            self.stats.blocks_corrupt += 1;
            self.shared.count_corrupt();
        }
    }
}

fn load<T: Table>(
    table: &mut T,
    block: &Block,
    sections: SectionSet,
    keys: &WantedKeys,
    mut values: Option<Vec<u8>>,
) -> Result<(), ReadError> {
    let rows = block.info.rows as usize;
    let always = [Section::Core, Section::Dictionary];
    for section in always.into_iter().chain(sections.iter()) {
        if !table.loaded().contains(section) {
            let known = values.take_if(|_| section == Section::Values);
            let bytes = match known {
                Some(bytes) => bytes,
                None => block.section(section)?,
            };
            table.read_section(section, rows, &bytes, keys)?;
        }
    }
    Ok(())
}
