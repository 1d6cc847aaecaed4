//! Carrying a trace to another task, process or machine.

use ringlight_model::{SpanId, TraceId};
use tracing_core::dispatcher;

use crate::subscriber::with_remote_parent;
use crate::{RinglightLayer, RinglightSubscriber};

/// The identity of a span, to be carried along with work that goes on elsewhere.
///
/// ```
/// use ringlight::TraceContext;
///
/// # let mut headers = std::collections::HashMap::new();
/// // Where the work is sent from:
/// if let Some(context) = TraceContext::current() {
///     headers.insert("traceparent", context.to_traceparent());
/// }
/// // Where it arrives:
/// let context = headers.get("traceparent").and_then(|h| TraceContext::from_traceparent(h));
/// # let context: Option<TraceContext> = context;
/// let _answered = context.map(|context| context.parent_of(|| 42 /* open the span here */));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    trace_id: TraceId,
    span_id: SpanId,
    is_sampled: bool,
}

impl TraceContext {
    /// The span the calling thread is in, if it is one of this crate's subscriber. Of a trace that is
    /// not recorded, the first span here stands for all within it.
    #[must_use]
    pub fn current() -> Option<Self> {
        dispatcher::get_default(|dispatch| {
            let layer = || Some(dispatch.downcast_ref::<RinglightLayer>()?.subscriber());
            let subscriber = dispatch.downcast_ref::<RinglightSubscriber>();
            let (trace_id, span_id, is_sampled) = subscriber.or_else(layer)?.current_ids()?;
            Some(Self {
                trace_id,
                span_id,
                is_sampled,
            })
        })
    }

    /// Reads a W3C `traceparent` header; `None` if it is not one. What a newer version of the
    /// specification may append is ignored, as it asks for.
    #[must_use]
    pub fn from_traceparent(header: &str) -> Option<Self> {
        let mut parts = header.trim().splitn(5, '-');
        let (version, trace_id) = (parts.next()?, parts.next()?);
        let (span_id, flags, rest) = (parts.next()?, parts.next()?, parts.next());
        let is_hex = |text: &str, digits: usize| {
            text.len() == digits
                && text
                    .bytes()
                    .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        };
        let valid = is_hex(version, 2)
            && version != "ff"
            && !(version == "00" && rest.is_some())
            && is_hex(trace_id, 32)
            && is_hex(span_id, 16)
            && is_hex(flags, 2);
        if !valid {
            return None;
        }
        let (trace_id, span_id): (TraceId, SpanId) =
            (trace_id.parse().ok()?, span_id.parse().ok()?);
        let flags = u8::from_str_radix(flags, 16).ok()?;
        (trace_id.is_valid() && span_id.is_valid()).then_some(Self {
            trace_id,
            span_id,
            is_sampled: flags & 1 != 0,
        })
    }

    /// The W3C `traceparent` header that names this span.
    #[must_use]
    pub fn to_traceparent(self) -> String {
        let flags = u8::from(self.is_sampled);
        format!("00-{}-{}-{flags:02x}", self.trace_id, self.span_id)
    }

    /// The trace.
    #[must_use]
    pub const fn trace_id(self) -> TraceId {
        self.trace_id
    }

    /// The span.
    #[must_use]
    pub const fn span_id(self) -> SpanId {
        self.span_id
    }

    /// Whether the trace is recorded there.
    #[must_use]
    pub const fn is_sampled(self) -> bool {
        self.is_sampled
    }

    /// Runs `open`, in which a span opened outside of any other becomes a child of this one instead
    /// of the root of a new trace. Only the calling thread is affected, and only until `open`
    /// returns.
    pub fn parent_of<R>(self, open: impl FnOnce() -> R) -> R {
        with_remote_parent(self.trace_id, self.span_id, self.is_sampled, open)
    }
}

#[cfg(test)]
mod tests {
    use tracing::dispatcher::with_default;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    #[track_caller]
    fn check(header: &str, valid: bool) {
        let read = TraceContext::from_traceparent(header);
        assert_eq!(read.is_some(), valid, "{header}");
    }

    #[test]
    fn a_traceparent_is_read_as_its_specification_says() {
        check(&format!("00-{TRACE}-00f067aa0ba902b7-01"), true);
        check(&format!(" 00-{TRACE}-00f067aa0ba902b7-00 "), true);
        check(&format!("cc-{TRACE}-00f067aa0ba902b7-01-more"), true);
        check(&format!("00-{TRACE}-00f067aa0ba902b7-01-more"), false);
        check(&format!("ff-{TRACE}-00f067aa0ba902b7-01"), false);
        check(
            &format!("00-{}-00f067aa0ba902b7-01", TRACE.to_uppercase()),
            false,
        );
        check(&format!("00-{TRACE}-0000000000000000-01"), false);
        check(&format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)), false);
        check(&format!("00-{TRACE}-00f067aa0ba902b7"), false);
        check("", false);
        check("00-é", false);
    }

    #[test]
    fn a_span_continues_the_trace_it_is_told_of_and_only_then() {
        let none: [(&str, &str); 0] = [];
        let (dispatch, _telemetry) = crate::builder().environment(none).build().unwrap();
        with_default(&dispatch, || {
            assert_eq!(TraceContext::current(), None);
            let header = format!("00-{TRACE}-00f067aa0ba902b7-01");
            let remote = TraceContext::from_traceparent(&header).unwrap();
            assert_eq!(remote.to_traceparent(), header);
            let here = |span: &tracing::Span| span.in_scope(TraceContext::current).unwrap();

            let child = remote.parent_of(|| tracing::info_span!("child"));
            assert_eq!(here(&child).trace_id(), remote.trace_id());
            assert_ne!(here(&child).span_id(), remote.span_id());

            // A span within another, an explicit root and one opened later have other parents.
            let outer = tracing::info_span!("outer");
            let inner = outer.in_scope(|| remote.parent_of(|| tracing::info_span!("inner")));
            assert_eq!(here(&inner).trace_id(), here(&outer).trace_id());
            let root = remote.parent_of(|| tracing::info_span!(parent: None, "root"));
            assert_ne!(here(&root).trace_id(), remote.trace_id());
            assert_ne!(here(&outer).trace_id(), remote.trace_id());
        });
    }
}
