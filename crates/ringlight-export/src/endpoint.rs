//! Addresses, and why one cannot be used.

use std::fmt;

use http::Uri;
use http::uri::{Authority, Scheme};

/// An exporter cannot be built from these settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// The endpoint is not an address.
    #[error("endpoint `{endpoint}` is not an address such as `http://localhost:4317`: {reason}")]
    Invalid {
        /// The endpoint, without credentials.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The endpoint asks for TLS, which this build does not have. It is never sent in the clear
    /// instead.
    #[error(
        "endpoint `{endpoint}` needs TLS, which this build of ringlight does not have; use an \
         `http://` endpoint, for instance of a collector on this machine"
    )]
    TlsUnavailable {
        /// The endpoint, without credentials.
        endpoint: String,
    },
    /// A header cannot be sent.
    #[error("header `{name}` cannot be sent: {reason}")]
    Header {
        /// Its name.
        name: String,
        /// Why not.
        reason: &'static str,
    },
    /// A file with certificates or a key cannot be used.
    #[error("file `{path}` cannot be used for TLS: {reason}")]
    CertificateFile {
        /// Which.
        path: String,
        /// Why not.
        reason: String,
    },
}

const IN_A_HEADER: &str = "credentials belong in a header, not in the address";

/// The port of an address that names none, in the clear and with TLS.
const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// An `http://` or `https://` address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) is_tls: bool,
    pub(crate) authority: Authority,
    /// Begins with `/`, does not end with one unless it is all; may have a query.
    pub(crate) path: String,
}

impl Endpoint {
    pub(crate) fn parse(text: &str) -> Result<Self, EndpointError> {
        let text = text.trim();
        let shown = without_secrets(text);
        let invalid = |reason: &str| EndpointError::Invalid {
            endpoint: shown.clone(),
            reason: reason.to_owned(),
        };
        if text.is_empty() {
            return Err(invalid("it is empty"));
        }
        let uri: Uri = text.parse().map_err(|error| invalid(&format!("{error}")))?;
        let is_tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) => {
                return Err(invalid(&format!(
                    "the scheme is `{scheme}`, not `http` or `https`"
                )));
            }
            None => return Err(invalid("it does not begin with `http://` or `https://`")),
        };
        if is_tls && !cfg!(feature = "tls") {
            return Err(EndpointError::TlsUnavailable { endpoint: shown });
        }
        let Some(authority) = uri.authority().cloned() else {
            return Err(invalid("it names no host"));
        };
        if authority.as_str().contains('@') {
            return Err(invalid(IN_A_HEADER));
        }
        if authority.host().is_empty() {
            return Err(invalid("it names no host"));
        }
        if let Some(port) = bad_port(&authority) {
            // A password with a `/` in it ends the host too soon.
            if text.contains('@') {
                return Err(invalid(IN_A_HEADER));
            }
            return Err(invalid(&format!(
                "the port is `{port}`, allowed is 1 to 65535"
            )));
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let trimmed = path.trim_end_matches('/');
        Ok(Self {
            is_tls,
            authority,
            path: if trimmed.is_empty() { "/" } else { trimmed }.to_owned(),
        })
    }

    /// The address of the host alone.
    pub(crate) fn origin(&self) -> String {
        format!("{}://{}", self.scheme(), self.authority)
    }

    const fn usual_port(&self) -> u16 {
        if self.is_tls { HTTPS_PORT } else { HTTP_PORT }
    }

    pub(crate) const fn scheme(&self) -> &'static str {
        if self.is_tls { "https" } else { "http" }
    }

    /// The same for people, with the port that is meant where none is given.
    pub(crate) fn shown_origin(&self) -> String {
        let (host, port) = (self.authority.host(), self.authority.port_u16());
        let port = port.unwrap_or(self.usual_port());
        format!("{}://{host}:{port}", self.scheme())
    }

    /// The whole address with something appended to the path.
    pub(crate) fn with_suffix(&self, suffix: &str) -> String {
        let (path, query) = match self.path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (self.path.as_str(), None),
        };
        let path = path.trim_end_matches('/');
        match query {
            Some(query) => format!("{}{path}{suffix}?{query}", self.origin()),
            None => format!("{}{path}{suffix}", self.origin()),
        }
    }
}

/// An address as it may get into an error message: without `user:password@`, and without the query, which may hold a
/// token. Where an `@` comes after a `?`, either may be part of a password, and nothing is shown.
fn without_secrets(text: &str) -> String {
    let (scheme, rest) = match text.find("://") {
        Some(at) => text.split_at(at + "://".len()),
        None => ("", text),
    };
    let (before, query) = match rest.find(['?', '#']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    if query.contains('@') {
        return format!("{scheme}...");
    }
    let shown = match before.rfind('@') {
        Some(at) => format!("...{}", &before[at..]),
        None => before.to_owned(),
    };
    let query = if query.is_empty() { "" } else { "?..." };
    format!("{scheme}{shown}{query}")
}

/// What stands after the host and is not a port, which the parser of addresses lets pass.
fn bad_port(authority: &Authority) -> Option<&str> {
    let port = authority.as_str().strip_prefix(authority.host())?;
    let port = port.strip_prefix(':')?;
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    let is_good = is_number && port.parse::<u16>().is_ok_and(|port| port > 0);
    (!is_good).then_some(port)
}

/// With the port that is meant where none is given, and without the query, which may hold a token.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.split('?').next().unwrap_or("/");
        f.write_str(&self.shown_origin())?;
        f.write_str(path.trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_cannot_be_used_says_why() {
        let check = |text: &str, expected: &str| {
            let error = Endpoint::parse(text).unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        };
        check("", "it is empty");
        check("localhost:4317", "not an address");
        check("ftp://localhost", "the scheme is `ftp`");
        check("/just/a/path", "does not begin with `http://`");
        check("http://", "not an address");
        let port = |port: &str| format!("the port is `{port}`, allowed is 1 to 65535");
        check("http://127.0.0.1:99999", &port("99999"));
        check("http://h:abc/v1/traces", &port("abc"));
        check("http://h:", &port(""));
        check("http://h:0", &port("0"));
        check("http://h:+80", &port("+80"));
        check("http://[::1]:65536", &port("65536"));
        if !cfg!(feature = "tls") {
            check("https://example.com", "needs TLS, which this build");
        }
        check(
            "http://bob:hunter2@example.com",
            "credentials belong in a header",
        );
    }

    #[test]
    fn an_endpoint_that_cannot_be_used_is_not_told_with_its_secrets() {
        let check = |text: &str, shown: &str| {
            let said = Endpoint::parse(text).unwrap_err().to_string();
            assert!(said.contains(&format!("`{shown}`")), "{said}");
            assert!(!said.contains("s3") && !said.contains("cret"), "{said}");
        };
        check("ftp://h/?token=s3cret", "ftp://h/?...");
        check("http://h:99999#s3cret", "http://h:99999?...");
        check("http://me:s3cret@h/?token=s3cret", "http://...@h/?...");
        check("http://me:s3/cret@h", "http://...@h");
        check("http://me:s3?cret@h", "http://...");
        check("me:s3cret@h:4317", "...@h:4317");
        check("h:4317/?token=s3cret", "h:4317/?...");
    }

    #[test]
    fn an_address_is_shown_with_its_port() {
        let check = |text: &str, expected: &str| {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), expected);
        };
        if cfg!(feature = "tls") {
            check("https://h/otlp", "https://h:443/otlp");
        }
        check("http://127.0.0.1", "http://127.0.0.1:80");
        check("http://[::1]/otlp", "http://[::1]:80/otlp");
        check("http://h:4318/otlp/", "http://h:4318/otlp");
    }

    #[test]
    fn a_path_is_appended_before_the_query() {
        let check = |text: &str, expected: &str| {
            let endpoint = Endpoint::parse(text).unwrap();
            assert_eq!(endpoint.with_suffix("/v1/logs"), expected);
        };
        check("http://h:4318", "http://h:4318/v1/logs");
        check("http://h:4318/", "http://h:4318/v1/logs");
        check("http://h/otlp/", "http://h/otlp/v1/logs");
        check("http://h/otlp?t=1", "http://h/otlp/v1/logs?t=1");
    }
}
