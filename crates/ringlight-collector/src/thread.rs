//! What the thread of a pipeline and that of a relay have in common: a small runtime, and an end that nobody misses; and
//! which thread this is.

use std::io;
use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};

use crate::accounts::Accounts;
use crate::mark::mark_thread;
use crate::pipeline::Control;

/// A runtime for one thread, with up to so many threads beside it for what blocks.
pub(crate) fn runtime(blocking_threads_max: usize) -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .thread_name("ringlight-blocking")
        .max_blocking_threads(blocking_threads_max)
        .on_thread_start(mark_thread)
        .build()
}

/// The number and the name of the calling thread: those the kernel knows it by on Linux, and elsewhere the number that
/// the standard library gives it. Its locals must not be gone.
pub(crate) fn current_thread() -> (u64, String) {
    let thread = std::thread::current();
    #[cfg(target_os = "linux")]
    let number = u64::from(
        rustix::thread::gettid()
            .as_raw_nonzero()
            .get()
            .unsigned_abs(),
    );
    #[cfg(not(target_os = "linux"))]
    let number = {
        // It has no method of its own: `ThreadId(1)`.
        let shown = format!("{:?}", thread.id());
        let digits = shown.trim_matches(|c: char| !c.is_ascii_digit());
        digits.parse().unwrap_or(0)
    };
    let name = thread.name().map(str::to_owned);
    (number, name.unwrap_or_else(|| format!("thread {number}")))
}

/// Ends the pipeline for whoever waits, however the thread ends.
pub(crate) struct End {
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) control: Arc<Control>,
}

impl Drop for End {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.accounts.write_off();
        }
        self.control.end();
    }
}
