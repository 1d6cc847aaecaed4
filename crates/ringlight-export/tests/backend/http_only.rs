//! Endpoints for gRPC that turn out to speak HTTP alone.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

use ringlight_collector::{ExportError, ExporterBoxed, Notice, Notices};
use ringlight_export::{OtlpConfig, OtlpExporter};
use ringlight_model::Signal;
use ringlight_testing::{Backend, Code, Format, Reply, Speech};

use crate::support::{batch, export_once, runtime};

/// An exporter, and what it says.
fn exporter(config: OtlpConfig) -> (Arc<dyn ExporterBoxed>, Arc<Mutex<Vec<String>>>) {
    let said = Arc::new(Mutex::new(Vec::new()));
    let notices = Notices::new({
        let said = Arc::clone(&said);
        move |notice: &Notice| said.lock().unwrap().push(notice.to_string())
    });
    let exporter = OtlpExporter::new(&config.notices(notices)).unwrap();
    (Arc::new(exporter), said)
}

fn http1_only() -> Speech {
    Speech {
        is_http1_only: true,
        ..Speech::default()
    }
}

fn anywhere() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0))
}

fn send(exporter: &Arc<dyn ExporterBoxed>, times: u64) {
    runtime().block_on(async {
        for sequence in 1..=times {
            exporter.export_boxed(batch(sequence)).await.unwrap();
        }
    });
}

/// A server that answers the preface of HTTP/2 on one connection, in so many words.
fn says_once(answer: &'static str) -> (SocketAddr, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind(anywhere()).unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut preface = [0; 24];
        stream.read_exact(&mut preface).unwrap();
        assert_eq!(&preface[..3], b"PRI");
        stream.write_all(answer.as_bytes()).unwrap();
        // So that it is read before the connection is reset.
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    (address, server)
}

#[test]
fn a_server_that_answers_http_1_and_then_not_at_all_does_not_speak_grpc() {
    for answer in [
        "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 505 HTTP Version Not Supported\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.0 400 Bad request\r\n\r\n<html>",
        // As servers in Python do.
        "<!DOCTYPE HTML>\n<html lang=\"en\"><title>Error response</title>",
    ] {
        let (address, server) = says_once(answer);
        let (exporter, said) = exporter(OtlpConfig::new(format!("http://{address}")));
        // Over HTTP there is nobody any more: the first answer is what is reported.
        let error = export_once(&exporter).unwrap_err();
        assert!(matches!(error, ExportError::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains("not gRPC"), "{error}");
        server.join().unwrap();
        assert!(said.lock().unwrap().is_empty());
    }
}

#[test]
fn a_backend_without_http_2_gets_everything_over_http_1() {
    let backend = Backend::start_speaking(anywhere(), &http1_only());
    let (exporter, said) = exporter(OtlpConfig::new(backend.url()));
    send(&exporter, 3);
    let seen = backend.stop();
    let formats: Vec<_> = seen.requests.iter().map(|r| r.format).collect();
    assert_eq!(formats, [Format::Protobuf; 3]);
    // One for the attempt at gRPC.
    assert_eq!(seen.connections, 2);
    let said = said.lock().unwrap();
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("OTLP is sent over HTTP"), "{said:?}");
}

#[test]
fn silence_is_no_sign_unless_the_batch_is_taken_over_http() {
    let (address, server) = says_once("");
    let (exporter, said) = exporter(OtlpConfig::new(format!("http://{address}")));
    let error = export_once(&exporter).unwrap_err();
    assert!(matches!(error, ExportError::Unreachable { .. }), "{error}");
    assert!(!error.to_string().contains("not gRPC"), "{error}");
    server.join().unwrap();

    let backend = Backend::start_speaking(address, &http1_only());
    backend.script([Reply::Http(503, None)]);
    assert!(export_once(&exporter).is_err());
    assert!(said.lock().unwrap().is_empty());
    send(&exporter, 1);
    assert_eq!(said.lock().unwrap().len(), 1);
}

#[test]
fn a_server_that_knows_nothing_of_grpc_gets_everything_over_http() {
    for status in [404, 405, 415] {
        let backend = Backend::start();
        backend.script([Reply::Says {
            status,
            content_type: "text/plain",
            body: "no such page",
        }]);
        let (exporter, said) = exporter(OtlpConfig::new(backend.url()));
        send(&exporter, 2);
        let formats: Vec<_> = backend.stop().requests.iter().map(|r| r.format).collect();
        let (grpc, http) = (Format::Grpc, Format::Protobuf);
        assert_eq!(formats, [grpc, http, http]);
        assert_eq!(said.lock().unwrap().len(), 1);
    }
}

#[test]
fn an_outage_and_an_answer_of_grpc_change_nothing() {
    let unreachable = |reply| {
        let backend = Backend::start();
        backend.set_default(reply);
        let (exporter, said) = exporter(OtlpConfig::new(backend.url()));
        assert!(export_once(&exporter).is_err());
        assert!(said.lock().unwrap().is_empty());
        let seen = backend.stop();
        assert!(seen.requests.iter().all(|r| r.format == Format::Grpc));
        assert_eq!(seen.requests.len(), 1);
    };
    unreachable(Reply::Reset);
    unreachable(Reply::Grpc(Code::UNIMPLEMENTED, None));
    unreachable(Reply::Grpc(Code::UNAVAILABLE, None));
    unreachable(Reply::Http(503, None));
    unreachable(Reply::Http(401, None));
    let (exporter, said) = exporter(OtlpConfig::new(format!("http://{}", Backend::nobody())));
    assert!(export_once(&exporter).is_err());
    assert!(said.lock().unwrap().is_empty());
}

#[test]
fn grpc_is_tried_again_once_nobody_answers_over_http() {
    let first = Backend::start_speaking(anywhere(), &http1_only());
    let address = first.address();
    let (exporter, said) = exporter(OtlpConfig::new(first.url()));
    send(&exporter, 1);
    first.stop();
    assert!(export_once(&exporter).is_err());
    let second = Backend::start_at(address);
    send(&exporter, 1);
    assert_eq!(second.stop().requests[0].format, Format::Grpc);
    assert_eq!(said.lock().unwrap().len(), 1);
}

#[test]
fn a_signal_that_the_server_does_not_know_is_given_up() {
    let backend = Backend::start_speaking(anywhere(), &http1_only());
    backend.set_reports(Reply::Http(404, None));
    let (exporter, _) = exporter(OtlpConfig::new(backend.url()));
    // What was found out with spans holds for the others.
    send(&exporter, 1);
    let mut report = batch(2);
    report.signal = Signal::Metrics;
    report.bytes = Default::default();
    let sent = runtime().block_on(exporter.export_boxed(report));
    assert!(
        matches!(sent, Err(ExportError::Unsupported { .. })),
        "{sent:?}"
    );
}

#[test]
fn the_endpoint_of_a_single_signal_gets_the_path_that_http_needs() {
    let check = |path: &str| {
        let backend = Backend::start_speaking(anywhere(), &http1_only());
        let own = format!("{}{path}", backend.url());
        let config = OtlpConfig::new("http://nowhere.invalid").signal_endpoint(Signal::Traces, own);
        send(&exporter(config).0, 1);
        assert_eq!(backend.stop().spans().len(), 1);
    };
    check("");
    check("/");
    check("/prefix/v1/traces");
}

#[cfg(feature = "tls")]
#[test]
fn a_server_that_chooses_http_1_under_tls_gets_everything_over_it() {
    use ringlight_testing::{Authority, TlsSetup};
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, authority.certificate()).unwrap();
    let speech = Speech {
        tls: Some(TlsSetup::new(authority.server())),
        is_http1_only: true,
    };
    let backend = Backend::start_speaking(anywhere(), &speech);
    let (exporter, said) = exporter(OtlpConfig::new(backend.url()).ca_certificate_file(file));
    send(&exporter, 2);
    let seen = backend.stop();
    assert!(seen.requests.iter().all(|r| r.format == Format::Protobuf));
    assert_eq!((seen.requests.len(), said.lock().unwrap().len()), (2, 1));
}
