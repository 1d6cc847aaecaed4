//! Spans of the OpenTelemetry API while they are open.

use opentelemetry::trace as api;
use ringlight_clock::{Clock, Moment};
use ringlight_collector::record::{Head, SpanHeader, copy_words};
use ringlight_model::{CallsiteId, Limits, Signal, SpanKind, StatusCode};

use super::super::RinglightSubscriber;
use super::super::annotate::OpenSpan;
use super::super::scratch::SpanItems;
use super::edit::count_text;
use super::{Edit, Origin, When, span_id, trace_id};

/// A span of the API that is recorded and has not ended: its record, as far as it goes.
///
/// What is said of the span is written down at once and within the limits, so that it takes no more
/// room than its record may.
#[derive(Debug)]
pub(crate) struct Recording {
    header: SpanHeader,
    /// When it began by our clock; `None` if its maker says when it began.
    began: Option<Moment>,
    items: SpanItems,
    limits: Limits,
}

impl Recording {
    fn edit(&mut self, clock: &Clock, edit: &Edit<'_>) {
        let began = self.began;
        self.change(|span| edit.apply(span, None, || now(clock, began)));
    }

    fn change(&mut self, change: impl FnOnce(&mut OpenSpan<'_, SpanItems>)) {
        let mut span = OpenSpan {
            head: self.header.head,
            items: &mut self.items,
            limits: &self.limits,
        };
        change(&mut span);
        self.header.head = span.head;
    }
}

impl RinglightSubscriber {
    /// Begins the record of a span; one without a start starts now.
    pub(crate) fn begin_recording(
        &self,
        origin: &Origin,
        callsite: CallsiteId,
        kind: SpanKind,
        start_unix_nano: Option<u64>,
        name: &str,
    ) -> Recording {
        let context = &origin.context;
        let mut header = SpanHeader::new(callsite, trace_id(context), span_id(context));
        let flags = context.trace_flags().to_u8();
        header.head = Head::span(kind, StatusCode::Unset, flags);
        if origin.is_parent_remote {
            header.head = header.head.with_remote_parent();
        }
        header.parent_span_id = origin.parent;
        header.start_unix_nano = start_unix_nano.unwrap_or(origin.now.unix_nano);
        let mut recording = Recording {
            header,
            began: start_unix_nano.is_none().then_some(origin.now),
            items: SpanItems::default(),
            limits: self.limits,
        };
        recording.edit(self.slab.clock(), &Edit::Name(name));
        recording.change(|span| write_state(span, context));
        recording
    }

    /// Changes a span that has not ended.
    pub(crate) fn edit_recording(&self, recording: &mut Recording, edit: &Edit<'_>) {
        recording.edit(self.slab.clock(), edit);
    }

    /// Hands over the record of a span that ends.
    pub(crate) fn submit(&self, mut recording: Recording, end: When) {
        let clock = self.slab.clock();
        recording.header.end_unix_nano = end.unix_nano(|| now(clock, recording.began));
        let (header, items) = (recording.header, recording.items.words());
        let words = header.to_words();
        self.recorder.record_urgent_if(
            Signal::Traces,
            (words.len() + items.len()) * 8,
            || header.head.is_urgent(header.parent_span_id),
            |buffer| copy_words(words.iter().chain(items).copied(), buffer),
        );
    }
}

/// What the clock of a span shows, Unix nanoseconds: as long after its beginning as has passed since,
/// whatever the wall clock shows meanwhile. If it began at a time that somebody gave, what the wall
/// clock shows.
fn now(clock: &Clock, began: Option<Moment>) -> u64 {
    let elapsed = |began: Moment| {
        let nanos = clock.nanos_between(began.reading, clock.reading())?;
        Some(began.unix_nano.saturating_add(nanos))
    };
    // Without a common clock for start and now, the wall clock has to do.
    let now = began.and_then(elapsed);
    now.unwrap_or_else(|| clock.now().unix_nano)
}

fn write_state(span: &mut OpenSpan<'_, SpanItems>, context: &api::SpanContext) {
    let state = context.trace_state().header();
    if !state.is_empty() {
        let written = span.writer().trace_state(&state);
        count_text(span, written);
    }
}
