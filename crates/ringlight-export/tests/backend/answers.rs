//! What each answer of a backend means.

use std::time::Duration;

use ringlight_collector::{ExportError, ExportOutcome};
use ringlight_export::OtlpConfig;
use ringlight_model::Signal;
use ringlight_testing::{Backend, Code, Reply};

use crate::support::{
    PROTOCOLS, Protocol, batch, config, export_once, record_span, runtime, start,
};

/// Compressions of answers that are understood.
const ENCODINGS: &[&str] = if cfg!(feature = "zstd") {
    &["gzip", "zstd"]
} else {
    &["gzip"]
};

/// What one attempt comes to.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Taken,
    Again,
    AgainAfter(Duration),
    Never,
    TooLarge,
    Unsupported,
    Unreachable,
}

fn verdict(protocol: Protocol, reply: Reply) -> Verdict {
    let backend = Backend::start();
    backend.set_default(reply);
    let exporter = protocol.exporter(&OtlpConfig::new(backend.url()));
    match export_once(&exporter) {
        Ok(_) => Verdict::Taken,
        Err(ExportError::Retryable { after: None, .. }) => Verdict::Again,
        Err(ExportError::Retryable {
            after: Some(after), ..
        }) => Verdict::AgainAfter(after),
        Err(ExportError::Permanent { .. }) => Verdict::Never,
        Err(ExportError::TooLarge { .. }) => Verdict::TooLarge,
        Err(ExportError::Unsupported { .. }) => Verdict::Unsupported,
        Err(ExportError::Unreachable { .. }) => Verdict::Unreachable,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn fault_10_every_grpc_status_means_what_the_table_says() {
    for number in 1..=16 {
        let code = Code(number);
        let expected = match code {
            Code::CANCELLED
            | Code::DEADLINE_EXCEEDED
            | Code::ABORTED
            | Code::OUT_OF_RANGE
            | Code::UNAVAILABLE
            | Code::DATA_LOSS => Verdict::Again,
            Code::UNIMPLEMENTED => Verdict::Unsupported,
            _ => Verdict::Never,
        };
        assert_eq!(
            verdict(Protocol::Grpc, Reply::Grpc(code, None)),
            expected,
            "{code:?}"
        );
    }
}

#[test]
fn retry_info_makes_exhaustion_temporary_and_is_heeded() {
    let delay = Duration::from_millis(1_500);
    for code in [Code::RESOURCE_EXHAUSTED, Code::UNAVAILABLE] {
        let reply = Reply::Grpc(code, Some(delay));
        assert_eq!(
            verdict(Protocol::Grpc, reply),
            Verdict::AgainAfter(delay),
            "{code:?}"
        );
    }
    let reply = Reply::Grpc(Code::INVALID_ARGUMENT, Some(delay));
    assert_eq!(verdict(Protocol::Grpc, reply), Verdict::Never);
}

#[test]
fn a_message_too_large_for_the_server_stays_too_large() {
    let tonic =
        "Error, decoded message length too large: found 5000000 bytes, the limit is: 4194304 bytes";
    let go = "grpc: received message larger than max (5000000 vs. 4194304)";
    for reply in [
        Reply::GrpcMessage(Code::OUT_OF_RANGE, tonic),
        Reply::GrpcMessage(Code::RESOURCE_EXHAUSTED, go),
        Reply::Http(413, None),
    ] {
        let name = format!("{reply:?}");
        assert_eq!(verdict(Protocol::Grpc, reply), Verdict::TooLarge, "{name}");
    }
}

#[test]
fn fault_10_every_http_status_means_what_the_table_says() {
    for number in [
        400, 401, 403, 404, 405, 408, 409, 413, 415, 418, 429, 500, 501, 502, 503, 504,
    ] {
        let expected = match number {
            429 | 502 | 503 | 504 => Verdict::Again,
            404 | 501 => Verdict::Unsupported,
            413 => Verdict::TooLarge,
            _ => Verdict::Never,
        };
        assert_eq!(
            verdict(Protocol::Http, Reply::Http(number, None)),
            expected,
            "{number}"
        );
    }
    for number in [200, 202, 204] {
        let reply = Reply::Http(number, None);
        assert_eq!(verdict(Protocol::Http, reply), Verdict::Taken, "{number}");
    }
}

#[test]
fn the_address_of_a_single_signal_without_its_path_is_told_what_to_add() {
    let check = |path: &str, hint: Option<&str>| {
        let backend = Backend::start();
        let address = format!("{}{path}", backend.url());
        let config = OtlpConfig::new(&address).signal_endpoint(Signal::Traces, &address);
        let outcome = export_once(&Protocol::Http.exporter(&config));
        match (outcome, hint) {
            (Ok(_), None) => {}
            (Err(ExportError::Unsupported { reason }), Some(hint)) => {
                assert!(reason.contains("404"), "{reason}");
                assert!(reason.ends_with(hint), "{reason}");
            }
            (outcome, _) => panic!("{address}: {outcome:?}"),
        }
    };
    check("/v1/traces", None);
    let hint = "hint: the endpoint of a single signal is used as it is, add `/v1/traces`";
    check("", Some(hint));
    check("/otlp/", Some(hint));
}

#[test]
fn an_http_status_instead_of_a_grpc_answer_is_understood() {
    let check = |number, expected| {
        let reply = Reply::Http(number, None);
        assert_eq!(verdict(Protocol::Grpc, reply), expected, "{number}");
    };
    check(503, Verdict::Again);
    check(404, Verdict::Unsupported);
    check(401, Verdict::Never);
    check(500, Verdict::Never);
}

#[test]
fn fault_11_retry_after_is_read_in_every_form() {
    let check = |value: &str, expected| {
        let reply = Reply::Http(503, Some(value.to_owned()));
        assert_eq!(verdict(Protocol::Http, reply), expected, "{value}");
    };
    check("7", Verdict::AgainAfter(Duration::from_secs(7)));
    check(
        "Sun, 06 Nov 1994 08:49:37 GMT",
        Verdict::AgainAfter(Duration::ZERO),
    );
    check("when it suits you", Verdict::Again);
    let absurd = Duration::from_secs(1_000_000_000_000_000_000);
    check("1000000000000000000", Verdict::AgainAfter(absurd));
}

#[test]
fn partial_success_is_not_an_error() {
    for protocol in PROTOCOLS {
        let backend = Backend::start();
        backend.set_default(Reply::Partial {
            rejected: 3,
            message: "three have no name",
        });
        let exporter = protocol.exporter(&OtlpConfig::new(backend.url()));
        let expected = ExportOutcome {
            rejected: 3,
            message: Some("three have no name".to_owned()),
            ..ExportOutcome::default()
        };
        let outcome = ExportOutcome {
            wire_bytes: 0,
            ..export_once(&exporter).unwrap()
        };
        assert_eq!(outcome, expected, "{protocol:?}");
    }
}

#[test]
fn a_success_that_cannot_be_understood_is_a_success() {
    for protocol in PROTOCOLS {
        assert_eq!(
            verdict(protocol, Reply::Garbage),
            Verdict::Taken,
            "{protocol:?}"
        );
    }
}

#[test]
fn fault_12_a_response_without_end_is_cut_off_for_good() {
    for protocol in PROTOCOLS {
        let endless = verdict(protocol, Reply::Endless);
        assert_eq!(endless, Verdict::Never, "{protocol:?}");
        assert_eq!(
            verdict(protocol, Reply::Huge(5 << 20)),
            Verdict::Never,
            "{protocol:?}"
        );
        assert_eq!(
            verdict(protocol, Reply::Huge(1 << 20)),
            Verdict::Taken,
            "{protocol:?}"
        );
    }
}

#[test]
fn fault_12_a_bomb_is_cut_off_at_what_is_read_of_a_response() {
    for protocol in PROTOCOLS {
        for &encoding in ENCODINGS {
            for (bytes, expected) in [(4 << 20, Verdict::Taken), (32 << 20, Verdict::Never)] {
                let reply = Reply::Bomb { encoding, bytes };
                let name = format!("{protocol:?} {reply:?}");
                assert_eq!(verdict(protocol, reply), expected, "{name}");
            }
        }
    }
}

#[test]
fn fault_12_a_success_of_any_other_kind_is_a_success() {
    for (content_type, body) in [
        ("text/html", "<html>fine"),
        ("application/json", "{\"partialSuccess\":"),
        ("application/json", "\u{feff}[]"),
        ("application/x-protobuf", "{}"),
        ("application/x-protobuf; charset=utf-8", "\u{1}\u{2}"),
        ("", ""),
    ] {
        for protocol in [Protocol::Http, Protocol::Json] {
            let reply = Reply::Says {
                status: 200,
                content_type,
                body,
            };
            let verdict = verdict(protocol, reply);
            assert_eq!(verdict, Verdict::Taken, "{protocol:?} {content_type}");
        }
    }
}

#[test]
fn an_error_says_what_the_server_said_in_whatever_form() {
    let check = |content_type, body, expected: &str| {
        for protocol in [Protocol::Http, Protocol::Json] {
            let backend = Backend::start();
            backend.set_default(Reply::Says {
                status: 400,
                content_type,
                body,
            });
            let exporter = protocol.exporter(&OtlpConfig::new(backend.url()));
            let error = export_once(&exporter).unwrap_err().to_string();
            assert_eq!(error, expected, "{protocol:?}");
        }
    };
    let json = r#"{"code":3,"message":"no \"name\"","details":[{}]}"#;
    check("application/json", json, "HTTP status 400: no \"name\"");
    let text = "HTTP status 400: no name";
    check(
        "application/json; charset=utf-8",
        r#"{"message":"no name"}"#,
        text,
    );
    check(
        "application/x-protobuf",
        "\u{8}\u{3}\u{12}\u{7}no name",
        text,
    );
    check("text/plain", "no name\n", text);
    check("application/json", "no name", text);
    check("application/json", "", "HTTP status 400: Bad Request");
    // Of a shape that is the server's own.
    let json = r#"{"error":"no name"}"#;
    check(
        "application/json",
        json,
        "HTTP status 400: {\"error\":\"no name\"}",
    );
}

#[test]
fn a_compressed_answer_is_understood() {
    for protocol in PROTOCOLS {
        for &encoding in ENCODINGS {
            let backend = Backend::start();
            backend.set_default(Reply::PartialCompressed {
                encoding,
                rejected: 2,
                message: "two have no name",
            });
            let exporter = protocol.exporter(&OtlpConfig::new(backend.url()));
            let outcome = export_once(&exporter).unwrap();
            assert_eq!(outcome.rejected, 2, "{protocol:?} {encoding}");
            let message = outcome.message.as_deref();
            assert_eq!(message, Some("two have no name"));
            let seen = backend.stop();
            let offered = match protocol {
                Protocol::Grpc => seen.requests[0].header("grpc-accept-encoding"),
                _ => seen.requests[0].header("accept-encoding"),
            };
            assert!(offered.contains(encoding), "{offered}");
            assert_eq!(offered.contains("zstd"), cfg!(feature = "zstd"));
        }
    }
}

#[test]
fn what_is_larger_than_otlp_has_is_not_sent() {
    let backend = Backend::start();
    for protocol in PROTOCOLS {
        let mut large = batch(1);
        large.bytes = vec![0; (64 << 20) + 1].into();
        let exporter = protocol.exporter(&OtlpConfig::new(backend.url()));
        let sent = runtime().block_on(exporter.export_boxed(large));
        assert!(
            matches!(sent, Err(ExportError::TooLarge { .. })),
            "{sent:?}"
        );
    }
    assert_eq!(backend.stop().connections, 0);
}

#[test]
fn a_redirect_is_not_followed() {
    let elsewhere = Backend::start();
    for protocol in PROTOCOLS {
        let reply = Reply::Redirect(format!("{}/v1/traces", elsewhere.url()));
        assert_eq!(verdict(protocol, reply), Verdict::Never, "{protocol:?}");
    }
    assert!(elsewhere.stop().requests.is_empty());
}

#[test]
fn fault_13_a_connection_that_breaks_without_an_answer_means_again() {
    for protocol in PROTOCOLS {
        for reply in [Reply::Reset, Reply::TakeAndReset, Reply::Cut] {
            let name = format!("{protocol:?} {reply:?}");
            assert_eq!(verdict(protocol, reply), Verdict::Unreachable, "{name}");
        }
    }
}

#[test]
fn a_request_carries_what_it_should() {
    for protocol in PROTOCOLS {
        let backend = Backend::start();
        let config = OtlpConfig::new(backend.url())
            .header("x-tenant", "shop")
            .header("Authorization", "Bearer secret");
        let exporter = protocol.exporter(&config);
        export_once(&exporter).unwrap();
        let seen = backend.stop();
        let request = &seen.requests[0];
        assert_eq!(request.format, protocol.format());
        assert_eq!(request.signal, Signal::Traces);
        assert_eq!(request.batch_id(), "test-1");
        assert_eq!(request.header("x-tenant"), "shop");
        assert_eq!(request.header("authorization"), "Bearer secret");
        assert!(
            request.header("user-agent").starts_with("ringlight/"),
            "{request:?}"
        );
        assert_eq!(seen.spans()[0].name, "alone");
        assert!(!exporter.name_boxed().contains("secret"));
    }
}

#[test]
fn a_signal_can_go_elsewhere() {
    for protocol in PROTOCOLS {
        let (main, own) = (Backend::start(), Backend::start());
        let url = match protocol {
            Protocol::Grpc => own.url(),
            _ => format!("{}/custom/v1/traces", own.url()),
        };
        let config = OtlpConfig::new(main.url()).signal_endpoint(Signal::Traces, url);
        export_once(&protocol.exporter(&config)).unwrap();
        assert_eq!(own.stop().spans().len(), 1);
        assert!(main.stop().requests.is_empty());
    }
}

#[test]
fn throttling_pauses_the_whole_destination() {
    for protocol in PROTOCOLS {
        let backend = Backend::start();
        let delay = Duration::from_millis(1);
        backend.script([match protocol {
            Protocol::Grpc => Reply::Grpc(Code::RESOURCE_EXHAUSTED, Some(delay)),
            _ => Reply::Http(429, Some("0".to_owned())),
        }]);
        let pipeline = start(config(), protocol.exporter(&OtlpConfig::new(backend.url())));
        record_span(&pipeline.recorder(), 1);
        let seen = backend.wait_for(|seen| seen.spans().len() == 1);
        let ids: Vec<_> = seen.requests.iter().map(|r| r.batch_id()).collect();
        assert_eq!(ids.len(), 2);
        assert_eq!(ids[0], ids[1]);
    }
}
