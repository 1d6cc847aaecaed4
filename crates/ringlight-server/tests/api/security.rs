//! FAULTS 32, 34 and 35: who is answered, and that text stays text.

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use ringlight_model::{
    KeyValue, LogRecord, Severity, Span, SpanEvent, SpanId, Status, StatusCode as SpanStatusCode,
    TraceId,
};
use ringlight_server::{Server, ServerConfig, ServerError};
use tokio::net::TcpStream;

use super::{Backend, any_ports, open_store};

#[tokio::test(flavor = "multi_thread")]
async fn fault_32_only_loopback_addresses_are_listened_on() {
    let default = ServerConfig::default();
    assert!(
        [default.grpc, default.http, default.ui]
            .iter()
            .all(|address| address.ip().is_loopback())
    );

    let directory = tempfile::tempdir().unwrap();
    let store = open_store(&directory);
    for outside in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "[2001:db8::1]:0"] {
        let outside = outside.parse().unwrap();
        for config in [
            ServerConfig {
                grpc: outside,
                ..any_ports()
            },
            ServerConfig {
                http: outside,
                ..any_ports()
            },
            ServerConfig {
                ui: outside,
                ..any_ports()
            },
        ] {
            let error = Server::start(config, store.clone()).await.unwrap_err();
            assert!(matches!(error, ServerError::NotLoopback { .. }), "{error}");
            assert!(error.to_string().contains(&outside.to_string()), "{error}");
            assert!(error.hint().unwrap().contains("127.0.0.1"));
        }
    }
}

async fn status_with(backend: &Backend, headers: &[(&str, &str)]) -> StatusCode {
    let request = headers
        .iter()
        .fold(Request::get("/api/v1/status"), |request, (name, value)| {
            request.header(*name, *value)
        })
        .body(Full::default())
        .unwrap();
    backend.send(request).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_34_only_this_machine_and_its_own_pages_are_answered() {
    let backend = Backend::start().await;
    let port = backend.server.addresses().ui.port();
    let own = format!("127.0.0.1:{port}");
    let origin = format!("http://{own}");

    for host in [
        own.clone(),
        format!("localhost:{port}"),
        format!("LOCALHOST:{port}"),
        format!("[::1]:{port}"),
        "127.0.0.1".to_owned(),
        "localhost:8080".to_owned(),
    ] {
        assert_eq!(
            status_with(&backend, &[("host", &host)]).await,
            200,
            "{host}"
        );
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "0.0.0.0",
        "[::]",
        "",
        "a b",
    ] {
        assert_eq!(
            status_with(&backend, &[("host", host)]).await,
            403,
            "{host}"
        );
    }
    let twice = [("host", own.as_str()), ("host", "evil.example")];
    assert_eq!(status_with(&backend, &twice).await, 403);

    let from =
        async |value: &str| status_with(&backend, &[("host", &own), ("origin", value)]).await;
    assert_eq!(from(&origin).await, 200);
    for foreign in [
        "http://evil.example",
        "null",
        "",
        "http://localhost:1",
        "http://127.0.0.1",
        "file://",
        "http://evil.example/127.0.0.1",
        &format!("ftp://{own}"),
        own.as_str(),
    ] {
        assert_eq!(from(foreign).await, 403, "{foreign}");
    }
    let fetched = |site, mode| {
        [
            ("host", own.as_str()),
            ("sec-fetch-site", site),
            ("sec-fetch-mode", mode),
        ]
    };
    assert_eq!(
        status_with(&backend, &fetched("same-origin", "cors")).await,
        200
    );
    assert_eq!(
        status_with(&backend, &fetched("cross-site", "no-cors")).await,
        403
    );
    // A link from elsewhere to here.
    assert_eq!(
        status_with(&backend, &fetched("cross-site", "navigate")).await,
        200
    );

    let status = backend.server.status();
    assert_eq!(status.refused_requests["foreign_host"], 9);
    assert_eq!(status.refused_requests["foreign_origin"], 10);
    assert!(
        status
            .recent_refusals
            .iter()
            .all(|refusal| refusal.listener == "ui")
    );
    assert!(status.recent_refusals[0].detail.contains("another site"));
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_34_over_http_2_the_authority_is_the_host() {
    let backend = Backend::start().await;
    let ui = backend.server.addresses().ui;
    for (authority, host, expected) in [
        (ui.to_string(), None, 200),
        ("evil.example".to_owned(), None, 403),
        (ui.to_string(), Some("evil.example"), 403),
        ("evil.example".to_owned(), Some("localhost"), 403),
    ] {
        let stream = TcpStream::connect(ui).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
        let connection = tokio::spawn(connection);
        let mut request = Request::get(format!("http://{authority}/api/v1/status"));
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let request = request.body(Full::<Bytes>::default()).unwrap();
        let reply = sender.send_request(request).await.unwrap();
        assert_eq!(reply.status(), expected, "{authority} {host:?}");
        drop((sender, reply));
        connection.await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_34_bodies_a_foreign_page_could_send_are_refused() {
    let backend = Backend::start().await;
    for (target, content_type, expected) in [
        ("/api/v1/status", Some("text/plain"), 415),
        ("/api/v1/status", Some("text/plain; charset=utf-8"), 415),
        (
            "/api/v1/import",
            Some("application/x-www-form-urlencoded"),
            415,
        ),
        ("/api/v1/import", Some("multipart/form-data"), 415),
        ("/", Some("text/plain"), 415),
        ("/", None, 415),
        ("/api/v1/status", Some("application/json"), 405),
    ] {
        let mut request = Request::post(target);
        if let Some(content_type) = content_type {
            request = request.header("content-type", content_type);
        }
        let reply = backend.send(request.body(Full::from("{}")).unwrap()).await;
        assert_eq!(reply.status.as_u16(), expected, "{target} {content_type:?}");
        assert!(reply.json()["error"]["hint"].is_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn telemetry_at_the_wrong_port_is_told_the_right_one() {
    let backend = Backend::start().await;
    let addresses = backend.server.addresses();
    for (target, content_type, right) in [
        ("/v1/traces", "application/x-protobuf", addresses.http),
        ("/v1/logs", "application/json", addresses.http),
        (
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            "application/grpc",
            addresses.grpc,
        ),
    ] {
        let request = Request::post(target)
            .header("content-type", content_type)
            .body(Full::from("x"))
            .unwrap();
        let reply = backend.send(request).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{target}");
        let hint = format!("send it to http://{right}");
        assert_eq!(reply.error()["hint"], hint, "{target}");
        let status = backend.server.status();
        let refusal = &status.recent_refusals[0];
        assert_eq!((refusal.listener, refusal.reason), ("ui", "wrong_protocol"));
        let port = format!("on port {}", right.port());
        assert!(refusal.detail.ends_with(&port), "{}", refusal.detail);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_clients_at_a_wrong_port_are_told_the_right_one_in_grpc() {
    let backend = Backend::start().await;
    let addresses = backend.server.addresses();
    for (address, listener) in [(addresses.ui, "ui"), (addresses.http, "otlp_http")] {
        let endpoint = format!("http://{address}");
        let mut client = TraceServiceClient::connect(endpoint).await.unwrap();
        let call = client.export(ExportTraceServiceRequest::default()).await;
        let status = call.unwrap_err();
        assert_eq!(status.code(), tonic::Code::Unimplemented);
        let port = format!("port {}", addresses.grpc.port());
        assert!(status.message().contains(&port), "{}", status.message());
        let counted = backend.server.status();
        assert_eq!(
            counted.refused_requests["wrong_protocol"],
            1 + u64::from(listener != "ui")
        );
        assert_eq!(counted.recent_refusals[0].listener, listener);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_34_every_answer_says_what_browsers_may_do_with_it() {
    let backend = Backend::start().await;
    for target in [
        "/",
        "/traces",
        "/logs?q=x",
        "/nope.js",
        "/api/v1/status",
        "/api/v1/nope",
        "/api/v1/traces?limit=0",
    ] {
        let reply = backend.get(target).await;
        assert_eq!(
            reply.header("x-content-type-options"),
            "nosniff",
            "{target}"
        );
        assert_eq!(reply.header("referrer-policy"), "no-referrer", "{target}");
        assert_eq!(
            reply.header("cross-origin-resource-policy"),
            "same-origin",
            "{target}"
        );
        assert_eq!(reply.header("access-control-allow-origin"), "", "{target}");
        let policy = reply.header("content-security-policy");
        assert!(policy.contains("default-src"), "{target}: {policy}");
        assert!(!policy.contains("unsafe"), "{target}: {policy}");
        assert!(
            policy.contains("frame-ancestors 'none'"),
            "{target}: {policy}"
        );
        let is_api = target.starts_with("/api");
        assert_eq!(
            reply.header("cache-control") == "no-store",
            is_api,
            "{target}"
        );
    }
    // A browser that asks what another page may do is told: nothing.
    let preflight = Request::options("/api/v1/status")
        .header("access-control-request-method", "GET")
        .body(Full::default())
        .unwrap();
    let reply = backend.send(preflight).await;
    assert_eq!(reply.status, 405);
    assert_eq!(reply.header("access-control-allow-origin"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_35_hostile_text_comes_back_as_text() {
    const HOSTILE: [&str; 6] = [
        "<script>alert(1)</script><img src=x onerror=alert(1)>",
        "'; DROP TABLE spans; --\" OR 1=1",
        "../../../../etc/passwd%00%2e%2e%2f",
        "\u{1b}[31mred\u{1b}]0;title\u{7}\u{9b}2J",
        "\u{202e}txt.exe\u{200b}\0\r\nSet-Cookie: a=b",
        "{ name = \"x\" } `\\\" && ${jndi:ldap://x}",
    ];
    let backend = Backend::start().await;
    for (index, text) in HOSTILE.into_iter().enumerate() {
        let trace_id = TraceId::new(index as u128 + 1);
        let span = Span {
            trace_id,
            span_id: SpanId::new(1),
            name: text.into(),
            start_unix_nano: 1_700_000_000_000_000_000,
            end_unix_nano: 1_700_000_000_000_000_001,
            attributes: vec![KeyValue::new(text, text)],
            events: vec![SpanEvent {
                name: text.into(),
                ..SpanEvent::default()
            }],
            status: Status {
                code: SpanStatusCode::Error,
                message: text.into(),
            },
            ..Span::default()
        };
        backend.export_spans(text, &[span]).await;
        let record = LogRecord {
            time_unix_nano: 1_700_000_000_000_000_000,
            severity: Severity::ERROR,
            body: text.into(),
            attributes: vec![KeyValue::new(text, text)],
            trace_id,
            ..LogRecord::default()
        };
        backend.export_logs(text, &[record]).await;

        let trace = backend.json(&format!("/api/v1/traces/{trace_id}")).await;
        let span = &trace["spans"][0];
        assert_eq!(span["name"], text);
        assert_eq!(span["attributes"][0]["key"], text);
        assert_eq!(span["attributes"][0]["value"], text);
        assert_eq!(span["events"][0]["name"], text);
        assert_eq!(span["status"]["message"], text);
        assert_eq!(trace["resources"][0]["service"], text);
        let logs = backend
            .json(&format!("/api/v1/logs?trace_id={trace_id}"))
            .await;
        assert_eq!(logs["logs"][0]["body"]["value"], text);

        // It can be asked for, quoted as the language quotes.
        let escaped: String = text
            .chars()
            .map(|c| match c {
                '"' | '\\' => format!("\\{c}"),
                c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
                c => c.to_string(),
            })
            .collect();
        let query: String =
            form_urlencoded::byte_serialize(format!("name = \"{escaped}\"").as_bytes()).collect();
        let found = backend.json(&format!("/api/v1/traces?q={query}")).await;
        assert_eq!(found["traces"].as_array().unwrap().len(), 1, "{text:?}");
        assert_eq!(found["traces"][0]["root_name"], text);
    }
    let services = backend.json("/api/v1/services").await;
    assert_eq!(
        services["services"].as_array().unwrap().len(),
        HOSTILE.len()
    );
    // In parameters it never breaks out of the JSON or its type.
    for text in HOSTILE {
        let value: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        for target in [
            format!("/api/v1/traces?cursor={value}"),
            format!("/api/v1/logs?from={value}"),
            format!("/api/v1/traces/x?format={value}"),
            format!("/api/v1/status?{value}"),
        ] {
            let reply = backend.get(&target).await;
            assert_eq!(reply.status, 400, "{target}");
            assert!(reply.error()["message"].is_string());
        }
        // Whether it is a query or not, the answer is JSON.
        backend
            .get(&format!("/api/v1/traces?q={value}"))
            .await
            .json();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_35_no_path_leads_out_of_the_ui() {
    let backend = Backend::start().await;
    for target in [
        "/../../etc/passwd",
        "/assets/../../../etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/assets/..%5c..%5cetc",
        "/etc/passwd.txt",
        "//etc/passwd",
        "/.git/config.x",
        "/index.html%00.js",
    ] {
        let reply = backend.get(target).await;
        assert_eq!(reply.status, StatusCode::NOT_FOUND, "{target}");
        assert_eq!(reply.error()["code"], "not_found", "{target}");
    }
}
