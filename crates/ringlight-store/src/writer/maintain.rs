//! Slices: beginning new ones, deleting old ones.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Writer;
use crate::slice::{Slice, SliceWriter};
use crate::state::State;

/// Looks again at least this often, in case the clock was set.
const PATIENCE_MAX: Duration = Duration::from_secs(60 * 60);
/// After a slice could not be begun.
const PATIENCE_AFTER_FAILURE: Duration = Duration::from_secs(10);

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl Writer {
    /// Begins a slice if the active one is old or large enough, and deletes slices that are too old
    /// or too much.
    pub(super) fn maintain(&mut self, now_unix_nano: u64) {
        self.maintain_at = Instant::now() + PATIENCE_MAX;
        let has_failed = self.is_slice_full(now_unix_nano) && !self.begin_slice(now_unix_nano);
        self.delete_old(now_unix_nano);
        let patience = if has_failed {
            PATIENCE_AFTER_FAILURE
        } else {
            self.until_next(now_unix_nano).min(PATIENCE_MAX)
        };
        self.maintain_at = Instant::now() + patience.max(Duration::from_secs(1));
    }

    fn is_slice_full(&self, now_unix_nano: u64) -> bool {
        let state = self.shared.read();
        let Some(active) = state.slices.last() else {
            return false;
        };
        let age = now_unix_nano.saturating_sub(active.created_unix_nano);
        active.file_bytes() >= self.shared.config.slice_bytes_max()
            || (age >= nanos(self.shared.config.slice_age_max())
                && holds_records(&state, active.id))
    }

    /// Whether a slice should be begun or deleted because of its size.
    pub(super) fn is_over_size(&self) -> bool {
        let state = self.shared.read();
        state
            .slices
            .last()
            .is_some_and(|active| active.file_bytes() >= self.shared.config.slice_bytes_max())
            || total_bytes(&state) > self.shared.config.size_limit_bytes
    }

    // False if it could not be begun; then the active one goes on.
    fn begin_slice(&mut self, now_unix_nano: u64) -> bool {
        let id = self.active + 1;
        let config = &self.shared.config;
        match SliceWriter::open(config, id, Some(now_unix_nano)) {
            Ok((writer, created)) => {
                self.slices.insert(id, writer);
                let slice = Arc::new(Slice::new(&config.data_dir, id, created));
                self.shared.write().slices.push(slice);
                self.active = id;
                self.retire_slices();
                true
            }
            Err(_) => false,
        }
    }

    /// Closes slices nothing will be written to any more.
    pub(super) fn retire_slices(&mut self) {
        let state = self.shared.read();
        let is_needed = |id: u32| {
            id == self.active
                || state.spans.head.iter().any(|chunk| chunk.slice == id)
                || state.logs.head.iter().any(|chunk| chunk.slice == id)
                || state.metrics.head.iter().any(|chunk| chunk.slice == id)
        };
        let done: Vec<u32> = self
            .slices
            .keys()
            .copied()
            .filter(|&id| !is_needed(id))
            .collect();
        drop(state);
        for id in done {
            if let Some(writer) = self.slices.remove(&id) {
                writer.checkpoint();
            }
            self.measure(id);
        }
    }

    /// Brings the size of a slice up to date.
    pub(super) fn measure(&self, id: u32) {
        let state = self.shared.read();
        if let Some(slice) = state.slices.iter().find(|slice| slice.id == id) {
            slice.measure();
        }
    }

    fn delete_old(&mut self, now_unix_nano: u64) {
        let retention = nanos(self.shared.config.retention);
        loop {
            let oldest = {
                let state = self.shared.read();
                let [oldest, next, ..] = state.slices.as_slice() else {
                    return;
                };
                // Nothing was added to a slice after the next one began.
                let is_old = next.created_unix_nano.saturating_add(retention) < now_unix_nano;
                let is_too_much = total_bytes(&state) > self.shared.config.size_limit_bytes;
                if !(is_old || is_too_much) || self.slices.contains_key(&oldest.id) {
                    return;
                }
                Arc::clone(oldest)
            };
            self.delete(&oldest);
        }
    }

    fn delete(&self, slice: &Slice) {
        {
            let mut state = self.shared.write();
            state.slices.retain(|known| known.id != slice.id);
            Arc::make_mut(&mut state.spans.blocks).retain(|block| block.slice.id != slice.id);
            Arc::make_mut(&mut state.logs.blocks).retain(|block| block.slice.id != slice.id);
            Arc::make_mut(&mut state.metrics.blocks).retain(|block| block.slice.id != slice.id);
        }
        self.shared.series_mut().forget_slice(slice.id);
        slice.unlink();
    }

    fn until_next(&self, now_unix_nano: u64) -> Duration {
        let state = self.shared.read();
        let retention = nanos(self.shared.config.retention);
        let mut next = u64::MAX;
        if let [_, second, ..] = state.slices.as_slice() {
            next = second.created_unix_nano.saturating_add(retention);
        }
        if let Some(active) = state.slices.last() {
            let end = active
                .created_unix_nano
                .saturating_add(nanos(self.shared.config.slice_age_max()));
            next = next.min(end);
        }
        // An active slice without records stays; it is looked at again with the usual patience.
        if next <= now_unix_nano {
            return PATIENCE_MAX;
        }
        Duration::from_nanos(next - now_unix_nano)
    }
}

fn total_bytes(state: &State) -> u64 {
    state.slices.iter().map(|slice| slice.bytes()).sum()
}

fn holds_records(state: &State, id: u32) -> bool {
    state.spans.head.iter().any(|chunk| chunk.slice == id)
        || state.logs.head.iter().any(|chunk| chunk.slice == id)
        || state.metrics.head.iter().any(|chunk| chunk.slice == id)
        || state.spans.blocks.iter().any(|block| block.slice.id == id)
        || state.logs.blocks.iter().any(|block| block.slice.id == id)
        || state
            .metrics
            .blocks
            .iter()
            .any(|block| block.slice.id == id)
}
