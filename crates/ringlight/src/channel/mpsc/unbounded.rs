//! The ends of a channel without a bound.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::{SendError, TryRecvError};
use tracing::Span;

use super::super::RecvInSpan;
use super::super::counts::Kind;
use super::super::named::Options;
use super::super::numbers::Number;
use super::ends::ends;
use super::link::{Link, Queue};

type UnboundedLink<T> = Link<mpsc::UnboundedReceiver<T>>;

pub(in super::super) fn open<T>(
    options: Options<'_>,
) -> (UnboundedSender<T>, UnboundedReceiver<T>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let link = Arc::new(Link::new(Kind::MpscUnbounded, options));
    let sender = UnboundedSender::new(sender, Arc::clone(&link));
    (sender, UnboundedReceiver::new(receiver, link))
}

ends! {
    UnboundedSender, WeakUnboundedSender, UnboundedReceiver, UnboundedLink;
    a closed queue: mpsc::unbounded_channel().1;
    fill of _queue: None
}

impl<T> UnboundedSender<T> {
    /// Sends a value.
    ///
    /// # Errors
    /// The receiver is closed; the value comes back.
    #[inline]
    pub fn send(&self, value: T) -> Result<(), SendError<T>> {
        match self.sent.here() {
            Some(sent) => {
                self.inner.send(value)?;
                sent.add(1);
                Ok(())
            }
            None => self.link.try_deliver(|| self.inner.send(value)),
        }
    }
}
