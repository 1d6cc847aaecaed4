//! Opening: what the files of a data directory hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashSet;
use ringlight_model::{Decoder, Signal};

use crate::block::section::Section;
use crate::codec::Reader;
use crate::duplicates::{BATCHES_MAX, Batches};
use crate::series::{Arrival, Registry};
use crate::slice::{IntakeRow, Slice, SliceContents, SliceWriter, is_unfinished, parse_file_name};
use crate::state::{Block, State};
use crate::table::{read_index, read_listed};
use crate::writer::Writer;
use crate::{StoreConfig, StoreError, intake};

/// What was found.
pub(crate) struct Opened {
    pub(crate) state: State,
    /// Slices with requests that are not sealed, and the active one.
    pub(crate) writers: BTreeMap<u32, SliceWriter>,
    pub(crate) active: u32,
    pub(crate) last_seq: u64,
    pub(crate) batches: Batches,
    pub(crate) series: Registry,
    /// Damaged slices and blocks.
    pub(crate) corrupt: u64,
}

impl Opened {
    fn infos(&self) -> impl Iterator<Item = &crate::block::BlockInfo> {
        let spans = self.state.spans.blocks.iter();
        spans
            .chain(self.state.logs.blocks.iter())
            .chain(self.state.metrics.blocks.iter())
            .map(|block| &block.info)
    }

    /// The newest run that has blocks.
    pub(crate) fn last_run(&self) -> u64 {
        self.infos().map(|info| info.run).max().unwrap_or(0)
    }

    /// When the last sealed request of a run arrived; zero if there is none.
    pub(crate) fn last_received(&self, run: u64) -> u64 {
        self.infos()
            .filter(|info| info.run == run)
            .map(|info| info.received_max)
            .max()
            .unwrap_or(0)
    }
}

/// Reads the index of every slice. A slice that cannot be read is left out, counted and left alone.
pub(crate) fn open_slices(config: &StoreConfig, now_unix_nano: u64) -> Result<Opened, StoreError> {
    let directory = &config.data_dir;
    let ids = slice_ids(config)?;
    let mut opened = Opened {
        state: State::default(),
        writers: BTreeMap::new(),
        active: 0,
        last_seq: 0,
        batches: Batches::default(),
        series: Registry::new(config.series_max),
        corrupt: 0,
    };
    let mut batches: Vec<u128> = Vec::new();
    // The newest first, so that the newest batches are found first.
    for &id in ids.iter().rev() {
        let found = SliceWriter::open(config, id, None);
        let (writer, created) = match found {
            Ok(found) => found,
            Err(error @ StoreError::NewerFormat { .. }) => return Err(error),
            // Nothing is damaged.
            Err(error) if error.is_lack_of_room(directory) => return Err(error),
            Err(_) if is_unfinished(directory, id) => {
                Slice::new(directory, id, 0).unlink();
                continue;
            }
            Err(_) => {
                opened.corrupt += 1;
                continue;
            }
        };
        let Ok(contents) = writer.contents() else {
            opened.corrupt += 1;
            continue;
        };
        let wanted = (BATCHES_MAX as usize).saturating_sub(batches.len());
        batches.extend(writer.batches(wanted).unwrap_or_default());
        opened.last_seq = opened.last_seq.max(contents.last_seq);
        let is_newest = ids.last() == Some(&id);
        let slice = Arc::new(Slice::new(directory, id, created));
        if is_newest || contents.intake_rows > 0 {
            opened.writers.insert(id, writer);
        }
        opened.corrupt += add_blocks(&mut opened.state, &slice, contents);
        opened.state.slices.insert(0, slice);
    }
    for batch in batches.into_iter().rev() {
        opened.batches.insert(batch);
    }
    sort_blocks(&mut opened.state);
    opened.corrupt += add_series(&mut opened.series, &opened.state.metrics.blocks);
    opened.state.last_seq = opened.last_seq;
    match opened.state.slices.last().map(|slice| slice.id) {
        Some(id) if opened.writers.contains_key(&id) && ids.last() == Some(&id) => {
            opened.active = id;
        }
        _ => begin_first(config, &mut opened, &ids, now_unix_nano)?,
    }
    Ok(opened)
}

fn slice_ids(config: &StoreConfig) -> Result<Vec<u32>, StoreError> {
    let error = |source| StoreError::Io {
        action: "read directory",
        path: config.data_dir.clone(),
        source,
    };
    let mut ids = Vec::new();
    let mut logs = Vec::new();
    for entry in std::fs::read_dir(&config.data_dir).map_err(error)? {
        let entry = entry.map_err(error)?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        ids.extend(parse_file_name(name));
        let log_of = ["-wal", "-shm"]
            .iter()
            .find_map(|end| name.strip_suffix(end));
        logs.extend(
            log_of
                .and_then(parse_file_name)
                .map(|id| (id, entry.path())),
        );
    }
    ids.sort_unstable();
    for (id, path) in logs {
        if ids.binary_search(&id).is_err() {
            // What a process left that ended while it deleted the slice. If it cannot be deleted
            // now, the next start tries again.
            let _ = std::fs::remove_file(path);
        }
    }
    Ok(ids)
}

fn begin_first(
    config: &StoreConfig,
    opened: &mut Opened,
    ids: &[u32],
    now_unix_nano: u64,
) -> Result<(), StoreError> {
    let id = ids.last().copied().unwrap_or(0) + 1;
    let (writer, created) = SliceWriter::open(config, id, Some(now_unix_nano))?;
    let slice = Slice::new(&config.data_dir, id, created);
    opened.writers.insert(id, writer);
    opened.state.slices.push(Arc::new(slice));
    opened.active = id;
    Ok(())
}

// Gives how many blocks are damaged.
fn add_blocks(state: &mut State, slice: &Arc<Slice>, contents: SliceContents) -> u64 {
    let mut corrupt = 0;
    for (id, info) in contents.blocks {
        let Some(mut info) = info else {
            corrupt += 1;
            continue;
        };
        state.add_keys(&mut info);
        let signal = info.signal;
        let block = Arc::new(Block {
            slice: Arc::clone(slice),
            id,
            info,
        });
        let blocks = match signal {
            Signal::Logs => &mut state.logs.blocks,
            Signal::Metrics => &mut state.metrics.blocks,
            _ => &mut state.spans.blocks,
        };
        Arc::make_mut(blocks).push(block);
    }
    corrupt
}

fn sort_blocks(state: &mut State) {
    let State {
        spans,
        logs,
        metrics,
        ..
    } = state;
    for blocks in [&mut spans.blocks, &mut logs.blocks, &mut metrics.blocks] {
        Arc::make_mut(blocks).sort_by_key(|block| block.key());
    }
}

/// Blocks whose series are asked for the times of their newest points: for older ones the time of the
/// block that lists a series has to do.
const LAST_TIMES_BLOCKS_MAX: usize = 512;

// Takes over what the blocks of metrics say of their series. Gives how many are damaged.
fn add_series(series: &mut Registry, blocks: &[Arc<Block>]) -> u64 {
    let mut corrupt = 0;
    let mut left_out: HashSet<u64, RandomState> = HashSet::default();
    let arrival = |block: &Block| Arrival {
        slice: block.slice.id,
        received_unix_nano: block.info.received_max,
        is_stored: true,
    };
    for block in blocks.iter().rev() {
        series.reserve(block.info.series_max());
        let listed = block.section(Section::Dictionary);
        match listed
            .map_err(|_| ())
            .and_then(|bytes| read_listed(&bytes).map_err(|_| ()))
        {
            Ok(listed) => series.list(listed, arrival(block), block.info.time_min, &mut left_out),
            Err(()) => corrupt += 1,
        }
    }
    series.set_left_out(left_out.len());
    // Once all are known: most blocks have points of series that an earlier one lists.
    for block in blocks.iter().rev().take(LAST_TIMES_BLOCKS_MAX) {
        if let Ok(core) = block.section(Section::Core)
            && let Ok(index) = read_index(&mut Reader::new(&core))
        {
            for (id, _, last) in index {
                series.saw(id, arrival(block), last);
            }
        }
    }
    corrupt
}

// A length that LZ4 cannot reach is damage; nothing is reserved for it.
fn decompress(row: &IntakeRow) -> Option<Vec<u8>> {
    const RATIO_MAX: usize = 255;
    let reachable = row.request.len().saturating_mul(RATIO_MAX);
    if row.length > reachable {
        return None;
    }
    lz4_flex::block::decompress(&row.request, row.length).ok()
}

impl Writer {
    /// Shows the requests of the intake to searches, as if they had just been committed. Damaged
    /// ones are counted and left out.
    pub(crate) fn replay_intake(&mut self, decoder: &dyn Decoder) {
        for (slice, signal, row) in self.intake_rows() {
            let decoded = decompress(&row).and_then(|request| {
                intake::decode(decoder, signal, &request, row.received_unix_nano).ok()
            });
            match decoded {
                Some((records, _)) => self.replay(slice, &row, records),
                None => self.shared.count_corrupt(),
            }
        }
    }
}
