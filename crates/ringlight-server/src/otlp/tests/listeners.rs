//! Connections: wrong protocols, silent peers, bounds, and the end.

use std::time::Duration;

use ringlight_model::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;

/// Sends bytes, and reads until the server closes.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    read_all(&mut stream).await
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // The server may reset the connection after its answer; what came before counts.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn post(path: &str, content_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: {content_type}\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn http_1_is_served_and_its_requests_reach_the_store() {
    let bench = Bench::new();
    let served = bench.serve().await;
    let request = post("/v1/traces", "application/x-protobuf", &traces(&[1]));
    let answer = exchange(served.http, &request).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(bench.state.signal(Signal::Traces).stored, 1);
    served.stop().await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_answered_though_the_client_sends_on() {
    let bench = Bench::small();
    let served = bench.serve().await;
    let request = post(
        "/v1/traces",
        "application/x-protobuf",
        &large_traces(100_000),
    );
    let answer = exchange(served.http, &request).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    served.stop().await;
}

#[tokio::test]
async fn the_wrong_protocol_at_a_port_is_recorded_and_explained() {
    let bench = Bench::new();
    let served = bench.serve().await;
    let last = || {
        let refusal = bench.state.recent_refusals().remove(0);
        (refusal.listener, refusal.reason, refusal.detail)
    };

    let request = post("/v1/traces", "application/x-protobuf", &traces(&[1]));
    let answer = exchange(served.grpc, &request).await;
    assert!(answer.starts_with("HTTP/1.1 415 "), "{answer}");
    let (listener, reason, detail) = last();
    assert_eq!(
        (listener, reason),
        (Listener::Grpc, RefusalReason::WrongProtocol)
    );
    assert!(detail.contains("to port 14318,"), "{detail}");

    for address in [served.grpc, served.http] {
        let hello = [0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3];
        assert_eq!(exchange(address, &hello).await, "");
        assert_eq!(last().1, RefusalReason::Tls);
        exchange(address, b"\x00\x01\x02garbage\r\n\r\n").await;
        assert_eq!(last().1, RefusalReason::WrongProtocol);
    }
    assert!(bench.intake.requests().is_empty());
    served.stop().await;
}

#[tokio::test]
async fn grpc_at_the_http_port_is_recorded_and_explained_to_the_client() {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
    let bench = Bench::new();
    let served = bench.serve().await;
    let endpoint = format!("http://{}", served.http);
    let mut client = TraceServiceClient::connect(endpoint).await.unwrap();
    let call = client.export(ExportTraceServiceRequest::default()).await;
    let status = call.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unimplemented);
    assert!(
        status.message().contains("to port 14317,"),
        "{}",
        status.message()
    );
    assert_eq!(bench.last_refusal(), Some(RefusalReason::WrongProtocol));
    served.stop().await;
}

#[tokio::test]
async fn fault_27_silent_and_dripping_connections_are_closed() {
    let config = ReceiverConfig {
        head_timeout: Duration::from_millis(50),
        ..ReceiverConfig::default()
    };
    let bench = Bench::with(Kept::default(), config);
    let served = bench.serve().await;
    for start in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n", b"POST /v1/tr"] {
        for address in [served.grpc, served.http] {
            // Ends only when the server closes.
            exchange(address, start).await;
        }
    }
    assert!(bench.intake.requests().is_empty());
    served.stop().await;
}

#[tokio::test]
async fn fault_27_connections_beyond_the_bound_are_closed_and_counted() {
    let config = ReceiverConfig {
        connections_max: 2,
        ..ReceiverConfig::default()
    };
    let bench = Bench::with(Kept::default(), config);
    let served = bench.serve().await;
    // Answered connections that stay open.
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(served.http).await.unwrap();
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .await
            .unwrap();
        let mut byte = [0];
        stream.read_exact(&mut byte).await.unwrap();
        held.push(stream);
    }
    assert_eq!(exchange(served.http, b"").await, "");
    assert_eq!(bench.last_refusal(), Some(RefusalReason::Connections));

    // A place that gets free is given to the next.
    let mut closed = held.remove(0);
    closed.shutdown().await.unwrap();
    read_all(&mut closed).await;
    let request = post("/v1/traces", "application/x-protobuf", &traces(&[1]));
    loop {
        // The server gives the place back a moment after it closed the connection.
        let answer = exchange(served.http, &request).await;
        if answer.starts_with("HTTP/1.1 200 ") {
            break;
        }
        assert_eq!(answer, "");
        tokio::task::yield_now().await;
    }
    drop(held);
    served.stop().await;
}

#[tokio::test]
async fn a_request_under_way_is_answered_when_the_server_stops() {
    let (arrived, has_arrived) = std::sync::mpsc::channel();
    let (let_go, go_on) = std::sync::mpsc::channel();
    let gate = Some(Gate {
        arrived,
        go_on: Mutex::new(go_on),
    });
    let kept = Kept {
        gate,
        ..Kept::default()
    };
    let bench = Bench::with(kept, ReceiverConfig::default());
    let served = bench.serve().await;
    let request = post("/v1/traces", "application/x-protobuf", &traces(&[1]));
    let client = tokio::spawn({
        let address = served.http;
        async move { exchange(address, &request).await }
    });
    let wait = tokio::task::spawn_blocking(move || has_arrived.recv().unwrap());
    wait.await.unwrap();
    let (http, stopped) = (served.http, tokio::spawn(served.stop()));
    // The listener is gone before the request is done.
    while TcpStream::connect(http).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let_go.send(()).unwrap();
    let answer = client.await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    stopped.await.unwrap();
    assert_eq!(bench.intake.requests().len(), 1);
}

#[tokio::test]
async fn a_connection_that_goes_on_for_ever_does_not_keep_the_server_from_stopping() {
    let config = ReceiverConfig {
        drain_timeout: Duration::from_millis(50),
        ..ReceiverConfig::default()
    };
    let bench = Bench::with(Kept::default(), config);
    let served = bench.serve().await;
    let mut stream = TcpStream::connect(served.http).await.unwrap();
    let unfinished = b"POST /v1/traces HTTP/1.1\r\nhost: localhost\r\n\
                       content-type: application/x-protobuf\r\ncontent-length: 100\r\n\r\nabc";
    stream.write_all(unfinished).await.unwrap();
    served.stop().await;
    assert_eq!(read_all(&mut stream).await, "");
}
