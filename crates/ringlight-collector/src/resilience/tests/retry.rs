//! Repetitions.

use super::*;

fn patient() -> RetryPolicy {
    RetryPolicy {
        total_max: seconds(3600),
        ..RetryPolicy::default()
    }
}

#[tokio::test(start_paused = true)]
async fn three_repetitions_by_default_and_then_the_error_is_handed_on() {
    for failure in [away as fn() -> Exported, || busy(None)] {
        let backend = Backend::new(move |_| failure());
        let exporter = RetryingExporter::new(&backend, RetryPolicy::default()).unwrap();
        let error = exporter.export(batch(1)).await.unwrap_err();
        assert!(error.is_retryable());
        let times = backend.times();
        let waits: Vec<Duration> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let [first, second, third] = waits[..] else {
            panic!("{waits:?}");
        };
        assert_within(first, ms(50), ms(100));
        assert_within(second, ms(100), ms(200));
        assert_within(third, ms(200), ms(400));
        let expected = RetryStats {
            attempts: 4,
            retries: 3,
            recovered: 0,
            given_up: 1,
        };
        assert_eq!(exporter.stats(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_taken_when_it_is_sent_again_has_recovered() {
    let backend = Backend::new(|attempt| if attempt < 2 { away() } else { taken() });
    let exporter = RetryingExporter::new(&backend, RetryPolicy::default()).unwrap();
    exporter.export(batch(1)).await.unwrap();
    exporter.export(batch(2)).await.unwrap();
    let expected = RetryStats {
        attempts: 4,
        retries: 2,
        recovered: 1,
        given_up: 0,
    };
    assert_eq!(exporter.stats(), expected);
    let sequences = backend.attempts().into_iter().map(|a| a.sequence);
    assert_eq!(sequences.collect::<Vec<_>>(), [1, 1, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_good_is_not_repeated() {
    let unsupported = || {
        Err(ExportError::Unsupported {
            reason: "no such thing".to_owned(),
        })
    };
    for failure in [refused as fn() -> Exported, unsupported] {
        let backend = Backend::new(move |_| failure());
        let exporter = RetryingExporter::new(&backend, RetryPolicy::default()).unwrap();
        assert!(!exporter.export(batch(1)).await.unwrap_err().is_retryable());
        assert_eq!(backend.attempts().len(), 1);
        assert_eq!(exporter.stats().given_up, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn the_delay_a_backend_asks_for_is_kept_and_an_absurd_one_is_cut() {
    let check = async |asked_for: Duration, kept: Duration| {
        let backend = Backend::new(move |attempt| match attempt {
            0 => busy(Some(asked_for)),
            _ => taken(),
        });
        let exporter = RetryingExporter::new(&backend, patient()).unwrap();
        exporter.export(batch(1)).await.unwrap();
        // Nobody right at that time, nor all at once.
        assert_within(backend.times()[1], kept + ms(50), kept + ms(100));
    };
    check(Duration::ZERO, Duration::ZERO).await;
    check(seconds(7), seconds(7)).await;
    check(seconds(1_000_000_000_000), seconds(60)).await;
    check(Duration::MAX, seconds(60)).await;
}

#[tokio::test(start_paused = true)]
async fn the_budget_ends_repetitions_and_no_wait_that_would_exceed_it_begins() {
    let backend = Backend::slow(seconds(1), |_| away());
    let policy = RetryPolicy {
        retries_max: u32::MAX,
        ..RetryPolicy::default()
    };
    let exporter = RetryingExporter::new(&backend, policy).unwrap();
    exporter.export(batch(1)).await.unwrap_err();
    let times = backend.times();
    assert!(times.len() > 5, "{times:?}");
    assert!(times.iter().all(|at| *at <= policy.total_max), "{times:?}");
    assert!(backend.start.elapsed() <= policy.total_max + seconds(1));

    // A wait that is too long is the caller's, who is told of it at once.
    let backend = Backend::new(|_| busy(Some(seconds(45))));
    let exporter = RetryingExporter::new(&backend, policy).unwrap();
    let result = exporter.export(batch(1)).await;
    assert_eq!(told_to_return_after(&result), seconds(45));
    assert_eq!(backend.start.elapsed(), Duration::ZERO);
}

#[test]
fn a_policy_out_of_range_is_an_error_that_says_which() {
    let backend = Backend::new(|_| taken());
    let check = |policy: RetryPolicy, expected: &str| {
        let error = RetryingExporter::new(&backend, policy).err().unwrap();
        assert_eq!(error.to_string(), expected);
    };
    check(
        RetryPolicy {
            delay_first: Duration::ZERO,
            ..RetryPolicy::default()
        },
        "`retry.delay_first` is 0 s, allowed is 1 ms to 3600 s",
    );
    check(
        RetryPolicy {
            delay_max: ms(1),
            ..RetryPolicy::default()
        },
        "`retry.delay_max` is 1 ms, allowed is 100 ms to 3600 s",
    );
    check(
        RetryPolicy {
            total_max: Duration::MAX,
            ..RetryPolicy::default()
        },
        "`retry.total_max` is 18446744073709552000 s, allowed is 0 s to 86400 s",
    );
}
