//! Without the feature `profiling`: tokio's own channels, and functions that open them.

use super::named::Named;

/// Channels with many senders and one receiver: those of tokio.
pub mod mpsc {
    pub use tokio::sync::mpsc::*;

    /// Opens a channel with a bound. Its name is for builds with the feature `profiling`.
    ///
    /// # Panics
    /// The bound is 0, or more than tokio has.
    #[must_use]
    #[track_caller]
    pub fn named<T>(_name: &str, buffer: usize) -> (Sender<T>, Receiver<T>) {
        channel(buffer)
    }

    /// Opens a channel without a bound. Its name is for builds with the feature `profiling`.
    #[must_use]
    pub fn named_unbounded<T>(_name: &str) -> (UnboundedSender<T>, UnboundedReceiver<T>) {
        unbounded_channel()
    }

    #[track_caller]
    pub(in super::super) fn open<T>(
        _named: super::Named<'_>,
        buffer: usize,
    ) -> (Sender<T>, Receiver<T>) {
        channel(buffer)
    }

    pub(in super::super) fn open_unbounded<T>(
        _named: super::Named<'_>,
    ) -> (UnboundedSender<T>, UnboundedReceiver<T>) {
        unbounded_channel()
    }

    #[cfg(feature = "otel")]
    impl<T> super::super::RecvInSpan for Receiver<T> {
        type Message = T;

        async fn recv_in_span(&mut self) -> Option<(T, tracing::Span)> {
            Some((self.recv().await?, tracing::Span::none()))
        }
    }

    #[cfg(feature = "otel")]
    impl<T> super::super::RecvInSpan for UnboundedReceiver<T> {
        type Message = T;

        async fn recv_in_span(&mut self) -> Option<(T, tracing::Span)> {
            Some((self.recv().await?, tracing::Span::none()))
        }
    }
}

/// Channels of a single value: those of tokio.
pub mod oneshot {
    pub use tokio::sync::oneshot::*;

    /// Opens a channel. Its name is for builds with the feature `profiling`.
    pub fn named<T>(_name: &str) -> (Sender<T>, Receiver<T>) {
        channel()
    }

    pub(in super::super) fn open<T>(_named: super::Named<'_>) -> (Sender<T>, Receiver<T>) {
        channel()
    }
}

/// Channels of which the last value counts: those of tokio.
pub mod watch {
    pub use tokio::sync::watch::*;

    /// Opens a channel. Its name is for builds with the feature `profiling`.
    #[must_use]
    pub fn named<T>(_name: &str, init: T) -> (Sender<T>, Receiver<T>) {
        channel(init)
    }

    pub(in super::super) fn open<T>(_named: super::Named<'_>, init: T) -> (Sender<T>, Receiver<T>) {
        channel(init)
    }
}

/// Channels whose values all receivers have: those of tokio.
pub mod broadcast {
    pub use tokio::sync::broadcast::*;

    /// Opens a channel. Its name is for builds with the feature `profiling`.
    ///
    /// # Panics
    /// The capacity is 0, or more than tokio has.
    #[must_use]
    #[track_caller]
    pub fn named<T: Clone>(_name: &str, capacity: usize) -> (Sender<T>, Receiver<T>) {
        channel(capacity)
    }

    #[track_caller]
    pub(in super::super) fn open<T: Clone>(
        _named: super::Named<'_>,
        capacity: usize,
    ) -> (Sender<T>, Receiver<T>) {
        channel(capacity)
    }
}
