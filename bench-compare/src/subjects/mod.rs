//! What each subject does to record the same spans.

mod fastrace;
mod json;
mod macros;
mod micromegas;
mod native;
mod opentelemetry;
mod reference;
mod ringlight;
mod whole;

use std::collections::BTreeMap;

use anyhow::Result;
use serde::{Deserialize, Serialize};

pub(crate) use self::fastrace::properties as fastrace_properties;

use self::native::Way;
use ::ringlight::otel::Interop;

use crate::plan::{Room, Sampling, Shape, Shipping, Subject};

/// A subject set up and running.
pub(crate) trait Recording: Sync {
    /// What the calling thread records with.
    fn producer(&self) -> Result<Box<dyn Producer + '_>>;

    /// Delivers what is left and ends.
    fn finish(self: Box<Self>) -> Result<Ending>;
}

/// One thread's end of a subject.
pub(crate) trait Producer {
    /// Records units `first` to `first + count`, of one shape made for [bursts](Shape::BURSTS).
    fn burst(&mut self, shape: Shape, first: u64, count: u64);
}

/// What a subject says of itself in the end, if it does say.
#[derive(Debug, Default)]
pub(crate) struct Ending {
    /// What it dropped.
    pub(crate) account: Option<Account>,
    /// What it cost.
    pub(crate) cost: Option<OwnCost>,
    /// Bytes its requests with spans had on the wire.
    pub(crate) wire_bytes: Option<u64>,
}

/// What a subject says it has cost.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct OwnCost {
    /// Nanoseconds that a span took the thread that recorded it.
    pub(crate) span_ns: Option<f64>,
    /// CPU time that recording and exporting took the process.
    pub(crate) process_ns: u64,
}

/// Spans a subject says it has dropped, by reason.
pub(crate) type Account = BTreeMap<String, u64>;

/// Where and how a subject sends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings<'a> {
    /// The counting server, `http://127.0.0.1:PORT`.
    pub(crate) endpoint: &'a str,
    /// Queue sizes and policies.
    pub(crate) room: Room,
    /// How many spans the run will make.
    pub(crate) spans_count: u64,
    /// Whether anything is recorded.
    pub(crate) sampling: Sampling,
    /// How it leaves.
    pub(crate) shipping: Shipping,
}

/// Sets a subject up; at most once a process, as subscribers are global.
pub(crate) fn start(subject: Subject, settings: &Settings<'_>) -> Result<Box<dyn Recording>> {
    Ok(match subject {
        Subject::Ringlight => Box::new(ringlight::start(settings, Interop::WhenUsed)?),
        Subject::RinglightOtel => Box::new(ringlight::start(settings, Interop::Always)?),
        Subject::RinglightNative => Box::new(native::start(settings, Way::Templates)?),
        Subject::RinglightNativeSpan => Box::new(native::start(settings, Way::Wholes)?),
        Subject::TracingOpentelemetry => Box::new(opentelemetry::start_layer(settings, false)?),
        Subject::TracingOpentelemetryLean => Box::new(opentelemetry::start_layer(settings, true)?),
        Subject::OpentelemetrySdk => Box::new(opentelemetry::start_tracer(settings)?),
        Subject::Fastrace => Box::new(fastrace::start(settings)?),
        Subject::Micromegas => Box::new(micromegas::start()?),
        Subject::FmtJson => Box::new(json::start()?),
        Subject::ClockInstant => Box::new(reference::ClockInstant),
        Subject::ClockTsc => Box::new(reference::ClockTsc),
        Subject::TracingNone => Box::new(reference::TracingNone),
        Subject::TracingEmpty => Box::new(reference::start_empty()?),
        Subject::Null => Box::new(reference::Null),
    })
}

/// What records through `tracing`'s macros.
pub(crate) fn macros() -> impl Producer {
    macros::Macros
}
