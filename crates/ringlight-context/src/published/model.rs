//! Models of the real places, explored by loom.
//!
//! Run with `RUSTFLAGS="--cfg ringlight_loom" cargo test -p ringlight-context --lib --release published::model` and a target
//! folder of its own. Bounds: two threads, one place, at most three preemptions an execution (threads that block or
//! end switch freely), every value a load may return.
//!
//! Each of these makes a model fail: any of the orderings weakened that is not `Relaxed`; the count stored before what it
//! counts; a place that is taken by a load and a store.

use std::sync::Arc;

use loom::thread;

use super::*;

fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    // `LOOM_MAX_PREEMPTIONS` says otherwise.
    builder.preemption_bound.get_or_insert(3);
    builder.check(run);
}

/// What is read is of the span that is counted or a later one, and where the count is the same afterwards, not later
/// than the next one.
#[test]
fn a_thread_changes_its_span_while_it_is_looked_at() {
    model(|| {
        let place = Arc::new(PublishedThread::default());
        let of_owner = Arc::clone(&place);
        let owner = thread::spawn(move || {
            for change in 1..=3 {
                of_owner.set(change, change);
            }
        });
        let [seen, again] = [(); 2].map(|()| place.span());
        let parts = [seen.recorder, seen.span];
        assert!(parts.iter().all(|part| *part >= seen.changes), "{seen:?}");
        if again.changes == seen.changes {
            let next = seen.changes + 1;
            assert!(parts.iter().all(|part| *part <= next), "{seen:?}");
        }
        owner.join().unwrap();
        let [recorder, span, changes] = [3; 3];
        let last = PublishedSpan {
            changes,
            recorder,
            span,
        };
        assert_eq!(place.span(), last);
    });
}

/// Two threads begin and end. A place has one of them at a time, and counts on where the other one ended.
#[test]
fn a_place_goes_from_thread_to_thread() {
    /// Whether there was a place.
    fn live(places: &Places<1>, number: u64) -> bool {
        let Some(place) = places.publish(|| number, || number) else {
            return false;
        };
        place.set(number, number);
        let seen = place.span();
        assert_eq!((seen.recorder, seen.span), (number, number));
        assert_eq!(place.note(), number);
        assert!(places.taken().any(|(_, taken)| std::ptr::eq(taken, place)));
        places.withdraw(place);
        true
    }

    model(|| {
        let places = Arc::new(Places::new());
        let of_other = Arc::clone(&places);
        let other = thread::spawn(move || live(&of_other, 1));
        let lived = [live(&places, 2), other.join().unwrap()];
        let lives = lived.into_iter().filter(|lived| *lived).count();
        let seen = places.places[0].span();
        // At its beginning, in it, and at its end.
        assert_eq!(seen.changes, 3 * lives as u64);
        assert_eq!((seen.recorder, seen.span), (0, 0));
        assert_eq!(places.taken().count(), 0);
        assert_eq!(places.taken_count.load(Ordering::Relaxed), 0);
    });
}
