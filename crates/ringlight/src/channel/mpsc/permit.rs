//! Places that are kept for a message.

use std::fmt;
use std::iter::FusedIterator;
use std::sync::Arc;

use tokio::sync::mpsc;

use super::bounded::{BoundedLink, Sender};

/// A place for one message; see [`tokio::sync::mpsc::Permit`]. Dropped, it is given back, and nothing is counted.
pub struct Permit<'a, T> {
    inner: mpsc::Permit<'a, T>,
    link: &'a BoundedLink<T>,
}

impl<'a, T> Permit<'a, T> {
    #[inline]
    pub(super) const fn new(inner: mpsc::Permit<'a, T>, link: &'a BoundedLink<T>) -> Self {
        Self { inner, link }
    }

    /// Sends a value, without waiting.
    #[inline]
    pub fn send(self, value: T) {
        let Self { inner, link } = self;
        link.deliver_by_permit(|| inner.send(value));
    }
}

impl<T> fmt::Debug for Permit<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// Places for several messages; see [`tokio::sync::mpsc::PermitIterator`]. Those that are left are given back.
pub struct PermitIterator<'a, T> {
    inner: mpsc::PermitIterator<'a, T>,
    link: &'a BoundedLink<T>,
}

impl<'a, T> PermitIterator<'a, T> {
    pub(super) const fn new(inner: mpsc::PermitIterator<'a, T>, link: &'a BoundedLink<T>) -> Self {
        Self { inner, link }
    }
}

impl<'a, T> Iterator for PermitIterator<'a, T> {
    type Item = Permit<'a, T>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(Permit::new(self.inner.next()?, self.link))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

impl<T> ExactSizeIterator for PermitIterator<'_, T> {}
impl<T> FusedIterator for PermitIterator<'_, T> {}

impl<T> fmt::Debug for PermitIterator<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// A place for one message, with the sender; see [`tokio::sync::mpsc::OwnedPermit`].
pub struct OwnedPermit<T> {
    inner: mpsc::OwnedPermit<T>,
    link: Arc<BoundedLink<T>>,
}

impl<T> OwnedPermit<T> {
    pub(super) const fn new(inner: mpsc::OwnedPermit<T>, link: Arc<BoundedLink<T>>) -> Self {
        Self { inner, link }
    }

    /// Sends a value, without waiting, and gives the sender back.
    pub fn send(self, value: T) -> Sender<T> {
        let Self { inner, link } = self;
        let inner = link.deliver_by_permit(|| inner.send(value));
        Sender::new(inner, link)
    }

    /// Gives the place back, and the sender.
    pub fn release(self) -> Sender<T> {
        let Self { inner, link } = self;
        let inner = inner.release();
        Sender::new(inner, link)
    }

    /// Whether both send to the same receiver.
    pub fn same_channel(&self, other: &Self) -> bool {
        self.inner.same_channel(&other.inner)
    }

    /// Whether it sends to the receiver of this sender.
    pub fn same_channel_as_sender(&self, sender: &Sender<T>) -> bool {
        self.inner.same_channel_as_sender(&sender.inner)
    }
}

impl<T> fmt::Debug for OwnedPermit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
