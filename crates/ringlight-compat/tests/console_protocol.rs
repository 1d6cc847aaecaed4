//! `Builder::tokio_console`, asked by the protocol that `tokio-console` speaks, for the whole process.
//!
//! It is there with `--cfg tokio_unstable` only; `cargo xtask test` builds this test so.

#![cfg(tokio_unstable)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "others look at more of a record")]
#[path = "../../ringlight/tests/kept/mod.rs"]
mod kept;

use std::net::TcpListener;
use std::time::{Duration, Instant};

use console_api::field::Value;
use console_api::instrument::InstrumentRequest;
use console_api::instrument::instrument_client::InstrumentClient;
use kept::Kept;
use ringlight::LogFormat;
use tracing::{Instrument as _, info_span};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};

const LONG: Duration = Duration::from_secs(20);

/// An address that nobody listens at.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

/// A client, as soon as somebody answers.
async fn connect(address: &str) -> InstrumentClient<tonic::transport::Channel> {
    let deadline = Instant::now() + LONG;
    loop {
        match InstrumentClient::connect(format!("http://{address}")).await {
            Ok(client) => return client,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_console_sees_a_task_by_its_name() {
    let address = free_address();
    let kept = Kept::default();
    let errors = tracing_subscriber::fmt::layer().with_filter(LevelFilter::ERROR);
    let telemetry = ringlight::builder()
        .environment([("RUST_LOG", "info"), ("TOKIO_CONSOLE_BIND", &address)])
        .log_format(LogFormat::Off)
        .sink(kept.clone())
        .tokio_console()
        .beside(|registry| registry.with(errors))
        .init()
        .unwrap();

    let task = async {
        std::future::pending::<()>().await;
    };
    let task = tokio::task::Builder::new()
        .name("the task")
        .spawn(task.instrument(info_span!("work")))
        .unwrap();

    let mut client = connect(&address).await;
    let updates = client.watch_updates(InstrumentRequest {}).await.unwrap();
    let mut updates = updates.into_inner();
    let seen = async {
        let mut names = Vec::new();
        while !names.iter().any(|name| name == "the task") {
            let update = updates.message().await.unwrap().unwrap();
            let tasks = update.task_update.unwrap_or_default().new_tasks;
            let fields = tasks.into_iter().flat_map(|task| task.fields);
            names.extend(fields.filter_map(|field| match field.value? {
                Value::StrVal(text) | Value::DebugVal(text) => Some(text),
                _ => None,
            }));
        }
    };
    tokio::time::timeout(LONG, seen).await.unwrap();
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    telemetry.flush(LONG).unwrap();
    // What tokio tells of its tasks goes to the console; the span around the task is recorded.
    assert_eq!(kept.named("work").len(), 1);
}
