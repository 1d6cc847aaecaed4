//! Development tasks: `cargo xtask test` runs every check of the project and counts the tests.
#![forbid(unsafe_code)]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a task reports to a terminal"
)]

mod demo;
mod features;
mod instructions;
mod interop;
mod report;
mod sanitize;
mod step;
mod tasks;
mod tokio_examples;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <task>

tasks:
  test         everything CI runs: format, lints, tests, documentation, web, browser; `--no-fail-fast` goes on after what
               fails
  test-rust    only the Rust part of it
  test-web     only the web and browser part of it
  interop      stock OpenTelemetry SDKs against the backend, the client against the servers of others, tokio's
               examples with our channels; `--all` builds the largest server, too
  instructions count what recording costs in instructions; `--write` keeps the counts
  soak         random work against a backend that fails at random; `--minutes 10`, `--seed N`
  sanitize     the ring, the clock and the pipeline under the thread sanitizer; needs a nightly compiler
  screenshots  take the pictures the documentation shows, from a running demo

Each task installs what it can by itself (npm packages, a Python environment) and names the
command that installs what it cannot.";

fn main() -> ExitCode {
    let task = std::env::args().nth(1).unwrap_or_default();
    let outcome = match task.as_str() {
        "test" => tasks::test(std::env::args().nth(2).as_deref() == Some("--no-fail-fast")),
        "test-rust" => tasks::test_rust(),
        "test-web" => tasks::test_web(),
        "interop" => tasks::interop(std::env::args().nth(2).as_deref() == Some("--all")),
        "screenshots" => tasks::screenshots(),
        "instructions" => {
            let write = std::env::args().nth(2).as_deref() == Some("--write");
            tasks::instructions(write)
        }
        "soak" => tasks::soak(std::env::args().skip(2)),
        "sanitize" => sanitize::run(),
        "help" | "--help" | "-h" => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        other => {
            eprintln!("error: there is no task `{other}`\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error}");
            ExitCode::FAILURE
        }
    }
}
