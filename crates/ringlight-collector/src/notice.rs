//! What the pipeline has to say to a person.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use ringlight_model::DropReason;

use crate::text::Readable;

/// Something that a person may want to know.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// The destination stopped answering. Said once until it answers again.
    Unreachable {
        /// The destination's name.
        destination: String,
        /// What went wrong.
        reason: String,
    },
    /// The destination answers again.
    Recovered {
        /// The destination's name.
        destination: String,
        /// How long it did not answer.
        outage: Duration,
    },
    /// The destination refused records for good. Said at once, then every minute while it goes on, and at the end.
    Rejected {
        /// The destination's name.
        destination: String,
        /// How many records so far, all signals together.
        records: u64,
        /// What it said last.
        reason: String,
    },
    /// The spool cannot be used: what cannot be sent is kept in memory, as far as there is room. Said once
    /// until it can be used again.
    SpoolFailed {
        /// The destination's name.
        destination: String,
        /// What went wrong.
        reason: String,
    },
    /// The spool can be used again.
    SpoolRestored {
        /// The destination's name.
        destination: String,
    },
    /// An earlier process left records on disk, which are sent now. Said once, at the start.
    TakenOver {
        /// The destination's name.
        destination: String,
        /// How many records, all signals together.
        records: u64,
    },
    /// The end came while records waited on disk. Said at the end.
    LeftOnDisk {
        /// The destination's name.
        destination: String,
        /// How many records, all signals together.
        records: u64,
    },
    /// Something about the spool's files that a person should look at: what is there and not read, what was
    /// damaged. Said once of each.
    SpoolFile {
        /// The destination's name.
        destination: String,
        /// Which file, and what about it.
        reason: String,
    },
    /// Records were dropped inside the process. Said of each reason at once, then every minute while it
    /// goes on, once it is over, and at the end.
    Dropped {
        /// The destination's name, where several are sent to and it is a matter of this one.
        destination: Option<String>,
        /// Why.
        reason: DropReason,
        /// How many records so far, all signals together.
        records: u64,
    },
    /// Audit records did not arrive. Said at once, then every minute while it goes on, and at the end.
    AuditLost {
        /// How many so far, at the destination that lost most.
        records: u64,
    },
    /// What shows records locally, such as the writer of log lines, panicked and is shown nothing any
    /// more; the records count as they would have. Said once for each.
    SinkPanicked {
        /// What the panic said.
        message: String,
    },
    /// Slices, when threads were in spans, found no room in the rings. Said as of records.
    SlicesDropped {
        /// How many so far.
        slices: u64,
    },
    /// Spans ended before they began, by the times they were recorded with, and go on without a duration. Said as of records
    /// that are dropped.
    NegativeDurations {
        /// How many so far.
        spans: u64,
    },
    /// Trace files have something to say: that they cannot be written, or what is missing in them.
    TraceFile {
        /// What.
        message: String,
    },
    /// Lines of what is written locally, of log records or of notices, are lost: the output cannot be written to, or did not take
    /// them in time. Said once until it can be, and once more then, with how many it were.
    LogLines {
        /// Which, and what about them.
        message: String,
    },
    /// The file that log lines are written to has something to say: that it cannot be written, or gives no way to a new
    /// one.
    LogFile {
        /// What.
        message: String,
    },
    /// Something about what is recorded that a person should look at, such as a span that was left before those within it,
    /// or a budget that does not hold. Said once of each.
    Recording {
        /// What it is, and what to do.
        message: String,
    },
    /// A log record came after the shutdown and is lost, as all later ones are. Said once, on the
    /// thread that recorded it.
    RecordedLate,
    /// There are more threads that record than rings: further ones share one, behind a lock. Said once.
    RingsInUse,
    /// The destination took everything but had something to say. Said once for each destination.
    Warning {
        /// The destination's name.
        destination: String,
        /// What it said.
        message: String,
    },
    /// Something about a metric that a person should look at. Said once of each.
    Metric {
        /// The metric's name.
        metric: String,
        /// What it is.
        message: String,
    },
    /// What became of a setting that is ignored, or of a change of the file of settings.
    Settings {
        /// What it is.
        message: String,
    },
    /// Something about the way to the destination is not as it was configured, such as its protocol or
    /// a certificate. Said once for each change.
    Transport {
        /// The destination's name.
        destination: String,
        /// What is different, and what is done about it.
        message: String,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable {
                destination,
                reason,
            } => write!(
                f,
                "cannot send telemetry to {destination}: {reason}; trying again in the background"
            ),
            Self::Recovered {
                destination,
                outage,
            } => write!(
                f,
                "sending telemetry to {destination} again after {}",
                Readable(about(*outage))
            ),
            Self::SpoolFailed {
                destination,
                reason,
            } => write!(
                f,
                "cannot keep on disk what waits for {destination}: {reason}; it is kept in memory, as far as \
                 there is room"
            ),
            Self::AuditLost { records } => write!(
                f,
                "{records} audit records are lost; hint: a directory to keep what cannot be sent in, with room for all \
                 that comes meanwhile, survives an outage, see docs/logs.md"
            ),
            Self::SpoolRestored { destination } => {
                write!(f, "keeping on disk what waits for {destination} again")
            }
            Self::TakenOver {
                destination,
                records,
            } => write!(
                f,
                "found {} on disk for {destination} from an earlier run, sending them now",
                counted(*records)
            ),
            Self::SpoolFile {
                destination,
                reason,
            } => write!(f, "in the spool of {destination}: {reason}"),
            Self::Rejected {
                destination,
                records,
                reason,
            } => write!(
                f,
                "{destination} refused {} so far: {reason}",
                counted(*records)
            ),
            Self::Dropped {
                destination,
                reason,
                records,
            } => {
                let (records, cause) = (counted(*records), cause(*reason));
                match destination {
                    Some(name) => write!(f, "dropped {records} for {name} so far: {cause}"),
                    None => write!(f, "dropped {records} so far: {cause}"),
                }
            }
            Self::LeftOnDisk {
                destination,
                records,
            } => write!(
                f,
                "{} for {destination} left on disk: the next run with the same spool sends them",
                counted(*records)
            ),
            Self::SinkPanicked { message } => write!(
                f,
                "a local output, such as the log lines, panicked and is not written to any more: {message}"
            ),
            Self::SlicesDropped { slices } => write!(
                f,
                "{slices} slices are missing in trace files so far, since rings were full; spans and log records are not \
                 among them; hint: raise `ring_bits`"
            ),
            Self::NegativeDurations { spans } => write!(
                f,
                "spans that end before they begin, {spans} so far: they are sent with a duration of zero; hint: look for \
                 times that are given by hand, by a clock that may be set back"
            ),
            Self::TraceFile { message }
            | Self::LogFile { message }
            | Self::LogLines { message }
            | Self::Recording { message } => f.write_str(message),
            Self::RecordedLate => f.write_str(
                "a log record came after telemetry was shut down: it and what follows is lost; \
                 hint: keep what `init` returns until the end of `main`, `let _telemetry = ...`, and \
                 not `let _ = ...`, which drops it at once",
            ),
            Self::RingsInUse => f.write_str(
                "all rings are in use: further threads that record share one, which is slower; hint: raise \
                 `producers_max`, or let fewer threads record",
            ),
            Self::Warning {
                destination,
                message,
            } => write!(f, "{destination} says: {message}"),
            Self::Metric { metric, message } => write!(f, "metric `{metric}` {message}"),
            Self::Settings { message } => f.write_str(message),
            Self::Transport {
                destination,
                message,
            } => write!(f, "{destination}: {message}"),
        }
    }
}

/// Tenths of seconds, or whole milliseconds below a second.
fn about(outage: Duration) -> Duration {
    let ms = outage.as_millis().clamp(1, u128::from(u64::MAX)) as u64;
    Duration::from_millis(if ms < 1_000 { ms } else { ms / 100 * 100 })
}

fn counted(records: u64) -> String {
    format!("{records} record{}", if records == 1 { "" } else { "s" })
}

const fn cause(reason: DropReason) -> &'static str {
    match reason {
        DropReason::RingFull => "the rings were full, recording was faster than taking out",
        DropReason::TooLarge => "larger than a ring takes",
        DropReason::QueueFull => {
            "the destination takes too little or nothing, and its queue is full"
        }
        DropReason::RetriesExhausted => "the destination took nothing for too long",
        DropReason::Closed => "recorded after the end",
        DropReason::Shutdown => "the end came before they could be delivered",
        DropReason::TooManyOpen => "too many spans were open at a time",
        DropReason::TailSampled => "their traces were not to be sent",
        DropReason::Filtered => "a rule was to leave them out",
        DropReason::SpoolFull => {
            "the spool is full, the oldest made room for later ones, or audit records have it all"
        }
        DropReason::SpoolExpired => "they waited in the spool for too long",
        DropReason::SpoolDamaged => "they were damaged on disk",
        _ => "not decodable, which is a defect of ringlight",
    }
}

/// Where notices go. Silent unless set.
///
/// The function is called seldom, nearly always on the collector's thread; it must not block.
#[derive(Clone, Default)]
pub struct Notices(Option<Arc<Hook>>);

type Hook = dyn Fn(&Notice) + Send + Sync;

impl Notices {
    /// Notices go to this function.
    pub fn new(hook: impl Fn(&Notice) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hook)))
    }

    /// Says something, if anybody listens. A function that panics is as good as one that has spoken.
    pub fn send(&self, notice: &Notice) {
        if let Some(hook) = &self.0 {
            let _ = catch_unwind(AssertUnwindSafe(|| hook(notice)));
        }
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "Notices(set)"
        } else {
            "Notices(silent)"
        })
    }
}
