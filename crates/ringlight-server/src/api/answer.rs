//! Successful answers: JSON, compressed where the client takes that.

use std::convert::Infallible;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use flate2::Compression;
use flate2::write::GzEncoder;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use ringlight_store::{Cancel, Store};
use serde::Serialize;

use super::error::ApiError;
use super::params::Params;
use super::{Context, Effort};

/// The content type of the API.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Bytes from which compressing pays: what fits into one packet arrives no sooner when smaller.
const COMPRESS_BYTES_MIN: usize = 1400;

/// What a handler needs to know of its request.
#[derive(Debug)]
pub(super) struct Call {
    query: Option<String>,
    accepts_gzip: bool,
    end: End,
}

/// Notes when a call ends: it is answered, or its client has gone away.
#[derive(Debug, Default)]
struct End(Arc<AtomicBool>);

impl Drop for End {
    fn drop(&mut self) {
        // Relaxed: nothing else is told by it.
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<S: Sync> FromRequestParts<S> for Call {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self {
            query: parts.uri.query().map(str::to_owned),
            accepts_gzip: accepts_gzip(&parts.headers),
            end: End::default(),
        })
    }
}

impl Call {
    /// The parameters; others than the allowed ones are refused.
    pub(super) fn params(&self, allowed: &[&str]) -> Result<Params, ApiError> {
        Params::read(self.query.as_deref(), allowed)
    }

    /// Ends a search when nobody waits for its answer any more.
    pub(super) fn cancel(&self) -> Cancel {
        let is_over = Arc::clone(&self.end.0);
        Cancel::when(move || is_over.load(Ordering::Relaxed))
    }

    /// Asks the store, and answers with the JSON `ask` makes of it. Both, and the compressing,
    /// happen on a thread that may block.
    pub(super) async fn answer(
        &self,
        context: &Context,
        effort: Effort,
        ask: impl FnOnce(&Store) -> Result<Vec<u8>, ApiError> + Send + 'static,
    ) -> Result<Response, ApiError> {
        let accepts_gzip = self.accepts_gzip;
        let (body, is_compressed) = context
            .query(effort, move |store| {
                let body = ask(store)?;
                if !accepts_gzip || body.len() < COMPRESS_BYTES_MIN {
                    return Ok((body, false));
                }
                compressed(&body)
                    .map(|body| (body, true))
                    .map_err(|error| ApiError::internal(error.to_string()))
            })
            .await??;
        let body = context.body(body).await?;
        let mut response = (StatusCode::OK, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, JSON);
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        if is_compressed {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Ok(response)
    }
}

/// The JSON of a value.
pub(super) fn json<T: Serialize>(value: &T) -> Result<Vec<u8>, ApiError> {
    serde_json::to_vec(value).map_err(|error| ApiError::internal(error.to_string()))
}

// The fastest level: over loopback, time matters more than the last few bytes.
fn compressed(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

/// Whether the client takes gzip (RFC 9110, section 12.5.3): by name or by `*`, and not with a
/// weight of zero.
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut by_star = false;
    for value in headers.get_all(header::ACCEPT_ENCODING) {
        let Ok(value) = value.to_str() else { continue };
        for coding in value.split(',') {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            let weight = weight.trim().trim_start_matches("q=");
            let accepted =
                weight.is_empty() || weight.parse().is_ok_and(|weight: f32| weight > 0.0);
            match name.trim() {
                name if name.eq_ignore_ascii_case("gzip") => return accepted,
                "*" => by_star = accepted,
                _ => {}
            }
        }
    }
    by_star
}
