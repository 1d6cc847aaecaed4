//! Channels of a single value, as in [`tokio::sync::oneshot`].

use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::sync::oneshot;

use super::counts::{DropReason, Group, Kind};
use super::named::Options;
use super::spans::Spans;

pub use tokio::sync::oneshot::error;

use error::{RecvError, TryRecvError};

/// Opens a channel, which telemetry knows by the place of the call.
#[track_caller]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    open(Options::at(Location::caller()))
}

/// Opens a channel, known as `name`.
pub fn named<T>(name: &str) -> (Sender<T>, Receiver<T>) {
    open(Options::named(name))
}

pub(super) fn open<T>(options: Options<'_>) -> (Sender<T>, Receiver<T>) {
    let group = Group::of(Kind::Oneshot, options.origin);
    let spans = options
        .has_spans
        .then(|| Arc::new(Spans::new(group.name())));
    let (sender, receiver) = oneshot::channel();
    let sender = Sender {
        inner: sender,
        group,
        spans: spans.clone(),
    };
    let receiver = Receiver {
        inner: receiver,
        group,
        spans,
    };
    (sender, receiver)
}

/// Sends the value; see [`tokio::sync::oneshot::Sender`].
pub struct Sender<T> {
    inner: oneshot::Sender<T>,
    group: &'static Group,
    spans: Option<Arc<Spans>>,
}

impl<T> Sender<T> {
    /// Sends the value.
    ///
    /// # Errors
    /// The receiver is gone; the value comes back.
    pub fn send(self, t: T) -> Result<(), T> {
        let Self {
            inner,
            group,
            spans,
        } = self;
        let send = || inner.send(t);
        match spans {
            None => send()?,
            Some(spans) => {
                let span = spans.sending(Some(1), Some(0));
                span.in_scope(|| spans.pass(send))?;
            }
        }
        group.count_sent(1);
        Ok(())
    }

    /// Waits until the receiver is gone.
    pub async fn closed(&mut self) {
        self.inner.closed().await;
    }

    /// Whether the receiver is gone.
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    /// As [`closed`](Self::closed), in a future of one's own.
    pub fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.inner.poll_closed(cx)
    }
}

impl<T: fmt::Debug> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// Receives the value when it is awaited; see [`tokio::sync::oneshot::Receiver`].
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct Receiver<T> {
    inner: oneshot::Receiver<T>,
    group: &'static Group,
    spans: Option<Arc<Spans>>,
}

impl<T> Receiver<T> {
    /// Lets nobody send any more; what was sent is still there.
    pub fn close(&mut self) {
        self.inner.close();
    }

    /// Whether it was awaited to its end, or the value taken.
    pub fn is_terminated(&self) -> bool {
        self.inner.is_terminated()
    }

    /// Whether there is nothing to receive.
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// Takes the value if it is there.
    ///
    /// # Errors
    /// It is not, or never will be.
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let value = self.inner.try_recv()?;
        self.took();
        Ok(value)
    }

    /// Waits for the value, blocking the thread.
    ///
    /// # Errors
    /// The sender is gone without it.
    ///
    /// # Panics
    /// It is called in an asynchronous task.
    #[track_caller]
    pub fn blocking_recv(mut self) -> Result<T, RecvError> {
        // The receiver has something to do at its end, and cannot be taken apart.
        let inner = std::mem::replace(&mut self.inner, oneshot::channel().1);
        let value = inner.blocking_recv()?;
        self.took();
        Ok(value)
    }

    /// The value was received.
    fn took(&self) {
        self.group.count_received(1);
        if let Some(spans) = &self.spans {
            drop(spans.received(Some(0)));
        }
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let value = ready!(Pin::new(&mut self.inner).poll(cx));
        if value.is_ok() {
            self.took();
        }
        Poll::Ready(value)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        if self.inner.is_terminated() {
            return;
        }
        self.inner.close();
        if self.inner.try_recv().is_ok() {
            self.group.count_dropped(DropReason::Unread, 1);
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
