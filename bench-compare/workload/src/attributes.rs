//! The attributes of spans, made of their numbers.

use std::fmt;

/// The values of the string attribute.
const ROUTES: [&str; 4] = [
    "/orders",
    "/orders/{id}",
    "/customers/{id}/invoices",
    "/health",
];

/// The string attribute of a span.
#[inline]
#[must_use]
pub fn route(sequence: u64) -> &'static str {
    ROUTES[(sequence % 4) as usize]
}

/// The integer attribute of a span.
#[inline]
#[must_use]
pub fn id(sequence: u64) -> i64 {
    sequence.cast_signed()
}

/// The attribute of a span that is formatted.
#[derive(Debug, Clone, Copy)]
pub struct Took(
    /// The number of the span.
    pub u64,
);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}us", self.0 % 1_000)
    }
}
