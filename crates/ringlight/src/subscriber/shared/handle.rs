//! What stands for a `tracing` span in a context.

use std::borrow::Cow;
use std::sync::Weak;
use std::time::SystemTime;

use opentelemetry::KeyValue;
use opentelemetry::trace::{self as api, Status};

use super::super::slab::{Slot, SlotId};
use super::{Edit, Shared, When};

/// A `tracing` span as the OpenTelemetry API sees it.
///
/// It does not keep the span open and cannot end it: a `tracing` span ends when its last handle is
/// dropped. What is set after that is ignored.
#[derive(Debug)]
pub(super) struct Handle {
    /// Weak, since contexts are kept in there.
    shared: Weak<Shared>,
    id: SlotId,
    context: api::SpanContext,
}

impl Handle {
    pub(super) const fn new(shared: Weak<Shared>, id: SlotId, context: api::SpanContext) -> Self {
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
    fn with<R>(&self, body: impl FnOnce(&Shared, &Slot) -> R) -> Option<R> {
        if !self.id.is_sampled() {
            return None;
        }
        let shared = self.shared.upgrade()?;
        let run = || Some(body(&shared, shared.slab.slot(self.id)?));
        shared.contexts.with(self.id, run)?
    }

    fn edit(&self, edit: &Edit<'_>) {
        self.with(|shared, slot| {
            let clock = shared.slab.clock();
            edit.apply_to(slot, clock, &shared.limits, &shared.callsites);
        });
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
        self.edit(&Edit::Event {
            name: &name.into(),
            when: When::At(timestamp),
            attributes: &attributes,
            dropped: 0,
        });
    }

    fn span_context(&self) -> &api::SpanContext {
        &self.context
    }

    fn is_recording(&self) -> bool {
        self.with(|_, _| ()).is_some()
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
        self.edit(&Edit::Link {
            context: &span_context,
            attributes: &attributes,
            dropped: 0,
        });
    }

    fn end_with_timestamp(&mut self, _: SystemTime) {}
}
