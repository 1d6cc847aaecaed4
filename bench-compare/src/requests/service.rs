//! The service: an axum server on one core that records three spans and two events a request and
//! exports them from that core as well.

use anyhow::Result;
use axum::{Router, extract::Path, routing::get};
use bench_workload::{
    Cores, id,
    orders::{self, answer, first_of},
    process_cpu_ns,
};
use fastrace::{
    future::FutureExt as _,
    prelude::{Event, LocalSpan, Span, SpanContext},
};
use serde::{Deserialize, Serialize};
use tokio::task::yield_now;

use crate::{
    plan::{Room, Sampling, Shape, Shipping, Subject},
    subjects::{self, Account, Settings, fastrace_properties},
};

/// The service's last line.
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
    let router = match subject {
        Subject::Fastrace => Router::new().route(orders::PATH, get(fastrace_order)),
        _ => orders::router(),
    };
    let before_ns = orders::serve(&runtime, router)?;
    let account = recording.finish()?.account;
    Ok(ServiceRun {
        cpu_ns: process_cpu_ns() - before_ns,
        account,
    })
}

/// A request with fastrace's own spans, which is what its users write.
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
