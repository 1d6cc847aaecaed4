//! Channels of a single value, as in [`tokio::sync::oneshot`].

use std::fmt;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::sync::oneshot;

use super::counts::{DropReason, Group, Kind, group_index, received_number, sent_number};
use super::named::Options;
use super::numbers::Number;
use super::spans::SpansOfOne;

pub use tokio::sync::oneshot::error;

use error::{RecvError, TryRecvError};

/// Opens a channel, which telemetry knows by the place of the call.
#[inline]
#[track_caller]
pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    open(Options::at(Location::caller()))
}

/// Opens a channel, known as `name`.
pub fn named<T>(name: &str) -> (Sender<T>, Receiver<T>) {
    open(Options::named(name))
}

#[inline]
pub(super) fn open<T>(options: Options<'_>) -> (Sender<T>, Receiver<T>) {
    let group_index = Group::index_of(Kind::Oneshot, options.origin);
    let (mut sent, mut received) = (sent_number(group_index), received_number(group_index));
    let mut channel = 0;
    if options.has_spans {
        (sent, received) = (sent.apart(), received.apart());
        channel = SpansOfOne::number();
    }
    let (sender, receiver) = oneshot::channel();
    let sender = Sender {
        inner: sender,
        tag: Tag::new(sent, channel),
    };
    let receiver = Receiver {
        inner: receiver,
        tag: Tag::new(received, channel),
    };
    (sender, receiver)
}

/// What an end knows beside the channel: where its message is counted, and if that stands apart, which of all channels with
/// spans it is. One word, for an end of two words is handed over in registers.
#[derive(Debug, Clone, Copy)]
struct Tag(u64);

impl Tag {
    #[inline]
    const fn new(number: Number, channel: u64) -> Self {
        Self(channel << Number::BITS | number.to_bits())
    }

    #[inline]
    const fn number(self) -> Number {
        Number::from_bits(self.0)
    }

    fn group(self) -> Option<&'static Group> {
        Group::at(group_index(self.number()))
    }

    /// The spans of the channel, and which it is.
    fn spans(self) -> Option<(&'static SpansOfOne, u64)> {
        let group = self.group().filter(|_| self.number().is_apart())?;
        Some((group.spans(), self.0 >> Number::BITS))
    }
}

/// Sends the value; see [`tokio::sync::oneshot::Sender`].
pub struct Sender<T> {
    inner: oneshot::Sender<T>,
    tag: Tag,
}

impl<T> Sender<T> {
    /// Sends the value.
    ///
    /// # Errors
    /// The receiver is gone; the value comes back.
    #[inline]
    pub fn send(self, t: T) -> Result<(), T> {
        match self.tag.number().here() {
            Some(sent) => {
                self.inner.send(t)?;
                sent.add(1);
                Ok(())
            }
            None => self.send_otherwise(t),
        }
    }

    #[cold]
    fn send_otherwise(self, t: T) -> Result<(), T> {
        let Self { inner, tag } = self;
        match tag.spans() {
            None => inner.send(t)?,
            Some((spans, channel)) => spans.send(channel, || inner.send(t))?,
        }
        tag.number().add(1);
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
    tag: Tag,
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
    #[inline]
    fn took(&self) {
        match self.tag.number().here() {
            Some(received) => received.add(1),
            None => self.took_otherwise(),
        }
    }

    #[cold]
    fn took_otherwise(&self) {
        self.tag.number().add(1);
        if let Some((spans, channel)) = self.tag.spans() {
            drop(spans.received(channel));
        }
    }

    /// Nobody will have the value.
    #[cold]
    fn discard(&mut self) {
        self.inner.close();
        if self.inner.try_recv().is_err() {
            return;
        }
        if let Some(group) = self.tag.group() {
            group.count_dropped(DropReason::Unread, 1);
        }
        if let Some((spans, channel)) = self.tag.spans() {
            spans.forget(channel);
        }
    }
}

impl<T> Future for Receiver<T> {
    type Output = Result<T, RecvError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let value = ready!(Pin::new(&mut self.inner).poll(cx));
        if value.is_ok() {
            self.took();
        }
        Poll::Ready(value)
    }
}

impl<T> Drop for Receiver<T> {
    #[inline]
    fn drop(&mut self) {
        if !self.inner.is_terminated() {
            self.discard();
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
