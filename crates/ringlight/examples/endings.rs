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
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ringlight::{LogFormat, OverflowPolicy, Telemetry};

/// Where allocations are counted at all, so that nothing is said about an allocator that does not count.
#[cfg(feature = "profiling-alloc")]
#[global_allocator]
static ALLOCATOR: ringlight::RinglightAllocator = ringlight::RinglightAllocator::system();

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
        "many lines" => {
            for n in 0..100_000 {
                tracing::info!(n, "a line of some length that has to go somewhere");
            }
            Ok(ExitCode::SUCCESS)
        }
        "exit" => exit(7),
        "exit handler" => record_at_exit(telemetry),
        "key destructor" => {
            record_after_the_end_of_threads();
            Ok(ExitCode::SUCCESS)
        }
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

fn record(name: &str) {
    tracing::info_span!("late").in_scope(|| tracing::info!(name, "recorded late"));
}

/// Exits, and records when the main thread's locals are gone.
fn record_at_exit(telemetry: Telemetry) -> ! {
    static TELEMETRY: OnceLock<Telemetry> = OnceLock::new();
    extern "C" fn handler() {
        record("exit handler");
        let flushed = TELEMETRY
            .get()
            .map(|telemetry| telemetry.flush(FOREVER).is_ok());
        println!("flushed: {flushed:?}");
    }
    let _ = TELEMETRY.set(telemetry);
    let is_set = c::at_exit(handler);
    exit(if is_set { 7 } else { 1 })
}

/// Records when all that is left of a thread are the values of its POSIX keys: its locals are gone, and
/// so is its handle, without which `std::thread::current` panics. One thread has recorded before, one has
/// a name, one neither.
fn record_after_the_end_of_threads() {
    let Some(key) = c::Key::new(|| record("key destructor")) else {
        return;
    };
    let thread = std::thread::Builder::new;
    for (thread, records_before) in [
        (thread(), true),
        (thread().name("named".to_owned()), false),
        (thread(), false),
    ] {
        let work = move || {
            if records_before {
                record("before");
            }
            key.set();
        };
        // The end of a thread is that of its destructors.
        let ended = thread.spawn(work).map(std::thread::JoinHandle::join);
        println!("ended: {}", matches!(ended, Ok(Ok(()))));
    }
}

/// Both processes go on recording, and return from `main`.
fn fork_and_record(telemetry: &Telemetry) {
    // So that the collector's thread rests while the process is copied.
    let _ = telemetry.flush(FOREVER);
    if c::fork_is_child() {
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

/// What only the C library can do.
#[cfg(unix)]
#[expect(unsafe_code, reason = "there is no safe way to any of it")]
mod c {
    use std::ffi::{c_int, c_void};
    use std::ptr;
    use std::sync::OnceLock;

    #[cfg(not(target_vendor = "apple"))]
    type PthreadKey = std::ffi::c_uint;
    #[cfg(target_vendor = "apple")]
    type PthreadKey = std::ffi::c_ulong;

    unsafe extern "C" {
        fn fork() -> c_int;
        fn atexit(handler: extern "C" fn()) -> c_int;
        fn pthread_key_create(
            key: *mut PthreadKey,
            destructor: extern "C" fn(*mut c_void),
        ) -> c_int;
        fn pthread_setspecific(key: PthreadKey, value: *const c_void) -> c_int;
    }

    pub(super) fn fork_is_child() -> bool {
        // SAFETY: a process with more than one thread may be forked; the child must not wait for what
        // only another thread could give, such as a lock it held. The one other thread is the
        // collector's, which rests after the flush.
        unsafe { fork() == 0 }
    }

    pub(super) fn at_exit(handler: extern "C" fn()) -> bool {
        // SAFETY: a function may be registered at any time, and this one is there until the end.
        unsafe { atexit(handler) == 0 }
    }

    /// Calls a function as the last thing a thread does that has [set](Self::set) it.
    #[derive(Clone, Copy)]
    pub(super) struct Key;

    static KEY: OnceLock<(PthreadKey, fn())> = OnceLock::new();

    impl Key {
        /// There is one.
        pub(super) fn new(at_end: fn()) -> Option<Self> {
            let mut key = 0;
            // SAFETY: `key` may be written to, and the function is there until the end.
            let result = unsafe { pthread_key_create(&raw mut key, destroy) };
            (result == 0 && KEY.set((key, at_end)).is_ok()).then_some(Self)
        }

        /// In the second round, after the destructors of all other keys, the standard library's among them.
        pub(super) fn set(self) {
            set(2);
        }
    }

    fn set(round: usize) {
        if let Some((key, _)) = KEY.get() {
            // SAFETY: the key was made by `pthread_key_create` and is never deleted; its values are
            // numbers, and nobody reads through them.
            unsafe { pthread_setspecific(*key, ptr::without_provenance(round)) };
        }
    }

    /// A value that is there again after a round of destructors has one more.
    extern "C" fn destroy(round: *mut c_void) {
        match (round.addr(), KEY.get()) {
            (2.., _) => set(round.addr() - 1),
            (_, Some((_, at_end))) => at_end(),
            (_, None) => {}
        }
    }
}

/// None of it can be done here.
#[cfg(not(unix))]
mod c {
    pub(super) fn fork_is_child() -> bool {
        true
    }

    pub(super) fn at_exit(_: extern "C" fn()) -> bool {
        false
    }

    #[derive(Clone, Copy)]
    pub(super) struct Key;

    impl Key {
        pub(super) fn new(_: fn()) -> Option<Self> {
            None
        }

        pub(super) fn set(self) {}
    }
}

fn panicking() -> String {
    let nothing: Option<&str> = std::env::args().nth(99).map(|_| "something");
    match nothing {
        Some(text) => text.to_owned(),
        None => panic!("on purpose"),
    }
}
