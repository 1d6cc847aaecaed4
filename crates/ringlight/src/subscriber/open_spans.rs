//! The open spans as the collector sees them.

use std::sync::Arc;
use std::time::Duration;

use ringlight_clock::Moment;
use ringlight_collector::{OpenSpanSource, SeenSpan};

use super::attention::Listener;
use super::slab::{Seen, Slab, Slot, SlotId};

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

    /// How long a span has been open; `None` if it has closed meanwhile.
    fn open_for_nano(&self, slot: &Slot, span: Seen, now: Moment) -> Option<u64> {
        let passed = self.slab.clock().nanos_between(span.started, now.reading);
        // Without a common clock for start and now, the wall clock has to do, as when a span ends.
        passed.or_else(|| Some(now.unix_nano.saturating_sub(slot.start_unix_nano(span.id)?)))
    }
}

impl OpenSpanSource for OpenSpans {
    fn parts(&self) -> usize {
        self.slab.chunks_used()
    }

    fn look(&self, part: usize, seen: &mut dyn FnMut(SeenSpan)) {
        let now = self.slab.clock().now();
        for (index, slot) in self.slab.chunk(part) {
            if let Some(span) = slot.seen(index)
                && let Some(open_for_nano) = self.open_for_nano(slot, span, now)
            {
                seen(SeenSpan {
                    key: span.id.get(),
                    open_for: Duration::from_nanos(open_for_nano),
                });
            }
        }
    }

    fn record(&self, key: u64) -> Option<Vec<u64>> {
        let id = SlotId::from_u64(key);
        let slot = self.slab.slot_at(id.index())?;
        let span = slot.seen(id.index()).filter(|span| span.id == id)?;
        let open_for_nano = self.open_for_nano(slot, span, self.slab.clock().now())?;
        slot.snapshot(id, open_for_nano)
    }

    fn listen(&self) {
        self.listener.listen();
    }

    fn is_listening(&self) -> bool {
        self.listener.is_listening()
    }
}

#[cfg(all(test, not(ringlight_loom)))]
mod tests {
    use ringlight_clock::{Clock, ManualTime, Reading};
    use ringlight_collector::record::{Head, Record, WORD_BYTES, copy_words};
    use ringlight_model::{SpanKind, StatusCode};

    use super::super::slab::SpanContext;
    use super::*;

    #[test]
    fn a_span_is_as_old_as_it_is_when_the_clock_has_changed_what_it_reads() {
        const SECOND: u64 = 1_000_000_000;
        let time = ManualTime::default();
        time.set_wall(100 * SECOND);
        let slab = Arc::new(Slab::new(Clock::manual(time.clone())));
        assert_eq!(slab.take(&mut [0; 2]), 2);
        let slot = slab.slot_at(1).unwrap();
        slot.open(0, SlotId::NO_PARENT, SpanContext::NONE);
        let start = Moment {
            // Of the counter, which the clock has given up since.
            reading: Reading::from_bits(5),
            unix_nano: 100 * SECOND,
        };
        let id = slot.publish(
            1,
            Head::span(SpanKind::Internal, StatusCode::Unset, 1),
            9,
            start,
        );
        time.pass(30 * SECOND);
        let source = OpenSpans::new(slab, Arc::default());
        let mut all = Vec::new();
        source.look(0, &mut |seen| all.push(seen));
        let seen = SeenSpan {
            key: id.get(),
            open_for: Duration::from_secs(30),
        };
        assert_eq!(all, [seen]);
        let words = source.record(id.get()).unwrap();
        let mut bytes = vec![0; words.len() * WORD_BYTES];
        copy_words(words, &mut bytes);
        let Ok(Record::Span(span)) = Record::parse(&bytes) else {
            panic!("it is the record of a span");
        };
        assert_eq!(span.end_unix_nano() - span.start_unix_nano(), 30 * SECOND);
    }
}
