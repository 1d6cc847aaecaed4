//! The process may end without dropping the guard: what was recorded leaves first, where that can
//! be arranged.

use std::cell::RefCell;
use std::panic;
use std::sync::Weak;
use std::time::Duration;

use crate::subscriber::panics;
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
        flush(&self.0);
    }
}

/// Arranges for a flush at the end, on the calling thread.
pub(crate) fn arrange(shared: &Weak<Shared>) {
    // Without thread locals the thread is ending already.
    let _ = AT_EXIT.try_with(|at_exit| at_exit.borrow_mut().0 = Weak::clone(shared));
    listen_to_panics(Weak::clone(shared));
}

/// Flushes before a panic aborts the process. Where panics unwind, somebody may catch this one or
/// the guard is dropped on the way out of `main`; waiting for the network then would only hold
/// things up, and what the panic says is kept for the spans it passes through.
fn listen_to_panics(shared: Weak<Shared>) {
    // The hook cannot be changed then.
    if std::thread::panicking() {
        return;
    }
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if cfg!(panic = "abort") {
            previous(info);
            flush(&shared);
        } else if !panics::is_quiet() {
            panics::note(info);
            previous(info);
        }
    }));
}

fn flush(shared: &Weak<Shared>) {
    if let Some(shared) = shared.upgrade() {
        let _ = shared.pipeline.flush(FLUSH_TIMEOUT);
    }
}
