//! Spans of the API.

use std::borrow::Cow;
use std::time::SystemTime;

use opentelemetry::trace::{self as api, SpanBuilder, SpanContext, Status, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use ringlight_collector::in_pipeline;
use ringlight_model::{CallsiteId, SpanKind};
use tracing_core::Dispatch;

use super::values::unix_nano;
use crate::RinglightSubscriber;
use crate::subscriber::shared::{Edit, Recording, When};

/// A span of the OpenTelemetry API. It becomes a record when it ends; dropping it ends it.
#[derive(Debug)]
pub struct Span {
    dispatch: Dispatch,
    context: SpanContext,
    /// `None` if the span is not recorded, or has ended.
    recording: Option<Box<Recording>>,
}

impl Span {
    pub(super) fn start(
        dispatch: &Dispatch,
        (callsite, scope): (CallsiteId, &str),
        builder: SpanBuilder,
        parent: &Context,
    ) -> Self {
        let not_recorded = |context| Self {
            dispatch: Dispatch::none(),
            context,
            recording: None,
        };
        if parent.is_telemetry_suppressed() || in_pipeline() {
            return not_recorded(parent.span().span_context().clone());
        }
        let Some(subscriber) = RinglightSubscriber::behind(dispatch) else {
            return not_recorded(SpanContext::NONE);
        };
        let origin = subscriber.origin_of(parent, &builder.name, scope);
        if !origin.is_recorded {
            return not_recorded(origin.context);
        }
        let kind = kind(builder.span_kind.as_ref());
        let start = builder.start_time.map(unix_nano);
        let mut recording =
            subscriber.begin_recording(&origin, callsite, kind, start, &builder.name);
        for attribute in builder.attributes.iter().flatten() {
            subscriber.edit_recording(&mut recording, &Edit::Attribute(attribute));
        }
        for link in builder.links.iter().flatten() {
            let link = Edit::Link {
                context: &link.span_context,
                attributes: &link.attributes,
                dropped: link.dropped_attributes_count,
            };
            subscriber.edit_recording(&mut recording, &link);
        }
        for event in builder.events.iter().flatten() {
            let event = Edit::Event {
                name: &event.name,
                when: When::At(event.timestamp),
                attributes: &event.attributes,
                dropped: event.dropped_attributes_count,
            };
            subscriber.edit_recording(&mut recording, &event);
        }
        Self {
            dispatch: dispatch.clone(),
            context: origin.context,
            recording: Some(Box::new(recording)),
        }
    }

    fn edit(&mut self, edit: &Edit<'_>) {
        if let Some(recording) = &mut self.recording
            && let Some(subscriber) = RinglightSubscriber::behind(&self.dispatch)
        {
            subscriber.edit_recording(recording, edit);
        }
    }

    fn add_event_when(&mut self, name: &str, when: When, attributes: &[KeyValue]) {
        self.edit(&Edit::Event {
            name,
            when,
            attributes,
            dropped: 0,
        });
    }

    fn finish(&mut self, end: When) {
        if let Some(recording) = self.recording.take()
            && let Some(subscriber) = RinglightSubscriber::behind(&self.dispatch)
        {
            subscriber.submit(*recording, end);
        }
    }
}

const fn kind(kind: Option<&api::SpanKind>) -> SpanKind {
    match kind {
        None | Some(api::SpanKind::Internal) => SpanKind::Internal,
        Some(api::SpanKind::Client) => SpanKind::Client,
        Some(api::SpanKind::Server) => SpanKind::Server,
        Some(api::SpanKind::Producer) => SpanKind::Producer,
        Some(api::SpanKind::Consumer) => SpanKind::Consumer,
    }
}

/// What is set after the end is ignored.
impl api::Span for Span {
    fn add_event<T>(&mut self, name: T, attributes: Vec<KeyValue>)
    where
        T: Into<Cow<'static, str>>,
    {
        self.add_event_when(&name.into(), When::Now, &attributes);
    }

    fn add_event_with_timestamp<T>(
        &mut self,
        name: T,
        timestamp: SystemTime,
        attributes: Vec<KeyValue>,
    ) where
        T: Into<Cow<'static, str>>,
    {
        self.add_event_when(&name.into(), When::At(timestamp), &attributes);
    }

    fn span_context(&self) -> &SpanContext {
        &self.context
    }

    fn is_recording(&self) -> bool {
        self.recording.is_some()
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

    fn add_link(&mut self, span_context: SpanContext, attributes: Vec<KeyValue>) {
        self.edit(&Edit::Link {
            context: &span_context,
            attributes: &attributes,
            dropped: 0,
        });
    }

    fn end(&mut self) {
        self.finish(When::Now);
    }

    fn end_with_timestamp(&mut self, timestamp: SystemTime) {
        self.finish(When::At(timestamp));
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        self.finish(When::Now);
    }
}
