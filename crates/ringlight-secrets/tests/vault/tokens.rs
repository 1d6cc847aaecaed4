//! Logins, and tokens that live for a time.

use ringlight_secrets::{FileSecret, SecretErrorKind, SecretSource as _, SecretString, VaultAuth};
use serde_json::json;

use super::server::{TTL, Vault};
use super::{fetched, pass, secret};

const READ: &str = "GET secret/data/otlp";
const LOGIN: &str = "POST auth/approle/login";
const RENEW: &str = "POST auth/token/renew-self";

async fn vault() -> Vault {
    let vault = Vault::start().await;
    vault.put("secret/otlp", json!({ "headers": "a=1" }));
    vault.state().secret_ids.insert("hunter2".to_owned());
    vault
}

fn app_role() -> VaultAuth {
    VaultAuth::app_role("shop", SecretString::from("hunter2"))
}

#[tokio::test]
async fn a_token_of_a_login_is_renewed_until_that_is_not_worth_it() {
    let vault = vault().await;
    let one = secret(&vault, "secret/otlp#headers", app_role());
    let found = one.fetch().await.unwrap();
    let valid_for = found.valid_for.unwrap();
    assert!(valid_for <= TTL && valid_for > TTL / 2, "{valid_for:?}");
    assert_eq!(
        vault.requests(),
        [LOGIN, "GET sys/internal/ui/mounts/secret/otlp", READ]
    );
    // After 39 s of 60 there is enough left.
    pass(39).await;
    fetched(&one).await.unwrap();
    assert_eq!(vault.requests(), [READ]);
    pass(2).await;
    fetched(&one).await.unwrap();
    assert_eq!(vault.requests(), [RENEW, READ]);
    // After 82 s, again; after 123 s, it has 27 of the 150 it may have, and 20 is a third.
    pass(41).await;
    fetched(&one).await.unwrap();
    pass(41).await;
    fetched(&one).await.unwrap();
    assert_eq!(vault.requests(), [RENEW, READ, RENEW, READ]);
    // After 133 s it has 17, and nothing makes it more: somebody else from then on.
    pass(10).await;
    fetched(&one).await.unwrap();
    assert_eq!(vault.requests(), [RENEW, LOGIN, READ]);
    pass(1).await;
    fetched(&one).await.unwrap();
    assert_eq!(vault.requests(), [READ]);
}

#[tokio::test]
async fn a_token_that_ended_or_was_taken_back_is_followed_by_a_login() {
    let vault = vault().await;
    let one = secret(&vault, "secret/otlp#headers", app_role());
    fetched(&one).await.unwrap();
    vault.requests();
    vault.revoke_tokens();
    assert_eq!(fetched(&one).await.unwrap(), "a=1");
    assert_eq!(vault.requests(), [READ, LOGIN, READ]);
    // The machine slept.
    pass(3600).await;
    assert_eq!(fetched(&one).await.unwrap(), "a=1");
    assert_eq!(vault.requests(), [RENEW, LOGIN, READ]);
}

#[tokio::test]
async fn a_login_that_does_not_help_is_not_repeated() {
    let vault = vault().await;
    let one = secret(&vault, "other/otlp#headers", app_role());
    for _ in 0..2 {
        let error = fetched(&one).await.unwrap_err();
        assert_eq!(error.kind(), SecretErrorKind::Refused);
    }
    let logins = vault.requests();
    // Once at first, and once because the token may have been taken back.
    assert_eq!(logins.iter().filter(|request| *request == LOGIN).count(), 2);
}

#[tokio::test]
async fn a_service_account_logs_in_with_the_token_that_is_in_the_file_then() {
    let vault = vault().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let rotate = |jwt: &str| {
        std::fs::write(&path, jwt).unwrap();
        jwt.clone_into(&mut vault.state().jwt);
    };
    rotate("eyJ.hunter2.1");
    let auth = VaultAuth::kubernetes_with("shop", FileSecret::new(&path));
    let one = secret(&vault, "secret/otlp#headers", auth);
    assert_eq!(fetched(&one).await.unwrap(), "a=1");
    assert_eq!(vault.requests()[0], "POST auth/kubernetes/login");
    rotate("eyJ.hunter2.2");
    vault.revoke_tokens();
    assert_eq!(fetched(&one).await.unwrap(), "a=1");
}

#[tokio::test]
async fn a_login_may_be_mounted_elsewhere() {
    let vault = vault().await;
    let auth = app_role().mounted_at("/team/approle/");
    let error = fetched(&secret(&vault, "secret/otlp", auth))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), SecretErrorKind::Invalid);
    assert!(
        error
            .to_string()
            .contains("logging in at `auth/team/approle/login`"),
        "{error}"
    );
    assert!(error.to_string().contains("vault auth list"), "{error}");
}

#[tokio::test]
async fn a_token_that_is_given_is_looked_up_and_renewed() {
    let vault = vault().await;
    let token = vault.token(true, true);
    let auth = VaultAuth::token(SecretString::from(token));
    let one = secret(&vault, "secret/otlp#headers", auth);
    let found = one.fetch().await.unwrap();
    // Who asks again in time finds it alive.
    assert!(found.valid_for.unwrap() <= TTL);
    assert_eq!(vault.requests()[0], "GET auth/token/lookup-self");
    for _ in 0..2 {
        pass(41).await;
        fetched(&one).await.unwrap();
        assert_eq!(vault.requests(), [RENEW, READ]);
    }
}

#[tokio::test]
async fn a_token_that_cannot_be_renewed_serves_until_its_end() {
    let vault = vault().await;
    let token = vault.token(false, true);
    let auth = VaultAuth::token(SecretString::from(token));
    let one = secret(&vault, "secret/otlp#headers", auth);
    assert_eq!(one.fetch().await.unwrap().valid_for, None);
    vault.requests();
    pass(59).await;
    assert_eq!(fetched(&one).await.unwrap(), "a=1");
    pass(2).await;
    let error = fetched(&one).await.unwrap_err();
    assert_eq!(error.kind(), SecretErrorKind::Refused);
    assert_eq!(vault.requests(), [READ, READ]);
}

#[tokio::test]
async fn a_token_may_be_allowed_to_read_and_nothing_else() {
    let vault = vault().await;
    let token = vault.token(true, false);
    let auth = VaultAuth::token(SecretString::from(token));
    assert_eq!(
        fetched(&secret(&vault, "secret/otlp#headers", auth))
            .await
            .unwrap(),
        "a=1"
    );
}

#[tokio::test]
async fn a_token_in_a_file_may_be_replaced() {
    let vault = vault().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, vault.token(false, true)).unwrap();
    let auth = VaultAuth::token(FileSecret::new(&path));
    let one = secret(&vault, "secret/otlp#headers", auth);
    fetched(&one).await.unwrap();
    vault.revoke_tokens();
    assert!(fetched(&one).await.is_err());
    std::fs::write(&path, vault.token(false, true)).unwrap();
    assert_eq!(fetched(&one).await.unwrap(), "a=1");
}
