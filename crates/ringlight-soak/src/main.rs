//! A soak: rounds of random work against a backend that fails at random.
//!
//! After each round the ledger must say what the backend saw, no thread may hang, and memory must
//! not grow from round to round. What a round does follows from the seed, which is printed; how its
//! threads meet does not. What is found goes to stdout; what telemetry says of its backend's failures, which
//! are many, to stderr.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "a program for a terminal")]

mod check;
mod memory;
mod mood;
mod plan;
mod round;
mod work;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

use memory::Memory;
use plan::Plan;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Records at random against a backend that fails at random.
#[derive(Debug, Parser)]
struct Args {
    /// How long to go on, in minutes, beside `--seconds`.
    #[arg(long, default_value_t = 0)]
    minutes: u64,
    /// How long to go on, in seconds.
    #[arg(long, default_value_t = 0)]
    seconds: u64,
    /// What the rounds follow from. Default: another one each time.
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    println!("seed {seed}");
    work::quiet_panics();
    let until = Instant::now() + Duration::from_secs(args.minutes * 60 + args.seconds);
    let mut seeds = fastrand::Rng::with_seed(seed);
    let mut memory = Memory::default();
    let mut number = 0;
    while number == 0 || Instant::now() < until {
        number += 1;
        let plan = Plan::of(seeds.u64(..));
        println!("round {number}: {plan}");
        let outcome = round::run(&plan).and_then(|told| {
            println!("{told}");
            memory.look()
        });
        match outcome {
            Ok(rss) => println!("  memory: {rss} MiB resident"),
            Err(error) => {
                println!("error: round {number} of seed {seed}: {error}");
                // A thread that hangs goes with it.
                return ExitCode::FAILURE;
            }
        }
    }
    println!("{number} rounds, every ledger agreed with its backend; {memory}");
    ExitCode::SUCCESS
}
