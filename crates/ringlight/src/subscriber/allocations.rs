//! What is allocated in spans, as attributes of theirs.
//!
//! A thread counts for the innermost span it is in. When that changes, what was counted is noted beside the
//! span in the thread's own list, which costs a few plain words; when a span is left, it is added up in the span's
//! slot, since another thread may enter the span next. When it closes, its record gets the sums, and the slot of
//! the span around it the total.

use ringlight_collector::record::{ItemWriter, Key, copy_words};
use ringlight_context::Counts;
use ringlight_model::Signal;

use crate::uncounted::uncounted;

use super::RinglightSubscriber;
use super::slab::{Allocated, Slot, SlotId};
use super::thread::with_thread;

/// The attributes: of the span itself, then with all within it.
const NAMES: [[&str; 5]; 2] = [
    [
        "alloc.count",
        "alloc.bytes",
        "dealloc.count",
        "dealloc.bytes",
        "alloc.net_bytes",
    ],
    [
        "alloc.total.count",
        "alloc.total.bytes",
        "dealloc.total.count",
        "dealloc.total.bytes",
        "alloc.total.net_bytes",
    ],
];

/// The attributes as items of a record, but for their values.
#[derive(Debug)]
pub(super) struct Template {
    words: Vec<u64>,
    /// Where in the words the values go.
    values: [[usize; 5]; 2],
}

impl Template {
    /// `None` where nobody counts: the process has another allocator.
    pub(super) fn new() -> Option<Self> {
        if !with_thread(|thread| thread.entered.is_counted()) {
            crate::notice::say(format_args!(
                "allocations are not counted; hint: give the program the allocator that does, \
                 `#[global_allocator] static ALLOCATOR: ringlight::RinglightAllocator = \
                 ringlight::RinglightAllocator::system();`"
            ));
            return None;
        }
        let mut words = Vec::new();
        let values = NAMES.map(|names| {
            names.map(|name| {
                let _ = ItemWriter::new(&mut words, usize::MAX).i64(Key::Name(name), 0);
                // A number is the last word of its item.
                words.len() - 1
            })
        });
        Some(Self { words, values })
    }

    fn write(&self, allocated: Allocated, buffer: &mut [u8]) {
        copy_words(self.words.iter().copied(), buffer);
        let (words, _) = buffer.as_chunks_mut();
        for (counts, places) in [allocated.own, allocated.total()].iter().zip(&self.values) {
            let net_bytes = counts.net_bytes() as u64;
            let values = [
                counts.alloc_count,
                counts.alloc_bytes,
                counts.dealloc_count,
                counts.dealloc_bytes,
                net_bytes,
            ];
            for (place, value) in places.iter().zip(values) {
                if let Some(word) = words.get_mut(*place) {
                    *word = value.to_le_bytes();
                }
            }
        }
    }
}

impl RinglightSubscriber {
    /// Adds what this thread has just counted in a span, which it has left, to that span.
    #[inline]
    pub(super) fn charge(&self, id: SlotId) {
        if let Some(counts) = with_thread(|thread| thread.entered.take_left())
            && id.is_sampled()
            && self.allocations.is_some()
        {
            self.charge_slot(id, counts);
        }
    }

    #[inline(never)]
    fn charge_slot(&self, id: SlotId, counts: Counts) {
        if let Some(slot) = self.slab.slot_at(id.index()) {
            slot.add_allocated(id, |sums| sums.own = sums.own.plus(counts));
        }
    }

    /// Hands over the record of a span that is closing, with what was allocated in it.
    #[inline]
    pub(super) fn hand_over_counted(&self, slot: &Slot) {
        uncounted(|| match slot.allocated().zip(self.allocations.as_ref()) {
            Some((allocated, template)) => self.hand_over_with(slot, allocated, template),
            None => self.hand_over(slot),
        });
    }

    #[inline(never)]
    fn hand_over_with(&self, slot: &Slot, allocated: Allocated, template: &Template) {
        let (total, parent) = (allocated.total(), slot.parent());
        if parent != SlotId::NO_PARENT
            && let Some(around) = self.slab.slot_at(parent.index())
        {
            around.add_allocated(parent, |sums| sums.within = sums.within.plus(total));
        }
        let own_bytes = slot.record_words() * 8;
        let len_bytes = own_bytes + template.words.len() * 8;
        self.recorder.record_urgent_if(
            Signal::Traces,
            len_bytes,
            || slot.is_urgent(),
            |buffer| {
                let (record, attributes) = buffer.split_at_mut(own_bytes);
                slot.copy_record(record);
                template.write(allocated, attributes);
            },
        );
    }
}
