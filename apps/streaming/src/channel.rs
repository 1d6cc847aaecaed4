//! Bounded channels whose spans say how full they are.

use ringlight::channel::mpsc::{Receiver, Sender};

/// Opens a channel of `capacity` places, known as `name` in telemetry. Whoever sends has the share of places
/// taken on the span it is in; a sender that has to wait is a backpressure event.
#[must_use]
pub fn bounded<T>(name: &str, capacity: usize) -> (Sender<T>, Receiver<T>) {
    ringlight::channel::named(name).fill_ratio().mpsc(capacity)
}

/// Waits for at least one value, appends up to `limit` to `values`, and gives the share of places
/// that were taken before; `None` when every sender is gone and the channel is empty.
pub(crate) async fn receive_many<T>(
    receiver: &mut Receiver<T>,
    values: &mut Vec<T>,
    limit: usize,
) -> Option<f64> {
    let count = receiver.recv_many(values, limit).await;
    if count == 0 {
        return None;
    }
    let free = receiver.capacity().saturating_sub(count);
    Some(1.0 - free as f64 / receiver.max_capacity() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_taken_is_told_with_what_is_received() {
        let (sender, mut receiver) = bounded("test", 4);
        for value in 1..=3 {
            sender.send(value).await.unwrap();
        }
        let mut values = Vec::new();
        let filled = receive_many(&mut receiver, &mut values, 2).await;
        assert_eq!((filled, values.len()), (Some(0.75), 2));
        drop(sender);
        let filled = receive_many(&mut receiver, &mut values, 2).await;
        assert_eq!((filled, values), (Some(0.25), vec![1, 2, 3]));
        assert_eq!(receive_many(&mut receiver, &mut Vec::new(), 2).await, None);
    }
}
