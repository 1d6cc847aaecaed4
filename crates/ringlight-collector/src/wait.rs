//! Waiting for a time that there may not be.

use tokio::time::Instant;

/// Waits until then; without a time, for ever.
pub(crate) async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
