//! The pipeline does not observe itself: what its HTTP and gRPC client logs on the pipeline's
//! threads is not recorded, or one export would cause the next.

use std::net::TcpListener;
use std::time::Duration;

use ringlight::{FlushError, LogFormat, Signal};

#[test]
fn exporting_records_nothing() {
    // Takes connections, so that the client has a conversation to log about, and says nothing, so
    // that nobody else in this process logs.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let telemetry = ringlight::builder()
        .environment([("RUST_LOG", "trace")])
        .otlp_endpoint(format!("http://{}", silent.local_addr().unwrap()))
        .log_format(LogFormat::Off)
        .init()
        .unwrap();
    tracing::info_span!("only this").in_scope(|| tracing::info!("and this"));
    let flushed = telemetry.flush(Duration::from_millis(500));
    assert!(matches!(flushed, Err(FlushError::Timeout { .. })));
    let ledger = telemetry.shutdown(Duration::from_millis(500));
    assert!(ledger.balances(), "{ledger:?}");
    for signal in [Signal::Traces, Signal::Logs] {
        assert_eq!(ledger.account(signal).submitted, 1, "{signal}");
    }
}
