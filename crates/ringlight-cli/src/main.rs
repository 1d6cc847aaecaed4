//! The `ringlight` command: one process that receives, stores and shows telemetry, and the sample
//! applications to see it work.
//!
//! Arguments are parsed once ([`args`]) and turned into a validated configuration ([`config`]);
//! nothing is validated later. Data goes to standard output, everything else to standard error; an
//! error is one line that says what failed and on what, and a `hint:` line that says what to do.
#![forbid(unsafe_code)]

mod address;
mod args;
mod backend;
mod check;
mod config;
mod console;
mod demo;
mod error;
mod forward;
mod program;
mod settings;
mod signals;
mod size;
mod table;
mod up;
mod usage;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use mimalloc::MiMalloc;
use ringlight::RinglightAllocator;

use args::{AppCommand, Cli, Command};
use config::{CheckConfig, DemoConfig, Surroundings, UpConfig};
use console::Console;
use error::{CliError, Exit};

/// Counts for the sample applications, which this program is, too. A process that records no spans, such as the
/// backend's, pays a load and a branch an allocation for it.
#[global_allocator]
static ALLOCATOR: RinglightAllocator<MiMalloc> = RinglightAllocator::new(MiMalloc);

fn main() -> ExitCode {
    let console = Console::stderr();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage::explain(&error, console),
    };
    match dispatch(cli.command, console) {
        Ok(code) => code,
        Err(error) => {
            console.error(&error);
            error.exit.into()
        }
    }
}

fn dispatch(command: Command, console: Console) -> Result<ExitCode, CliError> {
    let surroundings = Surroundings::of_process();
    match command {
        Command::Up(args) => {
            let config = UpConfig::new(args, &surroundings)?;
            block_on(up::run(config, console))
        }
        Command::Demo(args) => {
            let config = DemoConfig::new(args, &surroundings)?;
            block_on(demo::run(config, console))
        }
        Command::Check(args) => {
            let config = CheckConfig::new(args)?;
            block_on(check::run(config, console))
        }
        Command::Config(command) => settings::run(command, console),
        Command::Completions { shell } => completions(shell),
        Command::App(AppCommand::Streaming(args)) => Ok(ringlight_app_streaming::main(&args)),
        Command::App(AppCommand::Agent(args)) => Ok(ringlight_app_agent::main(&args)),
        Command::App(AppCommand::Model(args)) => Ok(ringlight_app_agent::model::main(&args)),
    }
}

fn block_on(
    command: impl Future<Output = Result<ExitCode, CliError>>,
) -> Result<ExitCode, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            CliError::new(Exit::Failure, format!("cannot start threads: {error}"))
                .with_hint("check the limits of this user (`ulimit -u`, `ulimit -v`)")
        })?;
    let outcome = runtime.block_on(command);
    // Whatever still runs after an orderly end must not hold it up.
    runtime.shutdown_background();
    outcome
}

fn completions(shell: clap_complete::Shell) -> Result<ExitCode, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "ringlight", &mut script);
    console::print(&String::from_utf8_lossy(&script)).map(|()| ExitCode::SUCCESS)
}
