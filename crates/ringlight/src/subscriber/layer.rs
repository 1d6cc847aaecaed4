//! Recording as a layer among others, on a registry of `tracing-subscriber`.
//!
//! A span then is in two places: in the registry, under the id everybody sees, and in a slot, whose
//! id is kept in the span's extensions. What layers are told of the one is done to the other by the
//! subscriber, which knows of no registry.

use std::sync::Arc;

use ringlight_collector::in_pipeline;
use tracing_core::span::{Attributes, Id, Record};
use tracing_core::subscriber::Interest;
use tracing_core::{Event, LevelFilter, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::RinglightSubscriber;
use super::beside::take_parent;
use super::callsites::{Callsites, Wanted};
use super::slab::SlotId;
use super::thread::{Thread, with_thread};
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
    /// Where spans that are in no registry are in use as well.
    twins: Option<Twins>,
}

/// In a span's extensions: its slot, for each of the subscribers that record it.
#[derive(Debug)]
struct Slots {
    first: (u64, SlotId),
    others: Vec<(u64, SlotId)>,
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
        let callsites = Callsites::new();
        Self {
            shared: Arc::new(Shared {
                subscriber,
                callsites,
                twins,
            }),
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
        let ours =
            is_layer_only || with_thread(Thread::is_unsure) || self.subscriber().wants(metadata);
        if ours {
            self.subscriber().register(metadata);
        }
        Wanted::new(ours, &Interest::sometimes())
    }

    /// The slot of a span in the registry.
    pub(super) fn slot<S>(&self, span: &SpanRef<'_, S>) -> Option<SlotId>
    where
        S: for<'a> LookupSpan<'a>,
    {
        let number = self.subscriber().number;
        let extensions = span.extensions();
        let slots = extensions.get::<Slots>()?;
        let mut all = std::iter::once(&slots.first).chain(&slots.others);
        all.find_map(|(of, id)| (*of == number).then_some(*id))
    }

    fn set_slot<S>(&self, span: &SpanRef<'_, S>, id: SlotId)
    where
        S: for<'a> LookupSpan<'a>,
    {
        let entry = (self.subscriber().number, id);
        let mut extensions = span.extensions_mut();
        match extensions.get_mut::<Slots>() {
            Some(slots) => slots.others.push(entry),
            None => extensions.insert(Slots {
                first: entry,
                others: Vec::new(),
            }),
        }
    }

    /// The slot of a span, or of the innermost span around it that has one.
    pub(super) fn nearest_slot<S>(&self, span: &SpanRef<'_, S>) -> Option<SlotId>
    where
        S: for<'a> LookupSpan<'a>,
    {
        span.scope().find_map(|span| self.slot(&span))
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
        Some(Id::from_u64(slot.get()))
    }

    /// The span of the registry that is nearest to a slot's: the same one, or one around it.
    pub(super) fn nearest_in_registry(&self, own: &Id) -> Option<Id> {
        let twins = self.shared.twins.as_ref()?;
        let mut next = Some(SlotId::from_u64(own.into_u64()).host());
        while let Some(id) = next {
            // Of one that has closed nothing is known, nor of what is around it.
            let slot = self.subscriber().slab.slot(id)?;
            if let Some(found) = twins.registry_id(id) {
                return Some(found);
            }
            next = slot.parent().map(SlotId::host);
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
            with_thread(|thread| subscriber.log_in(thread, event, span));
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
        let Some(span) = ctx.span(id) else {
            return;
        };
        let subscriber = self.subscriber();
        let own = if unknown_to_others.is_some() {
            subscriber.new_span(&with_parent(attributes, unknown_to_others))
        } else if attributes.parent().is_some() {
            // Asked of the new span, since of spans that a filter hides only their children know.
            let parent = span.parent().and_then(|parent| self.nearest_slot(&parent));
            let parent = parent.map(|slot| Id::from_u64(slot.get()));
            subscriber.new_span(&with_parent(attributes, parent))
        } else {
            // In the span the thread is in, as our own list of them has it: what is not recorded is
            // not there.
            subscriber.new_span(attributes)
        };
        let own = SlotId::from_u64(own.into_u64());
        self.set_slot(&span, own);
        if let Some(twins) = &self.shared.twins
            && own == own.host()
        {
            twins.set(own, id);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, ctx: Context<'_, S>) {
        self.with_slot(id, &ctx, |own| self.subscriber().record(own, values));
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, ctx: Context<'_, S>) {
        if let Some(follows) = self.nearest_own(follows, |id| ctx.span(id)) {
            self.with_slot(id, &ctx, |own| {
                self.subscriber().record_follows_from(own, &follows);
            });
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

    fn on_enter(&self, id: &Id, ctx: Context<'_, S>) {
        self.with_slot(id, &ctx, |own| self.subscriber().enter(own));
    }

    fn on_exit(&self, id: &Id, ctx: Context<'_, S>) {
        self.with_slot(id, &ctx, |own| self.subscriber().exit(own));
    }

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        self.with_slot(&id, &ctx, |own| {
            let _ = self.subscriber().try_close(own.clone());
        });
    }
}

impl RinglightLayer {
    /// Does something to the slot of a span, if it has one. Nothing of the registry is borrowed
    /// meanwhile.
    fn with_slot<S>(&self, id: &Id, ctx: &Context<'_, S>, body: impl FnOnce(&Id))
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let slot = ctx.span(id).and_then(|span| self.slot(&span));
        if let Some(slot) = slot {
            body(&Id::from_u64(slot.get()));
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
