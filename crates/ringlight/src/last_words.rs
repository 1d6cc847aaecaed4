//! The process may end without dropping the guard: what was recorded leaves first, where that can
//! be arranged.

use std::cell::RefCell;
use std::panic;
use std::sync::{Mutex, Once, Weak};
use std::time::{Duration, Instant};

use crate::subscriber::panics;
use crate::sync::unpoisoned;
use crate::telemetry::Shared;

/// How long the end of the process waits for the backend.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

thread_local! {
    static AT_EXIT: RefCell<AtExit> = const { RefCell::new(AtExit(Weak::new())) };
}

/// Flushes when the thread that started telemetry ends, or when it calls `process::exit`: the C
/// library then destroys the locals of the calling thread (glibc does; others may not). After a
/// shutdown there is nothing left to flush.
struct AtExit(Weak<Shared>);

impl Drop for AtExit {
    fn drop(&mut self) {
        flush(&self.0, FLUSH_TIMEOUT);
    }
}

/// What is flushed before a panic aborts the process: whatever was started, until it is gone.
static STARTED: Mutex<Vec<Weak<Shared>>> = Mutex::new(Vec::new());

/// Arranges for a flush at the end, on the calling thread.
pub(crate) fn arrange(shared: &Weak<Shared>) {
    // Without thread locals the thread is ending already.
    let _ = AT_EXIT.try_with(|at_exit| at_exit.borrow_mut().0 = Weak::clone(shared));
    let mut started = unpoisoned(STARTED.lock());
    started.retain(|earlier| earlier.strong_count() > 0);
    started.push(Weak::clone(shared));
    drop(started);
    listen_to_panics();
}

/// Flushes before a panic aborts the process. Where panics unwind, somebody may catch this one or
/// the guard is dropped on the way out of `main`; waiting for the network then would only hold
/// things up, and what the panic says is kept for the spans it passes through.
///
/// One hook does it for all that is ever started: it cannot be taken out again where others were set
/// after it, and each would call the one before.
fn listen_to_panics() {
    static IS_SET: Once = Once::new();
    // The hook cannot be changed then.
    if std::thread::panicking() {
        return;
    }
    IS_SET.call_once(|| {
        panics::prepare();
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let is_last = cfg!(panic = "abort");
            if is_last || !panics::is_quiet() {
                panics::note(info);
                panics::record(info, wants_backtrace);
                previous(info);
            }
            if is_last {
                flush_all();
            }
        }));
    });
}

/// Whether anything that was started wants panics recorded with a backtrace.
fn wants_backtrace() -> bool {
    // The panic may be one of a thread that has the list just now.
    let started = STARTED.try_lock().map(|started| started.clone());
    let mut started = started.into_iter().flatten();
    started.any(|shared| {
        shared
            .upgrade()
            .is_some_and(|shared| shared.panic_backtrace)
    })
}

fn flush_all() {
    // The panic may be one of a thread that has the list just now.
    let started = STARTED.try_lock().map(|started| started.clone());
    let began = Instant::now();
    for shared in started.unwrap_or_default() {
        flush(&shared, FLUSH_TIMEOUT.saturating_sub(began.elapsed()));
    }
}

fn flush(shared: &Weak<Shared>, timeout: Duration) {
    if let Some(shared) = shared.upgrade() {
        let _ = shared.flush(timeout);
    }
}
