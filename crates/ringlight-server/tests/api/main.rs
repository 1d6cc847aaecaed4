//! The API and the UI as a program sees them: a real server over a real store, asked over TCP.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests; the lint knows only the tests themselves"
)]

mod answers;
mod around;
mod document;
mod metrics;
mod operations;
mod security;
mod starting;

use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use ringlight_model::{KeyValue, Limits, LogRecord, Resource, Scope, Signal, Span};
use ringlight_otlp::{OtlpDecoder, encode, json};
use ringlight_server::{Server, ServerConfig};
use ringlight_store::{Store, StoreConfig};
use serde_json::Value as Json;
use tempfile::TempDir;
use tokio::net::TcpStream;

/// A server on ports of its own, over a store of its own.
struct Backend {
    server: Server,
    // Removed when dropped, after the server.
    directory: TempDir,
}

/// An answer, its body uncompressed.
#[derive(Debug)]
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

fn any_ports() -> ServerConfig {
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    ServerConfig {
        grpc: any,
        http: any,
        ui: any,
        ..ServerConfig::default()
    }
}

fn open_store(directory: &TempDir) -> Arc<Store> {
    let config = StoreConfig {
        command: "ringlight up".to_owned(),
        ..StoreConfig::new(directory.path().join("data"))
    };
    Arc::new(Store::open(config, Arc::new(OtlpDecoder::default())).unwrap())
}

impl Backend {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = open_store(&directory);
        let server = Server::start(any_ports(), store).await.unwrap();
        Self { server, directory }
    }

    /// Sends a request to the UI's port, with a `Host` unless there is one already.
    async fn send(&self, mut request: Request<Full<Bytes>>) -> Reply {
        let ui = self.server.addresses().ui;
        if !request.headers().contains_key("host") {
            let host = ui.to_string().parse().unwrap();
            request.headers_mut().insert("host", host);
        }
        send(ui, request).await
    }

    async fn get(&self, target: &str) -> Reply {
        self.send(Request::get(target).body(Full::default()).unwrap())
            .await
    }

    /// The JSON of a successful answer.
    async fn json(&self, target: &str) -> Json {
        let reply = self.get(target).await;
        assert_eq!(reply.status, StatusCode::OK, "{target}: {reply:?}");
        reply.json()
    }

    async fn export(&self, path: &str, body: Vec<u8>) {
        let http = self.server.addresses().http;
        let request = Request::post(path)
            .header("host", http.to_string())
            .header("content-type", "application/x-protobuf")
            .body(Full::new(body.into()))
            .unwrap();
        let reply = send(http, request).await;
        assert_eq!(reply.status, StatusCode::OK, "{reply:?}");
        assert!(reply.body.is_empty(), "something was refused: {reply:?}");
    }

    async fn export_spans(&self, service: &str, spans: &[Span<'_>]) {
        self.export("/v1/traces", request(service, spans)).await;
    }

    /// Metrics in JSON, as a list has them.
    async fn export_metrics(&self, service: &str, metrics: &str) {
        let json = format!(
            r#"{{"resourceMetrics":[{{"resource":{{"attributes":[
            {{"key":"service.name","value":{{"stringValue":"{service}"}}}}]}},
            "scopeMetrics":[{{"scope":{{"name":"tests"}},"metrics":[{metrics}]}}]}}]}}"#
        );
        let limits = Limits::default();
        let converted = json::to_protobuf(Signal::Metrics, json.as_bytes(), &limits).unwrap();
        self.export("/v1/metrics", converted.request).await;
    }

    async fn export_logs(&self, service: &str, records: &[LogRecord<'_>]) {
        self.export("/v1/logs", request(service, records)).await;
    }
}

fn request<R: encode::Record>(service: &str, records: &[R]) -> Vec<u8> {
    let resource = Resource {
        attributes: vec![
            KeyValue::new("service.name", service.to_owned()),
            KeyValue::new("service.instance.id", "instance-1"),
        ],
        ..Resource::default()
    };
    let scope = Scope {
        name: "shop::cart".into(),
        version: "1.2.0".into(),
        ..Scope::default()
    };
    encode::request(&resource, &scope, records)
}

async fn send(address: SocketAddr, request: Request<Full<Bytes>>) -> Reply {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .unwrap();
    let connection = tokio::spawn(connection);
    let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
    let mut body = body.collect().await.unwrap().to_bytes().to_vec();
    drop(sender);
    connection.await.unwrap().unwrap();
    if parts
        .headers
        .get("content-encoding")
        .is_some_and(|name| name == "gzip")
    {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(&body[..])
            .read_to_end(&mut plain)
            .unwrap();
        body = plain;
    }
    Reply {
        status: parts.status,
        headers: parts.headers,
        body,
    }
}

impl Reply {
    fn json(&self) -> Json {
        assert_eq!(self.header("content-type"), "application/json", "{self:?}");
        serde_json::from_slice(&self.body).unwrap()
    }

    /// A header's value; empty where there is none.
    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// The `error` of an answer that is not a success.
    fn error(&self) -> Json {
        assert!(!self.status.is_success(), "{self:?}");
        self.json()["error"].clone()
    }
}
