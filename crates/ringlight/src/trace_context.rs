//! Carrying a trace to another task, process or machine.

use std::sync::Arc;

use ringlight_collector::SpanContext;
use ringlight_model::{SpanId, TraceId};
use tracing_core::dispatcher;

use crate::RinglightSubscriber;
use crate::propagation::{Format, read};
#[cfg(feature = "b3")]
use crate::subscriber::made_up_ids;
use crate::subscriber::with_remote_parent;

/// The identity of a span, to be carried along with work that goes on elsewhere.
///
/// ```
/// use ringlight::TraceContext;
///
/// # let mut headers = std::collections::HashMap::new();
/// // Where the work is sent from:
/// if let Some(context) = TraceContext::current() {
///     context.inject(|name, value| {
///         headers.insert(name.to_owned(), value);
///     });
/// }
/// // Where it arrives:
/// let context = TraceContext::extract(|name| headers.get(name).map(String::as_str));
/// let _answered = context.map(|context| context.parent_of(|| 42 /* open the span here */));
/// ```
///
/// Two are equal if they name the same span, whether one of them came from elsewhere or not. A
/// [producer](crate::collector::SpanProducer) makes children of it, which are recorded if it is:
///
/// ```
/// use ringlight::TraceContext;
/// use ringlight::collector::{OpenSpan, SpanProducer, SpanTemplate};
///
/// static STEP: SpanTemplate<0> = SpanTemplate::new("shop", "step", []);
///
/// fn step(producer: &mut SpanProducer) -> OpenSpan<0> {
///     match TraceContext::current() {
///         Some(context) => producer.start_child(&STEP, context.into()),
///         None => producer.start(&STEP),
///     }
/// }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct TraceContext {
    trace_id: TraceId,
    span_id: SpanId,
    is_sampled: bool,
    /// Whether it was read from what another process sent.
    is_remote: bool,
}

impl PartialEq for TraceContext {
    fn eq(&self, other: &Self) -> bool {
        let named = |context: &Self| (context.trace_id, context.span_id, context.is_sampled);
        named(self) == named(other)
    }
}

impl Eq for TraceContext {}

impl From<TraceContext> for SpanContext {
    fn from(context: TraceContext) -> Self {
        Self {
            trace_id: context.trace_id,
            span_id: context.span_id,
            is_remote: context.is_remote,
            is_sampled: context.is_sampled,
        }
    }
}

impl TraceContext {
    /// The span the calling thread is in, if its subscriber is one of this crate; with the feature
    /// `otel` also a span of the OpenTelemetry API. Of a trace that is not recorded, the first span
    /// here may stand for all within it, for as long as any of them is open. Where too many spans were
    /// open for it, ids are made up each time, of a trace that is not recorded either.
    #[must_use]
    pub fn current() -> Option<Self> {
        dispatcher::get_default(|dispatch| {
            let subscriber = RinglightSubscriber::behind(dispatch)?;
            let (trace_id, span_id, is_sampled) = subscriber.current_ids()?;
            Some(Self {
                trace_id,
                span_id,
                is_sampled,
                is_remote: false,
            })
        })
    }

    /// The span of these ids, elsewhere; `None` if one is not valid.
    pub(crate) const fn new(trace_id: TraceId, span_id: SpanId, is_sampled: bool) -> Option<Self> {
        if trace_id.is_valid() && span_id.is_valid() {
            Some(Self {
                trace_id,
                span_id,
                is_sampled,
                is_remote: true,
            })
        } else {
            None
        }
    }

    /// A trace that is not recorded, of which nothing else is known: its ids are made up.
    #[cfg(feature = "b3")]
    pub(crate) fn unsampled() -> Self {
        let (trace_id, span_id) = made_up_ids();
        Self {
            trace_id,
            span_id,
            is_sampled: false,
            is_remote: true,
        }
    }

    /// Reads the headers of a request in the formats `OTEL_PROPAGATORS` names, W3C by default.
    /// `None` if there is no context in them, or one that is not as its specification has it. `get`
    /// gives the value of the header of a name in lower case.
    ///
    /// A B3 header may say that a trace is not recorded, and not which one. That is then one with ids
    /// of its own.
    ///
    /// ```
    /// use ringlight::TraceContext;
    ///
    /// # let headers = std::collections::HashMap::<String, String>::new();
    /// let context = TraceContext::extract(|name| headers.get(name).map(String::as_str));
    /// let open = || tracing::info_span!("request");
    /// let span = match context {
    ///     Some(context) => context.parent_of(open),
    ///     None => open(),
    /// };
    /// # drop(span);
    /// ```
    #[must_use]
    pub fn extract<'h>(get: impl Fn(&str) -> Option<&'h str>) -> Option<Self> {
        read(&formats(), &get).map(|(_, context)| context)
    }

    /// Hands the headers that name this span to `set`, name and value, in the formats
    /// `OTEL_PROPAGATORS` names, W3C by default.
    pub fn inject(self, mut set: impl FnMut(&str, String)) {
        for format in &*formats() {
            format.write(self, &mut set);
        }
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
        Self::new(trace_id, span_id, flags & 1 != 0)
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

    /// The same, of this process or not.
    #[cfg(feature = "otel")]
    pub(crate) const fn with_remote(mut self, is_remote: bool) -> Self {
        self.is_remote = is_remote;
        self
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

/// The formats of the calling thread's subscriber.
pub(crate) fn formats() -> Arc<[Format]> {
    let formats =
        dispatcher::get_default(|dispatch| Some(RinglightSubscriber::behind(dispatch)?.formats()));
    formats.unwrap_or_else(|| Format::DEFAULT.into())
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

    #[cfg(feature = "b3")]
    #[test]
    fn a_trace_that_is_denied_without_a_name_is_not_recorded() {
        let environment = [("OTEL_PROPAGATORS", "b3")];
        let builder = crate::builder().environment(environment);
        let (dispatch, _telemetry) = builder.build().unwrap();
        with_default(&dispatch, || {
            let denied = TraceContext::extract(|name| (name == "b3").then_some("0")).unwrap();
            let span = denied.parent_of(|| tracing::info_span!("request"));
            let here = span.in_scope(TraceContext::current).unwrap();
            assert!(!here.is_sampled());
            assert_eq!(here.trace_id(), denied.trace_id());
        });
    }

    /// The headers in which the current span is named, and the span they name.
    #[cfg(all(feature = "b3", feature = "jaeger"))]
    fn there_and_back(propagators: &str) -> (Vec<String>, Option<TraceContext>, TraceContext) {
        let environment = [("OTEL_PROPAGATORS", propagators)];
        let builder = crate::builder().environment(environment);
        let (dispatch, _telemetry) = builder.build().unwrap();
        with_default(&dispatch, || {
            let span = tracing::info_span!("span");
            let here = span.in_scope(TraceContext::current).unwrap();
            let mut headers = std::collections::BTreeMap::new();
            here.inject(|name, value| {
                headers.insert(name.to_owned(), value);
            });
            let found = TraceContext::extract(|name| headers.get(name).map(String::as_str));
            (headers.into_keys().collect(), found, here)
        })
    }

    #[cfg(all(feature = "b3", feature = "jaeger"))]
    #[test]
    fn headers_are_those_of_the_propagators_that_are_named() {
        let check = |propagators: &str, expected: &[&str]| {
            let (headers, found, here) = there_and_back(propagators);
            assert_eq!(headers, expected, "{propagators}");
            assert_eq!(found, (!expected.is_empty()).then_some(here));
        };
        check("", &["traceparent"]);
        check("b3", &["b3"]);
        check("b3multi", &["x-b3-sampled", "x-b3-spanid", "x-b3-traceid"]);
        check("jaeger,tracecontext", &["traceparent", "uber-trace-id"]);
        check("none", &[]);
    }
}
