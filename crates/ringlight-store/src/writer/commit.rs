//! Committing requests to the intake.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ringlight_model::Signal;

use super::open::set_open;
use super::{Outcome, Pending, Writer};
use crate::IngestError;
use crate::duplicates::{BatchName, mark_stored_before};
use crate::error::is_disk_full;
use crate::intake::Records;
use crate::series::Arrival;
use crate::slice::IntakeRow;
use crate::state::{Chunk, Shared, State};
use crate::table::{MetricTable, Origins, SpanTable, Table};

/// A request with its place in the store.
struct Prepared {
    row: IntakeRow,
    signal: Signal,
    batch: Option<u128>,
    records: Records,
    outcome: Outcome,
    /// Stored and duplicate rows by resource.
    by_resource: Vec<(u64, u64)>,
    reserved_bytes: usize,
    reply: std::sync::mpsc::SyncSender<Result<Outcome, IngestError>>,
}

impl Prepared {
    fn spans(&self) -> Option<&SpanTable> {
        match &self.records {
            Records::Spans(table) => Some(table),
            Records::Logs(_) | Records::Metrics(_) => None,
        }
    }
}

/// What to forget if the commit fails.
#[derive(Default)]
struct Undo {
    spans: Vec<u64>,
    batches: Vec<u128>,
    series: Vec<u64>,
}

impl Writer {
    /// Commits a group of requests, shows it to searches and answers whoever waits.
    pub(super) fn commit(&mut self, group: Vec<Pending>) {
        if group.is_empty() {
            return;
        }
        let mut undo = Undo::default();
        let mut prepared = Vec::with_capacity(group.len());
        for pending in group {
            prepared.push(self.prepare(pending, &mut undo));
        }
        if let Err(error) = self.insert(&prepared) {
            self.forget(undo);
            let answer = self.ingest_error(&error);
            for request in prepared {
                self.release(request.reserved_bytes);
                let _ = request.reply.send(Err(answer.clone()));
            }
            return;
        }
        self.shared.disk_full.store(false, Ordering::Relaxed);
        let mut replies = Vec::with_capacity(prepared.len());
        let left_open = self.close_open(prepared.iter().filter_map(Prepared::spans));
        {
            let shared = Arc::clone(&self.shared);
            let mut state = shared.write();
            set_open(&mut state, left_open);
            for request in prepared {
                account(&shared, &request);
                replies.push((request.reply, request.outcome));
                let seq = request.row.seq;
                shared
                    .head_bytes
                    .fetch_sub(request.reserved_bytes, Ordering::Relaxed);
                self.show(&mut state, &request.row, request.records);
                state.last_seq = state.last_seq.max(seq);
            }
        }
        for (reply, outcome) in replies {
            // Whoever asked may have gone away; the request is stored all the same.
            let _ = reply.send(Ok(outcome));
        }
    }

    /// Shows what was in the intake at the start to searches. It is not counted as stored again.
    pub(crate) fn replay(&mut self, slice: u32, row: &IntakeRow, records: Records) {
        let mut undo = Undo::default();
        let arrival = Arrival {
            slice,
            received_unix_nano: row.received_unix_nano,
            is_stored: true,
        };
        let (records, ..) = self.without_duplicates(records, row.seq, None, arrival, &mut undo);
        let shared = Arc::clone(&self.shared);
        let mut state = shared.write();
        let active = std::mem::replace(&mut self.active, slice);
        self.show(&mut state, row, records);
        self.active = active;
        state.last_seq = state.last_seq.max(row.seq);
    }

    fn prepare(&mut self, pending: Pending, undo: &mut Undo) -> Prepared {
        let seq = self.next_seq;
        self.next_seq += 1;
        let signal = match &pending.records {
            Records::Spans(_) => Signal::Traces,
            Records::Logs(_) => Signal::Logs,
            Records::Metrics(_) => Signal::Metrics,
        };
        let rows = pending.records.rows() as u64;
        let arrival = Arrival {
            slice: self.active,
            received_unix_nano: pending.received_unix_nano,
            is_stored: false,
        };
        let batch = pending.batch.as_ref();
        let (records, by_resource, refused) =
            self.without_duplicates(pending.records, seq, batch, arrival, undo);
        let stored = by_resource.iter().map(|&(stored, _)| stored).sum();
        Prepared {
            row: IntakeRow {
                seq,
                run: self.shared.run,
                received_unix_nano: pending.received_unix_nano,
                length: pending.length,
                request: pending.request,
            },
            signal,
            batch: pending.batch.map(|batch| batch.hash),
            records,
            outcome: Outcome {
                stored,
                duplicates: rows - stored - refused,
                refused,
            },
            by_resource,
            reserved_bytes: pending.reserved_bytes,
            reply: pending.reply,
        }
    }

    // Gives the records that are new (with the owners of all), by resource how many were new and how
    // many not, and how many are refused.
    fn without_duplicates(
        &mut self,
        records: Records,
        seq: u64,
        batch: Option<&BatchName>,
        arrival: Arrival,
        undo: &mut Undo,
    ) -> (Records, Vec<(u64, u64)>, u64) {
        let is_known = batch.is_some_and(|batch| self.batches.contains(batch));
        if let Some(batch) = batch
            && !is_known
        {
            self.batches.insert(batch.hash);
            undo.batches.push(batch.hash);
        }
        match records {
            Records::Logs(mut table) => {
                let mark = vec![is_known; table.rows()];
                let by_resource = count_by_resource(&*table, &mark);
                if is_known {
                    let owners = std::mem::take(&mut table.owners);
                    table = Box::default();
                    table.owners = owners;
                }
                table.set_origins(Origins::one(table.rows() as u32, seq));
                (Records::Logs(table), by_resource, 0)
            }
            Records::Spans(mut table) => {
                let mut mark = vec![is_known; table.rows()];
                if !is_known {
                    self.mark_known_spans(&table, &mut mark, undo);
                }
                let by_resource = count_by_resource(&*table, &mark);
                table.set_origins(Origins::one(table.rows() as u32, seq));
                if mark.contains(&true) {
                    let mut kept = Box::<SpanTable>::default();
                    kept.owners = table.owners.clone();
                    kept.take(&table, |row| !mark[row]);
                    table = kept;
                }
                (Records::Spans(table), by_resource, 0)
            }
            Records::Metrics(table) => {
                let arrival = (!is_known).then_some(arrival);
                let (table, by_resource, refused) = self.new_points(*table, seq, arrival, undo);
                (Records::Metrics(Box::new(table)), by_resource, refused)
            }
        }
    }

    // Those points of a request whose series are known, or become so; none if it did not arrive for the
    // first time.
    fn new_points(
        &self,
        mut table: MetricTable,
        seq: u64,
        arrival: Option<Arrival>,
        undo: &mut Undo,
    ) -> (MetricTable, Vec<(u64, u64)>, u64) {
        let Some(arrival) = arrival else {
            let by_resource = count_by_resource(&table, &vec![true; table.rows()]);
            let mut none = MetricTable::default();
            none.owners = table.owners;
            none.set_origins(Origins::one(0, seq));
            return (none, by_resource, 0);
        };
        self.shared
            .series_mut()
            .resolve(&mut table, arrival, &mut undo.series);
        let rows = table.rows();
        if !(0..rows).all(|row| table.has_id(row)) {
            let mut kept = MetricTable::default();
            kept.owners = table.owners.clone();
            kept.take(&table, |row| table.has_id(row));
            table = kept;
        }
        table.set_origins(Origins::one(table.rows() as u32, seq));
        let by_resource = count_by_resource(&table, &vec![false; table.rows()]);
        let refused = (rows - table.rows()) as u64;
        (table, by_resource, refused)
    }

    fn mark_known_spans(&mut self, table: &SpanTable, mark: &mut [bool], undo: &mut Undo) {
        let blocks = Arc::clone(&self.shared.read().spans.blocks);
        let complete_from = self.spans.complete_from_seq;
        mark_stored_before(table, &blocks, complete_from, &self.shared, mark);
        for (row, is_known) in mark.iter_mut().enumerate() {
            let hash = self.spans.hash(table.trace_id(row), table.span_ids[row]);
            if self.spans.insert(hash) {
                undo.spans.push(hash);
            } else {
                *is_known = true;
            }
        }
        let sealed_until = {
            let state = self.shared.read();
            state
                .spans
                .head
                .front()
                .map_or(self.next_seq.saturating_sub(2), |chunk| chunk.seq - 1)
        };
        self.spans.rotate(self.next_seq, sealed_until);
    }

    fn insert(&self, prepared: &[Prepared]) -> Result<(), rusqlite::Error> {
        if prepared.iter().all(|request| request.records.rows() == 0) {
            return Ok(());
        }
        let Some(writer) = self.slices.get(&self.active) else {
            return Err(rusqlite::Error::InvalidQuery);
        };
        let write = || {
            writer.begin()?;
            for request in prepared.iter().filter(|r| r.records.rows() > 0) {
                writer.insert_intake(request.signal, &request.row)?;
                if let Some(batch) = request.batch {
                    writer.insert_batch(request.row.seq, batch)?;
                }
            }
            writer.commit()
        };
        write().inspect_err(|_| writer.rollback())
    }

    fn forget(&mut self, undo: Undo) {
        undo.spans
            .into_iter()
            .for_each(|hash| self.spans.remove(hash));
        undo.batches
            .into_iter()
            .for_each(|batch| self.batches.remove(batch));
        self.shared.series_mut().forget(&undo.series);
    }

    fn show(&self, state: &mut State, row: &IntakeRow, records: Records) {
        match records {
            Records::Spans(table) => self.show_table(state, row, *table),
            Records::Logs(table) => self.show_table(state, row, *table),
            Records::Metrics(table) => {
                self.note_series(&table, row.received_unix_nano);
                self.show_table(state, row, *table);
            }
        }
    }

    // When something of its series was last stored.
    fn note_series(&self, table: &MetricTable, received_unix_nano: u64) {
        let mut lasts = vec![0_u64; table.series.len()];
        for (&number, &time) in table.of.iter().zip(&table.times) {
            if let Some(last) = lasts.get_mut(number as usize) {
                *last = time.max(*last);
            }
        }
        let arrival = Arrival {
            slice: self.active,
            received_unix_nano,
            is_stored: true,
        };
        let mut registry = self.shared.series_mut();
        for (series, last) in table.series.iter().zip(lasts) {
            registry.saw(series.id, arrival, last);
        }
    }

    fn show_table<T: Table>(&self, state: &mut State, row: &IntakeRow, table: T) {
        let (Some(&time_min), Some(&time_max)) = (
            table.sort_times().iter().min(),
            table.sort_times().iter().max(),
        ) else {
            return;
        };
        let chunk = Chunk {
            slice: self.active,
            seq: row.seq,
            run: row.run,
            received_unix_nano: row.received_unix_nano,
            since: Instant::now(),
            memory_bytes: table.memory_bytes(),
            time_min,
            time_max,
            table,
            open_of: None,
        };
        self.shared
            .head_bytes
            .fetch_add(chunk.memory_bytes, Ordering::Relaxed);
        T::state_mut(state).head.push_back(Arc::new(chunk));
    }

    pub(super) fn refuse(&self, pending: &Pending, error: IngestError) {
        self.release(pending.reserved_bytes);
        let _ = pending.reply.send(Err(error));
    }

    fn release(&self, bytes: usize) {
        self.shared.head_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn ingest_error(&self, error: &rusqlite::Error) -> IngestError {
        let path = self.shared.config.data_dir.clone();
        if is_disk_full(error, &path) {
            self.shared.disk_full.store(true, Ordering::Relaxed);
            return IngestError::DiskFull {
                path,
                retry_after: Duration::from_secs(5),
            };
        }
        IngestError::Write {
            path,
            message: error.to_string(),
        }
    }
}

fn count_by_resource<T: Table>(table: &T, is_duplicate: &[bool]) -> Vec<(u64, u64)> {
    let mut counts = vec![(0, 0); table.owners().resources().len()];
    for (&resource, &is_duplicate) in table.resources().iter().zip(is_duplicate) {
        if let Some((stored, duplicates)) = counts.get_mut(resource as usize) {
            *(if is_duplicate { duplicates } else { stored }) += 1;
        }
    }
    counts
}

fn account(shared: &Shared, request: &Prepared) {
    let owners = match &request.records {
        Records::Spans(table) => table.owners(),
        Records::Logs(table) => table.owners(),
        Records::Metrics(table) => table.owners(),
    };
    let mut instances = shared.instances();
    for (resource, &(stored, duplicates)) in owners.resources().iter().zip(&request.by_resource) {
        if stored + duplicates == 0 {
            continue;
        }
        let instance = resource.text("service.instance.id").unwrap_or_default();
        let entry = instances.entry(instance, resource.service_name());
        match request.signal {
            Signal::Logs => {
                entry.logs += stored;
                entry.logs_duplicate += duplicates;
            }
            Signal::Metrics => {
                entry.points += stored;
                entry.points_duplicate += duplicates;
            }
            _ => {
                entry.spans += stored;
                entry.spans_duplicate += duplicates;
            }
        }
    }
}
