//! Events: one log record each.

use std::borrow::Cow;

use ringlight_collector::record::{
    Head, Item, ItemWriter, KeyRef, LOG_HEADER_WORDS, LogHeader, Record as RecordBytes, ValueRef,
    Words, copy_words,
};
use ringlight_model::{CallsiteId, Signal};
use tracing_core::{Event, Level, Metadata};

use crate::filter::{AUDIT_LEVEL, LOG_CALLSITE, LOG_TARGET, Output, is_audit};
use crate::uncounted::uncounted;

use super::annotate::add_event_of_log;
use super::callsite::{address, severity};
use super::panics::is_panic;
use super::scratch::Bounded;
use super::slab::{SlotId, SpanContext};
use super::thread::{Notes, Thread};
use super::visit::FieldVisitor;
use super::{RinglightSubscriber, SAMPLED, STATUS_MESSAGE_BYTES_MAX};

/// The first byte of a target, zero if it has none.
#[inline]
pub(super) fn first_byte(target: &str) -> u8 {
    target.as_bytes().first().copied().unwrap_or(0)
}

/// Enclosing spans a log record has at most, for the lines people read.
const ENCLOSING_MAX: usize = 16;
/// Words that the attributes of these spans take at most, so that the record of the log itself is not
/// too long for a ring: 2 KiB. Of the outer ones there are only names, then.
const ENCLOSING_WORDS_MAX: usize = 256;

impl RinglightSubscriber {
    /// Records an event as a log record.
    #[inline]
    pub(super) fn log(&self, thread: &Thread, event: &Event<'_>) {
        if thread.has_noted(Notes::UNSURE.and(Notes::MEASURE_LOG)) && self.see_to_log(thread, event)
        {
            return;
        }
        let span = if event.is_contextual() {
            self.current(thread, Some(event.metadata()))
        } else {
            event
                .parent()
                .and_then(|id| self.known(SlotId::from_u64(id.into_u64())))
        };
        self.log_in(thread, event, span);
    }

    /// The same, in this span, for a callsite that is known.
    #[inline]
    pub(super) fn log_in(
        &self,
        thread: &Thread,
        event: &Event<'_>,
        span: Option<(SlotId, SpanContext)>,
    ) {
        let metadata = event.metadata();
        let callsite = CallsiteId::new(address(metadata));
        let mut words = thread.take_scratch();
        words.resize(LOG_HEADER_WORDS, 0);

        let severity = severity(*metadata.level());
        let is_sampled = span.is_some_and(|(id, _)| id.is_sampled());
        let head = Head::log(severity, if is_sampled { SAMPLED } else { 0 });
        let mut visitor =
            FieldVisitor::of_event(metadata.fields(), head, Bounded(&mut words), &self.limits);
        event.record(&mut visitor);
        let (head, _) = visitor.finish();

        let mut header = LogHeader::new(callsite, severity, self.slab.clock().now().unix_nano);
        header.head = head;
        let mut target = None;
        if metadata.target() == LOG_CALLSITE {
            (header, target) = self.settle_log_crate(thread, &mut words, header, metadata);
        }
        let is_audit = self.is_audit(metadata, target);
        if is_audit {
            header.head = header.head.with_audit();
        }
        if let Some((_, context)) = span {
            header.trace_id = context.trace_id();
            header.span_id = context.span_id();
        }
        words[..LOG_HEADER_WORDS].copy_from_slice(&header.to_words());
        if let Some((id, _)) = span
            && self.is_shown(metadata, || target_of_log(thread, &words, metadata, target))
        {
            self.write_enclosing(&mut Bounded(&mut words), id);
        }
        if let Some((id, _)) = span
            && id.is_sampled()
        {
            self.tell_span(thread, id, &words, metadata, target);
        }
        if self.outputs.logs {
            uncounted(|| {
                if is_audit {
                    return self.record_audit(&words);
                }
                self.recorder.record_urgent_if(
                    Signal::Logs,
                    words.len() * 8,
                    || *metadata.level() == Level::ERROR,
                    |buffer| copy_words(words.iter().copied(), buffer),
                )
            });
        }
        thread.give_scratch(words);
    }

    /// Does to the span around an event what that does to it.
    #[inline]
    fn tell_span(
        &self,
        thread: &Thread,
        id: SlotId,
        words: &[u64],
        metadata: &Metadata<'_>,
        target: Option<&'static str>,
    ) {
        // A panic makes those spans fail that it unwinds, which it has not yet.
        if *metadata.level() == Level::ERROR && !is_panic(metadata) {
            self.fail(thread, id, words, metadata, target);
        }
        if self.outputs.span_events
            && let Some(slot) = self.slab.slot(id)
            && self.is_for_span(thread, words, metadata, target)
        {
            let target = target.unwrap_or(metadata.target());
            thread.with_bytes(words, |bytes| {
                add_event_of_log(slot, &self.limits, bytes, metadata, target);
            });
        }
    }

    /// Whether an event is the span's business as well. One that is recorded since it is an audit event may not be.
    fn is_for_span(
        &self,
        thread: &Thread,
        record: &[u64],
        metadata: &Metadata<'_>,
        target: Option<&'static str>,
    ) -> bool {
        if self.is_audit(metadata, target) {
            let target = target.unwrap_or(metadata.target());
            let level = *metadata.level();
            return (self.controls)
                .with_filters(|filters| filters.takes(Output::Traces, target, level));
        }
        self.is_for(Output::Traces, metadata, || {
            target_of_log(thread, record, metadata, target)
        })
    }

    /// Whether an event is an audit event.
    #[inline]
    fn is_audit(&self, metadata: &Metadata<'_>, target_of_log: Option<&str>) -> bool {
        let target = target_of_log.unwrap_or(metadata.target());
        first_byte(target) == self.audit_first
            && *metadata.level() <= AUDIT_LEVEL
            && is_audit(self.audit.as_deref(), target)
    }

    /// Hands over the record of an audit event.
    #[cold]
    #[inline(never)]
    fn record_audit(&self, words: &[u64]) -> bool {
        let fill = |buffer: &mut [u8]| copy_words(words.iter().copied(), buffer);
        self.recorder.record_audit(words.len() * 8, fill)
    }

    /// Makes a record of the crate `log` one of its own callsite, with the key-value pairs it has; its header then, and
    /// its target.
    #[cold]
    #[inline(never)]
    fn settle_log_crate(
        &self,
        thread: &Thread,
        words: &mut Vec<u64>,
        mut header: LogHeader,
        metadata: &Metadata<'_>,
    ) -> (LogHeader, Option<&'static str>) {
        // A record must be whole to be read.
        words[..LOG_HEADER_WORDS].copy_from_slice(&header.to_words());
        let severity = severity(*metadata.level());
        let found = (self.log_crate).settle(thread, words, metadata, severity, &self.callsites);
        // An event of the application's that is called so has none, whatever it is made within.
        #[cfg(feature = "log")]
        if metadata.fields().field(LOG_TARGET).is_some() {
            let (text_bytes_max, room) = (self.limits.text_bytes_max, self.limits.attributes_max);
            let mut words = Bounded(words);
            let head = header.head;
            header.head = crate::log_bridge::write_pairs(&mut words, head, text_bytes_max, room);
        }
        let target = found.map(|(callsite, target)| {
            header.callsite = callsite;
            target
        });
        (header, target)
    }

    /// Writes down the spans around a log record, innermost first.
    fn write_enclosing(&self, words: &mut impl Words, innermost: SlotId) {
        let start = words.len();
        let mut next = Some(innermost.host());
        for _ in 0..ENCLOSING_MAX {
            // A span holds none of those around it: any of them may have closed, or close now.
            let Some(id) = next else { break };
            let Some(slot) = self.slab.slot(id) else {
                break;
            };
            let parent = slot.show_to_log(id, |callsite, items| {
                let fits = words.len() - start + items.len() <= ENCLOSING_WORDS_MAX;
                let items = if fits { items } else { &[] };
                let _ = ItemWriter::new(words, 0).enclosing(CallsiteId::new(callsite), items);
            });
            next = parent.flatten();
        }
    }

    /// An error event makes its span fail. Its message and its field `error` (all there is in an
    /// event of `#[instrument(err)]`) become the status message.
    #[cold]
    fn fail(
        &self,
        thread: &Thread,
        id: SlotId,
        record: &[u64],
        metadata: &Metadata<'_>,
        target: Option<&'static str>,
    ) {
        let Some(slot) = self.slab.slot(id) else {
            return;
        };
        if !self.is_for_span(thread, record, metadata, target) {
            return;
        }
        thread.with_bytes(record, |bytes| {
            let text = |name| text_of(bytes, metadata, name);
            let fail = |message: &[&str]| slot.fail(message, STATUS_MESSAGE_BYTES_MAX);
            match (text("message"), text("error")) {
                (Some(message), Some(error)) => fail(&[&message, ": ", &error]),
                (Some(text), None) | (None, Some(text)) => fail(&[&text]),
                (None, None) => fail(&[]),
            }
        });
    }
}

/// The text in a field of a record.
fn text_of<'a>(record: &'a [u8], metadata: &Metadata<'_>, name: &str) -> Option<Cow<'a, str>> {
    let wanted = metadata.fields().field(name)?.index();
    let record = RecordBytes::parse(record).ok()?;
    record.items().find_map(|item| match item {
        Item::Attribute(KeyRef::Field(index), ValueRef::Text(text))
            if usize::from(index) == wanted =>
        {
            Some(text.to_str())
        }
        _ => None,
    })
}

/// The target of a record of `log`, which the callsite that `tracing` knows does not know: the one it has got, or that
/// in its fields.
#[cold]
fn target_of_log(
    thread: &Thread,
    record: &[u64],
    metadata: &Metadata<'_>,
    target: Option<&'static str>,
) -> Option<Cow<'static, str>> {
    if let Some(target) = target {
        return Some(Cow::Borrowed(target));
    }
    if metadata.target() != LOG_CALLSITE {
        return None;
    }
    thread.with_bytes(record, |bytes| {
        let target = text_of(bytes, metadata, LOG_TARGET)?;
        Some(Cow::Owned(target.into_owned()))
    })
}
