//! Interoperability with the OpenTelemetry API (`opentelemetry` 0.33).
//!
//! Libraries that are instrumented with the OpenTelemetry API need nothing: [`init`](crate::init)
//! makes this crate the process's tracer provider and propagator, and their spans go the way of
//! `tracing`'s, through the same sampler, limits, buffers and ledger.
//!
//! ```
//! use opentelemetry::trace::{TraceContextExt as _, Tracer as _};
//!
//! # fn main() -> Result<(), ringlight::InitError> {
//! let _telemetry = ringlight::init()?;
//! let tracer = opentelemetry::global::tracer("some-library");
//! tracing::info_span!("request").in_scope(|| {
//!     // A child of `request`,
//!     tracer.in_span("query", |context| {
//!         // and the parent of this one.
//!         tracing::info_span!("decode").in_scope(|| tracing::info!("decoding"));
//!         assert!(context.span().span_context().is_valid());
//!     });
//! });
//! # Ok(())
//! # }
//! ```
//!
//! # One context
//!
//! Whichever of the two opened it, the innermost span of a thread is the parent of the next one. A
//! `tracing` span that is entered is in [`Context::current`] as long, with the baggage and other
//! values of the context it was opened in: whatever reads that, such as a propagator, sees it, and a
//! future that is instrumented carries it from thread to thread. An attribute, event, link, status or
//! name set through [`Context::span`](opentelemetry::trace::TraceContextExt::span) is set on the
//! `tracing` span; ending it there does nothing. Log records made in a span of the API carry its ids.
//!
//! A context some propagator extracted is, while it is attached, the parent of the spans of both
//! kinds opened in it; the [`Sampler`](crate::Sampler) decides whether that trace is recorded here.
//! What the API's own helper for `tracing` does after the fact, setting the parent of an open span,
//! has no counterpart: whether a span is recorded is decided when it is opened. Attach, then open:
//!
//! ```
//! # let headers = std::collections::HashMap::<String, String>::new();
//! let context = ringlight::otel::extract(|name| headers.get(name).map(String::as_str));
//! let span = {
//!     let _attached = context.attach();
//!     tracing::info_span!("request")
//! };
//! // The span may be entered anywhere: it knows its context.
//! # drop(span);
//! ```
//!
//! # What it costs
//!
//! Nothing, but for a load and a branch a call, before the API is used in the process. Uses are: asking for
//! a tracer (`opentelemetry::global::tracer` among them); extracting a context that names a span or has baggage,
//! by [`extract`] or the [`Propagator`]; and [`SpanExt::context`]. The other methods of [`SpanExt`], [`inject`] and
//! [`TraceContext`](crate::TraceContext) are none.
//!
//! From the first use on, and for good, every `tracing` span has a context, which is attached while it is entered:
//! two allocations, and of a span with three fields some 3 500 instructions instead of 1 400
//! (`tree3-otel` and `tree3` in `docs/benchmarks/instructions.json`; what that is in time is in the report beside
//! it, `ringlight-otel`). So a service that only takes over traces does better with
//! [`TraceContext::extract`](crate::TraceContext::extract), request by request, than with [`extract`]: a context that is
//! attached by means of OpenTelemetry's own is not seen unless contexts are shared. [`Interop`] says from when on they
//! are, or never.
//!
//! No context can be attached or detached in what `Context::map_current` and `get_active_span` run: there
//! OpenTelemetry panics. A `tracing` span that is entered in it is the parent of what is opened in it
//! all the same, and only the current context does not name it. That takes catching OpenTelemetry's
//! panic, which is not possible in a program built with `panic = "abort"`. A panic hook that is set
//! before [`init`](crate::init) does not hear of it; one that is set later does, so one that ends the
//! process is better set before.
//!
//! Telemetry that is suppressed ([`Context::enter_telemetry_suppressed_scope`]) is so for spans of
//! the API, and the spans of `tracing` that are entered meanwhile are not in the current context.
//! `RUST_LOG` and its kin do not speak of spans of the API: they have no level.
//!
//! [`Context::current`]: opentelemetry::Context::current
//! [`Context::enter_telemetry_suppressed_scope`]: opentelemetry::Context::enter_telemetry_suppressed_scope

mod propagation;
mod provider;
mod span;
mod span_ext;
mod values;

pub use propagation::{Propagator, extract, inject};
pub use provider::{Tracer, TracerProvider};
pub use span::Span;
pub use span_ext::SpanExt;
use tracing_core::{Dispatch, dispatcher};

use crate::metrics::MeterProvider;

pub(crate) use values::{unix_nano, write_attributes, write_value};

/// Whether `tracing` and the OpenTelemetry API share their contexts, and since when.
///
/// See [what it costs](self#what-it-costs).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Interop {
    /// From the first use of the API in the process on. What was attached before that by means this
    /// crate does not see, a propagator of somebody else's, is not seen either; and a span that was
    /// opened before knows nothing of the context it was opened in.
    #[default]
    WhenUsed,
    /// From the start.
    Always,
    /// Never, and [`init`](crate::init) leaves OpenTelemetry's global providers and propagator
    /// as they are.
    Off,
}

/// What `init` sets for the whole process.
pub(crate) struct Globals {
    traces: Option<(TracerProvider, Propagator)>,
    metrics: Option<MeterProvider>,
}

impl Globals {
    pub(crate) fn of(
        dispatch: &Dispatch,
        interop: Interop,
        metrics: Option<MeterProvider>,
    ) -> Self {
        let is_wanted = interop != Interop::Off;
        let globals = || {
            let provider = TracerProvider::of(dispatch)?;
            let propagator = dispatcher::with_default(dispatch, Propagator::current);
            Some((provider, propagator))
        };
        Self {
            traces: is_wanted.then(globals).flatten(),
            metrics: metrics.filter(|_| is_wanted),
        }
    }

    pub(crate) fn set(self) {
        // OpenTelemetry may log that they were set, at every start.
        dispatcher::with_default(&Dispatch::none(), || {
            if let Some((provider, propagator)) = self.traces {
                opentelemetry::global::set_tracer_provider(provider);
                opentelemetry::global::set_text_map_propagator(propagator);
            }
            if let Some(metrics) = self.metrics {
                opentelemetry::global::set_meter_provider(metrics);
            }
        });
    }
}
