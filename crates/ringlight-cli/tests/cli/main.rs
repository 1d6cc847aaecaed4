//! The real binary: command line, `up`, `demo`, and what survives its death.
#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

mod agent_map;
mod check;
mod command_line;
mod common;
mod demo;
mod everything;
mod forward;
mod full_disk;
mod kill;
mod memory;
mod open_spans;
mod settings;
mod spans;
mod terminal;
mod up;
