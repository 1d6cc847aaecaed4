//! Nothing is lost uncounted, whatever goes wrong: seeded schedules of backends that fail, disks that fail and
//! processes that are killed, on a clock that jumps, for a pipeline or for a relay that passes on what others made. Only the clock, the socket and the disk are not the product's.
//!
//! Every record has a number. In the end, a number is at the backend, or was counted as dropped or refused, or
//! was in the memory of a process that was killed and never acknowledged. A seed that fails says so; it runs alone
//! with `RINGLIGHT_ORACLE_SEED`.

mod backend;
mod life;

use std::collections::{BTreeMap, HashSet};
use std::pin::Pin;

use fastrand::Rng;
use ringlight_model::{Account, DropReason};
use ringlight_testing::FaultDisk;

use self::backend::{Backend, Mood, Number};
use self::life::{Intake, Life};
use super::*;
use crate::relay::Relay;
use crate::requests::{RequestSender, Requests};
use crate::spool::{SpoolConfig, SpoolMode};

const SEEDS: u64 = 1_000;

/// What is recorded: spans and log records through rings, metrics as requests.
const SIGNALS: [Signal; 3] = [Signal::Traces, Signal::Logs, Signal::Metrics];

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
    left: Vec<Option<[u64; SIGNALS.len()]>>,
    /// Batches may have been sent in parts.
    has_parts: bool,
    is_relay: bool,
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

type Thread = Pin<Box<dyn Future<Output = ()>>>;

fn destination(backend: &Backend) -> DestinationConfig {
    DestinationConfig::from(Arc::new(backend.clone()))
}

impl World {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let is_relay = rng.u8(..4) == 0;
        let backends = if is_relay { 1 } else { rng.usize(1..=2) };
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
            backends: (0..backends)
                .map(|_| Backend::new(rng.u8(..3) == 0))
                .collect(),
            recorded: HashSet::new(),
            acknowledged: HashSet::new(),
            excused: HashSet::new(),
            given_up: vec![0; backends],
            left: vec![Some([0; SIGNALS.len()]); backends],
            has_parts: false,
            is_relay,
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
        for index in 0..self.backends.len() {
            let traces = self.moods_of_place(start, plan);
            let logs = match self.backends[index].has_places {
                true => self.moods_of_place(start, plan),
                false => traces.clone(),
            };
            let rng = Rng::with_seed(self.rng.u64(..));
            let mut known = self.backends[index].known();
            let metrics = (Signal::Metrics, traces.clone());
            known.moods = [(Signal::Traces, traces), (Signal::Logs, logs), metrics].into();
            known.rng = Some(rng);
        }
    }

    fn moods_of_place(&mut self, start: Instant, plan: &Plan) -> Vec<(Instant, Mood)> {
        let lasts = plan.lasts.as_millis() as u64;
        let mut moods = Vec::new();
        let mut at = 0;
        while at < lasts && !plan.is_last {
            moods.push((start + Duration::from_millis(at), self.mood()));
            at += self.rng.u64(1..=lasts);
        }
        moods
    }

    fn pipeline(&mut self) -> (Intake, Thread) {
        let config = self.config();
        let rings = RingConfig::new(config.ring_bytes(), config.producers_max);
        let (sender, receiver) = ringlight_ring::channel(rings).unwrap();
        let takes = || SIGNALS.into_iter().collect();
        let accounts = self.backends.iter().map(|_| takes());
        let accounts = Arc::new(Accounts::new(sender.clone(), accounts));
        let control = Arc::new(Control::default());
        let spool = Spool::open_on(Arc::new(self.disk.clone()), "/spool".as_ref()).unwrap();
        let parts = Parts {
            requests: Arc::new(Requests::new(config.queue_bytes_max)),
            spool: Some(spool),
            clock: config.clock(),
            shared: Shared::new(sender.clone(), config.policy, config.notices.clone()),
            may_wait: self.rng.u8(..4) == 0,
            config,
            callsites: Arc::new(CallsiteRegistry::new()),
            destinations: self.backends.iter().map(destination).collect(),
            sinks: Vec::new(),
            log_filter: None,
            receiver,
            accounts: Arc::clone(&accounts),
            control: Arc::clone(&control),
            meter: Meter::new(sender.clone(), crate::Governor::default()),
        };
        let intake = Intake::Pipeline {
            requests: RequestSender {
                requests: Arc::clone(&parts.requests),
                accounts: Arc::clone(&accounts),
                shared: Arc::clone(&parts.shared),
                sender: sender.clone(),
                destinations: (0..self.backends.len()).collect(),
                resource: Arc::default(),
            },
            sender,
            control,
            accounts,
        };
        (intake, Box::pin(Collector::run_all(parts)))
    }

    fn relay(&self) -> (Intake, Thread) {
        let to = destination(&self.backends[0]);
        let (relay, mut passing) = Relay::new(self.config(), to).unwrap();
        let thread = async move { passing.run_all().await };
        (Intake::Relay(relay), Box::pin(thread))
    }

    /// One process, from its start to its end.
    fn live(&mut self, plan: Plan) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let entered = runtime.enter();
        let (intake, mut thread) = if self.is_relay {
            self.relay()
        } else {
            self.pipeline()
        };
        drop(entered);
        let known = self.backends.iter().map(Backend::known);
        let acknowledged: Vec<_> = known.map(|known| known.acknowledged.clone()).collect();
        let mut life = Life {
            intake,
            open: HashSet::new(),
        };
        runtime.block_on(async {
            self.moods(Instant::now(), &plan);
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
            for signal in SIGNALS {
                let count = |of: &BTreeMap<Signal, u64>| of.get(&signal).copied().unwrap_or(0);
                let exported = life.intake.ledger(index).account(signal).exported;
                let answered = count(&after) - count(&before);
                assert!(
                    exported == answered || plan.is_killed && exported < answered,
                    "{exported} exported, {answered} acknowledged"
                );
            }
        }
        self.settle(&life, &plan);
        self.disk = self.disk.after_death();
    }

    /// What the books of a process that has ended say, and what follows for its records.
    fn settle(&mut self, life: &Life, plan: &Plan) {
        if plan.is_killed {
            self.excused.extend(&life.open);
        }
        for index in 0..self.backends.len() {
            let ledger = life.intake.ledger(index);
            assert!(ledger.balances(), "{ledger}");
            let all: [&Account; SIGNALS.len()] = SIGNALS.map(|s| ledger.account(s));
            for account in all {
                assert!(plan.is_killed || account.in_flight == 0, "{ledger}");
                assert!(account.exported_recovered <= account.recovered, "{ledger}");
                let damaged = account.dropped[DropReason::SpoolDamaged];
                assert_eq!(damaged, 0, "{ledger}");
                // Whoever passes something on to a relay does not wait for room.
                let full = (!self.is_relay).then_some(DropReason::QueueFull);
                let by_need = [DropReason::RetriesExhausted, DropReason::Shutdown];
                let by_need = by_need.into_iter().chain(full);
                let by_need: u64 = by_need.map(|reason| account.dropped[reason]).sum();
                assert!(
                    plan.disk_fails || by_need == 0,
                    "the disk had room: {ledger}"
                );
                self.given_up[index] += account.dropped_total();
                // What was on its way when its segment made room was in memory alone, and in no book yet.
                let made_room = account.dropped[DropReason::SpoolFull];
                if plan.is_killed && made_room > 0 {
                    self.given_up[index] += account.in_flight;
                }
            }
            if let Some(left) = self.left[index] {
                let recovered = all.map(|account| account.recovered);
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
            self.left[index] = is_known.then(|| all.map(|account| account.spooled));
            if plan.is_last {
                assert!(all.iter().all(|account| account.spooled == 0), "{ledger}");
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
