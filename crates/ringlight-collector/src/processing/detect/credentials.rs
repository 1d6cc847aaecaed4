//! What is said to be a password or a token, and passwords in addresses.

use std::ops::Range;

use super::super::replacement::is_replacement;
use super::{end_of, is_space, start_of};

/// What is secret whatever comes after it.
const PASSWORDS: [&[u8]; 4] = [b"password", b"passwd", b"passphrase", b"pwd"];

/// What is secret if it is more than a word of a sentence, such as `invalid token: expired`.
const OTHERS: [&[u8]; 5] = [
    b"secret",
    b"token",
    b"credential",
    b"credentials",
    b"authorization",
];

/// What kind of key is a secret.
const KEYS: [&[u8]; 4] = [b"api", b"access", b"private", b"secret"];

/// Shows what is assigned to what is called a secret: `password=...`, `"api_key": "..."`, `token=Some("...")` and
/// the like, with its quotes.
pub(super) fn find_assigned(bytes: &[u8], found: &mut dyn FnMut(Range<usize>)) {
    let mut at = 0;
    let mut least = 0;
    while at < bytes.len() {
        let place = match bytes[at] {
            b'=' | b':' => assigned(bytes, least, at),
            _ => None,
        };
        let Some(place) = place else {
            at += 1;
            continue;
        };
        at = place.end;
        least = at;
        if !is_replacement(&bytes[place.clone()]) {
            found(place);
        }
    }
}

/// The value after a sign at `at`, if a secret is named before it.
fn assigned(bytes: &[u8], least: usize, at: usize) -> Option<Range<usize>> {
    let before = &bytes[least..start_of(bytes, least, at, is_space)];
    let unquoted = before.strip_suffix(b"\"").or(before.strip_suffix(b"'"));
    let name = unquoted.unwrap_or(before);
    let name = &name[..start_of(name, 0, name.len(), |byte| byte == b'\\')];
    if !is_secret(name) {
        return None;
    }
    let start = end_of(bytes, at + 1, is_space);
    // As in `Some("...")`.
    let (mut outer, mut inner) = (start, start);
    loop {
        let call = end_of(bytes, inner, |byte| {
            byte.is_ascii_alphabetic() || byte == b'_'
        });
        if call == inner || bytes.get(call) != Some(&b'(') {
            break;
        }
        (outer, inner) = (inner, call + 1);
    }
    if let Some(end) = quoted_end(bytes, inner) {
        return Some(inner..end);
    }
    let word = |start: usize| {
        let end = end_of(bytes, start, is_in_word);
        (end > start).then_some(start..end)
    };
    match bytes[at] {
        b'=' => word(inner).or_else(|| word(outer)),
        // What is not in quotes may be a sentence.
        _ => is_password(before).then(|| word(start)).flatten(),
    }
}

fn is_secret(name: &[u8]) -> bool {
    let others = OTHERS.iter().any(|other| ends_with(name, other));
    others || is_password(name) || is_key(name, &KEYS)
}

/// Whether no sentence has a colon after it.
fn is_password(name: &[u8]) -> bool {
    let passwords = PASSWORDS.iter().any(|password| ends_with(name, password));
    passwords || is_key(name, &KEYS[..1])
}

/// Whether it is a key of one of these kinds, such as `api_key`.
fn is_key(name: &[u8], kinds: &[&[u8]]) -> bool {
    const KEY: &[u8] = b"key";
    if !ends_with(name, KEY) {
        return false;
    }
    let kind = match &name[..name.len() - KEY.len()] {
        [kind @ .., b'_' | b'-'] => kind,
        kind => kind,
    };
    kinds.iter().any(|known| ends_with(kind, known))
}

fn ends_with(name: &[u8], word: &[u8]) -> bool {
    let start = name.len().checked_sub(word.len());
    start.is_some_and(|start| name[start..].eq_ignore_ascii_case(word))
}

/// Where a value in quotes that begins here ends, with them; one that was cut is all the rest. What is in JSON
/// within JSON has quotes after backslashes, and ends with what is around it.
fn quoted_end(bytes: &[u8], start: usize) -> Option<usize> {
    let quote = end_of(bytes, start, |byte| byte == b'\\');
    let closing = |at: usize| if at < bytes.len() { at + 1 } else { at };
    match bytes.get(quote)? {
        b'\'' if quote == start => Some(closing(end_of(bytes, quote + 1, |byte| byte != b'\''))),
        b'"' => {
            let mut at = quote + 1;
            while let Some(byte) = bytes.get(at)
                && *byte != b'"'
            {
                at += if *byte == b'\\' { 2 } else { 1 };
            }
            Some(closing(at.min(bytes.len())))
        }
        _ => None,
    }
}

/// Whether a byte may be in a value without quotes.
const fn is_in_word(byte: u8) -> bool {
    !is_space(byte) && !matches!(byte, b'"' | b'\'' | b'&' | b',' | b';' | b')' | b']' | b'}')
}

/// Shows where the password is in addresses such as `postgres://user:...@host`.
pub(super) fn find_in_addresses(bytes: &[u8], found: &mut dyn FnMut(Range<usize>)) {
    const AUTHORITY: &[u8] = b"://";
    let is_authority = |byte: u8| !is_space(byte) && !matches!(byte, b'/' | b'?' | b'#');
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at..].starts_with(AUTHORITY) {
            at += 1;
            continue;
        }
        let start = at + AUTHORITY.len();
        let end = end_of(bytes, start, is_authority);
        at = start;
        // A user's name may be an email address.
        let user = end_of(bytes, start, |byte| is_authority(byte) && byte != b':');
        if bytes.get(user) != Some(&b':') {
            continue;
        }
        // The last one: there may be others in the password.
        let host = bytes[user + 1..end].iter().rposition(|byte| *byte == b'@');
        if let Some(len_bytes) = host.filter(|len_bytes| *len_bytes > 0) {
            let place = user + 1..user + 1 + len_bytes;
            at = place.end;
            if !is_replacement(&bytes[place.clone()]) {
                found(place);
            }
        }
    }
}
