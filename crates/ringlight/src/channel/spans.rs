//! The spans of sending and receiving, of channels that were asked to have them.
//!
//! A message carries the trace on: the span of its receipt is a child of the one of its sending. Messages are kept as
//! they are; what they carry goes beside: through a queue in the same order, by the number of the channel where there is
//! one message, by the number of the message where each receiver has all of them, and with the last value where that is all
//! there is.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tracing::Span;
use tracing::field::Empty;

use super::wait::TARGET;
use crate::TraceContext;
use crate::sync::unpoisoned;
use crate::uncounted::uncounted;

/// What a message carries.
#[derive(Debug, Clone, Copy)]
struct Carried {
    at: Instant,
    context: Option<TraceContext>,
}

impl Carried {
    /// The span a message is sent in.
    fn here() -> Self {
        Self {
            at: Instant::now(),
            context: TraceContext::current(),
        }
    }
}

/// What the spans of channels of one name are called.
#[derive(Debug)]
struct Names {
    name: String,
    send_name: String,
    recv_name: String,
}

impl Names {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            send_name: format!("channel.{name}_send"),
            recv_name: format!("channel.{name}_recv"),
        }
    }

    fn sending(&self, capacity: Option<usize>, queue_depth: Option<usize>) -> Span {
        tracing::info_span!(
            target: TARGET,
            "channel.send",
            otel.name = self.send_name,
            channel.name = self.name,
            channel.capacity = capacity,
            channel.queue_depth = queue_depth,
            channel.fill_ratio = Empty,
        )
    }

    fn received(&self, carried: Option<Carried>, queue_depth: Option<usize>) -> Span {
        let open = || {
            tracing::info_span!(
                target: TARGET,
                "channel.recv",
                otel.name = self.recv_name,
                channel.name = self.name,
                channel.queue_depth = queue_depth,
                channel.waited_us = carried.map(|carried| carried.at.elapsed().as_micros() as u64),
            )
        };
        match carried.and_then(|carried| carried.context) {
            Some(context) => context.parent_of(open),
            None => open(),
        }
    }
}

/// The spans of one channel of many messages.
#[derive(Debug)]
pub(super) struct Spans {
    names: Names,
    /// Held while a message is sent, so that the messages are in the order of what they carry.
    order: Mutex<()>,
    /// Of the messages in the channel, as many as those.
    carried: Mutex<VecDeque<Carried>>,
}

impl Spans {
    pub(super) fn new(name: &str) -> Self {
        Self {
            names: Names::new(name),
            order: Mutex::default(),
            carried: Mutex::default(),
        }
    }

    /// Opens the span of a sending, of which the channel has so many places, and messages in it.
    pub(super) fn sending(&self, capacity: Option<usize>, queue_depth: Option<usize>) -> Span {
        self.names.sending(capacity, queue_depth)
    }

    /// Sends a message that carries the current span. `send` does not wait.
    pub(super) fn pass<R, E>(&self, send: impl FnOnce() -> Result<R, E>) -> Result<R, E> {
        let carried = Carried::here();
        let _in_order = unpoisoned(self.order.lock());
        uncounted(|| unpoisoned(self.carried.lock()).push_back(carried));
        let sent = send();
        if sent.is_err() {
            unpoisoned(self.carried.lock()).pop_back();
        }
        sent
    }

    /// Opens the span of the receipt of the next message, after which so many are in the channel.
    pub(super) fn received(&self, queue_depth: Option<usize>) -> Span {
        let carried = unpoisoned(self.carried.lock()).pop_front();
        self.names.received(carried, queue_depth)
    }
}

/// The least of messages of a channel that goes to all receivers of which is kept what they carry.
const KEPT_LEAST: usize = 64;

/// The spans of one channel of which each receiver has all messages.
#[derive(Debug)]
pub(super) struct SpansToAll {
    names: Names,
    /// Held while a message is sent and while a receiver comes, so that both know which message is which.
    order: Mutex<()>,
    recent: Mutex<Recent>,
}

/// What the last messages of a channel carry.
#[derive(Debug)]
struct Recent {
    /// Messages sent: the number of the next one.
    sent: u64,
    /// Of the last ones, `kept_max` at most.
    carried: VecDeque<Carried>,
    /// Twice what the channel has places for, since others may be sent between the moment in which a message is taken and the
    /// one in which it is looked up here.
    kept_max: usize,
}

impl Recent {
    fn push(&mut self, carried: Carried) {
        if self.carried.len() == self.kept_max {
            self.carried.pop_front();
        }
        self.carried.push_back(carried);
        self.sent += 1;
    }

    fn take_back(&mut self) {
        self.carried.pop_back();
        self.sent -= 1;
    }

    /// What a message carries that is not long gone.
    fn get(&self, number: u64) -> Option<Carried> {
        let from_last = usize::try_from(self.sent.checked_sub(number)?).ok()?;
        let index = self.carried.len().checked_sub(from_last)?;
        self.carried.get(index).copied()
    }
}

impl SpansToAll {
    /// Of a channel with so many places.
    pub(super) fn new(name: &str, places: usize) -> Self {
        Self {
            names: Names::new(name),
            order: Mutex::default(),
            recent: Mutex::new(Recent {
                sent: 0,
                carried: VecDeque::new(),
                kept_max: places.saturating_mul(2).max(KEPT_LEAST),
            }),
        }
    }

    /// Opens the span of a sending, of which the channel has so many places, and messages in it.
    pub(super) fn sending(&self, places: usize, queue_depth: usize) -> Span {
        self.names.sending(Some(places), Some(queue_depth))
    }

    /// Sends a message that carries the current span.
    pub(super) fn pass<R, E>(&self, send: impl FnOnce() -> Result<R, E>) -> Result<R, E> {
        let carried = Carried::here();
        let _in_order = unpoisoned(self.order.lock());
        uncounted(|| unpoisoned(self.recent.lock()).push(carried));
        let sent = send();
        if sent.is_err() {
            unpoisoned(self.recent.lock()).take_back();
        }
        sent
    }

    /// Lets a receiver come, and says the number of the first message that it will have.
    pub(super) fn joining<R>(&self, join: impl FnOnce() -> R) -> (R, u64) {
        let _in_order = unpoisoned(self.order.lock());
        let joined = join();
        (joined, unpoisoned(self.recent.lock()).sent)
    }

    /// Opens the span of a receipt of this message, after which so many are there for the receiver.
    pub(super) fn received(&self, number: u64, queue_depth: usize) -> Span {
        let carried = unpoisoned(self.recent.lock()).get(number);
        self.names.received(carried, Some(queue_depth))
    }

    #[cfg(test)]
    #[cfg(not(ringlight_loom))]
    pub(super) fn kept_count(&self) -> usize {
        unpoisoned(self.recent.lock()).carried.len()
    }
}

/// The spans of one channel of which the last value counts.
#[derive(Debug)]
pub(super) struct SpansOfLast {
    names: Names,
    /// `None` is carried by the value the channel was opened with. Written by whoever sends, who has the value locked.
    carried: Mutex<Option<Carried>>,
}

impl SpansOfLast {
    pub(super) fn new(name: &str) -> Self {
        Self {
            names: Names::new(name),
            carried: Mutex::default(),
        }
    }

    /// Opens the span of a sending, before which a value is there that nobody has seen, or not.
    pub(super) fn sending(&self, is_unseen: bool) -> Span {
        self.names.sending(Some(1), Some(usize::from(is_unseen)))
    }

    /// The value that is being sent carries the current span. The caller has it locked.
    pub(super) fn carry(&self) {
        let carried = Carried::here();
        *unpoisoned(self.carried.lock()) = Some(carried);
    }

    /// Opens the span of a receipt of the value that is there.
    pub(super) fn received(&self, is_unseen: bool) -> Span {
        let carried = *unpoisoned(self.carried.lock());
        self.names.received(carried, Some(usize::from(is_unseen)))
    }
}

/// The spans of all channels of a single message and one name.
#[derive(Debug)]
pub(super) struct SpansOfOne {
    names: Names,
    /// By number of the channel: of the messages sent, and neither received nor given up.
    carried: Mutex<HashMap<u64, Carried>>,
}

impl SpansOfOne {
    pub(super) fn new(name: &str) -> Self {
        Self {
            names: Names::new(name),
            carried: Mutex::default(),
        }
    }

    /// A number that no other channel has.
    pub(super) fn number() -> u64 {
        // `Relaxed`, since they need to differ only.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed)
    }

    /// Sends the message of a channel within a span, which it carries.
    pub(super) fn send<E>(
        &self,
        number: u64,
        send: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        self.names.sending(Some(1), Some(0)).in_scope(|| {
            let carried = Carried::here();
            uncounted(|| unpoisoned(self.carried.lock()).insert(number, carried));
            let sent = send();
            if sent.is_err() {
                self.forget(number);
            }
            sent
        })
    }

    /// Opens the span of the receipt.
    pub(super) fn received(&self, number: u64) -> Span {
        let carried = unpoisoned(self.carried.lock()).remove(&number);
        self.names.received(carried, Some(0))
    }

    #[cfg(all(test, not(ringlight_loom)))]
    pub(super) fn carried_count(&self) -> usize {
        unpoisoned(self.carried.lock()).len()
    }

    /// Nobody will receive the message.
    pub(super) fn forget(&self, number: u64) {
        unpoisoned(self.carried.lock()).remove(&number);
    }
}
