//! What the rules make of texts, keys and records.

#[expect(unreachable_pub, reason = "a fuzz target has it, too")]
mod expressions;
mod records;
mod scanners;
mod texts;

use std::sync::Arc;

use super::{Processing, Redaction, Rules};

fn rules(processing: Processing) -> Arc<Rules> {
    processing.rules().expect("there are rules")
}

fn redacting(redaction: Redaction) -> Arc<Rules> {
    rules(Processing::new().redact(redaction))
}

/// A secret of each kind that is known, and what is around it in a text.
const SECRETS: [(&str, &str); 25] = [
    ("4111 1111 1111 1111", "paid with 4111 1111 1111 1111 today"),
    ("5555555555554444", "card:5555555555554444"),
    ("3782-822463-10005", "amex 3782-822463-10005."),
    (
        "ada.lovelace@example.co.uk",
        "mail to <ada.lovelace@example.co.uk>, please",
    ),
    (
        "ada%40example.com",
        "GET /users?email=ada%40example.com&page=2",
    ),
    ("ä.ö@bücher.example", "an ä.ö@bücher.example"),
    ("ada@mail.xn--bcher-kva", "to ada@mail.xn--bcher-kva today"),
    (
        "hvs.abcdefghijklmnopqrstu",
        "vault hvs.abcdefghijklmnopqrstu",
    ),
    ("mF_9.B5f-4.1JqM", "Authorization: Bearer mF_9.B5f-4.1JqM"),
    ("abcdefghijklmnop", "bearer abcdefghijklmnop"),
    ("YWRhOmh1bnRlcjI=", "authorization=Basic YWRhOmh1bnRlcjI="),
    (
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP",
        "jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP!",
    ),
    ("AKIAIOSFODNN7EXAMPLE", "key AKIAIOSFODNN7EXAMPLE refused"),
    (
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "remote: ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    ),
    (
        "xoxb-263594206564-FGqddMF8t08v8N7Oq4i57vs1",
        "slack xoxb-263594206564-FGqddMF8t08v8N7Oq4i57vs1",
    ),
    (
        "sk-test0123456789abcdefghij",
        "model key sk-test0123456789abcdefghij",
    ),
    (
        "hvs.CAESIJlWh5ZyJ0kMm3rU6wJ5gk",
        "vault hvs.CAESIJlWh5ZyJ0kMm3rU6wJ5gk",
    ),
    (
        "MIIEpAIBAAKCAQEA",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----",
    ),
    ("hunter2", "login with password=hunter2 failed"),
    ("hunter2", "Login { user: \"ada\", password: \"hunter2\" }"),
    ("hunter2", r#"{"user":"ada","api_key":"hunter2"}"#),
    ("hunter2", r#"body={\"token\":\"hunter2\"}"#),
    ("hunter2", "token=Some(\"hunter2\")"),
    (
        "hunter2",
        "connecting to postgres://shop:hunter2@db:5432/shop",
    ),
    ("hunter2", "postgres://ada@example.com:hunter2@db/shop"),
];
