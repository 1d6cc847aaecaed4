//! Flush and shutdown from wherever an application may call them, with backends that answer, do
//! not exist, or never answer. The faults are numbers 7 and 14 of the fault catalogue.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ringlight::{FlushError, LogFormat, Signal, Telemetry};
use ringlight_testing::{Backend, PATIENCE, Reply};
use tracing::{Dispatch, info_span};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(300);

fn started(url: String) -> (Dispatch, Telemetry) {
    ringlight::builder()
        .environment::<String, String>([])
        .otlp_endpoint(url)
        .log_format(LogFormat::Off)
        .build()
        .unwrap()
}

fn record(dispatch: &Dispatch) {
    tracing::dispatcher::with_default(dispatch, || drop(info_span!("work", x = 1)));
}

/// Records, flushes, records, shuts down twice; everything must arrive.
fn use_fully(backend: &Backend) {
    let (dispatch, telemetry) = started(backend.url());
    record(&dispatch);
    telemetry.flush(LONG).unwrap();
    assert_eq!(backend.seen().spans().len(), 1);
    record(&dispatch);
    let ledger = telemetry.shutdown(LONG);
    backend.seen().assert_agrees_with(&ledger);
    assert_eq!(ledger.account(Signal::Traces).exported, 2);
    assert_eq!(telemetry.shutdown(LONG), ledger);
    assert_eq!(telemetry.flush(LONG), Err(FlushError::Closed));
    drop(telemetry);
    assert_eq!(backend.seen().spans().len(), 2);
}

#[test]
fn fault_7_without_a_runtime() {
    use_fully(&Backend::start());
}

#[test]
fn fault_7_inside_a_current_thread_runtime() {
    let backend = Backend::start();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(async { use_fully(&backend) });
}

#[test]
fn fault_7_inside_a_runtime_with_one_worker() {
    let backend = Backend::start();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    // On the worker itself, which then does nothing else.
    runtime
        .block_on(runtime.spawn(async move { use_fully(&backend) }))
        .unwrap();
}

#[test]
fn fault_7_after_the_runtime_has_ended() {
    let backend = Backend::start();
    let (dispatch, telemetry) = started(backend.url());
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async { record(&dispatch) });
    drop(runtime);
    let ledger = telemetry.shutdown(LONG);
    backend.stop().assert_agrees_with(&ledger);
    assert_eq!(ledger.account(Signal::Traces).exported, 1);
}

#[test]
fn fault_9_export_goes_on_while_every_worker_of_the_application_is_busy() {
    const WORKERS: usize = 2;
    let backend = Backend::start();
    let (dispatch, telemetry) = started(backend.url());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .unwrap();
    let is_there = Arc::new(AtomicBool::new(false));
    let until = Instant::now() + PATIENCE;
    let busy: Vec<_> = (0..WORKERS)
        .map(|_| {
            let (dispatch, is_there) = (dispatch.clone(), Arc::clone(&is_there));
            runtime.spawn(async move {
                record(&dispatch);
                // No task runs beside it on this worker until what was recorded has arrived.
                while !is_there.load(Ordering::Relaxed) {
                    assert!(Instant::now() < until, "nothing was exported");
                    std::hint::spin_loop();
                }
            })
        })
        .collect();
    backend.wait_for(|seen| seen.spans().len() == WORKERS);
    is_there.store(true, Ordering::Relaxed);
    for task in busy {
        runtime.block_on(task).unwrap();
    }
    let ledger = telemetry.shutdown(LONG);
    backend.stop().assert_agrees_with(&ledger);
}

/// Whatever the backend does, both calls return by their deadline, and the ledger balances.
fn gives_up_by_the_deadline(url: String) {
    let (dispatch, telemetry) = started(url);
    record(&dispatch);
    let begin = Instant::now();
    let flushed = telemetry.flush(SHORT);
    assert!(
        matches!(
            flushed,
            Err(FlushError::Timeout {
                timeout: SHORT,
                in_flight: 1..
            })
        ),
        "{flushed:?}"
    );
    assert!(telemetry.ledger().balances());
    let ledger = telemetry.shutdown(SHORT);
    // A bound against hanging, not a measurement.
    assert!(begin.elapsed() < LONG);
    assert!(ledger.balances(), "{ledger:?}");
    assert_eq!(ledger.account(Signal::Traces).submitted, 1);
    assert_eq!(ledger.account(Signal::Traces).exported, 0);
}

#[test]
fn fault_13_a_backend_that_is_not_there_delays_nothing_but_until_the_deadline() {
    gives_up_by_the_deadline(format!("http://{}", Backend::nobody()));
}

#[test]
fn fault_14_a_backend_that_never_answers_delays_nothing_but_until_the_deadline() {
    let backend = Backend::start();
    backend.set_default(Reply::Hang);
    gives_up_by_the_deadline(backend.url());
}

#[test]
fn fault_14_producers_do_not_wait_for_a_backend_that_never_answers() {
    let backend = Backend::start();
    backend.set_default(Reply::Hang);
    backend.set_reports(Reply::Hang);
    let (dispatch, telemetry) = started(backend.url());
    // Far more than all buffers hold: without waiting, most of it is dropped and counted.
    const SPANS: u64 = 300_000;
    tracing::dispatcher::with_default(&dispatch, || {
        for n in 0..SPANS {
            drop(info_span!(
                "flood",
                n,
                text = "some text to fill the buffers with"
            ));
        }
    });
    let ledger = telemetry.shutdown(SHORT);
    assert!(ledger.balances(), "{ledger:?}");
    let account = ledger.account(Signal::Traces);
    assert_eq!(account.submitted, SPANS);
    assert_eq!(account.exported, 0);
    assert_eq!(account.dropped_total() + account.in_flight, SPANS);
}
