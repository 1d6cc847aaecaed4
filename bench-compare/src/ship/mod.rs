//! What it costs to ship: compression, bytes on the wire by the size of batches, and the spool, on the path of spans and by
//! itself.

pub(crate) mod log;
pub(crate) mod window;

use std::{collections::BTreeMap, fs, io, path::PathBuf};

use anyhow::Result;

use crate::{
    child::DeliverRun,
    parent::{Runner, Samples, argument, progress, run_child},
    plan::{BATCHES, Delivery, Keeping, Packing, Shape, Shipping, Subject},
    results::Figure,
    server::Received,
};

/// The cases of compression that are compared, with the peers'.
const PACKED: [Subject; 2] = [Subject::Ringlight, Subject::OpentelemetrySdk];

/// A directory of this process beside its binary, which is on a disk, where the directory for temporary files may be in
/// memory. Dropping it removes it.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn dir() -> io::Result<PathBuf> {
        let name = format!("scratch-{}", std::process::id());
        let dir = std::env::current_exe()?.with_file_name(name);
        fs::create_dir_all(&dir)?;
        Ok(dir)
    }

    pub(crate) fn new() -> io::Result<Self> {
        Self::dir().map(Self)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left is in the folder of what was built.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// One way to ship.
#[derive(Debug, Clone, Copy)]
struct Case {
    subject: Subject,
    delivery: Delivery,
    shipping: Shipping,
    bursts: u64,
}

impl Case {
    /// The name in results.
    fn name(self) -> String {
        let Shipping {
            packing, keeping, ..
        } = self.shipping;
        match self.shipping.batch_spans {
            Some(spans) => format!("{}-{spans}", packing.name()),
            None if keeping != Keeping::Off => keeping.name().to_owned(),
            None => packing.name().to_owned(),
        }
    }
}

impl Runner<'_> {
    /// CPU and bytes a delivered span, by what happens to it on its way; and the log on disk.
    pub(crate) fn ship(&mut self) -> Result<()> {
        let mut samples: BTreeMap<(String, Subject), ShipSamples> = BTreeMap::new();
        for round in 0..self.sizes.ship_processes {
            for case in self.cases(round == 0) {
                let name = case.name();
                progress("ship", case.subject, &name, round);
                let (run, received) = self.ship_once(case)?;
                let samples = samples.entry((name, case.subject)).or_default();
                samples.add(&run, &received);
            }
        }
        for ((case, subject), samples) in &samples {
            self.results.figures.extend(samples.figures(*subject, case));
        }
        let log: Vec<log::Measured> = run_child(&[
            "child-log".to_owned(),
            self.sizes.ship_processes.to_string(),
        ])?;
        self.results.figures.extend(log::figures(&log));
        self.window()
    }

    /// The cases of a round. Bytes on the wire do not vary: they are counted in one.
    fn cases(&self, with_batches: bool) -> Vec<Case> {
        let paced = |subject, shipping| Case {
            subject,
            delivery: Delivery::Paced100k,
            shipping,
            bursts: self.sizes.paced_bursts,
        };
        let packed = Packing::ALL.into_iter().flat_map(|packing| {
            PACKED.map(|subject| {
                let shipping = Shipping {
                    packing,
                    ..Shipping::default()
                };
                paced(subject, shipping)
            })
        });
        let kept = Keeping::ALL.into_iter().skip(1).map(|keeping| {
            let shipping = Shipping {
                keeping,
                ..Shipping::default()
            };
            paced(Subject::Ringlight, shipping)
        });
        let batches = Packing::ALL.into_iter().flat_map(|packing| {
            BATCHES.map(|batch_spans| Case {
                subject: Subject::Ringlight,
                delivery: Delivery::FlatBlock,
                shipping: Shipping {
                    packing,
                    batch_spans: Some(batch_spans),
                    ..Shipping::default()
                },
                bursts: self.sizes.batch_bursts,
            })
        });
        let batches = batches.filter(|_| with_batches);
        packed.chain(kept).chain(batches).collect()
    }

    fn ship_once(&mut self, case: Case) -> Result<(DeliverRun, Received)> {
        let arguments = [
            "child-ship".to_owned(),
            argument(case.subject),
            argument(case.shipping.packing),
            argument(case.shipping.keeping),
            argument(case.delivery),
            case.shipping.batch_spans.unwrap_or(0).to_string(),
            self.endpoint().to_owned(),
            case.bursts.to_string(),
        ];
        self.child(
            case.subject,
            Shape::Tree3,
            &arguments,
            |run: &DeliverRun| (run.produced, run.account.clone()),
        )
    }
}

#[derive(Default)]
struct ShipSamples {
    counts: Samples,
    cpu_ns: Vec<f64>,
    wire_bytes: Vec<f64>,
}

impl ShipSamples {
    fn add(&mut self, run: &DeliverRun, received: &Received) {
        self.counts.produced += run.produced;
        self.counts.delivered += received.spans;
        self.cpu_ns.push(run.cpu_ns as f64 / received.spans as f64);
        let bytes = run.wire_bytes.map(|bytes| bytes as f64);
        self.wire_bytes
            .extend(bytes.map(|bytes| bytes / received.spans as f64));
    }

    fn figures(&self, subject: Subject, case: &str) -> Vec<Figure> {
        let figure = |unit, values: &[f64]| self.counts.figure("ship", subject, case, unit, values);
        let mut figures = vec![figure(CPU, &self.cpu_ns)];
        if !self.wire_bytes.is_empty() {
            figures.push(figure(WIRE, &self.wire_bytes));
        }
        figures
    }
}

/// What figures count.
pub(crate) const CPU: &str = "ship_ns_cpu_per_delivered_span";
pub(crate) const WIRE: &str = "wire_bytes_per_span";
