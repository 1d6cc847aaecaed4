//! Email addresses.

use std::ops::Range;

use super::{end_of, is_space, start_of};

/// An `@` as it is written in addresses of the web.
const ENCODED_AT: &[u8] = b"%40";

/// Shows where addresses are, the `@` of which may be percent-encoded. The last part of the domain is letters, so
/// that `crate@1.2.3` is none. Everything that is not ASCII may be part of one.
pub(super) fn find(bytes: &[u8], found: &mut dyn FnMut(Range<usize>)) {
    let mut at = 0;
    let mut least = 0;
    while at < bytes.len() {
        if bytes[at] != b'@' && !bytes[at..].starts_with(ENCODED_AT) {
            at += 1;
            continue;
        }
        let start = start_of(bytes, least, at, is_local);
        // What is before an `@` may have others in it, if they are encoded: the last one counts.
        let run_end = end_of(bytes, at, is_local);
        let end = (start + 1..=run_end)
            .rev()
            .find_map(|separator| domain_end(bytes, separator));
        if let Some(end) = end {
            found(start..end);
        }
        at = end.unwrap_or(run_end + 1);
        least = at;
    }
}

/// Where the domain ends after an `@` that is here, if both are.
fn domain_end(bytes: &[u8], separator: usize) -> Option<usize> {
    let rest = bytes.get(separator..)?;
    let mut start = match rest {
        [b'@', ..] => separator + 1,
        _ if rest.starts_with(ENCODED_AT) => separator + ENCODED_AT.len(),
        _ => return None,
    };
    let mut last = None;
    // As many labels as there are before one that may be the last.
    while bytes
        .get(start)
        .is_some_and(|byte| is_label(*byte) && *byte != b'-')
    {
        let end = end_of(bytes, start, is_label);
        if bytes.get(end) != Some(&b'.') {
            break;
        }
        start = end + 1;
        last = top_level_end(bytes, start).or(last);
    }
    last
}

/// Where a last label that begins here ends: letters, or an encoded one.
fn top_level_end(bytes: &[u8], start: usize) -> Option<usize> {
    const ENCODED: &[u8] = b"xn--";
    let prefix = bytes.get(start..start + ENCODED.len());
    if prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(ENCODED)) {
        let after = start + ENCODED.len();
        let end = end_of(bytes, after, |byte| {
            byte.is_ascii_alphanumeric() || byte == b'-'
        });
        if end > after {
            return Some(end);
        }
    }
    let end = end_of(bytes, start, |byte| {
        byte.is_ascii_alphabetic() || !byte.is_ascii()
    });
    (end >= start + 2).then_some(end)
}

/// Whether a byte may be before the `@`.
const fn is_local(byte: u8) -> bool {
    const OTHERS: &[u8] = b"@<>()[]{},;:\"'`=|\\/?&";
    const LOCAL: [bool; 256] = {
        let mut local = [true; 256];
        let mut at = 0;
        while at < OTHERS.len() {
            local[OTHERS[at] as usize] = false;
            at += 1;
        }
        let mut byte = 0;
        while byte < 128 {
            if is_space(byte) {
                local[byte as usize] = false;
            }
            byte += 1;
        }
        local
    };
    LOCAL[byte as usize]
}

const fn is_label(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || !byte.is_ascii()
}
