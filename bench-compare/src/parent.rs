//! Runs the children in turns and makes figures of what they found.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum;
use serde::de::DeserializeOwned;

use crate::{
    child::{DeliverRun, RecordRun},
    plan::{Delivery, Shape, Sizes, Subject},
    results::{Figure, Results},
    server::{Hello, Received},
    stats::Estimate,
    subjects::Account,
};

/// The counting server's process.
struct Server {
    process: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    endpoint: String,
}

impl Server {
    fn start() -> Result<Self> {
        let mut process = this_program()?
            .arg("serve")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the counting server does not start")?;
        let commands = process
            .stdin
            .take()
            .context("standard input was asked for")?;
        let answers = process
            .stdout
            .take()
            .context("standard output was asked for")?;
        let mut answers = BufReader::new(answers);
        let hello: Hello = read_line(&mut answers)?;
        Ok(Self {
            process,
            commands,
            answers,
            endpoint: hello.endpoint,
        })
    }

    fn reset(&mut self, shape: Shape) -> Result<Received> {
        self.ask(&format!("reset {}", shape.name()))
    }

    fn report(&mut self) -> Result<Received> {
        self.ask("report")
    }

    fn ask(&mut self, command: &str) -> Result<Received> {
        writeln!(self.commands, "{command}")?;
        read_line(&mut self.answers)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has nothing to lose; if it is gone already, all the better.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn read_line<T: DeserializeOwned>(reader: &mut impl BufRead) -> Result<T> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    serde_json::from_str(&line).with_context(|| format!("the counting server answered {line:?}"))
}

fn this_program() -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    without_telemetry_settings(&mut command);
    Ok(command)
}

/// What the shell of whoever runs this says about telemetry must not matter to a process.
pub(crate) fn without_telemetry_settings(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("OTEL_") || matches!(&*name_text, "OTLP_ENDPOINT" | "RUST_LOG") {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs this program in another role to its end, and reads what it printed.
pub(crate) fn run_child<T: DeserializeOwned>(arguments: &[String]) -> Result<T> {
    let output = this_program()?
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    let what = arguments.join(" ");
    if !output.status.success() {
        bail!("`{what}` failed: {}", output.status);
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("`{what}` printed no result"))
}

/// A bench under way.
pub(crate) struct Runner<'a> {
    server: Server,
    sizes: Sizes,
    results: &'a mut Results,
}

impl<'a> Runner<'a> {
    pub(crate) fn start(sizes: Sizes, results: &'a mut Results) -> Result<Self> {
        Ok(Self {
            server: Server::start()?,
            sizes,
            results,
        })
    }

    /// Producer CPU and allocations a span.
    pub(crate) fn record(&mut self) -> Result<()> {
        let subjects = [&Subject::REFERENCE[..], &Subject::DELIVERING].concat();
        let mut samples: BTreeMap<(Shape, Subject), Samples> = BTreeMap::new();
        // Processes of different subjects take turns, so that a drift of the machine meets all.
        for round in 0..self.sizes.record_processes {
            for shape in Shape::ALL {
                for subject in subjects.iter().copied() {
                    progress("record", subject, shape.name(), round);
                    let (run, received) = self.record_once(subject, shape)?;
                    let samples = samples.entry((shape, subject)).or_default();
                    samples.values.extend(run.rounds_ns);
                    samples.allocations.push(run.allocations);
                    samples.produced += run.produced;
                    samples.delivered += received.spans;
                }
            }
        }
        for ((shape, subject), samples) in &samples {
            let figure = |unit, values: &[f64]| {
                samples.figure("record", *subject, shape.name(), unit, values)
            };
            self.results
                .figures
                .push(figure("ns_cpu_per_span", &samples.values));
            self.results
                .figures
                .push(figure("allocations_per_span", &samples.allocations));
        }
        Ok(())
    }

    fn record_once(&mut self, subject: Subject, shape: Shape) -> Result<(RecordRun, Received)> {
        let arguments = [
            "child-record".to_owned(),
            argument(subject),
            argument(shape),
            self.server.endpoint.clone(),
            self.sizes.record_rounds.to_string(),
            self.sizes.record_bursts.to_string(),
        ];
        self.child(subject, shape, &arguments, |run: &RecordRun| {
            (run.produced, run.account.clone())
        })
    }

    /// Client CPU a delivered span.
    pub(crate) fn deliver(&mut self) -> Result<()> {
        let mut samples: BTreeMap<(Delivery, Subject), DeliverSamples> = BTreeMap::new();
        for round in 0..self.sizes.deliver_processes {
            for delivery in Delivery::ALL {
                let null = (delivery == Delivery::Paced100k).then_some(Subject::Null);
                for subject in null.into_iter().chain(Subject::DELIVERING) {
                    progress("deliver", subject, delivery.name(), round);
                    let (run, received) = self.deliver_once(subject, delivery)?;
                    samples
                        .entry((delivery, subject))
                        .or_default()
                        .add(&run, &received);
                }
            }
        }
        for ((delivery, subject), samples) in &samples {
            self.results
                .figures
                .extend(samples.figures(*subject, *delivery));
        }
        Ok(())
    }

    fn deliver_once(
        &mut self,
        subject: Subject,
        delivery: Delivery,
    ) -> Result<(DeliverRun, Received)> {
        let bursts = match delivery {
            Delivery::Paced100k => self.sizes.paced_bursts,
            Delivery::FlatDrop | Delivery::FlatBlock => self.sizes.flat_bursts,
        };
        let arguments = [
            "child-deliver".to_owned(),
            argument(subject),
            argument(delivery),
            self.server.endpoint.clone(),
            bursts.to_string(),
        ];
        self.child(subject, Shape::Tree3, &arguments, |run: &DeliverRun| {
            (run.produced, run.account.clone())
        })
    }

    /// Runs a child to its end and asks the server what came of it.
    fn child<T: DeserializeOwned>(
        &mut self,
        subject: Subject,
        shape: Shape,
        arguments: &[String],
        outcome: impl Fn(&T) -> (u64, Option<Account>),
    ) -> Result<(T, Received)> {
        self.server.reset(shape)?;
        let run: T = run_child(arguments)?;
        let what = arguments[..3].join(" ");
        let mut received = self.server.report()?;
        let (produced, account) = outcome(&run);
        if subject.delivers() && received.spans > produced {
            let excess = format!("{} of {produced} spans received", received.spans);
            received.differences.push(excess);
        }
        if let Some(account) = account {
            self.check_account(&what, produced, account, &mut received);
        }
        if received.spans == produced && received.incomplete > 0 {
            received
                .differences
                .push(format!("{} traces are not whole", received.incomplete));
        }
        *self
            .results
            .compared
            .entry(subject.name().to_owned())
            .or_default() += received.compared;
        for difference in &received.differences {
            self.results
                .differences
                .push(format!("{what}: {difference}"));
        }
        Ok((run, received))
    }

    /// What a subject says it dropped must be exactly what did not arrive.
    fn check_account(
        &mut self,
        what: &str,
        produced: u64,
        account: Account,
        received: &mut Received,
    ) {
        let dropped: u64 = account.values().sum();
        if received.spans + dropped != produced {
            received.differences.push(format!(
                "{} received and {dropped} dropped are not the {produced} spans recorded",
                received.spans
            ));
        }
        let total = self.results.dropped.entry(what.to_owned()).or_default();
        for (reason, count) in account {
            *total.entry(reason).or_default() += count;
        }
    }
}

fn argument(value: impl ValueEnum) -> String {
    value
        .to_possible_value()
        .map_or_else(String::new, |value| value.get_name().to_owned())
}

fn progress(bench: &str, subject: Subject, case: &str, round: usize) {
    // Not on standard output, which is for results.
    let _ = writeln!(
        std::io::stderr(),
        "{bench} {case} {subject}, round {}",
        round + 1
    );
}

#[derive(Default)]
struct Samples {
    values: Vec<f64>,
    allocations: Vec<f64>,
    produced: u64,
    delivered: u64,
}

impl Samples {
    fn figure(
        &self,
        bench: &str,
        subject: Subject,
        case: &str,
        unit: &str,
        values: &[f64],
    ) -> Figure {
        let spans = (self.produced, self.delivered);
        Figure::new(bench, subject, (case, unit), Estimate::of(values), spans)
    }
}

#[derive(Default)]
struct DeliverSamples {
    counts: Samples,
    cpu_ns: Vec<f64>,
    spans_per_second: Vec<f64>,
    resident_mib: Vec<f64>,
}

impl DeliverSamples {
    fn add(&mut self, run: &DeliverRun, received: &Received) {
        self.counts.produced += run.produced;
        self.counts.delivered += received.spans;
        // The null row delivers nothing; its cost is the pacer's, a span that would be due.
        let spans = if received.spans == 0 {
            run.produced
        } else {
            received.spans
        };
        self.cpu_ns.push(run.cpu_ns as f64 / spans as f64);
        self.spans_per_second
            .push(received.spans as f64 / (run.elapsed_ns as f64 / 1e9));
        self.resident_mib.push(run.resident_mib);
    }

    fn figures(&self, subject: Subject, delivery: Delivery) -> Vec<Figure> {
        let figure = |unit, values: &[f64]| {
            self.counts
                .figure("deliver", subject, delivery.name(), unit, values)
        };
        let mut figures = vec![figure("ns_cpu_per_delivered_span", &self.cpu_ns)];
        if delivery != Delivery::Paced100k {
            figures.push(figure("delivered_spans_per_second", &self.spans_per_second));
        }
        if subject.delivers() {
            figures.push(figure("resident_mib_max", &self.resident_mib));
        }
        figures
    }
}
