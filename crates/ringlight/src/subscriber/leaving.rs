//! Leaving a span in another way than the usual one: out of order, without having entered it, or while the
//! thread unwinds.

use std::sync::atomic::Ordering;

use ringlight_model::CallsiteId;

use super::panics::PANICKED;
use super::slab::{Slot, SlotId};
use super::stack::{Left, Owner};
use super::thread::with_thread;
use super::{RinglightSubscriber, STATUS_MESSAGE_BYTES_MAX};

impl RinglightSubscriber {
    /// Leaves a span, or looks after one that was left while the thread unwinds.
    #[cold]
    pub(super) fn exit_far(&self, id: SlotId, left: Option<Owner>) {
        let left = left.map_or_else(
            || with_thread(|thread| thread.entered.leave(self.number, id)),
            Left::InOrder,
        );
        let owner = match left {
            Left::InOrder(owner) => owner,
            Left::OutOfOrder(owner) => {
                self.left_out_of_order(self.slab.slot(id));
                owner
            }
            Left::NotKept => return,
            Left::NotEntered => return self.left_unentered(id),
        };
        if std::thread::panicking() && !owner.was_unwinding() {
            self.panicked(id, owner.is_marked());
        }
    }

    #[cold]
    fn left_out_of_order(&self, slot: Option<&Slot>) {
        // Relaxed: whoever is the first says it; nothing else depends on it.
        if !self
            .warnings
            .left_out_of_order
            .swap(true, Ordering::Relaxed)
        {
            let name = self.name_of(slot);
            self.tell(format_args!(
                "span `{name}` was left while spans entered after it were not; hint: an `enter()` \
                 guard held across `.await` does this and mixes up parents, use `.instrument(span)`"
            ));
        }
    }

    /// A span was left that this thread is not in. Those of threads of the pipeline are never entered.
    #[cold]
    fn left_unentered(&self, id: SlotId) {
        if id == SlotId::NONE {
            return;
        }
        self.recorder.count_unmatched_exit();
        // Relaxed: whoever is the first says it; nothing else depends on it.
        if !self.warnings.left_unentered.swap(true, Ordering::Relaxed) {
            let name = self.name_of(self.slab.slot(id));
            self.tell(format_args!(
                "span `{name}` was left by a thread that had not entered it, which changes nothing and is counted; \
                 hint: whoever calls `exit` on a dispatcher must have called `enter` on the same thread"
            ));
        }
    }

    fn name_of(&self, slot: Option<&Slot>) -> &'static str {
        let callsite = slot.and_then(|s| self.callsites.lookup(CallsiteId::new(s.callsite())));
        callsite.map_or("?", |callsite| callsite.name)
    }

    /// `is_marked`: what the thread's last panic said is about this span.
    #[cold]
    fn panicked(&self, id: SlotId, is_marked: bool) {
        let Some(slot) = self.slab.slot(id) else {
            return;
        };
        let fail = |text: &str| slot.fail(&[text], STATUS_MESSAGE_BYTES_MAX);
        if is_marked {
            with_thread(|thread| thread.with_panic(fail));
        } else {
            fail(PANICKED);
        }
    }
}
