//! Channels whose values all receivers have, as in [`tokio::sync::broadcast`].

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use tokio::sync::broadcast;

use super::counts::{DropReason, Group, Kind};
use super::named::Options;
use super::numbers::{Spread, add_alone};
use super::sources::{Counted, Registered, Source};
use crate::sync::{AtomicU64, Ordering};

pub use tokio::sync::broadcast::error;

use error::{RecvError, SendError, TryRecvError};

/// Opens a channel, which telemetry knows by the place of the call.
///
/// # Panics
/// The capacity is 0, or more than tokio has.
#[must_use]
#[track_caller]
pub fn channel<T: Clone>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    open(Options::at(Location::caller()), capacity)
}

/// Opens a channel, known as `name`.
///
/// # Panics
/// The capacity is 0, or more than tokio has.
#[must_use]
#[track_caller]
pub fn named<T: Clone>(name: &str, capacity: usize) -> (Sender<T>, Receiver<T>) {
    open(Options::named(name), capacity)
}

#[track_caller]
pub(super) fn open<T: Clone>(options: Options<'_>, capacity: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = broadcast::channel(capacity);
    let link = link(options);
    let receiver = Receiver::new(receiver, &link);
    let sender = Sender {
        inner: sender,
        link,
    };
    (sender, receiver)
}

/// What the ends share.
type Link = Arc<Registered<Sent>>;

fn link(options: Options<'_>) -> Link {
    let group = Group::of(Kind::Broadcast, options.origin);
    Arc::new(Registered::new(group, Sent::default()))
}

/// Messages sent on a channel, which is also how far it is. On cache lines of its own, since others write beside it.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Sent(Spread);

impl Source for Sent {
    fn counted(&self) -> Counted {
        Counted {
            sent: self.0.sum(),
            ..Counted::default()
        }
    }
}

/// How far a receiver is. On cache lines of its own, since others write beside it.
#[derive(Debug)]
#[repr(align(128))]
struct Reader {
    channel: Arc<Sent>,
    /// Messages it received. Written by the receiver, which is in one place at a time, as is `skipped`; `Relaxed`: numbers that
    /// nothing else depends on.
    received: AtomicU64,
    /// How many others it has behind it: those sent before it came, and those it was too slow for. It is corrected now and
    /// then, since what is being sent in the moment it is set may be among them or not.
    skipped: AtomicU64,
}

/// How often is looked again whether nothing was sent meanwhile.
const LOOKS_MAX: usize = 16;

impl Reader {
    /// One with nothing behind it that is not yet corrected.
    fn new(channel: &Arc<Sent>) -> Self {
        Self {
            channel: Arc::clone(channel),
            received: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
        }
    }

    /// The channel itself says how much is ahead, and the sum how much there was at all: of one moment if that is the same before
    /// and after, but for what is sent and not counted yet.
    fn correct(&self, backlog: impl Fn() -> usize) {
        let mut sum = self.channel.0.sum();
        let mut ahead = backlog();
        for _ in 0..LOOKS_MAX {
            let now = self.channel.0.sum();
            if now == sum {
                break;
            }
            (sum, ahead) = (now, backlog());
        }
        let behind = sum.saturating_sub(ahead as u64);
        let skipped = behind.saturating_sub(self.received.load(Ordering::Relaxed));
        self.skipped.store(skipped, Ordering::Relaxed);
    }
}

impl Source for Reader {
    fn counted(&self) -> Counted {
        let received = self.received.load(Ordering::Relaxed);
        let behind = received + self.skipped.load(Ordering::Relaxed);
        Counted {
            received,
            depth: self.channel.0.sum().saturating_sub(behind),
            ..Counted::default()
        }
    }
}

/// Sends to all receivers; see [`tokio::sync::broadcast::Sender`].
pub struct Sender<T> {
    inner: broadcast::Sender<T>,
    link: Link,
}

impl<T> Sender<T> {
    /// Opens a channel that nobody receives from yet, which telemetry knows by the place of the call.
    ///
    /// # Panics
    /// The capacity is 0, or more than tokio has.
    #[must_use]
    #[track_caller]
    pub fn new(capacity: usize) -> Self {
        Self {
            inner: broadcast::Sender::new(capacity),
            link: link(Options::at(Location::caller())),
        }
    }

    /// Sends a value; returns how many receivers there are for it.
    ///
    /// # Errors
    /// There is none; the value comes back.
    #[inline]
    pub fn send(&self, value: T) -> Result<usize, SendError<T>> {
        let receivers = self.inner.send(value)?;
        self.link.0.add(1);
        Ok(receivers)
    }

    /// Another receiver, of what is sent from now on.
    #[must_use]
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver::new(self.inner.subscribe(), &self.link)
    }

    /// A sender that does not keep the channel open.
    #[must_use = "a weak sender does nothing by itself"]
    pub fn downgrade(&self) -> WeakSender<T> {
        WeakSender {
            inner: self.inner.downgrade(),
            link: Arc::clone(&self.link),
        }
    }

    /// How many values are there for one receiver at least.
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// Whether no value is there for any receiver.
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// How many receivers there are.
    pub fn receiver_count(&self) -> usize {
        self.inner.receiver_count()
    }

    /// Whether both send to the same receivers.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.inner.same_channel(&other.inner)
    }

    /// Waits until nobody receives.
    pub async fn closed(&self) {
        self.inner.closed().await;
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

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            link: Arc::clone(&self.link),
        }
    }
}

impl<T> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// A sender that does not keep the channel open; see [`tokio::sync::broadcast::WeakSender`].
pub struct WeakSender<T> {
    inner: broadcast::WeakSender<T>,
    link: Link,
}

impl<T> WeakSender<T> {
    /// A sender, unless all others are gone.
    #[must_use]
    pub fn upgrade(&self) -> Option<Sender<T>> {
        Some(Sender {
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

impl<T> Clone for WeakSender<T> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            link: Arc::clone(&self.link),
        }
    }
}

impl<T> fmt::Debug for WeakSender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// Receives all that is sent; see [`tokio::sync::broadcast::Receiver`].
pub struct Receiver<T> {
    inner: broadcast::Receiver<T>,
    link: Link,
    reader: Registered<Reader>,
}

/// A receiver compares how far it is with what the channel says once in so many messages.
const CORRECT_EVERY: u64 = 256;

impl<T> Receiver<T> {
    fn new(inner: broadcast::Receiver<T>, link: &Link) -> Self {
        let reader = Reader::new(link.source());
        // Not before it has subscribed: what is sent in between is ahead of it.
        reader.correct(|| inner.len());
        Self {
            inner,
            link: Arc::clone(link),
            reader: Registered::new(link.group, reader),
        }
    }

    /// How many values are there for this receiver, those included that it is too late for.
    pub fn len(&self) -> usize {
        self.inner.len()
    }

    /// Whether no value is there.
    pub fn is_empty(&self) -> bool {
        self.inner.is_empty()
    }

    /// Whether both receive from the same channel.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.inner.same_channel(&other.inner)
    }

    /// How many senders there are.
    pub fn sender_strong_count(&self) -> usize {
        self.inner.sender_strong_count()
    }

    /// How many weak senders there are.
    pub fn sender_weak_count(&self) -> usize {
        self.inner.sender_weak_count()
    }

    /// Whether all senders are gone.
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    /// A value was received.
    #[inline]
    fn took(&self) {
        let received = &self.reader.received;
        add_alone(received, 1);
        if received
            .load(Ordering::Relaxed)
            .is_multiple_of(CORRECT_EVERY)
        {
            self.correct();
        }
    }

    #[cold]
    fn correct(&self) {
        self.reader.correct(|| self.inner.len());
    }

    /// So many values are gone before they were received.
    #[cold]
    fn lagged(&self, count: u64) {
        self.link.group.count_dropped(DropReason::Lagged, count);
        self.correct();
    }
}

impl<T: Clone> Receiver<T> {
    /// Another receiver, of what is sent from now on.
    #[must_use]
    pub fn resubscribe(&self) -> Self {
        Self::new(self.inner.resubscribe(), &self.link)
    }

    /// Waits for the next value.
    ///
    /// # Errors
    /// Values are gone because the receiver was too slow, or all senders are.
    ///
    /// # Cancel safety
    /// When it is dropped before it is done, nothing was received.
    pub async fn recv(&mut self) -> Result<T, RecvError> {
        let received = self.inner.recv().await;
        self.note(&received);
        received
    }

    /// Takes a value that is there.
    ///
    /// # Errors
    /// There is none for now, values are gone because the receiver was too slow, or all senders are.
    #[inline]
    pub fn try_recv(&mut self) -> Result<T, TryRecvError> {
        let received = self.inner.try_recv();
        match received {
            Ok(_) => self.took(),
            Err(TryRecvError::Lagged(count)) => self.lagged(count),
            Err(_) => {}
        }
        received
    }

    /// As [`recv`](Self::recv), blocking the thread.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// It is called in an asynchronous task.
    #[track_caller]
    pub fn blocking_recv(&mut self) -> Result<T, RecvError> {
        let received = self.inner.blocking_recv();
        self.note(&received);
        received
    }

    #[inline]
    fn note(&self, received: &Result<T, RecvError>) {
        match received {
            Ok(_) => self.took(),
            Err(RecvError::Lagged(count)) => self.lagged(*count),
            Err(RecvError::Closed) => {}
        }
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let left = self.inner.len() as u64;
        if left > 0 {
            self.link.group.count_dropped(DropReason::Unread, left);
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever came between its subscription and its first look at the sum.
    #[test]
    fn what_is_sent_while_a_receiver_comes_is_ahead_of_it() {
        let sender = Sender::new(16);
        let _first = sender.subscribe();
        for value in 0..3 {
            sender.send(value).unwrap();
        }
        let inner = sender.inner.subscribe();
        for value in 0..5 {
            sender.send(value).unwrap();
        }
        let mut late = Receiver::new(inner, &sender.link);
        assert_eq!(late.reader.source().counted().depth, 5);
        assert_eq!(late.try_recv(), Ok(0));
        assert_eq!(late.reader.source().counted().depth, 4);
    }
}
