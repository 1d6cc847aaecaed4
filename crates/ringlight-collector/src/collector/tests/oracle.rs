//! Nothing is lost uncounted, whatever goes wrong: seeded schedules of backends that fail, disks that fail and
//! processes that are killed, on a clock that jumps. Only the clock, the socket and the disk are not the product's.
//!
//! Every record has a number. In the end, a number is at the backend, or was counted as dropped or refused, or
//! was in the memory of a process that was killed and never acknowledged. A seed that fails says so; it runs alone
//! with `RINGLIGHT_ORACLE_SEED`.

use std::collections::{BTreeMap, HashSet};

use fastrand::Rng;
use ringlight_model::{
    Account, DropReason, LogRecord as ModelLog, RecordVisitor, RejectReason, Resource, Scope,
    Span as ModelSpan,
};
use ringlight_otlp::OtlpDecoder;
use ringlight_testing::{DiskOperation, FaultDisk};
use tokio::sync::oneshot;

use super::*;
use crate::spool::{SpoolConfig, SpoolMode};
use crate::sync::unpoisoned;

const SEEDS: u64 = 1_000;

/// A number of a record, of its signal.
type Number = (Signal, u64);

/// How a backend behaves for a while.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Mood {
    Healthy,
    Slow(Duration),
    /// Nobody is there.
    Down,
    /// Takes the batch, and the answer is lost.
    Mute,
    /// So many of a hundred requests fail, one way or another.
    Flaky(u8),
    /// Asks for time.
    Busy(Option<Duration>),
    /// Does not answer.
    Hangs,
    /// Refuses batches for good.
    Refuses,
    /// Refuses one record of each batch for good.
    RefusesOne,
    /// Takes requests of up to so many bytes.
    Small(usize),
}

/// What the backend knows, over all processes.
#[derive(Default)]
struct Known {
    taken: HashSet<Number>,
    /// Refused for good, at least once.
    refused: HashSet<Number>,
    /// Records of batches that were answered with success.
    acknowledged: BTreeMap<Signal, u64>,
    moods: Vec<(Instant, Mood)>,
    rng: Option<Rng>,
}

#[derive(Clone, Default)]
struct Backend(Arc<Mutex<Known>>);

impl Backend {
    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        unpoisoned(self.0.lock())
    }

    fn mood(&self) -> Mood {
        let known = self.known();
        let now = Instant::now();
        let moods = known.moods.iter();
        let current = moods.take_while(|(since, _)| *since <= now).last();
        current.map_or(Mood::Healthy, |(_, mood)| *mood)
    }

    fn take(&self, batch: &EncodedBatch, refused: u64) {
        let mut numbers = numbers_of(batch);
        assert_eq!(numbers.len(), batch.records as usize);
        let taken = numbers.split_off(refused.min(numbers.len() as u64) as usize);
        let mut known = self.known();
        known.taken.extend(taken);
        known.refused.extend(numbers);
    }

    fn acknowledge(&self, batch: &EncodedBatch, refused: u64) -> ExportOutcome {
        let records = u64::from(batch.records) - refused;
        *self.known().acknowledged.entry(batch.signal).or_default() += records;
        ExportOutcome {
            rejected: refused,
            ..ExportOutcome::default()
        }
    }

    fn chance(&self, of_hundred: u8) -> bool {
        let mut known = self.known();
        known
            .rng
            .as_mut()
            .is_some_and(|rng| rng.u8(..100) < of_hundred)
    }
}

fn unreachable<T>() -> Result<T, ExportError> {
    Err(ExportError::Unreachable {
        reason: "nobody there".to_owned(),
        source: None,
    })
}

impl ExporterBoxed for Backend {
    fn export_boxed(&self, batch: EncodedBatch) -> ExportFuture<'_> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(3)).await;
            let busy = |after| {
                Err(ExportError::Retryable {
                    reason: "busy".to_owned(),
                    after,
                })
            };
            let mut mood = self.mood();
            if let Mood::Flaky(share) = mood {
                let failures = [Mood::Down, Mood::Mute, Mood::Busy(None), Mood::Healthy];
                let which = usize::from(self.chance(50)) + 2 * usize::from(self.chance(30));
                mood = if self.chance(share) {
                    failures[which]
                } else {
                    Mood::Healthy
                };
            }
            match mood {
                Mood::Small(bytes) if batch.bytes.len() > bytes => Err(ExportError::TooLarge {
                    reason: "too large".to_owned(),
                }),
                Mood::Down => unreachable(),
                Mood::Mute => {
                    self.take(&batch, 0);
                    unreachable()
                }
                Mood::Busy(after) => busy(after),
                Mood::Hangs => std::future::pending().await,
                Mood::Refuses => {
                    self.known().refused.extend(numbers_of(&batch));
                    Err(ExportError::Permanent {
                        reason: "not this".to_owned(),
                    })
                }
                Mood::RefusesOne => {
                    self.take(&batch, 1);
                    Ok(self.acknowledge(&batch, 1))
                }
                Mood::Slow(delay) => {
                    tokio::time::sleep(delay).await;
                    self.take(&batch, 0);
                    Ok(self.acknowledge(&batch, 0))
                }
                Mood::Healthy | Mood::Flaky(_) | Mood::Small(_) => {
                    self.take(&batch, 0);
                    Ok(self.acknowledge(&batch, 0))
                }
            }
        })
    }

    fn name_boxed(&self) -> &str {
        "backend"
    }

    fn place_boxed(&self, signal: Signal) -> Option<&str> {
        (signal != Signal::Metrics).then_some("backend")
    }

    fn reports_open_spans_boxed(&self) -> bool {
        false
    }
}

fn numbers_of(batch: &EncodedBatch) -> Vec<Number> {
    struct Numbers(Vec<Number>);
    impl RecordVisitor for Numbers {
        fn resource(&mut self, _: &Resource<'_>) {}
        fn scope(&mut self, _: &Scope<'_>) {}
        fn span(&mut self, span: &ModelSpan<'_>) {
            self.0.push((Signal::Traces, span.span_id.get()));
        }
        fn log(&mut self, log: &ModelLog<'_>) {
            self.0.push((Signal::Logs, log.time_unix_nano));
        }
        fn rejected(&mut self, reason: RejectReason) {
            panic!("{reason:?}");
        }
    }
    let mut numbers = Numbers(Vec::new());
    let decoder = OtlpDecoder::new(ringlight_model::Limits::default());
    decoder
        .walk(batch.signal, &batch.bytes, &mut numbers)
        .unwrap();
    numbers.0
}

/// What is known of all processes together.
struct World {
    rng: Rng,
    disk: FaultDisk,
    mode: SpoolMode,
    bytes_max: u64,
    age_max: Duration,
    backends: Vec<Backend>,
    recorded: HashSet<Number>,
    /// A flush that returned came after them.
    acknowledged: HashSet<Number>,
    /// Not acknowledged when their process was killed.
    excused: HashSet<Number>,
    /// By backend: counted as dropped or refused.
    given_up: Vec<u64>,
    /// By backend: what the last process left on disk, if that is known.
    left: Vec<Option<[u64; 2]>>,
    /// Batches may have been sent in parts.
    has_parts: bool,
}

/// How one process lives.
#[derive(Debug, Clone, Copy)]
struct Plan {
    lasts: Duration,
    is_killed: bool,
    /// Time for the end.
    timeout: Duration,
    disk_fails: bool,
    is_last: bool,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let backends = rng.usize(1..=2);
        Self {
            disk: FaultDisk::new(),
            mode: if rng.bool() {
                SpoolMode::Always
            } else {
                SpoolMode::Overflow
            },
            // The first is full soon, the last never.
            bytes_max: [64 << 10, 1 << 20, 1 << 30][rng.usize(..3)],
            age_max: Duration::from_secs([60, 3_600][usize::from(rng.u8(..4) > 0)]),
            backends: (0..backends).map(|_| Backend::default()).collect(),
            recorded: HashSet::new(),
            acknowledged: HashSet::new(),
            excused: HashSet::new(),
            given_up: vec![0; backends],
            left: vec![Some([0; 2]); backends],
            has_parts: false,
            rng,
        }
    }

    fn config(&self) -> CollectorConfig {
        let mut spool = SpoolConfig::new("/spool");
        spool.disk = Arc::new(self.disk.clone());
        spool.mode = self.mode;
        spool.bytes_max = self.bytes_max;
        spool.age_max = self.age_max;
        CollectorConfig {
            ring_bits: 8,
            producers_max: 2,
            batch_delay: BATCH_DELAY,
            batch_records_max: 40,
            batch_bytes_max: 4096,
            queue_bytes_max: 16 << 10,
            export_timeout: Duration::from_secs(10),
            report_interval: Duration::ZERO,
            retry: RetryConfig {
                total_max: Duration::from_secs(120),
                ..RetryConfig::default()
            },
            spool: Some(spool),
            ..CollectorConfig::default()
        }
    }

    fn mood(&mut self) -> Mood {
        let mood = match self.rng.u8(..15) {
            0..=3 => Mood::Healthy,
            4 => Mood::Slow(Duration::from_millis(self.rng.u64(10..4_000))),
            5 | 6 => Mood::Down,
            7 => Mood::Mute,
            8 | 9 => Mood::Flaky(self.rng.u8(10..90)),
            10 => Mood::Busy(
                self.rng
                    .bool()
                    .then(|| Duration::from_secs(self.rng.u64(..100))),
            ),
            11 => Mood::Hangs,
            12 => Mood::Refuses,
            13 => Mood::Small(self.rng.usize(40..1_000)),
            _ => Mood::RefusesOne,
        };
        // What is too large, what is not answered, and what fails though others do not, is tried in parts.
        self.has_parts |= !matches!(
            mood,
            Mood::Healthy | Mood::Slow(_) | Mood::Refuses | Mood::RefusesOne
        );
        mood
    }

    fn moods(&mut self, start: Instant, plan: &Plan) {
        let lasts = plan.lasts.as_millis() as u64;
        for index in 0..self.backends.len() {
            let mut moods = Vec::new();
            let mut at = 0;
            while at < lasts && !plan.is_last {
                moods.push((start + Duration::from_millis(at), self.mood()));
                at += self.rng.u64(1..=lasts);
            }
            let rng = Rng::with_seed(self.rng.u64(..));
            let mut known = self.backends[index].known();
            known.moods = moods;
            known.rng = Some(rng);
        }
    }

    /// One process, from its start to its end.
    fn live(&mut self, plan: Plan) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let config = self.config();
        let rings = RingConfig::new(config.ring_bytes(), config.producers_max);
        let (sender, receiver) = ringlight_ring::channel(rings).unwrap();
        let takes = || [Signal::Traces, Signal::Logs].into_iter().collect();
        let accounts = self.backends.iter().map(|_| takes());
        let accounts = Arc::new(Accounts::new(sender.clone(), accounts));
        let control = Arc::new(Control::default());
        let spool = Spool::open_on(Arc::new(self.disk.clone()), "/spool".as_ref()).unwrap();
        let boxed = |backend: &Backend| DestinationConfig::from(Arc::new(backend.clone()));
        let parts = Parts {
            spool: Some(spool),
            clock: config.clock(),
            shared: Shared::new(sender.clone(), config.policy, config.notices.clone()),
            may_wait: self.rng.u8(..4) == 0,
            config,
            callsites: Arc::new(CallsiteRegistry::new()),
            destinations: self.backends.iter().map(boxed).collect(),
            sinks: Vec::new(),
            log_filter: None,
            receiver,
            accounts: Arc::clone(&accounts),
            control: Arc::clone(&control),
            meter: Meter::new(sender.clone(), crate::Governor::default()),
        };
        let known = self.backends.iter().map(Backend::known);
        let acknowledged: Vec<_> = known.map(|known| known.acknowledged.clone()).collect();
        let mut life = Life {
            sender,
            control,
            open: HashSet::new(),
        };
        runtime.block_on(async {
            self.moods(Instant::now(), &plan);
            let mut thread = std::pin::pin!(Collector::run_all(parts));
            tokio::select! {
                biased;
                () = life.script(self, &plan) => {}
                () = thread.as_mut() => panic!("it ended by itself"),
            }
            if !plan.is_killed {
                let began = Instant::now();
                thread.await;
                assert!(began.elapsed() <= plan.timeout, "{:?}", began.elapsed());
            }
        });
        drop(runtime);
        for (index, before) in acknowledged.into_iter().enumerate() {
            let after = self.backends[index].known().acknowledged.clone();
            for signal in [Signal::Traces, Signal::Logs] {
                let count = |of: &BTreeMap<Signal, u64>| of.get(&signal).copied().unwrap_or(0);
                let exported = accounts.snapshot(index).account(signal).exported;
                let answered = count(&after) - count(&before);
                assert!(
                    exported == answered || plan.is_killed && exported < answered,
                    "{exported} exported, {answered} acknowledged"
                );
            }
        }
        self.settle(&accounts, &plan, life.open);
        self.disk = self.disk.after_death();
    }

    /// What the books of a process that has ended say, and what follows for its records.
    fn settle(&mut self, accounts: &Accounts, plan: &Plan, open: HashSet<Number>) {
        if plan.is_killed {
            self.excused.extend(open);
        }
        for index in 0..self.backends.len() {
            let ledger = accounts.snapshot(index);
            if std::env::var("DBG").is_ok() {
                eprintln!("{index}: {ledger}");
            }
            assert!(ledger.balances(), "{ledger}");
            let both: [&Account; 2] = [Signal::Traces, Signal::Logs].map(|s| ledger.account(s));
            for account in both {
                assert!(plan.is_killed || account.in_flight == 0, "{ledger}");
                let damaged = account.dropped[DropReason::SpoolDamaged];
                assert_eq!(damaged, 0, "{ledger}");
                let by_need = [
                    DropReason::QueueFull,
                    DropReason::RetriesExhausted,
                    DropReason::Shutdown,
                ];
                let by_need: u64 = by_need.map(|reason| account.dropped[reason]).iter().sum();
                assert!(
                    plan.disk_fails || by_need == 0,
                    "the disk had room: {ledger}"
                );
                self.given_up[index] += account.dropped_total();
            }
            if let Some(left) = self.left[index] {
                let recovered = both.map(|account| account.recovered);
                // A batch that was sent in parts, and not all of them, comes out again whole.
                let is_whole = recovered == left || self.has_parts;
                let is_all = recovered
                    .iter()
                    .zip(left)
                    .all(|(found, left)| *found >= left);
                assert!(is_whole && is_all, "{left:?} left: {ledger}");
            }
            // What is done and not written down comes out again, as does what was written and failed.
            let is_known = !plan.is_killed && !plan.disk_fails;
            self.left[index] = is_known.then(|| both.map(|account| account.spooled));
            if plan.is_last {
                assert!(both.iter().all(|account| account.spooled == 0), "{ledger}");
            }
        }
    }

    fn check(&self) {
        for (index, backend) in self.backends.iter().enumerate() {
            let known = backend.known();
            let missing = self.recorded.difference(&known.taken);
            let missing: Vec<_> = missing.filter(|n| !known.refused.contains(n)).collect();
            let unexcused = missing.iter().filter(|n| !self.excused.contains(n)).count() as u64;
            let given_up = self.given_up[index];
            assert!(
                unexcused <= given_up,
                "{unexcused} > {given_up}: {missing:?}"
            );
            let acknowledged = missing.iter().filter(|n| self.acknowledged.contains(n));
            assert!(acknowledged.count() as u64 <= given_up);
        }
    }
}

/// The application's side of a process.
struct Life {
    sender: RingSender,
    control: Arc<Control>,
    /// Recorded, and not acknowledged.
    open: HashSet<Number>,
}

impl Life {
    async fn script(&mut self, world: &mut World, plan: &Plan) {
        let end = Instant::now() + plan.lasts;
        let mut producer = self.sender.register().unwrap();
        while Instant::now() < end {
            let burst = if plan.is_last { 0 } else { world.rng.u64(..60) };
            for _ in 0..burst {
                self.record(world, &mut producer);
            }
            if plan.disk_fails && world.rng.u8(..6) == 0 {
                let operations = [
                    DiskOperation::Write,
                    DiskOperation::Sync,
                    DiskOperation::Create,
                    DiskOperation::Rename,
                    DiskOperation::Remove,
                ];
                let which = operations[world.rng.usize(..operations.len())];
                world.disk.fail(which, std::io::ErrorKind::StorageFull);
            } else if plan.disk_fails && world.rng.bool() {
                world.disk.heal();
            }
            if world.rng.u8(..5) == 0 {
                self.flush(world).await;
            }
            tokio::time::sleep(Duration::from_millis(world.rng.u64(1..3_000))).await;
        }
        if plan.is_killed {
            world.disk.die();
            return;
        }
        self.control.send(Command::Shutdown(plan.timeout));
        self.sender.close();
    }

    fn record(&mut self, world: &mut World, producer: &mut RingProducer) {
        let number = world.recorded.len() as u64 + 1;
        let (signal, bytes) = if world.rng.u8(..3) == 0 {
            let header = LogHeader::new(CallsiteId::new(0), Severity::WARN, number);
            (Signal::Logs, bytes_of(header.to_words()))
        } else {
            let callsite = CallsiteId::new(0);
            let header = SpanHeader::new(callsite, TraceId::new(1), SpanId::new(number));
            (Signal::Traces, bytes_of(header.to_words()))
        };
        producer.add(Counted::Submitted.index(signal), 1);
        if producer.push(&bytes).is_err() {
            producer.add(Counted::RingFull.index(signal), 1);
        }
        world.recorded.insert((signal, number));
        self.open.insert((signal, number));
    }

    async fn flush(&mut self, world: &mut World) {
        let (answer, answered) = oneshot::channel();
        self.control.send(Command::Flush(Answer::Task(answer)));
        self.sender.wake();
        let limit = Duration::from_millis(world.rng.u64(1..20_000));
        if let Ok(Ok(())) = tokio::time::timeout(limit, answered).await {
            world.acknowledged.extend(self.open.drain());
        }
    }
}

fn bytes_of<const N: usize>(words: [u64; N]) -> Vec<u8> {
    let mut bytes = vec![0; N * 8];
    copy_words(words, &mut bytes);
    bytes
}

fn run(seed: u64) {
    fastrand::seed(seed);
    let mut world = World::new(seed);
    for _ in 0..world.rng.u8(1..=3) {
        let plan = Plan {
            lasts: Duration::from_secs(world.rng.u64(5..150)),
            is_killed: world.rng.u8(..3) == 0,
            timeout: Duration::from_millis(world.rng.u64(500..6_000)),
            disk_fails: world.rng.u8(..3) == 0,
            is_last: false,
        };
        if std::env::var("DBG").is_ok() {
            eprintln!("{plan:?} {:?} {}", world.mode, world.bytes_max);
        }
        world.live(plan);
    }
    // Everything is well at last, for as long as it takes.
    world.live(Plan {
        lasts: Duration::from_secs(100),
        is_killed: false,
        timeout: Duration::from_secs(30),
        disk_fails: false,
        is_last: true,
    });
    world.check();
}

#[test]
fn nothing_is_lost_uncounted_through_a_thousand_schedules_of_faults() {
    if let Ok(seed) = std::env::var("RINGLIGHT_ORACLE_SEED") {
        return run(seed.parse().unwrap());
    }
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                for seed in (thread..SEEDS).step_by(threads as usize) {
                    let ran = std::panic::catch_unwind(|| run(seed));
                    assert!(
                        ran.is_ok(),
                        "seed {seed} fails: RINGLIGHT_ORACLE_SEED={seed}"
                    );
                }
            });
        }
    });
}
