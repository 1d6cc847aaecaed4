//! What the process uses: CPU time, memory, threads, files, by the semantic conventions, read straight from the kernel.
//!
//! Source: OpenTelemetry semantic conventions, "Semantic conventions for OS process metrics".

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

use crate::sync::unpoisoned;

/// The scope of these metrics.
pub(super) const SCOPE: &str = "ringlight.process";

/// What the kernel says at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Reading {
    user_seconds: f64,
    system_seconds: f64,
    resident_bytes: u64,
    virtual_bytes: u64,
    threads: u64,
    minor_faults: u64,
    major_faults: u64,
    open_files: Option<u64>,
    switches: Switches,
    disk: Option<Disk>,
    /// Since the process began.
    uptime_seconds: f64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Switches {
    voluntary: u64,
    involuntary: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Disk {
    read_bytes: u64,
    write_bytes: u64,
}

/// The kernel's files about this process, kept open: opening them is most of what reading them costs.
#[derive(Debug)]
pub(super) struct Source {
    stat: File,
    /// Not every process may read it.
    io: Option<File>,
    page_bytes: u64,
    ticks_per_second: f64,
    /// When the machine started, by the clock of `starttime`.
    began_seconds: f64,
}

impl Source {
    pub(super) fn open() -> Option<Self> {
        let file = |name: &str| File::open(format!("/proc/self/{name}")).ok();
        let mut source = Self {
            stat: file("stat")?,
            io: file("io"),
            page_bytes: rustix::param::page_size() as u64,
            ticks_per_second: rustix::param::clock_ticks_per_second() as f64,
            began_seconds: 0.0,
        };
        let (_, began_ticks) = source.stat()?;
        source.began_seconds = began_ticks / source.ticks_per_second;
        Some(source)
    }

    pub(super) fn read(&self) -> Option<Reading> {
        let (mut reading, _) = self.stat()?;
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let now = now.tv_sec as f64 + now.tv_nsec as f64 / 1e9;
        reading.uptime_seconds = (now - self.began_seconds).max(0.0);
        reading.open_files = open_files();
        // Of all threads, those that have ended among them; times to the microsecond.
        let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
        reading.user_seconds = seconds(usage.user_time());
        reading.system_seconds = seconds(usage.system_time());
        reading.minor_faults = unsigned(usage.minor_page_faults());
        reading.major_faults = unsigned(usage.major_page_faults());
        reading.switches = Switches {
            voluntary: unsigned(usage.voluntary_context_switches()),
            involuntary: unsigned(usage.involuntary_context_switches()),
        };
        let mut buffer = [0; 1024];
        reading.disk = self.io.as_ref().and_then(|file| {
            let text = text(file, &mut buffer)?;
            Some(Disk {
                read_bytes: named(text, "read_bytes:")?,
                write_bytes: named(text, "write_bytes:")?,
            })
        });
        Some(reading)
    }

    /// What `stat` has, and when the process began, in ticks.
    fn stat(&self) -> Option<(Reading, f64)> {
        let mut buffer = [0; 1024];
        let text = text(&self.stat, &mut buffer)?;
        // The name, in parentheses, may have spaces and parentheses in it.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // Numbered as in proc_pid_stat(5), of which two are before.
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        let reading = Reading {
            threads: number(20)?,
            virtual_bytes: number(23)?,
            resident_bytes: number(24)? * self.page_bytes,
            ..Reading::default()
        };
        Some((reading, number(22)? as f64))
    }
}

/// What a file of the kernel says now.
fn text<'b>(file: &File, buffer: &'b mut [u8]) -> Option<&'b str> {
    let length = file.read_at(buffer, 0).ok()?;
    // A name may be anything; what is looked for is not.
    let valid = match std::str::from_utf8(&buffer[..length]) {
        Ok(text) => return Some(text),
        Err(error) => error.valid_up_to(),
    };
    std::str::from_utf8(&buffer[..valid]).ok()
}

/// The number in the line that begins so.
fn named(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().parse().ok()
}

fn seconds(time: TimeVal) -> f64 {
    time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

/// Since Linux 6.2 the size of the folder is the number of files; before, they are counted one by one.
fn open_files() -> Option<u64> {
    let size = std::fs::metadata("/proc/self/fd").map_or(0, |folder| folder.len());
    if size > 0 {
        return Some(size);
    }
    let entries = std::fs::read_dir("/proc/self/fd").ok()?;
    // One of them is the directory's own.
    Some((entries.count() as u64).saturating_sub(1))
}

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
    let share = |before: f64, after: f64| (after - before).max(0.0) / available;
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
    fn what_is_read_is_what_the_process_does() {
        let source = Source::open().unwrap();
        let before = source.read().unwrap();
        assert!(before.threads >= 1 && before.open_files.unwrap() >= 3);
        assert!(before.resident_bytes > 100_000 && before.virtual_bytes > before.resident_bytes);
        assert!(before.uptime_seconds >= 0.0);
        // As much CPU time as it takes until the kernel has counted some.
        let mut files = Vec::new();
        let mut memory = Vec::new();
        let (block, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || wait.recv());
        for _ in 0..50 {
            files.push(File::open("/dev/null").unwrap());
        }
        memory.resize(64 << 20, 1_u8);
        let after = loop {
            let after = source.read().unwrap();
            if after.user_seconds + after.system_seconds
                > before.user_seconds + before.system_seconds
            {
                break after;
            }
            memory
                .iter_mut()
                .for_each(|byte| *byte = byte.wrapping_add(1));
        };
        assert!(after.open_files.unwrap() >= before.open_files.unwrap() + 40);
        assert!(after.resident_bytes > before.resident_bytes + (32 << 20));
        assert!(after.minor_faults > before.minor_faults);
        assert!(after.uptime_seconds >= before.uptime_seconds);
        assert!(after.switches.voluntary > before.switches.voluntary);
        drop((block, files, memory));
        let _ = thread.join();
    }

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
        assert_eq!(
            utilization(&reading(1.0, 1.0), &reading(1.0, 1.0), Duration::ZERO),
            None
        );
    }

    #[test]
    fn names_of_processes_may_be_anything() {
        assert_eq!(named("a: 1\nread_bytes: 17\n", "read_bytes:"), Some(17));
        assert_eq!(named("a: 1\n", "read_bytes:"), None);
    }
}
