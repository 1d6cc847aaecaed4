//! From a secret text to headers.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::object;
use crate::{SecretError, SecretErrorKind};

const FORMS: &str = "a secret is a JSON object, {\"authorization\": \"Bearer ...\"}, or a list as in \
     `OTEL_EXPORTER_OTLP_HEADERS`, authorization=Bearer%20...,x-tenant=...";

/// Reads a JSON object of texts, or else a list of `name=value` separated by commas whose names and values are
/// percent-encoded.
///
/// Values are marked as sensitive, and their memory is overwritten when the last of their copies is
/// dropped.
///
/// # Errors
/// Says which member is wrong by its number: even its name may be a part of a secret that is written in another way.
pub(super) fn headers(secret: &SecretString, place: &str) -> Result<HeaderMap, SecretError> {
    let text = secret.expose_secret().trim();
    let (what, pairs) = if text.starts_with('{') {
        ("member", object(text, place)?)
    } else {
        ("entry", list(text, place)?)
    };
    let mut headers = HeaderMap::with_capacity(pairs.len());
    for (number, (name, value)) in (1..).zip(pairs) {
        let refused = |why: &str| invalid(place, format!("{what} {number} {why}"));
        let name = HeaderName::from_bytes(name.trim().as_bytes())
            .map_err(|_| refused("has a name that is not one of a header"))?;
        let mut value = HeaderValue::from_maybe_shared(Bytes::from_owner(value))
            .map_err(|_| refused("has a value with characters that a header cannot have"))?;
        value.set_sensitive(true);
        headers
            .try_append(name, value)
            .map_err(|_| refused("is one too many"))?;
    }
    if headers.is_empty() {
        return Err(invalid(place, "has no header in it".to_owned()));
    }
    Ok(headers)
}

fn invalid(place: &str, reason: String) -> SecretError {
    SecretError::new(SecretErrorKind::Invalid, place, reason).with_hint(FORMS)
}

/// A name and a value.
pub(super) type Pair = (Zeroizing<String>, Zeroizing<String>);

fn object(text: &str, place: &str) -> Result<Vec<Pair>, SecretError> {
    object::pairs(text).map_err(|error| {
        let (reason, line, column) = (error.reason, error.line, error.column);
        invalid(place, format!("{reason}, at line {line}, column {column}"))
    })
}

fn list(text: &str, place: &str) -> Result<Vec<Pair>, SecretError> {
    let entries = text.split(',').map(str::trim).filter(|e| !e.is_empty());
    (1..)
        .zip(entries)
        .map(|(number, entry)| {
            let refused = |why: &str| invalid(place, format!("entry {number} {why}"));
            let (name, value) = entry
                .split_once('=')
                .ok_or_else(|| refused("is not `name=value`"))?;
            let decoded = |part: &str| {
                percent_decoded(part.trim()).ok_or_else(|| refused("has a `%` that is no escape"))
            };
            Ok((decoded(name)?, decoded(value)?))
        })
        .collect()
}

/// Undoes percent-encoding in memory that is overwritten afterwards; `None` where an escape or the text is broken.
fn percent_decoded(text: &str) -> Option<Zeroizing<String>> {
    // Never longer than what is decoded, so that it is never moved.
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            bytes.push((high * 16 + low) as u8);
        } else {
            bytes.push(byte);
        }
    }
    let text = std::str::from_utf8(&bytes).ok()?;
    Some(Zeroizing::new(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<HeaderMap, SecretError> {
        headers(&SecretString::from(text), "here")
    }

    #[test]
    fn an_object_and_a_list_are_headers() {
        let check = |text: &str, expected: &[(&str, &str)]| {
            let headers = parsed(text).unwrap();
            let found: Vec<_> = headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
                .collect();
            assert_eq!(found, expected, "{text}");
            assert!(headers.values().all(HeaderValue::is_sensitive));
        };
        check(
            r#" {"Authorization": "Bearer a=b,c", "x-tenant": "s\u0068op"} "#,
            &[("authorization", "Bearer a=b,c"), ("x-tenant", "shop")],
        );
        check(
            "Authorization=Bearer%20a%3Db%2Cc, x-tenant = shop ,",
            &[("authorization", "Bearer a=b,c"), ("x-tenant", "shop")],
        );
        check("api-key=YWJj==", &[("api-key", "YWJj==")]);
        check("a=1,a=2", &[("a", "1"), ("a", "2")]);
        check(r#"{"a":"1","a":"2"}"#, &[("a", "1"), ("a", "2")]);
        check(r#"{"a":""}"#, &[("a", "")]);
    }

    #[test]
    fn fault_36_what_is_not_understood_is_not_shown() {
        let check = |text: &str, expected: &str| {
            let error = parsed(text).unwrap_err();
            assert_eq!(error.kind(), SecretErrorKind::Invalid);
            let shown = format!("{error} {error:?} {:?}", std::error::Error::source(&error));
            assert!(shown.contains(expected), "{shown}");
            assert!(!shown.contains("hunter2"), "{shown}");
        };
        check("", "has no header in it");
        check("{}", "has no header in it");
        check("Bearer hunter2", "entry 1 is not `name=value`");
        check("a=b,hunter2", "entry 2 is not `name=value`");
        check("=hunter2", "entry 1 has a name that is not one of a header");
        check(
            "hunter2 x=1",
            "entry 1 has a name that is not one of a header",
        );
        check("a=hunter2%0A", "entry 1 has a value with characters");
        check("a=hunter2%zz", "entry 1 has a `%` that is no escape");
        check("a=hunter2%ff", "entry 1 has a `%` that is no escape");
        check("a=hunter2%2", "entry 1 has a `%` that is no escape");
        check("{\"a\":\"hunter2\"", "is not JSON, at line 1, column 14");
        check("{\"a\":\n{\"b\":\"hunter2\"}}", "not a text, at line 2");
        check("{\"hunter2\":17}", "not a text, at line 1");
        check("{\"a\":\"b\"} hunter2", "is not JSON, at line 1");
        check("{\"hunter2 x\":\"b\"}", "member 1 has a name");
        check("{\"a\":\"hunter2\\n\"}", "member 1 has a value");
    }
}
