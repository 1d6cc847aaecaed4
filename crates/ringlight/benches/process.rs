//! What a reading of the process costs: everything that its metrics are made of, as it is read with each export.
//!
//! `cargo bench -p ringlight --features profiling --bench process`. The CPU time of the thread that reads, with few and with
//! many files open: one reading right after the other, and, as in a service, one after a pause, with nothing of it left in the
//! processor's caches.

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
    use std::time::Duration;

    const IN_A_ROW: usize = 20_000;
    const AFTER_A_PAUSE: usize = 200;
    /// Long enough for the thread to be off its processor; a service reads every few seconds.
    const PAUSE: Duration = Duration::from_millis(50);
    /// More than caches take.
    const OTHER_MEMORY: usize = 128 << 20;

    let Some(source) = process::Source::open() else {
        return Err(std::io::Error::other("there is no /proc to read"));
    };
    let mut other = vec![0_u8; OTHER_MEMORY];
    let mut files = Vec::new();
    for open_files in [0, 900] {
        for _ in files.len()..open_files {
            files.push(std::fs::File::open("/dev/null")?);
        }
        println!("with {open_files} further files");
        tell(
            "one after the other",
            (0..IN_A_ROW).map(|_| reading(&source)),
        );
        let after_a_pause = (0..AFTER_A_PAUSE).map(|_| {
            let lines = other.iter_mut().step_by(64);
            lines.for_each(|byte| *byte = byte.wrapping_add(1));
            std::hint::black_box(&mut other);
            std::thread::sleep(PAUSE);
            reading(&source)
        });
        tell("after a pause", after_a_pause);
    }
    Ok(())
}

/// The CPU time that a reading takes.
#[cfg(target_os = "linux")]
fn reading(source: &process::Source) -> i64 {
    let began = cpu_ns();
    std::hint::black_box(source.read());
    cpu_ns() - began
}

#[cfg(target_os = "linux")]
fn cpu_ns() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

#[cfg(target_os = "linux")]
fn tell(which: &str, times: impl Iterator<Item = i64>) {
    let mut times: Vec<i64> = times.collect();
    times.sort_unstable();
    let micros = |percent: usize| times[times.len() * percent / 100] as f64 / 1e3;
    let (median, late) = (micros(50), micros(99));
    println!("  {which}: median {median:.1} us, 99th percentile {late:.1} us");
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("the process is read on Linux alone");
}
