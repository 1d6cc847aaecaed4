//! TLS: whom to trust, who we are, what changes while it runs.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringlight_collector::{ExportError, ExporterBoxed, Notice, Notices};
use ringlight_export::{EndpointError, OtlpConfig};
use ringlight_testing::{Authority, Backend, Identity, Speech, TlsSetup};

use crate::support::{PROTOCOLS, Protocol, batch, export_at_once, export_once, runtime};

/// A folder with the certificate of an authority.
struct Trust {
    folder: tempfile::TempDir,
    authority: Authority,
}

impl Trust {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let trust = Self {
            folder,
            authority: Authority::new(),
        };
        trust.write(&trust.authority);
        trust
    }

    fn write(&self, authority: &Authority) {
        std::fs::write(self.file(), authority.certificate()).unwrap();
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Files are looked at again with every connection.
    fn config(&self, backend: &Backend) -> OtlpConfig {
        OtlpConfig::new(backend.url())
            .ca_certificate_file(self.file())
            .certificate_reload_interval(Duration::ZERO)
    }

    fn backend(&self, identity: Identity) -> Backend {
        Backend::start_tls(TlsSetup::new(identity))
    }

    /// A backend that takes clients of this authority alone.
    fn strict_backend(&self) -> Backend {
        Backend::start_tls(TlsSetup {
            identity: self.authority.server(),
            client_authority: Some(self.authority.certificate().to_owned()),
        })
    }
}

/// Each attempt on a runtime of its own, so that it has a connection of its own: one attempt may find
/// what the last runtime left.
fn attempt(exporter: &Arc<dyn ExporterBoxed>) -> Result<(), ExportError> {
    match export_once(exporter) {
        Ok(_) => Ok(()),
        Err(_) => export_once(exporter).map(|_| ()),
    }
}

#[track_caller]
fn assert_says(error: &ExportError, words: &[&str]) {
    assert!(
        matches!(error, ExportError::Unreachable { .. }),
        "{error:?}"
    );
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "`{word}` is missing: {text}");
    }
}

#[test]
fn fault_18_a_certificate_that_cannot_be_trusted_is_refused_and_says_why() {
    let trust = Trust::new();
    let stranger = Authority::new();
    let check = |identity: Identity, words: &[&str]| {
        let backend = trust.backend(identity);
        for protocol in PROTOCOLS {
            let error = attempt(&protocol.exporter(&trust.config(&backend))).unwrap_err();
            assert_says(&error, words);
        }
        assert!(backend.stop().requests.is_empty());
    };
    let variable = "hint: name the authority's certificate in `OTEL_EXPORTER_OTLP_CERTIFICATE`";
    check(stranger.server(), &["not trusted here", variable]);
    check(trust.authority.server_expired(), &["has expired", "hint:"]);
    let named = trust.authority.server_named("elsewhere.example");
    check(named, &["for another name", "hint:"]);
}

#[test]
fn fault_18_without_a_file_it_is_the_platform_that_is_asked() {
    let backend = Backend::start_tls(TlsSetup::new(Authority::new().server()));
    for protocol in PROTOCOLS {
        let error = attempt(&protocol.exporter(&OtlpConfig::new(backend.url()))).unwrap_err();
        assert_says(&error, &["TLS", "hint:"]);
    }
    assert!(backend.stop().requests.is_empty());
}

#[test]
fn fault_18_a_client_certificate_is_shown_and_missed_where_there_is_none() {
    let trust = Trust::new();
    let backend = trust.strict_backend();
    for protocol in PROTOCOLS {
        let error = attempt(&protocol.exporter(&trust.config(&backend))).unwrap_err();
        let hint = "hint: the server may want a client certificate: `OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE`";
        assert_says(&error, &[hint]);

        let stranger = Authority::new().client("stranger");
        let (certificate, key) = stranger.write(trust.path());
        let config = trust.config(&backend);
        let exporter = protocol.exporter(&config.client_identity_files(certificate, key));
        let error = attempt(&exporter).unwrap_err();
        assert_says(&error, &["does not accept the client certificate"]);

        let client = trust.authority.client("client");
        let (certificate, key) = client.write(trust.path());
        let config = trust.config(&backend);
        let exporter = protocol.exporter(&config.client_identity_files(certificate, key));
        attempt(&exporter).unwrap();
        let seen = backend.seen();
        let shown = seen.requests.last().unwrap().client_certificate.clone();
        assert_eq!(shown.unwrap(), client.der(), "{protocol:?}");
    }
}

#[test]
fn fault_18_https_where_there_is_no_tls_and_the_other_way_round_is_an_error() {
    let trust = Trust::new();
    let plain = Backend::start();
    let tls = trust.backend(trust.authority.server());
    for protocol in PROTOCOLS {
        let config = OtlpConfig::new(plain.url().replace("http:", "https:"));
        let error = attempt(&protocol.exporter(&config)).unwrap_err();
        assert_says(&error, NO_TLS);
        let config = OtlpConfig::new(tls.url().replace("https:", "http:"));
        let error = attempt(&protocol.exporter(&config)).unwrap_err();
        assert!(matches!(error, ExportError::Unreachable { .. }), "{error}");
    }
    assert!(plain.stop().requests.is_empty());
    assert!(tls.stop().requests.is_empty());
}

/// What is said where a server does not speak TLS.
const NO_TLS: &[&str] = &["does not seem to speak TLS at that port", "`http://`"];

/// A server without TLS that does this with every connection, once the client has said something.
fn plain_server(answer: impl Fn(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // It ends with the process.
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            if connection.peek(&mut [0]).is_ok() {
                answer(connection);
            }
        }
    });
    address
}

/// Until the client has nothing more to say, so that closing is no reset.
fn read_to_end(connection: &mut TcpStream) {
    let _ = connection.read_to_end(&mut Vec::new());
}

#[test]
fn fault_18_a_server_without_tls_is_told_from_one_that_is_away_whatever_it_does() {
    let check = |server: SocketAddr| {
        let config = OtlpConfig::new(format!("https://{server}"));
        for protocol in PROTOCOLS {
            let error = attempt(&protocol.exporter(&config)).unwrap_err();
            assert_says(&error, NO_TLS);
        }
    };
    // What was not read makes it a reset.
    check(plain_server(drop));
    check(plain_server(|mut connection| {
        connection.shutdown(Shutdown::Write).unwrap();
        read_to_end(&mut connection);
    }));
    check(plain_server(|mut connection| {
        let answer = b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n";
        let _ = connection.write_all(answer);
        let _ = connection.shutdown(Shutdown::Write);
        read_to_end(&mut connection);
    }));
}

#[test]
fn renewed_certificates_are_used_without_a_restart() {
    for protocol in PROTOCOLS {
        let trust = Trust::new();
        let old = trust.authority.client("old");
        let (certificate, key) = old.write(trust.path());
        let backend = trust.strict_backend();
        let config = trust.config(&backend);
        let exporter = protocol.exporter(&config.client_identity_files(certificate, key));
        attempt(&exporter).unwrap();

        let new = trust.authority.client("new");
        new.write(trust.path());
        attempt(&exporter).unwrap();
        let shown = |n: usize| backend.seen().requests[n].client_certificate.clone();
        assert_eq!(shown(0).unwrap(), old.der(), "{protocol:?}");
        assert_eq!(shown(1).unwrap(), new.der(), "{protocol:?}");

        // Another authority for the server.
        let address = backend.address();
        backend.stop();
        let successor = Authority::new();
        let speech = ringlight_testing::Speech {
            tls: Some(TlsSetup::new(successor.server())),
            is_http1_only: false,
        };
        let backend = Backend::start_speaking(address, &speech);
        assert_says(&attempt(&exporter).unwrap_err(), &["not trusted here"]);
        trust.write(&successor);
        attempt(&exporter).unwrap();
        assert_eq!(backend.stop().requests.len(), 1, "{protocol:?}");
    }
}

#[test]
fn files_are_not_looked_at_with_every_connection() {
    let trust = Trust::new();
    let backend = trust.backend(trust.authority.server());
    let config = trust.config(&backend);
    let hour = Duration::from_secs(3_600);
    for protocol in PROTOCOLS {
        let config = config.clone().certificate_reload_interval(hour);
        let exporter = protocol.exporter(&config);
        attempt(&exporter).unwrap();
        trust.write(&Authority::new());
        attempt(&exporter).unwrap();
        trust.write(&trust.authority);
    }
}

#[test]
fn a_bad_new_file_keeps_the_old_one_and_says_so_once() {
    for protocol in PROTOCOLS {
        let trust = Trust::new();
        let (certificate, key) = trust.authority.client("client").write(trust.path());
        let backend = trust.strict_backend();
        let said: Arc<Mutex<Vec<String>>> = Arc::default();
        let notices = Notices::new({
            let said = Arc::clone(&said);
            move |notice: &Notice| said.lock().unwrap().push(notice.to_string())
        });
        let config = trust.config(&backend).notices(notices);
        let exporter = protocol.exporter(&config.client_identity_files(&certificate, &key));
        attempt(&exporter).unwrap();
        assert!(said.lock().unwrap().is_empty());

        let new = trust.authority.client("new");
        let mut count = 0;
        for (path, text, words) in [
            (trust.file(), "not a certificate", "no certificate in PEM"),
            (certificate.clone(), &*new.certificate, "identity.key"),
            (key.clone(), "", "no private key"),
        ] {
            let good = std::fs::read(&path).unwrap();
            std::fs::write(&path, text).unwrap();
            for _ in 0..3 {
                attempt(&exporter).unwrap();
            }
            count += 1;
            let said = said.lock().unwrap();
            assert_eq!(said.len(), count, "{said:?}");
            let last = said.last().unwrap();
            assert!(last.contains(words), "{last}");
            assert!(last.contains("stays in use"), "{last}");
            drop(said);
            std::fs::write(&path, good).unwrap();
            attempt(&exporter).unwrap();
        }
    }
}

#[test]
fn a_file_that_is_not_there_yet_is_used_once_it_is() {
    for protocol in PROTOCOLS {
        let trust = Trust::new();
        let backend = trust.backend(trust.authority.server());
        std::fs::remove_file(trust.file()).unwrap();
        let config = trust.config(&backend);
        let unusable = config.check_certificate_files().unwrap_err();
        assert!(matches!(unusable, EndpointError::CertificateFile { .. }));
        let exporter = protocol.exporter(&config);
        let error = attempt(&exporter).unwrap_err();
        assert_says(
            &error,
            &["ca.pem", "cannot be used for TLS", "No such file"],
        );
        trust.write(&trust.authority);
        attempt(&exporter).unwrap();
        config.check_certificate_files().unwrap();
    }
}

#[test]
fn handshakes_are_not_made_in_herds() {
    let trust = Trust::new();
    let backend = trust.backend(trust.authority.server());
    let exporter = Protocol::Grpc.exporter(&trust.config(&backend));
    for result in export_at_once(&exporter, 8) {
        result.unwrap();
    }
    assert_eq!(backend.stop().connections, 1);
}

#[test]
fn who_is_given_up_in_the_handshake_holds_nobody_up() {
    let trust = Trust::new();
    runtime().block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let config =
            OtlpConfig::new(format!("https://{address}")).ca_certificate_file(trust.file());
        let exporter = Protocol::Grpc.exporter(&config);
        let mut first = exporter.export_boxed(batch(1));
        // Nothing is said to it.
        let silent = tokio::select! {
            result = &mut first => panic!("{result:?}"),
            accepted = listener.accept() => accepted.unwrap(),
        };
        drop(listener);
        let mut second = exporter.export_boxed(batch(2));
        tokio::select! {
            biased;
            result = &mut second => panic!("{result:?}"),
            () = tokio::task::yield_now() => {}
        }
        let speech = Speech {
            tls: Some(TlsSetup::new(trust.authority.server())),
            is_http1_only: false,
        };
        let backend = Backend::start_speaking(address, &speech);
        drop(first);
        second.await.unwrap();
        assert_eq!(backend.stop().requests.len(), 1);
        drop(silent);
    });
}
