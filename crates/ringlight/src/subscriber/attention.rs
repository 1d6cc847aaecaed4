//! Why a span may have to take another way than the usual one: one word, which the usual way asks for
//! all of them at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Whether anybody in this process uses the OpenTelemetry API, in the lowest bit, set once and for
/// good; above it, how many subscribers' collectors wait for the next span that is opened. Relaxed:
/// who reads it late takes the other way a little later.
static REASONS: AtomicUsize = AtomicUsize::new(0);

#[cfg(feature = "otel")]
const OTEL: usize = 1;
const LISTENER: usize = 2;

/// Whether there is any reason.
#[inline]
pub(super) fn is_needed() -> bool {
    REASONS.load(Ordering::Relaxed) != 0
}

#[cfg(feature = "otel")]
#[inline]
pub(super) fn is_otel_in_use() -> bool {
    REASONS.load(Ordering::Relaxed) & OTEL != 0
}

#[cfg(feature = "otel")]
pub(super) fn set_otel_in_use() {
    REASONS.fetch_or(OTEL, Ordering::Relaxed);
}

/// Whether one collector waits for the next span of its subscriber.
///
/// Relaxed: nothing is read by it. The collector looks for a span that was being opened once more
/// before it waits without an end.
#[derive(Debug, Default)]
pub(super) struct Listener(AtomicBool);

impl Listener {
    pub(super) fn listen(&self) {
        if !self.0.swap(true, Ordering::Relaxed) {
            REASONS.fetch_add(LISTENER, Ordering::Relaxed);
        }
    }

    pub(super) fn is_listening(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Ends the waiting; whether there was any.
    pub(super) fn take(&self) -> bool {
        let was_listening = self.0.swap(false, Ordering::Relaxed);
        if was_listening {
            REASONS.fetch_sub(LISTENER, Ordering::Relaxed);
        }
        was_listening
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.take();
    }
}
