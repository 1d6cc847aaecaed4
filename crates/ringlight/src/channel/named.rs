//! Opening channels that telemetry knows by a name.

#[cfg(feature = "profiling")]
use std::panic::Location;

use super::{broadcast, mpsc, oneshot, watch};

/// What is asked for with a channel.
#[cfg(feature = "profiling")]
#[derive(Debug, Clone, Copy)]
pub(super) struct Options<'n> {
    pub(super) origin: super::counts::Origin<'n>,
    pub(super) has_spans: bool,
    pub(super) has_fill_ratio: bool,
}

#[cfg(feature = "profiling")]
impl<'n> Options<'n> {
    pub(super) const fn at(place: &'static Location<'static>) -> Self {
        Self {
            origin: super::counts::Origin::Place(place),
            has_spans: false,
            has_fill_ratio: false,
        }
    }

    pub(super) const fn named(name: &'n str) -> Self {
        Self {
            origin: super::counts::Origin::Name(name),
            has_spans: false,
            has_fill_ratio: false,
        }
    }
}

/// Opens channels by a name, with more than the metrics; see [`named`].
#[derive(Debug, Clone, Copy)]
#[must_use = "it opens nothing by itself"]
pub struct Named<'n> {
    #[cfg_attr(
        not(feature = "profiling"),
        expect(dead_code, reason = "nobody is told of it")
    )]
    name: &'n str,
    has_spans: bool,
    has_fill_ratio: bool,
}

/// Begins to open a channel that telemetry knows as `name`.
///
/// Channels of one name and type are counted together. Names are few, and known when the program is written: of more
/// than 256 the rest is counted together, and 128 bytes of a name are kept.
///
/// ```
/// use ringlight::channel::{self, RecvInSpan as _};
///
/// # async fn run() {
/// let (status, mut updates) = channel::named("status").spans().mpsc(64);
/// status.send("busy").await.unwrap(); // the span `channel.status_send`
/// if let Some((update, span)) = updates.recv_in_span().await {
///     span.in_scope(|| println!("{update}")); // the span `channel.status_recv`
/// }
/// # }
/// ```
pub const fn named(name: &str) -> Named<'_> {
    Named {
        name,
        has_spans: false,
        has_fill_ratio: false,
    }
}

impl<'n> Named<'n> {
    /// Sending and receiving are spans, `channel.NAME_send` and `channel.NAME_recv`, and a message carries the trace
    /// on: see [the module](super#spans).
    pub const fn spans(mut self) -> Self {
        self.has_spans = true;
        self
    }

    /// Whenever something is sent or received, or a place is kept for it by a permit, the span that is in gets the attribute
    /// `channel.fill_ratio`: the share of places that was taken before, 0..=1. Of a broadcast, by what its slowest receiver
    /// has before it, or the one that receives: at 1 the next value is one that a receiver misses.
    ///
    /// For channels that fill up, which are `mpsc` with a bound and `broadcast`: of the others nothing is told.
    pub const fn fill_ratio(mut self) -> Self {
        self.has_fill_ratio = true;
        self
    }

    /// See [`mpsc::channel`].
    ///
    /// # Panics
    /// The bound is 0, or more than tokio has.
    #[must_use]
    #[track_caller]
    pub fn mpsc<T>(self, buffer: usize) -> (mpsc::Sender<T>, mpsc::Receiver<T>) {
        mpsc::open(self.options(), buffer)
    }

    /// See [`mpsc::unbounded_channel`].
    #[must_use]
    pub fn mpsc_unbounded<T>(self) -> (mpsc::UnboundedSender<T>, mpsc::UnboundedReceiver<T>) {
        mpsc::open_unbounded(self.options())
    }

    /// See [`oneshot::channel`].
    pub fn oneshot<T>(self) -> (oneshot::Sender<T>, oneshot::Receiver<T>) {
        oneshot::open(self.options())
    }

    /// See [`watch::channel`].
    #[must_use]
    pub fn watch<T>(self, init: T) -> (watch::Sender<T>, watch::Receiver<T>) {
        watch::open(self.options(), init)
    }

    /// See [`broadcast::channel`].
    ///
    /// # Panics
    /// The capacity is 0, or more than tokio has.
    #[must_use]
    #[track_caller]
    pub fn broadcast<T: Clone>(
        self,
        capacity: usize,
    ) -> (broadcast::Sender<T>, broadcast::Receiver<T>) {
        broadcast::open(self.options(), capacity)
    }

    #[cfg(feature = "profiling")]
    const fn options(self) -> Options<'n> {
        Options {
            origin: super::counts::Origin::Name(self.name),
            has_spans: self.has_spans,
            has_fill_ratio: self.has_fill_ratio,
        }
    }

    #[cfg(not(feature = "profiling"))]
    const fn options(self) -> Self {
        self
    }
}
