//! The spans a thread is in, innermost last.

use std::cell::{Cell, RefCell};
use std::mem::ManuallyDrop;

#[cfg(feature = "profiling-alloc")]
use ringlight_context::{Counts, switch};
#[cfg(feature = "profiling")]
use ringlight_context::{are_spans_watched, publish_span};

use crate::uncounted::uncounted;

use super::slab::{Slab, SlotId};

/// Nested spans kept in place; deeper ones go to the heap.
const NEAR: usize = 32;
/// Nested spans after which entries of spans that have closed are looked for, and again after so many
/// more were entered. They are there only if a guard was leaked.
const DEPTH_CHECKED: usize = 1024;
/// Nested spans a thread keeps track of; deeper ones are recorded but do not become parents. It keeps the
/// room for as many as it ever had, at most 256 KiB, until it ends.
const DEPTH_MAX: usize = 16 * DEPTH_CHECKED;
/// Set in the depth while spans are marked. No place is that far in, so that whoever reads the depth
/// takes the slow path, which looks after the marks; the fast one pays nothing for them.
const MARKS: usize = 1 << (usize::BITS - 1);

/// How a span was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// It was the innermost one of its subscriber.
    InOrder(Owner),
    /// Spans of the same subscriber, entered after it, have not been left yet.
    OutOfOrder(Owner),
    /// It is not known whether it was entered on this thread: not all that were are kept.
    NotKept,
    /// It was not entered on this thread.
    NotEntered,
}

/// An entered span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    owner: Owner,
    id: SlotId,
    /// What the clock read when it was entered; zero where nobody asks.
    #[cfg(feature = "profiling")]
    since: u64,
    /// What was allocated in it here while it was the innermost one, up to when that changed last.
    #[cfg(feature = "profiling-alloc")]
    counts: Counts,
}

impl Entry {
    const fn new(owner: Owner, id: SlotId) -> Self {
        Self {
            owner,
            id,
            #[cfg(feature = "profiling")]
            since: 0,
            #[cfg(feature = "profiling-alloc")]
            counts: Counts::ZERO,
        }
    }
}

/// Whose span it is, since several subscribers may live in one process, as tests have it; and, in
/// the lowest bits, whether the thread was already unwinding when it was entered: what is entered
/// then, by a destructor, does not fail because of that panic; and whether the thread panicked while
/// it was entered, so that what that panic said may be about this span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner(u64);

impl Owner {
    /// The lowest: a truth value as a number.
    const UNWINDING: u64 = 1;
    const MARKED: u64 = 2;
    const BITS: u32 = 2;

    #[inline]
    const fn new(subscriber: u64, unwinding: bool) -> Self {
        Self(subscriber << Self::BITS | unwinding as u64)
    }

    #[inline]
    const fn is(self, subscriber: u64) -> bool {
        self.0 >> Self::BITS == subscriber
    }

    const fn marked(self) -> Self {
        Self(self.0 | Self::MARKED)
    }

    const fn unmarked(self) -> Self {
        Self(self.0 & !Self::MARKED)
    }

    #[inline]
    pub(super) const fn was_unwinding(self) -> bool {
        self.0 & Self::UNWINDING != 0
    }

    pub(super) const fn is_marked(self) -> bool {
        self.0 & Self::MARKED != 0
    }
}

/// The entered spans of one thread, by their ids alone: what else is known of a span is asked of its
/// slot when it is needed, which for most spans is never.
///
/// The first [`NEAR`] entries lie in cells of single words: entering a span is a few plain stores.
pub(super) struct Stack {
    /// How many there are, and [`MARKS`].
    depth: Cell<usize>,
    near: [Place; NEAR],
    /// Entries from [`NEAR`] on; see [`give_up_far`](Self::give_up_far).
    far: ManuallyDrop<RefCell<Vec<Entry>>>,
    /// Spans that were entered and are not kept, since they were nested too deeply, or the thread ends.
    not_kept: Cell<usize>,
    /// Spans to be entered, at a depth of [`DEPTH_CHECKED`] or more, before those that have closed are looked
    /// for.
    until_check: Cell<usize>,
    /// What was allocated in the span that was left last, until that is taken.
    #[cfg(feature = "profiling-alloc")]
    left: Cell<Counts>,
}

/// An entered span at hand.
struct Place {
    owner: Cell<u64>,
    id: Cell<u64>,
    #[cfg(feature = "profiling")]
    since: Cell<u64>,
    #[cfg(feature = "profiling-alloc")]
    counts: Cell<Counts>,
}

impl Place {
    const fn new() -> Self {
        Self {
            owner: Cell::new(0),
            id: Cell::new(0),
            #[cfg(feature = "profiling")]
            since: Cell::new(0),
            #[cfg(feature = "profiling-alloc")]
            counts: Cell::new(Counts::ZERO),
        }
    }

    #[inline]
    fn set(&self, entry: Entry) {
        self.owner.set(entry.owner.0);
        self.id.set(entry.id.get());
        #[cfg(feature = "profiling")]
        self.since.set(entry.since);
        #[cfg(feature = "profiling-alloc")]
        self.counts.set(entry.counts);
    }

    #[inline]
    fn is(&self, subscriber: u64, id: SlotId) -> bool {
        self.id.get() == id.get() && Owner(self.owner.get()).is(subscriber)
    }

    fn entry(&self) -> Entry {
        Entry {
            owner: Owner(self.owner.get()),
            id: SlotId::from_u64(self.id.get()),
            #[cfg(feature = "profiling")]
            since: self.since.get(),
            #[cfg(feature = "profiling-alloc")]
            counts: self.counts.get(),
        }
    }
}

impl Stack {
    pub(super) const fn new() -> Self {
        Self {
            depth: Cell::new(0),
            near: [const { Place::new() }; NEAR],
            far: ManuallyDrop::new(RefCell::new(Vec::new())),
            not_kept: Cell::new(0),
            until_check: Cell::new(0),
            #[cfg(feature = "profiling-alloc")]
            left: Cell::new(Counts::ZERO),
        }
    }

    /// The innermost span of `subscriber`, if it is the innermost of all and at hand.
    #[inline]
    pub(super) fn near(&self, subscriber: u64) -> Option<SlotId> {
        let last = self.depth.get().checked_sub(1)?;
        let place = self.near.get(last)?;
        let is_ours = Owner(place.owner.get()).is(subscriber);
        is_ours.then(|| SlotId::from_u64(place.id.get()))
    }

    /// Whether the thread is in no span.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.depth.get() == 0
    }

    /// What `of` finds, for the innermost span of `subscriber` for which it finds something.
    pub(super) fn find<T>(&self, subscriber: u64, of: impl Fn(SlotId) -> Option<T>) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        self.near(subscriber)
            .and_then(&of)
            .or_else(|| self.search(subscriber, of))
    }

    /// Enters a span of `subscriber` if that is the matter of a moment; else use
    /// [`enter`](Self::enter). If the thread is unwinding, [`note_unwinding`](Self::note_unwinding)
    /// must follow.
    #[inline]
    #[must_use]
    pub(super) fn enter_near(&self, subscriber: u64, id: SlotId) -> bool {
        let depth = self.depth.get();
        let Some(place) = self.near.get(depth) else {
            return false;
        };
        #[cfg(feature = "profiling-alloc")]
        self.settle(true);
        place.set(Entry::new(Owner::new(subscriber, false), id));
        self.depth.set(depth + 1);
        #[cfg(feature = "profiling")]
        if !publish_span(subscriber, id.get()) && are_spans_watched() {
            super::thread::publish();
        }
        true
    }

    /// Remembers of the span entered last that the thread was unwinding already.
    #[cold]
    pub(super) fn note_unwinding(&self) {
        let last = (self.depth.get() & !MARKS).wrapping_sub(1);
        if let Some(place) = self.near.get(last) {
            place.owner.set(place.owner.get() | Owner::UNWINDING);
        }
    }

    /// Leaves a span of `subscriber` if it is the innermost of all and at hand; else use
    /// [`leave`](Self::leave).
    #[inline]
    #[must_use]
    pub(super) fn leave_near(&self, subscriber: u64, id: SlotId) -> Option<Owner> {
        let last = self.depth.get().wrapping_sub(1);
        let place = self.near.get(last).filter(|p| p.is(subscriber, id))?;
        #[cfg(feature = "profiling-alloc")]
        self.settle_left(last);
        self.depth.set(last);
        #[cfg(feature = "profiling")]
        self.publish_near(last);
        Some(Owner(place.owner.get()))
    }

    /// Publishes the innermost span of so many that lie near, where the thread publishes spans.
    #[cfg(feature = "profiling")]
    #[inline]
    fn publish_near(&self, depth: usize) {
        let around = self.near.get(depth.wrapping_sub(1));
        let (owner, id) = around.map_or((0, 0), |p| (p.owner.get(), p.id.get()));
        let _ = publish_span(owner >> Owner::BITS, id);
    }

    /// The same, wherever it lies.
    #[cfg(feature = "profiling")]
    pub(super) fn publish_last(&self) {
        let last = self.entry(self.depth().wrapping_sub(1));
        let (owner, id) = last.map_or((0, 0), |entry| (entry.owner.0, entry.id.get()));
        let _ = publish_span(owner >> Owner::BITS, id);
    }

    /// Frees what lies on the heap, which is not done when it is dropped. The spans entered last are
    /// not known any more then.
    pub(super) fn give_up_far(&self) {
        let depth = self.depth.get();
        #[cfg(feature = "profiling-alloc")]
        self.settle(!self.is_empty());
        self.depth.set((depth & !MARKS).min(NEAR) | depth & MARKS);
        self.note_not_kept(self.far.take().len());
    }

    /// Marks every span the thread is in, for as long as it unwinds. Whether there is any.
    pub(super) fn mark_all(&self) -> bool {
        let depth = self.depth.get() & !MARKS;
        for place in self.near.iter().take(depth) {
            place.owner.set(Owner(place.owner.get()).marked().0);
        }
        // Never borrowed across code that may panic; and if it were, a panic here would be worse.
        if let Ok(mut far) = self.far.try_borrow_mut() {
            for entry in far.iter_mut() {
                entry.owner = entry.owner.marked();
            }
        }
        if depth > 0 {
            self.depth.set(depth | MARKS);
        }
        depth > 0
    }

    /// Enters a span of `subscriber`, unless it is nested too deeply. The heap is used only if
    /// `may_keep`.
    #[cold]
    pub(super) fn enter(&self, subscriber: u64, id: SlotId, slab: &Slab, may_keep: bool) {
        self.unmark_all();
        #[cfg(feature = "profiling-alloc")]
        self.settle(true);
        self.check(|entry| {
            let is_open = || slab.slot(entry.id.host()).is_some();
            !entry.owner.is(subscriber) || is_open()
        });
        let depth_max = if may_keep { DEPTH_MAX } else { NEAR };
        if self.depth() < depth_max {
            let owner = Owner::new(subscriber, std::thread::panicking());
            self.push(Entry::new(owner, id));
        } else {
            self.note_not_kept(1);
        }
        #[cfg(feature = "profiling")]
        self.publish_last();
    }

    /// Removes entries that are not to be kept, where there are many, but not at every call where most are
    /// kept.
    fn check(&self, keep: impl Fn(Entry) -> bool) {
        if self.depth() < DEPTH_CHECKED {
            return;
        }
        if let Some(left) = self.until_check.get().checked_sub(1) {
            return self.until_check.set(left);
        }
        let before = self.depth();
        let mut kept = 0;
        for entry in (0..before).filter_map(|at| self.entry(at)) {
            if keep(entry) {
                self.replace(kept, entry);
                kept += 1;
            }
        }
        self.truncate(kept);
        let is_worth_it = before - kept >= DEPTH_CHECKED / 2;
        self.until_check
            .set(if is_worth_it { 0 } else { DEPTH_CHECKED });
    }

    #[cold]
    fn search<T>(&self, subscriber: u64, of: impl Fn(SlotId) -> Option<T>) -> Option<T> {
        self.unmark_all();
        let entries = (0..self.depth()).rev().filter_map(|at| self.entry(at));
        let mut ours = entries.filter(|entry| entry.owner.is(subscriber));
        ours.find_map(|entry| of(entry.id))
    }

    /// Leaves a span of `subscriber`.
    #[cold]
    pub(super) fn leave(&self, subscriber: u64, id: SlotId) -> Left {
        self.unmark_all();
        let depth = self.depth();
        // Two subscribers on one registry hear of a span one after the other, when it is
        // entered and when it is left.
        let mut in_order = true;
        for at in (0..depth).rev() {
            let Some(entry) = self.entry(at) else {
                continue;
            };
            if !entry.owner.is(subscriber) {
                continue;
            }
            if entry.id != id {
                in_order = false;
                continue;
            }
            #[cfg(feature = "profiling-alloc")]
            self.settle_left(at);
            for after in at + 1..depth {
                if let Some(entry) = self.entry(after) {
                    self.replace(after - 1, entry);
                }
            }
            self.truncate(depth - 1);
            #[cfg(feature = "profiling")]
            self.publish_last();
            return if in_order {
                Left::InOrder(entry.owner)
            } else {
                Left::OutOfOrder(entry.owner)
            };
        }
        match self.not_kept.get().checked_sub(1) {
            Some(rest) => {
                self.not_kept.set(rest);
                Left::NotKept
            }
            None => Left::NotEntered,
        }
    }

    fn note_not_kept(&self, count: usize) {
        self.not_kept.set(self.not_kept.get().saturating_add(count));
    }

    /// Takes the marks away once the panic they are of has been caught.
    fn unmark_all(&self) {
        let depth = self.depth();
        if depth != self.depth.get() && !std::thread::panicking() {
            self.depth.set(depth);
            for at in 0..depth {
                if let Some(entry) = self.entry(at) {
                    let owner = entry.owner.unmarked();
                    self.replace(at, Entry { owner, ..entry });
                }
            }
        }
    }

    /// Notes when a span was entered, which has just happened, unless it was nested too deeply.
    #[cfg(feature = "profiling")]
    #[inline]
    pub(super) fn set_since(&self, id: SlotId, since: u64) {
        let last = self.depth().wrapping_sub(1);
        match self.near.get(last) {
            Some(place) if place.id.get() == id.get() => place.since.set(since),
            Some(_) => {}
            None => self.set_since_far(last, id, since),
        }
    }

    #[cfg(feature = "profiling")]
    #[cold]
    fn set_since_far(&self, last: usize, id: SlotId, since: u64) {
        if let Some(entry) = self.entry(last).filter(|entry| entry.id == id) {
            self.replace(last, Entry { since, ..entry });
        }
    }

    /// When a span of `subscriber` was entered last, of those it has not been left from, if it was noted.
    #[cfg(feature = "profiling")]
    #[inline]
    pub(super) fn since(&self, subscriber: u64, id: SlotId) -> Option<u64> {
        let last = self.depth.get().wrapping_sub(1);
        let since = match self.near.get(last).filter(|p| p.is(subscriber, id)) {
            Some(place) => place.since.get(),
            None => self.since_far(subscriber, id)?,
        };
        (since != 0).then_some(since)
    }

    #[cfg(feature = "profiling")]
    #[cold]
    fn since_far(&self, subscriber: u64, id: SlotId) -> Option<u64> {
        let mut entries = (0..self.depth()).rev().filter_map(|at| self.entry(at));
        let entry = entries.find(|entry| entry.id == id && entry.owner.is(subscriber))?;
        Some(entry.since)
    }

    /// Notes what was allocated since the innermost span changed last, for that span. From here on it is for
    /// another one, if the thread is in one.
    #[cfg(feature = "profiling-alloc")]
    #[inline]
    fn settle(&self, is_in_span: bool) {
        if let Some(counts) = switch(is_in_span) {
            self.add_to_last(counts);
        }
    }

    /// Notes what was allocated in the span at a place, which is being left.
    #[cfg(feature = "profiling-alloc")]
    #[inline]
    fn settle_left(&self, at: usize) {
        self.settle(self.depth() > 1);
        let counts = match self.near.get(at) {
            Some(place) => place.counts.get(),
            None => self.entry(at).map_or(Counts::ZERO, |entry| entry.counts),
        };
        if !counts.is_zero() {
            self.left.set(counts);
        }
    }

    #[cfg(feature = "profiling-alloc")]
    #[inline(never)]
    fn add_to_last(&self, counts: Counts) {
        let last = self.depth().wrapping_sub(1);
        if let Some(entry) = self.entry(last) {
            let counts = entry.counts.plus(counts);
            self.replace(last, Entry { counts, ..entry });
        }
    }

    /// What was allocated on this thread in the span that was left last, since it was entered, if it was
    /// anything; once.
    #[cfg(feature = "profiling-alloc")]
    #[inline]
    pub(super) fn take_left(&self) -> Option<Counts> {
        let counts = self.left.get();
        if counts.is_zero() {
            return None;
        }
        self.left.set(Counts::ZERO);
        Some(counts)
    }

    /// Whether somebody counts what is allocated: the global allocator of the process, if it is ours.
    #[cfg(feature = "profiling-alloc")]
    pub(super) fn is_counted(&self) -> bool {
        self.settle(true);
        drop(std::hint::black_box(Box::new(0_u8)));
        switch(!self.is_empty()).is_some()
    }

    /// How many there are.
    fn depth(&self) -> usize {
        self.depth.get() & !MARKS
    }

    fn set_depth(&self, depth: usize) {
        self.depth.set(depth | self.depth.get() & MARKS);
    }

    /// The entry at a place, near or far.
    fn entry(&self, at: usize) -> Option<Entry> {
        match self.near.get(at) {
            Some(place) => Some(place.entry()),
            None => self.far.borrow().get(at - NEAR).copied(),
        }
    }

    /// Puts another entry where there is one.
    fn replace(&self, at: usize, entry: Entry) {
        if let Some(place) = self.near.get(at) {
            place.set(entry);
        } else if let Some(place) = self.far.borrow_mut().get_mut(at - NEAR) {
            *place = entry;
        }
    }

    fn push(&self, entry: Entry) {
        let depth = self.depth();
        match self.near.get(depth) {
            Some(place) => place.set(entry),
            None => uncounted(|| self.far.borrow_mut().push(entry)),
        }
        self.set_depth(depth + 1);
    }

    /// Keeps the first `depth` entries, and the room of the others.
    fn truncate(&self, depth: usize) {
        self.far.borrow_mut().truncate(depth.saturating_sub(NEAR));
        self.set_depth(depth);
    }
}

#[cfg(test)]
mod tests {
    use ringlight_clock::Clock;

    use super::*;

    fn enter(stack: &Stack, slab: &Slab, subscriber: u64, id: u64) {
        let id = SlotId::from_u64(id);
        if !stack.enter_near(subscriber, id) {
            stack.enter(subscriber, id, slab, true);
        } else if std::thread::panicking() {
            stack.note_unwinding();
        }
    }

    fn leave(stack: &Stack, subscriber: u64, id: u64) -> Left {
        let id = SlotId::from_u64(id);
        let near = stack.leave_near(subscriber, id).map(Left::InOrder);
        near.unwrap_or_else(|| stack.leave(subscriber, id))
    }

    fn current(stack: &Stack, subscriber: u64) -> Option<u64> {
        stack.find(subscriber, Some).map(SlotId::get)
    }

    const IN_ORDER: Left = Left::InOrder(Owner::new(1, false));
    const OUT_OF_ORDER: Left = Left::OutOfOrder(Owner::new(1, false));

    #[test]
    fn spans_may_be_left_in_any_order() {
        let (stack, slab) = (Stack::new(), Slab::new(Clock::monotonic()));
        let leave = |id| leave(&stack, 1, id);
        for id in 1..=3 {
            enter(&stack, &slab, 1, id);
        }
        assert_eq!(leave(2), OUT_OF_ORDER);
        assert_eq!(current(&stack, 1), Some(3));
        assert_eq!(leave(2), Left::NotEntered);
        assert_eq!(leave(3), IN_ORDER);
        assert_eq!(current(&stack, 1), Some(1));
        assert_eq!(leave(1), IN_ORDER);
        assert_eq!(current(&stack, 1), None);
        assert_eq!(leave(1), Left::NotEntered);
    }

    #[test]
    fn spans_of_which_nothing_is_found_are_passed_over() {
        let (stack, slab) = (Stack::new(), Slab::new(Clock::monotonic()));
        for id in 1..=(NEAR as u64 + 2) {
            enter(&stack, &slab, 1, id);
        }
        for wanted in [1, 7, NEAR as u64 + 1] {
            let found = stack.find(1, |id| (id.get() <= wanted).then_some(id.get()));
            assert_eq!(found, Some(wanted));
        }
        assert_eq!(stack.find(1, |_| None::<u64>), None);
    }

    #[test]
    fn a_subscriber_sees_only_its_own_spans() {
        let (stack, slab) = (Stack::new(), Slab::new(Clock::monotonic()));
        enter(&stack, &slab, 1, 7);
        enter(&stack, &slab, 2, 8);
        assert_eq!(current(&stack, 1), Some(7));
        assert_eq!(current(&stack, 2), Some(8));
        assert_eq!(current(&stack, 3), None);
        assert_eq!(leave(&stack, 2, 7), Left::NotEntered);
        assert_eq!(leave(&stack, 1, 7), IN_ORDER);
        assert_eq!(current(&stack, 2), Some(8));
    }

    #[test]
    fn deep_nesting_goes_to_the_heap_and_comes_back() {
        let (stack, slab) = (Stack::new(), Slab::new(Clock::monotonic()));
        let deep = NEAR as u64 * 3;
        for id in 1..=deep {
            enter(&stack, &slab, 1, id);
            assert_eq!(current(&stack, 1), Some(id));
        }
        assert_eq!(leave(&stack, 1, 5), OUT_OF_ORDER);
        for id in (1..=deep).rev().filter(|id| *id != 5) {
            assert_eq!(current(&stack, 1), Some(id));
            assert_eq!(leave(&stack, 1, id), IN_ORDER);
        }
        assert_eq!(current(&stack, 1), None);
    }

    /// What `body` gives when called by a destructor of a panic.
    fn while_unwinding<T>(body: impl FnOnce() -> T) -> Option<T> {
        struct OnDrop<F: FnMut()>(F);
        impl<F: FnMut()> Drop for OnDrop<F> {
            fn drop(&mut self) {
                (self.0)();
            }
        }
        let (mut body, mut given) = (Some(body), None);
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _unwound = OnDrop(|| given = body.take().map(|body| body()));
            std::panic::resume_unwind(Box::new(()));
        }));
        caught.err().and(given)
    }

    fn leaves_marked(stack: &Stack, id: u64) -> bool {
        let left = leave(stack, 1, id);
        matches!(left, Left::InOrder(owner) if owner.is_marked())
    }

    #[test]
    fn spans_are_marked_wherever_they_are_while_the_thread_unwinds() {
        let (stack, slab) = (Stack::new(), Slab::new(Clock::monotonic()));
        assert!(!stack.mark_all());
        let deep = NEAR as u64 + 3;
        for id in 1..=deep {
            enter(&stack, &slab, 1, id);
        }
        let marked = while_unwinding(|| {
            let any = stack.mark_all();
            enter(&stack, &slab, 1, deep + 1);
            let seen = current(&stack, 1);
            let left: Vec<_> = (3..=deep + 1)
                .rev()
                .map(|id| leaves_marked(&stack, id))
                .collect();
            (any, seen, left)
        });
        let mut expected = vec![true; deep as usize - 1];
        expected[0] = false;
        assert_eq!(marked, Some((true, Some(deep + 1), expected)));
        // The panic was caught in the second span.
        enter(&stack, &slab, 1, 3);
        for id in [3, 2, 1] {
            assert!(!leaves_marked(&stack, id));
        }
        assert_eq!(stack.depth.get(), 0);
    }

    #[test]
    fn what_is_far_is_pushed_and_popped_in_place() {
        let (stack, slab) = (Stack::new(), Slab::new(Clock::monotonic()));
        for id in 1..=100 {
            enter(&stack, &slab, 1, id);
        }
        let at = stack.far.borrow().as_ptr();
        for _ in 0..10 {
            for id in (1..=100).rev() {
                assert_eq!(leave(&stack, 1, id), IN_ORDER);
            }
            for id in 1..=100 {
                enter(&stack, &slab, 1, id);
            }
        }
        let far = stack.far.borrow();
        assert_eq!((far.as_ptr(), far.len()), (at, 100 - NEAR));
    }

    #[test]
    fn spans_that_are_open_are_looked_at_now_and_then_only() {
        let stack = Stack::new();
        let looked_at = Cell::new(0);
        let keep = |entry: Entry| {
            looked_at.set(looked_at.get() + 1);
            entry.owner.is(1)
        };
        let enter = || {
            stack.check(keep);
            let (owner, id) = (Owner::new(1, false), SlotId::from_u64(1));
            stack.push(Entry::new(owner, id));
        };
        (0..DEPTH_CHECKED).for_each(|_| enter());
        assert_eq!(looked_at.get(), 0);
        for _ in 0..DEPTH_CHECKED {
            enter();
            stack.truncate(DEPTH_CHECKED);
        }
        assert_eq!(looked_at.get(), DEPTH_CHECKED);
        (0..2 * DEPTH_CHECKED).for_each(|_| enter());
        assert!(looked_at.get() < 5 * DEPTH_CHECKED, "{looked_at:?}");
        assert_eq!(stack.depth(), 3 * DEPTH_CHECKED);
    }

    #[test]
    fn spans_that_are_nested_too_deeply_may_be_left() {
        let (stack, slab) = (Stack::new(), Slab::new(Clock::monotonic()));
        for _ in 0..DEPTH_MAX {
            stack.push(Entry::new(Owner::new(1, false), SlotId::from_u64(1)));
        }
        // Of those that are kept, nothing is looked up.
        stack.until_check.set(usize::MAX);
        enter(&stack, &slab, 1, 2);
        assert_eq!(stack.depth(), DEPTH_MAX);
        assert_eq!(leave(&stack, 1, 2), Left::NotKept);
        assert_eq!(leave(&stack, 1, 2), Left::NotEntered);
        assert_eq!(leave(&stack, 1, 1), IN_ORDER);
    }

    #[test]
    fn what_is_far_can_be_given_up() {
        let (stack, slab) = (Stack::new(), Slab::new(Clock::monotonic()));
        let near = NEAR as u64;
        for id in 1..=near + 3 {
            enter(&stack, &slab, 1, id);
        }
        stack.give_up_far();
        assert_eq!(current(&stack, 1), Some(near));
        assert_eq!(
            while_unwinding(|| {
                stack.mark_all();
                stack.give_up_far();
                current(&stack, 1)
            }),
            Some(Some(near))
        );
        stack.enter(1, SlotId::from_u64(near + 4), &slab, false);
        assert_eq!(current(&stack, 1), Some(near));
        // Those that were given up and the one that was not kept, and no more.
        for id in near + 1..=near + 4 {
            assert_eq!(leave(&stack, 1, id), Left::NotKept);
        }
        assert_eq!(leave(&stack, 1, near + 1), Left::NotEntered);
        assert_eq!(stack.far.borrow().capacity(), 0);
        for id in (1..=near).rev() {
            assert_eq!(leave(&stack, 1, id), IN_ORDER);
        }
    }

    #[test]
    fn leaked_entries_do_not_pile_up() {
        let (stack, slab) = (Stack::new(), Slab::new(Clock::monotonic()));
        // No slot is open, so every entry is that of a span that has closed.
        for id in 1..=(3 * DEPTH_CHECKED as u64) {
            enter(&stack, &slab, 1, id);
        }
        assert!(stack.depth.get() <= DEPTH_CHECKED);
    }
}
