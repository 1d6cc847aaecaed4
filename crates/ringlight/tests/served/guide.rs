use std::time::Duration;

use ringlight::TraceContext;
use tracing::Span;
use tracing::field::Empty;

pub(crate) fn make_span<B>(request: &http::Request<B>) -> Span {
    let (method, path) = (request.method(), request.uri().path());
    let open = || {
        tracing::info_span!(
            "request",
            otel.name = format!("{method} {path}"),
            otel.kind = "server",
            otel.status_code = Empty,
            http.request.method = %method,
            url.path = path,
            http.response.status_code = Empty,
        )
    };
    let get = |name: &str| request.headers().get(name)?.to_str().ok();
    match TraceContext::extract(get) {
        Some(caller) => caller.parent_of(open),
        None => open(),
    }
}

pub(crate) fn on_response<B>(response: &http::Response<B>, _latency: Duration, span: &Span) {
    let status = response.status();
    span.record("http.response.status_code", status.as_u16());
    // Only what the server is to blame for: to the server, a 404 is no failure.
    if status.is_server_error() {
        span.record("otel.status_code", "ERROR");
    }
}
