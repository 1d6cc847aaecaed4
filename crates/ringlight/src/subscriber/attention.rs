//! Why a span may have to take another way than the usual one: one word, which the usual way asks for
//! all of them at once.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// Whether anybody in this process uses the OpenTelemetry API, in the lowest bit, and whether any subscriber has spans
/// timed when they are entered and left, in the next one, both set once and for good; above them, how many
/// subscribers' collectors wait for the next span that is opened. Relaxed: who reads it late takes the other way a
/// little later.
static REASONS: AtomicUsize = AtomicUsize::new(0);

#[cfg(feature = "otel")]
const OTEL: usize = 1;
#[cfg(feature = "profiling")]
const TIMED: usize = 2;
const LISTENER: usize = 4;
/// What matters where a span is left.
const AT_EXIT: usize = LISTENER - 1;

/// The reasons there are at a moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reasons(usize);

impl Reasons {
    #[inline]
    pub(super) fn now() -> Self {
        Self(REASONS.load(Ordering::Relaxed))
    }

    /// Whether there are any.
    #[inline]
    pub(super) const fn any(self) -> bool {
        self.0 != 0
    }

    /// Whether there are any that matter where a span is left.
    #[inline]
    pub(super) const fn any_at_exit(self) -> bool {
        self.0 & AT_EXIT != 0
    }

    /// Whether a collector waits for a span, perhaps that of another subscriber.
    #[inline]
    pub(super) const fn has_listener(self) -> bool {
        self.0 >= LISTENER
    }

    /// Whether the OpenTelemetry API is in use.
    #[cfg(feature = "otel")]
    #[inline]
    pub(super) const fn is_otel_in_use(self) -> bool {
        self.0 & OTEL != 0
    }
}

#[cfg(feature = "otel")]
pub(super) fn set_otel_in_use() {
    REASONS.fetch_or(OTEL, Ordering::Relaxed);
}

#[cfg(feature = "profiling")]
pub(super) fn set_timed() {
    REASONS.fetch_or(TIMED, Ordering::Relaxed);
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
        // Mostly it is another subscriber's that waits, and then nothing is to be written.
        let was_listening = self.is_listening() && self.0.swap(false, Ordering::Relaxed);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_a_reason_until_it_is_taken_or_gone() {
        // Other tests of this process have reasons of their own, so only what is certain is asked.
        let (one, other) = (Listener::default(), Listener::default());
        assert!(!one.take());
        one.listen();
        one.listen();
        other.listen();
        assert!(one.is_listening() && Reasons::now().has_listener() && Reasons::now().any());
        assert!(one.take() && !one.take() && !one.is_listening());
        assert!(other.is_listening() && Reasons::now().has_listener());
        drop(other);
    }

    #[cfg(feature = "otel")]
    #[test]
    fn reasons_are_told_from_each_other() {
        assert!(!Reasons(0).any() && !Reasons(OTEL).has_listener());
        assert!(Reasons(OTEL | LISTENER).is_otel_in_use());
        assert!(!Reasons(LISTENER).is_otel_in_use() && !Reasons(LISTENER).any_at_exit());
        assert!(Reasons(OTEL).any_at_exit() && !Reasons(AT_EXIT).has_listener());
    }
}
