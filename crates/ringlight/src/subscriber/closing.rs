//! What the record of a span gets when it closes, beyond what was recorded: how long it was busy, and what was
//! allocated in it.

use ringlight_model::Signal;

use crate::uncounted::uncounted;

use super::RinglightSubscriber;
use super::numbers::Numbers;
use super::slab::Slot;

/// Attributes and their values, or none.
type More<'a, const N: usize> = Option<(&'a Numbers, [i64; N])>;

impl RinglightSubscriber {
    /// Hands over the record of a span that is closing, with what is known of it by now.
    #[inline]
    pub(super) fn hand_over_more(&self, slot: &Slot) {
        let times = self.times_of(slot);
        #[cfg(feature = "profiling-alloc")]
        let allocated = self.allocated_in(slot);
        #[cfg(not(feature = "profiling-alloc"))]
        let allocated: More<'_, 0> = None;
        uncounted(|| {
            if times.is_none() && allocated.is_none() {
                self.hand_over(slot);
            } else {
                self.hand_over_with(slot, times, allocated);
            }
        });
    }

    #[inline(never)]
    fn hand_over_with<const T: usize, const A: usize>(
        &self,
        slot: &Slot,
        times: More<'_, T>,
        allocated: More<'_, A>,
    ) {
        let own_bytes = slot.record_words() * 8;
        let times_bytes = times.as_ref().map_or(0, |(names, _)| names.len_bytes());
        let allocated_bytes = allocated.as_ref().map_or(0, |(names, _)| names.len_bytes());
        self.recorder.record_urgent_if(
            Signal::Traces,
            own_bytes + times_bytes + allocated_bytes,
            || slot.is_urgent(),
            |buffer| {
                let (record, more) = buffer.split_at_mut(own_bytes);
                slot.copy_record(record);
                let (for_times, for_allocated) = more.split_at_mut(times_bytes);
                if let Some((names, values)) = &times {
                    names.write(values, for_times);
                }
                if let Some((names, values)) = &allocated {
                    names.write(values, for_allocated);
                }
            },
        );
    }
}
