//! What a kill costs where the spool has only what cannot be sent: how long before it what was recorded is lost.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use ringlight::{LogFormat, Signal, SpoolConfig, Telemetry};

use super::Scratch;
use crate::{
    parent::{Runner, this_program},
    plan::{Shape, Subject},
    results::Figure,
    stats::Estimate,
    subjects::{self, Producer as _},
};

/// Time from one span to the next.
const PACE: Duration = Duration::from_millis(1);

/// Longer than anything takes here.
const PATIENCE: Duration = Duration::from_secs(30);

fn telemetry(endpoint: &str, dir: &Path) -> Result<Telemetry> {
    Ok(ringlight::builder()
        .service_name("bench-compare")
        .otlp_endpoint(endpoint)
        .log_format(LogFormat::Off)
        .spool(SpoolConfig::new(dir))
        .init()?)
}

/// Records a span a millisecond and says so, until it is killed.
pub(crate) fn record(endpoint: &str, dir: &Path) -> Result<()> {
    let _telemetry = telemetry(endpoint, dir)?;
    let mut producer = subjects::macros();
    let mut output = std::io::stdout().lock();
    let started = Instant::now();
    for number in 0_u32.. {
        producer.burst(Shape::Flat, number.into(), 1);
        writeln!(output, "{number}")?;
        output.flush()?;
        thread::sleep((PACE * (number + 1)).saturating_sub(started.elapsed()));
    }
    Ok(())
}

/// Sends what is left in the directory.
pub(crate) fn drain(endpoint: &str, dir: &Path) -> Result<()> {
    let telemetry = telemetry(endpoint, dir)?;
    let started = Instant::now();
    loop {
        // It is opened soon after the start.
        thread::sleep(Duration::from_millis(300));
        let ledger = telemetry.ledger();
        let spans = ledger.account(Signal::Traces);
        if spans.spooled + spans.in_flight == 0 {
            telemetry.shutdown(PATIENCE);
            return Ok(());
        }
        ensure!(started.elapsed() < PATIENCE, "it is not drained: {ledger}");
    }
}

/// Whether the backend is there before the kill; afterwards it is.
const CASES: [(&str, bool); 2] = [("kill-sent", true), ("kill-away", false)];

/// What a figure counts: milliseconds of spans that are lost.
pub(crate) const LOST: &str = "lost_ms";

/// The cases, with what they are.
pub(crate) const SHOWN: [(&str, &str); 2] = [
    ("kill-sent", "while the backend answers"),
    ("kill-away", "while it is away"),
];

impl Runner<'_> {
    /// Kills processes and counts what did not arrive.
    pub(super) fn window(&mut self) -> Result<()> {
        let kills = 2 * self.sizes.ship_processes;
        for (case, is_there) in CASES {
            let mut lost = Vec::new();
            let mut counts = (0, 0);
            for kill in 0..kills {
                // At all times within a delay of a batch, well after the start.
                let after = Duration::from_millis(1_000 + 200 * kill as u64 / kills as u64);
                let (recorded, arrived) = self.kill(is_there, after)?;
                lost.push(recorded.saturating_sub(arrived) as f64 * PACE.as_secs_f64() * 1e3);
                counts = (counts.0 + recorded, counts.1 + arrived);
            }
            let estimate = Estimate::of(&lost);
            let figure = Figure::new("ship", Subject::Ringlight, (case, LOST), estimate, counts);
            self.results.figures.push(figure);
        }
        Ok(())
    }

    fn kill(&mut self, is_there: bool, after: Duration) -> Result<(u64, u64)> {
        let scratch = Scratch::new()?;
        let dir = scratch.0.join("killed");
        self.server.reset(Some(Shape::Flat))?;
        let there = self.endpoint().to_owned();
        // Nobody listens there.
        let endpoint = if is_there {
            &there
        } else {
            "http://127.0.0.1:9"
        };
        let mut child = this_program()?
            .args(["child-window", endpoint])
            .arg(&dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        thread::sleep(after);
        child.kill()?;
        let output = child
            .stdout
            .take()
            .context("standard output was asked for")?;
        let recorded = BufReader::new(output).lines().count() as u64;
        child.wait()?;
        let status = this_program()?
            .args(["child-drain", &there])
            .arg(&dir)
            .stderr(Stdio::null())
            .status()?;
        ensure!(status.success(), "what was killed is not drained: {status}");
        Ok((recorded, self.server.report()?.spans))
    }
}
