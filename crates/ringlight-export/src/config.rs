//! Where an OTLP exporter sends, parsed once.

use std::fmt;

use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use ringlight_model::Signal;
use ringlight_secrets::SecretHeaders;

use crate::secret::Headers;

/// Destination of an OTLP exporter: an endpoint for all signals, endpoints for single signals, and
/// headers.
///
/// Headers often hold credentials, so `Debug` shows their names only.
#[derive(Clone)]
pub struct OtlpConfig {
    endpoint: String,
    signal_endpoints: [Option<String>; Signal::ALL.len()],
    headers: Vec<(String, String)>,
    secret: Option<SecretHeaders>,
}

impl OtlpConfig {
    /// Everything goes to `endpoint`, an `http://` address such as `http://localhost:4317`.
    ///
    /// The HTTP exporter appends `/v1/traces` and so on to its path.
    #[must_use]
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            signal_endpoints: [const { None }; 4],
            headers: Vec::new(),
            secret: None,
        }
    }

    /// One signal goes elsewhere. The HTTP exporter uses this address as it is, without appending
    /// a path.
    #[must_use]
    pub fn signal_endpoint(mut self, signal: Signal, endpoint: impl Into<String>) -> Self {
        self.signal_endpoints[signal as usize] = Some(endpoint.into());
        self
    }

    /// A header, or metadata entry, of every request.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Headers of every request that come of a secret, as they are then; they take the place of those given above
    /// that have the same names.
    ///
    /// While they are required and not there, no request is sent, and attempts are to be repeated. Where the backend refuses them (HTTP 401 or
    /// 403, `UNAUTHENTICATED`, `PERMISSION_DENIED`), their source is asked, and the attempt is to be repeated if
    /// it has others; otherwise the batch is refused for good, as without them.
    #[must_use]
    pub fn headers_from(mut self, secret: SecretHeaders) -> Self {
        self.secret = Some(secret);
        self
    }

    /// The endpoint of a signal, and whether it is the signal's own.
    pub(crate) fn endpoint_of(&self, signal: Signal) -> Result<(Endpoint, bool), EndpointError> {
        let own = self.signal_endpoints[signal as usize].as_deref();
        let endpoint = Endpoint::parse(own.unwrap_or(&self.endpoint))?;
        Ok((endpoint, own.is_some()))
    }

    /// Whether spans and log records go to one backend, as far as addresses tell. `base` is that of the
    /// backend by the endpoint of a signal and whether that is the signal's own.
    pub(crate) fn is_one_backend(
        &self,
        base: impl Fn(Signal, &Endpoint, bool) -> String,
    ) -> Result<bool, EndpointError> {
        let of = |signal| {
            let (endpoint, is_own) = self.endpoint_of(signal)?;
            Ok(base(signal, &endpoint, is_own))
        };
        Ok(of(Signal::Traces)? == of(Signal::Logs)?)
    }

    /// The endpoint that names the destination.
    pub(crate) fn main_endpoint(&self) -> Result<Endpoint, EndpointError> {
        Endpoint::parse(&self.endpoint)
    }

    /// All headers, for an exporter, which adds its own.
    pub(crate) fn request_headers(&self) -> Result<Headers, EndpointError> {
        Ok(Headers::new(self.headers()?, self.secret.clone()))
    }

    pub(crate) fn headers(&self) -> Result<HeaderMap, EndpointError> {
        let mut headers = HeaderMap::with_capacity(self.headers.len());
        for (name, value) in &self.headers {
            let refused = |reason| EndpointError::Header {
                name: name.clone(),
                reason,
            };
            let name = HeaderName::from_bytes(name.as_bytes())
                .map_err(|_| refused("its name is not a header name"))?;
            if is_reserved(&name) {
                return Err(refused("it is set by the protocol"));
            }
            // The value stays out of the error: it may be a secret.
            let mut value = HeaderValue::from_str(value)
                .map_err(|_| refused("its value has characters a header cannot have"))?;
            value.set_sensitive(true);
            headers.append(name, value);
        }
        Ok(headers)
    }
}

/// The port of an `http://` address that names none.
const HTTP_PORT: u16 = 80;

/// Whether a header belongs to the protocol.
pub(crate) fn is_reserved(name: &HeaderName) -> bool {
    RESERVED.contains(&name.as_str()) || name.as_str().ends_with("-bin")
}

/// Headers that belong to the protocol.
const RESERVED: [&str; 9] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "ringlight-batch-id",
    "te",
    "transfer-encoding",
    "user-agent",
];

impl fmt::Debug for OtlpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |text: &str| match Endpoint::parse(text) {
            Ok(endpoint) => endpoint.to_string(),
            Err(_) => "(invalid)".to_owned(),
        };
        let signals = self.signal_endpoints.iter().flatten().map(|e| shown(e));
        f.debug_struct("OtlpConfig")
            .field("endpoint", &shown(&self.endpoint))
            .field("signal_endpoints", &signals.collect::<Vec<_>>())
            .field(
                "headers",
                &self
                    .headers
                    .iter()
                    .map(|(name, _)| name)
                    .collect::<Vec<_>>(),
            )
            .field("headers_from", &self.secret)
            .finish()
    }
}

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
}

/// An `http://` address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) authority: Authority,
    /// Begins with `/`, does not end with one unless it is all; may have a query.
    pub(crate) path: String,
}

impl Endpoint {
    fn parse(text: &str) -> Result<Self, EndpointError> {
        let text = text.trim();
        // `user:password@` must not get into an error message.
        let shown = match (text.find("://"), text.rfind('@')) {
            (Some(scheme), Some(at)) if at > scheme => {
                format!("{}://...{}", &text[..scheme], &text[at..])
            }
            _ => text.to_owned(),
        };
        let invalid = |reason: &str| EndpointError::Invalid {
            endpoint: shown.clone(),
            reason: reason.to_owned(),
        };
        if text.is_empty() {
            return Err(invalid("it is empty"));
        }
        let uri: Uri = text.parse().map_err(|error| invalid(&format!("{error}")))?;
        match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => {}
            Some(scheme) if *scheme == Scheme::HTTPS => {
                return Err(EndpointError::TlsUnavailable { endpoint: shown });
            }
            Some(scheme) => {
                return Err(invalid(&format!("the scheme is `{scheme}`, not `http`")));
            }
            None => return Err(invalid("it does not begin with `http://`")),
        }
        let Some(authority) = uri.authority().cloned() else {
            return Err(invalid("it names no host"));
        };
        if authority.as_str().contains('@') {
            return Err(invalid(
                "credentials belong in a header, not in the address",
            ));
        }
        if authority.host().is_empty() {
            return Err(invalid("it names no host"));
        }
        if let Some(port) = bad_port(&authority) {
            return Err(invalid(&format!(
                "the port is `{port}`, allowed is 1 to 65535"
            )));
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let trimmed = path.trim_end_matches('/');
        Ok(Self {
            authority,
            path: if trimmed.is_empty() { "/" } else { trimmed }.to_owned(),
        })
    }

    /// The address of the host alone.
    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.authority)
    }

    /// The same for people, with the port that is meant where none is given.
    pub(crate) fn shown_origin(&self) -> String {
        let (host, port) = (self.authority.host(), self.authority.port_u16());
        format!("http://{host}:{}", port.unwrap_or(HTTP_PORT))
    }

    /// The whole address with something appended to the path.
    pub(crate) fn with_suffix(&self, suffix: &str) -> String {
        let (path, query) = match self.path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (self.path.as_str(), None),
        };
        let path = path.trim_end_matches('/');
        match query {
            Some(query) => format!("http://{}{path}{suffix}?{query}", self.authority),
            None => format!("http://{}{path}{suffix}", self.authority),
        }
    }
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
            let error = OtlpConfig::new(text).main_endpoint().unwrap_err();
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
        check("https://example.com", "needs TLS, which this build");
        check(
            "http://bob:hunter2@example.com",
            "credentials belong in a header",
        );
    }

    #[test]
    fn nothing_secret_is_shown() {
        let config = OtlpConfig::new("http://bob:hunter2@example.com:4317")
            .header("authorization", "Bearer hunter2");
        let error = config.main_endpoint().unwrap_err();
        let query = OtlpConfig::new("http://example.com/otlp?token=hunter2");
        let value = config
            .clone()
            .header("x-key", "hunter2\n")
            .headers()
            .unwrap_err();
        for text in [
            format!("{config:?}"),
            format!("{error} {error:?}"),
            format!("{query:?} {}", query.main_endpoint().unwrap()),
            format!("{value} {value:?}"),
            format!("{:?}", config.headers().unwrap()),
        ] {
            assert!(!text.contains("hunter2"), "{text}");
        }
    }

    #[test]
    fn an_address_is_shown_with_its_port() {
        let check = |text: &str, expected: &str| {
            let endpoint = OtlpConfig::new(text).main_endpoint().unwrap();
            assert_eq!(endpoint.to_string(), expected);
        };
        check("http://127.0.0.1", "http://127.0.0.1:80");
        check("http://[::1]/otlp", "http://[::1]:80/otlp");
        check("http://h:4318/otlp/", "http://h:4318/otlp");
    }

    #[test]
    fn a_path_is_appended_before_the_query() {
        let endpoint = |text: &str| OtlpConfig::new(text).main_endpoint().unwrap();
        let check = |text: &str, expected: &str| {
            assert_eq!(endpoint(text).with_suffix("/v1/logs"), expected);
        };
        check("http://h:4318", "http://h:4318/v1/logs");
        check("http://h:4318/", "http://h:4318/v1/logs");
        check("http://h/otlp/", "http://h/otlp/v1/logs");
        check("http://h/otlp?t=1", "http://h/otlp/v1/logs?t=1");
    }

    #[test]
    fn protocol_headers_cannot_be_overridden() {
        for name in ["Content-Type", "host", "ringlight-batch-id", "x-y-bin"] {
            let error = OtlpConfig::new("http://h").header(name, "x").headers();
            assert!(matches!(error, Err(EndpointError::Header { .. })), "{name}");
        }
        let bad = OtlpConfig::new("http://h").header("no name", "x").headers();
        assert!(bad.unwrap_err().to_string().contains("`no name`"));
    }
}
