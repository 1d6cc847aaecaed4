//! The ways a process can end, one an argument; `tests/endings.rs` looks at what is delivered.
//!
//! ```text
//! OTLP_ENDPOINT=http://localhost:4317 cargo run -p ringlight --example endings -- return
//! ```

#![expect(clippy::print_stdout, reason = "the test reads it")]

use std::error::Error;
use std::future::poll_fn;
use std::io::Read as _;
use std::pin::Pin;
use std::process::{ExitCode, exit};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ringlight::{LogFormat, OverflowPolicy, Telemetry};

const FOREVER: Duration = Duration::from_secs(600);

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let ending = std::env::args().nth(1).unwrap_or_default();
    let format = match ending.as_str() {
        "json" => LogFormat::Json,
        _ => LogFormat::Text,
    };
    let policy = match ending.as_str() {
        "fork and block" => OverflowPolicy::Block,
        _ => OverflowPolicy::Drop,
    };
    let telemetry = ringlight::builder()
        .log_format(format)
        .overflow(policy)
        .init()?;
    if ending == "guard dropped" {
        // As `let _ = ringlight::init()` does.
        drop(telemetry);
        for n in 0..3 {
            tracing::info_span!("late").in_scope(|| tracing::info!(n, "too late"));
        }
        return Ok(ExitCode::SUCCESS);
    }
    tracing::info_span!("ending").in_scope(|| {
        tracing::info!(ending, "about to end \u{1b}[31m in red");
    });
    match ending.as_str() {
        // The guard is dropped on the way out.
        "return" | "json" => Ok(ExitCode::SUCCESS),
        "error" => Err("it went wrong".into()),
        "panic" => {
            let _panics = tracing::info_span!("panics").entered();
            Err(Box::<dyn Error>::from(panicking()))
        }
        // No destructor of `main` runs from here on.
        "forget" => {
            std::mem::forget(telemetry);
            Ok(ExitCode::SUCCESS)
        }
        "exit" => exit(7),
        "exit elsewhere" => {
            wait_for_a_line();
            match std::thread::spawn(|| exit(7)).join() {
                Ok(()) => Ok(ExitCode::SUCCESS),
                Err(_) => Err("the thread panicked".into()),
            }
        }
        // Whoever started this sends a signal instead of a line.
        "signal" => {
            wait_for_a_line();
            Ok(ExitCode::SUCCESS)
        }
        "fork" | "fork and block" => {
            fork_and_record(&telemetry);
            Ok(ExitCode::SUCCESS)
        }
        "out of order" => {
            for _ in 0..2 {
                let outer = tracing::info_span!("outer").entered();
                let inner = tracing::info_span!("inner").entered();
                drop(outer);
                drop(inner);
            }
            Ok(ExitCode::SUCCESS)
        }
        "held over await" => {
            hold_over_await();
            Ok(ExitCode::SUCCESS)
        }
        "flush and exit" => {
            telemetry.flush(FOREVER)?;
            exit(7)
        }
        other => Err(format!("no such ending: `{other}`").into()),
    }
}

/// Two tasks by turns on one thread, each of which keeps the guard of its span while it waits.
fn hold_over_await() {
    async fn task(name: &'static str) {
        let span = tracing::info_span!("held", name);
        let _guard = span.enter();
        for _ in 0..3 {
            let mut has_waited = false;
            poll_fn(|_| match std::mem::replace(&mut has_waited, true) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            })
            .await;
        }
    }
    let mut tasks = [Box::pin(task("one")), Box::pin(task("two"))];
    let mut context = Context::from_waker(Waker::noop());
    let mut poll = |task: &mut Pin<_>| Future::poll(Pin::as_mut(task), &mut context).is_ready();
    while !tasks
        .iter_mut()
        .map(&mut poll)
        .fold(true, |all, is| all & is)
    {}
}

/// Or for the end of the input.
fn wait_for_a_line() {
    let mut byte = [0];
    while std::io::stdin()
        .read(&mut byte)
        .is_ok_and(|count| count > 0)
        && byte[0] != b'\n'
    {}
}

/// Both processes go on recording, and return from `main`.
fn fork_and_record(telemetry: &Telemetry) {
    // So that the collector's thread rests while the process is copied.
    let _ = telemetry.flush(FOREVER);
    if fork_is_child() {
        // More than the rings hold.
        for n in 0..50_000 {
            drop(tracing::info_span!("in the child", n));
        }
        let flushed = telemetry.flush(FOREVER);
        let ledger = telemetry.shutdown(FOREVER);
        let is_empty = ledger == ringlight::LedgerSnapshot::default();
        println!("{flushed:?}, empty ledger: {is_empty}");
    } else {
        drop(tracing::info_span!("in the parent"));
    }
}

#[cfg(unix)]
#[expect(unsafe_code, reason = "there is no safe way to fork")]
fn fork_is_child() -> bool {
    unsafe extern "C" {
        fn fork() -> i32;
    }
    // SAFETY: a process with more than one thread may be forked; the child must not wait for what
    // only another thread could give, such as a lock it held. The one other thread is the
    // collector's, which rests after the flush.
    unsafe { fork() == 0 }
}

#[cfg(not(unix))]
fn fork_is_child() -> bool {
    true
}

fn panicking() -> String {
    let nothing: Option<&str> = std::env::args().nth(99).map(|_| "something");
    match nothing {
        Some(text) => text.to_owned(),
        None => panic!("on purpose"),
    }
}
