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

/// How long is waited where a destination asks for a time: up to an eighth longer, so that all who were told the same do not come
/// back in the same moment.
pub(crate) fn asked_for(delay: Duration) -> Duration {
    let delay = delay.min(SERVER_DELAY_MAX);
    delay + delay.mul_f64(fastrand::f64() / 8.0)
}
