//! What needs a look inside. Everything else is tested through a running server, in `tests/api`.

use std::collections::BTreeSet;

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::FromRequestParts as _;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use ringlight_otlp::OtlpDecoder;
use ringlight_store::{Store, StoreConfig};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tower::ServiceExt as _;

use super::answer::{Call, accepts_gzip};
use super::params::{Params, shown};
use super::{Busy, Context, openapi, router, routes};
use crate::config::ServerConfig;
use crate::listen::{Connections, serve};
use crate::server::Addresses;
use crate::state::{Listener, RefusalReason, ServerState};

/// A context whose requests do not wait for their turn.
fn impatient(directory: &TempDir) -> Arc<Context> {
    let config = ServerConfig {
        query_wait: Duration::ZERO,
        ..ServerConfig::default()
    };
    let addresses = Addresses {
        grpc: config.grpc,
        http: config.http,
        ui: config.ui,
    };
    let decoder = Arc::new(OtlpDecoder::default());
    let store = Store::open(StoreConfig::new(directory.path()), decoder).unwrap();
    let state = Arc::new(ServerState::new());
    Arc::new(Context::new(
        Arc::new(store),
        state,
        addresses,
        None,
        &config,
    ))
}

#[tokio::test]
async fn too_many_searches_are_refused_and_hold_up_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let context = impatient(&directory);
    let get = async |target: &str| {
        let request = Request::get(target)
            .header("host", "localhost")
            .body(Body::empty())
            .unwrap();
        router(Arc::clone(&context)).oneshot(request).await.unwrap()
    };
    assert_eq!(get("/api/v1/traces").await.status(), StatusCode::OK);
    let under_way = Arc::clone(&context.searches).acquire_many_owned(4).await;
    for target in [
        "/api/v1/traces",
        "/api/v1/logs",
        "/api/v1/attributes/a/values",
    ] {
        let reply = get(target).await;
        assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE, "{target}");
        assert_eq!(reply.headers()["retry-after"], "1");
        assert_eq!(reply.headers()["content-type"], "application/json");
    }
    for target in ["/api/v1/status", "/api/v1/services", "/api/v1/runs", "/"] {
        assert_eq!(get(target).await.status(), StatusCode::OK, "{target}");
    }
    let refused = context.state.refused();
    assert_eq!(refused[&RefusalReason::Overloaded], 3);
    drop(under_way);
    assert_eq!(get("/api/v1/traces").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_search_whose_client_has_gone_away_is_cancelled() {
    let (begun, mut cancels) = tokio::sync::mpsc::channel(1);
    // Waits as one does whose search goes on.
    let handler = move |request: Request<Incoming>, _| {
        let begun = begun.clone();
        async move {
            let (mut parts, _) = request.into_parts();
            let Ok(call) = Call::from_request_parts(&mut parts, &()).await;
            begun.send(call.cancel()).await.unwrap();
            std::future::pending::<Response<Full<Bytes>>>().await
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Connections {
        listener: Listener::Ui,
        state: Arc::new(ServerState::new()),
        connections_max: 1,
        head_timeout: Duration::from_secs(60),
        drain_timeout: Duration::ZERO,
    };
    let (_running, stop) = watch::channel(false);
    tokio::spawn(serve(listener, connections, stop, handler));
    let mut client = TcpStream::connect(address).await.unwrap();
    let request = b"GET /api/v1/traces HTTP/1.1\r\nhost: localhost\r\n\r\n";
    client.write_all(request).await.unwrap();
    let cancel = cancels.recv().await.unwrap();
    assert!(!cancel.is_cancelled());
    drop(client);
    while !cancel.is_cancelled() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn answers_that_nobody_reads_are_bounded_together() {
    const MIB: usize = 1024 * 1024;
    let directory = tempfile::tempdir().unwrap();
    let context = impatient(&directory);
    // Never touched, so that it takes no memory.
    let unread = context.body(vec![0; 200 * MIB]).await.unwrap();
    assert_eq!(context.body(vec![0; 100 * MIB]).await, Err(Busy));
    let small = context.body(vec![1, 2]).await.unwrap();
    assert_eq!(small, [1, 2].as_slice());
    // Taking it apart keeps it counted; only the last part lets it go.
    let tail = unread.slice(199 * MIB..);
    drop(unread);
    assert_eq!(context.body(vec![0; 100 * MIB]).await, Err(Busy));
    drop((tail, small));
    // More than all of it is taken alone.
    let huge = context.body(vec![0; 300 * MIB]).await.unwrap();
    assert_eq!(context.body(vec![0; MIB]).await, Err(Busy));
    drop(huge);
    assert!(context.body(vec![0; MIB]).await.is_ok());
}

#[test]
fn the_document_describes_exactly_the_paths_that_are_served() {
    let document = serde_json::to_value(openapi::openapi()).unwrap();
    let described: BTreeSet<&str> = document["paths"]
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    let routes = routes();
    let served: BTreeSet<&str> = routes.iter().map(|(path, _)| *path).collect();
    assert_eq!(described, served);

    let operations = || document["paths"].as_object().unwrap().values();
    let ids: BTreeSet<&str> = operations()
        .map(|path| path["get"]["operationId"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), served.len(), "{ids:?}");
    for path in operations() {
        let summary = path["get"]["summary"].as_str().unwrap();
        assert!(!summary.contains('\n'), "not one line: {summary}");
        for (status, response) in path["get"]["responses"].as_object().unwrap() {
            // OpenAPI asks for it.
            assert!(response["description"].is_string(), "{summary} {status}");
        }
    }
}

#[test]
fn parameters_are_read_strictly() {
    let check = |query: &str| {
        Params::read(Some(query), &["a", "b"]).map(|params| params.text("a").map(str::to_owned))
    };
    assert_eq!(check("").unwrap(), None);
    assert_eq!(check("a=&b=1").unwrap(), None);
    assert_eq!(check("a=x%20y+z%26").unwrap().as_deref(), Some("x y z&"));
    assert_eq!(check("a=%ff").unwrap().as_deref(), Some("\u{fffd}"));
    assert_eq!(
        check("a=1&c=2").unwrap_err().message(),
        "parameter `c` is not known here"
    );
    assert_eq!(
        check("a=1&a=2").unwrap_err().message(),
        "parameter `a` is given twice"
    );
}

#[test]
fn what_messages_repeat_is_short_and_plain() {
    assert_eq!(shown("a\x1b[31m\n\0b"), "a\u{fffd}[31m\u{fffd}\u{fffd}b");
    assert_eq!(shown(&"é".repeat(80)).chars().count(), 80);
    assert_eq!(shown(&"é".repeat(1000)).chars().count(), 81);
}

#[test]
fn gzip_is_used_when_the_client_takes_it() {
    let check = |value: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("accept-encoding", value.parse().unwrap());
        accepts_gzip(&headers)
    };
    for accepted in [
        "gzip",
        "br, GZIP",
        "gzip;q=0.5",
        "*",
        "br;q=1, *;q=0.1",
        "gzip; q=1",
    ] {
        assert!(check(accepted), "`{accepted}`");
    }
    for refused in [
        "",
        "br",
        "identity",
        "gzip;q=0",
        "gzip;q=0.0, br",
        "*;q=0",
        "gzip;q=x",
    ] {
        assert!(!check(refused), "`{refused}`");
    }
    assert!(!accepts_gzip(&HeaderMap::new()));
}
