//! The sample application as a program of its own.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use mimalloc::MiMalloc;
use ringlight::RinglightAllocator;

#[global_allocator]
static ALLOCATOR: RinglightAllocator<MiMalloc> = RinglightAllocator::new(MiMalloc);

/// An agent loop with tools, memory and a model provider: a sample application of Ringlight
#[derive(Debug, Parser)]
#[command(name = "agent", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the agent
    Run(ringlight_app_agent::Args),
    /// Run the stand-in model the agent talks to
    Model(ringlight_app_agent::model::Args),
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Run(args) => ringlight_app_agent::main(&args),
        Command::Model(args) => ringlight_app_agent::model::main(&args),
    }
}
