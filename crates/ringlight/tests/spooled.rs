//! A service that keeps what cannot be sent in a directory, from the outside.

use std::time::{Duration, Instant};

use ringlight::{Builder, LogFormat, Signal, SpoolConfig, SpoolMode, Telemetry};
use ringlight_testing::{Backend, PATIENCE};
use tracing::{Dispatch, info_span};

fn builder(url: &str) -> Builder {
    ringlight::builder()
        .environment::<String, String>([])
        .otlp_endpoint(url)
        .log_format(LogFormat::Off)
        .pipeline(|config| config.retry.delay_first = Duration::from_millis(1))
}

fn record(dispatch: &Dispatch, count: usize) {
    tracing::dispatcher::with_default(dispatch, || {
        for _ in 0..count {
            drop(info_span!("work", x = 1));
        }
    });
}

fn wait_for(telemetry: &Telemetry, condition: impl Fn(&ringlight::Account) -> bool) {
    let until = Instant::now() + PATIENCE;
    loop {
        let ledger = telemetry.ledger();
        assert!(ledger.balances(), "{ledger}");
        if condition(ledger.account(Signal::Traces)) {
            return;
        }
        assert!(Instant::now() < until, "{ledger}");
        std::thread::yield_now();
    }
}

#[test]
fn what_one_process_could_not_send_the_next_one_sends() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool");
    for mode in [SpoolMode::Overflow, SpoolMode::Always] {
        let spool = || {
            let mut spool = SpoolConfig::new(&*path);
            spool.mode = mode;
            spool
        };
        let nobody = format!("http://{}", Backend::nobody());
        let (dispatch, telemetry) = builder(&nobody).spool(spool()).build().unwrap();
        record(&dispatch, 30);
        // Everything is safe, though nothing was sent.
        telemetry.flush(PATIENCE).unwrap();
        wait_for(&telemetry, |account| {
            account.spooled + account.in_flight == 30
        });
        record(&dispatch, 12);
        let ledger = telemetry.shutdown(PATIENCE);
        assert_eq!(
            ledger.account(Signal::Traces).spooled,
            42,
            "{mode:?}: {ledger}"
        );
        drop((dispatch, telemetry));

        // At another address, even.
        let backend = Backend::start();
        let started = builder(&backend.url()).spool(spool()).build().unwrap();
        let (dispatch, telemetry) = started;
        record(&dispatch, 1);
        wait_for(&telemetry, |account| account.exported == 43);
        let ledger = telemetry.shutdown(PATIENCE);
        let account = ledger.account(Signal::Traces);
        assert_eq!((account.submitted, account.recovered), (1, 42), "{mode:?}");
        // Only one is under the name of this process.
        assert_eq!(account.exported_recovered, 42, "{mode:?}");
        assert_eq!(backend.stop().spans().len(), 43, "{mode:?}");
    }
}

#[test]
fn fault_20_a_directory_of_another_process_is_an_error_in_code_and_a_warning_of_a_variable() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("spool");
    let backend = Backend::start();
    let holder = builder(&backend.url()).spool(&*path).build().unwrap();
    let error = builder(&backend.url()).spool(&*path).build().unwrap_err();
    let holding = format!("is in use by process {}", std::process::id());
    assert!(error.to_string().contains(&holding), "{error}");
    assert!(format!("{error:?}").contains("\nhint: "), "{error:?}");
    let variable = [("RINGLIGHT_SPOOL_DIR", path.to_str().unwrap())];
    let by_variable = builder(&backend.url()).environment(variable).build();
    let (dispatch, telemetry) = by_variable.unwrap();
    record(&dispatch, 1);
    let ledger = telemetry.shutdown(PATIENCE);
    assert_eq!(ledger.account(Signal::Traces).exported, 1);
    drop(holder);
}
