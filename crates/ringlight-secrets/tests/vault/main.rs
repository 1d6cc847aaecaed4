//! Vault's protocol, spoken over real sockets with a server that keeps to its documentation.

#![expect(
    clippy::unwrap_used,
    reason = "a test may stop at the first thing that is wrong"
)]

mod errors;
mod leases;
mod server;
mod tls;
mod tokens;

use std::time::Duration;

use ringlight_secrets::{
    ExposeSecret as _, KvVersion, SecretError, SecretHeaders, SecretSource as _, SecretString,
    VaultAuth, VaultSecret,
};
use serde_json::json;
use server::{ROOT, Vault};

fn root() -> VaultAuth {
    VaultAuth::token(SecretString::from(ROOT))
}

fn secret(vault: &Vault, reference: &str, auth: VaultAuth) -> VaultSecret {
    VaultSecret::new(&vault.address, reference.parse().unwrap(), auth).unwrap()
}

async fn fetched(secret: &VaultSecret) -> Result<String, SecretError> {
    let secret = secret.fetch().await?;
    Ok(secret.value.expose_secret().to_owned())
}

/// Lets time pass for client and server, between requests.
async fn pass(seconds: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_secret_of_version_2_is_read_after_asking_for_its_engine() {
    let vault = Vault::start().await;
    vault.put("secret/shop/otlp", json!({ "headers": "a=1", "b": "2" }));
    let one = secret(&vault, "secret/shop/otlp#headers", root());
    assert_eq!(fetched(&one).await.unwrap(), "a=1");
    assert_eq!(
        vault.requests(),
        [
            "GET auth/token/lookup-self",
            "GET sys/internal/ui/mounts/secret/shop/otlp",
            "GET secret/data/shop/otlp"
        ]
    );
    // What was learned is kept, but for the secret.
    vault.put("secret/shop/otlp", json!({ "headers": "a=2" }));
    assert_eq!(fetched(&one).await.unwrap(), "a=2");
    assert_eq!(vault.requests(), ["GET secret/data/shop/otlp"]);
}

#[tokio::test]
async fn without_a_key_all_of_them_are_headers() {
    let vault = Vault::start().await;
    vault.put(
        "secret/otlp",
        json!({ "Authorization": "Bearer hunter2", "x-tenant": "shop" }),
    );
    let headers = SecretHeaders::from_source(secret(&vault, "secret/otlp", root())).build();
    let headers = headers.get().await.unwrap();
    assert_eq!(headers["authorization"], "Bearer hunter2");
    assert_eq!(headers["x-tenant"], "shop");
    // An object under a key is as good as a text with one in it.
    for value in [json!({ "a": "1" }), json!("{\"a\":\"1\"}")] {
        vault.put("secret/otlp", json!({ "headers": value }));
        let one = secret(&vault, "secret/otlp#headers", root());
        assert_eq!(fetched(&one).await.unwrap(), r#"{"a":"1"}"#);
    }
}

#[tokio::test]
async fn a_secret_of_version_1_is_read_where_it_is() {
    let vault = Vault::start().await;
    vault.put("kv1/otlp", json!({ "headers": "a=1" }));
    let one = secret(&vault, "kv1/otlp#headers", root());
    let found = one.fetch().await.unwrap();
    assert_eq!(found.value.expose_secret(), "a=1");
    // Its duration is advice and no lease: the next value is wanted earlier than in a month.
    assert_eq!(found.valid_for, None);
}

#[tokio::test]
async fn nobody_is_asked_for_an_engine_that_is_given() {
    let vault = Vault::start().await;
    vault.put("secret/otlp", json!({ "headers": "a=1" }));
    vault.put("kv1/otlp", json!({ "headers": "a=2" }));
    for (mount, version, path, value) in [
        ("secret/", KvVersion::V2, "secret/data/otlp", "a=1"),
        ("kv1", KvVersion::V1, "kv1/otlp", "a=2"),
    ] {
        let reference = format!("{}/otlp#headers", mount.trim_matches('/'));
        let one = secret(&vault, &reference, root());
        let one = one.mount(mount, version).unwrap();
        assert_eq!(fetched(&one).await.unwrap(), value);
        let asked = vault.requests();
        assert_eq!(
            asked,
            [
                "GET auth/token/lookup-self".to_owned(),
                format!("GET {path}")
            ]
        );
    }
    let elsewhere = secret(&vault, "secret/otlp", root()).mount("secre", KvVersion::V2);
    assert!(
        elsewhere
            .unwrap_err()
            .to_string()
            .contains("not below the mount `secre`")
    );
}

#[tokio::test]
async fn a_namespace_is_named_in_every_request() {
    let vault = Vault::start().await;
    vault.put("secret/otlp", json!({ "headers": "a=1" }));
    vault.state().namespace = Some("team/a".to_owned());
    vault.state().secret_ids.insert("hunter2".to_owned());
    let auth = || VaultAuth::app_role("shop", SecretString::from("hunter2"));
    let without = secret(&vault, "secret/otlp#headers", auth());
    assert!(fetched(&without).await.is_err());
    let with = secret(&vault, "secret/otlp#headers", auth()).namespace("/team/a/");
    assert_eq!(fetched(&with.unwrap()).await.unwrap(), "a=1");
    let bad = secret(&vault, "secret/otlp", auth()).namespace("a\nb");
    assert!(bad.is_err());
}

#[tokio::test]
async fn a_secret_that_is_rotated_reaches_the_headers() {
    let vault = Vault::start().await;
    vault.put("secret/otlp", json!({ "authorization": "Bearer hunter2" }));
    let headers = SecretHeaders::from_source(secret(&vault, "secret/otlp", root())).build();
    let first = headers.get().await.unwrap();
    vault.put("secret/otlp", json!({ "authorization": "Bearer hunter3" }));
    assert!(headers.were_refused(&first).await);
    assert_eq!(
        headers.current().unwrap()["authorization"],
        "Bearer hunter3"
    );
}
