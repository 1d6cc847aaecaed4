//! Ringlight beside its peers: the same work, in processes of their own, counted in spans that a
//! server received, decoded and compared with what was sent.
//!
//! `record` measures what a span costs the thread that records it, `unsampled` what one does that is
//! turned away, `threads` what several threads pay that record together; `deliver` measures what a
//! delivered span costs the process, `ship` what compression, batches and the spool do to that, `axum` what a request costs a service, `features` what each feature of the product costs two applications, `channels` what a message costs beside tokio's, `allocations` what counting them costs; `backend` measures the product's backend: how quickly it starts,
//! takes in, shows and finds spans, and what it takes for that. See `README.md` for how.

mod aims;
mod backend;
mod cargo;
mod child;
mod codec;
mod features;
mod machine;
mod meter;
mod pacer;
mod pairs;
mod parent;
mod plan;
mod report;
mod requests;
mod results;
mod sample;
mod server;
mod ship;
mod stats;
mod subjects;
mod wire;

use std::{io::Write, path::PathBuf, process::ExitCode};

use anyhow::{Context as _, Result};
use bench_workload::Cores;
use clap::{Parser, Subcommand, ValueEnum};

use crate::{
    features::Binaries,
    machine::Machine,
    pairs::{AllocationPrograms, ChannelProgram},
    parent::Runner,
    plan::{Delivery, Keeping, Packing, Sampling, Shape, Shipping, Sizes, Subject},
    results::Results,
};

#[global_allocator]
static ALLOCATOR: meter::CountingAllocator = meter::CountingAllocator;

/// Measures Ringlight beside its peers, counted in delivered spans.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true)]
struct Arguments {
    /// What to measure.
    #[arg(value_enum, default_value_t = Bench::All)]
    bench: Bench,
    /// Few and short runs: for a look, not for a report.
    #[arg(long)]
    quick: bool,
    /// One line of JSON a figure, instead of tables.
    #[arg(long)]
    json: bool,
    /// Also write `README.md` and `results.jsonl` into this folder.
    #[arg(long, value_name = "FOLDER")]
    report: Option<PathBuf>,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Bench {
    /// CPU time and allocations of the recording thread, a span.
    Record,
    /// CPU time of the recording thread, a span that the head sampler turns away.
    Unsampled,
    /// CPU time of several threads that record at the same time, a span.
    Threads,
    /// CPU time of the process, a delivered span.
    Deliver,
    /// CPU time of a service, a request.
    Axum,
    /// CPU time of two applications with each feature, by itself and with all others; builds them first.
    Features,
    /// CPU time and instructions of a message, in tokio's channels and in those that count; builds them first.
    Channels,
    /// CPU time of allocating and of parsing JSON, with allocations counted and without; builds it first.
    Allocations,
    /// CPU and bytes of a delivered span by compression, batch and spool; the log on disk.
    Ship,
    /// What the backend costs and how quickly it answers; builds it first.
    Backend,
    /// All of them.
    All,
}

impl Bench {
    /// Whether it is asked for when `self` is.
    fn includes(self, bench: Self) -> bool {
        self == Self::All || self == bench
    }
}

/// What the program does when it runs itself.
#[derive(Debug, Subcommand)]
enum Role {
    #[command(hide = true)]
    Serve { cores: Cores },
    #[command(hide = true)]
    ChildRecord {
        subject: Subject,
        shape: Shape,
        sampling: Sampling,
        endpoint: String,
        rounds: usize,
        bursts: u64,
    },
    #[command(hide = true)]
    ChildThreads {
        subject: Subject,
        threads: u64,
        endpoint: String,
        rounds: usize,
        bursts: u64,
    },
    #[command(hide = true)]
    ChildDeliver {
        subject: Subject,
        delivery: Delivery,
        endpoint: String,
        bursts: u64,
    },
    #[command(hide = true)]
    ChildShip {
        subject: Subject,
        packing: Packing,
        keeping: Keeping,
        delivery: Delivery,
        /// 0 for what the subject does by itself.
        batch_spans: usize,
        endpoint: String,
        bursts: u64,
    },
    #[command(hide = true)]
    ChildLog { runs: usize },
    #[command(hide = true)]
    ChildWindow { endpoint: String, dir: PathBuf },
    #[command(hide = true)]
    ChildDrain { endpoint: String, dir: PathBuf },
    #[command(hide = true)]
    ChildService {
        subject: Subject,
        endpoint: String,
        requests: u64,
    },
    #[command(hide = true)]
    ChildLoadService { address: String, requests: u64 },
    #[command(hide = true)]
    ChildLoad {
        endpoint: String,
        first_trace: u64,
        requests: u64,
    },
    #[command(hide = true)]
    ChildVisible {
        endpoint: String,
        api: String,
        count: u64,
    },
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    match arguments.role {
        Some(role) => play(role).map(|()| ExitCode::SUCCESS),
        None => measure(&arguments),
    }
}

fn play(role: Role) -> Result<()> {
    match role {
        Role::Serve { cores } => server::run(cores),
        Role::ChildRecord {
            subject,
            shape,
            sampling,
            endpoint,
            rounds,
            bursts,
        } => {
            let run = child::record(subject, shape, sampling, &endpoint, rounds, bursts)?;
            print_line(&run)
        }
        Role::ChildThreads {
            subject,
            threads,
            endpoint,
            rounds,
            bursts,
        } => print_line(&child::threads(
            subject, threads, &endpoint, rounds, bursts,
        )?),
        Role::ChildDeliver {
            subject,
            delivery,
            endpoint,
            bursts,
        } => {
            let shipping = Shipping::default();
            let run = child::deliver(subject, delivery, shipping, &endpoint, bursts)?;
            print_line(&run)
        }
        Role::ChildShip {
            subject,
            packing,
            keeping,
            delivery,
            batch_spans,
            endpoint,
            bursts,
        } => {
            let _scratch = ship::Scratch::new()?;
            let shipping = Shipping {
                packing,
                keeping,
                batch_spans: (batch_spans > 0).then_some(batch_spans),
            };
            let run = child::deliver(subject, delivery, shipping, &endpoint, bursts)?;
            print_line(&run)
        }
        Role::ChildWindow { endpoint, dir } => ship::window::record(&endpoint, &dir),
        Role::ChildDrain { endpoint, dir } => ship::window::drain(&endpoint, &dir),
        Role::ChildLog { runs } => print_line(&ship::log::run(runs)?),
        Role::ChildService {
            subject,
            endpoint,
            requests,
        } => print_line(&requests::service::run(subject, &endpoint, requests)?),
        Role::ChildLoadService { address, requests } => {
            print_line(&requests::load::run(&address, requests)?)
        }
        Role::ChildLoad {
            endpoint,
            first_trace,
            requests,
        } => print_line(&backend::load::run(&endpoint, first_trace, requests)?),
        Role::ChildVisible {
            endpoint,
            api,
            count,
        } => print_line(&backend::visible::run(&endpoint, &api, count)?),
    }
}

/// What is measured and is not this program, built as far as it is asked for.
struct Programs {
    backend: Option<PathBuf>,
    applications: Option<Binaries>,
    channels: Option<ChannelProgram>,
    allocations: Option<AllocationPrograms>,
}

impl Programs {
    fn build(asked: Bench) -> Result<Self> {
        fn made<T>(is_asked: bool, make: impl FnOnce() -> Result<T>) -> Result<Option<T>> {
            is_asked.then(make).transpose()
        }
        Ok(Self {
            backend: made(asked.includes(Bench::Backend), backend::build)?,
            applications: made(asked.includes(Bench::Features), Binaries::build)?,
            channels: made(asked.includes(Bench::Channels), ChannelProgram::build)?,
            allocations: made(
                asked.includes(Bench::Allocations),
                AllocationPrograms::build,
            )?,
        })
    }
}

fn measure(arguments: &Arguments) -> Result<ExitCode> {
    let sizes = if arguments.quick {
        Sizes::QUICK
    } else {
        Sizes::FULL
    };
    let bench = arguments.bench;
    // The machine before it is kept busy with a build, and the build before anything is measured.
    let mut results = Results {
        machine: Machine::look(),
        ..Results::default()
    };
    let programs = Programs::build(bench)?;
    let mut runner = Runner::start(sizes, &mut results)?;
    if bench.includes(Bench::Record) {
        runner.record()?;
    }
    if bench.includes(Bench::Unsampled) {
        runner.unsampled()?;
    }
    if bench.includes(Bench::Threads) {
        runner.threads()?;
    }
    if bench.includes(Bench::Axum) {
        runner.requests()?;
    }
    if let Some(applications) = &programs.applications {
        runner.features(applications)?;
    }
    if bench.includes(Bench::Deliver) {
        runner.deliver()?;
    }
    if bench.includes(Bench::Ship) {
        runner.ship()?;
    }
    drop(runner);
    if let Some(channels) = &programs.channels {
        channels.measure(&sizes.pairs, &mut results)?;
    }
    if let Some(allocations) = &programs.allocations {
        allocations.measure(&sizes.pairs, &mut results)?;
    }
    if let Some(binary) = &programs.backend {
        backend::measure(binary, &sizes.backend, &mut results)?;
    }
    if arguments.json {
        for figure in &results.figures {
            print_line(figure)?;
        }
    } else {
        write!(std::io::stdout(), "{}", report::tables(&results))?;
    }
    if let Some(folder) = &arguments.report {
        write_report(folder, arguments.quick, &results)?;
    }
    for difference in &results.differences {
        writeln!(
            std::io::stderr(),
            "received is not what was sent: {difference}"
        )?;
    }
    // Figures about something else than what was asked for are no figures.
    Ok(if results.differences.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn write_report(folder: &std::path::Path, quick: bool, results: &Results) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let mut lines = String::new();
    for figure in &results.figures {
        lines.push_str(&serde_json::to_string(figure)?);
        lines.push('\n');
    }
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    write("results.jsonl", lines)?;
    write("README.md", report::document(results, quick))
}

fn print_line(value: &impl serde::Serialize) -> Result<()> {
    let mut line = serde_json::to_string(value)?;
    line.push('\n');
    Ok(std::io::stdout().lock().write_all(line.as_bytes())?)
}
