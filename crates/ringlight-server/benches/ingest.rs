//! What it costs to receive and store a span: clients, receivers and store in one process.
//!
//! `cargo bench -p ringlight-server`. Four connections send requests of 512 spans with three
//! attributes over HTTP and then over gRPC, each as soon as the last one was answered. The CPU time
//! is that of the whole process, encoding the requests included.

#![expect(clippy::print_stdout, reason = "the figures are its output")]

use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use ringlight_model::{KeyValue, Resource, Scope, Span, SpanId, TraceId};
use ringlight_otlp::{OtlpDecoder, encode};
use ringlight_server::{Server, ServerConfig};
use ringlight_store::{Store, StoreConfig};
use tokio::net::TcpStream;

const CONNECTIONS: u64 = 4;
const SPANS: u64 = 512;
const DURATION: Duration = Duration::from_secs(8);

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// CPU time of this process. `/proc` counts it in hundredths of a second.
fn cpu_time() -> Outcome<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 = after_name
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Ok(Duration::from_millis(ticks * 10))
}

fn resident_mebibytes() -> Outcome<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    let kibibytes = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(kibibytes.unwrap_or("0").parse::<u64>()? / 1024)
}

fn request(first_id: u64) -> Vec<u8> {
    let spans: Vec<_> = (first_id..first_id + SPANS)
        .map(|id| Span {
            trace_id: TraceId::new(u128::from(id / 11 + 1) << 64 | 7),
            span_id: SpanId::new(id),
            parent_span_id: SpanId::new(if id.is_multiple_of(11) { 0 } else { id / 11 }),
            name: ["process_message", "compare", "schedule"][id as usize % 3].into(),
            start_unix_nano: 1_790_000_000_000_000_000 + id * 1000,
            end_unix_nano: 1_790_000_000_000_000_700 + id * 1000,
            attributes: vec![
                KeyValue::new("message.id", id as i64),
                KeyValue::new("message.kind", "order.created"),
                KeyValue::new("retry", id.is_multiple_of(2)),
            ],
            ..Span::default()
        })
        .collect();
    let resource = Resource {
        attributes: vec![KeyValue::new("service.name", "bench")],
        ..Resource::default()
    };
    encode::request(&resource, &Scope::default(), &spans)
}

/// Sends over HTTP/1.1 until `until`; gives the number of spans that were acknowledged.
async fn send_http(address: SocketAddr, mut next_id: u64, until: Instant) -> Outcome<u64> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut stored = 0;
    while Instant::now() < until {
        let body = Full::new(Bytes::from(request(next_id)));
        let request = Request::post("/v1/traces")
            .header("host", "localhost")
            .header("content-type", "application/x-protobuf")
            .body(body)?;
        let response = sender.send_request(request).await?;
        let is_stored = response.status().is_success();
        response.into_body().collect().await?;
        stored += u64::from(is_stored) * SPANS;
        next_id += SPANS;
    }
    Ok(stored)
}

/// The same over gRPC.
async fn send_grpc(address: SocketAddr, mut next_id: u64, until: Instant) -> Outcome<u64> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .handshake(TokioIo::new(stream))
        .await?;
    tokio::spawn(connection);
    let mut stored = 0;
    while Instant::now() < until {
        let message = request(next_id);
        let mut body = vec![0];
        body.extend(u32::try_from(message.len())?.to_be_bytes());
        body.extend(message);
        let path = "opentelemetry.proto.collector.trace.v1.TraceService/Export";
        let request = Request::post(format!("http://localhost/{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(Full::new(Bytes::from(body)))?;
        let response = sender.send_request(request).await?;
        let body = response.into_body().collect().await?;
        let status = body
            .trailers()
            .and_then(|trailers| trailers.get("grpc-status"));
        stored += u64::from(status.is_some_and(|status| status == "0")) * SPANS;
        next_id += SPANS;
    }
    Ok(stored)
}

async fn run() -> Outcome<()> {
    let directory = tempfile::tempdir()?;
    let store = Store::open(
        StoreConfig::new(directory.path().join("data")),
        Arc::new(OtlpDecoder::default()),
    )?;
    let store = Arc::new(store);
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    let config = ServerConfig {
        grpc: any,
        http: any,
        ui: any,
        ..ServerConfig::default()
    };
    let server = Server::start(config, Arc::clone(&store)).await?;
    let addresses = server.addresses();
    for (name, is_grpc) in [("HTTP", false), ("gRPC", true)] {
        let (started, cpu) = (Instant::now(), cpu_time()?);
        let until = started + DURATION;
        let tasks: Vec<_> = (0..CONNECTIONS)
            .map(|connection| {
                let first_id = (connection + 1 + CONNECTIONS * u64::from(is_grpc)) << 40;
                tokio::spawn(async move {
                    if is_grpc {
                        send_grpc(addresses.grpc, first_id, until).await
                    } else {
                        send_http(addresses.http, first_id, until).await
                    }
                })
            })
            .collect();
        let mut stored = 0;
        for task in tasks {
            stored += task.await??;
        }
        let cpu = cpu_time()? - cpu;
        println!(
            "{name}: {:.0} spans/s, {:.2} us of CPU a span, {} MiB resident at most",
            stored as f64 / started.elapsed().as_secs_f64(),
            cpu.as_secs_f64() * 1e6 / stored.max(1) as f64,
            resident_mebibytes()?,
        );
    }
    let status = server.status();
    println!(
        "{} spans stored in {} bytes each; refused: {:?}",
        status.store.span_count,
        status.store.bytes / status.store.span_count.max(1),
        status.refused_requests,
    );
    server.shutdown().await;
    Ok(())
}

fn main() -> Outcome<()> {
    // `cargo test --benches` only wants to know that it runs.
    if std::env::args().any(|argument| argument == "--test") {
        return Ok(());
    }
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(run())
}
