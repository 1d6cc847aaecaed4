//! What is known of a span that is open: when threads were in it, and what was logged in it.

use ringlight_collector::record::Slice;

use crate::format::Time;

/// The slices of a span that are kept back: the first two, or one of them, or the last one where some have been drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    pub(super) first: Slice,
    pub(super) second: Option<Slice>,
}

/// A span that is open.
#[derive(Default)]
pub(super) struct Live {
    pub(super) kept: Option<Kept>,
    /// The last of the slices that have been drawn, as some of several.
    pub(super) before: Option<Slice>,
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

    /// Adds a second one. One thread's may come before the other's, though it was later.
    #[inline]
    pub(super) fn add(&mut self, slice: &Slice) {
        self.second = Some(*slice);
        if slice.start_unix_nano < self.first.start_unix_nano {
            self.second = Some(std::mem::replace(&mut self.first, *slice));
        }
    }

    pub(super) fn last(&self) -> Slice {
        self.second.unwrap_or(self.first)
    }

    /// The span closes: they, but for the last one if that is next to nothing and comes at once after the one before it,
    /// as where a future is dropped that has ended.
    #[inline]
    pub(super) fn without_drop(self, before: Option<Slice>) -> Option<Self> {
        match self.second {
            Some(second) if is_drop(&second, &self.first) => Some(Self::new(self.first)),
            Some(_) => Some(self),
            None => (!before.is_some_and(|before| is_drop(&self.first, &before))).then_some(self),
        }
    }
}

/// What opening and closing a span may take, and dropping a future.
const MOMENT_NANOS: u64 = 5_000;

fn is_drop(slice: &Slice, before: &Slice) -> bool {
    /// What dropping a future that has ended takes at most.
    const NOTHING_NANOS: u64 = 2_000;
    let since = (slice.start_unix_nano).saturating_sub(before.end_unix_nano);
    slice.thread == before.thread
        && since <= MOMENT_NANOS
        && time_of(slice).length() <= NOTHING_NANOS
}

impl Live {
    /// One of which nothing else is known.
    #[inline]
    pub(super) fn of(kept: Kept) -> Self {
        Self {
            opened: Opened::of(&kept.first),
            kept: Some(kept),
            ..Self::default()
        }
    }

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
pub(super) fn covers(slice: Time, life: Time) -> bool {
    let rest = life.length().saturating_sub(slice.length());
    rest <= MOMENT_NANOS.max(life.length() / 100)
}
