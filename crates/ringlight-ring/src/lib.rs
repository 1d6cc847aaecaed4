//! Bounded byte-record rings, one per producing thread, joined into one channel.
//!
//! A thread [registers](RingSender::register) for a ring of its own, [reserves](RingProducer::reserve)
//! room, writes a record into it and [commits](Reservation::commit). One receiver
//! [drains](RingReceiver::drain) all rings in batches and sleeps on a [`Wake`] in between.
//!
//! # Guarantees
//! - Publishing costs no lock, no allocation and no system call: a compare-exchange on a line the
//!   producer owns. The receiver is roused past half a ring, once until it has made room, and by the
//!   first record after it asked for that ([`RingReceiver::listen`]), when it has nothing to do.
//! - Everything is bounded: a ring that is full says so, and the caller decides what that means.
//! - A commit that returned `Ok` is drained, also when the channel is closed at that moment or the
//!   producer is gone; one that returned an error is not.
//! - Records of one producer come out in their order; rings take turns, so that none starves.
//! - Each ring has one producer and one consumer at a time, by type. Producers may come and go
//!   without end; what one left is drained before the ring's next owner's records.
//!
//! # Limits
//! - A record takes half a ring at most, and a header of 8 bytes; lengths round up to 8.
//! - A ring's positions count in `usize` and wrap, so its size is at most a quarter of that.
//!
//! It must not know what is in a record, and no async runtime: the wake-up works with all of them.
//!
//! # Examples
//! ```
//! use ringlight_ring::{RingConfig, channel};
//!
//! let (sender, mut receiver) = channel(RingConfig::default())?;
//! std::thread::spawn(move || {
//!     let mut producer = sender.register().expect("there is a free slot");
//!     let mut record = producer.reserve(16).expect("the ring is empty");
//!     record[..5].copy_from_slice(b"hello");
//!     record.commit(5).expect("the channel is open");
//! })
//! .join()
//! .expect("the thread does not panic");
//!
//! let mut records = Vec::new();
//! receiver.drain(usize::MAX, |record| records.push(record.to_vec()));
//! assert_eq!(records, [b"hello"]);
//! # Ok::<(), ringlight_ring::ConfigError>(())
//! ```
#![deny(unsafe_code)]

mod channel;
mod config;
mod memory;
mod owner;
mod spsc;
mod sync;
mod wake;

pub use channel::{Drained, RingProducer, RingReceiver, RingSender, Visited, channel};
pub use config::{Closed, ConfigError, RegisterError, ReserveError, RingConfig, WaitError};
pub use owner::{Owner, OwnerThread, RingUse};
pub use spsc::{COUNTERS, Reservation};
pub use wake::{Notified, Wake};

#[cfg(ringlight_loom)]
#[doc(hidden)]
pub use sync::explored;

/// The example of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
