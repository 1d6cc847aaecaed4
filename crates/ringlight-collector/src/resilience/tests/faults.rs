//! Known faults, by number.

use std::cell::Cell;

use super::*;

/// Everything, as one process has it.
fn process<E: Exporter>(backend: E) -> ResilientExporter<E> {
    ResilientExporterBuilder::new(backend)
        .retry(RetryPolicy::default())
        .rate_limit(TokenBucket::new(Quota::per_second(100, RateUnit::Requests), 100).unwrap())
        .circuit_breaker(CircuitBreakerConfig::default())
        .timeout(seconds(3))
        .build()
        .unwrap()
}

/// Sends a batch until it is taken, as whoever has a queue does.
async fn deliver(exporter: &impl Exporter, sequence: u64) {
    while let Err(error) = exporter.export(batch(sequence)).await {
        assert!(error.is_retryable(), "{error}");
        tokio::time::sleep(error.retry_after().unwrap_or(ms(100))).await;
    }
}

#[tokio::test(start_paused = true)]
async fn fault_15_half_of_all_requests_may_fail_for_a_minute() {
    let mut opened = 0;
    for seed in 0..5 {
        fastrand::seed(seed);
        let start = Instant::now();
        let backend = Backend::slow(ms(20), |_| match start.elapsed() {
            elapsed if elapsed < seconds(60) && fastrand::bool() => match fastrand::bool() {
                true => away(),
                false => busy(None),
            },
            _ => taken(),
        });
        let exporter = process(&backend);
        // Four at a time, as a pipeline has it.
        let next = Cell::new(0);
        let worker = || async {
            while next.get() < 5_000 {
                let sequence = next.replace(next.get() + 1);
                deliver(&exporter, sequence).await;
            }
        };
        all((0..4).map(|_| worker())).await;
        let sent: std::collections::BTreeSet<_> =
            backend.attempts().iter().map(|a| a.sequence).collect();
        assert_eq!(sent.len(), 5_000);
        let stats = exporter.stats(Signal::Traces);
        assert!(stats.retry.unwrap().recovered > 0);
        opened += stats.circuit_breaker.unwrap().opened;
        assert_eq!(stats.circuit_breaker.unwrap().state, CircuitState::Closed);
        // Repeating is no storm: not many more requests than half of them failing takes.
        assert!(backend.attempts().len() < 10_500);
    }
    assert!(
        opened > 0,
        "half of them failing is five in a row now and then"
    );
}

#[tokio::test(start_paused = true)]
async fn fault_15_ten_processes_return_without_a_herd() {
    // A backend that is away, and one that tells all of them alike when to come back.
    for failure in [away as fn() -> Exported, || busy(Some(seconds(5)))] {
        for seed in 0..20 {
            fastrand::seed(seed);
            let start = Instant::now();
            let backend = Backend::new(|_| match start.elapsed() {
                elapsed if elapsed < seconds(60) => failure(),
                _ => taken(),
            });
            let processes: Vec<_> = (0..10).map(|_| process(&backend)).collect();
            // All of them find out at the same moment, which is the worst case.
            all(processes.iter().map(|process| deliver(process, 1))).await;
            assert!(start.elapsed() < seconds(100), "{:?}", start.elapsed());
            let times = backend.times();
            assert_eq!(times.iter().filter(|at| at.is_zero()).count(), 10);
            // From the probes on, which come half a minute later, they are spread out.
            let late: Vec<_> = times.into_iter().filter(|at| *at > seconds(25)).collect();
            assert!(
                late.len() >= 20,
                "each probed once and then was back: {late:?}"
            );
            for from in &late {
                let within = |at: &&Duration| (*from..*from + ms(100)).contains(*at);
                let together = late.iter().filter(within).count();
                assert!(together <= 5, "{together} from {from:?} on, seed {seed}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn fault_17_of_the_rate_and_the_delay_asked_for_the_longer_wait_wins() {
    let limiters: [fn(Quota) -> RateLimiterBoxed; 2] = [
        |quota| Box::new(TokenBucket::new(quota, 1).unwrap()),
        |quota| Box::new(SlidingWindow::new(quota).unwrap()),
    ];
    for limiter in limiters {
        for (rate, asked_for, longer) in [(10, 3, 10), (10, 30, 30), (10, 10, 10)] {
            let quota = Quota {
                unit: RateUnit::Requests,
                amount: 1,
                per: seconds(rate),
            };
            let answer = move |attempt| match attempt {
                0 => busy(Some(seconds(asked_for))),
                _ => taken(),
            };
            // The next batch waits.
            let backend = Backend::new(answer);
            let exporter =
                RateLimitedExporter::new(&backend, limiter(quota)).wait_max(seconds(100));
            exporter.export(batch(1)).await.unwrap_err();
            exporter.export(batch(2)).await.unwrap();
            assert_within(backend.times()[1], seconds(longer), seconds(longer));

            // The same one does when it is sent again, by itself or by whoever is told when to.
            for wait_max in [seconds(100), Duration::ZERO] {
                let backend = Backend::new(answer);
                let policy = RetryPolicy {
                    total_max: seconds(100),
                    ..RetryPolicy::default()
                };
                let exporter = ResilientExporterBuilder::new(&backend)
                    .retry(policy)
                    .rate_limit(limiter(quota))
                    .rate_limit_wait_max(wait_max)
                    .build()
                    .unwrap();
                exporter.export(batch(1)).await.unwrap();
                let at = backend.times()[1];
                // Nobody comes right at the time that was asked for.
                assert_within(at, seconds(longer), seconds(longer) + ms(400));
            }
        }
    }
}
