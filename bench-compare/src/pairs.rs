//! What costs a nanosecond or less: programs in which the ways to do the same take turns, beside the same without it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use bench_workload::{AllocationRun, Channels, Exchange, Turns};

use crate::{
    cargo,
    parent::{argument, output_of, progress, without_telemetry_settings},
    plan::PairSizes,
    results::{Figure, Results},
    stats::{Estimate, median},
};

/// The benches of this part, in results.
pub(crate) const CHANNELS: &str = "channels";
pub(crate) const ALLOCATIONS: &str = "allocations";

/// Units of a message.
pub(crate) const MESSAGE: &str = "ns_cpu_per_message";
pub(crate) const OVER_TOKIO: &str = "percent_cpu_over_tokio";
pub(crate) const INSTRUCTIONS: &str = "instructions_per_message";

/// Units of what is allocated.
pub(crate) const PAIR: &str = "ns_cpu_per_pair";
pub(crate) const PARSE: &str = "us_cpu_per_document";
pub(crate) const NS_OVER: &str = "ns_cpu_over_uncounted";
pub(crate) const PERCENT_OVER: &str = "percent_cpu_over_uncounted";
/// Of the case [`DOCUMENT`].
pub(crate) const BYTES: &str = "bytes";
pub(crate) const COUNT: &str = "allocations";
pub(crate) const DOCUMENT: &str = "json";

/// Cases of the pair and of the document in the order of the ways: not counted, counted outside of spans and in one.
pub(crate) const PAIR_CASES: [&str; 3] = ["pair-uncounted", "pair-outside", "pair-in-span"];
pub(crate) const PARSE_CASES: [&str; 3] = ["json-uncounted", "json-outside", "json-in-span"];

/// An allocator around which is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Around {
    /// The system's.
    System,
    /// mimalloc.
    Mimalloc,
}

impl Around {
    /// Both of them.
    pub(crate) const ALL: [Self; 2] = [Self::System, Self::Mimalloc];

    /// The name in results and tables.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::System => "glibc",
            Self::Mimalloc => "mimalloc",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::System => "bench-allocations-system",
            Self::Mimalloc => "bench-allocations-mimalloc",
        }
    }
}

/// Builds one of the programs, if it is not built yet.
fn build(name: &str) -> Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    cargo::build_release(
        &manifest,
        &["--package", "bench-pairs", "--bin", name],
        name,
    )
}

fn run(program: &Path) -> Command {
    let mut command = Command::new(program);
    without_telemetry_settings(&mut command).stderr(Stdio::inherit());
    command
}

/// The program that compares channels, built.
pub(crate) struct ChannelProgram(PathBuf);

impl ChannelProgram {
    /// Builds it; fails where Valgrind is not there to count its instructions.
    pub(crate) fn build() -> Result<Self> {
        let found = Command::new("valgrind")
            .arg("--version")
            .stdout(Stdio::null())
            .status();
        if !found.is_ok_and(|status| status.success()) {
            bail!(
                "`channels` counts instructions with Valgrind, which does not start: `apt-get install valgrind`"
            );
        }
        build("bench-channels").map(Self)
    }

    /// Measures what a message takes, tokio's channels beside those that count.
    pub(crate) fn measure(&self, sizes: &PairSizes, results: &mut Results) -> Result<()> {
        let mut samples: Vec<Vec<Turns>> = vec![Vec::new(); Exchange::ALL.len()];
        for process in 0..sizes.processes {
            progress(CHANNELS, "both", "in turns", process);
            let rounds = sizes.channel_rounds.to_string();
            let found: Vec<Turns> = output_of(run(&self.0).args(["time", &rounds]))?;
            for (samples, turns) in samples.iter_mut().zip(found) {
                samples.push(turns);
            }
        }
        for (exchange, samples) in Exchange::ALL.into_iter().zip(&samples) {
            let case = exchange.name();
            let mut push = |subject: Channels, unit, values: &[f64]| {
                results
                    .figures
                    .push(figure(CHANNELS, subject.name(), (case, unit), values));
            };
            for (way, channels) in Channels::ALL.into_iter().enumerate() {
                push(channels, MESSAGE, &taken_ns(samples, way));
            }
            push(Channels::Ringlight, OVER_TOKIO, &percent_over(samples, 1));
            // How often two threads wait for each other is chance.
            if exchange.threads_count() == 1 {
                for channels in Channels::ALL {
                    push(
                        channels,
                        INSTRUCTIONS,
                        &[self.instructions(exchange, channels)?],
                    );
                }
            }
        }
        Ok(())
    }

    /// What a message takes, without what a process takes in any case.
    fn instructions(&self, exchange: Exchange, channels: Channels) -> Result<f64> {
        progress(CHANNELS, channels.name(), exchange.name(), 0);
        let (few, few_messages) = self.counted(exchange, channels, 1)?;
        let (many, many_messages) = self.counted(exchange, channels, 3)?;
        Ok((many - few) as f64 / (many_messages - few_messages) as f64)
    }

    /// Instructions of a process, and messages it sent.
    fn counted(&self, exchange: Exchange, channels: Channels, turns: u64) -> Result<(u64, u64)> {
        let mut command = Command::new("valgrind");
        command
            .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
            .arg(&self.0)
            .args(["repeat", &argument(exchange), &argument(channels)])
            .arg(turns.to_string());
        let output = without_telemetry_settings(&mut command).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        let counted = instructions(&said).filter(|_| output.status.success());
        let counted = counted.with_context(|| format!("`{command:?}` failed: {said}"))?;
        let messages = serde_json::from_slice(&output.stdout);
        Ok((
            counted,
            messages.context("it prints how many messages it sent")?,
        ))
    }
}

/// What callgrind says it counted.
fn instructions(said: &str) -> Option<u64> {
    let (_, counted) = said.split_once("Collected :")?;
    counted.split_whitespace().next()?.parse().ok()
}

/// The programs that allocate, built.
pub(crate) struct AllocationPrograms(Vec<(Around, PathBuf)>);

impl AllocationPrograms {
    /// Builds them.
    pub(crate) fn build() -> Result<Self> {
        let make = |around: Around| Ok((around, build(around.program())?));
        let made = Around::ALL.into_iter().map(make);
        made.collect::<Result<_>>().map(Self)
    }

    /// Measures what counting costs around each allocator.
    pub(crate) fn measure(&self, sizes: &PairSizes, results: &mut Results) -> Result<()> {
        let mut samples: Vec<Vec<AllocationRun>> = vec![Vec::new(); self.0.len()];
        for process in 0..sizes.processes {
            for ((around, program), samples) in self.0.iter().zip(&mut samples) {
                progress(ALLOCATIONS, around.name(), "in turns", process);
                let rounds = sizes.allocation_rounds.to_string();
                samples.push(output_of(run(program).arg(rounds))?);
            }
        }
        for ((around, _), runs) in self.0.iter().zip(&samples) {
            push_allocations(*around, runs, results);
        }
        Ok(())
    }
}

fn push_allocations(around: Around, runs: &[AllocationRun], results: &mut Results) {
    let mut push = |case: &str, unit, values: &[f64]| {
        results
            .figures
            .push(figure(ALLOCATIONS, around.name(), (case, unit), values));
    };
    let pairs: Vec<Turns> = runs.iter().map(|run| run.pair.clone()).collect();
    let parses: Vec<Turns> = runs.iter().map(|run| run.json.clone()).collect();
    for (way, case) in PAIR_CASES.into_iter().enumerate() {
        push(case, PAIR, &taken_ns(&pairs, way));
        if way > 0 {
            push(case, NS_OVER, &ns_over(&pairs, way));
        }
    }
    for (way, case) in PARSE_CASES.into_iter().enumerate() {
        let us: Vec<f64> = taken_ns(&parses, way).iter().map(|ns| ns / 1e3).collect();
        push(case, PARSE, &us);
        if way > 0 {
            push(case, PERCENT_OVER, &percent_over(&parses, way));
        }
    }
    if let Some(run) = runs.first() {
        push(DOCUMENT, BYTES, &[run.document_bytes as f64]);
        push(DOCUMENT, COUNT, &[run.document_allocations as f64]);
    }
}

fn figure(bench: &str, subject: &str, case: (&str, &str), samples: &[f64]) -> Figure {
    Figure::new(bench, subject, case, Estimate::of(samples), (0, 0))
}

/// Nanoseconds that a way took in each process: the median of its rounds.
fn taken_ns(processes: &[Turns], way: usize) -> Vec<f64> {
    processes
        .iter()
        .map(|turns| median(&turns.ways_ns[way]))
        .collect()
}

/// Nanoseconds that a way took more than the first, in each process: the median of its rounds' differences.
fn ns_over(processes: &[Turns], way: usize) -> Vec<f64> {
    of_rounds(processes, way, |own, first| own - first)
}

/// The same in per cent.
fn percent_over(processes: &[Turns], way: usize) -> Vec<f64> {
    of_rounds(processes, way, |own, first| (own / first - 1.0) * 100.0)
}

fn of_rounds(processes: &[Turns], way: usize, compared: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let of_process = |turns: &Turns| {
        let rounds = turns.ways_ns[way].iter().zip(&turns.ways_ns[0]);
        let values: Vec<f64> = rounds.map(|(own, first)| compared(*own, *first)).collect();
        median(&values)
    };
    processes.iter().map(of_process).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_is_the_median_of_a_processes_rounds() {
        let processes = [
            Turns {
                ways_ns: vec![vec![10.0, 20.0, 40.0], vec![11.0, 21.0, 44.0]],
            },
            Turns {
                ways_ns: vec![vec![10.0], vec![9.0]],
            },
        ];
        assert_eq!(taken_ns(&processes, 1), [21.0, 9.0]);
        assert_eq!(ns_over(&processes, 1), [1.0, -1.0]);
        let over = percent_over(&processes, 1);
        assert!(
            (over[0] - 10.0).abs() < 1e-9 && (over[1] + 10.0).abs() < 1e-9,
            "{over:?}"
        );
    }

    #[test]
    fn instructions_are_read_from_what_valgrind_says() {
        let said = "==7== Events    : Ir\n==7== Collected : 123456\n==7==\n";
        assert_eq!(instructions(said), Some(123_456));
        assert_eq!(instructions("valgrind: no such file"), None);
    }

    #[test]
    fn every_way_to_allocate_has_its_figures() {
        let ways_ns = vec![vec![2_000.0], vec![2_000.0], vec![2_010.0]];
        let run = AllocationRun {
            pair: Turns {
                ways_ns: ways_ns.clone(),
            },
            json: Turns { ways_ns },
            document_bytes: 39 << 10,
            document_allocations: 4_007,
        };
        let mut results = Results::default();
        push_allocations(Around::System, &[run], &mut results);
        let find = |case, unit| {
            results
                .find("glibc", case, unit)
                .map(|figure| figure.median)
        };
        assert_eq!(find(PARSE_CASES[0], PARSE), Some(2.0));
        assert_eq!(find(PARSE_CASES[2], PERCENT_OVER), Some(0.5));
        assert_eq!(find(PAIR_CASES[2], NS_OVER), Some(10.0));
        assert_eq!(find(PAIR_CASES[0], NS_OVER), None);
        assert_eq!(find(DOCUMENT, COUNT), Some(4_007.0));
    }
}
