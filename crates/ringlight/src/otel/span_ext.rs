//! More for `tracing` spans.

use std::borrow::Cow;

use opentelemetry::trace::{SpanContext, Status};
use opentelemetry::{Context, Key, KeyValue, Value};
use tracing::Span;

use crate::RinglightSubscriber;
use crate::subscriber::shared::{Edit, When, set_in_use};

/// What the OpenTelemetry API can say about a span and `tracing` cannot, for `tracing` spans.
///
/// Nothing happens to a span that is not recorded, or not by this crate.
///
/// ```
/// use opentelemetry::trace::Status;
/// use ringlight::otel::SpanExt as _;
///
/// let span = tracing::info_span!("upload");
/// span.set_attribute("file.size", 4096);
/// span.add_event("first byte", vec![]);
/// span.set_status(Status::error("disk is full"));
/// ```
pub trait SpanExt {
    /// The context that names this span, with the baggage and other values of the one it was opened
    /// in; the current one if the span is not one of this crate's.
    fn context(&self) -> Context;

    /// Links the span to another one. See also [`Span::follows_from`].
    fn add_link(&self, linked: SpanContext, attributes: Vec<KeyValue>);

    /// Sets an attribute, whether or not it is declared as a field.
    fn set_attribute(&self, key: impl Into<Key>, value: impl Into<Value>);

    /// Sets the status. `Ok` is final, and `Unset` changes nothing. The fields `otel.status_code` and
    /// `otel.status_message` win.
    fn set_status(&self, status: Status);

    /// Adds an event that is not a log record. Its time is now, by the clock that times the span.
    fn add_event(&self, name: impl Into<Cow<'static, str>>, attributes: Vec<KeyValue>);
}

impl SpanExt for Span {
    fn context(&self) -> Context {
        set_in_use();
        let context = self
            .with_subscriber(|(id, dispatch)| RinglightSubscriber::context_of_span(dispatch, id));
        context.flatten().unwrap_or_else(Context::current)
    }

    fn add_link(&self, linked: SpanContext, attributes: Vec<KeyValue>) {
        let link = Edit::Link {
            context: &linked,
            attributes: &attributes,
            dropped: 0,
        };
        edit(self, &link);
    }

    fn set_attribute(&self, key: impl Into<Key>, value: impl Into<Value>) {
        edit(self, &Edit::Attribute(&KeyValue::new(key, value)));
    }

    fn set_status(&self, status: Status) {
        edit(self, &Edit::Status(&status));
    }

    fn add_event(&self, name: impl Into<Cow<'static, str>>, attributes: Vec<KeyValue>) {
        let event = Edit::Event {
            name: &name.into(),
            when: When::Now,
            attributes: &attributes,
            dropped: 0,
        };
        edit(self, &event);
    }
}

fn edit(span: &Span, edit: &Edit<'_>) {
    span.with_subscriber(|(id, dispatch)| {
        RinglightSubscriber::edit(dispatch, id, edit);
    });
}
