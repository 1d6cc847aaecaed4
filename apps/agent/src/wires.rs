//! The channels between the parts of the agent, and the spans of sending and receiving on them.
//!
//! A message carries the trace on: the span of its receipt is a child of the one of its sending,
//! though it may outlast it, and the work that the message causes lies inside it. Who is inside of a
//! span already when a message comes stays inside of that.

use std::time::Instant;

use ringlight::TraceContext;
use tokio::sync::mpsc;
use tracing::{Instrument as _, Span};

/// What a channel is called, and what its spans are.
#[derive(Debug)]
pub(crate) struct Wire {
    name: &'static str,
    send: fn(&'static str) -> Span,
    receive: fn(&'static str) -> Span,
}

macro_rules! wire {
    ($(#[$doc:meta])* $wire:ident, $name:literal, $send:literal, $receive:literal) => {
        $(#[$doc])*
        pub(crate) static $wire: Wire = Wire {
            name: $name,
            send: |name| {
                tracing::info_span!(
                    $send,
                    channel.name = name,
                    channel.capacity = tracing::field::Empty,
                    channel.queue_depth = tracing::field::Empty,
                )
            },
            receive: |name| {
                tracing::info_span!(
                    $receive,
                    channel.name = name,
                    channel.queue_depth = tracing::field::Empty,
                    channel.waited_us = tracing::field::Empty,
                )
            },
        };
    };
}

wire!(
    /// What sessions are doing.
    STATUS, "status", "channel.status_send", "channel.status_recv"
);
wire!(
    /// That the files of the skills have changed.
    SKILL_RELOAD, "skill_reload", "channel.skill_reload_send", "channel.skill_reload_recv"
);
wire!(
    /// That the settings have changed.
    CONFIG_RELOAD, "config_reload", "channel.config_reload_send", "channel.config_reload_recv"
);
wire!(
    /// What an MCP server asks the user.
    ELICITATION, "elicitation", "channel.elicitation_send", "channel.elicitation_recv"
);
wire!(
    /// What turns have taken.
    METRICS, "metrics", "channel.metrics_send", "channel.metrics_recv"
);
wire!(
    /// That the user does not want the answer any more.
    CANCEL, "cancel", "channel.cancel_send", "channel.cancel_recv"
);

/// A message on its way.
#[derive(Debug)]
struct Sent<T> {
    value: T,
    at: Instant,
    context: Option<TraceContext>,
}

/// Opens a channel of `capacity` places.
pub(crate) fn open<T>(wire: &'static Wire, capacity: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = mpsc::channel(capacity);
    (Sender { wire, sender }, Receiver { wire, receiver })
}

/// The sending end.
#[derive(Debug)]
pub(crate) struct Sender<T> {
    wire: &'static Wire,
    sender: mpsc::Sender<Sent<T>>,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self {
            wire: self.wire,
            sender: self.sender.clone(),
        }
    }
}

impl<T> Sender<T> {
    /// Sends `value`, waiting for a place if there is none. Returns whether somebody may receive it.
    /// The span is opened at once, not when the sending begins.
    pub(crate) fn send(&self, value: T) -> impl Future<Output = bool> + Send
    where
        T: Send,
    {
        let span = (self.wire.send)(self.wire.name);
        let capacity = self.sender.max_capacity();
        span.record("channel.capacity", capacity);
        span.record("channel.queue_depth", capacity - self.sender.capacity());
        async {
            let sent = Sent {
                value,
                at: Instant::now(),
                context: TraceContext::current(),
            };
            self.sender.send(sent).await.is_ok()
        }
        .instrument(span)
    }
}

/// The receiving end.
#[derive(Debug)]
pub(crate) struct Receiver<T> {
    wire: &'static Wire,
    receiver: mpsc::Receiver<Sent<T>>,
}

impl<T> Receiver<T> {
    /// Waits for the next message; `None` once all senders are gone. What is done about the message
    /// belongs into the span that comes with it.
    pub(crate) async fn recv(&mut self) -> Option<(T, Span)> {
        let sent = self.receiver.recv().await?;
        let open = || (self.wire.receive)(self.wire.name);
        let span = match sent.context {
            Some(context) => context.parent_of(open),
            None => open(),
        };
        span.record("channel.queue_depth", self.receiver.len());
        span.record("channel.waited_us", sent.at.elapsed().as_micros() as u64);
        Some((sent.value, span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn messages_come_in_order_until_all_senders_are_gone() {
        let (sender, mut receiver) = open(&STATUS, 2);
        let other = sender.clone();
        assert!(sender.send(1).await && other.send(2).await);
        drop((sender, other));
        assert_eq!(receiver.recv().await.unwrap().0, 1);
        assert_eq!(receiver.recv().await.unwrap().0, 2);
        assert!(receiver.recv().await.is_none());
    }

    #[tokio::test]
    async fn a_message_nobody_can_receive_is_told() {
        let (sender, receiver) = open(&CANCEL, 1);
        drop(receiver);
        assert!(!sender.send(()).await);
    }
}
