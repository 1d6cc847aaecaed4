//! The spans of sending and receiving, of channels that were asked to have them.
//!
//! A message carries the trace on: the span of its receipt is a child of the one of its sending. Messages are kept as
//! they are; what they carry goes through a queue beside, in the same order.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Instant;

use tracing::Span;
use tracing::field::Empty;

use super::wait::TARGET;
use crate::TraceContext;
use crate::sync::unpoisoned;

/// What a message carries.
#[derive(Debug, Clone, Copy)]
struct Carried {
    at: Instant,
    context: Option<TraceContext>,
}

/// The spans of one channel.
#[derive(Debug)]
pub(super) struct Spans {
    name: String,
    send_name: String,
    recv_name: String,
    /// Held while a message is sent, so that the messages are in the order of what they carry.
    order: Mutex<()>,
    /// Of the messages in the channel, as many as those.
    carried: Mutex<VecDeque<Carried>>,
}

impl Spans {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            send_name: format!("channel.{name}_send"),
            recv_name: format!("channel.{name}_recv"),
            order: Mutex::default(),
            carried: Mutex::default(),
        }
    }

    /// Opens the span of a sending, of which the channel has so many places, and messages in it.
    pub(super) fn sending(&self, capacity: Option<usize>, queue_depth: Option<usize>) -> Span {
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

    /// Sends a message that carries the current span. `send` does not wait.
    pub(super) fn pass<R, E>(&self, send: impl FnOnce() -> Result<R, E>) -> Result<R, E> {
        let carried = Carried {
            at: Instant::now(),
            context: TraceContext::current(),
        };
        let _in_order = unpoisoned(self.order.lock());
        unpoisoned(self.carried.lock()).push_back(carried);
        let sent = send();
        if sent.is_err() {
            unpoisoned(self.carried.lock()).pop_back();
        }
        sent
    }

    /// Opens the span of the receipt of the next message, after which so many are in the channel.
    pub(super) fn received(&self, queue_depth: Option<usize>) -> Span {
        let carried = unpoisoned(self.carried.lock()).pop_front();
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
