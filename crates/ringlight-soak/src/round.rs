//! One round: telemetry is started, worked with, and shut down.

use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, PoisonError};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use fastrand::Rng;
use ringlight::{LedgerSnapshot, ManualTime, Sampler, Signal};
use ringlight_testing::Backend;

use crate::check;
use crate::mood;
use crate::plan::{Ending, Plan, ROUND};
use crate::work::{Shared, Worker};

/// How long anything is waited for that is bound to come.
const PATIENCE: Duration = Duration::from_secs(120);
const HOUR_NANO: u64 = 3_600_000_000_000;

/// Runs a round; what is to be told of it.
///
/// # Errors
/// Something is not as it should be.
pub(crate) fn run(plan: &Plan) -> Result<String, String> {
    let mut random = Rng::with_seed(plan.seed);
    let backend = Arc::new(Backend::start());
    let times = ManualTime::default();
    times.set_wall(now_unix_nano());
    let builder = plan.builder(backend.url(), times.clone());
    let (dispatch, telemetry) = builder.build().map_err(|e| format!("start: {e}"))?;
    let shared = Arc::new(Shared::new(plan, dispatch, telemetry));

    let stop = Arc::new(AtomicBool::new(false));
    let (ended, ends) = channel();
    for _ in 0..plan.stations {
        let (shared, ended, random) = (Arc::clone(&shared), ended.clone(), random.fork());
        spawn(move || station(&shared, random, &ended));
    }
    // These two go on until the work is done, so that nothing waits for a backend that never answers.
    let others = [
        spawn({
            let (backend, stop, random) = (Arc::clone(&backend), Arc::clone(&stop), random.fork());
            let protocol = plan.protocol;
            move || mood::swing(&backend, protocol, random, &stop)
        }),
        spawn({
            let (shared, stop, random) = (Arc::clone(&shared), Arc::clone(&stop), random.fork());
            move || meddle(&shared, &times, random, &stop)
        }),
    ];
    sleep(ROUND);
    if plan.ending == Ending::Abrupt {
        let timeout = Duration::from_millis(random.u64(..300));
        shared.telemetry.shutdown(timeout);
    }
    shared.end();
    for station in 0..plan.stations {
        let end = ends.recv_timeout(PATIENCE);
        end.map_err(|_| format!("a thread hangs, {station} stations have ended"))??;
    }
    // Relaxed: a round more or less does not matter.
    stop.store(true, Ordering::Relaxed);
    for other in others {
        other.join().map_err(|panic| said(&*panic))?;
    }
    // Spans that were on their way from one thread to another.
    shared.forget();
    let ledger = finish(&shared)?;
    check::compare(plan, &backend.seen(), &ledger, shared.made())
}

/// Threads that come and go, one after the other or a crowd at once.
fn station(shared: &Arc<Shared>, mut random: Rng, ended: &Sender<Result<(), String>>) {
    let mut outcome = Ok(());
    while outcome.is_ok() && !shared.is_over() {
        let crowd = match random.u32(..10) {
            0 => random.usize(2..30),
            _ => 1,
        };
        let units = random.u32(1..200) / crowd as u32 + 1;
        let workers: Vec<_> = (0..crowd)
            .map(|_| {
                let (shared, random) = (Arc::clone(shared), random.fork());
                spawn(move || Worker::new(&shared, random).work(units))
            })
            .collect();
        for worker in workers {
            outcome = outcome.and(worker.join().map_err(|panic| said(&*panic)));
        }
    }
    // Nobody listens any more if another one hung.
    let _ = ended.send(outcome);
}

/// Steps the clock, changes filter and sampler, and reads the ledger.
fn meddle(shared: &Shared, times: &ManualTime, mut random: Rng, stop: &AtomicBool) {
    let controls = shared.telemetry.controls();
    while !stop.load(Ordering::Relaxed) {
        times.pass(random.u64(..5_000_000));
        if random.u32(..50) == 0 {
            let hours = random.u64(..3) * HOUR_NANO;
            let now = now_unix_nano();
            times.set_wall(now + HOUR_NANO - hours);
        }
        if !shared.is_steady && random.u32(..50) == 0 {
            let directives = ["trace", "info", "warn", "ringlight_soak=debug", "off"];
            let filter = directives[random.usize(..directives.len())];
            assert!(controls.set_filter(filter).is_ok(), "`{filter}`");
            controls.set_sampler(match random.u32(..4) {
                0 => Sampler::always_off(),
                1 => Sampler::trace_id_ratio(random.f64()),
                2 => Sampler::trace_id_ratio(random.f64()).parent_based(),
                _ => Sampler::always_on(),
            });
        }
        let ledger = shared.telemetry.ledger();
        assert!(ledger.balances(), "{ledger:?}");
        sleep(Duration::from_millis(random.u64(..5)));
    }
}

/// Ends telemetry, unless it has ended, and waits until nothing is on its way.
fn finish(shared: &Shared) -> Result<LedgerSnapshot, String> {
    let until = Instant::now() + PATIENCE;
    loop {
        let ledger = shared.telemetry.shutdown(PATIENCE);
        let signals = [Signal::Traces, Signal::Logs];
        let in_flight: u64 = signals.map(|s| ledger.account(s).in_flight).iter().sum();
        if in_flight == 0 {
            return Ok(ledger);
        }
        if Instant::now() >= until {
            return Err(format!("{in_flight} records are in flight for ever"));
        }
        // A shutdown that was given little time counts what is left a little later.
        sleep(Duration::from_millis(1));
    }
}

fn now_unix_nano() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_nanos() as u64)
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    format!("a thread panicked: {}", text.unwrap_or("without a word"))
}

/// A lock's guard, whoever panicked under it.
pub(crate) fn unpoisoned<T>(locked: Result<T, PoisonError<T>>) -> T {
    locked.unwrap_or_else(PoisonError::into_inner)
}
