//! The sample application as a program of its own.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use ringlight::RinglightAllocator;

#[global_allocator]
static ALLOCATOR: RinglightAllocator<MiMalloc> = RinglightAllocator::new(MiMalloc);

/// Bounded-channel stream processing: a sample application of Ringlight
#[derive(Debug, Parser)]
#[command(name = "streaming", version)]
struct Cli {
    #[command(flatten)]
    args: ringlight_app_streaming::Args,
}

fn main() -> ExitCode {
    ringlight_app_streaming::main(&Cli::parse().args)
}
