//! Secrets that are lent for a time.

use ringlight_secrets::{SecretSource as _, SecretString, VaultAuth};

use super::server::{TTL, Vault};
use super::{fetched, pass, root, secret};

const RENEW: &str = "PUT sys/leases/renew";

#[tokio::test]
async fn a_lease_is_renewed_and_at_its_end_followed_by_another() {
    let vault = Vault::start().await;
    let one = secret(&vault, "lent/creds/renewable#authorization", root());
    let found = one.fetch().await.unwrap();
    assert!(found.valid_for.unwrap() <= TTL);
    let first = fetched(&one).await.unwrap();
    vault.requests();
    // From memory while two thirds are not over, then renewed.
    pass(39).await;
    assert_eq!(fetched(&one).await.unwrap(), first);
    assert!(vault.requests().is_empty());
    // The last time, after 123 s, it gets no more than the 27 s that are left of 150.
    for passed in [2, 41, 41] {
        pass(passed).await;
        assert_eq!(fetched(&one).await.unwrap(), first);
        assert_eq!(vault.requests(), [RENEW]);
    }
    // At 133 s there are 17, and nothing makes it more.
    pass(10).await;
    assert_ne!(fetched(&one).await.unwrap(), first);
    assert_eq!(vault.requests(), [RENEW, "GET lent/creds/renewable"]);
}

#[tokio::test]
async fn a_lease_that_cannot_be_renewed_is_followed_by_another() {
    let vault = Vault::start().await;
    let one = secret(&vault, "lent/creds/fixed#authorization", root());
    let first = fetched(&one).await.unwrap();
    pass(39).await;
    assert_eq!(fetched(&one).await.unwrap(), first);
    pass(2).await;
    vault.requests();
    assert_ne!(fetched(&one).await.unwrap(), first);
    assert_eq!(vault.requests(), ["GET lent/creds/fixed"]);
}

#[tokio::test]
async fn what_was_refused_is_not_lent_on() {
    let vault = Vault::start().await;
    let one = secret(&vault, "lent/creds/renewable#authorization", root());
    let first = fetched(&one).await.unwrap();
    assert_eq!(fetched(&one).await.unwrap(), first);
    one.forget();
    assert_ne!(fetched(&one).await.unwrap(), first);
}

#[tokio::test]
async fn a_lease_ends_with_its_token() {
    let vault = Vault::start().await;
    vault.state().secret_ids.insert("hunter2".to_owned());
    let auth = VaultAuth::app_role("shop", SecretString::from("hunter2"));
    let one = secret(&vault, "lent/creds/renewable#authorization", auth);
    let first = fetched(&one).await.unwrap();
    pass(3600).await;
    assert_ne!(fetched(&one).await.unwrap(), first);
}
