//! What the thread of a pipeline and that of a relay have in common: a small runtime, and an end that nobody misses.

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
