//! What the API answers when it cannot answer.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use ringlight_store::SearchError;
use ringlight_store::query::QueryError;
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

use super::Busy;
use super::answer::JSON;
use super::params::shown;

/// The body of every answer that is not a success.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErrorBody {
    /// What is wrong.
    error: ErrorDetail,
}

/// What every path may answer instead of a success.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "describes the answers in the document")]
pub(super) enum Refused {
    /// A parameter is not known, given twice or out of range, or `q` is not a query.
    #[response(status = 400)]
    BadRequest(ErrorBody),
    /// The request is for another host than this machine, or from a page of another site.
    #[response(status = 403)]
    Forbidden(ErrorBody),
    /// A defect; the message says what.
    #[response(status = 500)]
    Internal(ErrorBody),
    /// Too many requests are under way; `Retry-After` says when to come back.
    #[response(status = 503)]
    Busy(ErrorBody),
}

/// What is wrong with a request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Error)]
pub(super) struct ErrorDetail {
    /// A word for programs, such as `bad_query`.
    code: &'static str,
    /// A sentence for people.
    message: String,
    /// What to do about it; empty where nothing is to be said.
    hint: String,
    /// The place in the parameter `q` it is about.
    #[schema(required)]
    position: Option<Position>,
}

/// A place in a query.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
pub(super) struct Position {
    /// Characters (Unicode scalar values) before the place.
    offset: usize,
    /// Characters it covers; 0 behind the last character.
    length: usize,
}

/// An answer that is not a success.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    body: ErrorBody,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            body: ErrorBody {
                error: ErrorDetail {
                    code,
                    message: message.into(),
                    hint: String::new(),
                    position: None,
                },
            },
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.body.error.hint = hint.into();
        self
    }

    /// A parameter's value that is not what it must be.
    pub(super) fn parameter(name: &str, value: &str, allowed: &str) -> Self {
        let message = format!("parameter `{name}` is `{}`", shown(value));
        Self::new(StatusCode::BAD_REQUEST, "bad_parameter", message)
            .hint(format!("allowed is {allowed}"))
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub(super) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "the method is not one this path knows",
        )
        .hint("use GET or HEAD")
    }

    /// Something that cannot happen did; the answer is one nevertheless.
    pub(super) fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    /// What went wrong, for the account of refusals.
    pub(super) fn message(&self) -> &str {
        &self.body.error.message
    }

    /// What to do about it; empty where nothing is to be said.
    pub(super) fn hint_text(&self) -> &str {
        &self.body.error.hint
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        let mut answer = Self::new(StatusCode::BAD_REQUEST, "bad_query", error.message.clone());
        if let Some(expected) = error.hint() {
            answer = answer.hint(format!("expected {expected}"));
        }
        answer.body.error.position = Some(Position {
            offset: error.offset,
            length: error.length,
        });
        answer
    }
}

impl From<SearchError> for ApiError {
    fn from(error: SearchError) -> Self {
        match error {
            SearchError::Cursor { cursor } => Self::parameter(
                "cursor",
                &cursor,
                "the `next` of an earlier page of the same search",
            ),
            other => Self::internal(other.to_string()),
        }
    }
}

impl From<Busy> for ApiError {
    fn from(_: Busy) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "too many requests are under way",
        )
        .hint("try again in a second")
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.body).unwrap_or_default();
        let mut response = (self.status, [(header::CONTENT_TYPE, JSON)], body).into_response();
        let headers = response.headers_mut();
        match self.status {
            StatusCode::METHOD_NOT_ALLOWED => {
                headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}
