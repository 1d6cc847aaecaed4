//! Rates.

use std::sync::Arc;

use super::*;

fn requests(amount: u64, per: Duration) -> Quota {
    Quota {
        unit: RateUnit::Requests,
        amount,
        per,
    }
}

/// The turns of so many batches that come at once, in milliseconds.
fn turns_ms(limiter: &impl RateLimiter, count: usize, cost: Cost) -> Vec<u128> {
    let now = Instant::now();
    let turn = |_| limiter.reserve(cost, now, Duration::MAX).unwrap();
    (0..count).map(turn).map(|wait| wait.as_millis()).collect()
}

const COST: Cost = Cost {
    records: 10,
    bytes: 100,
};

#[test]
fn a_bucket_lets_a_burst_through_and_then_one_after_the_other() {
    let check = |quota: Quota, burst: u64, expected: [u128; 5]| {
        let bucket = TokenBucket::new(quota, burst).unwrap();
        assert_eq!(turns_ms(&bucket, 5, COST), expected);
    };
    check(requests(10, seconds(1)), 2, [0, 0, 100, 200, 300]);
    check(
        requests(1, seconds(60)),
        1,
        [0, 60_000, 120_000, 180_000, 240_000],
    );
    let records = Quota::per_second(100, RateUnit::Records);
    check(records, 30, [0, 0, 0, 100, 200]);
    let bytes = Quota::per_second(1_000, RateUnit::Bytes);
    check(bytes, 150, [0, 50, 150, 250, 350]);
    // Larger than a burst: it leaves, and takes the time it costs from the next one.
    check(bytes, 10, [0, 100, 200, 300, 400]);
}

#[test]
fn a_second_of_bytes_may_go_at_once() {
    let bucket = TokenBucket::bytes_per_second(200).unwrap();
    assert_eq!(turns_ms(&bucket, 5, COST), [0, 0, 500, 1_000, 1_500]);
}

#[test]
fn a_bucket_that_takes_longer_than_a_life_does_not_overflow() {
    let quota = Quota {
        unit: RateUnit::Bytes,
        amount: 1,
        per: seconds(24 * 3600),
    };
    let bucket = TokenBucket::new(quota, 1).unwrap();
    let cost = Cost {
        records: 1,
        bytes: u64::MAX,
    };
    let now = Instant::now();
    for _ in 0..1_000 {
        let _ = bucket.reserve(cost, now, Duration::MAX);
    }
    assert!(bucket.reserve(cost, now, seconds(3600)).is_err());
}

#[test]
fn a_window_lets_its_quota_through_and_then_waits_until_that_has_left() {
    let window = SlidingWindow::new(requests(3, seconds(1))).unwrap();
    let expected = [0, 0, 0, 1_000, 1_000, 1_000, 2_000];
    assert_eq!(turns_ms(&window, 7, COST), expected);
    // Where a bucket of the same quota would let five through in a second.
    let window = SlidingWindow::new(Quota::per_second(300, RateUnit::Bytes)).unwrap();
    let now = Instant::now();
    let turn = |at| window.reserve(COST, now + at, Duration::MAX).unwrap();
    assert_eq!(turn(ms(0)), ms(0));
    assert_eq!(turn(ms(900)), ms(0));
    assert_eq!(turn(ms(900)), ms(0));
    assert_eq!(turn(ms(950)), ms(50), "the first one has left");
    assert_eq!(turn(ms(1_000)), ms(900), "the other two have");
}

#[test]
fn a_window_forgets_what_has_left() {
    let window = SlidingWindow::new(Quota::per_second(1_000_000, RateUnit::Bytes)).unwrap();
    let start = Instant::now();
    for at in 0..20_000_u64 {
        let wait = window.reserve(
            COST,
            start + Duration::from_micros(at * 500),
            Duration::ZERO,
        );
        assert_eq!(wait, Ok(Duration::ZERO));
        assert!(window.remembered() <= 66);
    }
}

#[test]
fn quotas_out_of_range_are_errors_that_say_which() {
    let check = |result: Result<TokenBucket, crate::CollectorConfigError>, expected: &str| {
        assert_eq!(result.unwrap_err().to_string(), expected);
    };
    check(
        TokenBucket::bytes_per_second(0),
        "`amount` is 0, allowed is 1 to 18446744073709551615",
    );
    check(
        TokenBucket::new(requests(1, seconds(1)), 0),
        "`burst` is 0, allowed is 1 to 18446744073709551615",
    );
    check(
        TokenBucket::new(requests(1, Duration::ZERO), 1),
        "`per` is 0 s, allowed is 1 ms to 86400 s",
    );
    assert!(SlidingWindow::new(requests(0, seconds(1))).is_err());
}

#[tokio::test(start_paused = true)]
async fn batches_leave_at_the_rate_and_none_is_lost() {
    let backend = Backend::new(|_| taken());
    let bucket = TokenBucket::new(requests(10, seconds(1)), 1).unwrap();
    let exporter = RateLimitedExporter::new(&backend, bucket);
    let results = all((0..20).map(|sequence| exporter.export(batch(sequence)))).await;
    assert!(results.iter().all(Result::is_ok));
    for (index, at) in backend.times().into_iter().enumerate() {
        let turn = ms(100) * index as u32;
        assert_within(at, turn, turn);
    }
    let stats = exporter.stats();
    assert_eq!((stats.waits, stats.refused), (19, 0));
    assert_within(stats.wait_time, ms(19_000), ms(19_050));
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_is_too_far_away_is_refused_with_its_time() {
    let backend = Backend::new(|_| taken());
    let bucket = TokenBucket::new(requests(1, seconds(4)), 1).unwrap();
    let exporter = RateLimitedExporter::new(&backend, bucket);
    let results = all((0..5).map(|sequence| exporter.export(batch(sequence)))).await;
    assert!(results[0].is_ok() && results[1].is_ok(), "{results:?}");
    for result in &results[2..] {
        // Nobody of them has booked, so the next turn is the same for all.
        assert_eq!(told_to_return_after(result), seconds(8));
    }
    let error = results[4].as_ref().unwrap_err();
    assert_eq!(
        error.to_string(),
        "traces' place is to be sent nothing for 8 s"
    );
    assert_eq!(exporter.stats().refused, 3);
    assert_eq!(
        backend.start.elapsed(),
        seconds(4),
        "the others were told at once"
    );
    tokio::time::sleep(seconds(4)).await;
    exporter.export(batch(5)).await.unwrap();
    assert_within(backend.times()[2], seconds(8), seconds(8));
}

#[tokio::test(start_paused = true)]
async fn a_limit_may_be_shared() {
    let backend = Backend::new(|_| taken());
    let bucket = Arc::new(TokenBucket::new(requests(1, seconds(1)), 1).unwrap());
    let first = RateLimitedExporter::new(&backend, Arc::clone(&bucket));
    let second = RateLimitedExporter::new(&backend, bucket);
    for sequence in 0..4 {
        let exporter = if sequence % 2 == 0 { &first } else { &second };
        exporter.export(batch(sequence)).await.unwrap();
    }
    let last = backend.times()[3];
    assert_within(last, seconds(3), seconds(3));
}

#[tokio::test(start_paused = true)]
async fn a_place_that_wants_to_be_left_alone_does_not_hold_another() {
    let backend = Backend::new(|attempt| match attempt {
        0 => busy(Some(seconds(30))),
        _ => taken(),
    });
    let bucket = TokenBucket::new(requests(100, seconds(1)), 100).unwrap();
    let exporter = RateLimitedExporter::new(&backend, bucket);
    exporter.export(batch(1)).await.unwrap_err();
    let after = told_to_return_after(&exporter.export(batch(2)).await);
    assert_eq!(after, seconds(30));
    exporter.export(batch_of(Signal::Logs, 3)).await.unwrap();
    assert_eq!(backend.start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn what_was_held_up_does_not_come_all_at_once() {
    // It says so when the others have booked their turns, all of which come while it wants to be left alone.
    let backend = Backend::slow(ms(50), |attempt| match attempt {
        0 => busy(Some(seconds(2))),
        _ => taken(),
    });
    let bucket = TokenBucket::new(requests(10, seconds(1)), 1).unwrap();
    let exporter = RateLimitedExporter::new(&backend, bucket);
    let results = all((0..10).map(|sequence| exporter.export(batch(sequence)))).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 9);
    let times = backend.times();
    assert!(times[1] >= seconds(2), "{times:?}");
    for pair in times[1..].windows(2) {
        assert!(pair[1] - pair[0] >= ms(98), "{times:?}");
    }
}
