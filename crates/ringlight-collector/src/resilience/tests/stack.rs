//! All of them together, in their order.

use super::*;

fn builder<E: Exporter>(backend: E) -> ResilientExporterBuilder<E> {
    let quota = Quota::per_second(10, RateUnit::Requests);
    // Too short to wait for a breaker.
    let policy = RetryPolicy {
        total_max: seconds(10),
        ..RetryPolicy::default()
    };
    // In another order than the one they come to be in.
    ResilientExporterBuilder::new(backend)
        .timeout(seconds(2))
        .retry(policy)
        .circuit_breaker(CircuitBreakerConfig::default())
        .rate_limit(TokenBucket::new(quota, 1).unwrap())
}

#[tokio::test(start_paused = true)]
async fn nothing_is_there_that_was_not_asked_for() {
    let backend = Backend::slow(seconds(100), |_| away());
    let exporter = ResilientExporterBuilder::new(&backend).build().unwrap();
    for _ in 0..10 {
        exporter.export(batch(1)).await.unwrap_err();
    }
    assert_eq!(backend.start.elapsed(), seconds(1_000));
    assert_eq!(exporter.export_time_max(), None);
    let stats = exporter.stats(Signal::Traces);
    let nothing = ResilienceStats {
        retry: None,
        rate_limit: None,
        circuit_breaker: None,
        timeout: None,
    };
    assert_eq!(stats, nothing);
}

#[tokio::test(start_paused = true)]
async fn each_repetition_goes_through_limit_breaker_and_timeout() {
    let backend = Backend::slow(seconds(3600), |_| taken());
    let exporter = builder(&backend).build().unwrap();
    exporter.export(batch(1)).await.unwrap_err();
    let stats = exporter.stats(Signal::Traces);
    assert_eq!(stats.retry.unwrap().attempts, 4);
    let breaker = stats.circuit_breaker.unwrap();
    assert_eq!((breaker.admitted, breaker.opened), (4, 0));
    assert_eq!(stats.timeout.unwrap().timeouts, 4);
    // The fifth failure in a row opens it, in the middle of the repetitions of a batch, which end.
    let result = exporter.export(batch(2)).await;
    // It was refused after its wait for that repetition.
    assert_within(told_to_return_after(&result), seconds(29), seconds(33));
    let stats = exporter.stats(Signal::Traces);
    assert_eq!(stats.retry.unwrap().attempts, 6);
    assert_eq!(stats.circuit_breaker.unwrap().opened, 1);
    assert_eq!(backend.attempts().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_turn_is_no_time_of_the_request() {
    let backend = Backend::slow(ms(1_900), |_| taken());
    let quota = Quota {
        unit: RateUnit::Requests,
        amount: 1,
        per: seconds(4),
    };
    let exporter = builder(&backend)
        .rate_limit(TokenBucket::new(quota, 1).unwrap())
        .build()
        .unwrap();
    for sequence in 0..5 {
        exporter.export(batch(sequence)).await.unwrap();
    }
    let stats = exporter.stats(Signal::Traces);
    assert_eq!(stats.timeout.unwrap().timeouts, 0);
    assert_eq!(stats.rate_limit.unwrap().waits, 4);
}

#[tokio::test(start_paused = true)]
async fn turns_that_are_too_far_away_are_no_failures_of_the_backend() {
    let backend = Backend::new(|_| taken());
    let exporter = builder(&backend)
        .rate_limit_wait_max(Duration::ZERO)
        .build()
        .unwrap();
    let results = all((0..100).map(|sequence| exporter.export(batch(sequence)))).await;
    assert!(results.iter().any(Result::is_err));
    let breaker = exporter.stats(Signal::Traces).circuit_breaker.unwrap();
    assert_eq!((breaker.state, breaker.opened), (CircuitState::Closed, 0));
}

#[tokio::test(start_paused = true)]
async fn while_the_breaker_is_open_nothing_waits_and_nothing_is_sent() {
    let backend = Backend::new(|_| away());
    let exporter = builder(&backend).build().unwrap();
    let is_open = || {
        let stats = exporter.stats(Signal::Traces).circuit_breaker;
        stats.unwrap().state == CircuitState::Open
    };
    while !is_open() {
        exporter.export(batch(1)).await.unwrap_err();
    }
    // The first one learns of it from the breaker, the others from the limit.
    exporter.export(batch(1)).await.unwrap_err();
    let start = Instant::now();
    let before = exporter.stats(Signal::Traces).rate_limit.unwrap();
    for result in all((0..50).map(|sequence| exporter.export(batch(sequence)))).await {
        assert!(told_to_return_after(&result) > seconds(20));
    }
    assert_eq!(start.elapsed(), Duration::ZERO);
    let after = exporter.stats(Signal::Traces).rate_limit.unwrap();
    assert_eq!(after.refused - before.refused, 50);
    assert_eq!(backend.attempts().len(), 5);
}

#[tokio::test(start_paused = true)]
async fn no_backend_holds_a_batch_for_longer_than_it_says() {
    for seed in 0..200 {
        fastrand::seed(seed);
        let backend = Backend::slow(ms(fastrand::u64(0..3_000)), |_| match fastrand::u8(0..6) {
            0 => taken(),
            1 => refused(),
            2 => busy(Some(ms(fastrand::u64(0..40_000)))),
            3 => busy(None),
            _ => away(),
        });
        let policy = RetryPolicy {
            retries_max: fastrand::u32(0..20),
            total_max: ms(fastrand::u64(0..60_000)),
            ..RetryPolicy::default()
        };
        let exporter = builder(&backend).retry(policy).build().unwrap();
        let longest = exporter.export_time_max().unwrap();
        for _ in 0..20 {
            let calls = (0..4).map(|sequence| {
                let exporter = &exporter;
                async move {
                    let start = Instant::now();
                    let _ = exporter.export(batch(sequence)).await;
                    start.elapsed()
                }
            });
            for took in all(calls).await {
                assert!(
                    took <= longest + ms(5),
                    "{took:?} of {longest:?}, seed {seed}"
                );
            }
        }
    }
}

#[test]
fn a_setting_out_of_range_ends_the_building_and_says_which() {
    let backend = Backend::new(|_| taken());
    let check = |builder: ResilientExporterBuilder<_>, expected: &str| {
        assert_eq!(builder.build().err().unwrap().to_string(), expected);
    };
    let policy = RetryPolicy {
        delay_first: seconds(7200),
        ..RetryPolicy::default()
    };
    let retry = "`retry.delay_first` is 7200 s, allowed is 1 ms to 3600 s";
    check(builder(&backend).retry(policy), retry);
    let config = CircuitBreakerConfig {
        reset_timeout: Duration::ZERO,
        ..CircuitBreakerConfig::default()
    };
    let breaker = "`reset_timeout` is 0 s, allowed is 1 ms to 3600 s";
    check(builder(&backend).circuit_breaker(config), breaker);
}
