//! The breaker around an exporter.

use std::sync::Arc;
use std::task::Poll;

use super::*;

fn guarded<E: Exporter>(backend: E) -> CircuitBreakerExporter<E> {
    CircuitBreakerExporter::new(backend, CircuitBreakerConfig::default()).unwrap()
}

/// Sends batches until the breaker of the place of traces opens.
async fn open(exporter: &CircuitBreakerExporter<impl Exporter>) {
    while exporter.stats(Signal::Traces).state != CircuitState::Open {
        exporter.export(batch(0)).await.unwrap_err();
    }
}

#[tokio::test(start_paused = true)]
async fn five_failures_open_it_and_two_successes_close_it_again() {
    let backend = Backend::new(|attempt| if attempt < 5 { away() } else { taken() });
    let exporter = guarded(&backend);
    for _ in 0..5 {
        assert_eq!(exporter.stats(Signal::Traces).state, CircuitState::Closed);
        exporter.export(batch(1)).await.unwrap_err();
    }
    // Open: at once, without the backend, and with a time that is right.
    let after = told_to_return_after(&exporter.export(batch(1)).await);
    assert_within(after, seconds(30), seconds(33));
    tokio::time::sleep(after - ms(5)).await;
    let rest = told_to_return_after(&exporter.export(batch(1)).await);
    assert!(rest <= ms(5), "{rest:?}");
    assert_eq!(backend.attempts().len(), 5);
    tokio::time::sleep(rest).await;
    exporter.export(batch(1)).await.unwrap();
    assert_eq!(exporter.stats(Signal::Traces).state, CircuitState::HalfOpen);
    exporter.export(batch(2)).await.unwrap();
    let expected = CircuitBreakerStats {
        state: CircuitState::Closed,
        opened: 1,
        closed: 1,
        admitted: 7,
        rejected: 2,
    };
    assert_eq!(exporter.stats(Signal::Traces), expected);
}

#[tokio::test(start_paused = true)]
async fn what_it_says_names_the_place_and_the_time() {
    let backend = Backend::new(|_| away());
    let config = CircuitBreakerConfig {
        failure_threshold: 1,
        ..CircuitBreakerConfig::default()
    };
    let exporter = CircuitBreakerExporter::new(&backend, config).unwrap();
    exporter.export(batch(1)).await.unwrap_err();
    let error = exporter.export(batch(1)).await.unwrap_err();
    let beginning = "traces' place failed too often and is left alone for 3";
    assert!(error.to_string().starts_with(beginning), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_no_failure_whatever_it_says_of_the_batch() {
    let backend = Backend::new(|attempt| match attempt % 5 {
        4 => refused(),
        _ => busy(None),
    });
    let exporter = guarded(&backend);
    for _ in 0..50 {
        exporter.export(batch(1)).await.unwrap_err();
    }
    assert_eq!(backend.attempts().len(), 50);
    assert_eq!(exporter.stats(Signal::Traces).opened, 0);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_fails_opens_it_again() {
    let backend = Backend::new(|_| away());
    let exporter = guarded(&backend);
    open(&exporter).await;
    for opened in 2..5 {
        tokio::time::sleep(seconds(33)).await;
        exporter.export(batch(1)).await.unwrap_err();
        assert_eq!(exporter.stats(Signal::Traces).opened, opened);
        told_to_return_after(&exporter.export(batch(1)).await);
    }
    assert_eq!(backend.attempts().len(), 8);
}

#[tokio::test(start_paused = true)]
async fn it_stays_open_for_as_long_as_the_backend_asks_for() {
    let check = async |asked_for: Duration, kept: Duration| {
        let backend = Backend::new(move |_| busy(Some(asked_for)));
        let exporter = guarded(&backend);
        open(&exporter).await;
        let after = told_to_return_after(&exporter.export(batch(1)).await);
        assert_within(after, kept, kept + seconds(3));
    };
    check(seconds(1), seconds(30)).await;
    check(seconds(45), seconds(45)).await;
    check(Duration::MAX, seconds(60)).await;
}

#[tokio::test(start_paused = true)]
async fn of_a_hundred_at_once_one_is_the_probe() {
    let backend = Backend::slow(seconds(1), |_| away());
    let exporter = guarded(&backend);
    open(&exporter).await;
    let before = backend.attempts().len();
    tokio::time::sleep(seconds(33)).await;
    let calls = (0..100).map(|sequence| exporter.export(batch(sequence)));
    let results = all(calls).await;
    assert_eq!(backend.attempts().len(), before + 1);
    assert_eq!(backend.under_way_max(), 1);
    let rejected = results.iter().filter_map(|result| match result {
        Err(ExportError::Retryable { after, .. }) => *after,
        _ => None,
    });
    let soon: Vec<_> = rejected.collect();
    assert_eq!(soon.len(), 99, "each is told when to come back");
    assert!(soon.iter().all(|after| *after == seconds(1)), "{soon:?}");
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_given_up_opens_it_again_and_is_not_the_last() {
    let backend = Backend::slow(seconds(3600), |_| taken());
    let exporter = guarded(&backend);
    // A backend that hangs, whose calls somebody outside ends.
    for _ in 0..5 {
        let given_up = tokio::time::timeout(seconds(10), exporter.export(batch(1))).await;
        assert!(given_up.is_err());
    }
    assert_eq!(exporter.stats(Signal::Traces).state, CircuitState::Open);
    for probes in 1..4 {
        tokio::time::sleep(seconds(33)).await;
        let mut probe = Box::pin(exporter.export(batch(1)));
        let is_under_way =
            std::future::poll_fn(|context| Poll::Ready(probe.as_mut().poll(context).is_pending()));
        assert!(is_under_way.await);
        told_to_return_after(&exporter.export(batch(2)).await);
        drop(probe);
        assert_eq!(exporter.stats(Signal::Traces).state, CircuitState::Open);
        assert_eq!(backend.attempts().len(), 5 + probes);
    }
    assert_eq!(backend.under_way_max(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_sent_before_it_opened_says_nothing_afterwards() {
    // The first one takes its time and is taken; five others fail meanwhile.
    let backend = Backend::slow(seconds(10), |_| taken());
    let failing = std::sync::atomic::AtomicBool::new(false);
    let switch = Switch {
        slow: &backend,
        is_failing: &failing,
    };
    let exporter = guarded(switch);
    let slow = exporter.export(batch(1));
    let others = async {
        tokio::time::sleep(ms(1)).await;
        failing.store(true, Ordering::SeqCst);
        open(&exporter).await;
    };
    let (slow, ()) = tokio::join!(slow, others);
    slow.unwrap();
    let stats = exporter.stats(Signal::Traces);
    assert_eq!((stats.state, stats.closed), (CircuitState::Open, 0));
}

/// Fails at once, or goes to a slow backend.
struct Switch<'a, E> {
    slow: E,
    is_failing: &'a std::sync::atomic::AtomicBool,
}

impl<E: Exporter> Exporter for Switch<'_, E> {
    async fn export(&self, batch: EncodedBatch) -> Exported {
        if self.is_failing.load(Ordering::SeqCst) {
            return away();
        }
        self.slow.export(batch).await
    }

    fn name(&self) -> &str {
        self.slow.name()
    }
}

#[tokio::test(start_paused = true)]
async fn a_place_that_is_away_does_not_close_another() {
    let backend = Backend::new(|attempt| if attempt < 5 { away() } else { taken() });
    let exporter = guarded(&backend);
    open(&exporter).await;
    for signal in [Signal::Logs, Signal::Metrics] {
        exporter.export(batch_of(signal, 1)).await.unwrap();
        let stats = exporter.stats(signal);
        assert_eq!(stats.state, CircuitState::Closed);
    }
    assert_eq!(exporter.stats(Signal::Logs).admitted, 2, "they share one");
    told_to_return_after(&exporter.export(batch(1)).await);
}

/// On real threads, with probes that are answered, and probes that are given up at any point.
#[test]
fn threads_never_have_two_probes_under_way() {
    const PROBES: usize = 300;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_time()
        .build()
        .unwrap();
    let config = CircuitBreakerConfig {
        failure_threshold: 1,
        reset_timeout: ms(1),
        ..CircuitBreakerConfig::default()
    };
    runtime.block_on(async {
        let exporter = CircuitBreakerExporter::new(Yielding::default(), config).unwrap();
        let exporter = Arc::new(exporter);
        exporter.export(batch(0)).await.unwrap_err();
        let tasks: Vec<_> = (0..16)
            .map(|task| {
                let exporter = Arc::clone(&exporter);
                tokio::spawn(async move {
                    while exporter.inner().calls.load(Ordering::SeqCst) < PROBES {
                        let call = exporter.export(batch(task));
                        // Half of them are given up after a few polls.
                        if task % 2 == 0 {
                            let _ = call.await;
                        } else {
                            tokio::select! {
                                biased;
                                _ = call => {}
                                () = yields(task % 8) => {}
                            }
                        }
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let backend = exporter.inner();
        assert_eq!(backend.under_way_max.load(Ordering::SeqCst), 1);
        assert!(exporter.stats(Signal::Traces).rejected > 0);
    });
}

async fn yields(times: u64) {
    for _ in 0..times {
        tokio::task::yield_now().await;
    }
}

/// Fails after giving way for a while; every third probe succeeds.
#[derive(Default)]
struct Yielding {
    calls: AtomicUsize,
    under_way: AtomicUsize,
    under_way_max: AtomicUsize,
}

impl Exporter for Yielding {
    async fn export(&self, _: EncodedBatch) -> Exported {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let under_way = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        let _under_way = UnderWay(&self.under_way);
        self.under_way_max.fetch_max(under_way, Ordering::SeqCst);
        yields(5).await;
        // Never two in a row, which would close the breaker and let all of them through.
        if call % 3 == 1 { taken() } else { away() }
    }

    fn name(&self) -> &str {
        "yielding"
    }
}

#[test]
fn settings_out_of_range_are_errors_that_say_which() {
    let backend = Backend::new(|_| taken());
    let check = |config: CircuitBreakerConfig, expected: &str| {
        let error = CircuitBreakerExporter::new(&backend, config).err().unwrap();
        assert_eq!(error.to_string(), expected);
    };
    let default = CircuitBreakerConfig::default();
    check(
        CircuitBreakerConfig {
            failure_threshold: 0,
            ..default
        },
        "`failure_threshold` is 0, allowed is 1 to 4294967295",
    );
    check(
        CircuitBreakerConfig {
            success_threshold: 0,
            ..default
        },
        "`success_threshold` is 0, allowed is 1 to 4294967295",
    );
    check(
        CircuitBreakerConfig {
            reset_timeout: seconds(3601),
            ..default
        },
        "`reset_timeout` is 3601 s, allowed is 1 ms to 3600 s",
    );
}
