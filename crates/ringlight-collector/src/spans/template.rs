//! What all spans of one place in the source have in common.

use std::panic::Location;

use ringlight_model::{Callsite, CallsiteId, CallsiteKind, Severity, SpanKind};

/// What is the same for every span of one kind: name, scope, keys. A `static`, so that a record
/// refers to it by its address and the collector encodes it once.
///
/// Of the keys, `otel.name`, `otel.kind`, `otel.status_code` and `otel.status_message` set what they
/// say instead of becoming attributes.
///
/// ```
/// use ringlight_collector::SpanTemplate;
/// use ringlight_model::SpanKind;
///
/// static ORDER: SpanTemplate<2> =
///     SpanTemplate::new("shop", "place order", ["order.id", "customer"]).kind(SpanKind::Server);
/// ```
#[derive(Debug)]
pub struct SpanTemplate<const N: usize> {
    scope: &'static str,
    name: &'static str,
    kind: SpanKind,
    keys: [&'static str; N],
    location: &'static Location<'static>,
}

impl<const N: usize> SpanTemplate<N> {
    /// Spans called `name`, with an attribute for each of `keys`, of the instrumentation scope
    /// `scope`: as a rule the crate's or the module's name.
    #[must_use]
    #[track_caller]
    pub const fn new(scope: &'static str, name: &'static str, keys: [&'static str; N]) -> Self {
        const { assert!(N <= 1024, "a span has 1024 attributes at most") };
        Self {
            scope,
            name,
            kind: SpanKind::Internal,
            keys,
            location: Location::caller(),
        }
    }

    /// The same of another kind; internal unless said so.
    #[must_use]
    pub const fn kind(mut self, kind: SpanKind) -> Self {
        self.kind = kind;
        self
    }

    #[inline]
    pub(super) fn id(&'static self) -> CallsiteId {
        CallsiteId::new(std::ptr::from_ref(self).addr() as u64)
    }

    #[inline]
    pub(super) const fn span_kind(&self) -> SpanKind {
        self.kind
    }

    pub(super) fn callsite(&'static self) -> Callsite {
        Callsite {
            kind: CallsiteKind::Span,
            name: self.name,
            target: self.scope,
            scope: None,
            severity: Severity::INFO,
            module_path: None,
            file: Some(self.location.file()),
            line: Some(self.location.line()),
            fields: self.keys.to_vec(),
        }
    }
}

/// The value of one attribute of an [`OpenSpan`](crate::OpenSpan), borrowed until it is written.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub enum AttributeValue<'a> {
    /// None: the span has no such attribute.
    #[default]
    Unset,
    /// A truth value.
    Bool(bool),
    /// A signed integer.
    I64(i64),
    /// An unsigned integer; over `i64::MAX` it is sent as text, since OTLP has no such integer.
    U64(u64),
    /// A floating-point number.
    F64(f64),
    /// Text; longer than `limits.text_bytes_max` it is cut and marked.
    Str(&'a str),
    /// Opaque bytes, cut like text.
    Bytes(&'a [u8]),
}

macro_rules! from {
    ($($type:ty => $variant:ident),*) => {$(
        impl From<$type> for AttributeValue<'_> {
            #[inline]
            fn from(value: $type) -> Self {
                Self::$variant(value.into())
            }
        }
    )*};
}

from!(bool => Bool, i64 => I64, i32 => I64, i16 => I64, i8 => I64);
from!(u64 => U64, u32 => U64, u16 => U64, u8 => U64, f64 => F64, f32 => F64);

impl From<usize> for AttributeValue<'_> {
    #[inline]
    fn from(value: usize) -> Self {
        Self::U64(value as u64)
    }
}

impl<'a> From<&'a str> for AttributeValue<'a> {
    #[inline]
    fn from(value: &'a str) -> Self {
        Self::Str(value)
    }
}

impl<'a> From<&'a String> for AttributeValue<'a> {
    #[inline]
    fn from(value: &'a String) -> Self {
        Self::Str(value)
    }
}

impl<'a> From<&'a [u8]> for AttributeValue<'a> {
    #[inline]
    fn from(value: &'a [u8]) -> Self {
        Self::Bytes(value)
    }
}

impl<'a, V: Into<AttributeValue<'a>>> From<Option<V>> for AttributeValue<'a> {
    #[inline]
    fn from(value: Option<V>) -> Self {
        value.map_or(Self::Unset, Into::into)
    }
}
