//! The policies on a clock that jumps: time passes when nothing else is left to do.

mod breaker;
mod faults;
mod limit;
mod model;
mod retry;
mod stack;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ringlight_model::Signal;
use tokio::time::Instant;

use super::*;
use crate::export::{BatchId, EncodedBatch, Exporter};

/// A backend that answers the n-th attempt, from 0, as a function says, after some time.
struct Backend<F> {
    answer: F,
    takes: Duration,
    start: Instant,
    attempts: Mutex<Vec<Attempt>>,
    under_way: AtomicUsize,
    under_way_max: AtomicUsize,
}

#[derive(Debug, Clone, Copy)]
struct Attempt {
    /// Since the backend was made.
    at: Duration,
    sequence: u64,
}

impl<F: Fn(usize) -> Exported + Send + Sync> Backend<F> {
    fn new(answer: F) -> Self {
        Self::slow(Duration::ZERO, answer)
    }

    fn slow(takes: Duration, answer: F) -> Self {
        Self {
            answer,
            takes,
            start: Instant::now(),
            attempts: Mutex::default(),
            under_way: AtomicUsize::new(0),
            under_way_max: AtomicUsize::new(0),
        }
    }

    fn attempts(&self) -> Vec<Attempt> {
        self.attempts.lock().unwrap().clone()
    }

    /// When the attempts began.
    fn times(&self) -> Vec<Duration> {
        self.attempts().iter().map(|attempt| attempt.at).collect()
    }

    fn under_way_max(&self) -> usize {
        self.under_way_max.load(Ordering::SeqCst)
    }
}

/// Counts an attempt as under way until it is answered or dropped.
struct UnderWay<'a>(&'a AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl<F: Fn(usize) -> Exported + Send + Sync> Exporter for &Backend<F> {
    async fn export(&self, batch: EncodedBatch) -> Exported {
        let index = {
            let mut attempts = self.attempts.lock().unwrap();
            attempts.push(Attempt {
                at: self.start.elapsed(),
                sequence: batch.id.sequence(),
            });
            attempts.len() - 1
        };
        let under_way = self.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        let _under_way = UnderWay(&self.under_way);
        self.under_way_max.fetch_max(under_way, Ordering::SeqCst);
        if !self.takes.is_zero() {
            tokio::time::sleep(self.takes).await;
        }
        (self.answer)(index)
    }

    fn name(&self) -> &str {
        "backend"
    }

    fn place(&self, signal: Signal) -> Option<&str> {
        match signal {
            Signal::Traces => Some("traces' place"),
            Signal::Profiles => None,
            _ => Some("another place"),
        }
    }

    fn reports_open_spans(&self) -> bool {
        true
    }
}

fn taken() -> Exported {
    Ok(ExportOutcome::default())
}

fn away() -> Exported {
    Err(ExportError::Unreachable {
        reason: "nobody there".to_owned(),
        source: None,
    })
}

fn busy(after: Option<Duration>) -> Exported {
    Err(ExportError::Retryable {
        reason: "busy".to_owned(),
        after,
    })
}

fn refused() -> Exported {
    Err(ExportError::Permanent {
        reason: "bad request".to_owned(),
    })
}

fn batch(sequence: u64) -> EncodedBatch {
    batch_of(Signal::Traces, sequence)
}

fn batch_of(signal: Signal, sequence: u64) -> EncodedBatch {
    EncodedBatch {
        signal,
        bytes: Bytes::from_static(&[0; 100]),
        records: 10,
        id: BatchId::new("test".into(), sequence),
    }
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Whether a time is at least this and, timers counting in milliseconds, no more than that.
#[track_caller]
fn assert_within(time: Duration, least: Duration, most: Duration) {
    assert!(
        time >= least && time <= most + ms(2),
        "{time:?} is not within {least:?} to {most:?}"
    );
}

/// When an error says to come back.
#[track_caller]
fn told_to_return_after(result: &Exported) -> Duration {
    let error = result.as_ref().expect_err("it was not sent");
    assert!(error.is_retryable(), "{error:?}");
    error.retry_after().expect("it says when to come back")
}

#[tokio::test(start_paused = true)]
async fn every_wrapper_speaks_for_the_exporter_within() {
    let backend = Backend::new(|_| taken());
    let check = |exporter: &dyn crate::ExporterBoxed| {
        assert_eq!(exporter.name_boxed(), "backend");
        let places = Signal::ALL.map(|signal| exporter.place_boxed(signal));
        let (traces, other) = (Some("traces' place"), Some("another place"));
        assert_eq!(places, [traces, other, other, None]);
        assert!(exporter.reports_open_spans_boxed());
    };
    let limiter = || TokenBucket::bytes_per_second(1).unwrap();
    check(&RetryingExporter::new(&backend, RetryPolicy::default()).unwrap());
    check(&CircuitBreakerExporter::new(&backend, CircuitBreakerConfig::default()).unwrap());
    check(&RateLimitedExporter::new(&backend, limiter()));
    check(&TimeoutExporter::new(&backend, seconds(1)));
    check(&ResilientExporterBuilder::new(&backend).build().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_in_time_is_abandoned() {
    let backend = Backend::slow(seconds(3600), |_| taken());
    let exporter = TimeoutExporter::new(&backend, seconds(3));
    let start = Instant::now();
    let error = exporter.export(batch(1)).await.unwrap_err();
    assert_within(start.elapsed(), seconds(3), seconds(3));
    assert!(matches!(error, ExportError::Unreachable { .. }));
    assert_eq!(error.to_string(), "no answer within 3 s");
    assert_eq!(exporter.stats(), TimeoutStats { timeouts: 1 });
    assert_eq!(backend.under_way.load(Ordering::SeqCst), 0);
}

/// Waits for all of them, side by side.
async fn all<F: Future<Output = R>, R>(futures: impl IntoIterator<Item = F>) -> Vec<R> {
    let mut futures: Vec<_> = futures
        .into_iter()
        .map(|future| (Box::pin(future), None))
        .collect();
    std::future::poll_fn(|context| {
        for (future, result) in &mut futures {
            if result.is_none()
                && let std::task::Poll::Ready(ready) = future.as_mut().poll(context)
            {
                *result = Some(ready);
            }
        }
        if futures.iter().all(|(_, result)| result.is_some()) {
            let results = futures.iter_mut().filter_map(|(_, result)| result.take());
            return std::task::Poll::Ready(results.collect());
        }
        std::task::Poll::Pending
    })
    .await
}
