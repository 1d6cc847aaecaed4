//! The ids of open spans, and what their bits say.

use std::num::NonZeroU64;

use ringlight_model::{SpanId, TraceId};
use tracing_core::span::Id;

// The lower part of an id is a slot's index, which is never zero, that of a slot's state its reference count;
// the upper part of both is the slot's generation.
pub(super) const LOW_BITS: u32 = 24;
pub(super) const LOW_MASK: u64 = (1 << LOW_BITS) - 1;

// Above a generation's bits.
/// In an id and in the state of its slot: the span is not recorded.
pub(super) const UNSAMPLED: u64 = 1 << 63;
/// In an id: the span has no slot. It is somewhere within the one the rest of the id names, which is
/// not recorded either, and holds a reference to that.
pub(super) const GUEST: u64 = 1 << 62;
/// In an id and in the state of its slot: what recording the span costs is measured.
pub(super) const MEASURED: u64 = 1 << 61;
/// Beside [`MEASURED`]: the measurement does not count.
pub(super) const TRIAL: u64 = 1 << 60;
/// In the state of a slot that is free: no id that is looked for has it. The generation is then the next span's, whose id may
/// be known before its publishing is seen: an id that comes by a plain word brings nothing along.
pub(super) const FREE: u64 = GUEST;
pub(super) const GENERATION_MASK: u64 = !(LOW_MASK | UNSAMPLED | GUEST | MEASURED | TRIAL);
/// In every id, and in the state of every slot: amid the generation, which is counted past it.
///
/// The registry's ids are keys of `sharded-slab` plus one: 38 bits of an address, 13 for the number
/// of one of 4096 threads, and a generation. This is the upper of the thread's bits. (Where words
/// have 32 bits, so have those keys.)
pub(super) const OWN: u64 = 1 << 50;

/// The id of an open span: never zero, never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct SlotId(pub(super) u64);

impl SlotId {
    /// The id of no slot: a span of which nothing comes.
    pub(in super::super) const NONE: Self = Self(GENERATION_MASK | LOW_MASK);
    /// The first span of a trace that is not recorded, for which there was no slot.
    pub(in super::super) const UNKNOWN: Self = Self(Self::NONE.0 | UNSAMPLED);
    /// A span that was to be recorded, for which there was no slot. What is within it belongs to the
    /// recorded one around it; where there is none, it is lost as well.
    pub(in super::super) const LOST: Self = Self(Self::UNKNOWN.0 | MEASURED);
    /// There is no parent, or it is in another process or thread: it has no slot that is known here.
    pub(in super::super) const NO_PARENT: Self = Self(0);
    /// A span here that is none of ours, and not recorded.
    #[cfg(feature = "otel")]
    pub(in super::super) const FOREIGN_UNSAMPLED: Self = Self(Self::FOREIGN.0 | UNSAMPLED);
    /// A span here that is none of ours.
    #[cfg(feature = "otel")]
    pub(in super::super) const FOREIGN: Self = Self::NONE;

    pub(in super::super) const fn from_u64(id: u64) -> Self {
        Self(id)
    }

    pub(in super::super) const fn get(self) -> u64 {
        self.0
    }

    /// The id as `tracing` has it. That of no parent, which no span has, becomes that of no slot.
    #[inline]
    pub(in super::super) fn to_span_id(self) -> Id {
        // Unlike `from_u64`, this is not a call.
        let none = const { NonZeroU64::new(Self::NONE.0).unwrap() };
        Id::from_non_zero_u64(NonZeroU64::new(self.0).unwrap_or(none))
    }

    /// Whether an id is one of a slot, and not one of the registry of `tracing-subscriber`.
    #[inline]
    pub(in super::super) const fn is_own(id: u64) -> bool {
        id & OWN != 0
    }

    /// Whether the span is recorded.
    #[inline]
    pub(in super::super) const fn is_sampled(self) -> bool {
        self.0 & UNSAMPLED == 0
    }

    /// The id of a span within this one, which is not recorded.
    #[inline]
    pub(in super::super) const fn guest(self) -> Self {
        Self(self.0 | GUEST)
    }

    /// Whether it has no slot.
    #[inline]
    pub(in super::super) const fn is_guest(self) -> bool {
        self.0 & GUEST != 0
    }

    /// Whether what recording the span costs is measured.
    #[inline]
    pub(in super::super) const fn is_measured(self) -> bool {
        self.0 & MEASURED != 0
    }

    /// Whether that is on trial, and does not count.
    pub(in super::super) const fn is_trial(self) -> bool {
        self.0 & TRIAL != 0
    }

    /// Whether it is not recorded, or measured.
    #[inline]
    pub(in super::super) const fn is_special(self) -> bool {
        self.0 & (UNSAMPLED | MEASURED) != 0
    }

    /// The span that has a slot: this one, or the one it is a guest in.
    pub(in super::super) const fn host(self) -> Self {
        Self(self.0 & !GUEST)
    }

    /// The slot; out of range for an id that is none of ours.
    pub(in super::super) const fn index(self) -> u32 {
        (self.0 & LOW_MASK) as u32
    }
}

/// What a span passes on to its children and logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct SpanContext {
    pub(in super::super) trace_high: u64,
    pub(in super::super) trace_low: u64,
    pub(in super::super) span: u64,
}

impl SpanContext {
    /// No span.
    pub(in super::super) const NONE: Self = Self {
        trace_high: 0,
        trace_low: 0,
        span: 0,
    };

    pub(in super::super) const fn new(trace_id: TraceId, span_id: SpanId) -> Self {
        Self {
            trace_high: (trace_id.get() >> 64) as u64,
            trace_low: trace_id.get() as u64,
            span: span_id.get(),
        }
    }

    pub(in super::super) const fn trace_id(self) -> TraceId {
        TraceId::new((self.trace_high as u128) << 64 | self.trace_low as u128)
    }

    pub(in super::super) const fn span_id(self) -> SpanId {
        SpanId::new(self.span)
    }
}
