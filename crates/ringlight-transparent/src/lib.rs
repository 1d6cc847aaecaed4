//! A `tracing` subscriber that can be downcast to the parts it is made of.
//!
//! Layers, the registry of `tracing-subscriber` and helpers such as `tracing_error::SpanTrace` find
//! each other by downcasting the dispatcher to the type they look for. A subscriber that is composed
//! of others has to pass that on, by [`Subscriber::downcast_raw`], which is an unsafe function. This
//! crate is where it is written: whoever composes says by safe code, in [`Composed`], what the parts
//! are, and wraps the composition in [`Transparent`].
//!
//! It guarantees that a downcast finds the wrapped subscriber itself, then what its parts find, in
//! their order; everything else is the wrapped subscriber's.
//!
//! It must not know anything else of Ringlight.
//!
//! The one use of `unsafe` is that function.
#![deny(unsafe_code)]

use std::any::TypeId;

use tracing_core::span::{Attributes, Current, Id, Record};
use tracing_core::subscriber::Interest;
use tracing_core::{Dispatch, Event, LevelFilter, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::FilterId;
use tracing_subscriber::registry::{LookupSpan, Registry};

/// A subscriber made of others.
pub trait Composed: Subscriber {
    /// What a downcast looks into, in this order.
    fn parts(&self) -> [Part<'_>; 2];
}

/// Something a downcast looks into.
#[derive(Clone, Copy)]
pub enum Part<'a> {
    /// A subscriber.
    Subscriber(&'a dyn Subscriber),
    /// A layer.
    Layer(&'a dyn Layer<Registry>),
}

/// A composed subscriber whose parts can be found.
#[derive(Debug)]
pub struct Transparent<T>(T);

impl<T: Composed> Transparent<T> {
    /// Wraps a subscriber.
    pub const fn new(composed: T) -> Self {
        Self(composed)
    }
}

impl<T: Composed> Subscriber for Transparent<T> {
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        self.0.on_register_dispatch(dispatch);
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        self.0.register_callsite(metadata)
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.0.enabled(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.0.max_level_hint()
    }

    #[inline]
    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        self.0.new_span(attributes)
    }

    #[inline]
    fn record(&self, span: &Id, values: &Record<'_>) {
        self.0.record(span, values);
    }

    fn record_follows_from(&self, span: &Id, follows: &Id) {
        self.0.record_follows_from(span, follows);
    }

    #[inline]
    fn event_enabled(&self, event: &Event<'_>) -> bool {
        self.0.event_enabled(event)
    }

    #[inline]
    fn event(&self, event: &Event<'_>) {
        self.0.event(event);
    }

    #[inline]
    fn enter(&self, span: &Id) {
        self.0.enter(span);
    }

    #[inline]
    fn exit(&self, span: &Id) {
        self.0.exit(span);
    }

    #[inline]
    fn clone_span(&self, id: &Id) -> Id {
        self.0.clone_span(id)
    }

    #[inline]
    fn try_close(&self, id: Id) -> bool {
        self.0.try_close(id)
    }

    fn current_span(&self) -> Current {
        self.0.current_span()
    }

    #[expect(unsafe_code, reason = "the function this crate exists for")]
    unsafe fn downcast_raw(&self, id: TypeId) -> Option<*const ()> {
        if id == TypeId::of::<Self>() {
            return Some(std::ptr::from_ref(self).cast());
        }
        if id == TypeId::of::<T>() {
            return Some(std::ptr::from_ref(&self.0).cast());
        }
        self.0.parts().into_iter().find_map(|part| match part {
            // SAFETY: the caller asks for a pointer to a value of the type `id` names, valid for as
            // long as `self`. A part gives one that is valid for as long as the part is borrowed,
            // by the same contract, and it is borrowed from `self`.
            Part::Subscriber(subscriber) => unsafe { subscriber.downcast_raw(id) },
            // SAFETY: as above.
            Part::Layer(layer) => unsafe { layer.downcast_raw(id) },
        })
    }
}

impl<'a, T: LookupSpan<'a>> LookupSpan<'a> for Transparent<T> {
    type Data = T::Data;

    fn span_data(&'a self, id: &Id) -> Option<Self::Data> {
        self.0.span_data(id)
    }

    fn register_filter(&mut self) -> FilterId {
        self.0.register_filter()
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::filter::LevelFilter;
    use tracing_subscriber::layer::{Identity, SubscriberExt as _};

    use super::*;

    /// A registry, a layer and itself.
    struct Both {
        registry: Registry,
        layer: Identity,
    }

    impl Composed for Both {
        fn parts(&self) -> [Part<'_>; 2] {
            [Part::Subscriber(&self.registry), Part::Layer(&self.layer)]
        }
    }

    impl Subscriber for Both {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            self.registry.enabled(metadata)
        }

        fn new_span(&self, attributes: &Attributes<'_>) -> Id {
            self.registry.new_span(attributes)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}

        fn record_follows_from(&self, _: &Id, _: &Id) {}

        fn event(&self, _: &Event<'_>) {}

        fn enter(&self, _: &Id) {}

        fn exit(&self, _: &Id) {}
    }

    impl<'a> LookupSpan<'a> for Both {
        type Data = <Registry as LookupSpan<'a>>::Data;

        fn span_data(&'a self, id: &Id) -> Option<Self::Data> {
            self.registry.span_data(id)
        }
    }

    #[test]
    fn a_downcast_finds_itself_and_its_parts_and_nothing_else() {
        let composed = Transparent::new(Both {
            registry: Registry::default(),
            layer: Identity::new(),
        });
        let registry = std::ptr::from_ref(&composed.0.registry);
        let layer = std::ptr::from_ref(&composed.0.layer);
        let subscriber: &dyn Subscriber = &composed;
        let found = subscriber
            .downcast_ref::<Registry>()
            .map(std::ptr::from_ref);
        assert_eq!(found, Some(registry));
        let found = subscriber
            .downcast_ref::<Identity>()
            .map(std::ptr::from_ref);
        assert_eq!(found, Some(layer));
        assert!(subscriber.is::<Transparent<Both>>());
        assert!(subscriber.is::<Both>());
        assert!(!subscriber.is::<LevelFilter>());
        // Through a layer above it as well.
        let stack = composed.with(LevelFilter::INFO);
        assert!(stack.is::<Both>());
        assert!(stack.is::<Registry>());
    }
}
