//! Policies around an exporter: repeat, limit, leave alone, give up in time.
//!
//! A [`Pipeline`](crate::Pipeline) does all a service needs by itself: it repeats, backs off, keeps to the
//! delays a backend asks for, and finds out with one batch at a time whether one that was away is back; and
//! it has a queue and accounts. These wrappers are for those who want policies of their own in front of
//! it (a rate, a breaker with other numbers), and for those who use an exporter without a pipeline. Nothing here
//! has a queue or drops anything: what cannot be sent is handed back with an error that says
//! whether, and when, to come back, which a pipeline takes as it takes a backend's answer.
//!
//! Each wrapper is an [`Exporter`](crate::Exporter) around another one, and so also a
//! [`SpanExporter`](crate::SpanExporter); a [`SpanExporterAdapter`](crate::SpanExporterAdapter) makes one of those
//! an exporter to put them around. [`ResilientExporterBuilder`] puts them together in the order that works and says
//! why. Guide: `docs/delivery.md`.

pub(crate) mod backoff;
mod builder;
mod circuit;
mod circuit_breaker;
mod counter;
mod limiter;
mod per_place;
mod rate_limit;
mod retry;
mod sliding_window;
#[cfg(test)]
mod tests;
mod timeout;
mod token_bucket;

pub use self::builder::{ResilienceStats, ResilientExporter, ResilientExporterBuilder};
pub use self::circuit::{
    CircuitBreaker, CircuitBreakerConfig, CircuitOpen, CircuitPermit, CircuitState,
};
pub use self::circuit_breaker::{CircuitBreakerExporter, CircuitBreakerStats};
pub use self::limiter::{Cost, Quota, RateLimiter, RateLimiterBoxed, RateUnit};
pub use self::rate_limit::{RateLimitStats, RateLimitedExporter};
pub use self::retry::{RetryPolicy, RetryStats, RetryingExporter};
pub use self::sliding_window::SlidingWindow;
pub use self::timeout::{TimeoutExporter, TimeoutStats};
pub use self::token_bucket::TokenBucket;
use crate::export::{ExportError, ExportOutcome};

/// What became of an attempt.
type Exported = Result<ExportOutcome, ExportError>;

/// What a wrapper says as the exporter within says it.
macro_rules! forward_to_inner {
    () => {
        fn name(&self) -> &str {
            self.inner.name()
        }

        fn place(&self, signal: Signal) -> Option<&str> {
            self.inner.place(signal)
        }

        fn reports_open_spans(&self) -> bool {
            self.inner.reports_open_spans()
        }
    };
}
use forward_to_inner;
