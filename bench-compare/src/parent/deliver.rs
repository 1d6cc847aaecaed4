//! What producing and delivering costs the process, a delivered span.

use std::collections::BTreeMap;

use anyhow::Result;

use super::{Runner, Samples, argument, progress};
use crate::{
    child::DeliverRun,
    plan::{Delivery, OWN_DELIVERED_SPAN, Shape, Subject},
    results::Figure,
    server::Received,
};

impl Runner<'_> {
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
        let own = run.cost.map(|cost| cost.process_ns as f64 / spans as f64);
        self.counts.own.extend(own);
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
        if delivery == Delivery::Paced100k {
            if !self.counts.own.is_empty() {
                figures.push(figure(OWN_DELIVERED_SPAN, &self.counts.own));
            }
        } else {
            figures.push(figure("delivered_spans_per_second", &self.spans_per_second));
        }
        if subject.delivers() {
            figures.push(figure("resident_mib_max", &self.resident_mib));
        }
        figures
    }
}
