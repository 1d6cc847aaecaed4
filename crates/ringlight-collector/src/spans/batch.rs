//! A batch of spans, as an exporter gets it.

use bytes::Bytes;
use ringlight_model::{
    DecodeError, Limits, LogRecord, RecordVisitor, RejectReason, Resource, Scope, Signal, Span,
};
use ringlight_otlp::OtlpDecoder;

use super::collector::frame;
use crate::export::{BatchId, EncodedBatch};

/// Spans that travel together: encoded once, as one OTLP request, shared without copying.
///
/// An exporter that speaks OTLP sends [`otlp`](Self::otlp) as it is; any other looks at the
/// spans with [`for_each`](Self::for_each).
#[derive(Debug, Clone)]
pub struct SpanBatch(EncodedBatch);

impl SpanBatch {
    pub(crate) const fn new(batch: EncodedBatch) -> Self {
        Self(batch)
    }

    /// How many spans there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.records as usize
    }

    /// Whether there are none, which does not happen.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.records == 0
    }

    /// The name of the batch, the same through every repetition.
    #[must_use]
    pub const fn id(&self) -> &BatchId {
        &self.0.id
    }

    /// An `ExportTraceServiceRequest` in protobuf.
    #[must_use]
    pub const fn otlp(&self) -> &Bytes {
        &self.0.bytes
    }

    /// The batch as exporters of any signal take it.
    #[must_use]
    pub fn into_encoded(self) -> EncodedBatch {
        self.0
    }

    /// Shows every span, in the order of the batch, after its resource and its scope. What is shown
    /// borrows from the batch; `clone().into_owned()` keeps it.
    ///
    /// # Errors
    /// The batch does not decode: a defect of the product.
    pub fn for_each(
        &self,
        visit: impl FnMut(&Resource<'_>, &Scope<'_>, &Span<'_>),
    ) -> Result<(), DecodeError> {
        visit_spans(&self.0.bytes, Limits::default(), visit)
    }

    /// Copies of all spans.
    ///
    /// # Errors
    /// As [`for_each`](Self::for_each).
    pub fn to_spans(&self) -> Result<Vec<Span<'static>>, DecodeError> {
        let mut spans = Vec::with_capacity(self.len());
        self.for_each(|_, _, span| spans.push(span.clone().into_owned()))?;
        Ok(spans)
    }
}

/// What any exporter gets, if it is of spans; else it comes back.
impl TryFrom<EncodedBatch> for SpanBatch {
    type Error = EncodedBatch;

    fn try_from(batch: EncodedBatch) -> Result<Self, EncodedBatch> {
        if batch.signal == Signal::Traces {
            Ok(Self(batch))
        } else {
            Err(batch)
        }
    }
}

/// Shows the spans of an `ExportTraceServiceRequest`.
pub(super) fn visit_spans(
    request: &[u8],
    limits: Limits,
    visit: impl FnMut(&Resource<'_>, &Scope<'_>, &Span<'_>),
) -> Result<(), DecodeError> {
    let mut visitor = Visitor {
        resource: Resource::default(),
        scope: Scope::default(),
        visit,
    };
    OtlpDecoder::new(limits)
        .walk(Signal::Traces, request, &mut visitor)
        .map(|_| ())
}

/// The span in an item of `ScopeSpans`; `None` if it does not decode.
pub(crate) fn span_of_item(item: &[u8], limits: &Limits) -> Option<Span<'static>> {
    let mut request = Vec::new();
    frame(&mut request, item);
    let mut found = None;
    visit_spans(&request, *limits, |_, _, span| {
        found = Some(span.clone().into_owned());
    })
    .ok()?;
    found
}

struct Visitor<F> {
    resource: Resource<'static>,
    scope: Scope<'static>,
    visit: F,
}

impl<F: FnMut(&Resource<'_>, &Scope<'_>, &Span<'_>)> RecordVisitor for Visitor<F> {
    fn resource(&mut self, resource: &Resource<'_>) {
        self.resource = resource.clone().into_owned();
    }

    fn scope(&mut self, scope: &Scope<'_>) {
        self.scope = scope.clone().into_owned();
    }

    fn span(&mut self, span: &Span<'_>) {
        (self.visit)(&self.resource, &self.scope, span);
    }

    fn log(&mut self, _: &LogRecord<'_>) {}

    fn rejected(&mut self, _: RejectReason) {}
}
