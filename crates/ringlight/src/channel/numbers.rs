//! Numbers to which each thread adds on a sheet of its own, and whose sums are read: adding takes no locked instruction.

use std::cell::Cell;
use std::marker::PhantomData;

use crate::sync::{AtomicU64, IS_MODEL, Mutex, Ordering, unpoisoned};
use crate::uncounted::uncounted;

/// Numbers on a sheet.
pub(super) const NUMBERS_COUNT: usize = 2 * super::counts::GROUPS_COUNT;

/// Threads with a sheet of their own at one time; the others share one. With 4 KiB each, one MiB at most.
const SHEETS_MAX: usize = if IS_MODEL { 1 } else { 256 };

/// Threads that have a number of their own in a [`Spread`].
const SPREAD_COUNT: usize = 32;

/// Set in a [`Number`] that no sheet has.
const APART: u16 = 1 << 15;
const _: () = assert!(NUMBERS_COUNT <= APART as usize);

/// What a thread's place is before it is looked for.
const UNKNOWN: usize = usize::MAX;

/// The place of a thread without a sheet.
const NONE: usize = usize::MAX - 1;

thread_local! {
    /// The sheet of this thread; empty as long as it has none.
    static SHEET: Cell<&'static [AtomicU64]> = const { Cell::new(&[]) };
    /// Which of the sheets that is: below [`SHEETS_MAX`], or none.
    static PLACE: Cell<usize> = const { Cell::new(UNKNOWN) };
    /// Gives the sheet back when the thread ends.
    static LEASE: Lease = Lease::take();
}

/// What one thread has counted, on cache lines of its own. Written by that thread alone, without a locked instruction, and
/// read by whoever reads metrics; a value may be some messages old. All of it `Relaxed`: numbers that nothing else
/// depends on.
#[derive(Debug)]
#[repr(align(128))]
#[cfg_attr(all(test, ringlight_loom), derive(Default))]
pub(super) struct Sheet(pub(super) [AtomicU64; NUMBERS_COUNT]);

impl Sheet {
    #[cfg(not(all(test, ringlight_loom)))]
    const fn new() -> Self {
        Self([const { AtomicU64::new(0) }; NUMBERS_COUNT])
    }

    #[cfg(all(test, ringlight_loom))]
    fn new() -> Self {
        Self::default()
    }
}

/// All sheets there are.
#[derive(Debug)]
#[cfg_attr(all(test, ringlight_loom), derive(Default))]
pub(super) struct Sheets {
    /// With whether a thread has them. They are never freed, and go from thread to thread with what is on them; the lock
    /// hands that over.
    owned: Mutex<Vec<(&'static Sheet, bool)>>,
    /// Of all threads without a sheet, which add by locked instructions.
    shared: Sheet,
}

#[cfg(not(all(test, ringlight_loom)))]
static SHEETS: Sheets = Sheets::new();
#[cfg(all(test, ringlight_loom))]
static SHEETS: std::sync::LazyLock<Sheets> = std::sync::LazyLock::new(Sheets::default);

impl Sheets {
    #[cfg(not(all(test, ringlight_loom)))]
    const fn new() -> Self {
        Self {
            owned: Mutex::new(Vec::new()),
            shared: Sheet::new(),
        }
    }

    /// A sheet for the calling thread alone, and its place, unless other threads have all there may be.
    pub(super) fn take(&self) -> Option<(&'static Sheet, usize)> {
        let mut sheets = unpoisoned(self.owned.lock());
        let free = sheets.iter().position(|(_, is_taken)| !is_taken);
        let place = free.unwrap_or(sheets.len());
        if place == SHEETS_MAX {
            return None;
        }
        if place == sheets.len() {
            sheets.push((Box::leak(Box::new(Sheet::new())), false));
        }
        let (sheet, is_taken) = &mut sheets[place];
        *is_taken = true;
        Some((*sheet, place))
    }

    /// The thread that has the sheet at this place writes on it no more.
    pub(super) fn give_back(&self, place: usize) {
        if let Some((_, is_taken)) = unpoisoned(self.owned.lock()).get_mut(place) {
            *is_taken = false;
        }
    }

    /// Adds to a number for a thread without a sheet.
    pub(super) fn add_shared(&self, index: usize, count: u64) {
        self.shared.0[index].fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn sum(&self, index: usize) -> u64 {
        let sheets = unpoisoned(self.owned.lock());
        let sheets = sheets.iter().map(|(sheet, _)| *sheet);
        sheets
            .chain([&self.shared])
            .map(|sheet| sheet.0[index].load(Ordering::Relaxed))
            .sum()
    }
}

/// A thread's hold on the sheet at this place.
struct Lease(usize);

impl Lease {
    fn take() -> Self {
        let Some((sheet, place)) = SHEETS.take() else {
            return Self(NONE);
        };
        SHEET.set(&sheet.0);
        Self(place)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        SHEET.set(&[]);
        PLACE.set(NONE);
        SHEETS.give_back(self.0);
    }
}

/// Looks for a sheet if this thread has not done so yet.
#[cold]
fn settle() {
    if PLACE.get() == UNKNOWN {
        let place = uncounted(|| LEASE.try_with(|lease| lease.0));
        PLACE.set(place.unwrap_or(NONE));
    }
}

/// A number that is spread over all sheets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number(u16);

impl Number {
    /// What it is as a part of something that must be small.
    pub(super) const BITS: u32 = u16::BITS;

    #[inline]
    pub(super) const fn to_bits(self) -> u64 {
        self.0 as u64
    }

    #[inline]
    pub(super) const fn from_bits(bits: u64) -> Self {
        Self(bits as u16)
    }

    /// `index` is below [`NUMBERS_COUNT`].
    pub(super) const fn new(index: usize) -> Self {
        debug_assert!(index < NUMBERS_COUNT);
        Self(index as u16)
    }

    /// The same number, which is never [`here`](Self::here): for channels of which there is more to do than to count.
    pub(super) const fn apart(self) -> Self {
        Self(self.0 | APART)
    }

    pub(super) const fn is_apart(self) -> bool {
        self.0 & APART != 0
    }

    /// Where it is on a sheet.
    pub(super) const fn index(self) -> usize {
        (self.0 & !APART) as usize
    }

    /// This thread's part. `None` if it has no sheet, perhaps not yet, and where the number stands apart: then
    /// [`add`](Self::add) counts.
    #[inline]
    pub(super) fn here(self) -> Option<Here> {
        let part = SHEET.get().get(self.0 as usize)?;
        Some(Here(part, PhantomData))
    }

    #[inline]
    pub(super) fn add(self, count: u64) {
        match self.here() {
            Some(here) => here.add(count),
            None => self.add_elsewhere(count),
        }
    }

    #[cold]
    fn add_elsewhere(self, count: u64) {
        settle();
        let index = self.index();
        match SHEET.get().get(index) {
            Some(part) => add_alone(part, count),
            None => SHEETS.add_shared(index, count),
        }
    }

    pub(super) fn sum(self) -> u64 {
        SHEETS.sum(self.index())
    }
}

/// A number on the sheet of this thread, where it stays.
pub(super) struct Here(&'static AtomicU64, PhantomData<*const ()>);

impl Here {
    #[inline]
    pub(super) fn add(self, count: u64) {
        add_alone(self.0, count);
    }
}

/// A number of its own, for what is counted by channel.
#[derive(Debug, Default)]
pub(super) struct Spread {
    /// By place of the thread; as on a sheet, each is written by one thread.
    parts: [AtomicU64; SPREAD_COUNT],
    /// Of the other threads, which add by locked instructions.
    shared: AtomicU64,
}

impl Spread {
    #[inline]
    pub(super) fn add(&self, count: u64) {
        match self.parts.get(PLACE.get()) {
            Some(part) => add_alone(part, count),
            None => self.add_elsewhere(count),
        }
    }

    #[cold]
    fn add_elsewhere(&self, count: u64) {
        settle();
        match self.parts.get(PLACE.get()) {
            Some(part) => add_alone(part, count),
            None => {
                self.shared.fetch_add(count, Ordering::Relaxed);
            }
        }
    }

    pub(super) fn sum(&self) -> u64 {
        let parts = self.parts.iter().chain([&self.shared]);
        parts.map(|part| part.load(Ordering::Relaxed)).sum()
    }
}

/// Adds to a number that nobody else writes meanwhile.
#[inline]
pub(super) fn add_alone(number: &AtomicU64, count: u64) {
    let before = number.load(Ordering::Relaxed);
    number.store(before.wrapping_add(count), Ordering::Relaxed);
}

#[cfg(all(test, not(ringlight_loom)))]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    static HAD_SHEET: AtomicBool = AtomicBool::new(true);

    /// Ends later than the lease, for its thread has it longer.
    struct Late;

    impl Drop for Late {
        fn drop(&mut self) {
            HAD_SHEET.store(!SHEET.get().is_empty(), Ordering::Relaxed);
        }
    }

    thread_local! {
        static LATE: Late = const { Late };
    }

    /// Another thread may have the sheet by then.
    #[test]
    fn a_thread_that_ends_counts_on_its_sheet_no_more() {
        let counting = std::thread::spawn(|| {
            LATE.with(|_| {});
            Number::new(NUMBERS_COUNT - 1).add(0);
            SHEET.get().len()
        });
        assert_eq!(counting.join().ok(), Some(NUMBERS_COUNT));
        assert!(!HAD_SHEET.load(Ordering::Relaxed));
    }
}
