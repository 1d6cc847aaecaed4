//! The spans of a server behind tower-http's layer, as `docs/migration.md` has them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

/// What the guide shows.
#[path = "served/guide.rs"]
mod guide;

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use ringlight_testing::{Backend, attribute};
use tower::{Layer, Service, ServiceExt as _};
use tower_http::trace::TraceLayer;
use tracing::instrument::WithSubscriber as _;

const LONG: Duration = Duration::from_secs(20);

type Request = http::Request<String>;
type Answered = Ready<Result<http::Response<String>, Infallible>>;
type Server = tower::util::ServiceFn<fn(Request) -> Answered>;

/// Answers with the status that the path says.
fn answer(request: Request) -> Answered {
    let mut response = http::Response::new(String::new());
    *response.status_mut() = request.uri().path()[1..].parse().unwrap();
    ready(Ok(response))
}

/// The spans of a request for each of the statuses, in this order.
async fn spans_of<S>(
    directives: &'static str,
    layer: impl Layer<Server, Service = S>,
    statuses: &[u16],
) -> Vec<Span>
where
    S: Service<Request, Error = Infallible>,
{
    let backend = Backend::start();
    let (dispatch, telemetry) = ringlight::builder()
        .environment([("RUST_LOG", directives)])
        .otlp_endpoint(backend.url())
        .build()
        .unwrap();
    for status in statuses {
        let request = http::Request::get(format!("/{status}")).body(String::new());
        let server = layer.layer(tower::service_fn(answer as fn(Request) -> Answered));
        let answered = server.oneshot(request.unwrap());
        assert!(answered.with_subscriber(dispatch.clone()).await.is_ok());
    }
    let flushed = tokio::task::spawn_blocking(move || telemetry.flush(LONG)).await;
    flushed.unwrap().unwrap();
    let spans = backend.seen().spans();
    let named = statuses.iter().map(|status| {
        let name = format!("GET /{status}");
        let span = spans.iter().find(|span| span.name == name);
        span.unwrap().clone()
    });
    named.collect()
}

#[tokio::test]
async fn a_server_error_fails_the_span_of_its_request_and_another_answer_does_not() {
    let layer = TraceLayer::new_for_http()
        .make_span_with(guide::make_span)
        .on_response(guide::on_response);
    let statuses = [200, 404, 500, 503];
    // Without what the layer logs of failures, which fails the span as well.
    let spans = spans_of("info,tower_http=off", layer, &statuses).await;
    for (status, span) in statuses.into_iter().zip(spans) {
        let expected = match status {
            500.. => StatusCode::Error,
            _ => StatusCode::Unset,
        };
        assert_eq!(span.status.unwrap_or_default().code(), expected, "{status}");
        let told = attribute(&span.attributes, "http.response.status_code");
        assert_eq!(told, Some(Value::IntValue(status.into())));
        assert_eq!(attribute(&span.attributes, "otel.status_code"), None);
        assert_eq!(span.kind, SpanKind::Server as i32);
    }
}

#[tokio::test]
async fn what_the_layer_logs_of_a_server_error_fails_the_span_too() {
    let layer = TraceLayer::new_for_http().make_span_with(guide::make_span);
    let spans = spans_of("info", layer, &[500]).await;
    let status = spans[0].status.clone().unwrap();
    assert_eq!(status.code(), StatusCode::Error);
    assert_eq!(status.message, "response failed");
}

#[test]
fn the_guide_shows_what_is_tested() {
    let guide = include_str!("../../../docs/migration.md");
    let tested = include_str!("served/guide.rs").replace("pub(crate) fn", "fn");
    assert!(guide.contains(&tested), "docs/migration.md has others");
}
