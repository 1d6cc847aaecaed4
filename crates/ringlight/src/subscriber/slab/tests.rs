//! Snapshots, as far as one thread shows them.

use ringlight_clock::{Moment, Reading};
use ringlight_collector::record::{Head, Item, ItemWriter, Key, Record, ValueRef, copy_words};
use ringlight_model::{SpanKind, StatusCode};

use super::*;

const INDEX: u32 = 1;

fn slab() -> Slab {
    let slab = Slab::new(Clock::monotonic());
    assert_eq!(slab.take(&mut [0; 2]), 2);
    slab
}

fn open(slot: &Slot, texts: &[&str]) -> SlotId {
    slot.open(0, SlotId::NO_PARENT, SpanContext::NONE);
    let mut items = slot.items_unpublished();
    for (field, text) in texts.iter().enumerate() {
        let _ = ItemWriter::new(&mut items, 4096).text(Key::Field(field as u16), text);
    }
    items.finish();
    let start = Moment {
        reading: Reading::from_bits(5),
        unix_nano: 1000,
    };
    let head = Head::span(SpanKind::Internal, StatusCode::Unset, 1);
    slot.publish(INDEX, head, 9, start)
}

/// The texts of a snapshot, each with whether it was cut, and how many attributes were dropped.
fn texts(words: Vec<u64>) -> (Vec<(String, bool)>, u16) {
    let mut bytes = vec![0; words.len() * 8];
    copy_words(words, &mut bytes);
    let Ok(Record::Span(span)) = Record::parse(&bytes) else {
        panic!("a snapshot is a record");
    };
    assert_eq!((span.start_unix_nano(), span.end_unix_nano()), (1000, 1007));
    let text = |item| match item {
        Item::Attribute(_, ValueRef::Text(text)) => (text.to_str().into_owned(), text.cut),
        other => panic!("{other:?}"),
    };
    (
        span.items().map(text).collect(),
        span.head().dropped_attributes(),
    )
}

#[test]
fn a_snapshot_is_the_record_so_far() {
    let slab = slab();
    let slot = slab.slot_at(INDEX).unwrap();
    assert!(slot.seen(INDEX).is_none(), "nothing was opened");
    let id = open(slot, &["one", "two"]);
    let seen = slot.seen(INDEX).unwrap();
    assert_eq!((seen.id, seen.started.to_bits()), (id, 5));
    let (found, dropped) = texts(slot.snapshot(id, 7).unwrap());
    assert_eq!(
        found,
        [("one".to_owned(), false), ("two".to_owned(), false)]
    );
    assert_eq!(dropped, 0);
    assert!(slot.drop_reference(id));
    slot.retire();
    assert!(slot.snapshot(id, 7).is_none() && slot.seen(INDEX).is_none());
    let next = open(slot, &[]);
    assert!(slot.snapshot(id, 7).is_none(), "it is another span's now");
    assert_eq!(slot.seen(INDEX).unwrap().id, next);
}

#[test]
fn a_span_that_is_not_recorded_is_not_seen() {
    let slab = slab();
    let slot = slab.slot_at(INDEX).unwrap();
    slot.open(0, SlotId::NO_PARENT, SpanContext::NONE);
    slot.publish_unsampled(INDEX, 9);
    assert!(slot.seen(INDEX).is_none());
}

#[test]
fn what_is_on_the_heap_is_cut_or_dropped() {
    let slab = slab();
    let slot = slab.slot_at(INDEX).unwrap();
    // 2 words, then 45 of 48 with the rest of a text that goes on, which ends amid a character.
    let long = "é".repeat(200);
    let id = open(slot, &["short", &format!("x{long}"), "lost"]);
    let (found, dropped) = texts(slot.snapshot(id, 7).unwrap());
    assert_eq!(found.len(), 2);
    assert_eq!(found[0], ("short".to_owned(), false));
    // The slot has room for 45 words of it, 360 bytes.
    assert_eq!(found[1], (format!("x{}", "é".repeat(179)), true));
    assert_eq!(dropped, 1);
}

#[test]
fn a_snapshot_waits_for_nobody() {
    let slab = slab();
    let slot = slab.slot_at(INDEX).unwrap();
    let id = open(slot, &["one"]);
    let mut items = slot.items_locked();
    // The lock is held, and the edit is not done.
    assert!(slot.snapshot(id, 7).is_none());
    let _ = ItemWriter::new(&mut items, 64).text(Key::Field(1), "two");
    items.finish();
    assert_eq!(texts(slot.snapshot(id, 7).unwrap()).0.len(), 2);
    // One that is given up leaves the span out, until the next one ends.
    drop(slot.items_locked());
    assert!(slot.snapshot(id, 7).is_none());
    slot.items_locked().finish();
    assert!(slot.snapshot(id, 7).is_some());
}

/// Of a span that is not recorded only its ids are written down.
#[test]
fn a_span_that_is_not_recorded_shows_nothing_of_the_one_that_had_its_slot() {
    let slab = slab();
    let slot = slab.slot_at(INDEX).unwrap();
    let recorded = open(slot, &["of the one before"]);
    assert!(slot.drop_reference(recorded));
    slot.retire();
    slot.open(0, SlotId::NO_PARENT, SpanContext::NONE);
    let id = slot.publish_unsampled(INDEX, 10);
    let shown = slot.show_to_log(id, |_, items| assert_eq!(items, [0; 0]));
    assert_eq!(shown, Some(None));
}
