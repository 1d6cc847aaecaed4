//! Model to protobuf, in one pass into a `Vec<u8>`.
//!
//! Two layers. [`proto`] knows the wire: tags, varints, and messages whose length is filled in when
//! they are closed. The functions here know OTLP: what a span, a log record, an attribute, a
//! resource and a scope look like, and how they nest in an export request.
//!
//! A request is written from the outside in:
//!
//! ```
//! use ringlight_model::{Resource, Scope, Signal, Span, SpanId, TraceId};
//! use ringlight_otlp::encode;
//!
//! let mut request = Vec::new();
//! let resource = encode::open_resource(&mut request, &Resource::default());
//! let scope = encode::open_scope(&mut request, &Scope::default());
//! encode::span(
//!     &mut request,
//!     &Span {
//!         trace_id: TraceId::new(1),
//!         span_id: SpanId::new(2),
//!         name: "checkout".into(),
//!         ..Span::default()
//!     },
//! );
//! encode::close(&mut request, scope);
//! encode::close(&mut request, resource);
//! ```
//!
//! The collector, whose records are bytes and not [`Span`]s, writes the same with
//! [`open_span`], [`attribute`] and the `span_*` functions, its keys encoded once a callsite
//! ([`EncodedKey`]).
//!
//! Fields with their default value are left out, as proto3 does. Fields may appear in any order on
//! the wire; a scalar written twice counts as written last.

mod items;
pub mod proto;
mod record;
#[cfg(test)]
mod tests;
mod value;

pub use items::{
    event_dropped_attributes, event_name, link_dropped_attributes, link_flags, link_trace_state,
    log_body, log_dropped_attributes, log_event_name, log_flags, log_ids, log_observed,
    log_severity, log_time, open_log, open_resource, open_resource_encoded, open_scope, open_span,
    open_span_event, open_span_link, resource_message, scope_fields, span_dropped,
    span_dropped_attributes, span_flags, span_ids, span_kind, span_name, span_status, span_times,
    span_trace_state,
};
pub use proto::{Open, close};
pub use record::{Record, log_record, request, span};
pub use value::{EncodedKey, Key, Owner, Scalar, attribute, attribute_value, value};

#[cfg(doc)]
use ringlight_model::Span;
