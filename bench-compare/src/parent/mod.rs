//! Runs the children in turns and makes figures of what they found.

mod deliver;
mod record;
mod requests;

pub(crate) use self::requests::{Service, ask};

use std::{
    fmt::Display,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use bench_workload::Cores;
use clap::ValueEnum;
use serde::de::DeserializeOwned;

use crate::{
    plan::{Shape, Sizes, Subject},
    results::{Figure, Results},
    server::{Hello, NO_SHAPE, Received},
    stats::Estimate,
    subjects::Account,
};

/// The counting server's process.
pub(crate) struct Server {
    process: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    endpoint: String,
}

impl Server {
    fn start(cores: Cores) -> Result<Self> {
        let mut process = this_program()?
            .args(["serve".to_owned(), argument(cores)])
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

    /// Counts anew; records of a shape are compared with what it should be.
    pub(crate) fn reset(&mut self, shape: Option<Shape>) -> Result<Received> {
        self.ask(&format!("reset {}", shape.map_or(NO_SHAPE, Shape::name)))
    }

    pub(crate) fn report(&mut self) -> Result<Received> {
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
    serde_json::from_str(&line).with_context(|| format!("a process answered {line:?}"))
}

pub(crate) fn this_program() -> Result<Command> {
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
    output_of(this_program()?.args(arguments).stderr(Stdio::inherit()))
}

/// Runs a process to its end, and reads what it printed.
pub(crate) fn output_of<T: DeserializeOwned>(command: &mut Command) -> Result<T> {
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        bail!("`{command:?}` failed: {}", output.status);
    }
    let printed = serde_json::from_slice(&output.stdout);
    printed.with_context(|| format!("`{command:?}` printed no result"))
}

/// A bench under way.
pub(crate) struct Runner<'a> {
    pub(crate) server: Server,
    pub(crate) sizes: Sizes,
    pub(crate) results: &'a mut Results,
}

impl<'a> Runner<'a> {
    pub(crate) fn start(sizes: Sizes, results: &'a mut Results) -> Result<Self> {
        Ok(Self {
            server: Server::start(Cores::Any)?,
            sizes,
            results,
        })
    }

    /// Works with a server on other cores.
    pub(crate) fn with_server(
        &mut self,
        cores: Cores,
        work: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        let elsewhere = Server::start(cores)?;
        let usual = std::mem::replace(&mut self.server, elsewhere);
        let outcome = work(self);
        self.server = usual;
        outcome
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.server.endpoint
    }

    /// Runs a child to its end and asks the server what came of it.
    pub(crate) fn child<T: DeserializeOwned>(
        &mut self,
        subject: Subject,
        shape: Shape,
        arguments: &[String],
        outcome: impl Fn(&T) -> (u64, Option<Account>),
    ) -> Result<(T, Received)> {
        self.server.reset(Some(shape))?;
        let run: T = run_child(arguments)?;
        let what = arguments[..3].join(" ");
        let received = self.server.report()?;
        let (produced, account) = outcome(&run);
        let received = self.check(subject, &what, received, produced, account);
        Ok((run, received))
    }

    /// Compares what a process says it recorded and dropped with what arrived.
    fn check(
        &mut self,
        subject: Subject,
        what: &str,
        mut received: Received,
        produced: u64,
        account: Option<Account>,
    ) -> Received {
        if subject.delivers() && received.spans > produced {
            let excess = format!("{} of {produced} spans received", received.spans);
            received.differences.push(excess);
        }
        if let Some(account) = account {
            self.check_account(what, produced, account, &mut received);
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
        received
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

pub(crate) fn argument(value: impl ValueEnum) -> String {
    value
        .to_possible_value()
        .map_or_else(String::new, |value| value.get_name().to_owned())
}

pub(crate) fn progress(bench: &str, subject: impl Display, case: &str, round: usize) {
    // Not on standard output, which is for results.
    let _ = writeln!(
        std::io::stderr(),
        "{bench} {case} {subject}, round {}",
        round + 1
    );
}

#[derive(Default)]
pub(crate) struct Samples {
    values: Vec<f64>,
    allocations: Vec<f64>,
    /// What the subject says one costs, if it does say.
    own: Vec<f64>,
    pub(crate) produced: u64,
    pub(crate) delivered: u64,
}

impl Samples {
    pub(crate) fn figure(
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
