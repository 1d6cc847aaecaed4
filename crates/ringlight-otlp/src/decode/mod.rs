//! Protobuf to model: one walk over a request, borrowing from it.

mod metric;
mod record;
#[cfg(test)]
mod tests;
mod value;

use ringlight_model::{
    DecodeError, Decoder, Limits, LogRecord, Metric, MetricKind, MetricPoint, RecordVisitor,
    RejectReason, Resource, Scope, Signal, Span,
};

use crate::fields::{data, per_resource, per_scope, request};
use crate::wire::{Reader, Slice, WireError};

pub(crate) use record::{log, resource, scope};
pub(crate) use value::{Budget, attribute};

/// Reads OTLP export requests.
///
/// What is refused, and how much with it:
///
/// - Bytes that are not protobuf, outside of a span, log record or data point: the request.
/// - A span without valid ids, an id of the wrong length, values nested deeper than
///   [`Limits::depth_max`], a record of more than 131 072 values, a record that does not decode:
///   that record, through [`RecordVisitor::rejected`]. When the same is wrong with a resource or a
///   scope, each record under it.
/// - A data point of a metric without a name, without a value, with buckets that do not fit together or
///   more than 4096 of them, beyond the first 262 144 of a request, or of a sum or distribution that does not say what it is relative to: that point.
///
/// What is repaired, and counted in [`Decoded`]:
///
/// - A span that ends before it starts ends when it starts.
/// - Text that is not UTF-8 is kept with U+FFFD in place of the bad bytes. proto3 forbids such text,
///   but some SDKs send what the application gave them, and a record with one bad character tells
///   more than a missing one.
///
/// Unknown fields are skipped, groups among them. Of a field that occurs twice the last value
/// counts; lists and messages are joined, as protobuf says.
#[derive(Debug, Clone, Default)]
pub struct OtlpDecoder {
    /// The limits in force; only [`Limits::depth_max`] concerns decoding.
    pub limits: Limits,
}

/// Data points of a request. A point without anything is two bytes on the wire and some hundred in
/// memory; one that says something has many more on the wire.
const POINTS_MAX: u64 = 1 << 18;

/// Log records of a request. One without anything is two bytes on the wire and some ninety in memory; a span has its ids
/// at least.
const LOGS_MAX: u64 = 1 << 20;

/// What [`OtlpDecoder::walk`] met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Decoded {
    /// Records shown to the visitor; for metrics these are data points. For profiles the profiles
    /// in the request, which have no visitor yet.
    pub records: u64,
    /// Records refused.
    pub rejected: u64,
    /// Spans that ended before they started.
    pub negative_durations: u64,
    /// Texts that were not UTF-8.
    pub repaired_texts: u64,
}

/// Why one record is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ItemError {
    Wire(WireError),
    Reject(RejectReason),
}

impl From<WireError> for ItemError {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

impl From<RejectReason> for ItemError {
    fn from(reason: RejectReason) -> Self {
        Self::Reject(reason)
    }
}

impl From<WireError> for DecodeError {
    fn from(error: WireError) -> Self {
        Self {
            offset: error.offset,
            reason: error.reason,
        }
    }
}

impl OtlpDecoder {
    /// A decoder with the given limits.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self { limits }
    }

    /// Walks a request like [`Decoder::decode`], and says what it met.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    pub fn walk(
        &self,
        signal: Signal,
        request: &[u8],
        visitor: &mut dyn RecordVisitor,
    ) -> Result<Decoded, DecodeError> {
        let mut walk = Walk {
            signal,
            depth_max: self.limits.depth_max,
            decoded: Decoded::default(),
            visitor,
            span: Span::default(),
            log: LogRecord::default(),
            point: MetricPoint::default(),
        };
        let mut reader = Reader::new(request);
        while let Some((number, field)) = reader.next()? {
            if number == request::RESOURCES {
                walk.resource(field.slice(reader.position())?)?;
            }
        }
        Ok(walk.decoded)
    }
}

impl Decoder for OtlpDecoder {
    fn decode(
        &self,
        signal: Signal,
        request: &[u8],
        visitor: &mut dyn RecordVisitor,
    ) -> Result<(), DecodeError> {
        self.walk(signal, request, visitor).map(|_| ())
    }
}

/// Counts without looking at anything.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ignore;

impl RecordVisitor for Ignore {
    fn resource(&mut self, _: &Resource<'_>) {}
    fn scope(&mut self, _: &Scope<'_>) {}
    fn span(&mut self, _: &Span<'_>) {}
    fn log(&mut self, _: &LogRecord<'_>) {}
    fn rejected(&mut self, _: RejectReason) {}
}

/// One walk over one request.
struct Walk<'a, 'v> {
    signal: Signal,
    depth_max: usize,
    decoded: Decoded,
    visitor: &'v mut dyn RecordVisitor,
    // The record being read; kept between records so that its lists keep their memory.
    span: Span<'a>,
    log: LogRecord<'a>,
    point: MetricPoint<'a>,
}

impl<'a> Walk<'a, '_> {
    /// A `ResourceSpans` or its like. The resource may come after its scopes, so it is looked for
    /// first.
    fn resource(&mut self, message: Slice<'a>) -> Result<(), DecodeError> {
        let mut resource = Resource::default();
        let mut budget = Budget::new(self.depth_max);
        let mut refused = None;
        let mut reader = message.reader();
        while let Some((number, field)) = reader.next()? {
            if number == per_resource::RESOURCE {
                let slice = field.slice(reader.position())?;
                refused = refused.or(parent(record::resource(&mut budget, slice, &mut resource))?);
            }
        }
        self.decoded.repaired_texts += budget.repaired_texts;

        let mut announced = false;
        let mut reader = message.reader();
        while let Some((number, field)) = reader.next()? {
            if number != per_resource::SCOPES {
                continue;
            }
            if !announced && self.signal_has_records() {
                self.visitor.resource(&resource);
                announced = true;
            }
            self.scope(field.slice(reader.position())?, refused)?;
        }
        Ok(())
    }

    fn scope(
        &mut self,
        message: Slice<'a>,
        refused: Option<RejectReason>,
    ) -> Result<(), DecodeError> {
        let mut scope = Scope::default();
        let mut budget = Budget::new(self.depth_max);
        let mut refused = refused;
        let mut reader = message.reader();
        while let Some((number, field)) = reader.next()? {
            if number == per_scope::SCOPE {
                let slice = field.slice(reader.position())?;
                refused = refused.or(parent(record::scope(&mut budget, slice, &mut scope))?);
            }
        }
        self.decoded.repaired_texts += budget.repaired_texts;

        let mut announced = false;
        let mut reader = message.reader();
        while let Some((number, field)) = reader.next()? {
            if number != per_scope::ITEMS {
                continue;
            }
            if !announced && self.signal_has_records() {
                self.visitor.scope(&scope);
                announced = true;
            }
            let item = field.slice(reader.position())?;
            match refused {
                Some(reason) if self.signal == Signal::Metrics => {
                    (0..metric::data_points(item)?).for_each(|_| self.reject(reason));
                }
                Some(reason) => self.reject(reason),
                None => self.item(item)?,
            }
        }
        Ok(())
    }

    fn signal_has_records(&self) -> bool {
        self.signal != Signal::Profiles
    }

    fn item(&mut self, item: Slice<'a>) -> Result<(), DecodeError> {
        let mut budget = Budget::new(self.depth_max);
        let read = match self.signal {
            Signal::Traces => record::span(&mut budget, item, &mut self.span),
            Signal::Logs if self.decoded.records >= LOGS_MAX => Err(RejectReason::TooLarge.into()),
            Signal::Logs => record::log(&mut budget, item, &mut self.log),
            Signal::Metrics => return self.metric(item),
            Signal::Profiles => {
                self.decoded.records += 1;
                return Ok(());
            }
        };
        match read {
            Ok(()) => {}
            Err(ItemError::Reject(reason)) => {
                self.reject(reason);
                return Ok(());
            }
            Err(ItemError::Wire(_)) => {
                self.reject(RejectReason::Malformed);
                return Ok(());
            }
        }
        self.decoded.records += 1;
        self.decoded.repaired_texts += budget.repaired_texts;
        if self.signal == Signal::Logs {
            self.visitor.log(&self.log);
            return Ok(());
        }
        if self.span.end_unix_nano < self.span.start_unix_nano {
            self.span.end_unix_nano = self.span.start_unix_nano;
            self.decoded.negative_durations += 1;
        }
        self.visitor.span(&self.span);
        Ok(())
    }

    /// A metric, whose data points are the records.
    fn metric(&mut self, message: Slice<'a>) -> Result<(), DecodeError> {
        let mut budget = Budget::new(self.depth_max);
        let mut metric = match metric::metric(&mut budget, message) {
            Ok(metric) => metric,
            Err(reason) => {
                (0..metric::data_points(message)?).for_each(|_| self.reject(reason));
                return Ok(());
            }
        };
        self.decoded.repaired_texts += budget.repaired_texts;
        let mut reader = message.reader();
        while let Some((number, field)) = reader.next()? {
            if !crate::fields::metric::is_data(number) {
                continue;
            }
            let data = field.slice(reader.position())?;
            let kind = metric::kind(number, data)?;
            metric.kind = kind.unwrap_or_default();
            let mut points = data.reader();
            while let Some((number, field)) = points.next()? {
                if number == data::POINTS {
                    let point = field.slice(points.position())?;
                    self.point(&metric, kind, point);
                }
            }
        }
        Ok(())
    }

    fn point(&mut self, metric: &Metric<'_>, kind: Option<MetricKind>, message: Slice<'a>) {
        let mut budget = Budget::new(self.depth_max);
        let read = match kind {
            _ if self.decoded.records >= POINTS_MAX => Err(RejectReason::TooLarge.into()),
            Some(kind) => metric::point(&mut budget, kind, message, &mut self.point),
            None => Err(RejectReason::NoTemporality.into()),
        };
        match read {
            Ok(()) => {
                self.decoded.records += 1;
                self.decoded.repaired_texts += budget.repaired_texts;
                self.visitor.point(metric, &self.point);
            }
            Err(ItemError::Reject(reason)) => self.reject(reason),
            Err(ItemError::Wire(_)) => self.reject(RejectReason::Malformed),
        }
    }

    fn reject(&mut self, reason: RejectReason) {
        self.decoded.rejected += 1;
        self.visitor.rejected(reason);
    }
}

/// A resource or scope that is not protobuf fails the request; one that breaks a limit refuses what
/// is under it.
fn parent(read: Result<(), ItemError>) -> Result<Option<RejectReason>, DecodeError> {
    match read {
        Ok(()) => Ok(None),
        Err(ItemError::Reject(reason)) => Ok(Some(reason)),
        Err(ItemError::Wire(error)) => Err(error.into()),
    }
}

/// What breaks a limit is read as far as it goes: a report is a courtesy, not data.
pub(crate) fn lenient(read: Result<(), ItemError>) -> Result<(), WireError> {
    match read {
        Err(ItemError::Wire(error)) => Err(error),
        Ok(()) | Err(ItemError::Reject(_)) => Ok(()),
    }
}
