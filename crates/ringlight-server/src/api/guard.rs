//! What stands before every handler of the UI's port.
//!
//! A browser sends requests to this port on behalf of any page it shows, also of one whose name
//! was made to point to this machine. So the request must name this machine as its host, and a page
//! that sends it must have come from here. Nothing but that is needed while nothing but this
//! machine can connect.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header};

use super::error::ApiError;
use super::params::shown;
use super::{Context, Peer};
use crate::otlp;
use crate::server::Addresses;
use crate::state::{Listener, RefusalReason};

/// What no page may do with an answer of the API that is opened by itself.
const API_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

pub(super) async fn guard(
    State(context): State<Arc<Context>>,
    request: Request,
    next: Next,
) -> Response {
    // A gRPC client only understands gRPC.
    let speaks_grpc = is_grpc(request.headers()) && request.version() == Version::HTTP_2;
    let is_api = request.uri().path().starts_with("/api");
    let unknown = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
    let peer = request.extensions().get::<Peer>();
    let peer = peer.map_or(unknown, |peer| peer.0);
    let refuse = |reason, message: &str| context.state.refuse(Listener::Ui, peer, reason, message);
    let checked = check(request.method(), request.uri(), request.headers())
        .and_then(|()| check_port(context.addresses, request.uri(), request.headers()));
    let mut response = match checked {
        Ok(()) => next.run(request).await,
        Err((reason, error)) => {
            refuse(reason, error.message());
            if speaks_grpc {
                let message = format!("{}: {}", error.message(), error.hint_text());
                otlp::refuse_grpc(reason, message).map(|()| Body::empty())
            } else {
                error.into_response()
            }
        }
    };
    if response.status() == StatusCode::SERVICE_UNAVAILABLE {
        refuse(RefusalReason::Overloaded, "too many searches are under way");
    }
    let headers = response.headers_mut();
    let mut insert = |name: HeaderName, value: &'static str| {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    };
    insert(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    insert(header::REFERRER_POLICY, "no-referrer");
    insert(
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    );
    if is_api {
        insert(header::CACHE_CONTROL, "no-store");
        insert(header::CONTENT_SECURITY_POLICY, API_POLICY);
    } else {
        insert(
            header::CONTENT_SECURITY_POLICY,
            ringlight_ui::CONTENT_SECURITY_POLICY,
        );
    }
    response
}

fn check(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), (RefusalReason, ApiError)> {
    let forbid = |reason: RefusalReason, message: String, hint: &str| {
        let error = ApiError::new(StatusCode::FORBIDDEN, reason.as_str(), message).hint(hint);
        Err((reason, error))
    };
    let Some(host) = host(uri, headers) else {
        return forbid(
            RefusalReason::ForeignHost,
            "the request names no host, or several".to_owned(),
            "ask for 127.0.0.1, [::1] or localhost",
        );
    };
    if !is_local(host.host()) {
        return forbid(
            RefusalReason::ForeignHost,
            format!("the request is for the host `{}`", shown(host.host())),
            "ask for 127.0.0.1, [::1] or localhost",
        );
    }
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let foreign = origins.find(|origin| !is_same_origin(origin, &host));
    if let Some(origin) = foreign {
        let origin = String::from_utf8_lossy(origin.as_bytes());
        return forbid(
            RefusalReason::ForeignOrigin,
            format!("the request comes from a page of `{}`", shown(&origin)),
            "only pages of this server may ask it",
        );
    }
    // Browsers say where a request comes from even when they send no `Origin`. Opening a link to
    // here from another site is fine.
    let says = |name: &str, value: &str| headers.get(name).is_some_and(|found| found == value);
    if says("sec-fetch-site", "cross-site") && !says("sec-fetch-mode", "navigate") {
        return forbid(
            RefusalReason::ForeignOrigin,
            "the request comes from a page of another site".to_owned(),
            "only pages of this server may ask it",
        );
    }
    if is_simple_body(method, headers) && !is_grpc(headers) {
        let error = ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "the content type is not one this server takes",
        )
        .hint("send application/json");
        return Err((RefusalReason::ContentType, error));
    }
    Ok(())
}

/// Tells a sender of telemetry that it is at the wrong port, and which one is right.
fn check_port(
    addresses: Addresses,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<(), (RefusalReason, ApiError)> {
    const OTLP_PATHS: [&str; 4] = [
        "/v1/traces",
        "/v1/logs",
        "/v1/metrics",
        "/v1development/profiles",
    ];
    let (right, protocol) = if is_grpc(headers) {
        (addresses.grpc, "gRPC")
    } else if OTLP_PATHS.contains(&uri.path()) {
        (addresses.http, "HTTP")
    } else {
        return Ok(());
    };
    let message = format!(
        "this is the port of the UI; OTLP over {protocol} is received on port {}",
        right.port()
    );
    let error = ApiError::new(StatusCode::NOT_FOUND, "wrong_port", message)
        .hint(format!("send it to http://{right}"));
    Err((RefusalReason::WrongProtocol, error))
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    content_type.is_some_and(|name| name.as_bytes().starts_with(b"application/grpc"))
}

/// The host a request is for, if there is exactly one answer to that.
fn host(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let named = match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => return None,
        (Some(host), None) => Some(host.to_str().ok()?.parse::<Authority>().ok()?),
        (None, _) => None,
    };
    // HTTP/2 puts it into the request line.
    match (named, uri.authority()) {
        (Some(named), Some(asked)) if named != *asked => None,
        (Some(named), _) => Some(named),
        (None, asked) => asked.cloned(),
    }
}

fn is_local(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whether an origin is that of the host itself. `null` is none.
fn is_same_origin(origin: &HeaderValue, host: &Authority) -> bool {
    origin
        .to_str()
        .ok()
        .and_then(|origin| origin.parse::<Uri>().ok())
        .is_some_and(|origin| {
            matches!(origin.scheme_str(), Some("http" | "https"))
                && origin
                    .authority()
                    .is_some_and(|authority| authority.as_str().eq_ignore_ascii_case(host.as_str()))
        })
}

/// Whether the request carries a body of a type that a page of another site could send without
/// being asked first: a form, plain text, or none at all.
fn is_simple_body(method: &Method, headers: &HeaderMap) -> bool {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return false;
    }
    let content_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .map(|value| value.trim().to_ascii_lowercase());
    !matches!(
        content_type.as_deref(),
        Some("application/json" | "application/x-protobuf" | "application/x-ndjson")
    )
}
