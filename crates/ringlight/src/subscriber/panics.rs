//! What a panic said, for the status of the spans it unwinds.

use std::panic::PanicHookInfo;

use super::STATUS_MESSAGE_BYTES_MAX;
use super::thread::{Thread, with_thread};

/// Runs `body`, whose panics are expected and caught within it: no span fails because of them, and
/// the panic hooks set before this crate's are not told.
#[cfg(feature = "otel")]
pub(super) fn quietly<R>(body: impl FnOnce() -> R) -> R {
    let was_quiet = with_thread(|thread| thread.set_quiet(true));
    let given = body();
    with_thread(|thread| thread.set_quiet(was_quiet));
    given
}

/// Whether nobody is to be told of a panic of this thread.
pub(crate) fn is_quiet() -> bool {
    with_thread(Thread::is_quiet)
}

/// Keeps place and message of a panic for the spans the thread is in. To be called by the panic
/// hook.
pub(crate) fn note(info: &PanicHookInfo<'_>) {
    with_thread(|thread| {
        if thread.entered.mark_all() {
            thread.set_panic(text(info));
        }
    });
}

/// Such as `panicked at src/main.rs:12: the pan fell`. What is too long is cut where it is used, as
/// any status message, so a little more than fits is enough.
fn text(info: &PanicHookInfo<'_>) -> String {
    let mut text = PANICKED.to_owned();
    if let Some(place) = info.location() {
        text += &format!(" at {}:{}", place.file(), place.line());
    }
    if let Some(message) = info.payload_as_str() {
        text += ": ";
        text += &message[..message.floor_char_boundary(STATUS_MESSAGE_BYTES_MAX)];
    }
    text
}

/// The status message of a span that a panic passes through which no hook saw, such as one that is
/// resumed, or which came before the span was entered. If a hook saw another one meanwhile, which
/// was caught, and nothing was recorded since, that one's text is used.
pub(super) const PANICKED: &str = "panicked";

impl Thread {
    /// Runs `read` with what the last panic said that a hook saw on this thread.
    pub(super) fn with_panic(&self, read: impl FnOnce(&str)) {
        let text = self.take_panic();
        read(text.as_deref().unwrap_or(PANICKED));
        if let Some(text) = text {
            self.set_panic(text);
        }
    }
}
