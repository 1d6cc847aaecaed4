//! Recording as a layer among others, on a registry of `tracing-subscriber`.
//!
//! A span then is in two places: in the registry, under the id everybody sees, and in a slot, which is
//! found by that id. What layers are told of the one is done to the other by the
//! subscriber, which knows of no registry.

use std::sync::Arc;

use ringlight_collector::in_pipeline;
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::subscriber::Interest;
use tracing_core::{Event, LevelFilter, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use crate::uncounted::uncounted;

use super::RinglightSubscriber;
use super::beside::take_parent;
use super::callsites::{Callsites, Wanted};
use super::registry::Unopened;
use super::registry_spans::RegistrySpans;
use super::slab::SlotId;
use super::thread::{Notes, with_thread};
use super::twins::Twins;

/// Records spans and events as a layer.
///
/// Made by [`Builder::layer`](crate::Builder::layer), and part of what
/// [`Builder::beside`](crate::Builder::beside) makes.
#[derive(Debug, Clone)]
pub struct RinglightLayer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    subscriber: RinglightSubscriber,
    callsites: Callsites,
    spans: RegistrySpans,
    /// Where spans that are in no registry are in use as well.
    twins: Option<Twins>,
}

impl RinglightLayer {
    /// A layer for a registry in which all spans are.
    pub(crate) fn new(subscriber: RinglightSubscriber) -> Self {
        Self::with(subscriber, None)
    }

    /// A layer for a registry in which some spans are.
    pub(super) fn beside(subscriber: RinglightSubscriber) -> Self {
        Self::with(subscriber, Some(Twins::new()))
    }

    fn with(subscriber: RinglightSubscriber, twins: Option<Twins>) -> Self {
        let shared = Shared {
            subscriber,
            callsites: Callsites::new(),
            spans: RegistrySpans::new(),
            twins,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The subscriber that records.
    #[inline]
    pub(crate) fn subscriber(&self) -> &RinglightSubscriber {
        &self.shared.subscriber
    }

    /// Registers a callsite that others want as they say. Whether we want it.
    pub(super) fn register(&self, metadata: &'static Metadata<'static>, theirs: &Interest) -> bool {
        let ours = self.subscriber().register_callsite(metadata).is_always();
        let wanted = Wanted::new(ours, theirs);
        self.shared.callsites.set(metadata, wanted);
        ours
    }

    /// Who wants a callsite; `None` if it is not known yet.
    #[inline]
    pub(super) fn known(&self, metadata: &Metadata<'_>) -> Option<Wanted> {
        self.shared.callsites.get(metadata)
    }

    /// Who wants a callsite of which a record is to be made.
    #[inline]
    pub(super) fn wanted(&self, metadata: &'static Metadata<'static>) -> Wanted {
        let known = self.known(metadata);
        known.unwrap_or_else(|| self.wanted_unregistered(metadata))
    }

    /// Another thread is registering the callsite; or it is one that nobody registers, as those of
    /// records of `log` are, and what was asked about was more than its metadata say. In any case
    /// `enabled` was just asked, and a layer is told only of what its filter said yes to.
    #[cold]
    fn wanted_unregistered(&self, metadata: &'static Metadata<'static>) -> Wanted {
        let is_layer_only = self.shared.twins.is_none();
        let ours = is_layer_only
            || with_thread(|thread| thread.has_noted(Notes::UNSURE))
            || self.subscriber().wants(metadata);
        if ours {
            self.subscriber().register(metadata);
        }
        Wanted::new(ours, &Interest::sometimes())
    }

    /// The slot of a span in the registry.
    pub(super) fn slot(&self, id: &Id) -> Option<SlotId> {
        self.shared.spans.get(id)
    }

    /// The one of ours that is what an id names: a slot, or a span of the registry.
    pub(super) fn own(&self, id: &Id) -> Option<Id> {
        if SlotId::is_own(id.into_u64()) {
            return Some(id.clone());
        }
        Some(self.slot(id)?.to_span_id())
    }

    /// Spans of the registry that are open and recorded.
    #[cfg(test)]
    pub(super) fn open_count(&self) -> usize {
        self.shared.spans.len()
    }

    /// The slot of a span, or of the innermost span around it that has one.
    pub(super) fn nearest_slot<S>(&self, span: &SpanRef<'_, S>) -> Option<SlotId>
    where
        S: for<'a> LookupSpan<'a>,
    {
        span.scope().find_map(|span| self.slot(&span.id()))
    }

    /// The same for what an id names: a slot, or a span of the registry.
    pub(super) fn nearest_own<'a, S>(
        &self,
        id: &Id,
        find: impl FnOnce(&Id) -> Option<SpanRef<'a, S>>,
    ) -> Option<Id>
    where
        S: for<'b> LookupSpan<'b> + 'a,
    {
        if SlotId::is_own(id.into_u64()) {
            return Some(id.clone());
        }
        let slot = self.nearest_slot(&find(id)?)?;
        Some(slot.to_span_id())
    }

    /// The span of the registry that is nearest to a slot's: the same one, or one around it.
    pub(super) fn nearest_in_registry(&self, own: &Id) -> Option<Id> {
        let twins = self.shared.twins.as_ref()?;
        let mut next = Some(SlotId::from_u64(own.into_u64()).host());
        while let Some(id) = next {
            // Of one that has closed nothing is known, nor of what is around it.
            let (_, parent) = self.subscriber().slab.slot(id)?.place_of(id)?;
            if let Some(found) = twins.registry_id(id) {
                return Some(found);
            }
            next = parent.map(SlotId::host);
        }
        None
    }

    /// The id in the registry of a slot's span, if it is there as well.
    pub(super) fn in_registry(&self, own: &Id) -> Option<Id> {
        let twins = self.shared.twins.as_ref()?;
        twins.registry_id(SlotId::from_u64(own.into_u64()))
    }

    /// Records an event that has an explicit parent, which is one of ours, or none.
    pub(super) fn log_under(&self, event: &Event<'_>, parent: Option<Id>) {
        if !in_pipeline() {
            let subscriber = self.subscriber();
            let span = parent.and_then(|id| subscriber.known(SlotId::from_u64(id.into_u64())));
            with_thread(|thread| {
                subscriber.make_sure(thread, event.metadata());
                subscriber.log_in(thread, event, span);
            });
        }
    }
}

/// The same span, with a parent of one's own choice instead of its explicit one.
pub(super) fn with_parent<'a>(
    attributes: &'a Attributes<'a>,
    parent: Option<Id>,
) -> Attributes<'a> {
    let (metadata, values) = (attributes.metadata(), attributes.values());
    match parent {
        Some(parent) => Attributes::child_of(parent, metadata, values),
        None => Attributes::new_root(metadata, values),
    }
}

impl<S> Layer<S> for RinglightLayer
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let unknown_to_others = take_parent();
        if in_pipeline() || !self.wanted(attributes.metadata()).ours() {
            return;
        }
        let subscriber = self.subscriber();
        let unopened = self.shared.twins.is_some().then(|| Unopened(id));
        let own = if unknown_to_others.is_some() {
            subscriber.new_span(&with_parent(attributes, unknown_to_others))
        } else if attributes.parent().is_some() {
            // Asked of the new span, since of spans that a filter hides only their children know.
            let parent = ctx.span(id).and_then(|span| span.parent());
            let parent = parent.and_then(|parent| self.nearest_slot(&parent));
            let parent = parent.map(SlotId::to_span_id);
            subscriber.new_span(&with_parent(attributes, parent))
        } else {
            // In the span the thread is in, as our own list of them has it: what is not recorded is
            // not there.
            subscriber.new_span(attributes)
        };
        std::mem::forget(unopened);
        let own = SlotId::from_u64(own.into_u64());
        uncounted(|| {
            self.shared.spans.insert(id, own);
            if let Some(twins) = &self.shared.twins
                && own == own.host()
            {
                twins.set(own, id);
            }
        });
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, _: Context<'_, S>) {
        if let Some(own) = self.own(id) {
            self.subscriber().record(&own, values);
        }
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, ctx: Context<'_, S>) {
        let follows = self.nearest_own(follows, |id| ctx.span(id));
        if let Some((own, follows)) = self.own(id).zip(follows) {
            self.subscriber().record_follows_from(&own, &follows);
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        if !self.wanted(event.metadata()).ours() {
            return;
        }
        match event.parent() {
            None => self.subscriber().event(event),
            Some(parent) => self.log_under(event, self.nearest_own(parent, |id| ctx.span(id))),
        }
    }

    fn on_enter(&self, id: &Id, _: Context<'_, S>) {
        if let Some(own) = self.own(id) {
            self.subscriber().enter(&own);
        }
    }

    fn on_exit(&self, id: &Id, _: Context<'_, S>) {
        if let Some(own) = self.own(id) {
            self.subscriber().exit(&own);
        }
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        if let Some(slot) = self.shared.spans.remove(&id) {
            let _ = self.subscriber().try_close(slot.to_span_id());
        }
    }
}

/// What `RUST_LOG` says, for the layer alone: other layers see what they want to see.
#[derive(Debug)]
pub(crate) struct LayerFilter(pub(crate) RinglightLayer);

impl<S> Filter<S> for LayerFilter {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        self.0.subscriber().wants(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.0.register(metadata, &Interest::never()) {
            Interest::always()
        } else {
            Interest::never()
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.0.subscriber().max_level_hint()
    }
}
