//! What recording costs the threads that record.

use std::collections::BTreeMap;

use anyhow::Result;

use super::{Runner, Samples, argument, progress};
use crate::{
    child::{RecordRun, ThreadsRun},
    plan::{OWN_SPAN, Sampling, Shape, Subject, THREADS, UNSAMPLED, threads_case},
    server::Received,
    stats::median,
};

impl Runner<'_> {
    /// Producer CPU and allocations a span. A sample is a process: the rounds of one have its memory
    /// and its place on the processor in common, so that only their median counts.
    pub(crate) fn record(&mut self) -> Result<()> {
        let subjects = [
            &Subject::REFERENCE[..],
            &Subject::DELIVERING,
            &Subject::RECORDING,
            &[Subject::Micromegas],
        ]
        .concat();
        let cases = Shape::BURSTS.map(|shape| (shape, shape.name()));
        self.record_cases("record", &cases, Sampling::AlwaysOn, &subjects)
    }

    /// The same of spans that the head sampler turns away.
    pub(crate) fn unsampled(&mut self) -> Result<()> {
        let cases = [(Shape::Tree3, UNSAMPLED)];
        self.record_cases(
            "unsampled",
            &cases,
            Sampling::AlwaysOff,
            &Subject::UNSAMPLED,
        )
    }

    fn record_cases(
        &mut self,
        bench: &str,
        cases: &[(Shape, &'static str)],
        sampling: Sampling,
        subjects: &[Subject],
    ) -> Result<()> {
        let mut samples: BTreeMap<(Shape, Subject), Samples> = BTreeMap::new();
        // Processes of different subjects take turns, so that a drift of the machine meets all.
        for round in 0..self.sizes.record_processes {
            for (shape, case) in cases {
                for subject in subjects.iter().copied() {
                    progress(bench, subject, case, round);
                    let (run, received) = self.record_once(subject, *shape, sampling)?;
                    let samples = samples.entry((*shape, subject)).or_default();
                    samples.values.push(median(&run.rounds_ns));
                    samples.allocations.push(run.allocations);
                    samples.own.extend(run.cost.and_then(|cost| cost.span_ns));
                    samples.produced += run.produced;
                    samples.delivered += received.spans;
                }
            }
        }
        for (shape, case) in cases {
            for subject in subjects {
                let Some(samples) = samples.get(&(*shape, *subject)) else {
                    continue;
                };
                let figure =
                    |unit, values: &[f64]| samples.figure(bench, *subject, case, unit, values);
                let figures = [
                    figure("ns_cpu_per_span", &samples.values),
                    figure("allocations_per_span", &samples.allocations),
                ];
                self.results.figures.extend(figures);
                if !samples.own.is_empty() {
                    let own = figure(OWN_SPAN, &samples.own);
                    self.results.figures.push(own);
                }
            }
        }
        Ok(())
    }

    fn record_once(
        &mut self,
        subject: Subject,
        shape: Shape,
        sampling: Sampling,
    ) -> Result<(RecordRun, Received)> {
        let arguments = [
            "child-record".to_owned(),
            argument(subject),
            argument(shape),
            argument(sampling),
            self.server.endpoint.clone(),
            self.sizes.record_rounds.to_string(),
            self.sizes.record_bursts.to_string(),
        ];
        self.child(subject, shape, &arguments, |run: &RecordRun| {
            (run.produced, run.account.clone())
        })
    }

    /// Producer CPU a span by the number of threads that record.
    pub(crate) fn threads(&mut self) -> Result<()> {
        let mut samples: BTreeMap<(usize, Subject), Samples> = BTreeMap::new();
        for round in 0..self.sizes.threads_processes {
            for threads in THREADS {
                for subject in Subject::THREADED {
                    progress("threads", subject, threads_case(threads), round);
                    let (run, received) = self.threads_once(subject, threads)?;
                    let samples = samples.entry((threads, subject)).or_default();
                    samples.values.push(median(&run.rounds_ns));
                    samples.produced += run.produced;
                    samples.delivered += received.spans;
                }
            }
        }
        for ((threads, subject), samples) in &samples {
            let case = threads_case(*threads);
            let values = &samples.values;
            let figure = samples.figure("threads", *subject, case, "ns_cpu_per_span", values);
            self.results.figures.push(figure);
        }
        Ok(())
    }

    fn threads_once(&mut self, subject: Subject, threads: usize) -> Result<(ThreadsRun, Received)> {
        let arguments = [
            "child-threads".to_owned(),
            argument(subject),
            threads.to_string(),
            self.server.endpoint.clone(),
            self.sizes.record_rounds.to_string(),
            self.sizes.record_bursts.to_string(),
        ];
        self.child(subject, Shape::Tree3, &arguments, |run: &ThreadsRun| {
            (run.produced, run.account.clone())
        })
    }
}
