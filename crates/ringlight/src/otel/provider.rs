//! Tracers.

use std::sync::Arc;

use opentelemetry::trace::{self as api, SpanBuilder};
use opentelemetry::{Context, InstrumentationScope};
use ringlight_model::CallsiteId;
use tracing_core::Dispatch;

use super::Span;
use crate::RinglightSubscriber;
use crate::subscriber::shared::set_in_use;

/// Makes tracers of the OpenTelemetry API whose spans go into a pipeline.
///
/// [`init`](crate::init) makes one the process's. Beside that it is for subscribers that are not the
/// process's, as in tests.
#[derive(Debug, Clone)]
pub struct TracerProvider {
    dispatch: Dispatch,
}

impl TracerProvider {
    /// The provider of the subscriber behind a dispatcher; `None` if that is not one of this crate.
    ///
    /// ```
    /// use opentelemetry::trace::{Tracer as _, TracerProvider as _};
    ///
    /// # fn main() -> Result<(), ringlight::InitError> {
    /// let (dispatch, _telemetry) = ringlight::builder().build()?;
    /// let provider = ringlight::otel::TracerProvider::of(&dispatch);
    /// if let Some(provider) = provider {
    ///     provider.tracer("tested").in_span("work", |_| {});
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn of(dispatch: &Dispatch) -> Option<Self> {
        RinglightSubscriber::behind(dispatch)?;
        Some(Self {
            dispatch: dispatch.clone(),
        })
    }
}

impl api::TracerProvider for TracerProvider {
    type Tracer = Tracer;

    fn tracer_with_scope(&self, scope: InstrumentationScope) -> Tracer {
        set_in_use();
        let subscriber = RinglightSubscriber::behind(&self.dispatch);
        Tracer {
            scope: scope.name().into(),
            callsite: subscriber.map_or(CallsiteId::new(0), |s| s.scope(scope)),
            dispatch: self.dispatch.clone(),
        }
    }
}

/// Starts spans of one instrumentation scope.
#[derive(Debug, Clone)]
pub struct Tracer {
    dispatch: Dispatch,
    callsite: CallsiteId,
    /// The name of the scope.
    scope: Arc<str>,
}

impl api::Tracer for Tracer {
    type Span = Span;

    fn build_with_context(&self, builder: SpanBuilder, parent_cx: &Context) -> Span {
        let scope = (self.callsite, &*self.scope);
        Span::start(&self.dispatch, scope, builder, parent_cx)
    }
}
