//! Tokens: what is said to authorize whoever has it, and what shows by how it begins.

use std::ops::Range;

use super::{end_of, is_space, is_word, is_word_start};

/// What a token looks like after its beginning.
struct Token {
    start: &'static [u8],
    bytes_min: usize,
    is_part: fn(u8) -> bool,
}

impl Token {
    const fn new(start: &'static [u8], bytes_min: usize, is_part: fn(u8) -> bool) -> Self {
        Self {
            start,
            bytes_min,
            is_part,
        }
    }
}

/// Those that begin a word and go on for as long as they can.
const TOKENS: [Token; 27] = [
    Token::new(b"ghp_", 20, is_alphanumeric),
    Token::new(b"gho_", 20, is_alphanumeric),
    Token::new(b"ghu_", 20, is_alphanumeric),
    Token::new(b"ghs_", 20, is_alphanumeric),
    Token::new(b"ghr_", 20, is_alphanumeric),
    Token::new(b"github_pat_", 20, is_word),
    Token::new(b"glpat-", 20, is_dotted),
    Token::new(b"xoxa-", 10, is_hyphenated),
    Token::new(b"xoxb-", 10, is_hyphenated),
    Token::new(b"xoxe-", 10, is_hyphenated),
    Token::new(b"xoxo-", 10, is_hyphenated),
    Token::new(b"xoxp-", 10, is_hyphenated),
    Token::new(b"xoxr-", 10, is_hyphenated),
    Token::new(b"xoxs-", 10, is_hyphenated),
    Token::new(b"sk_live_", 16, is_alphanumeric),
    Token::new(b"sk_test_", 16, is_alphanumeric),
    Token::new(b"rk_live_", 16, is_alphanumeric),
    Token::new(b"rk_test_", 16, is_alphanumeric),
    Token::new(b"sk-", 20, is_encoded),
    Token::new(b"AIza", 30, is_encoded),
    Token::new(b"ya29.", 20, is_encoded),
    Token::new(b"npm_", 30, is_alphanumeric),
    Token::new(b"hvs.", 20, is_encoded),
    Token::new(b"hvb.", 20, is_encoded),
    Token::new(b"hvr.", 20, is_encoded),
    Token::new(b"AGE-SECRET-KEY-1", 10, is_capital),
    Token::new(WEB_TOKEN_START, 10, is_encoded),
];

/// The least that any of them takes.
const BYTES_MIN: usize = 13;

/// How a JSON web token begins, wherever that is.
const WEB_TOKEN_START: &[u8] = b"eyJ";

/// How the identifiers of AWS keys begin, before sixteen capitals and digits.
const AWS: [&[u8; 4]; 10] = [
    b"AKIA", b"ASIA", b"ABIA", b"ACCA", b"AGPA", b"AIDA", b"AIPA", b"ANPA", b"ANVA", b"AROA",
];

const DASHES: &[u8] = b"-----";
const PEM_START: &[u8] = b"-----BEGIN ";
const PEM_END: &[u8] = b"-----END ";
const PRIVATE_KEY: &[u8] = b"PRIVATE KEY-----";

/// Shows where tokens are that show by how they begin, and private keys in PEM.
pub(super) fn find_known(bytes: &[u8], found: &mut dyn FnMut(Range<usize>)) {
    let mut at = 0;
    while at + BYTES_MIN <= bytes.len() {
        if !is_dotted(bytes[at]) {
            at += 1;
            continue;
        }
        let word_end = end_of(bytes, at, is_dotted);
        if word_end - at >= BYTES_MIN || bytes[at..word_end].ends_with(b"-----BEGIN") {
            at = find_in_word(bytes, at..word_end, found);
        } else {
            at = word_end;
        }
    }
}

/// Looks for tokens that begin in a word; where to go on.
fn find_in_word(bytes: &[u8], word: Range<usize>, found: &mut dyn FnMut(Range<usize>)) -> usize {
    let mut at = word.start;
    while at < word.end {
        let end = match bytes[at] {
            b'e' | b'g' | b'x' | b's' | b'r' | b'A' | b'y' | b'n' | b'h' => token_end(bytes, at),
            b'-' => private_key_end(bytes, at),
            _ => None,
        };
        if let Some(end) = end {
            found(at..end);
        }
        at = end.unwrap_or(at + 1);
    }
    at
}

fn token_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    let is_web_token = rest.starts_with(WEB_TOKEN_START);
    if !is_web_token && !is_word_start(bytes, at) {
        return None;
    }
    if let Some(start) = rest.first_chunk()
        && AWS.contains(&start)
    {
        let end = at + 20;
        let key = rest.get(start.len()..20)?;
        let is_key = key.iter().copied().all(is_capital)
            && !bytes.get(end).is_some_and(|byte| is_word(*byte));
        return is_key.then_some(end);
    }
    let token = TOKENS.iter().find(|token| rest.starts_with(token.start))?;
    let after = at + token.start.len();
    let mut end = end_of(bytes, after, token.is_part);
    if end - after < token.bytes_min {
        return None;
    }
    // The other parts of a web token.
    while is_web_token && bytes.get(end) == Some(&b'.') {
        let part_end = end_of(bytes, end + 1, is_encoded);
        if part_end == end + 1 {
            break;
        }
        end = part_end;
    }
    Some(end)
}

/// Where a private key in PEM ends; one that was cut is all the rest.
fn private_key_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut end = label_end(bytes, at, PEM_START)?;
    while end < bytes.len() {
        if bytes[end] == b'-'
            && let Some(end) = label_end(bytes, end, PEM_END)
        {
            return Some(end);
        }
        end += 1;
    }
    Some(end)
}

/// Where a line that says what begins or ends, which is a private key, ends.
fn label_end(bytes: &[u8], at: usize, start: &[u8]) -> Option<usize> {
    let after = bytes[at..].strip_prefix(start)?;
    let is_label = |byte: u8| is_capital(byte) || byte == b' ';
    let end = end_of(after, 0, is_label) + DASHES.len();
    let label = after.get(..end)?;
    (label.ends_with(PRIVATE_KEY)).then_some(at + start.len() + end)
}

/// Shows what is after `bearer` and `basic`.
pub(super) fn find_authorization(bytes: &[u8], found: &mut dyn FnMut(Range<usize>)) {
    let mut at = 0;
    while at < bytes.len() {
        let is_start = matches!(bytes[at], b'b' | b'B') && is_word_start(bytes, at);
        let place = is_start.then(|| bearer(bytes, at).or_else(|| basic(bytes, at)));
        if let Some(place) = place.flatten() {
            at = place.end;
            found(place);
        } else {
            at += 1;
        }
    }
}

fn bearer(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    authorizing(bytes, at, b"bearer", |byte| {
        byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)
    })
}

/// A user's name and password, encoded.
fn basic(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let Range { start, end } = authorizing(bytes, at, b"basic", is_part)?;
    let padding = bytes[end..].iter().take(2);
    let end = end + padding.take_while(|byte| **byte == b'=').count();
    // In a sentence about basic authentication, what comes is a word.
    let mut after_first = bytes[start + 1..end].iter();
    let is_word = after_first.all(u8::is_ascii_lowercase);
    (!is_word).then_some(start..end)
}

/// What comes after a scheme and what separates it, if it is long enough.
fn authorizing(
    bytes: &[u8],
    at: usize,
    scheme: &[u8],
    is_part: impl Fn(u8) -> bool,
) -> Option<Range<usize>> {
    const BYTES_MIN: usize = 8;
    let scheme_end = at + scheme.len();
    if !bytes.get(at..scheme_end)?.eq_ignore_ascii_case(scheme) {
        return None;
    }
    let mut start = scheme_end;
    while let Some(byte) = bytes.get(start) {
        start += match byte {
            // As a space is written in addresses.
            b':' | b'+' => 1,
            byte if is_space(*byte) => 1,
            _ if bytes[start..].starts_with(b"%20") => 3,
            _ => break,
        };
    }
    let end = end_of(bytes, start, is_part);
    (start > scheme_end && end - start >= BYTES_MIN).then_some(start..end)
}

const fn is_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

const fn is_capital(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}

const fn is_hyphenated(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

/// As base64 is written in addresses.
const fn is_encoded(byte: u8) -> bool {
    is_hyphenated(byte) || byte == b'_'
}

/// Everything that is in a token.
const fn is_dotted(byte: u8) -> bool {
    is_encoded(byte) || byte == b'.'
}
