//! Backends that are not there, come late, hang, or go away.

use std::net::TcpListener;
use std::sync::mpsc::channel;
use std::time::Duration;

use ringlight_collector::{CollectorConfig, ExportError, Notice, Notices};
use ringlight_export::OtlpConfig;
#[cfg(not(feature = "tls"))]
use ringlight_export::{EndpointError, OtlpGrpcExporter, OtlpHttpExporter};
use ringlight_model::{DropReason, Signal};
use ringlight_testing::{Backend, Reply};

use crate::support::{
    PATIENCE, PROTOCOLS, Protocol, batch, config, export_once, record_span, runtime, start,
};

#[test]
fn fault_13_nobody_there_is_unreachable_and_says_why() {
    for protocol in PROTOCOLS {
        let address = Backend::nobody();
        let exporter = protocol.exporter(&OtlpConfig::new(format!("http://{address}")));
        let error = export_once(&exporter).unwrap_err();
        assert!(
            matches!(error, ExportError::Unreachable { .. }),
            "{error:?}"
        );
        assert!(
            error.to_string().to_lowercase().contains("refused"),
            "{error}"
        );
    }
}

#[test]
fn fault_13_a_name_that_does_not_resolve_is_unreachable() {
    for protocol in PROTOCOLS {
        let exporter = protocol.exporter(&OtlpConfig::new("http://nowhere.invalid:4317"));
        let error = export_once(&exporter).unwrap_err();
        assert!(
            matches!(error, ExportError::Unreachable { .. }),
            "{error:?}"
        );
    }
}

#[test]
fn something_else_on_the_port_is_an_error_and_not_a_hang() {
    // An SSH server, say: it speaks first, then hangs up.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        for stream in listener.incoming().take(PROTOCOLS.len()) {
            let mut stream = stream.unwrap();
            stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n").unwrap();
            let _ = stream.read(&mut [0; 1024]);
        }
    });
    for protocol in PROTOCOLS {
        let exporter = protocol.exporter(&OtlpConfig::new(format!("http://{address}")));
        let error = export_once(&exporter).unwrap_err();
        assert!(error.is_retryable(), "{error:?}");
    }
    server.join().unwrap();
}

#[cfg(not(feature = "tls"))]
#[test]
fn fault_18_without_tls_an_https_endpoint_is_an_error_and_never_plain_text() {
    let config = OtlpConfig::new("https://example.com:4317");
    for error in [
        OtlpGrpcExporter::new(&config).unwrap_err(),
        OtlpHttpExporter::new(&config).unwrap_err(),
        OtlpGrpcExporter::new(
            &OtlpConfig::new("http://h").signal_endpoint(Signal::Logs, "https://h"),
        )
        .unwrap_err(),
    ] {
        assert!(
            matches!(error, EndpointError::TlsUnavailable { .. }),
            "{error}"
        );
    }
}

#[test]
fn an_exporter_is_built_outside_of_any_runtime_and_used_on_several() {
    for protocol in PROTOCOLS {
        let backend = Backend::start();
        let exporter = protocol.exporter(&OtlpConfig::new(backend.url()));
        export_once(&exporter).unwrap();
        // The first runtime is gone, and its connection with it.
        let again = export_once(&exporter);
        let once_more = export_once(&exporter);
        assert!(
            again.is_ok() || once_more.is_ok(),
            "{protocol:?} {again:?} {once_more:?}"
        );
    }
}

#[test]
fn a_connection_is_kept_for_the_next_batch() {
    for protocol in PROTOCOLS {
        let backend = Backend::start();
        let exporter = protocol.exporter(&OtlpConfig::new(backend.url()));
        runtime().block_on(async {
            for sequence in 1..=5 {
                exporter.export_boxed(batch(sequence)).await.unwrap();
            }
        });
        assert_eq!(backend.stop().connections, 1, "{protocol:?}");
    }
}

#[test]
fn an_attempt_that_was_given_up_takes_its_connection_with_it() {
    for protocol in PROTOCOLS {
        let backend = Backend::start();
        backend.script([Reply::Hang]);
        let exporter = protocol.exporter(&OtlpConfig::new(backend.url()));
        runtime().block_on(async {
            let attempt = exporter.export_boxed(batch(1));
            let given_up = tokio::select! {
                _ = attempt => false,
                () = async {
                    while backend.seen().hanging == 0 {
                        tokio::task::yield_now().await;
                    }
                } => true,
            };
            assert!(given_up, "a hanging backend does not answer");
            exporter.export_boxed(batch(2)).await.unwrap();
        });
        assert_eq!(backend.stop().connections, 2, "{protocol:?}");
    }
}

#[test]
fn a_backend_that_starts_late_gets_everything() {
    for protocol in PROTOCOLS {
        let address = Backend::nobody();
        let (told, tellings) = channel();
        let pipeline = start(
            CollectorConfig {
                notices: Notices::new(move |notice| {
                    let _ = told.send(notice.clone());
                }),
                ..config()
            },
            protocol.exporter(&OtlpConfig::new(format!("http://{address}"))),
        );
        let recorder = pipeline.recorder();
        for number in 1..=1_000 {
            assert!(record_span(&recorder, number));
        }
        let notice = tellings.recv_timeout(PATIENCE).unwrap();
        assert!(matches!(notice, Notice::Unreachable { .. }), "{notice}");

        let backend = Backend::start_at(address);
        let seen = backend.wait_for(|seen| seen.spans().len() == 1_000);
        // Over HTTP/1, one for each request that is under way at a time.
        let most = match protocol {
            Protocol::Grpc => 1,
            Protocol::Http | Protocol::Json => CollectorConfig::default().concurrent_exports_max,
        };
        let connections = seen.connections;
        assert!(connections <= most, "{protocol:?}: {connections}");
        let notice = tellings.recv_timeout(PATIENCE).unwrap();
        assert!(matches!(notice, Notice::Recovered { .. }), "{notice}");
        let ledger = pipeline.shutdown(PATIENCE);
        assert_eq!(ledger.account(Signal::Traces).exported, 1_000);
    }
}

#[test]
fn a_backend_that_restarts_gets_everything() {
    for protocol in PROTOCOLS {
        let backend = Backend::start();
        let address = backend.address();
        let pipeline = start(config(), protocol.exporter(&OtlpConfig::new(backend.url())));
        let recorder = pipeline.recorder();
        record_span(&recorder, 1);
        pipeline.flush(PATIENCE).unwrap();
        assert_eq!(backend.stop().spans().len(), 1);
        record_span(&recorder, 2);
        let backend = Backend::start_at(address);
        pipeline.flush(PATIENCE).unwrap();
        assert_eq!(backend.stop().spans().len(), 1);
        let ledger = pipeline.shutdown(PATIENCE);
        assert!(ledger.balances(), "{ledger:?}");
        assert_eq!(ledger.account(Signal::Traces).exported, 2);
    }
}

#[test]
fn fault_13_a_backend_that_says_goaway_gets_everything() {
    const ROUNDS: u64 = 50;
    const RECORDS: u64 = 20;
    for protocol in PROTOCOLS {
        let backend = Backend::start();
        let pipeline = start(
            CollectorConfig {
                batch_records_max: 2,
                ..config()
            },
            protocol.exporter(&OtlpConfig::new(backend.url())),
        );
        let recorder = pipeline.recorder();
        backend.set_default(Reply::Delayed(Duration::from_millis(1)));
        for round in 0..ROUNDS {
            let answered = backend.seen().requests.len();
            for number in 1..=RECORDS {
                assert!(record_span(&recorder, round * RECORDS + number));
            }
            // Once while requests are under way, once while there are none.
            backend.wait_for(|seen| seen.requests.len() > answered);
            backend.go_away();
            pipeline.flush(PATIENCE).unwrap();
            backend.go_away();
        }
        let ledger = pipeline.shutdown(PATIENCE);
        let seen = backend.stop();
        seen.assert_agrees_with(&ledger);
        let exported = ledger.account(Signal::Traces).exported;
        assert_eq!(exported, ROUNDS * RECORDS, "{protocol:?}");
        assert!(seen.connections as u64 >= ROUNDS, "{protocol:?}");
    }
}

#[test]
fn fault_14_a_backend_that_hangs_costs_a_timeout_and_nothing_else() {
    for protocol in PROTOCOLS {
        let backend = Backend::start();
        backend.script([Reply::Hang]);
        let pipeline = start(
            CollectorConfig {
                export_timeout: Duration::from_millis(50),
                ..config()
            },
            protocol.exporter(&OtlpConfig::new(backend.url())),
        );
        record_span(&pipeline.recorder(), 1);
        pipeline.flush(PATIENCE).unwrap();
        assert_eq!(backend.seen().hanging, 1);
        let ledger = pipeline.shutdown(PATIENCE);
        assert_eq!(ledger.account(Signal::Traces).exported, 1);
    }
}

#[test]
fn fault_12_an_answer_that_drips_costs_a_timeout_and_nothing_else() {
    for protocol in PROTOCOLS {
        let backend = Backend::start();
        backend.script([Reply::Drip(Duration::from_millis(1))]);
        let pipeline = start(
            CollectorConfig {
                export_timeout: Duration::from_millis(50),
                ..config()
            },
            protocol.exporter(&OtlpConfig::new(backend.url())),
        );
        record_span(&pipeline.recorder(), 1);
        pipeline.flush(PATIENCE).unwrap();
        let ledger = pipeline.shutdown(PATIENCE);
        let seen = backend.stop();
        seen.assert_agrees_with(&ledger);
        assert!(seen.data().count() > 1, "{protocol:?}");
        assert_eq!(ledger.account(Signal::Traces).exported, 1);
    }
}

#[test]
fn fault_14_shutdown_leaves_a_hanging_backend_by_its_deadline() {
    for protocol in PROTOCOLS {
        let backend = Backend::start();
        backend.set_default(Reply::Hang);
        backend.set_reports(Reply::Hang);
        let pipeline = start(config(), protocol.exporter(&OtlpConfig::new(backend.url())));
        record_span(&pipeline.recorder(), 1);
        backend.wait_for(|seen| seen.hanging > 0);
        pipeline.shutdown(Duration::from_millis(50));
        // On a busy machine the collector may get to count only after the deadline.
        let account = loop {
            let account = *pipeline.ledger().account(Signal::Traces);
            assert!(account.balances());
            if account.in_flight == 0 {
                break account;
            }
            std::thread::yield_now();
        };
        assert_eq!(account.dropped[DropReason::Shutdown], 1);
    }
}
