//! Runs the applications in turns, and makes figures of what they took.

use std::{collections::BTreeMap, fs, io::Write as _, path::Path, process::Command};

use anyhow::{Context as _, Result};
use bench_workload::{Cores, Outcome, Part, SignalOutcome, Telemetry};

use super::{
    BINARY, BINARY_SIZE, Binaries, Build, Case, LINES_DROPPED, OFF, OVER_BASE, OVER_OFF,
    PACED_RATE, RESIDENT, ROWS, Row, SLICES_DROPPED,
    scrape::{Scraper, free_address},
};
use crate::{
    parent::{Runner, Service, argument, ask, output_of, progress, without_telemetry_settings},
    plan::{FeatureSizes, Shape},
    results::Figure,
    server::Received,
    ship::Scratch,
    stats::Estimate,
};

/// One of these is what a sample is of.
type Key = (Case, &'static str);

/// What follows the number in a notice of the product: of trace files, of lines on stderr and of those in a file.
const EVENTS_MISSING: [&str; 1] = [" events are missing in the trace files"];
const LINES_MISSING: [&str; 2] = [
    " log lines were not written",
    " lines of the log file were not written",
];

/// The name of a process in what differed.
const BENCH: &str = "features";

impl Runner<'_> {
    /// CPU time with each feature, beside that without.
    pub(crate) fn features(&mut self, binaries: &Binaries) -> Result<()> {
        for build in [Build::Plain, Build::Mimalloc, Build::Jemalloc] {
            let bytes = fs::metadata(binaries.of(build)?)?.len();
            let row = ROWS
                .iter()
                .find(|row| row.build == build && row.telemetry == Telemetry::Otlp);
            let row = row.context("each of these has a row")?;
            self.push(row, (BINARY, BINARY_SIZE), &[bytes as f64 / 1024.0], (0, 0));
        }
        self.features_of(binaries, &[Case::StreamingFlat, Case::StreamingPaced])?;
        self.with_server(Cores::Others, |runner| {
            runner.features_of(binaries, &[Case::Axum])
        })
    }

    fn features_of(&mut self, binaries: &Binaries, cases: &[Case]) -> Result<()> {
        let mut samples: BTreeMap<Key, Samples> = BTreeMap::new();
        for round in 0..self.sizes.features.processes {
            for case in cases {
                let rows: Vec<&Row> = ROWS.iter().filter(|row| row.is_in(*case)).collect();
                // Each round begins with another one, so that none always has the same before it.
                let (before, from) = rows.split_at(round % rows.len());
                for row in from.iter().chain(before) {
                    progress(BENCH, row.name, case.name(), round);
                    let (outcome, received) = self.features_once(binaries, row, *case)?;
                    let samples = samples.entry((*case, row.name)).or_default();
                    samples.add(&outcome, &received, self.sizes.features.units(*case));
                }
            }
        }
        for case in cases {
            for row in ROWS.iter().filter(|row| row.is_in(*case)) {
                self.push_row(row, *case, &samples)?;
            }
        }
        Ok(())
    }

    fn push_row(&mut self, row: &Row, case: Case, samples: &BTreeMap<Key, Samples>) -> Result<()> {
        let of = |name| samples.get(&(case, name)).context("every row was measured");
        let own = of(row.name)?;
        let (spans, name) = ((own.produced, own.delivered), case.name());
        self.push(row, (name, case.cpu_unit()), &own.us_cpu, spans);
        self.push(row, (name, RESIDENT), &own.resident_mib, spans);
        for (unit, counts) in [
            (SLICES_DROPPED, &own.slices_dropped),
            (LINES_DROPPED, &own.lines_dropped),
        ] {
            if counts.iter().any(|count| *count > 0.0) {
                self.push(row, (name, unit), counts, spans);
            }
        }
        if row.name != OFF {
            self.push(row, (name, OVER_OFF), &own.percent_over(of(OFF)?), spans);
            if let Ok(base) = of(row.base) {
                self.push(row, (name, OVER_BASE), &own.percent_over(base), spans);
            }
        }
        Ok(())
    }

    fn push(&mut self, row: &Row, (case, unit): (&str, &str), samples: &[f64], spans: (u64, u64)) {
        let figure = Figure::new(BENCH, row, (case, unit), Estimate::of(samples), spans);
        self.results.figures.push(figure);
    }

    fn features_once(
        &mut self,
        binaries: &Binaries,
        row: &Row,
        case: Case,
    ) -> Result<(Outcome, Received)> {
        // Only the service's records have a shape to compare them with, and not where they are changed.
        let has_shape = case == Case::Axum && row.telemetry != Telemetry::RedactionHash;
        self.server.reset(has_shape.then_some(Shape::Request))?;
        let prometheus = free_address()?;
        let scratch = Scratch::new()?;
        let (files, said) = (Scratch::dir()?.join("files"), Scratch::dir()?.join("said"));
        fs::create_dir(&files)?;
        let mut command = Command::new(binaries.of(row.build)?);
        without_telemetry_settings(&mut command);
        command.arg(if case == Case::Axum {
            "axum"
        } else {
            "streaming"
        });
        command.args(["--telemetry", &argument(row.telemetry)]);
        command.args(["--endpoint", self.endpoint()]);
        command.args(["--prometheus", &prometheus.to_string()]);
        command.arg("--dir").arg(files);
        command.stderr(fs::File::create(&said)?);
        let scraper = row
            .telemetry
            .serves_metrics()
            .then(|| Scraper::start(prometheus));
        let units = self.sizes.features.units(case);
        let mut outcome: Outcome = match case {
            Case::StreamingFlat => output_of(command.args(["--rate", "0"]).args(chunks(units)))?,
            Case::StreamingPaced => {
                let rate = PACED_RATE.to_string();
                output_of(command.args(["--rate", &rate]).args(chunks(units)))?
            }
            Case::Axum => {
                let service = Service::start(&mut command)?;
                ask(&service, units)?;
                service.end()?
            }
        };
        let scrapes = scraper.map(Scraper::end).transpose()?;
        let said = fs::read_to_string(said)?;
        if row.telemetry.writes_stderr() {
            outcome.written_bytes += said.len() as u64;
        } else {
            std::io::stderr().write_all(said.as_bytes())?;
        }
        drop(scratch);
        outcome.slices_dropped += missing(&said, &EVENTS_MISSING);
        outcome.lines_dropped += missing(&said, &LINES_MISSING);
        let received = self.server.report()?;
        let what = format!("{BENCH} {} {}", case.name(), row.name);
        for difference in differences(row, case, units, &outcome, &received, scrapes) {
            let difference = format!("{what}: {difference}");
            self.results.differences.push(difference);
        }
        let compared = self.results.compared.entry(BENCH.to_owned()).or_default();
        *compared += received.compared;
        let dropped = outcome.spans.dropped + outcome.logs.dropped;
        if dropped > 0 {
            let account = self.results.dropped.entry(what).or_default();
            *account.entry("dropped".to_owned()).or_default() += dropped;
        }
        Ok((outcome, received))
    }
}

/// What a file lacks because the disk was slow, which only the notices on stderr tell.
fn missing(said: &str, notices: &[&str]) -> u64 {
    let of_line = |line: &str| {
        let before = notices.iter().find_map(|notice| line.split_once(notice));
        before?.0.rsplit(' ').next()?.parse::<u64>().ok()
    };
    said.lines().filter_map(of_line).sum()
}

fn chunks(units: u64) -> [String; 2] {
    ["--chunks".to_owned(), units.to_string()]
}

impl Binaries {
    fn of(&self, build: Build) -> Result<&Path> {
        let found = self.0.iter().find(|(built, _)| *built == build);
        let (_, path) = found.context("all of them were built")?;
        Ok(path)
    }
}

impl FeatureSizes {
    /// Chunks or requests of a process.
    fn units(&self, case: Case) -> u64 {
        match case {
            Case::StreamingFlat => self.flat_chunks,
            Case::StreamingPaced => self.paced_chunks,
            Case::Axum => self.requests,
        }
    }
}

/// What a process did otherwise than it was told: then its figures are of something else.
fn differences(
    row: &Row,
    case: Case,
    units: u64,
    outcome: &Outcome,
    received: &Received,
    scrapes: Option<u64>,
) -> Vec<String> {
    let telemetry = row.telemetry;
    let mut differences = received.differences.clone();
    if case != Case::Axum && outcome.chunks != units {
        differences.push(format!("{} chunks of {units} processed", outcome.chunks));
    }
    for (signal, own, arrived) in [
        ("spans", outcome.spans, received.spans),
        ("log records", outcome.logs, received.logs),
    ] {
        let SignalOutcome { submitted, dropped } = own;
        if telemetry.sends_records() && arrived + dropped != submitted {
            differences.push(format!(
                "{arrived} {signal} received and {dropped} dropped are not the {submitted} made"
            ));
        }
        if telemetry.sends_records() != (arrived > 0) {
            differences.push(format!("{arrived} {signal} received"));
        }
    }
    if row.has_metrics(case) != (received.metrics_requests > 0) {
        differences.push(format!(
            "{} requests with metrics received",
            received.metrics_requests
        ));
    }
    for part in Part::ALL {
        let scope = part.scope();
        let is_sent = telemetry.sends_metrics() && row.tells_of(part, case);
        if is_sent != received.metric_scopes.contains(scope) {
            differences.push(format!(
                "`{scope}` should {}be among {:?}",
                if is_sent { "" } else { "not " },
                received.metric_scopes
            ));
        }
    }
    if (telemetry.writes_files() || telemetry.writes_stderr()) != (outcome.written_bytes > 0) {
        differences.push(format!("{} bytes written", outcome.written_bytes));
    }
    if (telemetry == Telemetry::RedactionHash) != (outcome.redacted > 0) {
        differences.push(format!("{} values replaced", outcome.redacted));
    }
    if scrapes == Some(0) {
        differences.push("metrics were never answered".to_owned());
    }
    differences
}

/// What the processes of a row took, one value a round.
#[derive(Default)]
struct Samples {
    us_cpu: Vec<f64>,
    resident_mib: Vec<f64>,
    slices_dropped: Vec<f64>,
    lines_dropped: Vec<f64>,
    produced: u64,
    delivered: u64,
}

impl Samples {
    fn add(&mut self, outcome: &Outcome, received: &Received, units: u64) {
        self.us_cpu.push(outcome.cpu_ns as f64 / 1e3 / units as f64);
        self.resident_mib.push(outcome.resident_mib);
        self.slices_dropped.push(outcome.slices_dropped as f64);
        self.lines_dropped.push(outcome.lines_dropped as f64);
        self.produced += outcome.spans.submitted;
        self.delivered += received.spans;
    }

    /// Per cent more than `other`, a round at a time: what the machine did meanwhile is in both.
    fn percent_over(&self, other: &Self) -> Vec<f64> {
        let pairs = self.us_cpu.iter().zip(&other.us_cpu);
        pairs
            .map(|(own, other)| (own / other - 1.0) * 100.0)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum as _;

    use super::*;

    fn check(
        telemetry: Telemetry,
        change: impl FnOnce(&mut Outcome, &mut Received),
        expected: usize,
    ) {
        let sends = u64::from(telemetry.sends_records());
        let records = SignalOutcome {
            submitted: 10,
            dropped: 2,
        };
        let mut outcome = Outcome {
            chunks: 5,
            spans: records,
            logs: records,
            written_bytes: u64::from(telemetry.writes_files() || telemetry.writes_stderr()),
            redacted: u64::from(telemetry == Telemetry::RedactionHash),
            ..Outcome::default()
        };
        let row = ROWS.iter().find(|row| row.telemetry == telemetry).unwrap();
        let case = Case::StreamingFlat;
        let parts = Part::ALL
            .into_iter()
            .filter(|part| row.tells_of(*part, case));
        let scopes = parts.map(|part| part.scope().to_owned());
        let mut received = Received {
            spans: 8 * sends,
            logs: 8 * sends,
            metrics_requests: u64::from(telemetry.sends_metrics()),
            metric_scopes: scopes.filter(|_| telemetry.sends_metrics()).collect(),
            ..Received::default()
        };
        change(&mut outcome, &mut received);
        let found = differences(row, case, 5, &outcome, &received, None);
        assert_eq!(found.len(), expected, "{telemetry:?}: {found:?}");
    }

    #[test]
    fn a_process_that_did_something_else_is_told() {
        for telemetry in Telemetry::value_variants() {
            check(*telemetry, |_, _| (), 0);
            check(*telemetry, |outcome, _| outcome.chunks = 4, 1);
            check(*telemetry, |outcome, _| outcome.written_bytes ^= 1, 1);
            check(*telemetry, |_, received| received.metrics_requests ^= 1, 1);
            check(*telemetry, |outcome, _| outcome.redacted ^= 1, 1);
        }
        check(Telemetry::Otlp, |_, received| received.spans = 7, 1);
        check(Telemetry::Otlp, |outcome, _| outcome.logs.dropped = 3, 1);
        check(Telemetry::TraceJson, |_, received| received.logs = 1, 1);
        check(Telemetry::Off, |_, received| received.spans = 1, 1);
    }

    #[test]
    fn metrics_that_were_not_asked_for_are_told() {
        let scope = Part::Runtime.scope().to_owned();
        let with = |_: &mut Outcome, received: &mut Received| {
            received.metric_scopes.insert(scope.clone());
        };
        check(Telemetry::ProcessMetrics, with, 1);
        check(Telemetry::RuntimeMetrics, with, 0);
        let without = |_: &mut Outcome, received: &mut Received| received.metric_scopes.clear();
        check(Telemetry::ProcessMetrics, without, 1);
        check(Telemetry::OwnMetrics, without, 0);
    }

    #[test]
    fn what_a_file_lacks_is_read_from_what_the_product_says() {
        let product = include_str!("../../../crates/ringlight-tracefile/src/config.rs");
        assert!(product.contains(&format!("{{events}}{}", EVENTS_MISSING[0])));
        let said = format!(
            "ringlight: 291{}, since\nsomething else\nringlight: 9{}\n",
            EVENTS_MISSING[0], EVENTS_MISSING[0]
        );
        assert_eq!(missing(&said, &EVENTS_MISSING), 300);
        assert_eq!(missing(&said, &LINES_MISSING), 0);
        assert_eq!(missing("", &EVENTS_MISSING), 0);
    }

    #[test]
    fn what_lines_lack_is_read_from_what_the_product_says() {
        let writer = include_str!("../../../crates/ringlight/src/writer.rs");
        assert!(writer.contains("\"{lost_count} {} were not written"));
        let said = format!(
            "ringlight: 5{}: the output\nringlight: 7{}: the output",
            LINES_MISSING[0], LINES_MISSING[1]
        );
        assert_eq!(missing(&said, &LINES_MISSING), 12);
    }

    #[test]
    fn what_is_over_is_told_round_by_round() {
        let of = |us_cpu: &[f64]| Samples {
            us_cpu: us_cpu.to_vec(),
            ..Samples::default()
        };
        let over = of(&[11.0, 22.0]).percent_over(&of(&[10.0, 20.0]));
        assert!(
            over.iter().all(|percent| (percent - 10.0).abs() < 1e-9),
            "{over:?}"
        );
    }
}
