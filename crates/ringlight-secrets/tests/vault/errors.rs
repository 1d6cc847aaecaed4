//! What goes wrong says what and what to do, and shows nothing.

use http::StatusCode;
use ringlight_secrets::{
    EnvSecret, FileSecret, SecretErrorKind, SecretHeaders, SecretSource as _, SecretString,
    VaultAuth, VaultSecret,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::server::Vault;
use super::{root, secret};
use SecretErrorKind::{Invalid, Missing, Refused, Unavailable};

async fn vault() -> Vault {
    let vault = Vault::start().await;
    vault.put("secret/otlp", json!({ "headers": "hunter2" }));
    vault
}

async fn check(one: &VaultSecret, kind: SecretErrorKind, expected: &[&str]) {
    let error = one.fetch().await.unwrap_err();
    let cause = std::error::Error::source(&error);
    let shown = format!("{error} {error:?} {cause:?} {one:?}");
    assert_eq!(error.kind(), kind, "{shown}");
    for expected in expected {
        assert!(shown.contains(expected), "no `{expected}`: {shown}");
    }
    assert!(shown.contains(one.name()), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[tokio::test]
async fn fault_36_a_sealed_vault_is_asked_until_it_is_not() {
    let vault = vault().await;
    vault.put("secret/otlp", json!({ "a": "1" }));
    vault.state().is_sealed = true;
    let one = secret(&vault, "secret/otlp", root());
    let expected = ["HTTP status 503: Vault is sealed", "hint: unseal it"];
    check(&one, Unavailable, &expected).await;
    let headers = SecretHeaders::from_source(one).build();
    headers.get().await.unwrap_err();
    vault.state().is_sealed = false;
    let found = tokio::time::timeout(std::time::Duration::from_secs(60), async {
        loop {
            if let Ok(headers) = headers.get().await {
                return headers;
            }
            tokio::task::yield_now().await;
        }
    });
    assert_eq!(found.await.unwrap()["a"], "1");
}

#[tokio::test]
async fn fault_36_what_is_not_allowed_says_which_policy_to_look_at() {
    let vault = vault().await;
    let token = |token: &str| VaultAuth::token(SecretString::from(token));
    let expected = ["HTTP status 403", "invalid token", "allow `read`"];
    let one = secret(&vault, "secret/otlp#headers", token("hvs.hunter2"));
    check(&one, Refused, &expected).await;
    let one = secret(&vault, "other/otlp#headers", root());
    check(
        &one,
        Refused,
        &["asking for the version", "preflight capability check"],
    )
    .await;
    let one = secret(&vault, "secret/otlp#headers", token("hunter2\n"));
    check(&one, Invalid, &["the token has characters"]).await;
}

#[tokio::test]
async fn fault_36_what_is_not_there_is_missing_and_says_which_part() {
    let vault = vault().await;
    vault.put("secret/deleted", Value::Null);
    vault.put("secret/empty", json!({ "headers": " " }));
    let check = async |reference: &str, expected: &[&str]| {
        check(&secret(&vault, reference, root()), Missing, expected).await;
    };
    check("secret/none#headers", &["HTTP status 404", "vault kv get"]).await;
    check("kv1/none#headers", &["HTTP status 404"]).await;
    check("secret/otlp#header", &["has no key `header`"]).await;
    check(
        "secret/deleted#headers",
        &["was deleted at 2026-03-22", "undelete"],
    )
    .await;
    check("secret/empty#headers", &["is empty"]).await;
}

#[tokio::test]
async fn fault_36_a_login_that_is_refused_does_not_show_with_what() {
    let vault = vault().await;
    let reference = "secret/otlp#headers";
    let id = SecretString::from("hunter2-wrong");
    let one = secret(&vault, reference, VaultAuth::app_role("shop", id));
    let expected = [
        "logging in",
        "400: invalid role or secret ID",
        "still valid",
    ];
    check(&one, Refused, &expected).await;
    let jwt = SecretString::from("hunter2-wrong");
    let one = secret(&vault, reference, VaultAuth::kubernetes_with("shop", jwt));
    check(&one, Refused, &["403: permission denied", "still valid"]).await;
    // What is needed for a login and is not there does not mean that the secret is missing.
    let nothing = FileSecret::new("/no/such/file");
    let one = secret(&vault, reference, VaultAuth::app_role("shop", nothing));
    check(&one, Unavailable, &["file `/no/such/file`: cannot be read"]).await;
    let nothing = EnvSecret::new("RINGLIGHT_TEST_NO_SUCH_VARIABLE");
    let one = secret(&vault, reference, VaultAuth::token(nothing));
    check(
        &one,
        Unavailable,
        &["`RINGLIGHT_TEST_NO_SUCH_VARIABLE`: is not set"],
    )
    .await;
}

#[tokio::test]
async fn fault_36_an_answer_that_is_none_is_not_shown() {
    let vault = vault().await;
    let one = secret(&vault, "secret/otlp#headers", root());
    one.fetch().await.unwrap();
    let says = async |status: u16, text: String, kind, expected: &str| {
        let status = StatusCode::from_u16(status).unwrap();
        vault.state().instead = Some((status, "http://evil/?token=hunter2", text));
        check(&one, kind, &[expected]).await;
    };
    says(200, "hunter2".to_owned(), Invalid, "not one of Vault").await;
    says(
        200,
        r#"{"data":{"x":"hunter2"}}"#.to_owned(),
        Invalid,
        "engine of version 2",
    )
    .await;
    says(
        200,
        r#"{"data":"hunter2"}"#.to_owned(),
        Invalid,
        "engine of version 2",
    )
    .await;
    says(200, "{}".to_owned(), Invalid, "not one of Vault").await;
    says(
        200,
        " ".repeat(1024 * 1024 + 1),
        Unavailable,
        "cannot be read",
    )
    .await;
    says(
        307,
        String::new(),
        Unavailable,
        "redirects are not followed",
    )
    .await;
    says(
        500,
        String::new(),
        Unavailable,
        "HTTP status 500: Internal Server Error",
    )
    .await;
    let echo = r#"{"errors":["bad token hvs.hunter2-root\u001b[2J"]}"#;
    says(
        429,
        echo.to_owned(),
        Unavailable,
        "429: bad token [redacted] [2J",
    )
    .await;
    says(
        429,
        "hunter2".to_owned(),
        Unavailable,
        "429: Too Many Requests",
    )
    .await;
}

#[tokio::test]
async fn a_vault_that_is_not_there_says_so() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let one = VaultSecret::new(&address, "secret/otlp".parse().unwrap(), root()).unwrap();
    check(&one, Unavailable, &["cannot be reached", "refused"]).await;
}
