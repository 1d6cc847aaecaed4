//! What a reading of the process costs: everything that its metrics are made of, as it is read with each export.
//!
//! `cargo bench -p ringlight --features profiling --bench process`. The median of many readings, one after the other and apart,
//! with few and with many files open.

#![expect(clippy::print_stdout, reason = "the figures are its output")]

#[cfg(target_os = "linux")]
#[expect(
    unused_imports,
    reason = "it is what reads that is measured, and its tests are not run here"
)]
#[path = "../src/process.rs"]
mod process;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[cfg(target_os = "linux")]
fn main() -> std::io::Result<()> {
    use std::time::{Duration, Instant};

    /// How many readings, and how long after the last one: one that follows another finds all it needs in the processor's
    /// caches, and one of a service does not.
    const PACES: [(usize, Duration); 2] =
        [(20_000, Duration::ZERO), (40, Duration::from_millis(250))];
    let Some(source) = process::Source::open() else {
        return Err(std::io::Error::other("there is no /proc to read"));
    };
    let mut files = Vec::new();
    for open_files in [0, 900] {
        for _ in files.len()..open_files {
            files.push(std::fs::File::open("/dev/null")?);
        }
        for (count, pause) in PACES {
            let mut times: Vec<_> = (0..count)
                .map(|_| {
                    if !pause.is_zero() {
                        std::thread::sleep(pause);
                    }
                    let began = Instant::now();
                    std::hint::black_box(source.read());
                    began.elapsed()
                })
                .collect();
            times.sort_unstable();
            let (median, late) = (times[count / 2], times[count * 95 / 100]);
            println!(
                "{pause:?} apart, with {open_files:3} further files: median {median:?}, 95th percentile {late:?}"
            );
        }
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("the process is read on Linux alone");
}
