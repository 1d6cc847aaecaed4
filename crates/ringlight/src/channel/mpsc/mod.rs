//! Channels with many senders and one receiver, as in [`tokio::sync::mpsc`].

mod bounded;
mod ends;
mod link;
mod permit;
mod unbounded;

use std::panic::Location;

pub use bounded::{Receiver, Sender, WeakSender};
pub use permit::{OwnedPermit, Permit, PermitIterator};
pub use tokio::sync::mpsc::error;
pub use unbounded::{UnboundedReceiver, UnboundedSender, WeakUnboundedSender};

use super::named::Options;

pub(super) use bounded::open;
pub(super) use unbounded::open as open_unbounded;

/// Opens a channel with a bound, which telemetry knows by the place of the call.
///
/// # Panics
/// The bound is 0, or more than tokio has.
#[must_use]
#[track_caller]
pub fn channel<T>(buffer: usize) -> (Sender<T>, Receiver<T>) {
    bounded::open(Options::at(Location::caller()), buffer)
}

/// Opens a channel without a bound, which telemetry knows by the place of the call.
#[must_use]
#[track_caller]
pub fn unbounded_channel<T>() -> (UnboundedSender<T>, UnboundedReceiver<T>) {
    unbounded::open(Options::at(Location::caller()))
}

/// Opens a channel with a bound, known as `name`.
///
/// # Panics
/// The bound is 0, or more than tokio has.
#[must_use]
#[track_caller]
pub fn named<T>(name: &str, buffer: usize) -> (Sender<T>, Receiver<T>) {
    bounded::open(Options::named(name), buffer)
}

/// Opens a channel without a bound, known as `name`.
#[must_use]
pub fn named_unbounded<T>(name: &str) -> (UnboundedSender<T>, UnboundedReceiver<T>) {
    unbounded::open(Options::named(name))
}
