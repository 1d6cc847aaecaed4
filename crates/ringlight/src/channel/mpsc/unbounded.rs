//! The ends of a channel without a bound.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::{SendError, TryRecvError};

use super::super::counts::Kind;
use super::super::named::Options;
use super::link::Link;

type UnboundedLink<T> = Link<mpsc::UnboundedReceiver<T>>;

pub(in super::super) fn open<T>(
    options: Options<'_>,
) -> (UnboundedSender<T>, UnboundedReceiver<T>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let link = Arc::new(Link::new(Kind::MpscUnbounded, options));
    let sender = UnboundedSender {
        inner: sender,
        link: Arc::clone(&link),
    };
    let inner = receiver;
    (sender, UnboundedReceiver { inner, link })
}

/// Sends to the one [`UnboundedReceiver`]; see [`tokio::sync::mpsc::UnboundedSender`].
// The channel goes first: once the last link is dropped, nobody sends any more.
pub struct UnboundedSender<T> {
    inner: mpsc::UnboundedSender<T>,
    link: Arc<UnboundedLink<T>>,
}

impl<T> UnboundedSender<T> {
    /// Sends a value.
    ///
    /// # Errors
    /// The receiver is closed; the value comes back.
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        self.link.try_deliver(|| self.inner.send(value))
    }

    /// Waits until the receiver is closed.
    pub async fn closed(&self) {
        self.inner.closed().await;
    }

    /// Whether the receiver is closed.
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    /// Whether both send to the same receiver.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.inner.same_channel(&other.inner)
    }

    /// A sender that does not keep the channel open.
    #[must_use = "a weak sender does nothing by itself"]
    pub fn downgrade(&self) -> WeakUnboundedSender<T> {
        WeakUnboundedSender {
            inner: self.inner.downgrade(),
            link: Arc::clone(&self.link),
        }
    }

    /// How many senders there are.
    pub fn strong_count(&self) -> usize {
        self.inner.strong_count()
    }

    /// How many weak senders there are.
    pub fn weak_count(&self) -> usize {
        self.inner.weak_count()
    }
}

impl<T> Clone for UnboundedSender<T> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            link: Arc::clone(&self.link),
        }
    }
}

impl<T> fmt::Debug for UnboundedSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// A sender that does not keep the channel open; see [`tokio::sync::mpsc::WeakUnboundedSender`].
pub struct WeakUnboundedSender<T> {
    inner: mpsc::WeakUnboundedSender<T>,
    link: Arc<UnboundedLink<T>>,
}

impl<T> WeakUnboundedSender<T> {
    /// A sender, unless all others are gone.
    pub fn upgrade(&self) -> Option<UnboundedSender<T>> {
        Some(UnboundedSender {
            inner: self.inner.upgrade()?,
            link: Arc::clone(&self.link),
        })
    }

    /// How many senders there are.
    pub fn strong_count(&self) -> usize {
        self.inner.strong_count()
    }

    /// How many weak senders there are.
    pub fn weak_count(&self) -> usize {
        self.inner.weak_count()
    }
}

impl<T> Clone for WeakUnboundedSender<T> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            link: Arc::clone(&self.link),
        }
    }
}

impl<T> fmt::Debug for WeakUnboundedSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// Receives what is sent; see [`tokio::sync::mpsc::UnboundedReceiver`].
pub struct UnboundedReceiver<T> {
    inner: mpsc::UnboundedReceiver<T>,
    link: Arc<UnboundedLink<T>>,
}

super::receiver_methods!(UnboundedReceiver<T>, UnboundedSender);

impl<T> Drop for UnboundedReceiver<T> {
    fn drop(&mut self) {
        self.link
            .end(&mut self.inner, || mpsc::unbounded_channel().1);
    }
}
