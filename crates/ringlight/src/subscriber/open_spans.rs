//! The open spans as the collector sees them.

use std::sync::Arc;
use std::time::Duration;

use ringlight_clock::Reading;
use ringlight_collector::{OpenSpanSource, SeenSpan};

use super::attention::Listener;
use super::slab::{Slab, SlotId};

/// What the collector sees of a subscriber.
#[derive(Debug)]
pub(crate) struct OpenSpans {
    slab: Arc<Slab>,
    listener: Arc<Listener>,
}

impl OpenSpans {
    pub(super) const fn new(slab: Arc<Slab>, listener: Arc<Listener>) -> Self {
        Self { slab, listener }
    }

    fn open_for_nano(&self, started: Reading, now: Reading) -> u64 {
        // Without a common clock the span began a moment ago, for all that is known.
        self.slab.clock().nanos_between(started, now).unwrap_or(0)
    }
}

impl OpenSpanSource for OpenSpans {
    fn parts(&self) -> usize {
        self.slab.chunks_used()
    }

    fn look(&self, part: usize, seen: &mut dyn FnMut(SeenSpan)) {
        let now = self.slab.clock().reading();
        for (index, slot) in self.slab.chunk(part) {
            if let Some(span) = slot.seen(index) {
                seen(SeenSpan {
                    key: span.id.get(),
                    open_for: Duration::from_nanos(self.open_for_nano(span.started, now)),
                });
            }
        }
    }

    fn record(&self, key: u64) -> Option<Vec<u64>> {
        let id = SlotId::from_u64(key);
        let slot = self.slab.slot_at(id.index())?;
        let started = slot.seen(id.index()).filter(|span| span.id == id)?.started;
        let now = self.slab.clock().reading();
        slot.snapshot(id, self.open_for_nano(started, now))
    }

    fn listen(&self) {
        self.listener.listen();
    }

    fn is_listening(&self) -> bool {
        self.listener.is_listening()
    }
}
