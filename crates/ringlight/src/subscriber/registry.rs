//! The registry that layers beside us are put on.

use std::cell::Cell;
use std::sync::OnceLock;

use ringlight_transparent::{Composed, Part, Transparent};
use tracing_core::callsite::DefaultCallsite;
use tracing_core::dispatcher::{self, Dispatch, WeakDispatch};
use tracing_core::span::{Attributes, Current, Id, Record};
use tracing_core::subscriber::{Interest, NoSubscriber};
use tracing_core::{Event, Kind, Level, LevelFilter, Metadata, Subscriber};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{FilterId, Filtered};
use tracing_subscriber::layer::{Identity, Layered, SubscriberExt as _};
use tracing_subscriber::registry::{self, LookupSpan, SpanData as _};

use super::layer::RinglightLayer;
use super::slab::SlotId;

/// What [`Builder::beside`](crate::Builder::beside) hands out to put layers on: the registry of
/// `tracing-subscriber`, which also answers for spans that only Ringlight records.
///
/// Whoever asks it for such a span is given the nearest one around it that layers know.
/// `tracing_error::SpanTrace` and `tracing_opentelemetry::OpenTelemetrySpanExt` therefore find what
/// they would find if that span was disabled.
pub type Registry = Transparent<SharedRegistry>;

/// See [`Registry`].
#[derive(Debug)]
pub struct SharedRegistry {
    /// Our layer is below all others, so that a span has its slot when they hear of it.
    stack: Layered<RinglightLayer, registry::Registry>,
    layer: RinglightLayer,
    /// Stands for a span which is in no span that layers know. It never closes, and they do not hear
    /// of it.
    nobody: Id,
    /// A layer combines what it wants with what is below it, and treats what has filters of its own
    /// differently. The registry it knows by its type, and treats as one that has: we have to as
    /// well. This one does nothing but to be found by whoever asks for filters.
    filtered: Filtered<Identity, LevelFilter, registry::Registry>,
    /// Everything, with the layers above.
    whole: OnceLock<WeakDispatch>,
}

static NOBODY: DefaultCallsite = DefaultCallsite::new(&NOBODY_METADATA);
static NOBODY_METADATA: Metadata<'static> = tracing_core::metadata! {
    name: "no span",
    target: "ringlight",
    level: Level::TRACE,
    fields: &[],
    callsite: &NOBODY,
    kind: Kind::SPAN,
};

thread_local! {
    /// Layers are looking, who expect of a span they are given that they were told of it.
    static ONLY_KNOWN: Cell<bool> = const { Cell::new(false) };
}

/// Runs `body`, in which a span that is in none which layers know is not there.
pub(super) fn with_known_spans_only<R>(body: impl FnOnce() -> R) -> R {
    /// Puts back what was before, also when `body` panics.
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            let _ = ONLY_KNOWN.try_with(|only| only.set(self.0));
        }
    }
    let before = ONLY_KNOWN.try_with(|only| only.replace(true));
    let _restore = Restore(before.unwrap_or(false));
    body()
}

thread_local! {
    /// What [`Unopened`] leaves to [`Undo`].
    static UNOPENED: Cell<Option<Id>> = const { Cell::new(None) };
}

/// Dropped when our layer panics as it hears of a new span: notes which one, since the registry gives its id
/// to nobody then.
pub(super) struct Unopened<'a>(pub(super) &'a Id);

impl Drop for Unopened<'_> {
    fn drop(&mut self) {
        let _ = UNOPENED.try_with(|cell| cell.set(Some(self.0.clone())));
    }
}

/// Dropped when a new span panics: takes it out of the registry again. Layers above have not heard of it,
/// and do not hear of its end.
struct Undo<'a>(&'a SharedRegistry);

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        let Some(id) = UNOPENED.try_with(Cell::take).ok().flatten() else {
            return;
        };
        let Self(SharedRegistry { stack, whole, .. }) = self;
        let parent = stack.span_data(&id).and_then(|span| span.parent().cloned());
        stack.try_close(id);
        // The registry has let go of the span around it through the thread's dispatcher, which a thread
        // that has one of its own does not find within a call of it, as here.
        let has_let_go = dispatcher::get_default(|current| !current.is::<NoSubscriber>());
        let whole = whole.get().and_then(WeakDispatch::upgrade);
        if !has_let_go && let Some((whole, parent)) = whole.zip(parent) {
            whole.try_close(parent);
        }
    }
}

pub(super) fn registry(layer: &RinglightLayer) -> Registry {
    let registry = registry::Registry::default();
    let values = NOBODY_METADATA.fields().value_set(&[]);
    let nobody = registry.new_span(&Attributes::new_root(&NOBODY_METADATA, &values));
    Transparent::new(SharedRegistry {
        stack: registry.with(layer.clone()),
        layer: layer.clone(),
        nobody,
        filtered: Identity::new().with_filter(LevelFilter::OFF),
        whole: OnceLock::new(),
    })
}

impl Composed for SharedRegistry {
    fn parts(&self) -> [Part<'_>; 2] {
        [Part::Subscriber(&self.stack), Part::Layer(&self.filtered)]
    }
}

impl<'a> LookupSpan<'a> for SharedRegistry {
    type Data = registry::Data<'a>;

    fn span_data(&'a self, id: &Id) -> Option<Self::Data> {
        if !SlotId::is_own(id.into_u64()) {
            return self.stack.span_data(id);
        }
        let nearest = self.layer.nearest_in_registry(id);
        let found = nearest.and_then(|id| self.stack.span_data(&id));
        if found.is_none() && !ONLY_KNOWN.try_with(Cell::get).unwrap_or(false) {
            return self.stack.span_data(&self.nobody);
        }
        found
    }

    fn register_filter(&mut self) -> FilterId {
        self.stack.register_filter()
    }
}

impl Subscriber for SharedRegistry {
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        let _ = self.whole.set(dispatch.downgrade());
        self.stack.on_register_dispatch(dispatch);
    }

    /// As the registry below says: what our layer wants is not the others' affair.
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match self.stack.downcast_ref::<registry::Registry>() {
            Some(registry) => registry.register_callsite(metadata),
            None => Interest::always(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.stack.enabled(metadata)
    }

    /// Nothing, which leaves it to the layers above.
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::OFF)
    }

    /// A span that is not opened here, since the `Debug` of a value panics, is not in the registry
    /// either: it and those around it would stay there for good.
    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let undo = Undo(self);
        let id = self.stack.new_span(attributes);
        std::mem::forget(undo);
        id
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        self.stack.record(span, values);
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        self.stack.record_follows_from(span, follows);
    }

    fn event_enabled(&self, event: &Event<'_>) -> bool {
        self.stack.event_enabled(event)
    }

    fn event(&self, event: &Event<'_>) {
        self.stack.event(event);
    }

    fn enter(&self, span: &Id) {
        self.stack.enter(span);
    }

    fn exit(&self, span: &Id) {
        self.stack.exit(span);
    }

    fn clone_span(&self, id: &Id) -> Id {
        self.stack.clone_span(id)
    }

    fn try_close(&self, id: Id) -> bool {
        self.stack.try_close(id)
    }

    fn current_span(&self) -> Current {
        self.stack.current_span()
    }
}
