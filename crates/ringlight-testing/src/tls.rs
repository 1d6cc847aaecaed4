//! Certificates made for a test, and a backend that shows one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};
use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Somebody who vouches for servers and clients.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key, as PEM.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

#[expect(clippy::expect_used, reason = "a test fails by panicking")]
impl Authority {
    /// A new one, which nobody trusts yet.
    #[must_use]
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("there is randomness");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "an authority of a test");
        let certificate = params.self_signed(&key).expect("a certificate is made");
        Self {
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// Its certificate.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.pem
    }

    /// For a server at the loopback interface, by address and by name.
    #[must_use]
    pub fn server(&self) -> Identity {
        self.identity(&["127.0.0.1", "localhost"], 4000)
    }

    /// For a server of this name.
    #[must_use]
    pub fn server_named(&self, name: &str) -> Identity {
        self.identity(&[name], 4000)
    }

    /// As [`server`](Self::server), but it was valid until the year 2001.
    #[must_use]
    pub fn server_expired(&self) -> Identity {
        self.identity(&["127.0.0.1", "localhost"], 2001)
    }

    /// For a client of this name.
    #[must_use]
    pub fn client(&self, name: &str) -> Identity {
        self.identity(&[name], 4000)
    }

    fn identity(&self, names: &[&str], until_year: i32) -> Identity {
        let key = KeyPair::generate().expect("there is randomness");
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("the names are names");
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(until_year, 1, 1);
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let certificate = params.signed_by(&key, &self.issuer);
        Identity {
            certificate: certificate.expect("a certificate is made").pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

#[expect(clippy::expect_used, reason = "a test fails by panicking")]
impl Identity {
    /// Writes both into a folder, in place of what another one has there, and returns their paths.
    ///
    /// # Panics
    /// If they cannot be written.
    pub fn write(&self, folder: &Path) -> (PathBuf, PathBuf) {
        let (certificate, key) = (folder.join("identity.pem"), folder.join("identity.key"));
        std::fs::write(&certificate, &self.certificate).expect("the folder can be written");
        std::fs::write(&key, &self.key).expect("the folder can be written");
        (certificate, key)
    }

    /// The certificate without its armour, as the other side sees it.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn der(&self) -> Vec<u8> {
        let der = CertificateDer::from_pem_slice(self.certificate.as_bytes());
        der.expect("it was made here").to_vec()
    }
}

/// How a backend speaks TLS.
#[derive(Debug, Clone)]
pub struct TlsSetup {
    /// What it shows.
    pub identity: Identity,
    /// The authority whose clients it takes, as PEM; `None` to take any, without a certificate.
    pub client_authority: Option<String>,
}

#[expect(clippy::expect_used, reason = "a test fails by panicking")]
impl TlsSetup {
    /// Takes any client.
    #[must_use]
    pub const fn new(identity: Identity) -> Self {
        Self {
            identity,
            client_authority: None,
        }
    }

    pub(crate) fn server_config(&self, is_http1_only: bool) -> Arc<ServerConfig> {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .expect("the provider has them");
        let builder = match &self.client_authority {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let mut roots = RootCertStore::empty();
                let root = CertificateDer::from_pem_slice(pem.as_bytes());
                roots
                    .add(root.expect("it was made here"))
                    .expect("it is an authority");
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.expect("there is an authority"))
            }
        };
        let key = PrivateKeyDer::from_pem_slice(self.identity.key.as_bytes());
        let mut config = builder
            .with_single_cert(
                vec![self.identity.der().into()],
                key.expect("it was made here"),
            )
            .expect("certificate and key belong together");
        let http1 = b"http/1.1".to_vec();
        config.alpn_protocols = if is_http1_only {
            vec![http1]
        } else {
            vec![b"h2".to_vec(), http1]
        };
        Arc::new(config)
    }
}
