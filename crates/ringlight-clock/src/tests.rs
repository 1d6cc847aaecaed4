use std::time::{SystemTime, UNIX_EPOCH};

use super::*;

const SECOND: u64 = 1_000_000_000;
const HOUR: u64 = 3600 * SECOND;

#[test]
fn times_follow_the_wall_clock_and_durations_do_not() {
    let time = ManualTime::default();
    time.set_wall(10 * HOUR);
    let clock = Clock::manual(time.clone());
    let start = clock.now();
    assert_eq!(start.unix_nano, 10 * HOUR);

    time.pass(5);
    time.set_wall(9 * HOUR);
    let since_start = |clock: &Clock| clock.nanos_between(start.reading, clock.reading());
    assert_eq!(since_start(&clock), Some(5));

    time.pass(2 * SECOND);
    assert_eq!(clock.now().unix_nano, 9 * HOUR + 2 * SECOND);
    assert_eq!(since_start(&clock), Some(5 + 2 * SECOND));
}

#[test]
fn a_negative_duration_is_zero() {
    let time = ManualTime::default();
    let clock = Clock::manual(time.clone());
    let early = clock.reading();
    time.pass(7);
    assert_eq!(clock.nanos_between(clock.reading(), early), Some(0));
}

#[test]
fn readings_of_different_kinds_have_no_difference() {
    let clock = Clock::manual(ManualTime::default());
    let counted = Reading::from_bits(5);
    assert_eq!(clock.nanos_between(counted, clock.reading()), None);
    assert_eq!(clock.nanos_between(clock.reading(), counted), None);
}

fn unix_nano() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_nanos() as u64
}

/// Whatever it reads, the clock agrees with the system's.
fn check_agrees(clock: &Clock) {
    const SLACK: u64 = 1_000_000;
    let before = unix_nano();
    let outer = Instant::now();
    let start = clock.now();
    let inner = Instant::now();
    let after = unix_nano();
    assert!((before - SLACK..=after + SLACK).contains(&start.unix_nano));

    while outer.elapsed().as_millis() < 30 {
        let _ = clock.now();
    }
    let least = inner.elapsed().as_nanos() as u64;
    let end = clock.reading();
    let most = outer.elapsed().as_nanos() as u64;
    let measured = clock.nanos_between(start.reading, end).unwrap();
    assert!(measured >= least - least / 1000, "{measured}, not {least}");
    assert!(measured <= most + most / 1000, "{measured}, not {most}");
}

#[test]
fn the_system_clock_agrees_with_the_system() {
    check_agrees(&Clock::system());
    check_agrees(&Clock::monotonic());
}

#[test]
fn a_renewal_under_readers_is_never_half_seen() {
    let time = ManualTime::default();
    time.set_wall(HOUR);
    let clock = Clock::manual(time.clone());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let mut last = 0;
                while last < HOUR + 2000 * SECOND {
                    // Both clocks go together, so that any whole anchor gives times in order, up to
                    // what passes between the readings within a renewal.
                    let now = clock.now().unix_nano;
                    assert!(now + 2 * SECOND >= last, "{now} after {last}");
                    last = last.max(now);
                }
            });
        }
        for _ in 0..2001 {
            time.pass(SECOND);
        }
    });
}

#[test]
fn readers_renew_an_anchor_only_if_nobody_keeps_it() {
    let time = ManualTime::default();
    time.set_wall(HOUR);
    let clock = Clock::manual(time.clone());
    // Until renewals are a second apart.
    for _ in 0..20 {
        time.pass(SECOND);
        clock.keep();
    }
    let published = || clock.anchors.published();
    let step = |nanos, act: &dyn Fn()| {
        let before = published();
        time.pass(nanos);
        act();
        published() - before
    };
    let read = || {
        let _ = clock.now();
    };
    for _ in 0..10 {
        assert_eq!(step(SECOND / 2, &read), 0);
        assert_eq!(step(SECOND / 2, &|| clock.keep()), 1);
        assert_eq!(step(0, &|| clock.keep()), 0);
    }
    assert_eq!(step(SECOND * 3 / 2, &read), 0);
    assert_eq!(step(SECOND / 2, &read), 1);
}

#[test]
fn speed_is_nanoseconds_a_tick() {
    let pair = |ticks, monotonic_nano| Pair {
        ticks,
        monotonic_nano,
        unix_nano: 0,
    };
    let speed = |a: Pair, b: Pair| b.per_tick_since(&a);
    assert_eq!(speed(pair(100, 0), pair(400, 100)), Some((1 << 32) / 3));
    assert_eq!(speed(pair(100, 0), pair(100, 100)), None);
    assert_eq!(speed(pair(100, 50), pair(400, 10)), None);
    assert_eq!(scale(3_000_000_000, (1 << 32) / 3), 999_999_999);
}
