//! What is known of secrets and personal data, found in texts by hand-written scanners: they need not be made
//! ready, look at a byte a few times at most, and go by bytes, of which those above 127 are part of what is looked
//! for or end it, so that what they show are whole characters.
//!
//! What each is to find is written down as regular expressions beside the tests, which compare the two.

mod cards;
mod credentials;
mod emails;
mod tokens;

use std::ops::Range;

use super::redaction::SensitiveData;

/// Shows places in a text, in order and without overlaps.
type Find = fn(&[u8], &mut dyn FnMut(Range<usize>));

/// One kind of what is looked for, and what a text must have for a search to be worth it.
pub(super) struct Scanner {
    bytes_min: usize,
    /// One class of each of these at least.
    needs: &'static [u8],
    find: Find,
}

impl Scanner {
    /// Whether a text of this length, with bytes of these classes, may have something in it.
    #[inline]
    pub(super) fn may_find(&self, len_bytes: usize, classes: u8) -> bool {
        len_bytes >= self.bytes_min && self.needs.iter().all(|any| classes & any != 0)
    }

    /// Shows where it finds something.
    pub(super) fn find(&self, text: &str, mut found: impl FnMut(Range<usize>)) {
        (self.find)(text.as_bytes(), &mut found);
    }
}

/// The least that a text must have for any scanner to find something in it.
pub(super) const TEXT_BYTES_MIN: usize = 5;

/// Those of a kind of data.
pub(super) const fn scanners(data: SensitiveData) -> &'static [Scanner] {
    use class::{AT, B, COLON, DIGIT, EQUALS, PERCENT, PUNCTUATION, UPPER};
    match data {
        SensitiveData::CardNumbers => &[Scanner {
            bytes_min: 13,
            needs: &[DIGIT],
            find: cards::find,
        }],
        SensitiveData::Tokens => &[
            Scanner {
                bytes_min: 13,
                needs: &[PUNCTUATION | UPPER],
                find: tokens::find_known,
            },
            Scanner {
                bytes_min: 14,
                needs: &[B],
                find: tokens::find_authorization,
            },
        ],
        SensitiveData::Emails => &[Scanner {
            bytes_min: 6,
            needs: &[AT | PERCENT],
            find: emails::find,
        }],
        SensitiveData::Credentials => &[
            Scanner {
                bytes_min: 5,
                needs: &[EQUALS | COLON],
                find: credentials::find_assigned,
            },
            Scanner {
                bytes_min: 6,
                needs: &[COLON, AT],
                find: credentials::find_in_addresses,
            },
        ],
    }
}

/// What a text has that some search needs.
pub(super) mod class {
    pub(super) const DIGIT: u8 = 1;
    pub(super) const AT: u8 = 2;
    pub(super) const PERCENT: u8 = 4;
    pub(super) const EQUALS: u8 = 8;
    pub(super) const COLON: u8 = 16;
    /// The letter that `bearer` and `basic` begin with.
    pub(super) const B: u8 = 32;
    pub(super) const UPPER: u8 = 64;
    /// Underscore, hyphen and point, one of which tokens have unless they have a capital.
    pub(super) const PUNCTUATION: u8 = 128;
}

/// The class of each byte.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut digit = b'0';
    while digit <= b'9' {
        classes[digit as usize] = class::DIGIT;
        digit += 1;
    }
    let mut upper = b'A';
    while upper <= b'Z' {
        classes[upper as usize] = class::UPPER;
        upper += 1;
    }
    classes[b'B' as usize] |= class::B;
    classes[b'b' as usize] = class::B;
    classes[b'@' as usize] = class::AT;
    classes[b'%' as usize] = class::PERCENT;
    classes[b'=' as usize] = class::EQUALS;
    classes[b':' as usize] = class::COLON;
    classes[b'_' as usize] = class::PUNCTUATION;
    classes[b'-' as usize] = class::PUNCTUATION;
    classes[b'.' as usize] = class::PUNCTUATION;
    classes
};

/// The classes of the bytes of a text, together.
#[inline]
pub(super) fn classes_of(bytes: &[u8]) -> u8 {
    bytes
        .iter()
        .fold(0, |found, byte| found | CLASSES[usize::from(*byte)])
}

/// Where bytes of a kind that begin at `start` end.
#[inline]
fn end_of(bytes: &[u8], start: usize, is_meant: impl Fn(u8) -> bool) -> usize {
    let rest = bytes[start..].iter();
    start + rest.take_while(|byte| is_meant(**byte)).count()
}

/// Where bytes of a kind that end at `end` begin, not before `least`.
#[inline]
fn start_of(bytes: &[u8], least: usize, end: usize, is_meant: impl Fn(u8) -> bool) -> usize {
    let before = bytes[least..end].iter().rev();
    end - before.take_while(|byte| is_meant(**byte)).count()
}

const fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit()
}

/// Also the vertical tab, which `is_ascii_whitespace` leaves out.
const fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

/// Whether a word may begin here: the byte before is not part of one.
fn is_word_start(bytes: &[u8], at: usize) -> bool {
    at == 0 || !is_word(bytes[at - 1])
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
