//! A service that closes spans, and asks the backend for each until it is there.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use ringlight::LogFormat;
use serde::{Deserialize, Serialize};
use tracing::info_span;

use super::http;

/// Between two questions, so that the asking does not keep the backend from its work.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// A span that takes longer than this was lost.
const GIVE_UP_AFTER: Duration = Duration::from_secs(30);

/// What a `visible` process found.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct VisibleRun {
    /// From a span's closing to the answer that has it, in milliseconds.
    pub(crate) delays_ms: Vec<f64>,
}

/// Closes spans one after the other, each when the one before was seen, with a client of which
/// nothing is set but where it sends.
pub(crate) fn run(endpoint: &str, api: &str, count: u64) -> Result<VisibleRun> {
    let telemetry = ringlight::builder()
        .service_name("bench-compare")
        .otlp_endpoint(endpoint)
        .log_format(LogFormat::Off)
        .init()?;
    let delays_ms = (0..count)
        .map(|number| delay_ms(api, number))
        .collect::<Result<_>>()?;
    telemetry.shutdown(Duration::from_secs(10));
    Ok(VisibleRun { delays_ms })
}

fn delay_ms(api: &str, number: u64) -> Result<f64> {
    let marker = format!("{}-{number}", std::process::id());
    let path = http::search(&format!("{{ span.marker = \"{marker}\" }}"));
    drop(info_span!("visible", marker).entered());
    let closed = Instant::now();
    while closed.elapsed() < GIVE_UP_AFTER {
        let answer = http::get(api, &path)?;
        let traces = answer["traces"].as_array();
        if !traces.context("a search answers traces")?.is_empty() {
            return Ok(closed.elapsed().as_secs_f64() * 1e3);
        }
        thread::sleep(POLL_INTERVAL);
    }
    bail!("span {number} did not become visible");
}
