//! Channels of which the last value counts, as in [`tokio::sync::watch`].

use std::fmt;
use std::future::poll_fn;
use std::panic::Location;
use std::sync::Arc;
use std::task::{Poll, ready};

use tokio::sync::watch;
use tokio::task::coop::poll_proceed;
use tracing::Span;

use super::counts::{DropReason, Group, Kind};
use super::named::Options;
use super::numbers::{Number, add_alone};
use super::sources::{Counted, Registered, Source};
use super::spans::SpansOfLast;
use crate::sync::{AtomicU64, Ordering};
use crate::uncounted::uncounted;

pub use tokio::sync::watch::{Ref, error};

use error::{RecvError, SendError};

/// Opens a channel, which telemetry knows by the place of the call. The first value counts as seen.
#[must_use]
#[track_caller]
pub fn channel<T>(init: T) -> (Sender<T>, Receiver<T>) {
    open(Options::at(Location::caller()), init)
}

/// Opens a channel, known as `name`. The first value counts as seen.
#[must_use]
pub fn named<T>(name: &str, init: T) -> (Sender<T>, Receiver<T>) {
    open(Options::named(name), init)
}

pub(super) fn open<T>(options: Options<'_>, init: T) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = watch::channel(init);
    let link = Arc::new(Link::new(options));
    let receiver = Receiver::new(receiver, &link);
    let sender = Sender {
        inner: sender,
        link,
    };
    (sender, receiver)
}

/// What became of a channel's values. Written by senders and receivers while they have the value locked, which orders what
/// they write: so `Relaxed` does, also for whoever reads metrics, to whom they are numbers.
#[derive(Debug, Default)]
struct Values {
    /// Values sent. Written by senders, of which one at a time has the value.
    sent: AtomicU64,
    /// How many were sent when somebody last looked. Written by receivers, several of which may have the value, and write the same.
    seen: AtomicU64,
    /// Values sent of which the next one was sent before somebody looked. Written by senders.
    overwritten: AtomicU64,
}

impl Values {
    /// There is a new value, which the caller still has locked.
    fn sent(&self) {
        let sent = self.sent.load(Ordering::Relaxed);
        if self.seen.load(Ordering::Relaxed) != sent {
            add_alone(&self.overwritten, 1);
        }
        self.sent.store(sent + 1, Ordering::Relaxed);
    }

    /// The caller looks at the value, and so has it locked.
    #[inline]
    fn seen(&self) {
        let sent = self.sent.load(Ordering::Relaxed);
        if self.seen.load(Ordering::Relaxed) != sent {
            self.seen.store(sent, Ordering::Relaxed);
        }
    }

    fn is_unseen(&self) -> bool {
        self.seen.load(Ordering::Relaxed) != self.sent.load(Ordering::Relaxed)
    }
}

impl Source for Values {
    fn counted(&self) -> Counted {
        Counted {
            sent: self.sent.load(Ordering::Relaxed),
            overwritten: self.overwritten.load(Ordering::Relaxed),
            depth: u64::from(self.is_unseen()),
            ..Counted::default()
        }
    }
}

/// What the ends share.
#[derive(Debug)]
struct Link {
    values: Registered<Values>,
    /// If they were asked for.
    spans: Option<Box<SpansOfLast>>,
}

impl Link {
    fn new(options: Options<'_>) -> Self {
        let group = Group::of(Kind::Watch, options.origin);
        let spans = || uncounted(|| Box::new(SpansOfLast::new(group.name())));
        Self {
            values: Registered::new(group, Values::default()),
            spans: options.has_spans.then(spans),
        }
    }

    /// Where values received are counted. It stands apart if there are spans.
    fn received_number(&self) -> Number {
        let received = self.values.group.received_number();
        match &self.spans {
            None => received,
            Some(_) => received.apart(),
        }
    }

    /// A value was received by a receiver with this number, which may have it locked.
    #[inline]
    fn took(&self, received: Number) {
        match received.here() {
            Some(received) => received.add(1),
            None => self.took_otherwise(received),
        }
    }

    #[cold]
    fn took_otherwise(&self, received: Number) {
        received.add(1);
        if let Some(spans) = &self.spans {
            drop(spans.received(self.values.is_unseen()));
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if self.values.is_unseen() {
            self.values.group.count_dropped(DropReason::Unread, 1);
        }
        if let Some(spans) = self.spans.take() {
            uncounted(|| drop(spans));
        }
    }
}

/// Changes the value; see [`tokio::sync::watch::Sender`].
pub struct Sender<T> {
    inner: watch::Sender<T>,
    link: Arc<Link>,
}

impl<T> Sender<T> {
    /// Opens a channel that nobody receives from yet, which telemetry knows by the place of the call.
    #[track_caller]
    pub fn new(init: T) -> Self {
        channel(init).0
    }

    /// Sends a value.
    ///
    /// # Errors
    /// Nobody receives; the value comes back, and was not set.
    #[inline]
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        if self.inner.is_closed() {
            return Err(SendError(value));
        }
        self.send_replace(value);
        Ok(())
    }

    /// Changes the value, and tells all receivers.
    ///
    /// # Panics
    /// `modify` does; receivers are not told then.
    #[inline]
    pub fn send_modify<F>(&self, modify: F)
    where
        F: FnOnce(&mut T),
    {
        if let Some(spans) = &self.link.spans {
            return self.send_modify_in_span(spans, modify);
        }
        self.inner.send_modify(|value| {
            modify(value);
            self.link.values.sent();
        });
    }

    #[cold]
    fn send_modify_in_span(&self, spans: &SpansOfLast, modify: impl FnOnce(&mut T)) {
        let send = || {
            self.inner.send_modify(|value| {
                modify(value);
                self.link.values.sent();
                spans.carry();
            });
        };
        spans.sending(self.link.values.is_unseen()).in_scope(send);
    }

    /// Changes the value, and tells all receivers if `modify` says so, which is returned.
    ///
    /// # Panics
    /// `modify` does; receivers are not told then.
    #[inline]
    pub fn send_if_modified<F>(&self, modify: F) -> bool
    where
        F: FnOnce(&mut T) -> bool,
    {
        if let Some(spans) = &self.link.spans {
            return self.send_if_modified_in_span(spans, modify);
        }
        self.inner.send_if_modified(|value| {
            let is_modified = modify(value);
            if is_modified {
                self.link.values.sent();
            }
            is_modified
        })
    }

    #[cold]
    fn send_if_modified_in_span(
        &self,
        spans: &SpansOfLast,
        modify: impl FnOnce(&mut T) -> bool,
    ) -> bool {
        // Not opened before, since it may be that nothing is sent; not closed before receivers are told.
        let mut span = Span::none();
        self.inner.send_if_modified(|value| {
            let is_modified = modify(value);
            if is_modified {
                span = spans.sending(self.link.values.is_unseen());
                self.link.values.sent();
                span.in_scope(|| spans.carry());
            }
            is_modified
        })
    }

    /// Sends a value, also if nobody receives, and returns the one before.
    #[inline]
    pub fn send_replace(&self, mut value: T) -> T {
        self.send_modify(|current| std::mem::swap(current, &mut value));
        value
    }

    /// The value, locked for as long as this is held. The sender does not count as somebody who has seen it.
    pub fn borrow(&self) -> Ref<'_, T> {
        self.inner.borrow()
    }

    /// Whether nobody receives.
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    /// Waits until nobody receives.
    pub async fn closed(&self) {
        self.inner.closed().await;
    }

    /// Another receiver, which has seen the value there is.
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver::new(self.inner.subscribe(), &self.link)
    }

    /// How many receivers there are.
    pub fn receiver_count(&self) -> usize {
        self.inner.receiver_count()
    }

    /// How many senders there are.
    pub fn sender_count(&self) -> usize {
        self.inner.sender_count()
    }

    /// Whether both change the same value.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.inner.same_channel(&other.inner)
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

impl<T: Default> Default for Sender<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: fmt::Debug> fmt::Debug for Sender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// Follows the value; see [`tokio::sync::watch::Receiver`].
pub struct Receiver<T> {
    inner: watch::Receiver<T>,
    link: Arc<Link>,
    /// That of the link, at hand.
    received: Number,
}

impl<T> Receiver<T> {
    fn new(inner: watch::Receiver<T>, link: &Arc<Link>) -> Self {
        Self {
            inner,
            link: Arc::clone(link),
            received: link.received_number(),
        }
    }

    /// The value, locked for as long as this is held; it stays new to this receiver.
    #[inline]
    pub fn borrow(&self) -> Ref<'_, T> {
        let value = self.inner.borrow();
        self.link.values.seen();
        value
    }

    /// The value, locked for as long as this is held; it is new no more.
    #[inline]
    pub fn borrow_and_update(&mut self) -> Ref<'_, T> {
        let value = self.inner.borrow_and_update();
        self.link.values.seen();
        if value.has_changed() {
            self.link.took(self.received);
        }
        value
    }

    /// Whether the value is new to this receiver.
    ///
    /// # Errors
    /// All senders are gone.
    pub fn has_changed(&self) -> Result<bool, RecvError> {
        self.inner.has_changed()
    }

    /// Makes the value new to this receiver.
    pub fn mark_changed(&mut self) {
        self.inner.mark_changed();
    }

    /// Makes the value new to this receiver no more.
    pub fn mark_unchanged(&mut self) {
        self.inner.mark_unchanged();
    }

    /// Waits for a new value, which then is new no more.
    ///
    /// # Errors
    /// All senders are gone.
    ///
    /// # Cancel safety
    /// When it is dropped before it is done, no value was taken as seen.
    pub async fn changed(&mut self) -> Result<(), RecvError> {
        let at_once = poll_fn(|context| {
            if !matches!(self.inner.has_changed(), Ok(true)) {
                return Poll::Ready(false);
            }
            // It is a share of the task's work, as it is tokio's.
            let share = ready!(poll_proceed(context));
            share.made_progress();
            self.inner.mark_unchanged();
            Poll::Ready(true)
        });
        if !at_once.await {
            self.inner.changed().await?;
        }
        self.link.took(self.received);
        Ok(())
    }

    /// Waits for a value that `f` says yes to.
    ///
    /// # Errors
    /// All senders are gone, and the last value is not one.
    ///
    /// # Panics
    /// `f` does.
    pub async fn wait_for(&mut self, f: impl FnMut(&T) -> bool) -> Result<Ref<'_, T>, RecvError> {
        let value = self.inner.wait_for(f).await?;
        self.link.values.seen();
        if value.has_changed() {
            self.link.took(self.received);
        }
        Ok(value)
    }

    /// Whether all senders are gone.
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    /// Whether both follow the same value.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.inner.same_channel(&other.inner)
    }
}

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self::new(self.inner.clone(), &self.link)
    }
}

impl<T: fmt::Debug> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
