//! The description of the API, from the annotations of the handlers.

use std::sync::Arc;

use axum::extract::State as Shared;
use axum::response::Response;
use utoipa::OpenApi as _;

use super::answer::{Call, json};
use super::error::{ApiError, Refused};
use super::value::{Attribute, TypedValue};
use super::{Context, Effort};
use super::{catalogue, logs, metrics, operations, status, trace, traces};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Ringlight API",
        description = "What is stored of traces, logs and metrics, and the state of the backend. Times are Unix nanoseconds \
                       as decimal strings, durations nanoseconds as numbers, ids lower-case hexadecimal. An unknown \
                       parameter is refused.",
        license(name = "Apache-2.0 OR MIT", identifier = "Apache-2.0 OR MIT"),
    ),
    paths(
        status::status,
        catalogue::services,
        catalogue::runs,
        traces::search,
        trace::trace,
        operations::search,
        logs::search,
        metrics::list,
        metrics::data,
        catalogue::attributes,
        catalogue::values,
        document,
    ),
    components(schemas(Attribute, TypedValue))
)]
struct Document;

/// The OpenAPI document.
pub(super) fn openapi() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

/// This document.
///
/// The description of the API as OpenAPI 3.1.
#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    operation_id = "openapi",
    tag = "state",
    responses(
        (status = 200, description = "The document.", body = Object),
        Refused,
    ),
)]
pub(super) async fn document(
    Shared(context): Shared<Arc<Context>>,
    call: Call,
) -> Result<Response, ApiError> {
    call.params(&[])?;
    call.answer(&context, Effort::Lookup, |_| json(&openapi()))
        .await
}
