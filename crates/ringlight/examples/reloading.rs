//! A service that takes orders, one a line of standard input, and goes by its file of settings anew at SIGHUP.
//!
//! ```text
//! RINGLIGHT_CONFIG_FILE=shop.toml cargo run -p ringlight --example reloading
//! ```
//!
//! Behind the log lines of an order it says on standard error that it has taken it, once all that was recorded of it has gone out.

#![expect(clippy::print_stderr, reason = "it is what the program has to say")]

use std::error::Error;
use std::io::BufRead as _;
use std::time::Duration;

use ringlight::OverflowPolicy;

/// How long an order may take to go out.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> Result<(), Box<dyn Error>> {
    let telemetry = ringlight::builder()
        .service_name("shop")
        .overflow(OverflowPolicy::Block)
        // At the signal alone.
        .watch_config_file(false)
        .init()?;
    for (number, order) in (1_u64..).zip(std::io::stdin().lock().lines()) {
        take(number, &order?);
        telemetry.flush(PATIENCE)?;
        eprintln!("taken {number}");
    }
    Ok(())
}

#[tracing::instrument(fields(card = "4012888888881881"))]
fn take(number: u64, order: &str) {
    tracing::debug!("looking whether there is any");
    tracing::info!(card = "4012888888881881", "ordered");
}
