//! A day with an outage of six hours, and ends in every state, on a clock that jumps.

use std::collections::HashMap;

use ringlight_model::{Account, DropReason};
use ringlight_testing::{DiskOperation, FaultDisk};

use super::*;
use crate::destination_config::DestinationConfig;
use crate::requests::Requests;
use crate::resilience::{CircuitBreakerConfig, ResilientExporterBuilder};
use crate::spool::{SpoolConfig, SpoolMode};
use crate::sync::unpoisoned;

const MINUTE: Duration = Duration::from_secs(60);

/// When each process asked, and with how many bytes.
type Attempts = HashMap<usize, Vec<(Instant, usize)>>;

/// A backend that is away for some time, and remembers when it was asked.
#[derive(Clone)]
struct Outage {
    away: std::ops::Range<Instant>,
    attempts: Arc<Mutex<Attempts>>,
}

/// The way of one process to it.
struct Way {
    process: usize,
    outage: Outage,
}

impl Exporter for Way {
    async fn export(&self, batch: EncodedBatch) -> Result<ExportOutcome, ExportError> {
        let now = Instant::now();
        {
            let mut attempts = unpoisoned(self.outage.attempts.lock());
            let own = attempts.entry(self.process).or_default();
            own.push((now, batch.bytes.len()));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
        if self.outage.away.contains(&now) {
            return Err(ExportError::Unreachable {
                reason: "away".to_owned(),
                source: None,
            });
        }
        Ok(ExportOutcome::default())
    }

    fn name(&self) -> &str {
        "outage"
    }
}

/// What a process is made of, and its end of the rings.
struct Process {
    parts: Parts,
    accounts: Arc<Accounts>,
    meter: Arc<Meter>,
    control: Arc<Control>,
    sender: RingSender,
}

fn process(config: CollectorConfig, exporter: Arc<dyn ExporterBoxed>) -> Process {
    let rings = RingConfig::new(config.ring_bytes(), config.producers_max);
    let (sender, receiver) = ringlight_ring::channel(rings).unwrap();
    let everything = Signal::ALL.into_iter().collect();
    let accounts = Arc::new(Accounts::new(sender.clone(), [everything]));
    let control = Arc::new(Control::default());
    let meter = Meter::new(sender.clone(), crate::Governor::default());
    let open = |spool: &SpoolConfig| Spool::open_on(Arc::clone(&spool.disk), &spool.dir).unwrap();
    let parts = Parts {
        requests: Arc::new(Requests::new(config.queue_bytes_max)),
        spool: config.spool.as_ref().map(open),
        clock: config.clock(),
        shared: Shared::new(sender.clone(), config.policy, config.notices.clone()),
        may_wait: false,
        config,
        callsites: Arc::new(CallsiteRegistry::new()),
        destinations: vec![DestinationConfig::new(exporter)],
        sinks: Vec::new(),
        log_filter: None,
        receiver,
        accounts: Arc::clone(&accounts),
        control: Arc::clone(&control),
        meter: Arc::clone(&meter),
    };
    Process {
        parts,
        accounts,
        meter,
        control,
        sender,
    }
}

fn spooled(disk: &FaultDisk) -> CollectorConfig {
    let mut spool = SpoolConfig::new("/spool");
    spool.disk = Arc::new(disk.clone());
    spool.drain_bytes_per_second = 20_000;
    CollectorConfig {
        ring_bits: 8,
        report_interval: Duration::ZERO,
        spool: Some(spool),
        ..config(BATCH_DELAY)
    }
}

fn traces(accounts: &Accounts) -> Account {
    let ledger = accounts.snapshot(0);
    assert!(ledger.balances(), "{ledger}");
    *ledger.account(Signal::Traces)
}

#[tokio::test(start_paused = true)]
async fn a_day_with_six_hours_without_a_backend_takes_no_memory_and_ends_with_nothing_on_disk() {
    const PROCESSES: usize = 10;
    const BURST: u64 = 40;
    let start = Instant::now();
    let outage = Outage {
        away: start + 8 * HOUR..start + 14 * HOUR,
        attempts: Arc::default(),
    };
    let tasks = tokio::task::LocalSet::new();
    for number in 0..PROCESSES {
        let outage = outage.clone();
        tasks.spawn_local(async move {
            let disk = FaultDisk::new();
            let way = Way {
                process: number,
                outage: outage.clone(),
            };
            let process = process(spooled(&disk), Arc::new(way));
            let mut thread = std::pin::pin!(Collector::run_all(process.parts));
            let mut producer = process.sender.register().unwrap();
            let mut memory_max = 0;
            let script = async {
                for minute in 0..24 * 60 {
                    for _ in 0..BURST {
                        record(&mut producer);
                    }
                    tokio::time::sleep(MINUTE).await;
                    let account = traces(&process.accounts);
                    // Nothing piles up in memory: two batches that ask in turn whether the backend is back.
                    let is_outage = outage.away.contains(&(Instant::now() - MINUTE));
                    let allowed = if is_outage { 2 * BATCH_RECORDS } else { 0 };
                    assert!(account.in_flight <= allowed, "minute {minute}: {account}");
                    let snapshot = process.meter.snapshot();
                    memory_max = memory_max.max(snapshot.memory.buffers_bytes);
                    if minute == 7 * 60 {
                        memory_max = snapshot.memory.buffers_bytes;
                    }
                }
                memory_max
            };
            let memory_max = tokio::select! {
                memory_max = script => memory_max,
                () = thread.as_mut() => panic!("it ended by itself"),
            };
            assert!(memory_max < 64 << 10, "{memory_max}");
            let account = traces(&process.accounts);
            assert_eq!(account.exported, 24 * 60 * BURST, "{account}");
            process.control.send(Command::Shutdown(MINUTE));
            process.sender.close();
            thread.await;
            let left = disk.paths();
            let is_left =
                |path: &std::path::PathBuf| path.extension().is_some_and(|e| e == "segment");
            assert!(!left.iter().any(is_left), "{left:?}");
        });
    }
    tasks.await;
    let attempts = unpoisoned(outage.attempts.lock());
    assert_eq!(attempts.len(), PROCESSES);
    let mut returns = Vec::new();
    for own in attempts.values() {
        let during: Vec<_> = own
            .iter()
            .filter(|(at, _)| outage.away.contains(at))
            .collect();
        // Half of the longest wait at least, but for the first few.
        for pair in during.windows(2).skip(12) {
            let apart = pair[1].0 - pair[0].0;
            assert!(apart >= RetryConfig::default().delay_max / 2, "{apart:?}");
        }
        let after = own.iter().filter(|(at, _)| *at >= outage.away.end);
        let after: Vec<_> = after.collect();
        returns.push(after[0].0 - outage.away.end);
        // What waited comes back at its rate: never more in ten seconds than that, new batches apart.
        for window in after.windows(400) {
            let bytes: usize = window.iter().map(|(_, bytes)| bytes).sum();
            let took = (window[399].0 - window[0].0).as_secs_f64() + 2.0;
            assert!(
                (bytes as f64) < 20_000.0 * took + 4_096.0,
                "{bytes} in {took} s"
            );
        }
    }
    // No herd: they come back when they do.
    returns.sort();
    let apart = returns
        .windows(2)
        .filter(|pair| pair[1] - pair[0] > Duration::from_millis(5));
    assert!(apart.count() > PROCESSES / 2, "{returns:?}");
    assert!(
        returns[PROCESSES - 1] <= RetryConfig::default().delay_max,
        "{returns:?}"
    );
}

/// An exporter that does one thing for ever.
#[derive(Clone, Copy)]
enum Does {
    Takes,
    Fails,
    Asks(Duration),
    Hangs,
}

impl Exporter for Does {
    async fn export(&self, _: EncodedBatch) -> Result<ExportOutcome, ExportError> {
        tokio::time::sleep(Duration::from_millis(30)).await;
        match self {
            Self::Takes => Ok(ExportOutcome::default()),
            Self::Fails => Err(ExportError::Unreachable {
                reason: "as it does".to_owned(),
                source: None,
            }),
            Self::Asks(after) => Err(ExportError::Retryable {
                reason: "not now".to_owned(),
                after: Some(*after),
            }),
            Self::Hangs => std::future::pending().await,
        }
    }

    fn name(&self) -> &str {
        "does"
    }
}

#[test]
fn a_shutdown_returns_by_its_deadline_in_every_state() {
    let breaker = || {
        ResilientExporterBuilder::new(Does::Fails)
            .circuit_breaker(CircuitBreakerConfig::default())
            .build()
            .unwrap()
    };
    let states = [
        ("well", Does::Takes),
        ("backing off", Does::Fails),
        ("asked to wait", Does::Asks(HOUR)),
        (
            "asked to come back soon",
            Does::Asks(Duration::from_millis(300)),
        ),
        ("hanging", Does::Hangs),
    ];
    for (state, does) in states {
        for mode in [None, Some(SpoolMode::Overflow), Some(SpoolMode::Always)] {
            for disk_fails in [false, true] {
                let what = format!("{state}, {mode:?}, {disk_fails}");
                check_end(&what, Arc::new(does), mode, disk_fails);
            }
        }
    }
    for mode in [None, Some(SpoolMode::Overflow)] {
        check_end("breaker open", Arc::new(breaker()), mode, false);
    }
}

fn check_end(
    what: &str,
    exporter: Arc<dyn ExporterBoxed>,
    mode: Option<SpoolMode>,
    disk_fails: bool,
) {
    let is_last_well = what.starts_with("well");
    for timeout_ms in [1, 50, 400, 5_000] {
        let timeout = Duration::from_millis(timeout_ms);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        let disk = FaultDisk::new();
        let mut config = spooled(&disk);
        // A log that was left, and is being read back at the end.
        if mode.is_some() {
            leave_something(&disk, &runtime);
        }
        match (mode, &mut config.spool) {
            (Some(mode), Some(spool)) => spool.mode = mode,
            (_, spool) => *spool = None,
        }
        if disk_fails {
            disk.fail(DiskOperation::Write, std::io::ErrorKind::StorageFull);
        }
        let process = process(config, Arc::clone(&exporter));
        let accounts = Arc::clone(&process.accounts);
        runtime.block_on(async {
            let mut thread = std::pin::pin!(Collector::run_all(process.parts));
            let mut producer = process.sender.register().unwrap();
            let script = async {
                for _ in 0..50 {
                    record(&mut producer);
                    tokio::time::sleep(Duration::from_millis(70)).await;
                }
                record(&mut producer);
            };
            tokio::select! {
                () = script => {}
                () = thread.as_mut() => panic!("it ended by itself"),
            }
            process.control.send(Command::Shutdown(timeout));
            process.sender.close();
            let began = Instant::now();
            thread.await;
            // Timers count in milliseconds.
            let limit = timeout + Duration::from_millis(1);
            assert!(began.elapsed() <= limit, "{what}: {:?}", began.elapsed());
        });
        let account = traces(&accounts);
        assert_eq!(account.in_flight, 0, "{what}: {account}");
        let by_end = account.dropped[DropReason::Shutdown];
        let has_time = timeout_ms >= 400;
        if has_time && (is_last_well || (mode.is_some() && !disk_fails)) {
            assert_eq!(by_end, 0, "{what}, {timeout:?}: {account}");
        }
    }
}

/// A process that finds nobody, and leaves what it has on disk.
fn leave_something(disk: &FaultDisk, runtime: &Runtime) {
    let process = process(spooled(disk), Arc::new(Does::Fails));
    runtime.block_on(async {
        let mut thread = std::pin::pin!(Collector::run_all(process.parts));
        let mut producer = process.sender.register().unwrap();
        for _ in 0..200 {
            record(&mut producer);
        }
        tokio::select! {
            () = tokio::time::sleep(MINUTE) => {}
            () = thread.as_mut() => panic!("it ended by itself"),
        }
        process.control.send(Command::Shutdown(MINUTE));
        process.sender.close();
        thread.await;
    });
    assert_eq!(traces(&process.accounts).spooled, 200);
}
