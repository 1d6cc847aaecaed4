//! The processes that are measured: each sets one subject up, records, and prints what it cost.

use std::{
    hint, thread,
    time::{Duration, Instant},
};

use anyhow::Result;
use serde::{Deserialize, Serialize};

use crate::{
    meter,
    plan::{BURST_INTERVAL, Delivery, Room, Shape, Subject},
    subjects::{self, Account, Recording, Settings},
};

/// Bursts before measuring, which fault in memory and fill caches.
const WARM_UP_BURSTS: u64 = 20;

/// What a `record` process found.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct RecordRun {
    /// CPU time of the producing thread, in nanoseconds a span; one a round.
    pub(crate) rounds_ns: Vec<f64>,
    /// Allocations and reallocations of the producing thread, a span.
    pub(crate) allocations: f64,
    /// Spans recorded in all, the warm-up's included.
    pub(crate) produced: u64,
    /// What the subject says it dropped.
    pub(crate) account: Option<Account>,
}

/// What a `deliver` process found.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct DeliverRun {
    /// CPU time of the whole process from the first span to the end of its shutdown.
    pub(crate) cpu_ns: u64,
    /// Time passed meanwhile.
    pub(crate) elapsed_ns: u64,
    /// Spans recorded.
    pub(crate) produced: u64,
    /// What the subject says it dropped.
    pub(crate) account: Option<Account>,
    /// The most memory it had resident.
    pub(crate) resident_mib: f64,
}

/// Starts a burst every [`BURST_INTERVAL`]. One that is late moves those after it, so that bursts
/// never run into each other because the machine was away.
struct Pacer {
    next: Instant,
    pause: fn(Instant),
}

impl Pacer {
    /// Sleeps between bursts, as the whole process's CPU time is what counts.
    fn sleeping() -> Self {
        Self::new(|until| thread::sleep(until.saturating_duration_since(Instant::now())))
    }

    /// Stays on the processor between bursts: what a span costs a thread at work is asked, not what
    /// it costs to warm a processor up that was given away meanwhile.
    fn awake() -> Self {
        Self::new(|until| {
            while Instant::now() < until {
                hint::spin_loop();
            }
        })
    }

    fn new(pause: fn(Instant)) -> Self {
        Self {
            next: Instant::now() + BURST_INTERVAL,
            pause,
        }
    }

    fn wait(&mut self) {
        let now = Instant::now();
        (self.pause)(self.next);
        self.next = self.next.max(now) + BURST_INTERVAL;
    }
}

/// Records bursts of one shape, numbering its units.
struct Producer {
    recording: Box<dyn Recording>,
    shape: Shape,
    units: u64,
}

impl Producer {
    fn burst(&mut self) {
        let count = self.shape.units_per_burst();
        self.recording.burst(self.shape, self.units, count);
        self.units += count;
    }

    fn spans(&self) -> u64 {
        self.units * self.shape.spans_per_unit()
    }
}

/// Measures what recording costs the thread that records, while the pipeline delivers.
pub(crate) fn record(
    subject: Subject,
    shape: Shape,
    endpoint: &str,
    rounds: usize,
    bursts: u64,
) -> Result<RecordRun> {
    let settings = Settings {
        endpoint,
        room: Room::Burst,
        spans_count: 0,
    };
    let recording = subjects::start(subject, &settings)?;
    let mut producer = Producer {
        recording,
        shape,
        units: 0,
    };
    let mut pacer = Pacer::awake();
    for _ in 0..WARM_UP_BURSTS {
        producer.burst();
        pacer.wait();
    }
    let burst_spans = shape.units_per_burst() * shape.spans_per_unit();
    let mut rounds_ns = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let mut cpu_ns = 0;
        for _ in 0..bursts {
            let before = meter::thread_cpu_ns();
            producer.burst();
            cpu_ns += meter::thread_cpu_ns() - before;
            pacer.wait();
        }
        rounds_ns.push(cpu_ns as f64 / (bursts * burst_spans) as f64);
    }
    let mut allocations = 0;
    for _ in 0..bursts {
        allocations += meter::count_allocations(|| producer.burst());
        pacer.wait();
    }
    let produced = producer.spans();
    let account = producer.recording.finish()?;
    Ok(RecordRun {
        rounds_ns,
        allocations: allocations as f64 / (bursts * burst_spans) as f64,
        produced,
        account,
    })
}

/// Measures what producing and delivering costs the process.
pub(crate) fn deliver(
    subject: Subject,
    delivery: Delivery,
    endpoint: &str,
    bursts: u64,
) -> Result<DeliverRun> {
    let shape = Shape::Tree3;
    let room = match delivery {
        Delivery::Paced100k => Room::Burst,
        Delivery::FlatDrop => Room::Default,
        Delivery::FlatBlock => Room::Lossless,
    };
    let spans_count = bursts * shape.units_per_burst() * shape.spans_per_unit();
    let recording = subjects::start(
        subject,
        &Settings {
            endpoint,
            room,
            spans_count,
        },
    )?;
    let mut producer = Producer {
        recording,
        shape,
        units: 0,
    };
    // The set-up's own threads come to rest before the clock starts.
    thread::sleep(Duration::from_millis(100));
    let started = Instant::now();
    let cpu_before_ns = meter::process_cpu_ns();
    let mut pacer = Pacer::sleeping();
    for _ in 0..bursts {
        producer.burst();
        if delivery == Delivery::Paced100k {
            pacer.wait();
        }
    }
    let produced = producer.spans();
    let account = producer.recording.finish()?;
    Ok(DeliverRun {
        cpu_ns: meter::process_cpu_ns() - cpu_before_ns,
        elapsed_ns: u64::try_from(started.elapsed().as_nanos())?,
        produced,
        account,
        resident_mib: meter::resident_max_mib(),
    })
}
