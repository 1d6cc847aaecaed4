//! What takes the place of what is redacted.

use std::fmt::{self, Write as _};

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

use super::redaction::RedactionError;

/// What a mask looks like.
const MASK: &str = "[redacted]";
/// How a hash begins.
const HASH_START: &str = "[hash:";

/// Bytes of the hash that are shown: with a million different values, two share one with a probability of
/// one in 37 million.
const HASH_BYTES: usize = 8;

/// Bytes of a key at least.
const KEY_BYTES_MIN: usize = 16;

/// What takes the place of what is redacted.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Replacement {
    /// `[redacted]`.
    #[default]
    Mask,
    /// Nothing: an attribute is left out, what a pattern finds is cut out of its text.
    Remove,
    /// `[hash:` and 16 hexadecimal digits: equal values stay equal, also across services that use the same
    /// key, and without the key nobody can try which value it was.
    Hash(HashKey),
}

/// The key of a [`Replacement::Hash`]. It is shown nowhere.
///
/// Values are hashed by HMAC-SHA256 (RFC 2104), of which the first 8 bytes are kept.
#[derive(Clone)]
pub struct HashKey(Hmac<Sha256>);

impl HashKey {
    /// A key of at least 16 bytes, which should be random.
    ///
    /// # Errors
    /// [`RedactionError::ShortHashKey`]: it is shorter.
    pub fn new(key: impl AsRef<[u8]>) -> Result<Self, RedactionError> {
        let key = key.as_ref();
        let short = RedactionError::ShortHashKey {
            bytes: key.len(),
            bytes_min: KEY_BYTES_MIN,
        };
        if key.len() < KEY_BYTES_MIN {
            return Err(short);
        }
        // Takes keys of any length.
        Hmac::new_from_slice(key).map(Self).map_err(|_| short)
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey(..)")
    }
}

impl Replacement {
    /// Appends what takes the place of `value`.
    pub(super) fn push(&self, out: &mut String, value: &[u8]) {
        match self {
            Self::Mask => out.push_str(MASK),
            Self::Remove => {}
            Self::Hash(HashKey(mac)) => {
                let hash = mac.clone().chain_update(value).finalize().into_bytes();
                out.push_str(HASH_START);
                for byte in &hash[..HASH_BYTES] {
                    // Writing to a string does not fail.
                    let _ = write!(out, "{byte:02x}");
                }
                out.push(']');
            }
        }
    }

    /// What takes the place of a whole value; `None` if nothing does.
    pub(super) fn of(&self, value: &[u8]) -> Option<String> {
        if matches!(self, Self::Remove) {
            return None;
        }
        let mut out = String::new();
        self.push(&mut out, value);
        Some(out)
    }
}

/// Whether a rule has put it there, so that replacing again changes nothing.
pub(super) fn is_replacement(text: &[u8]) -> bool {
    let is_quote = |byte: &u8| matches!(byte, b'"' | b'\'' | b'\\');
    let start = text.iter().position(|byte| !is_quote(byte));
    let text = &text[start.unwrap_or(text.len())..];
    // A value that is not in quotes ends before the bracket.
    let mask = MASK.trim_end_matches(']');
    text.starts_with(mask.as_bytes()) || text.starts_with(HASH_START.as_bytes())
}
