//! Channels whose values all receivers have, as in [`tokio::sync::broadcast`].

mod link;

use std::fmt;
use std::panic::Location;
use std::sync::Arc;

use tokio::sync::broadcast;
use tracing::Span;

use super::counts::DropReason;
use super::named::Options;
use super::numbers::add_alone;
use super::sources::Registered;
use crate::sync::Ordering;

use link::{Extras, Link, Reader};

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
    let link = Arc::new(Link::new(options, capacity));
    let receiver = Receiver::new(&link, || receiver);
    let sender = Sender {
        inner: sender,
        link,
    };
    (sender, receiver)
}

/// Sends to all receivers; see [`tokio::sync::broadcast::Sender`].
pub struct Sender<T> {
    inner: broadcast::Sender<T>,
    link: Arc<Link>,
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
            link: Arc::new(Link::new(Options::at(Location::caller()), capacity)),
        }
    }

    /// Sends a value; returns how many receivers there are for it.
    ///
    /// # Errors
    /// There is none; the value comes back.
    #[inline]
    pub fn send(&self, value: T) -> Result<usize, SendError<T>> {
        if let Some(extras) = &self.link.extras {
            return self.send_with(extras, value);
        }
        let receivers = self.inner.send(value)?;
        self.link.sent.add(1);
        Ok(receivers)
    }

    /// Sends a value where there is more to do than to count.
    #[cold]
    fn send_with(&self, extras: &Extras, value: T) -> Result<usize, SendError<T>> {
        let queued = self.inner.len();
        let spans = extras.spans.as_ref();
        let span = spans.map_or_else(Span::none, |spans| spans.sending(self.link.places, queued));
        span.in_scope(|| {
            extras.note_fill(queued, self.link.places);
            let send = || self.inner.send(value);
            let receivers = match spans {
                None => send()?,
                Some(spans) => spans.pass(send)?,
            };
            self.link.sent.add(1);
            Ok(receivers)
        })
    }

    /// Another receiver, of what is sent from now on.
    #[must_use]
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver::new(&self.link, || self.inner.subscribe())
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
    link: Arc<Link>,
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
    link: Arc<Link>,
    reader: Registered<Reader>,
    /// Where the count of received messages has none of these bits, there is more to do than to count. [`EVERY_256`], or 0
    /// where there always is.
    more_to_do: u64,
    /// The number of the next message, where spans ask for it.
    next: u64,
}

/// A receiver compares how far it is with what the channel says where the count of received messages has none of these bits.
const EVERY_256: u64 = 255;

impl<T> Receiver<T> {
    fn new(link: &Arc<Link>, subscribe: impl FnOnce() -> broadcast::Receiver<T>) -> Self {
        let (inner, next) = match link.spans() {
            None => (subscribe(), 0),
            Some(spans) => spans.joining(subscribe),
        };
        let reader = Reader::new(link.sent.source(), link.places);
        // Not before it has subscribed: what is sent in between is ahead of it.
        reader.correct(|| inner.len());
        Self {
            inner,
            link: Arc::clone(link),
            reader: Registered::new(link.sent.group, reader),
            more_to_do: if link.extras.is_some() { 0 } else { EVERY_256 },
            next,
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
    fn took(&mut self) {
        let received = &self.reader.received;
        add_alone(received, 1);
        let received = received.load(Ordering::Relaxed);
        if received & self.more_to_do == 0 {
            self.took_with(received);
        }
    }

    /// A value was received, as the receiver's `received`th, and there may be more to do than to count.
    #[cold]
    fn took_with(&mut self, received: u64) {
        if received & EVERY_256 == 0 {
            self.correct();
        }
        let Some(extras) = &self.link.extras else {
            return;
        };
        // Of those that the receiver has before it, some may be overwritten.
        let places = self.link.places;
        let left = self.inner.len().min(places);
        extras.note_fill((left + 1).min(places), places);
        if let Some(spans) = &extras.spans {
            drop(spans.received(self.next, left));
            self.next += 1;
        }
    }

    fn correct(&self) {
        self.reader.correct(|| self.inner.len());
    }

    /// So many values are gone before they were received.
    #[cold]
    fn lagged(&mut self, count: u64) {
        self.link
            .sent
            .group
            .count_dropped(DropReason::Lagged, count);
        self.next += count;
        self.correct();
    }
}

impl<T: Clone> Receiver<T> {
    /// Another receiver, of what is sent from now on.
    #[must_use]
    pub fn resubscribe(&self) -> Self {
        Self::new(&self.link, || self.inner.resubscribe())
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
    fn note(&mut self, received: &Result<T, RecvError>) {
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
            self.link.sent.group.count_dropped(DropReason::Unread, left);
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

#[cfg(test)]
#[cfg(not(ringlight_loom))]
mod tests {
    use super::super::sources::Source as _;
    use super::*;

    #[test]
    fn what_is_kept_for_the_spans_of_messages_has_a_bound() {
        let (sender, mut receiver) = super::super::named("kept").spans().broadcast(64);
        for message in 0..1_000 {
            sender.send(message).unwrap();
        }
        let kept = || sender.link.spans().map(|spans| spans.kept_count());
        assert_eq!(kept(), Some(128));
        while receiver.try_recv() != Err(TryRecvError::Empty) {}
        assert_eq!(kept(), Some(128));
    }

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
        let mut late = Receiver::new(&sender.link, || inner);
        assert_eq!(late.reader.source().counted().depth, 5);
        assert_eq!(late.try_recv(), Ok(0));
        assert_eq!(late.reader.source().counted().depth, 4);
    }
}
