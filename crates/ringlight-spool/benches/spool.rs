//! What a log on disk takes and gives back.
//!
//! `cargo bench -p ringlight-spool [-- DIRECTORY]`, by default in a temporary directory: it should be on the disk that is
//! of interest. Batches of 256 KiB, as the collector makes them; each figure is the median of five runs. The CPU time
//! is that of the thread, so it holds on a busy machine; the wall time says what the disk did.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "the figures are its output, and it stops where the disk does"
)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ringlight_spool::{Entry, Log, LogOptions, Spool};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BATCH_BYTES: usize = 256 << 10;
const RUNS: usize = 5;

fn batch() -> Vec<u8> {
    // Not all the same, so that a file system that compresses has something to do.
    (0..BATCH_BYTES as u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Wall and CPU time of a run.
fn timed(run: impl FnOnce()) -> (Duration, Duration) {
    let (wall, cpu) = (Instant::now(), cpu_time());
    run();
    (wall.elapsed(), cpu_time() - cpu)
}

fn show(name: &str, bytes: u64, mut runs: Vec<(Duration, Duration)>) {
    runs.sort();
    let wall = runs[runs.len() / 2].0.as_secs_f64();
    runs.sort_by_key(|(_, cpu)| *cpu);
    let cpu = runs[runs.len() / 2].1.as_secs_f64();
    let batches = bytes as f64 / BATCH_BYTES as f64;
    println!(
        "{name:<44} {:7.0} MB/s of wall time, {:7.0} MB/s of CPU time, {:7.1} us of CPU a batch",
        bytes as f64 / wall / 1e6,
        bytes as f64 / cpu / 1e6,
        cpu / batches * 1e6,
    );
}

fn open(dir: &Path, sync: bool) -> Log {
    let options = LogOptions {
        sync,
        ..LogOptions::default()
    };
    let spool = Spool::open(dir).unwrap();
    spool.log("bench", "traces", options).unwrap().0
}

fn append(dir: &Path, sync: bool, bytes: u64, group: usize) -> (Duration, Duration) {
    let mut log = open(dir, sync);
    let batch = batch();
    let entry = Entry {
        process: "0123456789abcdef0123456789abcdef",
        sequence: 1,
        records: 1_000,
        note: "",
        bytes: &batch,
    };
    let entries = vec![entry; group];
    timed(|| {
        for _ in 0..bytes / (BATCH_BYTES * group) as u64 {
            log.append(&entries, 0, 1).unwrap();
        }
    })
}

fn appends(dir: &Path, name: &str, sync: bool, bytes: u64, group: usize) {
    let runs = (0..RUNS).map(|run| {
        let dir = dir.join(format!("append-{run}"));
        let took = append(&dir, sync, bytes, group);
        std::fs::remove_dir_all(&dir).unwrap();
        took
    });
    show(name, bytes, runs.collect());
}

fn recovery(dir: &Path) {
    const BYTES: u64 = 1 << 30;
    let dir = dir.join("recovery");
    append(&dir, false, BYTES, 1);
    let opens = (0..RUNS)
        .map(|_| timed(|| drop(open(&dir, true))))
        .collect();
    show("looking at 1 GiB at the start", BYTES, opens);
    let reads = (0..RUNS).map(|_| {
        let mut log = open(&dir, true);
        timed(|| {
            let mut bytes = 0;
            loop {
                let read = log.read(1 << 20, 0);
                if read.frames.is_empty() {
                    break;
                }
                bytes += read
                    .frames
                    .iter()
                    .map(|f| f.bytes.len() as u64)
                    .sum::<u64>();
            }
            assert_eq!(bytes, BYTES);
        })
    });
    show("reading 1 GiB back", BYTES, reads.collect());
    let mut log = open(&dir, true);
    let done = timed(|| {
        while let Some(frame) = log.read(1, 0).frames.first() {
            log.done(frame.id);
        }
        log.checkpoint().unwrap();
    });
    show("reading it back and being done with it", BYTES, vec![done]);
}

fn main() {
    let given = std::env::args()
        .nth(1)
        .filter(|argument| !argument.starts_with('-'));
    let temporary = tempfile::tempdir().unwrap();
    let dir = given.map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    appends(&dir, "append to the page cache", false, 512 << 20, 1);
    appends(
        &dir,
        "append and sync, one batch at a time",
        true,
        64 << 20,
        1,
    );
    appends(
        &dir,
        "append and sync, eight batches at a time",
        true,
        64 << 20,
        8,
    );
    recovery(&dir);
}
