//! Bounded lock-free byte-record rings, one per producer, joined into one channel.
#![forbid(unsafe_code)]
