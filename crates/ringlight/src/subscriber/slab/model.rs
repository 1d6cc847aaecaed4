//! Models of the real slots, explored by loom: what the collector reads while owners go on, and what is allocated in
//! spans that several threads leave and close.
//!
//! Run with `RUSTFLAGS="--cfg ringlight_loom" cargo test -p ringlight --features profiling-alloc --lib --release
//! slab::model` and a target folder of its own. Bounds: two threads, slots with room for eight words of items, two lives of
//! a slot or two edits, at most three preemptions an execution (threads that block or end switch freely),
//! every value a load may return.

use std::sync::Arc;

use loom::thread;
use ringlight_clock::{Clock, Moment, Reading};
use ringlight_collector::record::{Head, ItemWriter, Key, SPAN_HEADER_WORDS, item_field};
use ringlight_model::{SpanKind, StatusCode};

use super::super::annotate::OpenItems as _;
use super::slot::{CALLSITE, PARENT, SPAN, START, TRACE_HIGH, TRACE_LOW};
use super::snapshot::Seen;
use super::{Slab, Slot, SlotId, SpanContext};
use crate::sync::{AtomicU64, Ordering, model};

/// The slot of the models.
const INDEX: u32 = 1;

fn slab() -> Arc<Slab> {
    let slab = Slab::new(Clock::monotonic());
    let mut index = [0];
    assert_eq!(slab.take(&mut index), 1);
    assert_eq!(index[0], INDEX);
    Arc::new(slab)
}

fn head(dropped: u16) -> Head {
    Head::span(SpanKind::Internal, StatusCode::Unset, 1).with_dropped(dropped)
}

/// Opens a span of which every word is this number.
fn open(slot: &Slot, number: u64) -> SlotId {
    let context = SpanContext {
        trace_high: number,
        trace_low: number,
        span: number,
    };
    slot.open(number, SlotId::from_u64(number), context);
    let mut items = slot.items_unpublished();
    let _ = ItemWriter::new(&mut items, 64).u64(Key::Field(0), number);
    items.finish();
    let start = Moment {
        reading: Reading::from_bits(number),
        unix_nano: number,
    };
    slot.publish(INDEX, head(0), number, start)
}

/// Closes the span as its last handle does.
fn close(slot: &Slot, id: SlotId) -> Vec<u8> {
    assert!(slot.drop_reference(id));
    let mut record = vec![0; 8 * slot.record_words()];
    slot.copy_record(&mut record);
    slot.retire();
    record
}

fn look(slab: &Slab) -> Option<(Seen, Option<Vec<u64>>)> {
    let slot = slab.slot_at(INDEX).unwrap();
    let seen = slot.seen(INDEX)?;
    Some((seen, slot.snapshot(seen.id, 0)))
}

/// A snapshot is of one span, the one that was asked for, whenever that closes and another takes its
/// slot.
#[test]
fn a_span_is_closed_and_another_opened_in_its_slot() {
    model(|| {
        let slab = slab();
        let first = open(slab.slot_at(INDEX).unwrap(), 1);
        let of_owner = Arc::clone(&slab);
        let owner = thread::spawn(move || {
            let slot = of_owner.slot_at(INDEX).unwrap();
            close(slot, first);
            open(slot, 2)
        });
        let found = look(&slab);
        let second = owner.join().unwrap();
        assert_ne!(first, second);
        let Some((seen, words)) = found else { return };
        let number = if seen.id == first { 1 } else { 2 };
        assert!(seen.id == first || seen.id == second);
        assert_eq!(seen.started, Reading::from_bits(number));
        let Some(words) = words else { return };
        let of_header = [CALLSITE, TRACE_HIGH, TRACE_LOW, SPAN, PARENT, START];
        for at in of_header.into_iter().chain([SPAN_HEADER_WORDS + 1]) {
            assert_eq!(words[at], number, "word {at}");
        }
        assert_eq!(words.len(), SPAN_HEADER_WORDS + 2);
    });
}

/// The same while the other one is marked as measured, and no more: who finds it by either state has what was published
/// before.
#[test]
fn a_span_is_closed_and_a_measured_one_opened_in_its_slot() {
    for is_unmarked in [false, true] {
        model(move || {
            let slab = slab();
            let first = open(slab.slot_at(INDEX).unwrap(), 1);
            let of_owner = Arc::clone(&slab);
            let owner = thread::spawn(move || {
                let slot = of_owner.slot_at(INDEX).unwrap();
                close(slot, first);
                let id = slot.mark_measured(open(slot, 2), false);
                if is_unmarked {
                    slot.unmark_measured(id);
                }
            });
            if let Some(seen) = slab.slot_at(INDEX).unwrap().seen(INDEX) {
                let number = if seen.id == first { 1 } else { 2 };
                assert_eq!(seen.started, Reading::from_bits(number));
            }
            owner.join().unwrap();
        });
    }
}

/// An id may come from another thread by a plain word, as that of the span it is in does, and then brings nothing of its
/// span along.
#[test]
fn a_span_is_read_by_an_id_that_brings_nothing_along() {
    model(|| {
        let slab = slab();
        let first = open(slab.slot_at(INDEX).unwrap(), 1);
        let published = Arc::new(AtomicU64::new(first.get()));
        let (of_owner, by_owner) = (Arc::clone(&slab), Arc::clone(&published));
        let owner = thread::spawn(move || {
            let slot = of_owner.slot_at(INDEX).unwrap();
            close(slot, first);
            // Relaxed, as its load: that is what is tried.
            by_owner.store(open(slot, 2).get(), Ordering::Relaxed);
        });
        let id = SlotId::from_u64(published.load(Ordering::Relaxed));
        let number = if id == first { 1 } else { 2 };
        if let Some(slot) = slab.slot(id) {
            if let Some((callsite, _)) = slot.place_of(id) {
                assert_eq!(callsite, number);
            }
            if let Some(words) = slot.snapshot(id, 0) {
                assert_eq!((words[SPAN], words.len()), (number, SPAN_HEADER_WORDS + 2));
            }
        }
        owner.join().unwrap();
    });
}

/// A span that is given up before it is published leaves nothing in a snapshot of the one that had its slot.
#[test]
fn a_span_is_closed_and_another_given_up_in_its_slot() {
    model(|| {
        let slab = slab();
        let first = open(slab.slot_at(INDEX).unwrap(), 1);
        let of_owner = Arc::clone(&slab);
        let owner = thread::spawn(move || {
            let slot = of_owner.slot_at(INDEX).unwrap();
            close(slot, first);
            slot.open(2, SlotId::NO_PARENT, SpanContext::NONE);
            let mut items = slot.items_unpublished();
            let _ = ItemWriter::new(&mut items, 64).text(Key::Field(0), "given up");
            items.finish();
            slot.discard();
        });
        if let Some((seen, Some(words))) = look(&slab) {
            assert_eq!(seen.id, first);
            assert_eq!(words.len(), SPAN_HEADER_WORDS + 2);
        }
        owner.join().unwrap();
        assert!(look(&slab).is_none());
    });
}

/// What is asked of a span by its id alone is told of that span or not at all, whenever it closes and
/// another takes its slot.
#[test]
fn a_span_that_nobody_holds_is_read_by_its_id() {
    model(|| {
        let slab = slab();
        let first = open(slab.slot_at(INDEX).unwrap(), 1);
        let of_owner = Arc::clone(&slab);
        let owner = thread::spawn(move || {
            let slot = of_owner.slot_at(INDEX).unwrap();
            close(slot, first);
            open(slot, 2)
        });
        let context = slab.slot(first).and_then(|slot| slot.context_of(first));
        let place = slab.slot(first).and_then(|slot| slot.place_of(first));
        let start = slab
            .slot(first)
            .and_then(|slot| slot.start_unix_nano(first));
        let second = owner.join().unwrap();
        let of = |number| SpanContext {
            trace_high: number,
            trace_low: number,
            span: number,
        };
        assert!(context.is_none_or(|found| found == of(1)), "{context:?}");
        let parent = |number| Some(SlotId::from_u64(number));
        assert!(
            place.is_none_or(|found| found == (1, parent(1))),
            "{place:?}"
        );
        assert!(start.is_none_or(|found| found == 1), "{start:?}");
        let slot = slab.slot_at(INDEX).unwrap();
        assert_eq!(slot.start_unix_nano(second), Some(2));
        assert_eq!(slot.context_of(second), Some(of(2)));
        assert_eq!(slot.place_of(second), Some((2, parent(2))));
    });
}

/// A snapshot has all of an edit or nothing of it, and what is closed is what was edited.
#[test]
fn a_span_is_edited_and_closed() {
    model(|| {
        let slab = slab();
        let id = open(slab.slot_at(INDEX).unwrap(), 0);
        let of_owner = Arc::clone(&slab);
        let owner = thread::spawn(move || {
            let slot = of_owner.slot_at(INDEX).unwrap();
            for number in 1..=2 {
                let mut items = slot.items_locked();
                items.remove_item(|head| item_field(head) == Some(0));
                let _ = ItemWriter::new(&mut items, 64).u64(Key::Field(0), number);
                slot.set_head(head(number as u16));
                items.finish();
            }
            close(slot, id)
        });
        if let Some((seen, Some(words))) = look(&slab) {
            assert_eq!(seen.id, id);
            let edits = Head::from_word(words[0]).dropped_attributes();
            assert_eq!(words[SPAN_HEADER_WORDS + 1], u64::from(edits));
            assert_eq!(words.len(), SPAN_HEADER_WORDS + 2);
        }
        let record = owner.join().unwrap();
        assert_eq!(record[8 * (SPAN_HEADER_WORDS + 1)], 2);
        assert!(look(&slab).is_none());
    });
}

/// The same of a text, whose length, whole words and last bytes are each stored by themselves.
#[test]
fn a_text_of_a_span_is_edited() {
    // Longer than those that are written by few words.
    const TEXTS: [&str; 2] = ["aaaaaaaaaaaaaaaaA", "bbbbbbbbbbbbbbbbBB"];
    let items_of = |text: &'static str| {
        let slab = slab();
        let slot = slab.slot_at(INDEX).unwrap();
        let mut items = slot.items_unpublished();
        let _ = ItemWriter::new(&mut items, 64).text(Key::Field(0), text);
        items.finish();
        let words = SPAN_HEADER_WORDS..slot.record_words();
        words.map(|at| slot.word(at)).collect::<Vec<_>>()
    };
    model(move || {
        let slab = slab();
        let expected = TEXTS.map(items_of);
        let id = open(slab.slot_at(INDEX).unwrap(), 0);
        let write = |slot: &Slot, text| {
            let mut items = slot.items_locked();
            items.remove_item(|head| item_field(head) == Some(0));
            let _ = ItemWriter::new(&mut items, 64).text(Key::Field(0), text);
            items.finish();
        };
        write(slab.slot_at(INDEX).unwrap(), TEXTS[0]);
        let of_owner = Arc::clone(&slab);
        let owner = thread::spawn(move || write(of_owner.slot_at(INDEX).unwrap(), TEXTS[1]));
        if let Some((seen, Some(words))) = look(&slab) {
            assert_eq!(seen.id, id);
            let items = &words[SPAN_HEADER_WORDS..];
            assert!(expected.iter().any(|text| text == items), "{items:x?}");
        }
        owner.join().unwrap();
    });
}

/// What two threads add at the same time, each before it gives up its reference, is all in what is closed.
#[test]
fn a_span_is_edited_on_two_threads_and_closed_by_the_last() {
    model(|| {
        let slab = slab();
        let id = open(slab.slot_at(INDEX).unwrap(), 0);
        slab.slot_at(INDEX).unwrap().add_reference(id);
        let add = move |slab: &Slab, number: u64| {
            let slot = slab.slot_at(INDEX).unwrap();
            let mut items = slot.items_locked();
            let _ = ItemWriter::new(&mut items, 64).u64(Key::Field(number as u16), number);
            items.finish();
            slot.drop_reference(id).then(|| {
                let mut record = vec![0; 8 * slot.record_words()];
                slot.copy_record(&mut record);
                slot.retire();
                record
            })
        };
        let of_other = Arc::clone(&slab);
        let other = thread::spawn(move || add(&of_other, 1));
        let here = add(&slab, 2);
        let there = other.join().unwrap();
        assert!(here.is_none() != there.is_none(), "one of them is the last");
        let record = here.or(there).unwrap();
        assert_eq!(record.len(), 8 * (SPAN_HEADER_WORDS + 6));
        let added = [3, 5].map(|at| record[8 * (SPAN_HEADER_WORDS + at)]);
        assert!(added == [1, 2] || added == [2, 1], "{added:?}");
    });
}

/// What is allocated in spans, where they are left and closed at the same time.
#[cfg(feature = "profiling-alloc")]
mod allocated {
    use ringlight_context::Counts;

    use super::super::Allocated;
    use super::*;

    /// Something of which sums tell how often it is in them, and how often something else is.
    fn counts(bytes: u64) -> Counts {
        Counts {
            alloc_count: 1,
            alloc_bytes: bytes,
            ..Counts::ZERO
        }
    }

    fn add_own(slot: &Slot, id: SlotId, bytes: u64) {
        slot.add_allocated(id, |sums| sums.own = sums.own.plus(counts(bytes)));
    }

    fn add_within(slot: &Slot, id: SlotId, bytes: u64) {
        slot.add_allocated(id, |sums| sums.within = sums.within.plus(counts(bytes)));
    }

    /// The sums with which a span closes, of which the last reference is gone.
    fn retire(slot: &Slot) -> Allocated {
        let sums = slot.allocated().unwrap_or_default();
        slot.retire();
        sums
    }

    /// What two threads have added, each before it gave up its reference, is all there when the last one closes
    /// the span, whichever that is.
    #[test]
    fn a_span_is_left_on_two_threads_and_closed_by_the_last() {
        model(|| {
            let slab = slab();
            let id = open(slab.slot_at(INDEX).unwrap(), 1);
            slab.slot_at(INDEX).unwrap().add_reference(id);
            let of_other = Arc::clone(&slab);
            let other = thread::spawn(move || {
                let slot = of_other.slot_at(INDEX).unwrap();
                add_own(slot, id, 3);
                slot.drop_reference(id).then(|| retire(slot))
            });
            let slot = slab.slot_at(INDEX).unwrap();
            add_own(slot, id, 10);
            add_within(slot, id, 100);
            let here = slot.drop_reference(id).then(|| retire(slot));
            let there = other.join().unwrap();
            assert!(here.is_none() != there.is_none(), "one of them is the last");
            let sums = here.or(there).unwrap();
            assert_eq!((sums.own.alloc_count, sums.own.alloc_bytes), (2, 13));
            assert_eq!(sums.within, counts(100));
        });
    }

    /// A child holds no reference to its parent. What it adds as it closes is in the sums of the parent or nowhere,
    /// whenever that closes and another takes its slot: one that has sums of its own, and one that has none.
    #[test]
    fn a_child_closes_while_its_parent_does_and_another_takes_the_slot() {
        for has_sums in [true, false] {
            model(move || {
                let slab = slab();
                let parent = open(slab.slot_at(INDEX).unwrap(), 1);
                let of_owner = Arc::clone(&slab);
                let owner = thread::spawn(move || {
                    let slot = of_owner.slot_at(INDEX).unwrap();
                    add_own(slot, parent, 3);
                    assert!(slot.drop_reference(parent));
                    let first = retire(slot);
                    let id = open(slot, 2);
                    if has_sums {
                        add_own(slot, id, 10);
                    }
                    assert!(slot.drop_reference(id));
                    (first, retire(slot))
                });
                add_within(slab.slot_at(INDEX).unwrap(), parent, 100);
                let (first, second) = owner.join().unwrap();
                assert_eq!(first.own, counts(3));
                let within = [Counts::ZERO, counts(100)];
                assert!(within.contains(&first.within), "{first:?}");
                let own = if has_sums { counts(10) } else { Counts::ZERO };
                assert_eq!((second.own, second.within), (own, Counts::ZERO));
            });
        }
    }

    /// Two children close on two threads, and the parent after them.
    #[test]
    fn children_close_at_once_and_then_their_parent() {
        model(|| {
            let slab = slab();
            let parent = open(slab.slot_at(INDEX).unwrap(), 1);
            let of_child = Arc::clone(&slab);
            let child = thread::spawn(move || {
                add_within(of_child.slot_at(INDEX).unwrap(), parent, 10);
            });
            let slot = slab.slot_at(INDEX).unwrap();
            add_within(slot, parent, 3);
            child.join().unwrap();
            assert!(slot.drop_reference(parent));
            let within = retire(slot).within;
            assert_eq!((within.alloc_count, within.alloc_bytes), (2, 13));
        });
    }
}
