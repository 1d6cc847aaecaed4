//! What the registry keeps, and what it lets go.

use super::*;

const MINUTE: u64 = 60 * 1_000_000_000;

impl Registry {
    /// Lets as much time go by for all series.
    pub(crate) fn age(&mut self, nanos: u64) {
        for known in self.known.values_mut() {
            known.received_unix_nano -= nanos;
        }
    }
}

fn series(number: usize) -> Series {
    Series {
        metric: Arc::new(Metric {
            name: format!("metric {}", number % 3).into(),
            ..Metric::default()
        }),
        resource: Arc::new(Resource {
            attributes: vec![KeyValue::new("host", (number % 5) as i64)],
            ..Resource::default()
        }),
        attributes: vec![KeyValue::new("n", number as i64)],
        ..Series::default()
    }
}

fn at(minutes: u64) -> Arrival {
    Arrival {
        slice: 1,
        received_unix_nano: (1000 + minutes) * MINUTE,
        is_stored: false,
    }
}

/// The numbers that series get whose points arrive; 0 for those there is no room for.
fn arrive(
    registry: &mut Registry,
    numbers: impl IntoIterator<Item = usize>,
    at: Arrival,
) -> Vec<u64> {
    let series = numbers.into_iter().map(series);
    let mut table = MetricTable::default();
    table.series = series
        .map(|series| LocalSeries {
            id: 0,
            fingerprint: Fingerprint::of(&series),
            series: Some(Arc::new(series)),
        })
        .collect();
    registry.resolve(&mut table, at, &mut Vec::new());
    table.series.iter().map(|local| local.id).collect()
}

#[test]
fn those_idle_for_the_longest_make_room_and_none_that_is_written_to() {
    let mut registry = Registry::new(10);
    arrive(&mut registry, 0..5, at(0));
    arrive(&mut registry, 5..10, at(10));
    assert_eq!(arrive(&mut registry, [10], at(14)), [0]);
    // The first five are idle; the fourth comes again just in time, in a request that brings another four.
    let ids = arrive(&mut registry, [11, 12, 13, 14, 3], at(16));
    assert_eq!(ids, [11, 12, 13, 14, 4]);
    assert_eq!((registry.len(), registry.forgotten()), (10, 4));
    assert_eq!(arrive(&mut registry, [15], at(20)), [0]);
    assert_eq!(arrive(&mut registry, [15, 0], at(26)), [15, 16]);
    assert_eq!((registry.len(), registry.forgotten()), (10, 6));
    // What is stored is known, however much it is.
    let stored = Arrival {
        is_stored: true,
        ..at(26)
    };
    assert!(!arrive(&mut registry, 20..30, stored).contains(&0));
    assert_eq!((registry.len(), registry.forgotten()), (17, 9));
}

#[test]
fn there_is_a_pause_after_few_were_found() {
    let mut registry = Registry::new(10);
    arrive(&mut registry, 0..2, at(0));
    arrive(&mut registry, 2..10, at(1));
    // Two are idle; of the others some are as soon as a minute is over.
    assert_eq!(arrive(&mut registry, 10..13, at(16)), [11, 12, 0]);
    let later = |nanos| Arrival {
        received_unix_nano: at(16).received_unix_nano + nanos,
        ..at(16)
    };
    assert_eq!(arrive(&mut registry, [13], later(LOOK_PAUSE_NANO - 1)), [0]);
    assert_eq!(arrive(&mut registry, [13], later(LOOK_PAUSE_NANO)), [13]);
}

#[test]
fn many_make_room_at_a_time_where_many_are_kept() {
    let mut registry = Registry::new(6400);
    arrive(&mut registry, 0..6400, at(0));
    arrive(&mut registry, [6400], at(20));
    assert_eq!((registry.len(), registry.forgotten()), (6301, 100));
    arrive(&mut registry, 6401..6500, at(20));
    assert_eq!((registry.len(), registry.forgotten()), (6400, 100));
}

#[test]
fn what_is_forgotten_leaves_nothing_behind() {
    let mut registry = Registry::new(100);
    let listed = (1..=50).map(|id| (id, series(id as usize))).collect();
    let of_slice = |slice| Arrival { slice, ..at(0) };
    registry.list(listed, of_slice(1), 7, &mut HashSet::default());
    assert_eq!(
        (
            registry.len(),
            registry.metrics.len(),
            registry.resources.len()
        ),
        (50, 3, 5)
    );
    registry.saw(9, of_slice(2), 8);
    registry.forget_slice(1);
    assert_eq!(
        (
            registry.len(),
            registry.metrics.len(),
            registry.resources.len()
        ),
        (1, 1, 1)
    );
    registry.forget_slice(2);
    assert_eq!((registry.len(), registry.bytes), (0, 0));
    assert!(registry.metrics.is_empty() && registry.scopes.is_empty());
    assert!(registry.by_fingerprint.is_empty());
    // A number is never used again.
    assert_eq!(registry.next_id, 51);
}
