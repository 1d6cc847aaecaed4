//! Rows that bound the others from below.

use std::{hint::black_box, time::Instant};

use anyhow::Result;
use tracing::{Event, Metadata, Subscriber, span};

use super::{Ending, Producer, Recording, macros::Macros};
use crate::{meter, plan::Shape};

/// Nothing: what is left is the pacer.
pub(super) struct Null;

impl Producer for Null {
    fn burst(&mut self, _shape: Shape, _first: u64, _count: u64) {}
}

impl Recording for Null {
    fn producer(&self) -> Result<Box<dyn Producer + '_>> {
        Ok(Box::new(Null))
    }

    fn finish(self: Box<Self>) -> Result<Ending> {
        Ok(Ending::default())
    }
}

/// Two readings of the standard library's clock a span.
pub(super) struct ClockInstant;

impl Producer for ClockInstant {
    fn burst(&mut self, shape: Shape, _first: u64, count: u64) {
        for _ in 0..count * shape.spans_per_unit() {
            black_box(Instant::now());
            black_box(Instant::now());
        }
    }
}

impl Recording for ClockInstant {
    fn producer(&self) -> Result<Box<dyn Producer + '_>> {
        Ok(Box::new(ClockInstant))
    }

    fn finish(self: Box<Self>) -> Result<Ending> {
        Ok(Ending::default())
    }
}

/// Two readings of the time stamp counter a span.
pub(super) struct ClockTsc;

impl Producer for ClockTsc {
    fn burst(&mut self, shape: Shape, _first: u64, count: u64) {
        for _ in 0..count * shape.spans_per_unit() {
            black_box(meter::tsc());
            black_box(meter::tsc());
        }
    }
}

impl Recording for ClockTsc {
    fn producer(&self) -> Result<Box<dyn Producer + '_>> {
        Ok(Box::new(ClockTsc))
    }

    fn finish(self: Box<Self>) -> Result<Ending> {
        Ok(Ending::default())
    }
}

/// The macros with nobody listening.
pub(super) struct TracingNone;

impl Recording for TracingNone {
    fn producer(&self) -> Result<Box<dyn Producer + '_>> {
        Ok(Box::new(Macros))
    }

    fn finish(self: Box<Self>) -> Result<Ending> {
        Ok(Ending::default())
    }
}

/// The macros with a listener that is interested in everything and does nothing.
pub(super) struct TracingEmpty;

pub(super) fn start_empty() -> Result<TracingEmpty> {
    tracing::subscriber::set_global_default(Empty)?;
    Ok(TracingEmpty)
}

impl Recording for TracingEmpty {
    fn producer(&self) -> Result<Box<dyn Producer + '_>> {
        Ok(Box::new(Macros))
    }

    fn finish(self: Box<Self>) -> Result<Ending> {
        Ok(Ending::default())
    }
}

struct Empty;

impl Subscriber for Empty {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}

    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}

    fn event(&self, _event: &Event<'_>) {}

    fn enter(&self, _span: &span::Id) {}

    fn exit(&self, _span: &span::Id) {}
}
