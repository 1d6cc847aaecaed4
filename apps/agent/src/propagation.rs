//! Carrying the trace across HTTP by the W3C `traceparent` header.

use http::{HeaderMap, HeaderValue};
use ringlight::TraceContext;

/// The name of the header, and of the member of `_meta` in MCP.
pub(crate) const TRACEPARENT: &str = "traceparent";

/// Names the current span in the headers of an outgoing request.
pub(crate) fn inject(headers: &mut HeaderMap) {
    let header = TraceContext::current()
        .and_then(|context| HeaderValue::try_from(context.to_traceparent()).ok());
    if let Some(header) = header {
        headers.insert(TRACEPARENT, header);
    }
}

/// Opens a span as a child of the one that an incoming request's headers name, or as a root if they
/// name none.
pub(crate) fn continue_trace<R>(headers: &HeaderMap, open: impl FnOnce() -> R) -> R {
    let context = headers
        .get(TRACEPARENT)
        .and_then(|header| header.to_str().ok())
        .and_then(TraceContext::from_traceparent);
    match context {
        Some(context) => context.parent_of(open),
        None => open(),
    }
}
