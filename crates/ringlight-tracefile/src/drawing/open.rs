//! What is known of a span that is open: when threads were in it, and what was logged in it.

use ringlight_collector::record::Slice;

use crate::format::Time;

/// The slices of a span that are kept back.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    pub(super) first: Slice,
    pub(super) second: Option<Slice>,
}

/// A span that is open.
#[derive(Default)]
pub(super) struct Live {
    pub(super) kept: Option<Kept>,
    /// Whether slices have been drawn, as some of several.
    pub(super) is_drawn: bool,
    /// Who opened it, if that was another thread than the one that was in it first, and that one and since when.
    pub(super) opened: Option<Opened>,
    /// What was logged in it and waits for the slice it belongs to.
    pub(super) logs: Vec<Log>,
    /// The look before which it came up last.
    pub(super) seen: u64,
}

/// Which thread opened a span, and which was in it first, since when, Unix nanoseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opened {
    pub(super) by: u64,
    pub(super) first: (u64, u64),
}

/// A log record, drawn but for the thread.
pub(super) struct Log {
    pub(super) time: u64,
    pub(super) record: Vec<u8>,
}

impl Opened {
    #[inline]
    pub(super) fn of(slice: &Slice) -> Option<Self> {
        (slice.opened_by != 0).then_some(Self {
            by: slice.opened_by,
            first: (slice.thread, slice.start_unix_nano),
        })
    }
}

impl Kept {
    pub(super) const fn new(first: Slice) -> Self {
        Self {
            first,
            second: None,
        }
    }

    /// The span closes: its slice, if it is shown as one. What comes after that is next to nothing, as where a future is
    /// dropped that was polled once.
    #[inline]
    pub(super) fn whole(&self, life: Time) -> Option<&Slice> {
        /// What dropping a future that has ended takes at most.
        const NOTHING_NANOS: u64 = 2_000;
        let is_nothing = |second: Slice| {
            second.thread == self.first.thread && time_of(&second).length() <= NOTHING_NANOS
        };
        let is_whole = covers(time_of(&self.first), life) && self.second.is_none_or(is_nothing);
        is_whole.then_some(&self.first)
    }
}

impl Live {
    /// Those of the log records that are of this slice.
    #[inline]
    pub(super) fn logs_in(&mut self, slice: &Slice) -> Vec<Log> {
        let time = slice.start_unix_nano..=slice.end_unix_nano;
        (self.logs.extract_if(.., |log| time.contains(&log.time))).collect()
    }
}

#[inline]
pub(super) const fn time_of(slice: &Slice) -> Time {
    Time {
        start: slice.start_unix_nano,
        end: slice.end_unix_nano,
    }
}

impl Time {
    const fn length(self) -> u64 {
        self.end.saturating_sub(self.start)
    }
}

/// Whether a slice is all of a span's life, but for a moment before and after, or a hundredth of it.
fn covers(slice: Time, life: Time) -> bool {
    /// What opening and closing a span may take, and dropping a future.
    const MOMENT_NANOS: u64 = 5_000;
    let rest = life.length().saturating_sub(slice.length());
    rest <= MOMENT_NANOS.max(life.length() / 100)
}
