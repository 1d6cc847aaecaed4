//! Channels with many senders and one receiver, as in [`tokio::sync::mpsc`].

mod bounded;
mod link;
mod permit;
mod unbounded;

use std::panic::Location;

pub use bounded::{Receiver, Sender, WeakSender};
pub use permit::{OwnedPermit, Permit, PermitIterator};
pub use tokio::sync::mpsc::error;
pub use unbounded::{UnboundedReceiver, UnboundedSender, WeakUnboundedSender};

use super::named::Options;

pub(super) use bounded::open;
pub(super) use unbounded::open as open_unbounded;

/// Opens a channel with a bound, which telemetry knows by the place of the call.
///
/// # Panics
/// The bound is 0, or more than tokio has.
#[must_use]
#[track_caller]
pub fn channel<T>(buffer: usize) -> (Sender<T>, Receiver<T>) {
    bounded::open(Options::at(Location::caller()), buffer)
}

/// Opens a channel without a bound, which telemetry knows by the place of the call.
#[must_use]
#[track_caller]
pub fn unbounded_channel<T>() -> (UnboundedSender<T>, UnboundedReceiver<T>) {
    unbounded::open(Options::at(Location::caller()))
}

/// Opens a channel with a bound, known as `name`.
///
/// # Panics
/// The bound is 0, or more than tokio has.
#[must_use]
#[track_caller]
pub fn named<T>(name: &str, buffer: usize) -> (Sender<T>, Receiver<T>) {
    bounded::open(Options::named(name), buffer)
}

/// Opens a channel without a bound, known as `name`.
#[must_use]
pub fn named_unbounded<T>(name: &str) -> (UnboundedSender<T>, UnboundedReceiver<T>) {
    unbounded::open(Options::named(name))
}

/// What both kinds of receivers can do.
macro_rules! receiver_methods {
    ($receiver:ident<$message:ident>, $sender:ident) => {
        impl<$message> $receiver<$message> {
            /// Waits for the next value; `None` once the channel is closed and empty.
            ///
            /// # Cancel safety
            /// When it is dropped before it is done, nothing was received.
            pub async fn recv(&mut self) -> Option<$message> {
                let value = self.inner.recv().await;
                if value.is_some() {
                    self.link.took(1, &self.inner);
                }
                value
            }

            /// Waits for values and appends up to `limit`; returns how many, 0 once the channel is closed and
            /// empty, or if that is the limit.
            ///
            /// # Cancel safety
            /// When it is dropped before it is done, nothing was received.
            pub async fn recv_many(&mut self, buffer: &mut Vec<$message>, limit: usize) -> usize {
                let count = self.inner.recv_many(buffer, limit).await;
                self.link.took(count, &self.inner);
                count
            }

            /// Takes a value that is there.
            ///
            /// # Errors
            /// There is none for now, or the channel is closed and empty.
            pub fn try_recv(&mut self) -> Result<$message, TryRecvError> {
                let value = self.inner.try_recv()?;
                self.link.took(1, &self.inner);
                Ok(value)
            }

            /// As [`recv`](Self::recv), blocking the thread.
            ///
            /// # Panics
            /// It is called in an asynchronous task.
            #[track_caller]
            pub fn blocking_recv(&mut self) -> Option<$message> {
                let value = self.inner.blocking_recv();
                if value.is_some() {
                    self.link.took(1, &self.inner);
                }
                value
            }

            /// As [`recv_many`](Self::recv_many), blocking the thread.
            ///
            /// # Panics
            /// It is called in an asynchronous task.
            #[track_caller]
            pub fn blocking_recv_many(
                &mut self,
                buffer: &mut Vec<$message>,
                limit: usize,
            ) -> usize {
                let count = self.inner.blocking_recv_many(buffer, limit);
                self.link.took(count, &self.inner);
                count
            }

            /// As [`recv`](Self::recv), in a future of one's own.
            pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<$message>> {
                let polled = self.inner.poll_recv(cx);
                if matches!(polled, Poll::Ready(Some(_))) {
                    self.link.took(1, &self.inner);
                }
                polled
            }

            /// As [`recv_many`](Self::recv_many), in a future of one's own.
            pub fn poll_recv_many(
                &mut self,
                cx: &mut Context<'_>,
                buffer: &mut Vec<$message>,
                limit: usize,
            ) -> Poll<usize> {
                let polled = self.inner.poll_recv_many(cx, buffer, limit);
                if let Poll::Ready(count) = polled {
                    self.link.took(count, &self.inner);
                }
                polled
            }

            /// Lets nobody send any more; what was sent is still there.
            pub fn close(&mut self) {
                self.inner.close();
            }

            /// Whether nobody can send any more.
            pub fn is_closed(&self) -> bool {
                self.inner.is_closed()
            }

            /// Whether nothing is in the channel.
            pub fn is_empty(&self) -> bool {
                self.inner.is_empty()
            }

            /// How many values are in the channel.
            pub fn len(&self) -> usize {
                self.inner.len()
            }

            /// How many senders there are.
            pub fn sender_strong_count(&self) -> usize {
                self.inner.sender_strong_count()
            }

            /// How many weak senders there are.
            pub fn sender_weak_count(&self) -> usize {
                self.inner.sender_weak_count()
            }
        }

        impl<$message> super::super::RecvInSpan for $receiver<$message> {
            type Message = $message;

            async fn recv_in_span(&mut self) -> Option<($message, tracing::Span)> {
                let value = self.inner.recv().await?;
                Some((value, self.link.took_in_span(&self.inner)))
            }
        }

        impl<$message> std::fmt::Debug for $receiver<$message> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.inner.fmt(f)
            }
        }
    };
}
use receiver_methods;
