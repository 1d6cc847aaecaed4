//! The service: an axum server on one core that records three spans and two events a request and
//! exports them from that core as well.

use std::io::{Read as _, Write as _};

use anyhow::{Context as _, Result};
use axum::{Router, extract::Path, routing::get};
use fastrace::{
    future::FutureExt as _,
    prelude::{Event, LocalSpan, Span, SpanContext},
};
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, sync::oneshot, task::yield_now};
use tracing::{info, instrument};

use crate::{
    cores::Cores,
    meter,
    plan::{Room, Sampling, Shape, Shipping, Subject},
    subjects::{self, Account, Settings, Took, fastrace_properties, id, route},
};

/// The service's first line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// Where it listens, `127.0.0.1:PORT`.
    pub(crate) address: String,
}

/// Its last line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ServiceRun {
    /// CPU time of the whole process from before the first request to the end of its shutdown.
    pub(crate) cpu_ns: u64,
    /// What the subject says it dropped.
    pub(crate) account: Option<Account>,
}

/// Answers `GET /orders/N` until standard input ends.
pub(crate) fn run(subject: Subject, endpoint: &str, requests: u64) -> Result<ServiceRun> {
    Cores::First.keep()?;
    let settings = Settings {
        endpoint,
        room: Room::Burst,
        spans_count: requests * Shape::Request.spans_per_unit(),
        sampling: Sampling::AlwaysOn,
        shipping: Shipping::default(),
    };
    let recording = subjects::start(subject, &settings)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let hello = Hello {
        address: listener.local_addr()?.to_string(),
    };
    let router = match subject {
        Subject::Fastrace => Router::new().route("/orders/{number}", get(fastrace_order)),
        _ => Router::new().route("/orders/{number}", get(order)),
    };
    let (end, ended) = oneshot::channel();
    std::thread::spawn(move || {
        let mut nothing = Vec::new();
        // An error ends it as well; nobody is left to hear of it where the server is gone.
        let _ = std::io::stdin().read_to_end(&mut nothing);
        let _ = end.send(());
    });
    let before_ns = meter::process_cpu_ns();
    let mut output = std::io::stdout().lock();
    serde_json::to_writer(&mut output, &hello).context("the address is plain data")?;
    writeln!(output)?;
    output.flush()?;
    drop(output);
    runtime.block_on(async {
        let until = async {
            let _ = ended.await;
        };
        axum::serve(listener, router)
            .with_graceful_shutdown(until)
            .await
    })?;
    let account = recording.finish()?.account;
    Ok(ServiceRun {
        cpu_ns: meter::process_cpu_ns() - before_ns,
        account,
    })
}

/// The number of a request's root; its children's follow.
fn first_of(number: u64) -> u64 {
    number * Shape::Request.spans_per_unit()
}

#[instrument(
    name = "root",
    skip_all,
    fields(
        id = id(first_of(number)),
        route = route(first_of(number)),
        took = %Took(first_of(number))
    )
)]
async fn order(Path(number): Path<u64>) -> String {
    let first = first_of(number);
    step(first + 1).await;
    step(first + 2).await;
    answer(number)
}

/// What would ask a database or another service: it waits once, so that its span is left and entered
/// again.
#[instrument(
    name = "child",
    skip_all,
    fields(id = id(sequence), route = route(sequence), took = %Took(sequence))
)]
async fn step(sequence: u64) {
    info!(id = id(sequence), "ping");
    yield_now().await;
}

/// The same with fastrace's own spans, which is what its users write.
async fn fastrace_order(Path(number): Path<u64>) -> String {
    let first = first_of(number);
    let root = Span::root("root", SpanContext::random());
    let work = async {
        fastrace_step(first + 1).await;
        fastrace_step(first + 2).await;
        answer(number)
    };
    work.in_span(root.with_properties(|| fastrace_properties(first)))
        .await
}

async fn fastrace_step(sequence: u64) {
    let span = Span::enter_with_local_parent("child");
    let work = async {
        let event = Event::new("ping").with_property(|| ("id", id(sequence).to_string()));
        LocalSpan::add_event(event);
        yield_now().await;
    };
    work.in_span(span.with_properties(|| fastrace_properties(sequence)))
        .await;
}

fn answer(number: u64) -> String {
    format!("order {number}\n")
}
