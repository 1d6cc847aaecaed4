//! How long to wait before a repetition: for the pipeline's destinations and for
//! [`RetryingExporter`](super::RetryingExporter) alike.

use std::time::Duration;

use crate::config::RetryConfig;

/// The longest wait a backend may ask for; a longer one is cut to this.
pub(crate) const SERVER_DELAY_MAX: Duration = Duration::from_secs(60);

/// The wait after the given number of failures in a row: exponential, of which a random part
/// between one half and all is taken.
pub(crate) fn backoff(retry: &RetryConfig, failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(20);
    let whole = retry
        .delay_first
        .saturating_mul(1 << doublings)
        .min(retry.delay_max);
    whole.mul_f64(0.5 + fastrand::f64() / 2.0)
}
