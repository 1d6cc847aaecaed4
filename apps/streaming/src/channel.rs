//! Bounded channels that report how full they are.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;
use tracing::Span;

/// Opens a channel of `capacity` places, known as `name` in telemetry.
pub fn bounded<T>(name: &'static str, capacity: usize) -> (BoundedSender<T>, BoundedReceiver<T>) {
    let (sender, receiver) = mpsc::channel(capacity);
    let waits = Arc::new(AtomicU64::new(0));
    (
        BoundedSender {
            name,
            sender,
            waits,
        },
        BoundedReceiver { receiver },
    )
}

/// The sending end: waits when the channel is full, and says so.
#[derive(Debug)]
pub struct BoundedSender<T> {
    name: &'static str,
    sender: mpsc::Sender<T>,
    /// Sends that had to wait since the channel was opened; written by every clone. `Relaxed`, since
    /// it orders nothing.
    waits: Arc<AtomicU64>,
}

impl<T> Clone for BoundedSender<T> {
    fn clone(&self) -> Self {
        Self {
            name: self.name,
            sender: self.sender.clone(),
            waits: Arc::clone(&self.waits),
        }
    }
}

impl<T> BoundedSender<T> {
    /// The share of places taken, 0..=1, at this moment.
    #[must_use]
    pub(crate) fn fill_ratio(&self) -> f64 {
        fill_ratio(self.sender.capacity(), self.sender.max_capacity())
    }

    /// How many sends had to wait so far, for who outlives the sender.
    pub(crate) fn counter(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.waits)
    }

    /// Sends `value`, waiting for a place if there is none. The current span's
    /// `channel.fill_ratio` is set to the fill found; a wait is a backpressure event.
    ///
    /// # Errors
    /// The receiver is gone; the value comes back.
    pub(crate) async fn send(&self, value: T) -> Result<(), T> {
        let fill_ratio = self.fill_ratio();
        Span::current().record("channel.fill_ratio", fill_ratio);
        let permit = match self.sender.try_reserve() {
            Ok(permit) => permit,
            Err(mpsc::error::TrySendError::Closed(())) => return Err(value),
            Err(mpsc::error::TrySendError::Full(())) => {
                self.waits.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(
                    channel.name = self.name,
                    channel.capacity = self.sender.max_capacity(),
                    channel.fill_ratio = fill_ratio,
                    "backpressure: the channel is full, the sender waits"
                );
                match self.sender.reserve().await {
                    Ok(permit) => permit,
                    Err(_) => return Err(value),
                }
            }
        };
        permit.send(value);
        Ok(())
    }
}

/// The receiving end.
#[derive(Debug)]
pub struct BoundedReceiver<T> {
    receiver: mpsc::Receiver<T>,
}

impl<T> BoundedReceiver<T> {
    /// Waits for a value; `None` when every sender is gone and the channel is empty.
    pub(crate) async fn recv(&mut self) -> Option<T> {
        self.receiver.recv().await
    }

    /// Waits for at least one value, appends up to `limit` to `values`, and gives the share of
    /// places that were taken before; `None` when every sender is gone and the channel is empty.
    pub(crate) async fn recv_many(&mut self, values: &mut Vec<T>, limit: usize) -> Option<f64> {
        let count = self.receiver.recv_many(values, limit).await;
        if count == 0 {
            return None;
        }
        let free = self.receiver.capacity().saturating_sub(count);
        Some(fill_ratio(free, self.receiver.max_capacity()))
    }

    /// Takes a value that is there already.
    #[cfg(test)]
    pub(crate) fn try_recv(&mut self) -> Option<T> {
        self.receiver.try_recv().ok()
    }
}

fn fill_ratio(free: usize, places: usize) -> f64 {
    1.0 - free as f64 / places as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_channel_holds_the_sender_back() {
        let (sender, mut receiver) = bounded("test", 2);
        let waits = sender.counter();
        let waits = || waits.load(Ordering::Relaxed);
        assert_eq!(sender.fill_ratio(), 0.0);
        sender.send(1).await.unwrap();
        assert_eq!(sender.fill_ratio(), 0.5);
        sender.send(2).await.unwrap();
        assert_eq!(sender.fill_ratio(), 1.0);
        assert_eq!(waits(), 0);

        let waiting = tokio::spawn({
            let sender = sender.clone();
            async move { sender.send(3).await }
        });
        while waits() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(!waiting.is_finished());
        assert_eq!(receiver.recv().await, Some(1));
        waiting.await.unwrap().unwrap();
        let mut rest = Vec::new();
        assert_eq!(receiver.recv_many(&mut rest, 8).await, Some(1.0));
        assert_eq!(rest, [2, 3]);
        assert_eq!(waits(), 1);
        drop(sender);
        assert_eq!(receiver.recv_many(&mut rest, 8).await, None);
    }

    #[tokio::test]
    async fn a_value_for_nobody_comes_back() {
        let (sender, receiver) = bounded("test", 1);
        drop(receiver);
        assert_eq!(sender.send(5).await, Err(5));
    }
}
