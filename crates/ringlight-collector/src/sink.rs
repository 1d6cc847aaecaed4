//! Local consumers of records, such as the formatter of log lines, and what decides whether a log
//! record goes any further.

use ringlight_model::CallsiteRegistry;

use crate::record::{LogRecord, Record, Slice, ThreadName};

/// Sees every record as it comes out of the rings, on the collector's thread.
///
/// A sink may write to a terminal or a file; while it waits, nothing is drained and nothing is sent to
/// any destination, so it should gather what it is shown and write it on a thread of its own, to which it may be
/// [`Lent`](crate::Lent). One that panics is called no
/// more, of which a [`Notice`](crate::Notice) tells.
pub trait RecordSink: Send {
    /// One record. Nothing of it may be kept.
    fn record(&mut self, record: &Record<'_>, callsites: &CallsiteRegistry);

    /// When a thread was in a span: before the span itself where that closes on the same thread later, as it mostly
    /// does. Only where somebody [asked](crate::Recorder::record_slice) for slices.
    fn slice(&mut self, slice: &Slice, callsites: &CallsiteRegistry) {
        let _ = (slice, callsites);
    }

    /// Which thread recorded what it is shown from now on, or [for which one](crate::Recorder::record_for) another did, by
    /// the number that [slices](Slice::thread) have; `None` where that is not known, as of threads that share a ring, and of
    /// producers of spans. Only where somebody [asked](crate::Recorder::tell_threads) for it.
    fn recorded_by(&mut self, thread: Option<u64>) {
        let _ = thread;
    }

    /// What a thread is called, before its first slice; it may be told again.
    fn thread(&mut self, thread: &ThreadName<'_>) {
        let _ = thread;
    }

    /// Called after every pass over the rings that showed it something: what it has gathered may go on its way. It should
    /// not wait for that; by default it [flushes](Self::flush).
    fn hand_over(&mut self) {
        self.flush();
    }

    /// Called before a flush of the pipeline is answered, and before the pipeline ends: whatever it was shown should have
    /// reached its end, as far as that can be had in a moment.
    fn flush(&mut self);
}

/// Chooses which log records are exported, on the collector's thread, once a record.
///
/// Sinks are shown the others, too. It may change its mind at any time: what has not been encoded
/// yet goes by what it says then.
pub trait LogFilter: Send {
    /// Whether a record is exported. It must not panic: the pipeline would end.
    fn wants(&mut self, log: &LogRecord<'_>, callsites: &CallsiteRegistry) -> bool;
}

/// Chooses the records of one destination, on the collector's thread.
///
/// It must not block: everything waits for it. A filter that panics ends the pipeline.
pub trait RecordFilter: Send {
    /// Whether a record goes there.
    fn wants(&mut self, record: &Record<'_>, callsites: &CallsiteRegistry) -> bool;
}

impl<F> RecordFilter for F
where
    F: FnMut(&Record<'_>, &CallsiteRegistry) -> bool + Send,
{
    fn wants(&mut self, record: &Record<'_>, callsites: &CallsiteRegistry) -> bool {
        self(record, callsites)
    }
}
