//! What the process uses: CPU time, memory, threads, files, by the semantic conventions.
//!
//! Source: OpenTelemetry semantic conventions, "Semantic conventions for OS process metrics".

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

use crate::process::{Reading, Source};
use crate::sync::unpoisoned;

/// The scope of these metrics.
pub(super) const SCOPE: &str = "ringlight.process";

/// The last reading, which all instruments of an export share.
struct Shared {
    source: Source,
    interval: Duration,
    last: Mutex<Last>,
}

#[derive(Debug, Default)]
struct Last {
    at: Option<Instant>,
    reading: Reading,
    /// Of all processors, by the kernel and without.
    utilization: Option<(f64, f64)>,
}

impl Shared {
    /// The last reading, or a new one where that is older than the interval.
    fn with<R>(&self, look: impl FnOnce(&Last) -> R) -> R {
        let mut last = unpoisoned(self.last.lock());
        let now = Instant::now();
        let age = last.at.map(|at| now.saturating_duration_since(at));
        // Exports are not quite the interval apart.
        if age.is_none_or(|age| age >= self.interval.mul_f64(0.9))
            && let Some(reading) = self.source.read()
        {
            last.utilization = age.and_then(|age| utilization(&last.reading, &reading, age));
            last.reading = reading;
            last.at = Some(now);
        }
        look(&last)
    }
}

fn utilization(before: &Reading, after: &Reading, time: Duration) -> Option<(f64, f64)> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let available = time.as_secs_f64() * processors as f64;
    // What the kernel counts is later or earlier than the time by some milliseconds.
    let share = |before: f64, after: f64| ((after - before) / available).clamp(0.0, 1.0);
    (available > 0.0).then(|| {
        (
            share(before.user_seconds, after.user_seconds),
            share(before.system_seconds, after.system_seconds),
        )
    })
}

/// Adds the metrics of the process to a meter, read at most once an interval. Nothing is added where the kernel says
/// nothing.
pub(super) fn register(meter: &Meter, interval: Duration) {
    let Some(source) = Source::open() else {
        return;
    };
    let shared = Arc::new(Shared {
        source,
        interval,
        last: Mutex::default(),
    });
    times(meter, &shared);
    memory(meter, &shared);
    counts(meter, &shared);
}

fn mode(name: &'static str) -> [KeyValue; 1] {
    [KeyValue::new("cpu.mode", name)]
}

fn times(meter: &Meter, shared: &Arc<Shared>) {
    let of = Arc::clone(shared);
    let cpu = meter
        .f64_observable_counter("process.cpu.time")
        .with_unit("s");
    cpu.with_description("CPU seconds by what they were used for.")
        .with_callback(move |observer| {
            of.with(|last| {
                observer.observe(last.reading.user_seconds, &mode("user"));
                observer.observe(last.reading.system_seconds, &mode("system"));
            });
        })
        .build();
    let of = Arc::clone(shared);
    let utilization = meter
        .f64_observable_gauge("process.cpu.utilization")
        .with_unit("1");
    utilization
        .with_description("CPU time since the last reading, as a part of that of all processors.")
        .with_callback(move |observer| {
            of.with(|last| {
                if let Some((user, system)) = last.utilization {
                    observer.observe(user, &mode("user"));
                    observer.observe(system, &mode("system"));
                }
            });
        })
        .build();
    let of = Arc::clone(shared);
    let uptime = meter.f64_observable_gauge("process.uptime").with_unit("s");
    uptime
        .with_description("The time the process has been running.")
        .with_callback(move |observer| {
            of.with(|last| observer.observe(last.reading.uptime_seconds, &[]));
        })
        .build();
}

fn memory(meter: &Meter, shared: &Arc<Shared>) {
    let of = Arc::clone(shared);
    let usage = meter.i64_observable_up_down_counter("process.memory.usage");
    usage
        .with_unit("By")
        .with_description("Memory in use, as far as it is in RAM.")
        .with_callback(move |observer| {
            of.with(|last| observer.observe(signed(last.reading.resident_bytes), &[]));
        })
        .build();
    let of = Arc::clone(shared);
    let asked_for = meter.i64_observable_up_down_counter("process.memory.virtual");
    asked_for
        .with_unit("By")
        .with_description("Memory that was asked for.")
        .with_callback(move |observer| {
            of.with(|last| observer.observe(signed(last.reading.virtual_bytes), &[]));
        })
        .build();
}

fn counts(meter: &Meter, shared: &Arc<Shared>) {
    let of = Arc::clone(shared);
    let threads = meter.i64_observable_up_down_counter("process.thread.count");
    threads
        .with_unit("{thread}")
        .with_description("Threads of the process.")
        .with_callback(move |observer| {
            of.with(|last| observer.observe(signed(last.reading.threads), &[]));
        })
        .build();
    let of = Arc::clone(shared);
    let files = meter.i64_observable_up_down_counter("process.unix.file_descriptor.count");
    files
        .with_unit("{file_descriptor}")
        .with_description("File descriptors in use.")
        .with_callback(move |observer| {
            of.with(|last| {
                if let Some(files) = last.reading.open_files {
                    observer.observe(signed(files), &[]);
                }
            });
        })
        .build();
    by_kind(
        meter,
        shared,
        "process.paging.faults",
        "{fault}",
        "Page faults.",
        |r| {
            let kind = |name| KeyValue::new("system.paging.fault.type", name);
            Some([
                (kind("minor"), r.minor_faults),
                (kind("major"), r.major_faults),
            ])
        },
    );
    let about = "Times the kernel took a processor from a thread of the process.";
    by_kind(
        meter,
        shared,
        "process.context_switches",
        "{context_switch}",
        about,
        |r| {
            let kind = |name| KeyValue::new("process.context_switch.type", name);
            Some([
                (kind("voluntary"), r.switches.voluntary),
                (kind("involuntary"), r.switches.involuntary),
            ])
        },
    );
    by_kind(
        meter,
        shared,
        "process.disk.io",
        "By",
        "Bytes from and to disks.",
        |r| {
            let kind = |name| KeyValue::new("disk.io.direction", name);
            let disk = r.disk?;
            Some([
                (kind("read"), disk.read_bytes),
                (kind("write"), disk.write_bytes),
            ])
        },
    );
}

/// A value for each of two kinds.
type ByKind = [(KeyValue, u64); 2];

fn by_kind(
    meter: &Meter,
    shared: &Arc<Shared>,
    name: &'static str,
    unit: &'static str,
    about: &'static str,
    values: fn(&Reading) -> Option<ByKind>,
) {
    let of = Arc::clone(shared);
    let counter = meter.u64_observable_counter(name).with_unit(unit);
    counter
        .with_description(about)
        .with_callback(move |observer| {
            of.with(|last| {
                for (kind, value) in values(&last.reading).into_iter().flatten() {
                    observer.observe(value, &[kind]);
                }
            });
        })
        .build();
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn utilization_is_a_part_of_all_processors() {
        let processors = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let reading = |user_seconds, system_seconds| Reading {
            user_seconds,
            system_seconds,
            ..Reading::default()
        };
        let time = Duration::from_secs(2);
        let (user, system) = utilization(&reading(1.0, 5.0), &reading(2.0, 5.5), time).unwrap();
        assert!((user * processors - 0.5).abs() < 1e-9);
        assert!((system * processors - 0.25).abs() < 1e-9);
        let (user, system) = utilization(&reading(1.0, 5.0), &reading(1e3, 4.9), time).unwrap();
        assert_eq!((user, system), (1.0, 0.0));
        assert_eq!(
            utilization(&reading(1.0, 1.0), &reading(1.0, 1.0), Duration::ZERO),
            None
        );
    }
}
