//! What each answer of a backend means.

use std::time::Duration;

use ringlight_collector::{ExportError, ExportOutcome};
use ringlight_export::OtlpConfig;
use ringlight_model::Signal;
use ringlight_testing::{Backend, Code, Reply};

use crate::support::{PROTOCOLS, Protocol, config, export_once, record_span, start};

/// What one attempt comes to.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Taken,
    Again,
    AgainAfter(Duration),
    Never,
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
    let text =
        "Error, decoded message length too large: found 5000000 bytes, the limit is: 4194304 bytes";
    let reply = Reply::GrpcMessage(Code::OUT_OF_RANGE, text);
    assert_eq!(verdict(Protocol::Grpc, reply), Verdict::Never);
}

#[test]
fn fault_10_every_http_status_means_what_the_table_says() {
    for number in [
        400, 401, 403, 404, 405, 408, 409, 413, 415, 418, 429, 500, 501, 502, 503, 504,
    ] {
        let expected = match number {
            429 | 502 | 503 | 504 => Verdict::Again,
            404 | 501 => Verdict::Unsupported,
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
        assert_eq!(export_once(&exporter).unwrap(), expected, "{protocol:?}");
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
fn a_redirect_is_not_followed() {
    let elsewhere = Backend::start();
    for protocol in PROTOCOLS {
        let reply = Reply::Redirect(format!("{}/v1/traces", elsewhere.url()));
        assert_eq!(verdict(protocol, reply), Verdict::Never, "{protocol:?}");
    }
    assert!(elsewhere.stop().requests.is_empty());
}

#[test]
fn a_connection_that_breaks_without_an_answer_means_again() {
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
        assert_eq!(request.is_grpc, protocol == Protocol::Grpc);
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
            Protocol::Http => format!("{}/custom/v1/traces", own.url()),
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
            Protocol::Http => Reply::Http(429, Some("0".to_owned())),
        }]);
        let pipeline = start(config(), protocol.exporter(&OtlpConfig::new(backend.url())));
        record_span(&pipeline.recorder(), 1);
        let seen = backend.wait_for(|seen| seen.spans().len() == 1);
        let ids: Vec<_> = seen.requests.iter().map(|r| r.batch_id()).collect();
        assert_eq!(ids.len(), 2);
        assert_eq!(ids[0], ids[1]);
    }
}
