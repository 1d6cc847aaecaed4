//! The log on disk by itself, beside plain files that are written and read in the same way.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    path::Path,
    time::Instant,
};

use anyhow::{Result, ensure};
use bench_workload::thread_cpu_ns;
use ringlight_spool::{Entry, Log, LogOptions, Spool};
use serde::{Deserialize, Serialize};

use super::Scratch;
use crate::{plan::Subject, results::Figure, stats::Estimate};

/// As the collector makes them by default.
const BATCH_BYTES: usize = 256 << 10;
/// What is written to the page cache, what with `fsync`, and what is found at a start.
const CACHED_BYTES: u64 = 512 << 20;
const SYNCED_BYTES: u64 = 64 << 20;
const FOUND_BYTES: u64 = 1 << 30;

/// Samples of one measurement.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    case: String,
    bytes: u64,
    wall_ns: Vec<u64>,
    cpu_ns: Vec<u64>,
}

/// Measures everything, so many times.
pub(crate) fn run(runs: usize) -> Result<Vec<Measured>> {
    let scratch = Scratch::new()?;
    let dir = &scratch.0;
    let mut measured = Vec::new();
    let mut measure = |case: &str, bytes, run: &dyn Fn(&Path) -> Result<()>| -> Result<()> {
        let mut one = Measured {
            case: case.to_owned(),
            bytes,
            wall_ns: Vec::new(),
            cpu_ns: Vec::new(),
        };
        for _ in 0..runs {
            let (wall, cpu) = (Instant::now(), thread_cpu_ns());
            run(dir)?;
            one.cpu_ns.push(thread_cpu_ns() - cpu);
            one.wall_ns.push(u64::try_from(wall.elapsed().as_nanos())?);
        }
        measured.push(one);
        Ok(())
    };
    for (name, bytes, sync, group) in [
        ("cache", CACHED_BYTES, false, 1),
        ("fsync", SYNCED_BYTES, true, 1),
        ("fsync-8", SYNCED_BYTES, true, 8),
    ] {
        let log = |dir: &Path| append(&dir.join("log"), bytes, sync, group);
        measure(&format!("append-{name}"), bytes, &log)?;
        let file = |dir: &Path| write(&dir.join("file"), bytes, sync, group);
        measure(&format!("file-{name}"), bytes, &file)?;
    }
    let found = dir.join("found");
    fill(&found, FOUND_BYTES, false, 1)?;
    measure("recover", FOUND_BYTES, &|_| open(&found, true).map(drop))?;
    measure("read-back", FOUND_BYTES, &|_| read_back(&found))?;
    fs::remove_dir_all(&found)?;
    let file = dir.join("file");
    write_file(&file, FOUND_BYTES, false, 1)?;
    measure("read-file", FOUND_BYTES, &|_| read_file(&file))?;
    Ok(measured)
}

fn batch() -> Vec<u8> {
    // Not all the same, so that a file system that compresses has something to do.
    let byte = |i: u32| (i.wrapping_mul(2_654_435_761) >> 24) as u8;
    (0..BATCH_BYTES as u32).map(byte).collect()
}

fn open(dir: &Path, sync: bool) -> Result<Log> {
    let options = LogOptions {
        sync,
        ..LogOptions::default()
    };
    Ok(Spool::open(dir)?.log("bench", "traces", options)?.0)
}

/// Fills a log anew, and removes it.
fn append(dir: &Path, bytes: u64, sync: bool, group: usize) -> Result<()> {
    fill(dir, bytes, sync, group)?;
    Ok(fs::remove_dir_all(dir)?)
}

fn fill(dir: &Path, bytes: u64, sync: bool, group: usize) -> Result<()> {
    let mut log = open(dir, sync)?;
    let batch = batch();
    let entry = Entry {
        process: "0123456789abcdef0123456789abcdef",
        sequence: 1,
        records: 1_000,
        note: "",
        bytes: &batch,
    };
    let entries = vec![entry; group];
    for _ in 0..bytes / (BATCH_BYTES * group) as u64 {
        log.append(&entries, 0, 1)?;
    }
    Ok(())
}

fn read_back(dir: &Path) -> Result<()> {
    let mut log = open(dir, true)?;
    let mut bytes = 0;
    loop {
        let read = log.read(1 << 20, 0);
        if read.frames.is_empty() {
            break;
        }
        let frames = read.frames.iter();
        bytes += frames.map(|frame| frame.bytes.len() as u64).sum::<u64>();
    }
    ensure!(bytes == FOUND_BYTES, "{bytes} bytes came back");
    Ok(())
}

/// Writes a plain file anew, and removes it.
fn write(path: &Path, bytes: u64, sync: bool, group: usize) -> Result<()> {
    write_file(path, bytes, sync, group)?;
    Ok(fs::remove_file(path)?)
}

fn write_file(path: &Path, bytes: u64, sync: bool, group: usize) -> Result<()> {
    let mut file = File::create(path)?;
    let batch = batch();
    for _ in 0..bytes / (BATCH_BYTES * group) as u64 {
        for _ in 0..group {
            file.write_all(&batch)?;
        }
        if sync {
            file.sync_data()?;
        }
    }
    Ok(())
}

fn read_file(path: &Path) -> Result<()> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            count => bytes += count as u64,
        }
    }
    ensure!(bytes == FOUND_BYTES, "{bytes} bytes came back");
    Ok(())
}

/// Throughput by wall and by CPU time, and the time of a recovery.
pub(crate) fn figures(measured: &[Measured]) -> Vec<Figure> {
    let of = |one: &Measured| {
        let figure = |unit, values: Vec<f64>| {
            let estimate = Estimate::of(&values);
            let case = (one.case.as_str(), unit);
            Figure::new("ship", Subject::Ringlight, case, estimate, (0, 0))
        };
        let rate = |times: &[u64]| -> Vec<f64> {
            let rate = |ns: &u64| one.bytes as f64 / *ns as f64 * 1e3;
            times.iter().map(rate).collect()
        };
        let ms = one.wall_ns.iter().map(|ns| *ns as f64 / 1e6).collect();
        [
            figure(WALL_RATE, rate(&one.wall_ns)),
            figure(CPU_RATE, rate(&one.cpu_ns)),
            figure(WALL_TIME, ms),
        ]
    };
    measured.iter().flat_map(of).collect()
}

/// What figures count: MB a second of wall and of CPU time, and milliseconds.
pub(crate) const WALL_RATE: &str = "mb_per_second";
pub(crate) const CPU_RATE: &str = "mb_per_cpu_second";
pub(crate) const WALL_TIME: &str = "ms";

/// The cases, with what they are.
pub(crate) const CASES: [(&str, &str); 9] = [
    ("append-cache", "append to the page cache"),
    ("file-cache", "the same to a plain file"),
    ("append-fsync", "append with `fsync`, a batch at a time"),
    ("file-fsync", "the same to a plain file"),
    (
        "append-fsync-8",
        "append with `fsync`, eight batches at a time",
    ),
    ("file-fsync-8", "the same to a plain file"),
    ("recover", "look through 1 GiB at a start"),
    ("read-back", "look through it and read it back"),
    ("read-file", "read a plain file of 1 GiB"),
];
