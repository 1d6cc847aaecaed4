//! What stands for a `tracing` span in a context.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::KeyValue;
use opentelemetry::trace::{self as api, Status};

use super::super::annotate::OpenSpan;
use super::super::slab::SlotId;
use super::{Edit, Shared};
use crate::otel::unix_nano;

/// A `tracing` span as the OpenTelemetry API sees it.
///
/// It does not keep the span open and cannot end it: a `tracing` span ends when its last handle is
/// dropped. What is set after that is ignored.
#[derive(Debug)]
pub(super) struct Handle {
    shared: Arc<Shared>,
    id: SlotId,
    context: api::SpanContext,
}

impl Handle {
    pub(super) const fn new(shared: Arc<Shared>, id: SlotId, context: api::SpanContext) -> Self {
        Self {
            shared,
            id,
            context,
        }
    }

    /// The trace state as it is in headers.
    pub(super) fn state(&self) -> String {
        self.context.trace_state().header()
    }

    /// Runs `body` on the span if it is recorded and open, as which it stays meanwhile.
    fn with<R>(&self, body: impl FnOnce(&OpenSpan<'_>) -> R) -> Option<R> {
        if !self.id.is_sampled() {
            return None;
        }
        let shared = &*self.shared;
        let run = || {
            let slot = shared.slab.slot(self.id)?;
            let limits = &shared.limits;
            Some(body(&OpenSpan { slot, limits }))
        };
        shared.contexts.with(self.id, run)?
    }

    fn edit(&self, edit: &Edit<'_>) {
        self.with(|span| edit.apply(span, &self.shared.callsites));
    }
}

impl api::Span for Handle {
    fn add_event_with_timestamp<T>(
        &mut self,
        name: T,
        timestamp: SystemTime,
        attributes: Vec<KeyValue>,
    ) where
        T: Into<Cow<'static, str>>,
    {
        let time = unix_nano(timestamp);
        self.edit(&Edit::Event(&name.into(), time, &attributes));
    }

    fn span_context(&self) -> &api::SpanContext {
        &self.context
    }

    fn is_recording(&self) -> bool {
        self.with(|_| ()).is_some()
    }

    fn set_attribute(&mut self, attribute: KeyValue) {
        self.edit(&Edit::Attribute(&attribute));
    }

    fn set_status(&mut self, status: Status) {
        self.edit(&Edit::Status(&status));
    }

    fn update_name<T>(&mut self, new_name: T)
    where
        T: Into<Cow<'static, str>>,
    {
        self.edit(&Edit::Name(&new_name.into()));
    }

    fn add_link(&mut self, span_context: api::SpanContext, attributes: Vec<KeyValue>) {
        self.edit(&Edit::Link(&span_context, &attributes));
    }

    fn end_with_timestamp(&mut self, _: SystemTime) {}
}
