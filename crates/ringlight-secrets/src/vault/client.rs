//! One request, one answer.

use std::error::Error as _;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use rustls_platform_verifier::BuilderVerifierExt as _;
use secrecy::{ExposeSecret as _, SecretString};

use super::VaultConfigError;
use super::answer;
use crate::SecretErrorKind;
use crate::file::Blocking;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Vault itself limits requests to 32 MiB, and the values of most of its storages to less than this.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
const USER_AGENT: &str = concat!("ringlight/", env!("CARGO_PKG_VERSION"));

pub(super) struct Client {
    /// Without a slash at the end.
    address: String,
    is_https: bool,
    namespace: Option<HeaderValue>,
    ca_certificates: Option<PathBuf>,
    blocking: Blocking,
}

/// Why there is no answer that can be used.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: Option<StatusCode>,
    pub(super) kind: SecretErrorKind,
    pub(super) reason: String,
    pub(super) hint: Option<&'static str>,
    /// What came with the status.
    pub(super) body: Bytes,
}

impl Failure {
    fn unavailable(reason: String) -> Self {
        Self {
            status: None,
            kind: SecretErrorKind::Unavailable,
            reason,
            hint: None,
            body: Bytes::new(),
        }
    }
}

impl Client {
    pub(super) fn new(address: &str) -> Result<Self, VaultConfigError> {
        let text = address.trim().trim_end_matches('/');
        // `user:password@` must not get into an error message.
        let shown = match (text.find("://"), text.rfind('@')) {
            (Some(scheme), Some(at)) if at > scheme => {
                format!("{}://...{}", &text[..scheme], &text[at..])
            }
            _ => text.to_owned(),
        };
        let invalid = |reason: &str| VaultConfigError::Address {
            address: shown.clone(),
            reason: reason.to_owned(),
        };
        let uri: Uri = text.parse().map_err(|error| invalid(&format!("{error}")))?;
        let is_https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(invalid("it does not begin with `https://` or `http://`")),
        };
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if authority.is_empty() {
            return Err(invalid("it names no host"));
        }
        if authority.contains('@') {
            return Err(invalid("it has credentials, which Vault does not take"));
        }
        if uri.query().is_some() {
            return Err(invalid("it has a query"));
        }
        Ok(Self {
            address: text.to_owned(),
            is_https,
            namespace: None,
            ca_certificates: None,
            blocking: Blocking::default(),
        })
    }

    pub(super) fn set_namespace(&mut self, namespace: &str) -> Result<(), VaultConfigError> {
        let namespace = namespace.trim().trim_matches('/');
        let value = HeaderValue::from_str(namespace).map_err(|_| VaultConfigError::Namespace {
            namespace: namespace.to_owned(),
        })?;
        self.namespace = (!value.is_empty()).then_some(value);
        Ok(())
    }

    pub(super) fn set_ca_certificates(&mut self, path: PathBuf) {
        self.ca_certificates = Some(path);
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Asks Vault for `path` below `/v1/`, and gives what it answered with a success.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&SecretString>,
        body: Bytes,
    ) -> Result<Bytes, Failure> {
        let request = self.request(method, path, token, body)?;
        let answer = tokio::time::timeout(REQUEST_TIMEOUT, self.send(request)).await;
        let (status, body) = answer.unwrap_or_else(|_| {
            let seconds = REQUEST_TIMEOUT.as_secs();
            Err(Failure::unavailable(format!(
                "no answer within {seconds} s"
            )))
        })?;
        if status.is_success() {
            return Ok(body);
        }
        let mut said = answer::errors(status, &body);
        // It does not repeat what it was sent, but who knows what is in front of it.
        if let Some(token) = token {
            said = said.replace(token.expose_secret(), "[redacted]");
        }
        Err(Failure {
            body,
            ..failure(status, &said)
        })
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        token: Option<&SecretString>,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, Failure> {
        let uri = format!("{}/v1/{path}", self.address);
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .header(header::USER_AGENT, USER_AGENT)
            // Vault's agent and proxy may want it, as a protection against forged requests.
            .header("x-vault-request", "true");
        if let Some(namespace) = &self.namespace {
            request = request.header("x-vault-namespace", namespace);
        }
        if let Some(token) = token {
            let mut value = HeaderValue::from_str(token.expose_secret()).map_err(|_| Failure {
                status: None,
                kind: SecretErrorKind::Invalid,
                reason: "the token has characters that a header cannot have".to_owned(),
                hint: None,
                body: Bytes::new(),
            })?;
            value.set_sensitive(true);
            request = request.header("x-vault-token", value);
        }
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        // The parts were checked when they were given.
        request
            .body(Full::new(body))
            .map_err(|error| Failure::unavailable(error.to_string()))
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), Failure> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        // A new connection each time: it is wanted once a minute at most, and an old one may be dead.
        let client = HttpClient::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .clone();
        let sent = if self.is_https {
            connector.enforce_http(false);
            let connector = HttpsConnectorBuilder::new()
                .with_tls_config(self.tls().await?)
                .https_only()
                .enable_http1()
                .wrap_connector(connector);
            client.build(connector).request(request).await
        } else {
            client.build(connector).request(request).await
        };
        let response = sent.map_err(|error| Failure::unavailable(chain(&error)))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body
            .map_err(|error| Failure::unavailable(format!("the answer cannot be read: {error}")))?;
        Ok((head.status, body.to_bytes()))
    }

    async fn tls(&self) -> Result<ClientConfig, Failure> {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::unavailable(format!("TLS cannot be set up: {error}"))
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(&error))?;
        let Some(path) = self.ca_certificates.clone() else {
            let config = config.with_platform_verifier();
            return Ok(config
                .map_err(|error| failed(&error))?
                .with_no_client_auth());
        };
        let name = format!("file `{}`", path.display());
        let file = name.clone();
        let read = move || crate::file::read(&path, &file);
        let certificates = self.blocking.run(&name, read).await;
        let certificates = certificates.map_err(|error| failed(&error))?;
        let mut roots = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&certificates) {
            let added = certificate.map(|certificate| roots.add(certificate));
            if !matches!(added, Ok(Ok(()))) {
                return Err(failed(&format!(
                    "{name} has something that is no certificate"
                )));
            }
        }
        if roots.is_empty() {
            return Err(failed(&format!("{name} has no certificate")));
        }
        Ok(config.with_root_certificates(roots).with_no_client_auth())
    }
}

/// What a status other than success means.
fn failure(status: StatusCode, said: &str) -> Failure {
    use SecretErrorKind::{Invalid, Missing, Refused, Unavailable};
    let (kind, hint) = match status.as_u16() {
        400 => (Invalid, None),
        403 => (
            Refused,
            Some(
                "the token must be valid, and one of its policies allow `read` on that path, which for version 2 \
                 has `data/` after the mount",
            ),
        ),
        404 => (
            Missing,
            Some("look with `vault kv get`; the path begins with the mount"),
        ),
        503 if said.contains("sealed") => (
            Unavailable,
            Some("unseal it, `vault operator unseal`; it is asked again in the background"),
        ),
        300..400 => (
            Unavailable,
            Some(
                "redirects are not followed; give the address of the active node, or of a load balancer",
            ),
        ),
        _ => (Unavailable, None),
    };
    Failure {
        status: Some(status),
        kind,
        reason: format!("HTTP status {}: {said}", status.as_u16()),
        hint,
        body: Bytes::new(),
    }
}

/// An error and what it was caused by, without repetitions.
fn chain(error: &hyper_util::client::legacy::Error) -> String {
    let mut text = "cannot be reached".to_owned();
    let mut source = error.source();
    while let Some(cause) = source {
        let part = cause.to_string();
        if !text.contains(&part) {
            let _ = write!(text, ": {part}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_cannot_be_used_says_why() {
        let check = |address: &str, expected: &str| {
            let error = Client::new(address).err().unwrap().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        };
        check("", "is not one such as");
        check("vault:8200", "does not begin with");
        check("unix:///run/vault.sock", "is not one such as");
        check("https://bob:hunter2@vault", "has credentials");
        check("https://vault/?a=b", "has a query");
        assert_eq!(
            Client::new(" https://vault:8200/ ").unwrap().address(),
            "https://vault:8200"
        );
    }
}
