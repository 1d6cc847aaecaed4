//! Where an OTLP exporter sends, parsed once.

use std::fmt;
#[cfg(feature = "tls")]
use std::path::PathBuf;
#[cfg(feature = "tls")]
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use ringlight_collector::Notices;
use ringlight_model::Signal;
use ringlight_secrets::SecretHeaders;

use crate::secret::Headers;

use crate::compress::Compression;
use crate::endpoint::{Endpoint, EndpointError};
#[cfg(feature = "tls")]
use crate::tls::{Tls, TlsFiles};

/// Destination of an OTLP exporter: an endpoint for all signals, endpoints for single signals, headers,
/// compression, and certificates.
///
/// Headers often hold credentials, so `Debug` shows their names only.
#[derive(Clone)]
pub struct OtlpConfig {
    endpoint: String,
    signal_endpoints: [Option<String>; Signal::ALL.len()],
    headers: Vec<(String, String)>,
    secret: Option<SecretHeaders>,
    compression: Compression,
    notices: Notices,
    #[cfg(feature = "tls")]
    tls_files: TlsFiles,
}

impl OtlpConfig {
    /// Everything goes to `endpoint`, an `http://` or `https://` address such as `http://localhost:4317`.
    ///
    /// The HTTP exporter appends `/v1/traces` and so on to its path.
    #[must_use]
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            signal_endpoints: [const { None }; 4],
            headers: Vec::new(),
            secret: None,
            compression: Compression::None,
            notices: Notices::default(),
            #[cfg(feature = "tls")]
            tls_files: TlsFiles::default(),
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

    /// How requests are compressed. Default: not at all, as the OTLP specification has it.
    #[must_use]
    pub const fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Who is told of what changes about the way to the destination
    /// ([`Notice::Transport`](ringlight_collector::Notice::Transport)). Default: nobody.
    #[must_use]
    pub fn notices(mut self, notices: Notices) -> Self {
        self.notices = notices;
        self
    }

    /// A PEM file with the certificates of the authorities that may vouch for the server. They take the
    /// place of those that the platform trusts.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn ca_certificate_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.tls_files.ca_certificates = Some(path.into());
        self
    }

    /// PEM files with the certificate by which this client shows who it is, those that lead to its
    /// authority after it, and with the private key.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn client_identity_files(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        self.tls_files.identity = Some((certificate.into(), key.into()));
        self
    }

    /// The files above are looked at again when a connection is made, if this time has passed since the
    /// last look; what has changed is used from then on. Default 5 s.
    #[cfg(feature = "tls")]
    #[must_use]
    pub const fn certificate_reload_interval(mut self, interval: Duration) -> Self {
        self.tls_files.reload_interval = interval;
        self
    }

    /// Reads the files with certificates and keys, as the first connection will. The exporters can be built
    /// without it: a file that is not there yet makes attempts fail until it is.
    ///
    /// # Errors
    /// One of them cannot be read, or is not what it should be.
    #[cfg(feature = "tls")]
    pub fn check_certificate_files(&self) -> Result<(), EndpointError> {
        self.tls_files.client_config(&[]).map(|_| ())
    }

    pub(crate) const fn compression_of_requests(&self) -> Compression {
        self.compression
    }

    pub(crate) fn notices_hook(&self) -> Notices {
        self.notices.clone()
    }

    /// TLS for connections that offer these protocols. `name` is the destination's.
    #[cfg(feature = "tls")]
    pub(crate) fn tls(&self, alpn: &'static [&'static [u8]], name: &str) -> Tls {
        let (files, notices) = (self.tls_files.clone(), self.notices.clone());
        Tls::new(files, alpn, name.to_owned(), notices)
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

/// Whether a header belongs to the protocol.
pub(crate) fn is_reserved(name: &HeaderName) -> bool {
    RESERVED.contains(&name.as_str()) || name.as_str().ends_with("-bin")
}

/// Headers that belong to the protocol.
const RESERVED: [&str; 12] = [
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "grpc-accept-encoding",
    "grpc-encoding",
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
        let headers = self.headers.iter().map(|(name, _)| name);
        let mut debug = f.debug_struct("OtlpConfig");
        debug
            .field("endpoint", &shown(&self.endpoint))
            .field("signal_endpoints", &signals.collect::<Vec<_>>())
            .field("headers", &headers.collect::<Vec<_>>())
            .field("headers_from", &self.secret)
            .field("compression", &self.compression);
        #[cfg(feature = "tls")]
        debug.field("tls_files", &self.tls_files);
        debug.finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn protocol_headers_cannot_be_overridden() {
        for name in ["Content-Type", "host", "ringlight-batch-id", "x-y-bin"] {
            let error = OtlpConfig::new("http://h").header(name, "x").headers();
            assert!(matches!(error, Err(EndpointError::Header { .. })), "{name}");
        }
        let bad = OtlpConfig::new("http://h").header("no name", "x").headers();
        assert!(bad.unwrap_err().to_string().contains("`no name`"));
    }
}
