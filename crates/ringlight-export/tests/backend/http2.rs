//! The connection of gRPC: one for all requests, as long as it is good.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use ringlight_export::OtlpConfig;
use ringlight_model::Signal;
use ringlight_testing::Backend;

use crate::support::{PATIENCE, Protocol, batch, config, export_at_once, record_span, start};

// Length, type, flags and stream of each frame, and what is in it.
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
const PING: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// The last stream that was taken, for no reason.
const fn goaway(last: u8) -> [u8; 17] {
    [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, last, 0, 0, 0, 0]
}

/// The frame type of a request's data.
const DATA: u8 = 0;
/// The frame type of a `PING` and of its answer.
const PONG: u8 = 6;

/// Accepts a connection and reads a request from it.
fn accept_request(listener: &TcpListener) -> TcpStream {
    let (mut stream, _) = listener.accept().unwrap();
    stream.write_all(&SETTINGS).unwrap();
    // With these words HTTP/2 begins.
    stream.read_exact(&mut [0; 24]).unwrap();
    read_until(&mut stream, DATA);
    stream
}

/// Reads frames up to one of this type.
fn read_until(stream: &mut TcpStream, kind: u8) {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        stream.read_exact(&mut vec![0; length]).unwrap();
        if head[3] == kind {
            break;
        }
    }
}

#[test]
fn requests_that_come_at_once_share_one_connection() {
    let backend = Backend::start();
    let exporter = Protocol::Grpc.exporter(&OtlpConfig::new(backend.url()));
    for result in export_at_once(&exporter, 32) {
        result.unwrap();
    }
    let seen = backend.stop();
    assert_eq!((seen.requests.len(), seen.connections), (32, 1));
}

#[test]
fn fault_13_everybody_who_waits_for_a_connection_is_told_why_there_is_none() {
    let exporter =
        Protocol::Grpc.exporter(&OtlpConfig::new(format!("http://{}", Backend::nobody())));
    for result in export_at_once(&exporter, 8) {
        let error = result.unwrap_err();
        assert!(error.is_retryable(), "{error:?}");
        let text = error.to_string().to_lowercase();
        assert!(text.contains("refused"), "{error}");
    }
}

#[test]
fn fault_13_a_request_that_finds_the_connection_closing_is_made_on_another_one() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let exporter = Protocol::Grpc.exporter(&OtlpConfig::new(format!("http://{address}")));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let first = Arc::clone(&exporter);
    let first = runtime.spawn(async move { first.export_boxed(batch(1)).await });
    let mut stream = accept_request(&listener);
    drop(listener);
    stream.write_all(&goaway(1)).unwrap();
    // What is answered is read, and so is what came before it.
    stream.write_all(&PING).unwrap();
    read_until(&mut stream, PONG);
    assert!(
        !first.is_finished(),
        "it was taken, and may be answered yet"
    );

    let backend = Backend::start_at(address);
    runtime.block_on(exporter.export_boxed(batch(2))).unwrap();
    assert_eq!(backend.stop().requests.len(), 1);
    first.abort();
}

#[test]
fn fault_13_a_request_that_a_goaway_leaves_out_is_sent_again() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let pipeline = start(
        config(),
        Protocol::Grpc.exporter(&OtlpConfig::new(format!("http://{address}"))),
    );
    record_span(&pipeline.recorder(), 1);
    let mut stream = accept_request(&listener);
    drop(listener);
    stream.write_all(&goaway(0)).unwrap();
    drop(stream);

    let backend = Backend::start_at(address);
    pipeline.flush(PATIENCE).unwrap();
    let ledger = pipeline.shutdown(PATIENCE);
    backend.stop().assert_agrees_with(&ledger);
    assert_eq!(ledger.account(Signal::Traces).exported, 1);
}
