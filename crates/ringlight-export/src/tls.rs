//! TLS: whom to trust, who we are, and what went wrong, in words.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use ringlight_collector::{Notice, Notices};
use rustls::client::WantsClientCert;
use rustls::crypto::ring;
use rustls::{AlertDescription, CertificateError, ClientConfig, ConfigBuilder, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use rustls_platform_verifier::BuilderVerifierExt as _;

use crate::endpoint::EndpointError;

/// What is read of a file. A bundle of every public authority has a quarter of a megabyte.
const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// How long what was read counts as new.
const RELOAD_INTERVAL: Duration = Duration::from_secs(5);

/// Files with certificates and keys, all PEM.
#[derive(Debug, Clone)]
pub(crate) struct TlsFiles {
    /// Authorities, in place of those the platform trusts.
    pub(crate) ca_certificates: Option<PathBuf>,
    /// Our certificate with those that lead to its authority, and its key.
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
    pub(crate) reload_interval: Duration,
}

impl Default for TlsFiles {
    fn default() -> Self {
        Self {
            ca_certificates: None,
            identity: None,
            reload_interval: RELOAD_INTERVAL,
        }
    }
}

impl TlsFiles {
    /// Reads the files. Blocks, also to ask the platform whom it trusts.
    pub(crate) fn client_config(&self, alpn: &[&[u8]]) -> Result<ClientConfig, EndpointError> {
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(Path::new("(none)"), error))?;
        let builder: ConfigBuilder<ClientConfig, WantsClientCert> = match &self.ca_certificates {
            Some(path) => builder.with_root_certificates(authorities(path)?),
            None => builder
                .with_platform_verifier()
                .map_err(|error| unusable(Path::new("(those the platform trusts)"), error))?,
        };
        let mut config = match &self.identity {
            Some((certificate, key)) => {
                let chain = certificates(certificate)?;
                let key_der = PrivateKeyDer::from_pem_slice(&read(key)?)
                    .map_err(|error| unusable(key, format_args!("no private key: {error}")))?;
                // Says so, too, if the key is that of another certificate.
                builder
                    .with_client_auth_cert(chain, key_der)
                    .map_err(|error| unusable(key, error))?
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Ok(config)
    }

    /// What tells the files of now from those that were read, as far as can be told without reading them.
    fn stamps(&self) -> Vec<Option<Stamp>> {
        let identity = self.identity.as_ref();
        let paths = [
            self.ca_certificates.as_ref(),
            identity.map(|(certificate, _)| certificate),
            identity.map(|(_, key)| key),
        ];
        paths.into_iter().flatten().map(|p| Stamp::of(p)).collect()
    }
}

/// When and how long a file is, and which, since names are often moved to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    size_bytes: u64,
    file: u64,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        #[cfg(unix)]
        let file = std::os::unix::fs::MetadataExt::ino(&metadata);
        #[cfg(not(unix))]
        let file = 0;
        Some(Self {
            modified: metadata.modified().ok(),
            size_bytes: metadata.len(),
            file,
        })
    }
}

fn unusable(path: &Path, reason: impl ToString) -> EndpointError {
    EndpointError::CertificateFile {
        path: path.display().to_string(),
        reason: reason.to_string(),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, EndpointError> {
    let read = || {
        let mut bytes = Vec::new();
        let file = File::open(path)?;
        file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > FILE_BYTES_MAX {
            return Err(io::Error::other("it is larger than 8 MiB"));
        }
        Ok(bytes)
    };
    read().map_err(|error| unusable(path, error))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, EndpointError> {
    let bytes = read(path)?;
    let certificates = CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>();
    let certificates = certificates.map_err(|error| unusable(path, error))?;
    if certificates.is_empty() {
        return Err(unusable(path, "it has no certificate in PEM"));
    }
    Ok(certificates)
}

fn authorities(path: &Path) -> Result<RootCertStore, EndpointError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|error| unusable(path, error))?;
    }
    Ok(roots)
}

/// The settings of TLS connections, made anew when the files have changed.
pub(crate) struct Tls {
    /// Held by the thread that looks at the files, which may hang: nobody else then does.
    reader: Arc<tokio::sync::Mutex<Reader>>,
    /// What was good last, for connections that are made meanwhile.
    current: Arc<Mutex<Option<Arc<ClientConfig>>>>,
}

struct Reader {
    files: TlsFiles,
    alpn: &'static [&'static [u8]],
    stamps: Vec<Option<Stamp>>,
    looked: Option<Instant>,
    /// The destination, for notices.
    name: String,
    notices: Notices,
}

impl Tls {
    pub(crate) fn new(
        files: TlsFiles,
        alpn: &'static [&'static [u8]],
        name: String,
        notices: Notices,
    ) -> Self {
        Self {
            reader: Arc::new(tokio::sync::Mutex::new(Reader {
                files,
                alpn,
                stamps: Vec::new(),
                looked: None,
                name,
                notices,
            })),
            current: Arc::default(),
        }
    }

    /// The settings for a new connection.
    pub(crate) async fn client_config(&self) -> Result<Arc<ClientConfig>, EndpointError> {
        let known = lock(&self.current).clone();
        let mut reader = match (Arc::clone(&self.reader).try_lock_owned(), known) {
            (Err(_), Some(known)) => return Ok(known),
            (Err(_), None) => Arc::clone(&self.reader).lock_owned().await,
            (Ok(reader), Some(known)) if reader.has_just_looked() => return Ok(known),
            (Ok(reader), _) => reader,
        };
        let current = Arc::clone(&self.current);
        let look = tokio::task::spawn_blocking(move || reader.look(&current));
        look.await
            .unwrap_or_else(|error| Err(unusable(Path::new("(any)"), error)))
    }
}

impl Reader {
    fn has_just_looked(&self) -> bool {
        let looked = self.looked;
        looked.is_some_and(|looked| looked.elapsed() < self.files.reload_interval)
    }

    /// Looks at the files, and reads them if they are others than before.
    fn look(
        &mut self,
        current: &Mutex<Option<Arc<ClientConfig>>>,
    ) -> Result<Arc<ClientConfig>, EndpointError> {
        let known = lock(current).clone();
        self.looked = Some(Instant::now());
        // Before they are read: what changes after this shows at the next look.
        let stamps = self.files.stamps();
        if let Some(known) = &known
            && stamps == self.stamps
        {
            return Ok(Arc::clone(known));
        }
        self.stamps = stamps;
        match (self.files.client_config(self.alpn), known) {
            (Ok(config), _) => {
                let config = Arc::new(config);
                *lock(current) = Some(Arc::clone(&config));
                Ok(config)
            }
            (Err(error), Some(known)) => {
                self.notices.send(&Notice::Transport {
                    destination: self.name.clone(),
                    message: format!("{error}; what was read before it changed stays in use"),
                });
                Ok(known)
            }
            (Err(error), None) => Err(error),
        }
    }
}

fn lock(
    current: &Mutex<Option<Arc<ClientConfig>>>,
) -> std::sync::MutexGuard<'_, Option<Arc<ClientConfig>>> {
    // It is only ever replaced as a whole.
    current.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The same error, in words where it is one of TLS.
pub(crate) fn explained(error: io::Error) -> io::Error {
    let text = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>())
        .map(explain);
    match text {
        Some(text) => io::Error::new(error.kind(), text),
        None => error,
    }
}

/// As [`explained`], of an error in the handshake. There a server that does not speak TLS ends the connection, or says
/// something else.
pub(crate) fn explained_handshake(error: io::Error) -> io::Error {
    use io::ErrorKind as K;
    match error.kind() {
        K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe | K::UnexpectedEof => {
            let text = format!(
                "the server ended the connection in the TLS handshake: {error}; hint: it does not seem to {HTTP}"
            );
            io::Error::new(error.kind(), text)
        }
        _ => explained(error),
    }
}

const HTTP: &str = "speak TLS at that port; if it does not, its endpoint begins with `http://`";

fn explain(error: &rustls::Error) -> String {
    use rustls::Error as E;
    let hint = match error {
        E::InvalidCertificate(reason) => return explain_certificate(reason),
        E::AlertReceived(
            AlertDescription::CertificateRequired | AlertDescription::HandshakeFailure,
        ) => {
            "the server may want a client certificate: `OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE` and \
             `OTEL_EXPORTER_OTLP_CLIENT_KEY`"
        }
        E::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError,
        ) => "the server does not accept the client certificate",
        E::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            "the server speaks another protocol than the one that is configured"
        }
        E::AlertReceived(AlertDescription::ProtocolVersion) | E::PeerIncompatible(_) => {
            "TLS 1.2 and 1.3 are spoken here"
        }
        E::InvalidMessage(_) => {
            return format!("TLS: {error}; hint: the server does not seem to {HTTP}");
        }
        _ => return format!("TLS: {error}"),
    };
    format!("TLS: {error}; hint: {hint}")
}

fn explain_certificate(reason: &CertificateError) -> String {
    use CertificateError as C;
    let (what, hint) = match reason {
        // The signature is bad where an authority was made anew under its old name.
        C::UnknownIssuer | C::BadSignature => (
            "is from an authority that is not trusted here".to_owned(),
            "name the authority's certificate in `OTEL_EXPORTER_OTLP_CERTIFICATE`",
        ),
        C::Expired | C::ExpiredContext { .. } => (
            "has expired".to_owned(),
            "renew it on the server, or look at this machine's clock",
        ),
        C::NotValidYet | C::NotValidYetContext { .. } => (
            "is not valid yet".to_owned(),
            "look at this machine's clock",
        ),
        C::NotValidForName | C::NotValidForNameContext { .. } => (
            "is for another name than that in the endpoint".to_owned(),
            "use the name that the certificate has, or have one made for this name",
        ),
        other => (format!("cannot be accepted: {other}"), ""),
    };
    let text = format!("TLS: the server's certificate {what}");
    if hint.is_empty() {
        text
    } else {
        format!("{text}; hint: {hint}")
    }
}
