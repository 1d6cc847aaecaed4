//! Models of what channels are counted by, explored by loom: groups that are made and found, and sheets that go from thread
//! to thread.
//!
//! Run with `RUSTFLAGS="--cfg ringlight_loom" cargo test -p ringlight --features profiling-alloc --lib --release
//! channel::model` and a target folder of its own. Bounds: three threads, tables of two slots, one sheet, and those of
//! [`model`]. What the locks of groups and sheets order, loom's lock orders; a `OnceLock` is the standard library's.
//!
//! Each of these makes a model fail: a table's key stored or loaded `Relaxed`, or stored before the index; no lock around the
//! search for a group; a sheet that is not marked as taken, that is replaced instead of handed on, or that is handed on
//! without the lock; the shared sheet left out of a sum, or added to without a locked instruction.

use std::panic::Location;
use std::sync::Arc;

use loom::thread;

use super::counts::{Groups, Kind, Origin};
use super::numbers::{Sheets, add_alone};
use crate::sync::model;

#[track_caller]
fn place() -> &'static Location<'static> {
    Location::caller()
}

/// Two threads open the first channels of two places at once, which a third opens as well and reads. All find the same
/// groups, and each place has one.
#[test]
fn groups_are_made_and_found_at_once() {
    const KIND: Kind = Kind::Mpsc;

    model(|| {
        let here = place();
        let places = [here, place()];
        let groups = Arc::new(Groups::default());
        let opening = places.map(|place| {
            let groups = Arc::clone(&groups);
            thread::spawn(move || groups.index_of(KIND, Origin::Place(place)))
        });
        let find = |place| groups.index_of(KIND, Origin::Place(place));
        let name = |index| {
            let group = groups.iter().nth(index).unwrap();
            group.name().to_owned()
        };
        let found = places.map(|place| {
            let index = find(place);
            assert_eq!(name(index), format!("{}:{}", place.file(), place.line()));
            index
        });
        assert_eq!(found, opening.map(|opening| opening.join().unwrap()));
        assert_eq!(groups.iter().count(), places.len());
    });
}

/// The number of the models.
const INDEX: usize = 1;

/// Counts as a thread does that begins, and ends.
fn count(sheets: &Sheets) {
    let taken = sheets.take();
    for _ in 0..2 {
        match taken {
            Some((sheet, _)) => add_alone(&sheet.0[INDEX], 1),
            None => sheets.add_shared(INDEX, 1),
        }
    }
    if let Some((_, place)) = taken {
        sheets.give_back(place);
    }
}

/// Two threads count, on the sheet that the first of them leaves to the second or, where they do so at once, one without a
/// sheet; and a third reads. What is read never becomes less or more than was counted, and in the end it is all there.
#[test]
fn a_sheet_is_left_to_another_thread_while_it_is_read() {
    model(|| {
        let sheets = Arc::new(Sheets::default());
        let counting = [(); 2].map(|()| {
            let sheets = Arc::clone(&sheets);
            thread::spawn(move || count(&sheets))
        });
        let read = [(); 2].map(|()| sheets.sum(INDEX));
        for counting in counting {
            counting.join().unwrap();
        }
        assert!(read[0] <= read[1] && read[1] <= 4, "{read:?}");
        assert_eq!(sheets.sum(INDEX), 4);
    });
}

/// Two threads count at once for which there is no sheet.
#[test]
fn threads_without_a_sheet_count_on_one() {
    model(|| {
        let sheets = Arc::new(Sheets::default());
        let taken = sheets.take();
        assert!(taken.is_some());
        let of_other = Arc::clone(&sheets);
        let other = thread::spawn(move || count(&of_other));
        count(&sheets);
        other.join().unwrap();
        assert_eq!(sheets.sum(INDEX), 4);
    });
}
