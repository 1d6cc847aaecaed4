//! The sinks of a pipeline, of which one that panics takes nothing else with it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ringlight_model::CallsiteRegistry;

use crate::notice::{Notice, Notices};
use crate::record::{Record, Slice, ThreadName};
use crate::sink::RecordSink;

/// Shows records to local consumers.
pub(crate) struct Sinks {
    sinks: Vec<Box<dyn RecordSink>>,
    /// The ring that is drained, in the order they were made; zero is the one that threads share.
    ring: usize,
    /// Which thread records into each ring, or for which one, as far as its name was told: none where no threads are asked
    /// for.
    threads: Vec<Option<u64>>,
    /// Whether they were shown anything since they last handed it over.
    have_gathered: bool,
    /// Whether they were shown anything since they were flushed.
    are_dirty: bool,
    notices: Notices,
}

impl Sinks {
    pub(crate) fn new(sinks: Vec<Box<dyn RecordSink>>, notices: Notices) -> Self {
        Self {
            sinks,
            ring: 0,
            threads: Vec::new(),
            have_gathered: false,
            are_dirty: false,
            notices,
        }
    }

    /// What comes next is out of this ring.
    #[inline]
    pub(crate) fn turn(&mut self, ring: usize) {
        self.ring = ring;
        if !self.threads.is_empty() {
            self.tell_thread();
        }
    }

    #[cold]
    fn tell_thread(&mut self) {
        let thread = self.threads.get(self.ring).copied().flatten();
        self.each(|sink| sink.recorded_by(thread));
    }

    /// The ring that is drained is this thread's from now on.
    fn note_thread(&mut self, thread: u64) {
        const SHARED: usize = 0;
        if self.ring != SHARED {
            if self.threads.len() <= self.ring {
                self.threads.resize(self.ring + 1, None);
            }
            self.threads[self.ring] = (thread != 0).then_some(thread);
            self.tell_thread();
        }
    }

    #[inline]
    pub(crate) fn show(&mut self, record: &Record<'_>, callsites: &CallsiteRegistry) {
        if !self.sinks.is_empty() {
            self.have_gathered = true;
            self.each(|sink| sink.record(record, callsites));
        }
    }

    /// Shows what is for sinks alone.
    pub(crate) fn show_own(&mut self, bytes: &[u8], callsites: &CallsiteRegistry) {
        self.have_gathered |= !self.sinks.is_empty();
        if let Ok(slice) = Slice::parse(bytes) {
            self.each(|sink| sink.slice(&slice, callsites));
        } else if let Ok(name) = ThreadName::parse(bytes) {
            if name.thread != 0 {
                self.each(|sink| sink.thread(&name));
            }
            self.note_thread(name.thread);
        }
    }

    pub(crate) fn hand_over(&mut self) {
        if std::mem::take(&mut self.have_gathered) {
            self.are_dirty = true;
            self.each(|sink| sink.hand_over());
        }
    }

    pub(crate) fn flush(&mut self) {
        let have_gathered = std::mem::take(&mut self.have_gathered);
        if std::mem::take(&mut self.are_dirty) || have_gathered {
            self.each(|sink| sink.flush());
        }
    }

    /// Calls every sink. One that panics may be in any state, so it is not called again.
    fn each(&mut self, mut call: impl FnMut(&mut dyn RecordSink)) {
        let notices = &self.notices;
        self.sinks.retain_mut(|sink| {
            let called = catch_unwind(AssertUnwindSafe(|| call(&mut **sink)));
            if let Err(panic) = &called {
                let message = message(&**panic);
                notices.send(&Notice::SinkPanicked { message });
            }
            called.is_ok()
        });
    }
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("it did not say why").to_owned()
}
