//! Channels of tokio that say how they are doing: put `ringlight::channel` where `tokio::sync` was.
//!
//! With the feature `profiling`, [`mpsc`], [`oneshot`], [`watch`] and [`broadcast`] count what goes through them, and
//! tell of senders that wait. Without it they are tokio's own, re-exported, and names are for nothing. Nothing stands
//! between the ends in either case: a message is in tokio's channel alone, and no task is added.
//!
//! ```
//! use ringlight::channel::mpsc;
//!
//! # async fn run() {
//! let (sender, mut receiver) = mpsc::named("jobs", 64);
//! sender.send("sweep").await.unwrap();
//! assert_eq!(receiver.recv().await, Some("sweep"));
//! # }
//! ```
//!
//! # Metrics
//!
//! Each has the attributes `channel.name` and `channel.type` (`mpsc`, `mpsc_unbounded`, `oneshot`, `watch`, `broadcast`).
//! A channel that was opened without a name has `file:line` of the call for one. Channels of one name are counted together,
//! and what a channel has counted remains when it is gone.
//!
//! | metric | unit | |
//! |---|---|---|
//! | `channel.sent` | `{message}` | messages that were taken by a channel |
//! | `channel.received` | `{message}` | messages that were received, by each receiver of a broadcast or watch |
//! | `channel.queue_depth` | `{message}` | messages that are in the channels, asked for when metrics are read |
//! | `channel.backpressure_latency` | `s` | how long senders waited that found a channel full, also those that gave up |
//! | `channel.dropped` | `{message}` | messages that nobody received, by `channel.drop_reason` |
//!
//! | `channel.drop_reason` | |
//! |---|---|
//! | `full` | there was no place, and the message was given back: `try_send`, `send_timeout`. It does not count as sent |
//! | `unread` | the receiver left, and it was in the channel. Of a broadcast, what the receiver had not received; of a watch, a last value nobody saw |
//! | `lagged` | a receiver of a broadcast was too slow |
//! | `overwritten` | the next value of a watch came before anybody saw it |
//!
//! Of `mpsc` and `oneshot`, `sent = received + queue_depth + dropped` without those that were given back, at any moment at which
//! nobody is sending or receiving; a sending that is cancelled counts for nothing. What is sent on an unbounded channel, a
//! `oneshot`, a `broadcast` or by `blocking_send` may be counted as received a moment before it is as sent. The depth of a
//! broadcast is the sum over its receivers of what each has yet to read, at most as many as the channel has places: what was
//! overwritten is `lagged` when the receiver looks next. That of a watch is 1 while nobody has seen the value.
//!
//! # A full channel
//!
//! A sender that finds no place says so on the span it is in: `channel.fill_ratio` is 1, and after the wait
//! `channel.backpressure_latency_us` how long it was. At most once a minute and name there is an event, a warning with the
//! target `ringlight::channel` that has both, `channel.name`, `channel.capacity`, and how many waits before it had none
//! (`channel.unreported`).
//!
//! # Spans
//!
//! A channel that is opened with [`Named::spans`] has the spans `channel.NAME_send`, as long as the sender waits for a
//! place, and `channel.NAME_recv`, which continues the trace of the sending, unless whoever receives is in a span
//! already: then it is within that. The latter has ended when the message is there; of an `mpsc`, `RecvInSpan` hands it
//! over instead, to have within it what is done about the message.
//!
//! There is one `channel.NAME_recv` for all that counts as received: of a broadcast by each receiver, of a watch for each
//! value that is new to a receiver. Of a broadcast, it continues no trace if the receiver was overtaken by as many messages as
//! the channel has places for in the very moment in which it took one.
//!
//! # What it costs
//!
//! A message is counted by plain additions to numbers of its thread alone, at either end; a clock is read only where a
//! sender waits. Where a channel has a place at once, a message is sent without the preparations to wait that tokio makes
//! in any case. See `docs/channels.md`.

#[cfg(feature = "profiling")]
mod blocking;
#[cfg(feature = "profiling")]
pub mod broadcast;
#[cfg(feature = "profiling")]
pub(crate) mod counts;
#[cfg(all(test, feature = "profiling", ringlight_loom))]
mod model;
#[cfg(feature = "profiling")]
pub mod mpsc;
mod named;
#[cfg(feature = "profiling")]
mod numbers;
#[cfg(not(feature = "profiling"))]
mod off;
#[cfg(feature = "profiling")]
mod on_heap;
#[cfg(feature = "profiling")]
pub mod oneshot;
#[cfg(feature = "profiling")]
mod sources;
#[cfg(feature = "profiling")]
mod spans;
#[cfg(feature = "profiling")]
mod table;
#[cfg(all(test, feature = "profiling", not(ringlight_loom)))]
mod tests;
#[cfg(feature = "profiling")]
pub(crate) mod wait;
#[cfg(feature = "profiling")]
pub mod watch;

pub use named::{Named, named};
#[cfg(not(feature = "profiling"))]
pub use off::{broadcast, mpsc, oneshot, watch};

/// Receiving together with the span of the receipt, on channels of one receiver that have [spans](Named::spans).
#[cfg(any(feature = "otel", feature = "profiling"))]
pub trait RecvInSpan {
    /// What is received.
    type Message;

    /// Waits for the next message; `None` once the channel is closed and empty. What is done about the message belongs into the
    /// span, which is none if the channel has no spans.
    ///
    /// # Cancel safety
    /// When it is dropped before it is done, nothing was received.
    #[expect(
        async_fn_in_trait,
        reason = "it is for the receivers of this module, whose futures are as sendable as their messages"
    )]
    async fn recv_in_span(&mut self) -> Option<(Self::Message, tracing::Span)>;
}
