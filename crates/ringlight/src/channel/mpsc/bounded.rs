//! The ends of a channel with a bound.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::{SendError, SendTimeoutError, TryRecvError, TrySendError};
use tokio::task::coop::poll_proceed;
use tracing::{Instrument as _, Span};

use super::super::RecvInSpan;
use super::super::blocking::{block_on, check_may_block};
use super::super::counts::{DropReason, Kind};
use super::super::named::Options;
use super::super::numbers::Number;
use super::super::on_heap::OnHeap;
use super::super::wait::{Wait, Waiting};
use super::ends::ends;
use super::link::{Link, Queue};
use super::permit::{OwnedPermit, Permit, PermitIterator};

pub(super) type BoundedLink<T> = Link<mpsc::Receiver<T>>;

pub(in super::super) fn open<T>(options: Options<'_>, capacity: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = mpsc::channel(capacity);
    let link = Arc::new(Link::new(Kind::Mpsc, options));
    let sender = Sender::new(sender, Arc::clone(&link));
    (sender, Receiver::new(receiver, link))
}

ends! {
    Sender, WeakSender, Receiver, BoundedLink;
    a closed queue: mpsc::channel(1).1;
    fill of queue: {
        let places = queue.max_capacity();
        Some((places - queue.capacity(), places))
    }
}

impl<T> Sender<T> {
    /// Sends a value, waiting for a place.
    ///
    /// # Errors
    /// The receiver is closed; the value comes back.
    ///
    /// # Cancel safety
    /// When it is dropped before it is done, nothing was sent, nor counted as sent.
    pub async fn send(&self, value: T) -> Result<(), SendError<T>> {
        let at_once = poll_fn(|context| {
            // A sending is a share of the task's work, as it is tokio's.
            let share = ready!(poll_proceed(context));
            let Some(sent) = self.sent.here() else {
                return Poll::Ready(None);
            };
            let permit = self.inner.try_reserve().ok();
            if permit.is_some() {
                share.made_progress();
                // Before it is there, so that nobody receives what was not sent.
                sent.add(1);
            }
            Poll::Ready(permit)
        });
        match at_once.await {
            Some(permit) => {
                permit.send(value);
                Ok(())
            }
            None => self.send_otherwise(value).await,
        }
    }

    /// Sends a value where there is more to do than to count, or no place.
    async fn send_otherwise(&self, value: T) -> Result<(), SendError<T>> {
        if self.link.spans().is_some() {
            // Allocated, so that channels without spans do not carry it along.
            return OnHeap::new(self.send_in_span(value)).await;
        }
        self.wait_and_send(value).await
    }

    #[cold]
    fn send_in_span(&self, value: T) -> impl Future<Output = Result<(), SendError<T>>> {
        self.wait_and_send(value).instrument(self.sending())
    }

    async fn wait_and_send(&self, value: T) -> Result<(), SendError<T>> {
        self.link.note_fill(|| self.fill());
        let reserve = pin!(self.inner.reserve());
        match self.waiting(reserve, 1).await {
            Ok(permit) => {
                self.link.deliver(|| permit.send(value));
                Ok(())
            }
            Err(SendError(())) => Err(SendError(value)),
        }
    }

    /// The span of a sending.
    fn sending(&self) -> Span {
        let (taken, places) = self.fill();
        let spans = self.link.spans();
        spans.map_or_else(Span::none, |spans| spans.sending(Some(places), Some(taken)))
    }

    /// Places taken, and all there are.
    fn fill(&self) -> (usize, usize) {
        let places = self.inner.max_capacity();
        (places - self.inner.capacity(), places)
    }

    /// Waits for so many places, and tells of it.
    #[inline]
    fn waiting<'f, F: Future>(
        &'f self,
        reserve: Pin<&'f mut F>,
        count: usize,
    ) -> impl Future<Output = F::Output> + 'f {
        // It is pending with places free where the task has had its share of work for now.
        let is_full = move || (self.inner.capacity() < count).then(|| self.inner.max_capacity());
        Waiting::new(reserve, self.link.group, is_full)
    }

    /// Sends a value if there is a place.
    ///
    /// # Errors
    /// There is none, which counts as dropped, or the receiver is closed; the value comes back.
    #[inline]
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        match self.try_reserve() {
            Ok(permit) => {
                permit.send(value);
                Ok(())
            }
            Err(refused) => Err(self.refused(value, refused)),
        }
    }

    #[cold]
    fn refused(&self, value: T, refused: TrySendError<()>) -> TrySendError<T> {
        match refused {
            TrySendError::Full(()) => {
                self.link.group.count_dropped(DropReason::Full, 1);
                TrySendError::Full(value)
            }
            TrySendError::Closed(()) => TrySendError::Closed(value),
        }
    }

    /// Sends a value, waiting for a place for at most so long.
    ///
    /// # Errors
    /// There was none, which counts as dropped, or the receiver is closed; the value comes back.
    ///
    /// # Panics
    /// It is not called in a runtime with a timer.
    pub async fn send_timeout(
        &self,
        value: T,
        timeout: Duration,
    ) -> Result<(), SendTimeoutError<T>> {
        let span = self.sending();
        self.link.note_fill(|| self.fill());
        let reserve = pin!(self.inner.reserve());
        let reserve = tokio::time::timeout(timeout, self.waiting(reserve, 1));
        match reserve.instrument(span.clone()).await {
            Ok(Ok(permit)) => {
                span.in_scope(|| self.link.deliver(|| permit.send(value)));
                Ok(())
            }
            Ok(Err(SendError(()))) => Err(SendTimeoutError::Closed(value)),
            Err(_) => {
                self.link.group.count_dropped(DropReason::Full, 1);
                Err(SendTimeoutError::Timeout(value))
            }
        }
    }

    /// Sends a value, blocking the thread until there is a place.
    ///
    /// # Errors
    /// The receiver is closed; the value comes back.
    ///
    /// # Panics
    /// It is called in an asynchronous task.
    #[track_caller]
    pub fn blocking_send(&self, value: T) -> Result<(), SendError<T>> {
        if self.link.spans().is_some() {
            check_may_block();
            return block_on(pin!(self.send_in_span(value)));
        }
        self.link.note_fill(|| self.fill());
        let is_full = self.inner.capacity() == 0;
        let _wait = is_full.then(|| Wait::begin(self.link.group, self.inner.max_capacity()));
        let sent = self.inner.blocking_send(value);
        if sent.is_ok() {
            self.sent.add(1);
        }
        sent
    }

    /// Waits for a place, which is kept for whoever has the permit.
    ///
    /// # Errors
    /// The receiver is closed.
    pub async fn reserve(&self) -> Result<Permit<'_, T>, SendError<()>> {
        self.link.note_fill(|| self.fill());
        let reserve = pin!(self.inner.reserve());
        let permit = self.waiting(reserve, 1).await?;
        Ok(Permit::new(permit, &self.link))
    }

    /// Waits for as many places.
    ///
    /// # Errors
    /// The receiver is closed, or the channel never has as many.
    pub async fn reserve_many(&self, count: usize) -> Result<PermitIterator<'_, T>, SendError<()>> {
        self.link.note_fill(|| self.fill());
        let reserve = pin!(self.inner.reserve_many(count));
        let permits = self.waiting(reserve, count).await?;
        Ok(PermitIterator::new(permits, &self.link))
    }

    /// Waits for a place, and hands the sender over with it.
    ///
    /// # Errors
    /// The receiver is closed.
    pub async fn reserve_owned(self) -> Result<OwnedPermit<T>, SendError<()>> {
        self.link.note_fill(|| self.fill());
        let Self { inner, link, .. } = self;
        // Asked before, since the sender is handed over.
        let full = (inner.capacity() == 0).then(|| inner.max_capacity());
        let reserve = pin!(inner.reserve_owned());
        let permit = Waiting::new(reserve, link.group, || full).await?;
        Ok(OwnedPermit::new(permit, link))
    }

    /// A place, if there is one.
    ///
    /// # Errors
    /// There is none, or the receiver is closed.
    #[inline]
    pub fn try_reserve(&self) -> Result<Permit<'_, T>, TrySendError<()>> {
        self.link.note_fill(|| self.fill());
        let permit = self.inner.try_reserve()?;
        Ok(Permit::new(permit, &self.link))
    }

    /// As many places, if there are so many.
    ///
    /// # Errors
    /// There are not, or the receiver is closed.
    pub fn try_reserve_many(
        &self,
        count: usize,
    ) -> Result<PermitIterator<'_, T>, TrySendError<()>> {
        self.link.note_fill(|| self.fill());
        let permits = self.inner.try_reserve_many(count)?;
        Ok(PermitIterator::new(permits, &self.link))
    }

    /// A place if there is one, with which the sender is handed over.
    ///
    /// # Errors
    /// There is none, or the receiver is closed; the sender comes back.
    pub fn try_reserve_owned(self) -> Result<OwnedPermit<T>, TrySendError<Self>> {
        self.link.note_fill(|| self.fill());
        let Self { inner, link, .. } = self;
        match inner.try_reserve_owned() {
            Ok(permit) => Ok(OwnedPermit::new(permit, link)),
            Err(TrySendError::Full(inner)) => Err(TrySendError::Full(Self::new(inner, link))),
            Err(TrySendError::Closed(inner)) => Err(TrySendError::Closed(Self::new(inner, link))),
        }
    }

    /// Places that are free at this moment.
    pub fn capacity(&self) -> usize {
        self.inner.capacity()
    }

    /// All places there are.
    pub fn max_capacity(&self) -> usize {
        self.inner.max_capacity()
    }
}

impl<T> Receiver<T> {
    /// Places that are free at this moment.
    pub fn capacity(&self) -> usize {
        self.inner.capacity()
    }

    /// All places there are.
    pub fn max_capacity(&self) -> usize {
        self.inner.max_capacity()
    }
}
