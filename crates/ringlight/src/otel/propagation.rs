//! The global propagator, and headers without it.

mod baggage;
mod trace_state;

use std::sync::Arc;

use opentelemetry::Context;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt as _, TraceState};

use crate::TraceContext;
use crate::propagation::{Format, read};
use crate::subscriber::shared::{set_in_use, shares_here};
use crate::trace_context::formats;

/// Writes the current context into headers and reads it from them, in the formats that
/// `OTEL_PROPAGATORS` names.
///
/// [`init`](crate::init) makes one the process's. Headers that are not as their specification has
/// them count as absent.
#[derive(Debug, Clone)]
pub struct Propagator {
    formats: Arc<[Format]>,
    headers: Arc<[String]>,
}

impl Propagator {
    /// That of the subscriber of the calling thread; W3C trace context and baggage where that is not
    /// one of this crate.
    #[must_use]
    pub fn current() -> Self {
        Self::new(formats())
    }

    fn new(formats: Arc<[Format]>) -> Self {
        let headers = formats.iter().flat_map(|format| format.headers());
        Self {
            headers: headers.map(|&header| header.to_owned()).collect(),
            formats,
        }
    }
}

impl TextMapPropagator for Propagator {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        let span = cx.span();
        let named = TraceContext::from_span_context(span.span_context());
        for format in &*self.formats {
            if let Some(named) = named {
                format.write(named, &mut |name, value| injector.set(name, value));
            }
            match format {
                Format::TraceContext if named.is_some() => {
                    trace_state::inject(span.span_context().trace_state(), injector);
                }
                Format::Baggage => baggage::inject(cx, injector),
                #[cfg(feature = "jaeger")]
                Format::Jaeger => baggage::inject_jaeger(cx, injector),
                _ => {}
            }
        }
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        let mut context = cx.clone();
        let found = read(&self.formats, &|name| extractor.get(name));
        if let Some((format, found)) = found {
            let state = match format {
                Format::TraceContext => trace_state::extract(extractor),
                _ => TraceState::NONE,
            };
            context = context.with_remote_span_context(found.to_span_context(state));
        }
        let baggage = self.formats.iter().rev().find_map(|format| match format {
            Format::Baggage => baggage::extract(&context, extractor),
            #[cfg(feature = "jaeger")]
            Format::Jaeger => baggage::extract_jaeger(&context, extractor),
            _ => None,
        });
        if found.is_some() || baggage.is_some() {
            set_in_use();
        }
        baggage.unwrap_or(context)
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&self.headers)
    }
}

/// Hands the headers that carry the current context, baggage and all, to `set`, name and value:
/// those to send with a request.
///
/// ```
/// let mut headers = std::collections::HashMap::new();
/// let span = tracing::info_span!("fetch");
/// span.in_scope(|| {
///     ringlight::otel::inject(|name, value| {
///         headers.insert(name.to_owned(), value);
///     });
/// });
/// ```
pub fn inject(set: impl FnMut(&str, String)) {
    struct Set<F>(F);
    impl<F: FnMut(&str, String)> Injector for Set<F> {
        fn set(&mut self, key: &str, value: String) {
            (self.0)(key, value);
        }
    }
    // Not within `Context::map_current`: what is called may attach contexts.
    let mut context = Context::current();
    // The thread may be in a span of which no context is attached.
    let span = context.span();
    let attached = span.span_context();
    let named = TraceContext::from_span_context(attached);
    if let Some(current) = TraceContext::current()
        && (named.is_none() || named != Some(current) && shares_here())
    {
        let is_same_trace = named.is_some_and(|named| named.trace_id() == current.trace_id());
        let state = if is_same_trace {
            attached.trace_state().clone()
        } else {
            TraceState::NONE
        };
        context = context.with_remote_span_context(current.to_span_context(state));
    }
    Propagator::current().inject_context(&context, &mut Set(set));
}

/// The context that the headers of a request carry, to be attached while it is handled; the current
/// one if they carry none. `get` gives the value of the header of a name in lower case.
///
/// Attach it, and open a span: see [the module](crate::otel#one-context). Where only the trace matters,
/// [`TraceContext::extract`] does the same without the cost of sharing contexts, which a call of this that
/// finds something makes all spans of the process have [from then on](crate::otel#what-it-costs).
///
/// Jaeger's baggage is not read: it has a header of its own for each member, `uberctx-` and the key,
/// and `get` does not say which ones there are. [`Propagator`] reads it from a carrier that does.
pub fn extract<'h>(get: impl Fn(&str) -> Option<&'h str>) -> Context {
    struct Get<'g, 'h>(&'g dyn Fn(&str) -> Option<&'h str>);
    impl Extractor for Get<'_, '_> {
        fn get(&self, key: &str) -> Option<&str> {
            (self.0)(key)
        }
        fn keys(&self) -> Vec<&str> {
            Vec::new()
        }
    }
    Propagator::current().extract_with_context(&Context::current(), &Get(&get))
}

impl TraceContext {
    /// The same as the OpenTelemetry API has it, as a span elsewhere.
    pub(crate) fn to_span_context(self, state: TraceState) -> SpanContext {
        let ids = (self.trace_id(), self.span_id());
        crate::subscriber::shared::span_context(ids, self.is_sampled(), true, state)
    }

    /// The span a context of the OpenTelemetry API names; `None` if it names none.
    ///
    /// ```
    /// use opentelemetry::Context;
    /// use opentelemetry::trace::TraceContextExt as _;
    /// use ringlight::TraceContext;
    ///
    /// let context = Context::current();
    /// let named = TraceContext::from_span_context(context.span().span_context());
    /// assert_eq!(named, None);
    /// ```
    #[must_use]
    pub fn from_span_context(context: &SpanContext) -> Option<Self> {
        use crate::subscriber::shared::{span_id, trace_id};
        let named = Self::new(trace_id(context), span_id(context), context.is_sampled())?;
        Some(named.with_remote(context.is_remote()))
    }
}
