//! What the store holds, from the block index alone.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use ringlight_model::Signal;

use crate::block::BlockInfo;
use crate::catalogue::RunRow;
use crate::state::{Chunk, Shared, State};
use crate::table::Table;
use crate::{Run, ServiceSummary, StoreStats};

fn infos(state: &State) -> impl Iterator<Item = &BlockInfo> {
    let spans = state.spans.blocks.iter();
    spans
        .chain(state.logs.blocks.iter())
        .map(|block| &block.info)
}

/// All services, sorted by name.
pub(crate) fn services(shared: &Shared) -> Vec<ServiceSummary> {
    let state = shared.read();
    let mut services = BTreeMap::new();
    for info in infos(&state) {
        for (name, rows) in &info.services {
            add_service(
                &mut services,
                name,
                info.signal,
                *rows,
                (info.time_min, info.time_max),
            );
        }
    }
    for chunk in &state.spans.head {
        add_chunk(&mut services, chunk);
    }
    for chunk in &state.logs.head {
        add_chunk(&mut services, chunk);
    }
    services.into_values().collect()
}

fn add_chunk<T: Table>(services: &mut BTreeMap<String, ServiceSummary>, chunk: &Chunk<T>) {
    let table = &chunk.table;
    let mut rows = vec![0_u64; table.owners().resources().len()];
    for &resource in table.resources() {
        if let Some(count) = rows.get_mut(resource as usize) {
            *count += 1;
        }
    }
    let times = (chunk.time_min, chunk.time_max);
    for (resource, count) in table.owners().resources().iter().zip(rows) {
        if count > 0 {
            add_service(services, resource.service_name(), T::SIGNAL, count, times);
        }
    }
}

fn add_service(
    services: &mut BTreeMap<String, ServiceSummary>,
    name: &str,
    signal: Signal,
    rows: u64,
    (first, last): (u64, u64),
) {
    if !services.contains_key(name) {
        let summary = ServiceSummary {
            name: name.to_owned(),
            span_count: 0,
            log_count: 0,
            first_unix_nano: first,
            last_unix_nano: last,
        };
        services.insert(name.to_owned(), summary);
    }
    if let Some(service) = services.get_mut(name) {
        match signal {
            Signal::Logs => service.log_count += rows,
            _ => service.span_count += rows,
        }
        service.first_unix_nano = service.first_unix_nano.min(first);
        service.last_unix_nano = service.last_unix_nano.max(last);
    }
}

/// The runs something is stored of, and the current one; newest first.
pub(crate) fn runs(shared: &Shared, rows: &[RunRow]) -> Vec<Run> {
    let state = shared.read();
    let mut counts: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for info in infos(&state) {
        let count = counts.entry(info.run).or_default();
        match info.signal {
            Signal::Logs => count.1 += u64::from(info.rows),
            _ => count.0 += u64::from(info.rows),
        }
    }
    for chunk in &state.spans.head {
        counts.entry(chunk.run).or_default().0 += chunk.table.rows() as u64;
    }
    for chunk in &state.logs.head {
        counts.entry(chunk.run).or_default().1 += chunk.table.rows() as u64;
    }
    rows.iter()
        .rev()
        .filter(|row| row.id == shared.run || counts.contains_key(&row.id))
        .map(|row| {
            let (span_count, log_count) = counts.get(&row.id).copied().unwrap_or_default();
            Run {
                id: row.id,
                command: row.command.clone(),
                started_unix_nano: row.started_unix_nano,
                ended_unix_nano: row.ended_unix_nano,
                span_count,
                log_count,
            }
        })
        .collect()
}

/// The state of the store.
pub(crate) fn stats(shared: &Shared) -> StoreStats {
    let state = shared.read();
    let mut stats = StoreStats {
        bytes: state.slices.iter().map(|slice| slice.bytes()).sum(),
        size_limit_bytes: shared.config.size_limit_bytes,
        retention_seconds: shared.config.retention.as_secs(),
        slices: state.slices.len() as u64,
        blocks: (state.spans.blocks.len() + state.logs.blocks.len()) as u64,
        corrupt: shared.corrupt.load(Ordering::Relaxed),
        head_bytes: shared.head_bytes.load(Ordering::Relaxed) as u64,
        disk_full: shared.disk_full.load(Ordering::Relaxed),
        oldest_unix_nano: u64::MAX,
        ..StoreStats::default()
    };
    let mut add = |signal: Signal, rows: u64, first: u64, last: u64| {
        match signal {
            Signal::Logs => stats.log_count += rows,
            _ => stats.span_count += rows,
        }
        stats.oldest_unix_nano = stats.oldest_unix_nano.min(first);
        stats.newest_unix_nano = stats.newest_unix_nano.max(last);
    };
    for info in infos(&state) {
        add(info.signal, info.rows.into(), info.time_min, info.end_max);
    }
    let mut head_records = 0;
    for chunk in &state.spans.head {
        let rows = chunk.table.rows() as u64;
        head_records += rows;
        add(Signal::Traces, rows, chunk.time_min, chunk.time_max);
    }
    for chunk in &state.logs.head {
        let rows = chunk.table.rows() as u64;
        head_records += rows;
        add(Signal::Logs, rows, chunk.time_min, chunk.time_max);
    }
    stats.head_records = head_records;
    if stats.oldest_unix_nano == u64::MAX {
        stats.oldest_unix_nano = 0;
    }
    stats
}
