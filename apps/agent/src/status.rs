//! Marking spans as failed.

use std::fmt::Display;

/// Marks the current span as failed because of an error that was logged where it happened, so that
/// one error is not logged once for every span it passes through. The span has to declare
/// `otel.status_code` and `otel.status_message`.
pub(crate) fn failed<E: Display>(error: &E) {
    let span = tracing::Span::current();
    span.record("otel.status_code", "ERROR");
    span.record("otel.status_message", tracing::field::display(error));
}
