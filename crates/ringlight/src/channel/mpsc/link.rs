//! What the ends of a channel share beside the channel itself.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker, ready};

use tokio::task::unconstrained;
use tracing::Span;

use super::super::counts::{DropReason, Group, Kind};
use super::super::named::Options;
use super::super::numbers::Number;
use super::super::spans::Spans;
use super::super::wait::set_fill_ratio;
use crate::sync::unpoisoned;
use crate::uncounted::uncounted;

/// The receiving end of one of tokio's channels.
pub(super) trait Queue {
    type Item;

    fn close(&mut self);
    fn len(&self) -> usize;
    /// Places taken and all places, if there is a bound.
    fn fill(&self) -> Option<(usize, usize)>;
    fn poll_many(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut Vec<Self::Item>,
        limit: usize,
    ) -> Poll<usize>;
}

/// What was asked for with the channel, beyond being counted.
#[derive(Debug)]
pub(super) struct Extras {
    spans: Option<Spans>,
    has_fill_ratio: bool,
}

/// Shared by all ends of a channel, and by permits that outlive theirs.
#[derive(Debug)]
pub(super) struct Link<Q: Queue> {
    pub(super) group: &'static Group,
    /// Messages sent and received on channels of the group. They stand apart if there are extras.
    pub(super) sent: Number,
    pub(super) received: Number,
    extras: Option<Extras>,
    /// The receiving end after the receiver is gone, if somebody may still send with a permit.
    late: Mutex<Option<Q>>,
}

impl<Q: Queue> Link<Q> {
    pub(super) fn new(kind: Kind, options: Options<'_>) -> Self {
        let group = Group::of(kind, options.origin);
        let (mut sent, mut received) = (group.sent_number(), group.received_number());
        let has_extras = options.has_spans || options.has_fill_ratio;
        if has_extras {
            (sent, received) = (sent.apart(), received.apart());
        }
        Self {
            group,
            sent,
            received,
            extras: has_extras.then(|| Extras {
                spans: (options.has_spans).then(|| uncounted(|| Spans::new(group.name()))),
                has_fill_ratio: options.has_fill_ratio,
            }),
            late: Mutex::new(None),
        }
    }

    /// The channel's spans, if it has any.
    #[inline]
    pub(super) fn spans(&self) -> Option<&Spans> {
        self.extras.as_ref()?.spans.as_ref()
    }

    /// Sends a message for which there is a place.
    #[inline]
    pub(super) fn deliver<R>(&self, send: impl FnOnce() -> R) -> R {
        // Before it is there, so that nobody receives what was not sent.
        self.sent.add(1);
        match self.spans() {
            None => send(),
            Some(spans) => deliver_carrying(spans, send),
        }
    }

    /// Sends a message by a permit.
    #[inline]
    pub(super) fn deliver_by_permit<R>(&self, send: impl FnOnce() -> R) -> R {
        match self.sent.here() {
            Some(sent) => {
                sent.add(1);
                send()
            }
            None => self.deliver_by_permit_otherwise(send),
        }
    }

    #[cold]
    fn deliver_by_permit_otherwise<R>(&self, send: impl FnOnce() -> R) -> R {
        let deliver = || self.deliver(send);
        match self.spans() {
            None => deliver(),
            Some(spans) => spans.sending(None, None).in_scope(deliver),
        }
    }

    /// Sends a message that may be refused, and counts it if it is not.
    #[cold]
    pub(super) fn try_deliver<R, E>(&self, send: impl FnOnce() -> Result<R, E>) -> Result<R, E> {
        let sent = match self.spans() {
            None => send(),
            Some(spans) => spans.sending(None, None).in_scope(|| spans.pass(send)),
        };
        if sent.is_ok() {
            self.sent.add(1);
        }
        sent
    }

    /// A message is about to be sent, or a place to be kept for it; `fill` says how many places are taken, and how many there are.
    #[inline]
    pub(super) fn note_fill(&self, fill: impl FnOnce() -> (usize, usize)) {
        if let Some(extras) = &self.extras
            && extras.has_fill_ratio
        {
            let (taken, places) = fill();
            set_fill_ratio(taken as f64 / places as f64);
        }
    }

    /// So many messages were received, and not counted yet.
    #[cold]
    pub(super) fn took(&self, count: usize, queue: &Q) {
        self.received.add(count as u64);
        if let Some(extras) = &self.extras {
            extras.took(count, queue);
        }
    }

    /// One message was received, what is done about which belongs into the span.
    pub(super) fn took_in_span(&self, queue: &Q) -> Span {
        self.received.add(1);
        let Some(extras) = &self.extras else {
            return Span::none();
        };
        extras.note_fill(1, queue);
        match &extras.spans {
            Some(spans) => spans.received(Some(queue.len())),
            None => Span::none(),
        }
    }

    /// The receiver is gone: nobody will have what is in the channel. Takes the receiving end, in whose place
    /// `closed` is left, only if somebody may still send.
    pub(super) fn end(&self, queue: &mut Q, closed: impl FnOnce() -> Q) {
        queue.close();
        if discard(self.group, queue).is_pending() {
            let queue = std::mem::replace(queue, closed());
            *unpoisoned(self.late.lock()) = Some(queue);
        }
    }
}

impl<Q: Queue> Drop for Link<Q> {
    /// No end is left, and so nobody sends any more.
    fn drop(&mut self) {
        if let Some(queue) = unpoisoned(self.late.get_mut()) {
            let _ = discard(self.group, queue);
        }
        if let Some(extras) = self.extras.take() {
            uncounted(|| drop(extras));
        }
    }
}

impl Extras {
    fn took<Q: Queue>(&self, count: usize, queue: &Q) {
        self.note_fill(count, queue);
        if let Some(spans) = &self.spans {
            let left = queue.len();
            for taken in 1..=count {
                drop(spans.received(Some(left + count - taken)));
            }
        }
    }

    /// Before so many were received.
    fn note_fill<Q: Queue>(&self, count: usize, queue: &Q) {
        if self.has_fill_ratio
            && let Some((taken, places)) = queue.fill()
        {
            let taken = (taken + count).min(places);
            set_fill_ratio(taken as f64 / places as f64);
        }
    }
}

#[cold]
fn deliver_carrying<R>(spans: &Spans, send: impl FnOnce() -> R) -> R {
    let Ok(sent) = spans.pass(|| Ok::<R, std::convert::Infallible>(send()));
    sent
}

/// Drops what is in a closed channel, without waiting. Pending if somebody may still send.
fn discard<Q: Queue>(group: &Group, queue: &mut Q) -> Poll<()> {
    const AT_ONCE: usize = 32;
    let mut values = uncounted(|| Vec::with_capacity(queue.len().min(AT_ONCE)));
    let polled = {
        let discarding = poll_fn(|context| {
            loop {
                let count = ready!(queue.poll_many(context, &mut values, AT_ONCE));
                if count == 0 {
                    return Poll::Ready(());
                }
                group.count_dropped(DropReason::Unread, count as u64);
                values.clear();
            }
        });
        // However much the task has done already: what is in the channel is dropped now, as tokio does.
        let discarding = pin!(unconstrained(discarding));
        discarding.poll(&mut Context::from_waker(Waker::noop()))
    };
    uncounted(|| drop(values));
    polled
}
