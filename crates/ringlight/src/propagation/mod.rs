//! Trace context in the headers of requests.
//!
//! What a header says is taken as it is or not at all: one that is not as its specification has it
//! counts as absent, so that the trace begins here.

#[cfg(feature = "b3")]
mod b3;
#[cfg(feature = "jaeger")]
mod jaeger;

use crate::TraceContext;

/// A header that carries a W3C trace context.
pub(crate) const TRACEPARENT: &str = "traceparent";

/// A way to write context into headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// W3C Trace Context.
    TraceContext,
    /// W3C Baggage, which only contexts of the OpenTelemetry API have.
    Baggage,
    /// Zipkin's B3 in one header.
    #[cfg(feature = "b3")]
    B3,
    /// Zipkin's B3 in a header for each part.
    #[cfg(feature = "b3")]
    B3Multi,
    /// Jaeger's own.
    #[cfg(feature = "jaeger")]
    Jaeger,
}

impl Format {
    /// What is used where nothing is configured, as the specification has it.
    pub(crate) const DEFAULT: [Self; 2] = [Self::TraceContext, Self::Baggage];

    /// The format of a name in `OTEL_PROPAGATORS`, if this build has it.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "tracecontext" => Some(Self::TraceContext),
            "baggage" => Some(Self::Baggage),
            #[cfg(feature = "b3")]
            "b3" => Some(Self::B3),
            #[cfg(feature = "b3")]
            "b3multi" => Some(Self::B3Multi),
            #[cfg(feature = "jaeger")]
            "jaeger" => Some(Self::Jaeger),
            _ => None,
        }
    }

    /// The feature of this crate that has the format of a name, if one has.
    pub(crate) fn feature_of(name: &str) -> Option<&'static str> {
        match name {
            "b3" | "b3multi" => Some("b3"),
            "jaeger" => Some("jaeger"),
            _ => None,
        }
    }

    /// Reads a trace context from headers.
    pub(crate) fn read<'h>(self, get: &dyn Fn(&str) -> Option<&'h str>) -> Option<TraceContext> {
        match self {
            Self::TraceContext => TraceContext::from_traceparent(get(TRACEPARENT)?),
            Self::Baggage => None,
            // Both are read whichever is written, as the specification asks.
            #[cfg(feature = "b3")]
            Self::B3 | Self::B3Multi => b3::read(get),
            #[cfg(feature = "jaeger")]
            Self::Jaeger => jaeger::read(get),
        }
    }

    /// Writes a trace context into headers.
    pub(crate) fn write(self, context: TraceContext, set: &mut dyn FnMut(&str, String)) {
        match self {
            Self::TraceContext => set(TRACEPARENT, context.to_traceparent()),
            Self::Baggage => {}
            #[cfg(feature = "b3")]
            Self::B3 => b3::write_single(context, set),
            #[cfg(feature = "b3")]
            Self::B3Multi => b3::write_multi(context, set),
            #[cfg(feature = "jaeger")]
            Self::Jaeger => jaeger::write(context, set),
        }
    }

    /// The headers it writes.
    #[cfg(feature = "otel")]
    pub(crate) const fn headers(self) -> &'static [&'static str] {
        match self {
            Self::TraceContext => &[TRACEPARENT, "tracestate"],
            Self::Baggage => &["baggage"],
            #[cfg(feature = "b3")]
            Self::B3 => &["b3"],
            #[cfg(feature = "b3")]
            Self::B3Multi => &["x-b3-traceid", "x-b3-spanid", "x-b3-sampled"],
            #[cfg(feature = "jaeger")]
            Self::Jaeger => &["uber-trace-id"],
        }
    }
}

/// Reads a trace context from headers, and in which format it was found: the last in which there is
/// one, as the specification has it for several propagators.
pub(crate) fn read<'h>(
    formats: &[Format],
    get: &dyn Fn(&str) -> Option<&'h str>,
) -> Option<(Format, TraceContext)> {
    let read = |format: &Format| Some((*format, format.read(get)?));
    formats.iter().rev().find_map(read)
}

/// The number that up to `digits_max` hexadecimal digits, in lower case, say.
#[cfg(any(feature = "b3", feature = "jaeger"))]
fn hex(text: &str, digits_max: usize) -> Option<u128> {
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    let valid = !text.is_empty() && text.len() <= digits_max && text.bytes().all(is_hex);
    if valid {
        u128::from_str_radix(text, 16).ok()
    } else {
        None
    }
}

#[cfg(all(test, any(feature = "b3", feature = "jaeger")))]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Reads headers, and gives what is found as a `traceparent`.
    pub(super) fn read_as_traceparent(
        format: Format,
        headers: &[(&'static str, &'static str)],
    ) -> Option<String> {
        let headers: BTreeMap<_, _> = headers.iter().copied().collect();
        let found = format.read(&|name| headers.get(name).copied());
        found.map(TraceContext::to_traceparent)
    }

    /// What is written for a `traceparent`.
    pub(super) fn written(format: Format, traceparent: &str) -> Vec<(String, String)> {
        let mut headers = Vec::new();
        if let Some(context) = TraceContext::from_traceparent(traceparent) {
            format.write(context, &mut |name, value| {
                headers.push((name.to_owned(), value));
            });
        }
        headers
    }
}
