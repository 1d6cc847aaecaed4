//! Texts and keys.

use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use super::super::Rules;
use super::super::key::KeyAction;
use super::{SECRETS, redacting};
use crate::{HashKey, Redaction, RedactionError, Replacement, SensitiveData};

fn check(redaction: Redaction, text: &str, expected: &str) {
    let rules = redacting(redaction);
    let replaced = rules.texts.replaced(text, false, None);
    assert_eq!(replaced.as_deref().unwrap_or(text), expected);
}

static STANDARD: LazyLock<Arc<Rules>> = LazyLock::new(|| redacting(Redaction::standard()));

fn standard(text: &str) -> String {
    let replaced = STANDARD.texts.replaced(text, false, None);
    replaced.unwrap_or_else(|| text.to_owned())
}

#[test]
fn fault_36_every_known_secret_is_found_in_a_text() {
    for (secret, text) in SECRETS {
        let replaced = standard(text);
        assert!(!replaced.contains(secret), "{text} became {replaced}");
        assert!(replaced.contains("[redacted]"), "{replaced}");
        assert_eq!(standard(&replaced), replaced);
    }
}

#[test]
fn what_is_around_a_secret_stays() {
    let check = |text: &str, expected: &str| assert_eq!(standard(text), expected);
    check(
        "paid with 4111 1111 1111 1111 today",
        "paid with [redacted] today",
    );
    check(
        "login with password=hunter2 failed",
        "login with password=[redacted] failed",
    );
    check(
        "Authorization: Bearer mF_9.B5f-4.1JqM",
        "Authorization: Bearer [redacted]",
    );
    check(
        "postgres://shop:hunter2@db:5432/shop",
        "postgres://shop:[redacted]@db:5432/shop",
    );
    check(
        r#"{"user":"ada","password":"x y"}"#,
        r#"{"user":"ada","password":[redacted]}"#,
    );
    check("a@b.example and c@d.example", "[redacted] and [redacted]");
}

#[test]
fn what_only_looks_like_a_secret_stays() {
    for text in [
        "",
        "GET",
        "/orders/4711",
        "connection reset by peer",
        // Times in microseconds and nanoseconds; a wrong check digit; the right one of no network.
        "1796024972046751",
        "1796024972046751000",
        "4111111111111112",
        "9111111111111111",
        // A fraction, and ids.
        "0.4111111111111111",
        "4bf92f3577b34da6a3ce929d0e0e4736",
        "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        // Of their digits 13 to 19 in a row, hyphens aside, would be a card's.
        "ee3f4447-3231-4578-8b65-4453b352ca1e",
        "instance C75ADE7D-4E89-4832-A3E6-995047042077 began",
        "4bec5696-1355-4347-8ba2-dfce4601e550",
        "sha256:0f4111111111111111e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934c",
        "2026-11-29T07:29:32.046751Z",
        "crate@1.2.3 and @scope/name",
        "Basic Authentication is off",
        "basic authentication",
        "invalid token: expired",
        "tokens: 512",
        "http://localhost:4317/v1/traces",
        "eyJ",
    ] {
        assert_eq!(standard(text), text);
    }
}

#[test]
fn a_card_is_of_a_network_and_has_the_right_check_digit() {
    let cards = || Redaction::new().data(SensitiveData::CardNumbers, Replacement::Mask);
    for number in [
        "4222222222222",
        "4012888888881881",
        "5105105105105100",
        "2223003122003222",
        "371449635398431",
        "6011000990139424",
        "30569309025904",
        "3530111333300000",
        "6200000000000005",
    ] {
        check(cards(), number, "[redacted]");
        let (start, last) = number.split_at(number.len() - 1);
        let other = (last.parse::<u8>().unwrap() + 1) % 10;
        let wrong = format!("{start}{other}");
        check(cards(), &wrong, &wrong);
    }
    check(cards(), "1 4012888888881881 12", "1 [redacted] 12");
    // Beside letters, which are no identifier for want of digits or for being too few.
    check(cards(), "fee-4012888888881881", "fee-[redacted]");
    check(cards(), "Visa4012888888881881", "Visa[redacted]");
    let zeros = "0".repeat(16);
    let digits = format!("4012888888881881-{zeros}");
    check(cards(), &digits, &format!("[redacted]-{zeros}"));
    check(
        cards(),
        "4012 8888 8888 1881,4012-8888-8888-1881",
        "[redacted],[redacted]",
    );
}

#[test]
fn a_pattern_replaces_its_group_or_all_it_finds() {
    let with = |expression: &str| {
        let redaction = Redaction::new().pattern("own", expression, Replacement::Mask);
        redaction.unwrap()
    };
    check(with(r"\bE-\d{6}\b"), "by E-123456.", "by [redacted].");
    check(with(r"\bE-(\d{6})\b"), "by E-123456.", "by E-[redacted].");
    check(with(r"a+"), "baab", "b[redacted]b");
    // What two find overlaps: it is replaced once.
    let both = with("abc")
        .pattern("other", "bcd", Replacement::Remove)
        .unwrap();
    check(both, "xabcdy", "x[redacted]y");
    let again = with("abc")
        .pattern("own", "xyz", Replacement::Mask)
        .unwrap();
    check(again, "abc xyz", "abc [redacted]");
}

#[test]
fn a_pattern_that_cannot_be_used_is_an_error_that_says_why() {
    let error = |expression: &str| {
        let redaction = Redaction::new().pattern("own", expression, Replacement::Mask);
        redaction.unwrap_err()
    };
    let broken = error("(");
    assert_eq!(broken.to_string(), "redaction pattern `own` cannot be used");
    assert!(std::error::Error::source(&broken).is_some());
    assert!(matches!(
        error("a{1000}{1000}{1000}"),
        RedactionError::Pattern { .. }
    ));
    assert!(matches!(error("a*"), RedactionError::EmptyMatch { .. }));
}

#[test]
fn equal_values_have_equal_hashes_under_the_same_key() {
    let key = |text: &str| Replacement::Hash(HashKey::new(text).unwrap());
    let hashed = |key: &Replacement, value: &str| key.of(value.as_bytes()).unwrap();
    let (one, other) = (key("0123456789abcdef"), key("0123456789abcdeg"));
    assert_eq!(hashed(&one, "ada"), hashed(&one, "ada"));
    assert_ne!(hashed(&one, "ada"), hashed(&one, "bob"));
    assert_ne!(hashed(&one, "ada"), hashed(&other, "ada"));
    let hash = hashed(&one, "ada");
    assert_eq!(hash.len(), "[hash:]".len() + 16, "{hash}");
    let short = HashKey::new("0123456789abcde").unwrap_err();
    assert_eq!(
        short.to_string(),
        "the key of a hash has 15 bytes, allowed are 16 and more"
    );
    let shown = format!("{one:?}");
    assert_eq!(shown, "Hash(HashKey(..))");
    // HMAC-SHA256 of RFC 4231, case 3: twenty bytes 0xaa, fifty of 0xdd.
    let reference = Replacement::Hash(HashKey::new([0xaa; 20]).unwrap());
    assert_eq!(
        reference.of(&[0xdd; 50]).as_deref(),
        Some("[hash:773ea91e36800e46]")
    );
}

#[test]
fn the_rule_for_a_key_that_was_added_last_decides() {
    let check = |rules: &Rules, key: &str, expected: &str| {
        let action = match rules.keys.redaction(key) {
            KeyAction::Replace(rule) => rules.keys.replacement(rule).0.of(b"x").unwrap_or_default(),
            KeyAction::Allow => "allowed".to_owned(),
            _ => "looked into".to_owned(),
        };
        assert_eq!(action, expected, "{key}");
    };
    let mask = "[redacted]";
    for key in [
        "password",
        "db.password",
        "http.request.header.authorization",
        "http.request.header.cookie",
        "access.token",
        "refresh_token",
        "X-Api-Key",
        "client_secret",
        "user_pwd",
    ] {
        check(&STANDARD, key, mask);
    }
    for key in [
        "user.id",
        "http.route",
        "gen_ai.usage.input_tokens",
        "cookie.count",
    ] {
        check(&STANDARD, key, "looked into");
    }
    let removed = Redaction::new()
        .key("*.token", Replacement::Mask)
        .key("access.Token", Replacement::Remove);
    check(&redacting(removed.clone()), "access.token", "");
    check(&redacting(removed.clone()), "other.token", mask);
    check(
        &redacting(removed.allow_key("access.*")),
        "access.token",
        "allowed",
    );
}

#[test]
fn the_last_word_of_a_text_that_was_cut_is_left_out() {
    let check = |text: &str, expected: Option<&str>| {
        let replaced = STANDARD.texts.replaced(text, true, None);
        assert_eq!(replaced.as_deref(), expected, "{text}");
    };
    check("paid with 4111 1111 1111 11", Some("paid with"));
    check("mail to ada@exam", Some("mail to"));
    check("done. ", Some("done."));
    check("a@b.example was he", Some("[redacted] was"));
    // Nobody looks into texts.
    let keys = redacting(Redaction::new().key("a", Replacement::Mask));
    assert_eq!(keys.texts.replaced("paid with 4111 1111", true, None), None);
}

#[test]
fn whole_numbers_are_looked_into() {
    let check = |rules: &Rules, number: u64, expected: Option<&str>| {
        let replaced = rules.texts.of_number(number, false, None);
        assert_eq!(replaced.as_deref(), expected);
    };
    check(&STANDARD, 4_111_111_111_111_111, Some("[redacted]"));
    check(&STANDARD, 4_111_111_111_111_112, None);
    let own = Redaction::new().pattern("pin", r"^\d{4}$", Replacement::Mask);
    check(&redacting(own.unwrap()), 4711, Some("[redacted]"));
}

proptest! {
    #[test]
    fn no_secret_survives_whatever_is_around_it(
        before in r"[ -~äöü\n]{0,40}",
        after in r"[ -~äöü\n]{0,40}",
        which in 0..SECRETS.len(),
    ) {
        let (secret, text) = SECRETS[which];
        let text = format!("{before}\n{text}\n{after}");
        let replaced = standard(&text);
        prop_assert!(!replaced.contains(secret), "{replaced}");
    }

    #[test]
    fn replacing_again_changes_nothing(text in r"[ -~äöü\n]{0,80}") {
        let once = standard(&text);
        prop_assert_eq!(standard(&once), once);
    }

    #[test]
    fn any_text_and_any_cut_can_be_looked_into(text in any::<String>(), is_cut in any::<bool>()) {
        let replaced = STANDARD.texts.replaced(&text, is_cut, None);
        let counted = STANDARD.texts.replaced(&text, is_cut, Some(&STANDARD.counts));
        prop_assert_eq!(replaced, counted);
    }
}
