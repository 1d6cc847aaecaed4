//! What the product's backend costs and how quickly it answers: the release binary as users build
//! it, each part of it with data of its own.

pub(crate) mod data;
mod http;
pub(crate) mod load;
mod process;
mod queries;
pub(crate) mod visible;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use self::{
    data::SPANS_PER_TRACE,
    load::{LoadRun, TRACES_PER_REQUEST},
    process::Backend,
    queries::Calls,
    visible::VisibleRun,
};
pub(crate) use self::{
    process::build,
    queries::{PAGE_TRACES, SLOW_ONE_IN, Search},
};
use crate::{
    parent::run_child,
    plan::{BackendSizes, Subject},
    results::{Figure, Results},
    stats::Estimate,
};

/// What idling is measured after.
const IDLE: Duration = Duration::from_secs(5);
/// Between two looks whether everything is sealed.
const SEALED_POLL_INTERVAL: Duration = Duration::from_millis(20);
/// A backend that has not sealed everything by then does not.
const SEALED_WITHIN: Duration = Duration::from_secs(60);

const MIB: f64 = 1_048_576.0;

/// Measures everything about a backend.
pub(crate) fn measure(binary: &Path, sizes: &BackendSizes, results: &mut Results) -> Result<()> {
    let mut bench = Bench {
        binary: binary.to_owned(),
        sizes: *sizes,
        results,
    };
    bench.start()?;
    bench.idle()?;
    let (backend, spans) = bench.ingest()?;
    bench.visible(&backend)?;
    bench.queries(&backend, spans)
}

struct Bench<'a> {
    binary: PathBuf,
    sizes: BackendSizes,
    results: &'a mut Results,
}

impl Bench<'_> {
    fn figure(&mut self, case: &str, unit: &str, samples: &[f64], spans: (u64, u64)) {
        self.push(case, unit, Estimate::of(samples), spans);
    }

    /// The median of times, and the time that 95 of 100 do not exceed.
    fn times(&mut self, case: &str, times_ms: &[f64], spans: (u64, u64)) {
        self.figure(case, "p50_ms", times_ms, spans);
        let p95 = Estimate::of_quantile(times_ms, 0.95);
        self.push(case, "p95_ms", p95, spans);
    }

    fn push(&mut self, case: &str, unit: &str, estimate: Estimate, spans: (u64, u64)) {
        let figure = Figure::new("backend", Subject::Ringlight, (case, unit), estimate, spans);
        self.results.figures.push(figure);
    }

    fn differs(&mut self, difference: String) {
        self.results
            .differences
            .push(format!("backend: {difference}"));
    }

    /// How long until it answers, with nothing stored.
    fn start(&mut self) -> Result<()> {
        progress("start");
        let mut times_ms = Vec::new();
        for _ in 0..self.sizes.starts {
            let (_backend, time) = Backend::start(&self.binary)?;
            times_ms.push(time.as_secs_f64() * 1e3);
        }
        self.figure("start", "ms_to_first_answer", &times_ms, (0, 0));
        Ok(())
    }

    /// What it takes when nothing happens.
    fn idle(&mut self) -> Result<()> {
        progress("idle");
        let (backend, _) = Backend::start(&self.binary)?;
        thread::sleep(IDLE);
        let resident_mib = backend.resident_mib()?;
        self.figure("idle", "resident_mib", &[resident_mib], (0, 0));
        let binary_mib = std::fs::metadata(&self.binary)?.len() as f64 / MIB;
        self.figure("binary", "mib", &[binary_mib], (0, 0));
        Ok(())
    }

    /// Fills a backend, load after load without a pause; the first one only warms it up.
    fn ingest(&mut self) -> Result<(Backend, u64)> {
        let (backend, _) = Backend::start(&self.binary)?;
        let mut loads = Loads::default();
        let requests = self.sizes.load_requests;
        progress("ingest, warm-up");
        loads.warm_up(&backend, requests)?;
        let (began, warmed_up_spans) = (Instant::now(), loads.spans);
        let mut elapsed = Duration::ZERO;
        for number in 1..=self.sizes.loads {
            progress(&format!("ingest, load {number} of {}", self.sizes.loads));
            loads.add(&backend, requests, || {
                elapsed = began.elapsed();
                // What the last one puts off is left to no other load.
                let last = number == self.sizes.loads;
                if last {
                    wait_until_sealed(&backend)
                } else {
                    Ok(())
                }
            })?;
        }
        let sustained = (loads.spans - warmed_up_spans) as f64 / elapsed.as_secs_f64();
        let status = backend.status()?;
        let traces = &status["signals"]["traces"];
        let stored = traces["stored"].as_u64().unwrap_or_default();
        if stored != loads.spans || traces["duplicates"] != 0 {
            self.differs(format!("{} spans acknowledged: {traces}", loads.spans));
        }
        let spans = (loads.spans, stored);
        let bytes_per_span = backend.disk_bytes()? as f64 / stored as f64;
        let (earlier, later) = loads.peaks();
        for (unit, samples) in [
            ("spans_per_second_sustained", &[sustained][..]),
            ("spans_per_second", &loads.spans_per_second),
            ("us_cpu_per_span", &loads.us_both),
            ("us_cpu_per_span_backend", &loads.us_backend),
            ("us_cpu_per_span_client", &loads.us_client),
            ("refused_requests", &loads.refused),
            ("peak_mib_earlier", earlier),
            ("peak_mib_later", later),
            ("peak_growth", &[highest(later) / highest(earlier)]),
            ("resident_mib", &[backend.resident_mib()?]),
            ("bytes_per_span", &[bytes_per_span]),
        ] {
            self.figure("ingest", unit, samples, spans);
        }
        Ok((backend, stored))
    }

    /// From a span's closing to an answer that has it.
    fn visible(&mut self, backend: &Backend) -> Result<()> {
        progress("visible");
        let count = self.sizes.visible;
        let run: VisibleRun = run_child(&[
            "child-visible".to_owned(),
            backend.endpoint().to_owned(),
            backend.api().to_owned(),
            count.to_string(),
        ])?;
        self.times("visible", &run.delays_ms, (count, count));
        Ok(())
    }

    /// Questions about everything stored.
    fn queries(&mut self, backend: &Backend, spans: u64) -> Result<()> {
        let (api, traces) = (backend.api(), spans / SPANS_PER_TRACE);
        progress("trace-by-id");
        let calls = queries::traces_by_id(api, traces, self.sizes.lookups)?;
        self.calls("trace-by-id", calls, spans);
        for search in Search::ALL {
            progress(search.name());
            let calls = queries::searches(api, search, traces, self.sizes.searches)?;
            self.calls(search.name(), calls, spans);
        }
        progress("operations");
        let calls = queries::operations(api, spans, self.sizes.searches)?;
        self.calls("operations", calls, spans);
        Ok(())
    }

    fn calls(&mut self, case: &str, calls: Calls, spans: u64) {
        self.times(case, &calls.times_ms, (spans, spans));
        for wrong in calls.wrong.into_iter().take(3) {
            self.differs(wrong);
        }
    }
}

/// What loads cost, one value a load.
#[derive(Default)]
struct Loads {
    /// Of all loads, the one that warms up included.
    spans: u64,
    spans_per_second: Vec<f64>,
    us_backend: Vec<f64>,
    us_client: Vec<f64>,
    us_both: Vec<f64>,
    refused: Vec<f64>,
    peak_mib: Vec<f64>,
}

impl Loads {
    fn warm_up(&mut self, backend: &Backend, requests: u64) -> Result<()> {
        self.send(backend, requests).map(drop)
    }

    fn send(&mut self, backend: &Backend, requests: u64) -> Result<LoadRun> {
        let run: LoadRun = run_child(&[
            "child-load".to_owned(),
            backend.endpoint().to_owned(),
            (self.spans / SPANS_PER_TRACE).to_string(),
            requests.to_string(),
        ])?;
        self.spans += requests * TRACES_PER_REQUEST * SPANS_PER_TRACE;
        Ok(run)
    }

    /// A load that is measured. `acknowledged` is called when all of it is; what is done until that
    /// returns belongs to its price.
    fn add(
        &mut self,
        backend: &Backend,
        requests: u64,
        acknowledged: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        backend.forget_peak()?;
        let cpu_before = backend.cpu()?;
        let run = self.send(backend, requests)?;
        acknowledged()?;
        let spans = run.spans as f64;
        let us_backend = (backend.cpu()? - cpu_before).as_secs_f64() * 1e6 / spans;
        let us_client = run.cpu_ns as f64 / 1e3 / spans;
        self.spans_per_second
            .push(spans / (run.elapsed_ns as f64 / 1e9));
        self.us_backend.push(us_backend);
        self.us_client.push(us_client);
        self.us_both.push(us_backend + us_client);
        self.refused.push(run.refused as f64);
        self.peak_mib.push(backend.peak_mib()?);
        Ok(())
    }

    /// The most memory in each of the earlier and of the later half of the loads.
    fn peaks(&self) -> (&[f64], &[f64]) {
        self.peak_mib.split_at(self.peak_mib.len() / 2)
    }
}

fn highest(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

fn wait_until_sealed(backend: &Backend) -> Result<()> {
    let began = Instant::now();
    while began.elapsed() < SEALED_WITHIN {
        let status = backend.status()?;
        let waiting = &status["store"]["head_records"];
        if waiting.as_u64().context("the status has `head_records`")? == 0 {
            return Ok(());
        }
        thread::sleep(SEALED_POLL_INTERVAL);
    }
    bail!("not everything is sealed after {SEALED_WITHIN:?}");
}

fn progress(what: &str) {
    // Not on standard output, which is for results.
    let _ = writeln!(std::io::stderr(), "backend {what}");
}
