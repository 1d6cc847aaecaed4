//! Vault over TLS.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use ringlight_secrets::{SecretErrorKind, SecretSource as _, VaultSecret};
use serde_json::json;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::server::Vault;
use super::{fetched, root, secret};

struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn acceptor(&self) -> TlsAcceptor {
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

#[tokio::test]
async fn a_secret_is_read_over_tls_from_whom_the_authority_vouches_for() {
    let authority = Authority::new();
    let vault = Vault::start_with(Some(authority.acceptor())).await;
    vault.put("secret/otlp", json!({ "headers": "a=1" }));
    let one = secret(&vault, "secret/otlp#headers", root());
    let one = one.ca_certificate_file(authority.file());
    assert_eq!(fetched(&one).await.unwrap(), "a=1");
}

#[tokio::test]
async fn nothing_is_asked_of_whom_nobody_vouches_for() {
    let vault = Vault::start_with(Some(Authority::new().acceptor())).await;
    let other = Authority::new();
    let by_other = secret(&vault, "secret/otlp#headers", root()).ca_certificate_file(other.file());
    let by_platform = secret(&vault, "secret/otlp#headers", root());
    for one in [by_other, by_platform] {
        let error = one.fetch().await.unwrap_err();
        assert_eq!(error.kind(), SecretErrorKind::Unavailable, "{error}");
        assert!(
            error.to_string().contains("invalid peer certificate"),
            "{error}"
        );
    }
    assert!(vault.requests().is_empty());
}

#[tokio::test]
async fn tls_is_never_left_out() {
    let plain = Vault::start().await;
    let address = plain.address.replace("http://", "https://");
    let one = VaultSecret::new(&address, "secret/otlp".parse().unwrap(), root()).unwrap();
    let error = one.fetch().await.unwrap_err();
    assert_eq!(error.kind(), SecretErrorKind::Unavailable);
    assert!(plain.requests().is_empty());
}

#[tokio::test]
async fn a_file_of_authorities_that_cannot_be_used_says_why() {
    let authority = Authority::new();
    let vault = Vault::start_with(Some(authority.acceptor())).await;
    let check = async |content: &[u8], expected: &str| {
        std::fs::write(authority.file(), content).unwrap();
        let one = secret(&vault, "secret/otlp", root()).ca_certificate_file(authority.file());
        let error = one.fetch().await.unwrap_err().to_string();
        assert!(error.contains("TLS cannot be set up: "), "{error}");
        assert!(error.contains(expected), "{error}");
    };
    check(b"", "has no certificate").await;
    check(b"hello", "has no certificate").await;
    let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    check(broken, "is no certificate").await;
}
