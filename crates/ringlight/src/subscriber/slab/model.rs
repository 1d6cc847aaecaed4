//! Models of the real slots, explored by loom: what the collector reads while owners go on.
//!
//! Run with `RUSTFLAGS="--cfg ringlight_loom" cargo test -p ringlight --lib --release slab::model` and a
//! target folder of its own. Bounds: two threads, slots with room for eight words of items, two lives of
//! a slot or two edits, at most three preemptions an execution (threads that block or end switch freely),
//! every value a load may return.

use std::sync::Arc;

use loom::thread;
use ringlight_clock::{Clock, Moment, Reading};
use ringlight_collector::record::{Head, ItemWriter, Key, SPAN_HEADER_WORDS, item_field};
use ringlight_model::{SpanKind, StatusCode};

use super::super::annotate::OpenItems as _;
use super::snapshot::Seen;
use super::{
    CALLSITE, PARENT, SPAN, START, Slab, Slot, SlotId, SpanContext, TRACE_HIGH, TRACE_LOW,
};

/// Preemptions an execution may have. All defects put into the code on purpose (each of the orderings
/// weakened, each of the checks left out) showed with two; three take a minute.
const PREEMPTIONS_MAX: usize = 3;

/// The slot of the models.
const INDEX: u32 = 1;

fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    // `LOOM_MAX_PREEMPTIONS` says otherwise.
    builder.preemption_bound.get_or_insert(PREEMPTIONS_MAX);
    builder.max_branches = 10_000;
    builder.check(run);
}

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
        let slot = slab.slot_at(INDEX).unwrap();
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
