//! The service whose requests are measured: an axum server that makes three spans and two events a request.

use std::io::{Read as _, Write as _};

use anyhow::{Context as _, Result};
use axum::{Router, extract::Path, routing::get};
use serde::{Deserialize, Serialize};
use tokio::{net::TcpListener, runtime::Runtime, sync::oneshot, task::yield_now};
use tracing::{info, instrument};

use crate::{Took, id, process_cpu_ns, route};

/// Spans of a request.
pub const SPANS_PER_REQUEST: u64 = 3;

/// Where the service answers.
pub const PATH: &str = "/orders/{number}";

/// The service's first line.
#[derive(Debug, Serialize, Deserialize)]
pub struct Hello {
    /// Where it listens, `127.0.0.1:PORT`.
    pub address: String,
}

/// The service, recorded by `tracing`'s macros.
pub fn router() -> Router {
    Router::new().route(PATH, get(order))
}

/// Says where it listens, answers until standard input ends, and gives the CPU time of the process before the first
/// request.
///
/// # Errors
/// There is no port to be had, or nobody to say it to.
pub fn serve(runtime: &Runtime, router: Router) -> Result<u64> {
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let hello = Hello {
        address: listener.local_addr()?.to_string(),
    };
    let (end, ended) = oneshot::channel();
    std::thread::spawn(move || {
        let mut nothing = Vec::new();
        // An error ends it as well; nobody is left to hear of it where the server is gone.
        let _ = std::io::stdin().read_to_end(&mut nothing);
        let _ = end.send(());
    });
    let before_ns = process_cpu_ns();
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
    Ok(before_ns)
}

/// The number of a request's root; its children's follow.
#[must_use]
pub fn first_of(number: u64) -> u64 {
    number * SPANS_PER_REQUEST
}

/// The answer to a request.
#[must_use]
pub fn answer(number: u64) -> String {
    format!("order {number}\n")
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
