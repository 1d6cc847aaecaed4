//! Records numbered spans, flushes, and prints up to which number everything is safe: delivered or on disk.
//! `tests/killed.rs` kills it at random moments.
//!
//! ```text
//! OTLP_ENDPOINT=http://localhost:4317 RINGLIGHT_SPOOL_DIR=spool RINGLIGHT_SPOOL_MODE=always \
//!     cargo run -p ringlight --example spooled -- 0
//! ```
//!
//! With `drain` in place of a number it records nothing, and ends when nothing is left on disk.

#![expect(clippy::print_stdout, reason = "the test reads it")]

use std::error::Error;
use std::io::Write as _;
use std::time::Duration;

use ringlight::{Signal, Telemetry};

fn main() -> Result<(), Box<dyn Error>> {
    let argument = std::env::args().nth(1).unwrap_or_default();
    let telemetry = ringlight::builder()
        .default_filter("info")
        .pipeline(|config| {
            config.retry.delay_first = Duration::from_millis(1);
            config.retry.delay_max = Duration::from_millis(20);
            config.batch_delay = Duration::from_millis(5);
        })
        .init()?;
    if argument == "drain" {
        drain(&telemetry);
        return Ok(());
    }
    let mut number: u64 = argument.parse()?;
    loop {
        for _ in 0..=fastrand::u64(..50) {
            number += 1;
            drop(tracing::info_span!("numbered", number).entered());
        }
        if telemetry.flush(Duration::from_secs(5)).is_ok() {
            println!("{number}");
            std::io::stdout().flush()?;
        }
    }
}

fn drain(telemetry: &Telemetry) {
    loop {
        let ledger = telemetry.ledger();
        let traces = ledger.account(Signal::Traces);
        if traces.recovered > 0 && traces.spooled + traces.in_flight == 0 {
            println!("{}", traces.recovered);
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
