//! What the thread of a pipeline and that of a relay have in common: a small runtime, and an end that nobody misses; and
//! which thread this is.

use std::io;
use std::sync::Arc;

use ringlight_model::Signal;
use tokio::runtime::{Builder, Runtime};

use crate::accounts::Accounts;
use crate::config::CollectorConfig;
use crate::control::Control;
use crate::destination_config::DestinationConfig;
use crate::mark::mark_thread;
use crate::record::ThreadName;

/// A runtime for one thread, with up to so many threads beside it for what blocks.
pub(crate) fn runtime(blocking_threads_max: usize) -> io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .thread_name("ringlight-blocking")
        .max_blocking_threads(blocking_threads_max)
        .on_thread_start(mark_thread)
        .build()
}

/// Threads for what blocks, at most: look-ups of names, and what exporters do there, such as writing to
/// a file. They are started when there is work for them, and end after ten seconds without.
///
/// Each request under way, of each destination for each signal, has one, and another for what a request
/// left behind when its time was up: so that those that are stuck leave some to the others. The logs of each
/// destination for each signal have one.
pub(crate) fn blocking_threads_max(
    config: &CollectorConfig,
    destinations: &[DestinationConfig],
) -> usize {
    let of = |destination: &DestinationConfig| {
        let requests = destination.settings(config).concurrent_exports_max;
        (2 * requests + 1) * Signal::ALL.len()
    };
    destinations.iter().map(of).sum::<usize>().max(1)
}

/// The number of the calling thread, as [slices](crate::record::Slice::thread) have it: the one the kernel knows it by on
/// Linux, and elsewhere the one that the standard library gives it. The thread's locals must not be gone.
#[must_use]
pub fn current_thread_number() -> u64 {
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
        let shown = format!("{:?}", std::thread::current().id());
        let digits = shown.trim_matches(|c: char| !c.is_ascii_digit());
        digits.parse().unwrap_or(0)
    };
    number
}

/// The number of the calling thread, and the record of what it is called.
pub(crate) fn current_thread() -> (u64, Vec<u8>) {
    let number = current_thread_number();
    (number, name_record(number, std::thread::current().name()))
}

/// The record of what a thread is called, which may have no name.
pub(crate) fn name_record(number: u64, name: Option<&str>) -> Vec<u8> {
    match name {
        Some(name) => ThreadName::to_bytes(number, name),
        None => ThreadName::to_bytes(number, &format!("thread {number}")),
    }
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
