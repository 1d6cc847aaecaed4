//! Trace and span ids, as [W3C Trace Context] defines them.
//!
//! [W3C Trace Context]: https://www.w3.org/TR/trace-context/

use std::fmt;
use std::str::FromStr;

/// A 128-bit trace id. The all-zero value is invalid and means "no trace".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TraceId(u128);

/// A 64-bit span id. The all-zero value is invalid and means "no span".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SpanId(u64);

/// The text is not the hexadecimal form of an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an id of {digits} hexadecimal digits")]
pub struct ParseIdError {
    /// What was given.
    pub text: String,
    /// How many digits an id of this kind has.
    pub digits: usize,
}

macro_rules! id {
    ($name:ident, $int:ty, $bytes:literal) => {
        impl $name {
            /// The invalid, all-zero id.
            pub const INVALID: Self = Self(0);

            /// An id from its integer value (the big-endian reading of its bytes).
            #[must_use]
            pub const fn new(value: $int) -> Self {
                Self(value)
            }

            /// The id as an integer (the big-endian reading of its bytes).
            #[must_use]
            pub const fn get(self) -> $int {
                self.0
            }

            /// An id from its bytes on the wire.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; $bytes]) -> Self {
                Self(<$int>::from_be_bytes(bytes))
            }

            /// The bytes of the id on the wire.
            #[must_use]
            pub const fn to_bytes(self) -> [u8; $bytes] {
                self.0.to_be_bytes()
            }

            /// Whether the id is not zero.
            #[must_use]
            pub const fn is_valid(self) -> bool {
                self.0 != 0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:0width$x}", self.0, width = $bytes * 2)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            /// Reads exactly the hexadecimal digits of the id, in either case.
            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                let digits = $bytes * 2;
                let is_hex = text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit());
                match <$int>::from_str_radix(text, 16) {
                    Ok(value) if is_hex => Ok(Self(value)),
                    _ => Err(ParseIdError {
                        text: text.to_owned(),
                        digits,
                    }),
                }
            }
        }
    };
}

id!(TraceId, u128, 16);
id!(SpanId, u64, 8);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_leading_zeros_through_text() {
        let id = TraceId::new(0xab);
        assert_eq!(id.to_string(), "000000000000000000000000000000ab");
        assert_eq!("000000000000000000000000000000AB".parse(), Ok(id));
        assert_eq!(SpanId::new(1).to_string().parse(), Ok(SpanId::new(1)));
    }

    #[test]
    fn text_that_is_not_an_id_is_refused() {
        for bad in [
            "",
            "+00000000000000a",
            "0x0000000000000a",
            "12",
            "zz00000000000000",
        ] {
            let error = bad.parse::<SpanId>().unwrap_err();
            assert_eq!((error.text.as_str(), error.digits), (bad, 16));
        }
    }

    #[test]
    fn bytes_are_big_endian() {
        assert_eq!(SpanId::from_bytes([0, 0, 0, 0, 0, 0, 0, 7]).get(), 7);
        assert_eq!(TraceId::new(7).to_bytes()[15], 7);
    }
}
