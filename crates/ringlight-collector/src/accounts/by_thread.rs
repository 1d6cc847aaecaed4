//! The rows of the ledger that producers counted.

use ringlight_model::{ThreadAccount, ThreadKind};
use ringlight_ring::{Owner, RingSender};

use super::{Counted, Counters, RING_SIGNALS};

/// Adds counters up. They wrap, as those of the rings do.
pub(super) fn add(sum: &mut Counters, counters: &Counters) {
    for (sum, counter) in sum.iter_mut().zip(counters) {
        *sum = sum.wrapping_add(*counter);
    }
}

/// What all producers counted, and a row for each thread that owns rings, for those that share one and
/// for those that are gone: as many as there are rings, and one.
pub(super) fn rows(sender: &RingSender) -> (Counters, Vec<ThreadAccount>) {
    let mut total = Counters::default();
    let mut ended = Counters::default();
    let mut left_bytes = 0;
    let mut rows: Vec<ThreadAccount> = Vec::new();
    sender.visit_rings(|ring| {
        add(&mut ended, &ring.counted_before);
        let mut row = match ring.owner {
            Owner::Thread(thread) => ThreadAccount::of_thread(thread.name.clone(), thread.id),
            Owner::Shared => ThreadAccount::of_several(ThreadKind::Shared),
            Owner::Nobody => {
                left_bytes += ring.fill_bytes as u64;
                return;
            }
        };
        add(&mut total, &ring.counted);
        fill(&mut row, &ring.counted);
        row.ring_used_bytes = ring.fill_bytes as u64;
        rows.push(row);
    });
    add(&mut total, &ended);
    // A thread has several rings if it made producers of spans.
    rows.sort_by_key(|row| (row.kind, row.id));
    rows.dedup_by(|row, first| {
        let is_same = row.kind == ThreadKind::Thread && row.id == first.id;
        if is_same {
            first.add(row);
        }
        is_same
    });
    let mut row = ThreadAccount::of_several(ThreadKind::Ended);
    fill(&mut row, &ended);
    row.ring_used_bytes = left_bytes;
    rows.push(row);
    (total, rows)
}

fn fill(row: &mut ThreadAccount, counters: &Counters) {
    for signal in RING_SIGNALS {
        *row.counts_mut(signal) = Counted::produced(counters, signal);
    }
}
