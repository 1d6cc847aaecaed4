//! What a channel is built from, and why building or using one can be refused.

use std::ops::RangeInclusive;

/// The sizes of a channel; validated by [`channel`](crate::channel).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RingConfig {
    /// Bytes of one producer's ring, framing included: a power of two in
    /// [`RING_BYTES_RANGE`](Self::RING_BYTES_RANGE). Default 524 288: some 3 500 records of 150
    /// bytes, 10 ms of a thread that records 350 000 spans a second.
    pub ring_bytes: usize,
    /// How many threads may own a ring at the same time, in
    /// [`PRODUCERS_RANGE`](Self::PRODUCERS_RANGE); further ones share the overflow ring. Default
    /// 16. A ring's memory is allocated when its first producer registers.
    pub producers_max: usize,
    /// Bytes of each ring that only [urgent](crate::RingProducer::reserve_urgent) records may use: a
    /// multiple of 8, up to half the ring. Default 0.
    pub headroom_bytes: usize,
}

impl RingConfig {
    /// The values [`ring_bytes`](Self::ring_bytes) may take: 64 bytes to 1 GiB.
    pub const RING_BYTES_RANGE: RangeInclusive<usize> = 64..=1 << 30;
    /// The values [`producers_max`](Self::producers_max) may take.
    pub const PRODUCERS_RANGE: RangeInclusive<usize> = 1..=4096;

    /// A configuration of these sizes, not validated yet.
    #[must_use]
    pub const fn new(ring_bytes: usize, producers_max: usize) -> Self {
        Self {
            ring_bytes,
            producers_max,
            headroom_bytes: 0,
        }
    }

    /// The same with so many bytes of each ring kept for urgent records.
    #[must_use]
    pub const fn with_headroom(mut self, headroom_bytes: usize) -> Self {
        self.headroom_bytes = headroom_bytes;
        self
    }

    pub(crate) fn validate(self) -> Result<Self, ConfigError> {
        if !self.ring_bytes.is_power_of_two() || !Self::RING_BYTES_RANGE.contains(&self.ring_bytes)
        {
            return Err(ConfigError::RingBytes {
                value: self.ring_bytes,
            });
        }
        if !Self::PRODUCERS_RANGE.contains(&self.producers_max) {
            return Err(ConfigError::ProducersMax {
                value: self.producers_max,
            });
        }
        let headroom = self.headroom_bytes;
        if !headroom.is_multiple_of(8) || headroom > self.ring_bytes / 2 {
            return Err(ConfigError::HeadroomBytes { value: headroom });
        }
        Ok(self)
    }
}

impl Default for RingConfig {
    fn default() -> Self {
        Self::new(4096 * 128, 16)
    }
}

/// Why a [`RingConfig`] was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// [`RingConfig::ring_bytes`] is out of range or not a power of two.
    #[error(
        "`ring_bytes` is {value}, it must be a power of two from {} to {}",
        RingConfig::RING_BYTES_RANGE.start(),
        RingConfig::RING_BYTES_RANGE.end()
    )]
    RingBytes {
        /// The refused value.
        value: usize,
    },
    /// [`RingConfig::producers_max`] is out of range.
    #[error(
        "`producers_max` is {value}, it must be from {} to {}",
        RingConfig::PRODUCERS_RANGE.start(),
        RingConfig::PRODUCERS_RANGE.end()
    )]
    ProducersMax {
        /// The refused value.
        value: usize,
    },
    /// [`RingConfig::headroom_bytes`] is not a multiple of 8, or more than half the ring.
    #[error("`headroom_bytes` is {value}, it must be a multiple of 8 up to half of `ring_bytes`")]
    HeadroomBytes {
        /// The refused value.
        value: usize,
    },
}

/// Why a thread got no ring of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// All rings have an owner, or are still half full of what an exited owner left. The overflow
    /// ring takes the records of such threads; asking again later may succeed.
    #[error("no producer slot is free")]
    NoFreeSlot,
    /// The channel is closed.
    #[error("the channel is closed")]
    Closed,
}

/// Why a record could not be reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReserveError {
    /// The ring has no room for the record now.
    #[error("the ring is full")]
    Full,
    /// The channel is closed.
    #[error("the channel is closed")]
    Closed,
    /// The record is longer than [`record_bytes_max`](crate::RingProducer::record_bytes_max): no
    /// amount of waiting makes room for it.
    #[error("the record is longer than the ring takes")]
    TooLarge,
}

/// The channel was closed before the record was published; the record will not be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the channel is closed")]
pub struct Closed;

/// Why waiting for room ended without any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The time allowed passed first.
    #[error("the ring stayed full")]
    TimedOut,
    /// The channel is closed, or was closed while waiting.
    #[error("the channel is closed")]
    Closed,
    /// The record is longer than [`record_bytes_max`](crate::RingProducer::record_bytes_max).
    #[error("the record is longer than the ring takes")]
    TooLarge,
}
