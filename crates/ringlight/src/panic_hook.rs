//! A panic may be the last thing the process does: what was recorded leaves first.

use std::panic;
use std::sync::Weak;
use std::time::Duration;

use crate::telemetry::Shared;

/// How long a panic that ends the process waits for the backend.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Flushes before the process aborts. Where panics unwind, somebody may catch this one or the guard
/// is dropped on the way out of `main`; waiting for the network then would only hold things up.
pub(crate) fn install(shared: Weak<Shared>) {
    if cfg!(not(panic = "abort")) {
        return;
    }
    let previous = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        previous(info);
        if let Some(shared) = shared.upgrade() {
            let _ = shared.flush(FLUSH_TIMEOUT);
        }
    }));
}
