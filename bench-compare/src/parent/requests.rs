//! What recording and exporting cost a service, a request.

use std::{
    collections::BTreeMap,
    io::BufReader,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use bench_workload::{Cores, orders::Hello};
use serde::de::DeserializeOwned;

use super::{Runner, Samples, argument, progress, read_line, run_child, this_program};
use crate::{
    plan::{REQUEST, Shape, Subject},
    requests::service::ServiceRun,
    server::Received,
};

impl Runner<'_> {
    /// Service CPU a request.
    pub(crate) fn requests(&mut self) -> Result<()> {
        // Whoever asks and whoever receives leave the service's core alone.
        self.with_server(Cores::Others, Self::requests_measured)
    }

    fn requests_measured(&mut self) -> Result<()> {
        let mut samples: BTreeMap<Subject, Samples> = BTreeMap::new();
        for round in 0..self.sizes.requests_processes {
            for subject in Subject::SERVING {
                progress("axum", subject, REQUEST, round);
                let (run, received) = self.requests_once(subject)?;
                let samples = samples.entry(subject).or_default();
                let cpu_us = run.cpu_ns as f64 / 1e3;
                samples.values.push(cpu_us / self.sizes.requests as f64);
                samples.produced += self.sizes.requests * Shape::Request.spans_per_unit();
                samples.delivered += received.spans;
            }
        }
        for subject in Subject::SERVING {
            if let Some(samples) = samples.get(&subject) {
                let values = &samples.values;
                let figure = samples.figure("axum", subject, REQUEST, "us_cpu_per_request", values);
                self.results.figures.push(figure);
            }
        }
        Ok(())
    }

    fn requests_once(&mut self, subject: Subject) -> Result<(ServiceRun, Received)> {
        let requests = self.sizes.requests;
        self.server.reset(Some(Shape::Request))?;
        let mut command = this_program()?;
        command.arg("child-service");
        command.args([argument(subject), self.server.endpoint.clone()]);
        let service = Service::start(command.arg(requests.to_string()))?;
        ask(&service, requests)?;
        let run: ServiceRun = service.end()?;
        let received = self.server.report()?;
        let produced = requests * Shape::Request.spans_per_unit();
        let what = format!("child-service {subject} {REQUEST}");
        let account = run.account.clone();
        let received = self.check(subject, &what, received, produced, account);
        Ok((run, received))
    }
}

/// Asks so many requests of a service, from a process of its own.
pub(crate) fn ask(service: &Service, requests: u64) -> Result<()> {
    let load = [
        "child-load-service",
        &service.address,
        &requests.to_string(),
    ];
    run_child(&load.map(str::to_owned))
}

/// A service's process.
pub(crate) struct Service {
    process: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    address: String,
}

impl Service {
    /// Starts one that says where it listens, and ends with its standard input.
    pub(crate) fn start(command: &mut Command) -> Result<Self> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the service does not start")?;
        let input = process.stdin.take();
        let output = process.stdout.take();
        let mut output = BufReader::new(output.context("standard output was asked for")?);
        let hello: Hello = read_line(&mut output)?;
        Ok(Self {
            process,
            input,
            output,
            address: hello.address,
        })
    }

    /// Lets it deliver what is left, and end.
    pub(crate) fn end<T: DeserializeOwned>(mut self) -> Result<T> {
        drop(self.input.take());
        let run = read_line(&mut self.output)?;
        let status = self.process.wait()?;
        if !status.success() {
            bail!("the service failed: {status}");
        }
        Ok(run)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Gone already, unless something failed.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
