//! Trace files that [Perfetto] and `chrome://tracing` open, written while the process runs.
//!
//! [`TraceFile`] is a sink of a pipeline: it sees spans, log records and slices as they come out of the rings, draws them
//! on the collector's thread into memory, and a thread of its own writes that to a file several times a second. What
//! has been written stays whole whatever becomes of the process: there is no end that a file needs.
//!
//! - A span that was on one thread for all of its life, but for a hundredth of it or 5 µs, is a slice of that thread, with
//!   its fields.
//! - A span that was not, such as a future that a runtime polls, is a slice wherever a thread was in it, which are shown
//!   to follow each other, and a track of its own for its life, with its fields.
//! - A span is called what it is called in the source, slices and life alike; another name that it was given is an argument.
//! - A span that another thread was in than that which opened it is shown to follow from there.
//! - Log records are instants on the thread they were logged on, or the one they were
//!   [recorded for](ringlight_collector::Recorder::record_for). Of a thread that shares a ring it is not known which one that
//!   was: there, it is the one that was in their span, if it leaves it within a second, or else the process.
//! - What a [`CounterSource`] reads is a track for each counter.
//!
//! Nothing waits for the disk. 4 MiB of events wait to be written at most; what finds no room there, or none on the
//! disk, is counted, and a [`TraceFileNotice`] tells of it: at once, every minute while it goes on, and when it is over. Names of
//! threads that were among it are written again.
//!
//! It must not know where records come from.
//!
//! [Perfetto]: https://ui.perfetto.dev
#![forbid(unsafe_code)]

mod config;
mod drawing;
mod files;
mod format;
mod meaning;
mod writing;

use std::sync::Arc;
use std::time::Duration;

use ringlight_collector::RecordSink;
use ringlight_collector::record::{Record, Slice, ThreadName};
use ringlight_model::CallsiteRegistry;

pub use config::{CounterSource, TraceFileConfig, TraceFileError, TraceFileNotice};
use drawing::Drawing;
pub use format::{TraceFileFormat, UnknownFormat};
use writing::Shared;

/// Drawn bytes for which the thread that writes is roused before its time.
const ROUSE_BYTES: usize = 256 * 1024;
/// How long the end waits for the disk.
const END_PATIENCE: Duration = Duration::from_secs(1);

/// Draws what comes out of the rings into files of a directory.
///
/// Dropping it writes what is left, for up to a second.
#[derive(Debug)]
pub struct TraceFile {
    shared: Arc<Shared>,
    /// During a pass over the rings that has shown it something: it takes a lock once a pass, and not once a record.
    drawing: Option<Box<Drawing>>,
    /// Who recorded what it is shown, if that is known.
    thread: Option<u64>,
}

impl TraceFile {
    /// Begins a file, and the thread that writes it.
    ///
    /// # Errors
    /// The directory or the file cannot be made; the system has no thread to give.
    pub fn start(
        config: TraceFileConfig,
        callsites: Arc<CallsiteRegistry>,
    ) -> Result<Self, TraceFileError> {
        let shared = writing::start(config, callsites)?;
        Ok(Self {
            shared,
            drawing: None,
            thread: None,
        })
    }

    fn draw(&mut self, draw: impl FnOnce(&mut Drawing)) {
        if self.drawing.is_none() {
            self.drawing = self.shared.borrow_drawing();
        }
        if let Some(drawing) = &mut self.drawing {
            draw(drawing);
        }
    }
}

impl RecordSink for TraceFile {
    fn record(&mut self, record: &Record<'_>, callsites: &CallsiteRegistry) {
        let thread = self.thread;
        self.draw(|drawing| drawing.record(record, thread, callsites));
    }

    fn slice(&mut self, slice: &Slice, callsites: &CallsiteRegistry) {
        self.draw(|drawing| drawing.slice(slice, callsites));
    }

    fn recorded_by(&mut self, thread: Option<u64>) {
        self.thread = thread;
    }

    fn thread(&mut self, thread: &ThreadName<'_>) {
        self.draw(|drawing| drawing.thread(thread));
    }

    fn flush(&mut self) {
        if let Some(drawing) = self.drawing.take() {
            self.shared.give_back(drawing, ROUSE_BYTES);
        }
    }
}

impl Drop for TraceFile {
    fn drop(&mut self) {
        self.flush();
        self.shared.end(END_PATIENCE);
    }
}
