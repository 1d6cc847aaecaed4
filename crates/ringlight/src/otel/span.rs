//! Spans of the API.

use std::borrow::Cow;
use std::time::SystemTime;

use opentelemetry::trace::{
    self as api, Event, Link, SpanBuilder, SpanContext, Status, TraceContextExt as _,
};
use opentelemetry::{Context, KeyValue};
use ringlight_clock::Moment;
use ringlight_collector::in_pipeline;
use ringlight_collector::record::{Head, Key, SpanHeader, Written};
use ringlight_model::{CallsiteId, Limits, SpanId, SpanKind, StatusCode};
use tracing_core::Dispatch;

use super::values::{unix_nano, write_attributes, write_value};
use crate::RinglightSubscriber;
use crate::subscriber::shared::{Losses, Origin, SpanItems, span_id, trace_id};

/// A span of the OpenTelemetry API. It becomes a record when it ends; dropping it ends it.
#[derive(Debug)]
pub struct Span {
    dispatch: Dispatch,
    context: SpanContext,
    /// `None` if the span is not recorded, or has ended.
    recording: Option<Box<Recording>>,
}

/// A span that is recorded and has not ended.
#[derive(Debug)]
struct Recording {
    callsite: CallsiteId,
    parent: SpanId,
    is_parent_remote: bool,
    start_unix_nano: u64,
    /// When it began by our clock; `None` if its maker says when it began.
    began: Option<Moment>,
    kind: SpanKind,
    name: Cow<'static, str>,
    status: Status,
    attributes: Limited<KeyValue>,
    events: Limited<Event>,
    links: Limited<Link>,
    limits: Limits,
}

/// As many as there may be, and how many were more.
#[derive(Debug)]
struct Limited<T> {
    kept: Vec<T>,
    max: usize,
    dropped: usize,
}

impl<T> Limited<T> {
    fn new(mut kept: Vec<T>, max: usize) -> Self {
        let dropped = kept.len().saturating_sub(max);
        kept.truncate(max);
        Self { kept, max, dropped }
    }

    fn push(&mut self, item: T) {
        if self.kept.len() < self.max {
            self.kept.push(item);
        } else {
            self.dropped += 1;
        }
    }
}

impl Limited<KeyValue> {
    /// A later value of a key replaces the earlier one.
    fn set(&mut self, attribute: KeyValue) {
        match self.kept.iter_mut().find(|kept| kept.key == attribute.key) {
            Some(kept) => *kept = attribute,
            None => self.push(attribute),
        }
    }
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
        let limits = *subscriber.limits();
        let Origin {
            context,
            parent,
            is_parent_remote,
            now,
            ..
        } = origin;
        let mut attributes = Limited::new(Vec::new(), limits.attributes_max);
        for attribute in builder.attributes.unwrap_or_default() {
            attributes.set(attribute);
        }
        let recording = Recording {
            callsite,
            parent,
            is_parent_remote,
            start_unix_nano: builder.start_time.map_or(now.unix_nano, unix_nano),
            began: builder.start_time.is_none().then_some(now),
            kind: kind(builder.span_kind.as_ref()),
            name: builder.name,
            status: Status::Unset,
            attributes,
            events: Limited::new(builder.events.unwrap_or_default(), limits.events_max),
            links: Limited::new(builder.links.unwrap_or_default(), limits.links_max),
            limits,
        };
        Self {
            dispatch: dispatch.clone(),
            context,
            recording: Some(Box::new(recording)),
        }
    }

    /// Ends the span, at its time or now.
    fn finish(&mut self, timestamp: Option<SystemTime>) {
        let Some(recording) = self.recording.take() else {
            return;
        };
        let Some(subscriber) = RinglightSubscriber::behind(&self.dispatch) else {
            return;
        };
        let end_unix_nano = match timestamp {
            Some(timestamp) => unix_nano(timestamp),
            None => subscriber.end_unix_nano(recording.began),
        };
        let ids = (trace_id(&self.context), span_id(&self.context));
        let code = match recording.status {
            Status::Unset => StatusCode::Unset,
            Status::Ok => StatusCode::Ok,
            Status::Error { .. } => StatusCode::Error,
        };
        let mut header = SpanHeader::new(recording.callsite, ids.0, ids.1);
        let flags = self.context.trace_flags().to_u8();
        header.head = Head::span(recording.kind, code, flags);
        if recording.is_parent_remote {
            header.head = header.head.with_remote_parent();
        }
        header.parent_span_id = recording.parent;
        header.start_unix_nano = recording.start_unix_nano;
        header.end_unix_nano = end_unix_nano;
        let state = self.context.trace_state().header();
        subscriber.submit(header, |items| recording.write(items, &state));
    }
}

impl Recording {
    /// Writes all but the header, what is small first.
    fn write(&self, items: &mut SpanItems<'_, '_>, state: &str) -> Losses {
        let limits = &self.limits;
        let mut losses = Losses {
            attributes: self.attributes.dropped,
            events: self.events.dropped,
            links: self.links.dropped,
            ..Losses::default()
        };
        losses.count_text(items.name(&self.name));
        if !state.is_empty() {
            losses.count_text(items.trace_state(state));
        }
        if let Status::Error { description } = &self.status
            && !description.is_empty()
        {
            losses.count_text(items.status_message(description));
        }
        for attribute in &self.attributes.kept {
            let key = Key::Name(attribute.key.as_str());
            match write_value(items, key, &attribute.value) {
                Written::Whole => {}
                Written::Cut => losses.cut += 1,
                Written::Dropped => losses.attributes += 1,
            }
        }
        for link in &self.links.kept {
            let context = &link.span_context;
            let (trace, span) = (trace_id(context), span_id(context));
            let flags = context.trace_flags().to_u8();
            let written = items.link(trace, span, flags, |items| {
                let state = context.trace_state().header();
                if !state.is_empty() {
                    let _ = items.trace_state(&state);
                }
                write_attributes(items, &link.attributes, limits.link_attributes_max)
                    .saturating_add(count(link.dropped_attributes_count))
            });
            losses.links += usize::from(written == Written::Dropped);
        }
        for event in &self.events.kept {
            let written = items.event(unix_nano(event.timestamp), |items| {
                let _ = items.name(&event.name);
                write_attributes(items, &event.attributes, limits.event_attributes_max)
                    .saturating_add(count(event.dropped_attributes_count))
            });
            losses.events += usize::from(written == Written::Dropped);
        }
        losses
    }
}

/// A count in the 16 bits there are for it.
fn count(count: u32) -> u16 {
    u16::try_from(count).unwrap_or(u16::MAX)
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
    fn add_event_with_timestamp<T>(
        &mut self,
        name: T,
        timestamp: SystemTime,
        attributes: Vec<KeyValue>,
    ) where
        T: Into<Cow<'static, str>>,
    {
        if let Some(recording) = &mut self.recording {
            recording
                .events
                .push(Event::new(name, timestamp, attributes, 0));
        }
    }

    fn span_context(&self) -> &SpanContext {
        &self.context
    }

    fn is_recording(&self) -> bool {
        self.recording.is_some()
    }

    fn set_attribute(&mut self, attribute: KeyValue) {
        if let Some(recording) = &mut self.recording {
            recording.attributes.set(attribute);
        }
    }

    /// `Ok` is final, and `Unset` changes nothing, as the specification says ("Set Status").
    fn set_status(&mut self, status: Status) {
        if let Some(recording) = &mut self.recording
            && recording.status != Status::Ok
            && status != Status::Unset
        {
            recording.status = status;
        }
    }

    fn update_name<T>(&mut self, new_name: T)
    where
        T: Into<Cow<'static, str>>,
    {
        if let Some(recording) = &mut self.recording {
            recording.name = new_name.into();
        }
    }

    fn add_link(&mut self, span_context: SpanContext, attributes: Vec<KeyValue>) {
        if let Some(recording) = &mut self.recording
            && span_context.is_valid()
        {
            recording.links.push(Link::new(span_context, attributes, 0));
        }
    }

    fn end(&mut self) {
        self.finish(None);
    }

    fn end_with_timestamp(&mut self, timestamp: SystemTime) {
        self.finish(Some(timestamp));
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        self.finish(None);
    }
}
