//! `OTEL_EXPORTER_OTLP_*` and what the code has in their place: protocol, compression, certificates.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use ringlight::{Builder, Compression, InitError, LogFormat, Protocol};
use ringlight_testing::{Authority, Backend, Format, Seen, TlsSetup};
use tracing::{info, info_span};

const LONG: Duration = Duration::from_secs(20);

/// Says to this binary that it is to record a span and nothing else.
const CHILD: &str = "RINGLIGHT_TEST_CHILD";

fn builder() -> Builder {
    ringlight::builder()
        .service_name("tested")
        .log_format(LogFormat::Off)
}

/// Records a span and a log record, and returns what the backend saw at the end.
fn record(builder: Builder, backend: Backend) -> Seen {
    let (dispatch, telemetry) = builder.build().unwrap();
    tracing::dispatcher::with_default(&dispatch, || {
        let _span = info_span!("work").entered();
        info!("working");
    });
    let ledger = telemetry.shutdown(LONG);
    let seen = backend.stop();
    seen.assert_agrees_with(&ledger);
    assert_eq!((seen.spans().len(), seen.log_records().len()), (1, 1));
    seen
}

/// A backend with TLS that takes clients of its own authority alone, and the files to reach it.
struct Secure {
    backend: Backend,
    folder: tempfile::TempDir,
    ca: PathBuf,
    client: (PathBuf, PathBuf),
}

impl Secure {
    fn start() -> Self {
        let authority = Authority::new();
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, authority.certificate()).unwrap();
        let client = authority.client("tested").write(folder.path());
        let backend = Backend::start_tls(TlsSetup {
            identity: authority.server(),
            client_authority: Some(authority.certificate().to_owned()),
        });
        Self {
            backend,
            folder,
            ca,
            client,
        }
    }
}

#[test]
fn variables_choose_protocol_and_compression() {
    let check = |protocol: &str, compression: &str, format: Format| {
        let backend = Backend::start();
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", backend.url()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.to_owned()),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", compression.to_owned()),
        ];
        let seen = record(builder().environment(variables), backend);
        let expected = if compression == "none" {
            ""
        } else {
            compression
        };
        for request in &seen.requests {
            assert_eq!(request.compression, expected, "{protocol}");
            // The ledger's reports, too.
            assert_eq!(request.format, format, "{protocol}");
        }
    };
    let names: &[&str] = if cfg!(feature = "zstd") {
        &["none", "gzip", "zstd"]
    } else {
        &["none", "gzip"]
    };
    for compression in names {
        check("grpc", compression, Format::Grpc);
        check("http/protobuf", compression, Format::Protobuf);
        check("http/json", compression, Format::Json);
    }
}

#[test]
fn variables_name_authority_and_client_certificate() {
    for protocol in ["grpc", "http/protobuf", "http/json"] {
        let secure = Secure::start();
        let file = |path: &PathBuf| path.to_str().unwrap().to_owned();
        let (certificate, key) = &secure.client;
        let variables = [
            ("OTLP_ENDPOINT", secure.backend.url()),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.to_owned()),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", file(&secure.ca)),
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", file(certificate)),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", file(key)),
        ];
        let seen = record(builder().environment(variables), secure.backend);
        let shown = |request: &ringlight_testing::Received| request.client_certificate.is_some();
        assert!(seen.requests.iter().all(shown), "{protocol}");
    }
}

#[test]
fn an_endpoint_without_a_scheme_is_spoken_to_with_tls() {
    let secure = Secure::start();
    let variables = [
        (
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            secure.backend.address().to_string(),
        ),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc".to_owned()),
    ];
    let (certificate, key) = &secure.client;
    let builder = builder()
        .environment(variables)
        .otlp_certificate(&secure.ca)
        .otlp_client_certificate(certificate, key);
    record(builder, secure.backend);
}

#[test]
fn what_the_code_says_holds_over_variables() {
    let secure = Secure::start();
    let variables = [
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/nowhere.pem"),
        ("OTEL_EXPORTER_OTLP_CLIENT_KEY", "/nowhere.pem"),
    ];
    let (certificate, key) = &secure.client;
    let builder = builder()
        .environment(variables)
        .otlp_endpoint(secure.backend.url())
        .otlp_protocol(Protocol::HttpJson)
        .otlp_compression(Compression::Gzip)
        .otlp_certificate(&secure.ca)
        .otlp_client_certificate(certificate, key);
    let seen = record(builder, secure.backend);
    for request in seen.data() {
        assert_eq!(request.format, Format::Json);
        assert_eq!(request.compression, "gzip");
    }
}

#[test]
fn a_bad_file_stops_the_start_only_where_the_code_names_it() {
    let secure = Secure::start();
    let bad = secure.folder.path().join("bad.pem");
    std::fs::write(&bad, "not a certificate").unwrap();
    let of_code = |builder: Builder| {
        let started = builder
            .environment([("", "")])
            .otlp_endpoint(secure.backend.url())
            .build();
        let error = started.map(|_| ()).unwrap_err();
        assert!(matches!(error, InitError::Certificate { .. }), "{error}");
        error.to_string()
    };
    let error = of_code(builder().otlp_certificate(&bad));
    assert!(error.starts_with("`otlp_certificate` in code"), "{error}");
    assert!(error.contains("bad.pem"), "{error}");
    let (certificate, _) = &secure.client;
    let error = of_code(builder().otlp_client_certificate(certificate, &bad));
    assert!(error.starts_with("`otlp_client_certificate`"), "{error}");

    // It may be there later.
    let file = secure.folder.path().join("late.pem");
    let (certificate, key) = &secure.client;
    let variables = [("OTEL_EXPORTER_OTLP_CERTIFICATE", file.to_str().unwrap())];
    let builder = builder()
        .environment(variables)
        .otlp_endpoint(secure.backend.url())
        .otlp_client_certificate(certificate, key);
    let (dispatch, telemetry) = builder.build().unwrap();
    tracing::dispatcher::with_default(&dispatch, || drop(info_span!("work").entered()));
    std::fs::copy(&secure.ca, &file).unwrap();
    telemetry.flush(LONG).unwrap();
    let ledger = telemetry.shutdown(LONG);
    secure.backend.stop().assert_agrees_with(&ledger);
}

/// What a process of its own records, with the variables of the test that started it.
#[test]
fn a_span_of_this_process() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let (dispatch, telemetry) = builder().build().unwrap();
    tracing::dispatcher::with_default(&dispatch, || drop(info_span!("work").entered()));
    telemetry.shutdown(LONG);
}

/// The files of the platform are found by `SSL_CERT_FILE`, which a process has from the beginning.
#[cfg(target_os = "linux")]
#[test]
fn whom_the_platform_trusts_is_trusted() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, authority.certificate()).unwrap();
    for protocol in ["grpc", "http/protobuf"] {
        let backend = Backend::start_tls(TlsSetup::new(authority.server()));
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "a_span_of_this_process"])
            .env_clear()
            .env(CHILD, "1")
            .env("SSL_CERT_FILE", &ca)
            .env("OTLP_ENDPOINT", backend.url())
            .env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
            .status();
        assert!(status.unwrap().success());
        assert_eq!(backend.stop().spans().len(), 1, "{protocol}");
    }
}
