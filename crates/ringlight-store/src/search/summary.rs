//! What the store holds, from the block index alone.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use ringlight_model::Signal;

use crate::block::{BlockInfo, ServiceRows};
use crate::catalogue::RunRow;
use crate::state::{Chunk, Shared, State};
use crate::table::Table;
use crate::{Run, ServiceSummary, StoreStats};

fn infos(state: &State) -> impl Iterator<Item = &BlockInfo> {
    let spans = state.spans.blocks.iter();
    spans
        .chain(state.logs.blocks.iter())
        .chain(state.metrics.blocks.iter())
        .map(|block| &block.info)
}

/// All services, sorted by name.
pub(crate) fn services(shared: &Shared) -> Vec<ServiceSummary> {
    let state = shared.read();
    let mut services = BTreeMap::new();
    for info in infos(&state) {
        add_services(&mut services, info.signal, &info.services);
    }
    for chunk in &state.spans.head {
        add_chunk(&mut services, chunk);
    }
    for chunk in &state.logs.head {
        add_chunk(&mut services, chunk);
    }
    for chunk in &state.metrics.head {
        add_chunk(&mut services, chunk);
    }
    services.into_values().collect()
}

fn add_chunk<T: Table>(services: &mut BTreeMap<String, ServiceSummary>, chunk: &Chunk<T>) {
    let table = &chunk.table;
    let rows = ServiceRows::of(table.owners(), table.resources(), table.sort_times());
    add_services(services, T::SIGNAL, &rows);
}

fn add_services(
    services: &mut BTreeMap<String, ServiceSummary>,
    signal: Signal,
    added: &[ServiceRows],
) {
    for rows in added {
        if !services.contains_key(&*rows.name) {
            let summary = ServiceSummary {
                name: rows.name.to_string(),
                span_count: 0,
                log_count: 0,
                point_count: 0,
                first_unix_nano: rows.time_min,
                last_unix_nano: rows.time_max,
            };
            services.insert(rows.name.to_string(), summary);
        }
        if let Some(service) = services.get_mut(&*rows.name) {
            match signal {
                Signal::Logs => service.log_count += rows.rows,
                Signal::Metrics => service.point_count += rows.rows,
                _ => service.span_count += rows.rows,
            }
            service.first_unix_nano = service.first_unix_nano.min(rows.time_min);
            service.last_unix_nano = service.last_unix_nano.max(rows.time_max);
        }
    }
}

/// The runs something is stored of, and the current one; newest first.
pub(crate) fn runs(shared: &Shared, rows: &[RunRow]) -> Vec<Run> {
    let state = shared.read();
    let mut counts: BTreeMap<u64, [u64; 3]> = BTreeMap::new();
    for info in infos(&state) {
        let count = counts.entry(info.run).or_default();
        match info.signal {
            Signal::Logs => count[1] += u64::from(info.rows),
            Signal::Metrics => count[2] += u64::from(info.rows),
            _ => count[0] += u64::from(info.rows),
        }
    }
    for chunk in &state.spans.head {
        counts.entry(chunk.run).or_default()[0] += chunk.table.rows() as u64;
    }
    for chunk in &state.logs.head {
        counts.entry(chunk.run).or_default()[1] += chunk.table.rows() as u64;
    }
    for chunk in &state.metrics.head {
        counts.entry(chunk.run).or_default()[2] += chunk.table.rows() as u64;
    }
    rows.iter()
        .rev()
        .filter(|row| row.id == shared.run || counts.contains_key(&row.id))
        .map(|row| {
            let [span_count, log_count, point_count] =
                counts.get(&row.id).copied().unwrap_or_default();
            Run {
                id: row.id,
                command: row.command.clone(),
                started_unix_nano: row.started_unix_nano,
                ended_unix_nano: row.ended_unix_nano,
                span_count,
                log_count,
                point_count,
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
        blocks: infos(&state).count() as u64,
        corrupt: shared.corrupt.load(Ordering::Relaxed),
        head_bytes: shared.head_bytes.load(Ordering::Relaxed) as u64,
        disk_full: shared.disk_full.load(Ordering::Relaxed),
        open_reports_refused: shared.open_reports().refused(),
        oldest_unix_nano: u64::MAX,
        ..StoreStats::default()
    };
    let mut add = |signal: Signal, rows: u64, first: u64, last: u64| {
        match signal {
            Signal::Logs => stats.log_count += rows,
            Signal::Metrics => stats.point_count += rows,
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
    for chunk in &state.metrics.head {
        let rows = chunk.table.rows() as u64;
        head_records += rows;
        add(Signal::Metrics, rows, chunk.time_min, chunk.time_max);
    }
    stats.head_records = head_records;
    {
        let registry = shared.series();
        stats.series = registry.len() as u64;
        stats.series_forgotten = registry.forgotten();
    }
    stats.series_max = shared.config.series_max as u64;
    if stats.oldest_unix_nano == u64::MAX {
        stats.oldest_unix_nano = 0;
    }
    stats
}
