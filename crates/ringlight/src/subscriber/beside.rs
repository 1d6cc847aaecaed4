//! Recording beside a stack of layers, each callsite the shortest way.
//!
//! - What **no layer wants** is recorded as without any: its spans have slots and the ids of slots,
//!   and the layers never hear of them.
//! - What **some layer wants** goes to the layers and has the ids of their registry, since they and
//!   the helpers around them look for it there. Our own layer, the lowest of them, sees to the slot.
//!
//! Who wants what is asked when a callsite is registered, and again whenever interests are rebuilt.
//! To tell ids apart takes one bit, see [`SlotId::is_own`].

use std::cell::Cell;

use ringlight_transparent::{Composed, Part, Transparent};
use tracing_core::span::{Attributes, Current, Id, Record};
use tracing_core::subscriber::Interest;
use tracing_core::{Dispatch, Event, LevelFilter, Metadata, Subscriber};
use tracing_subscriber::registry::LookupSpan;

use super::RinglightSubscriber;
use super::callsites::Theirs;
use super::layer::{RinglightLayer, with_parent};
use super::registry::{Registry, registry, with_known_spans_only};
use super::slab::SlotId;

/// A subscriber that records, and feeds the stack of layers that `layers` puts on a registry.
pub(crate) fn beside<S>(
    subscriber: RinglightSubscriber,
    layers: impl FnOnce(Registry) -> S,
) -> Dispatch
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let layer = RinglightLayer::beside(subscriber);
    let stack = layers(registry(&layer));
    if !is_on(&stack, &layer) {
        layer.subscriber().tell(format_args!(
            "what the layers given to `beside` want is not recorded; hint: put them on the registry \
             it hands out, `beside(|registry| registry.with(layer))`"
        ));
    }
    Dispatch::new(Transparent::new(Beside { layer, stack }))
}

/// Whether a stack has our layer in it, as it has if it is on the registry made for it.
pub(super) fn is_on(stack: &dyn Subscriber, layer: &RinglightLayer) -> bool {
    let found = stack.downcast_ref::<RinglightLayer>();
    found.is_some_and(|found| found.subscriber().number == layer.subscriber().number)
}

/// See the module.
struct Beside<S> {
    layer: RinglightLayer,
    stack: S,
}

thread_local! {
    /// The parent of the span that is being opened, if it is one that layers do not know.
    static PARENT: Cell<Option<Id>> = const { Cell::new(None) };
}

/// The parent of the span that is being opened, if layers were told of another.
pub(super) fn take_parent() -> Option<Id> {
    PARENT.try_with(Cell::take).ok().flatten()
}

fn is_own(id: &Id) -> bool {
    SlotId::is_own(id.into_u64())
}

impl<S> Beside<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    #[inline]
    fn ours(&self) -> &RinglightSubscriber {
        self.layer.subscriber()
    }

    /// One of ours that is, or is around, what an id names.
    fn nearest_own(&self, id: &Id) -> Option<Id> {
        self.layer.nearest_own(id, |id| self.stack.span(id))
    }

    /// Opens a span that is not in the registry.
    #[inline]
    fn open(&self, attributes: &Attributes<'_>) -> Id {
        match attributes.parent() {
            Some(parent) if !is_own(parent) => {
                let parent = self.nearest_own(parent);
                self.ours().new_span(&with_parent(attributes, parent))
            }
            _ => self.ours().new_span(attributes),
        }
    }

    /// Opens a span that layers want.
    ///
    /// If its parent is one they do not know, it is for them in the nearest around that, provided that
    /// the thread is in it. Else it is in none: the registry insists on parents that are open, and
    /// only of a span that is entered we know that it will be for long enough.
    fn open_in_stack(&self, attributes: &Attributes<'_>) -> Id {
        match attributes.parent() {
            Some(parent) if is_own(parent) => {
                let _ = PARENT.try_with(|cell| cell.set(Some(parent.clone())));
                let nearest = self.layer.nearest_in_registry(parent);
                let current = self.stack.current_span();
                let parent = nearest.filter(|nearest| current.id() == Some(nearest));
                self.stack.new_span(&with_parent(attributes, parent))
            }
            _ => self.stack.new_span(attributes),
        }
    }

    /// Records an event that no layer wants.
    #[inline]
    fn log(&self, event: &Event<'_>) {
        match event.parent() {
            Some(parent) if !is_own(parent) => {
                self.layer.log_under(event, self.nearest_own(parent));
            }
            _ => self.ours().event(event),
        }
    }

    /// Tells layers of an event. One that belongs to a span they do not know belongs, for them, to
    /// the nearest around it or to none.
    fn log_in_stack(&self, event: &Event<'_>) {
        if event.parent().is_some_and(is_own) {
            with_known_spans_only(|| self.stack.event(event));
        } else {
            self.stack.event(event);
        }
    }
}

impl<S> Subscriber for Beside<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        self.stack.on_register_dispatch(dispatch);
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        let mut theirs = self.stack.register_callsite(metadata);
        if let Some(max) = self.stack.max_level_hint()
            && *metadata.level() > max
        {
            // Without us they would not even be asked, so they may have said anything.
            theirs = Interest::never();
        }
        if self.layer.register(metadata, &theirs) {
            // What they want only sometimes they are asked when the time comes.
            Interest::always()
        } else {
            theirs
        }
    }

    /// Asked of callsites that others of the process's subscribers, or layers, want only sometimes.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // We first: what layers answer their filters note, for what comes next.
        match self.layer.known(metadata) {
            Some(wanted) if wanted.ours() => true,
            // A registry with filters says yes if all of them say no.
            Some(wanted) if wanted.theirs() == Theirs::Never => false,
            Some(_) => self.stack.enabled(metadata),
            None => self.ours().enabled(metadata) || self.stack.enabled(metadata),
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let theirs = self.stack.max_level_hint()?;
        Some(theirs.max(self.ours().max_level_hint()?))
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let metadata = attributes.metadata();
        let wanted = self.layer.wanted(metadata);
        // What we do not want is theirs, whatever they said at first: they were asked just now, and
        // those of them that do not want it wait to be told of it.
        let theirs = !wanted.ours()
            || match wanted.theirs() {
                Theirs::Never => false,
                Theirs::Always => true,
                Theirs::Sometimes => self.stack.enabled(metadata),
            };
        if theirs {
            self.open_in_stack(attributes)
        } else {
            self.open(attributes)
        }
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        if is_own(span) {
            self.ours().record(span, values);
        } else {
            self.stack.record(span, values);
        }
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        match (is_own(span), is_own(follows)) {
            (false, false) => self.stack.record_follows_from(span, follows),
            (true, true) => self.ours().record_follows_from(span, follows),
            // A link to another span than the one that was meant would mislead: layers are not told.
            _ => {
                let own = self.layer.own(span).zip(self.nearest_own(follows));
                if let Some((span, follows)) = own {
                    self.ours().record_follows_from(&span, &follows);
                }
            }
        }
    }

    fn event_enabled(&self, event: &Event<'_>) -> bool {
        self.layer.wanted(event.metadata()).ours() || self.stack.event_enabled(event)
    }

    fn event(&self, event: &Event<'_>) {
        let metadata = event.metadata();
        let wanted = self.layer.wanted(metadata);
        if !wanted.ours() {
            // As in `new_span`.
            return self.log_in_stack(event);
        }
        let theirs = match wanted.theirs() {
            Theirs::Never => false,
            Theirs::Always => self.stack.event_enabled(event),
            Theirs::Sometimes => self.stack.enabled(metadata) && self.stack.event_enabled(event),
        };
        if theirs {
            self.log_in_stack(event);
        } else {
            self.log(event);
        }
    }

    fn enter(&self, span: &Id) {
        if is_own(span) {
            self.ours().enter(span);
        } else {
            self.stack.enter(span);
        }
    }

    fn exit(&self, span: &Id) {
        if is_own(span) {
            self.ours().exit(span);
        } else {
            self.stack.exit(span);
        }
    }

    fn clone_span(&self, id: &Id) -> Id {
        if is_own(id) {
            self.ours().clone_span(id)
        } else {
            self.stack.clone_span(id)
        }
    }

    fn try_close(&self, id: Id) -> bool {
        if is_own(&id) {
            self.ours().try_close(id)
        } else {
            self.stack.try_close(id)
        }
    }

    /// The innermost span of the thread, whoever knows it.
    fn current_span(&self) -> Current {
        let theirs = self.stack.current_span();
        let Some((own, metadata)) = self.ours().current_span().into_inner() else {
            return theirs;
        };
        let slot = theirs.id().map(|id| self.layer.slot(id));
        let in_registry = self.layer.in_registry(&own);
        match (slot, in_registry) {
            (Some(Some(slot)), _) if slot.get() == own.into_u64() => theirs,
            // We do not record it: it is within ours if that one is in the registry, too.
            (Some(None), Some(_)) => theirs,
            (_, Some(id)) => Current::new(id, metadata),
            (_, None) => Current::new(own, metadata),
        }
    }
}

impl<S> Composed for Beside<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn parts(&self) -> [Part<'_>; 2] {
        [Part::Subscriber(self.ours()), Part::Subscriber(&self.stack)]
    }
}
