//! The scanners find what the expressions describe, no less and no more.

use std::ops::Range;
use std::sync::LazyLock;

use proptest::prelude::*;
use regex::bytes::{Regex, RegexBuilder};

use super::super::detect::{classes_of, scanners};
use super::super::replacement::is_replacement;
use super::SECRETS;
use super::expressions::EXPRESSIONS;
use crate::SensitiveData;

static READY: LazyLock<Vec<(&str, Regex)>> = LazyLock::new(|| {
    let ready = EXPRESSIONS.map(|(data, expression)| {
        let mut builder = RegexBuilder::new(expression);
        (data, builder.unicode(false).build().unwrap())
    });
    ready.into()
});

/// What the expressions find that is not a rule's own, nor a word after `basic`.
fn described(data: SensitiveData, text: &str) -> Vec<Range<usize>> {
    let mut places = Vec::new();
    let of_data = READY.iter().filter(|(known, _)| *known == data.as_str());
    for (_, expression) in of_data {
        for captures in expression.captures_iter(text.as_bytes()) {
            let whole = captures.get(0).unwrap();
            let group = captures.iter().flatten().nth(1).unwrap_or(whole);
            let is_basic = whole.as_bytes()[..5].eq_ignore_ascii_case(b"basic");
            let is_word = group.as_bytes()[1..].iter().all(u8::is_ascii_lowercase);
            if !(is_replacement(group.as_bytes()) || is_basic && is_word) {
                places.push(group.range());
            }
        }
    }
    merged(places)
}

/// What the scanners find, each where the text seems to be worth a search.
fn found(data: SensitiveData, text: &str) -> Vec<Range<usize>> {
    let mut places = Vec::new();
    let classes = classes_of(text.as_bytes());
    for scanner in scanners(data) {
        if scanner.may_find(text.len(), classes) {
            scanner.find(text, |place| places.push(place));
        }
    }
    merged(places)
}

fn merged(mut places: Vec<Range<usize>>) -> Vec<Range<usize>> {
    places.sort_by_key(|place| place.start);
    places.dedup_by(|later, kept| {
        let touches = later.start <= kept.end;
        if touches {
            kept.end = kept.end.max(later.end);
        }
        touches
    });
    places
}

fn check(text: &str) {
    for data in [
        SensitiveData::Tokens,
        SensitiveData::Emails,
        SensitiveData::Credentials,
    ] {
        let places = found(data, text);
        assert_eq!(
            places,
            described(data, text),
            "{} in {text:?}",
            data.as_str()
        );
        for place in places {
            assert!(text.get(place.clone()).is_some(), "{place:?} of {text:?}");
        }
    }
}

#[test]
fn scanners_find_what_the_expressions_describe() {
    for (_, text) in SECRETS {
        check(text);
        for (at, _) in text.char_indices() {
            check(&text[at..]);
            check(&text[..at]);
        }
    }
    for text in [
        "a%40b.de@c.de",
        "a%40b.de%40c",
        "a@b%40c.de",
        "a%40b.de%40c.d",
        "%40b.de a@b.de@c.de",
        "a@b.bb1. a@b1. a@b.bb.1 a@xn--a.xn--b1 a@b.xn-- a@b.x",
        "token=Some() token=a(b() token=a(\"b\\\"c\" d",
        "password:token=\"x\" pwd : x\\",
        "password=\"x\\",
        "api_key\\\" = 'x apikey=[redacted]x",
        "bearer ++++++++++ bearer +%20++1234567",
        "basic Abcdefg=== basic authentication basic abcdefgh=",
        "://:@x ://u:@h ://u:p@q@h ://u:p ://a://b:c@d",
        "------BEGIN PRIVATE KEY------\n-----END KEY-----",
        "eyJeyJeyJeyJey.J..a",
        "hvs.abcdefghijklmnopqrstu",
        "xAKIAIOSFODNN7EXAMPLE AKIAIOSFODNN7EXAMPLE_ AKIAIOSFODNN7EXAMPLE",
    ] {
        check(text);
    }
}

/// What expressions and scanners look at, and some of what is in between.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "password", "pwd", "TOKEN", "api", "_", "key", "Secret", "authorization", "=", ":", "\"", "'", "\\",
            "Some(", "(", ")", " ", "\n", "\u{b}", "://", "/", "@", "%40", "%20", "+", ".", "-", "xn--", "a", "b.c",
            "de", "7", "ä", "\u{85}", "bearer", "BASIC", "basic ", "[redacted]", "[hash:", "-----", "-----BEGIN ",
            "-----END ", "PRIVATE KEY-----", "eyJ", "AKIA", "sk-", "ghp_", "hvs.", "&", "?", "#",
        ]).prop_map(str::to_owned),
        1 => "[A-Za-z0-9]{8,32}",
        1 => "[A-Z0-9]{16}",
        1 => "[ -~äöü]{0,4}",
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn scanners_find_what_the_expressions_describe_in_any_text(text in pieces()) {
        check(&text);
    }
}
