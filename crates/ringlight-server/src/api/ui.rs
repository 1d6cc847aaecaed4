//! The files of the web UI.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};

use super::answer::accepts_gzip;
use super::error::ApiError;
use super::params::shown;

/// The file a path stands for; the UI's own page for every path that is none of a file.
pub(super) async fn file(method: Method, uri: Uri, headers: HeaderMap) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return ApiError::method_not_allowed().into_response();
    }
    let found = if is_plain(uri.path()) {
        ringlight_ui::file(uri.path())
    } else {
        None
    };
    let Some(file) = found else {
        let message = format!("there is no page or file `{}`", shown(uri.path()));
        return ApiError::not_found(message)
            .hint("the UI begins at /")
            .into_response();
    };
    let is_known = headers.get_all(header::IF_NONE_MATCH).iter().any(|tags| {
        tags.to_str()
            .is_ok_and(|tags| tags == "*" || tags.split(',').any(|tag| is_tag(tag, file.etag)))
    });
    let compressed = file.gzip.filter(|_| accepts_gzip(&headers));
    let mut response = match (is_known, compressed) {
        (true, _) => StatusCode::NOT_MODIFIED.into_response(),
        (false, Some(gzip)) => ([(header::CONTENT_ENCODING, "gzip")], gzip).into_response(),
        (false, None) => file.body.into_response(),
    };
    let caching = if file.immutable {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, file.content_type),
        (header::ETAG, file.etag),
        (header::CACHE_CONTROL, caching),
        (header::VARY, "accept-encoding"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Whether one of the tags a client has is this one, compared weakly (RFC 9110, section 13.1.2).
fn is_tag(given: &str, etag: &str) -> bool {
    let given = given.trim();
    given.strip_prefix("W/").unwrap_or(given) == etag
}

/// Whether a path says nothing but names. Files are looked up in a table, so that no path leads out
/// of it; one that tries is refused all the same.
fn is_plain(path: &str) -> bool {
    !path.contains("//")
        && !path
            .split('/')
            .any(|segment| segment == "." || segment == "..")
        && path.chars().all(|c| {
            c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~' | '@' | '+')
        })
}
