//! The processes that are measured: each sets one subject up, records, and prints what it cost.

use std::{
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, anyhow};
use bench_workload::{process_cpu_ns, resident_max_mib, thread_cpu_ns};
use serde::{Deserialize, Serialize};

use crate::{
    meter,
    pacer::Pacer,
    plan::{BURST_INTERVAL, Delivery, Room, Sampling, Shape, Shipping, Subject},
    subjects::{self, Account, OwnCost, Producer, Recording, Settings},
};

/// Bursts before measuring, which fault in memory and fill caches.
const WARM_UP_BURSTS: u64 = 20;

/// The same for each of several threads: enough to fault in the whole of its ring, which holds three
/// bursts and a half.
const WARM_UP_BURSTS_OF_THREAD: u64 = 4;

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
    /// What the subject says it cost.
    pub(crate) cost: Option<OwnCost>,
}

/// What a `threads` process found.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ThreadsRun {
    /// CPU time of the producing threads, in nanoseconds a span; one a round.
    pub(crate) rounds_ns: Vec<f64>,
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
    /// What the subject says it cost.
    pub(crate) cost: Option<OwnCost>,
    /// The most memory it had resident.
    pub(crate) resident_mib: f64,
    /// Bytes its requests with spans had on the wire, if the subject says so.
    pub(crate) wire_bytes: Option<u64>,
}

/// Records bursts of one shape, numbering its units.
struct Bursts<'a> {
    producer: Box<dyn Producer + 'a>,
    shape: Shape,
    /// The first unit of the next burst.
    next: u64,
    /// Units from one burst to the next: those of this thread and of the others.
    stride: u64,
    recorded: u64,
}

impl<'a> Bursts<'a> {
    fn new(recording: &'a dyn Recording, shape: Shape) -> Result<Self> {
        Self::of_thread(recording, shape, 0, 1)
    }

    /// Bursts of one of several threads, whose numbers are not those of the others.
    fn of_thread(
        recording: &'a dyn Recording,
        shape: Shape,
        thread: u64,
        threads_count: u64,
    ) -> Result<Self> {
        Ok(Self {
            producer: recording.producer()?,
            shape,
            next: thread * shape.units_per_burst(),
            stride: threads_count * shape.units_per_burst(),
            recorded: 0,
        })
    }

    fn burst(&mut self) {
        let count = self.shape.units_per_burst();
        self.producer.burst(self.shape, self.next, count);
        self.next += self.stride;
        self.recorded += count * self.shape.spans_per_unit();
    }

    /// A burst, and the CPU time of the thread meanwhile, in nanoseconds.
    fn measured_burst(&mut self) -> u64 {
        let before = thread_cpu_ns();
        self.burst();
        thread_cpu_ns() - before
    }
}

/// Measures what recording costs the thread that records, while the pipeline delivers.
pub(crate) fn record(
    subject: Subject,
    shape: Shape,
    sampling: Sampling,
    endpoint: &str,
    rounds: usize,
    bursts: u64,
) -> Result<RecordRun> {
    let settings = Settings {
        endpoint,
        room: Room::Burst,
        spans_count: 0,
        sampling,
        shipping: Shipping::default(),
    };
    let recording = subjects::start(subject, &settings)?;
    let mut producer = Bursts::new(&*recording, shape)?;
    let mut pacer = Pacer::awake(BURST_INTERVAL);
    for _ in 0..WARM_UP_BURSTS {
        producer.burst();
        pacer.wait();
    }
    let burst_spans = shape.spans_per_burst();
    let mut rounds_ns = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let mut cpu_ns = 0;
        for _ in 0..bursts {
            cpu_ns += producer.measured_burst();
            pacer.wait();
        }
        rounds_ns.push(cpu_ns as f64 / (bursts * burst_spans) as f64);
    }
    let mut allocations = 0;
    for _ in 0..bursts {
        allocations += meter::count_allocations(|| producer.burst());
        pacer.wait();
    }
    let produced = match sampling {
        Sampling::AlwaysOn => producer.recorded,
        // Whatever arrives is too much.
        Sampling::AlwaysOff => 0,
    };
    drop(producer);
    let ending = recording.finish()?;
    Ok(RecordRun {
        rounds_ns,
        allocations: allocations as f64 / (bursts * burst_spans) as f64,
        produced,
        account: ending.account,
        cost: ending.cost,
    })
}

/// Measures what recording costs threads that do it at the same time: all begin their bursts
/// together, each so seldom that they record 100 000 spans a second in all.
pub(crate) fn threads(
    subject: Subject,
    threads_count: u64,
    endpoint: &str,
    rounds: usize,
    bursts: u64,
) -> Result<ThreadsRun> {
    let shape = Shape::Tree3;
    let settings = Settings {
        endpoint,
        room: Room::Burst,
        spans_count: 0,
        sampling: Sampling::AlwaysOn,
        shipping: Shipping::default(),
    };
    let recording = subjects::start(subject, &settings)?;
    // Whatever their number, the threads record as much in all.
    let bursts = bursts.div_ceil(threads_count);
    let warm_up_bursts = WARM_UP_BURSTS
        .div_ceil(threads_count)
        .max(WARM_UP_BURSTS_OF_THREAD);
    let interval = BURST_INTERVAL * u32::try_from(threads_count)?;
    let together = Barrier::new(usize::try_from(threads_count)?);
    let work = |thread| -> Result<(Vec<u64>, u64)> {
        let producer = Bursts::of_thread(&*recording, shape, thread, threads_count);
        // Before anything can fail, since the others wait as well.
        together.wait();
        let mut producer = producer?;
        let mut pacer = Pacer::sleeping(interval);
        for _ in 0..warm_up_bursts {
            producer.burst();
            pacer.wait();
        }
        let mut rounds_cpu_ns = vec![0; rounds];
        for cpu_ns in &mut rounds_cpu_ns {
            for _ in 0..bursts {
                *cpu_ns += producer.measured_burst();
                pacer.wait();
            }
        }
        Ok((rounds_cpu_ns, producer.recorded))
    };
    let work = &work;
    let mut rounds_cpu_ns = vec![0; rounds];
    let mut produced = 0;
    thread::scope(|scope| -> Result<()> {
        let spawned: Vec<_> = (0..threads_count)
            .map(|thread| scope.spawn(move || work(thread)))
            .collect();
        for thread in spawned {
            let ended = thread.join();
            let (cpu_ns, recorded) =
                ended.map_err(|_| anyhow!("a recording thread panicked"))??;
            produced += recorded;
            for (sum, cpu_ns) in rounds_cpu_ns.iter_mut().zip(cpu_ns) {
                *sum += cpu_ns;
            }
        }
        Ok(())
    })?;
    let round_spans = threads_count * bursts * shape.spans_per_burst();
    let each = |cpu_ns: u64| cpu_ns as f64 / round_spans as f64;
    Ok(ThreadsRun {
        rounds_ns: rounds_cpu_ns.into_iter().map(each).collect(),
        produced,
        account: recording.finish()?.account,
    })
}

/// Measures what producing and delivering costs the process.
pub(crate) fn deliver(
    subject: Subject,
    delivery: Delivery,
    shipping: Shipping,
    endpoint: &str,
    bursts: u64,
) -> Result<DeliverRun> {
    let shape = Shape::Tree3;
    let room = match delivery {
        Delivery::Paced100k => Room::Burst,
        Delivery::FlatDrop => Room::Default,
        Delivery::FlatBlock => Room::Lossless,
    };
    let spans_count = bursts * shape.spans_per_burst();
    let recording = subjects::start(
        subject,
        &Settings {
            endpoint,
            room,
            spans_count,
            sampling: Sampling::AlwaysOn,
            shipping,
        },
    )?;
    let mut producer = Bursts::new(&*recording, shape)?;
    // The set-up's own threads come to rest before the clock starts.
    thread::sleep(Duration::from_millis(100));
    let started = Instant::now();
    let cpu_before_ns = process_cpu_ns();
    let mut pacer = Pacer::sleeping(BURST_INTERVAL);
    for _ in 0..bursts {
        producer.burst();
        if delivery == Delivery::Paced100k {
            pacer.wait();
        }
    }
    let produced = producer.recorded;
    drop(producer);
    let ending = recording.finish()?;
    Ok(DeliverRun {
        cpu_ns: process_cpu_ns() - cpu_before_ns,
        elapsed_ns: u64::try_from(started.elapsed().as_nanos())?,
        produced,
        account: ending.account,
        cost: ending.cost,
        resident_mib: resident_max_mib(),
        wire_bytes: ending.wire_bytes,
    })
}
