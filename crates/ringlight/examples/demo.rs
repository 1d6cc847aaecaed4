//! Tasks that time spans natively, in trees of one root and up to nine children.
//!
//! ```text
//! cargo run --release -p ringlight --example demo -- --producers 8 --spans 50000
//! ```
//!
//! With `--policy block` the tasks wait without holding a thread; otherwise they submit as the
//! policy says.

#![expect(clippy::print_stderr, reason = "a program for a terminal")]

mod common;

use std::error::Error;
use std::process::ExitCode;

use ringlight::OverflowPolicy;
use ringlight::collector::{
    AsyncSpanProducer, AttributeValue, OpenSpan, SpanKind, SpanProducer, SpanTemplate, StatusCode,
};
use tokio::task::{JoinSet, block_in_place};

use common::Run;

static REQUEST: SpanTemplate<3> =
    SpanTemplate::new("demo", "request", ["request", "user", "cached"]).kind(SpanKind::Server);
static STEPS: [SpanTemplate<3>; 3] = [
    SpanTemplate::new("demo", "load", ["step", "table", "share"]).kind(SpanKind::Client),
    SpanTemplate::new("demo", "compute", ["step", "algorithm", "share"]),
    SpanTemplate::new("demo", "store", ["step", "table", "share"]).kind(SpanKind::Client),
];
const NAMES: [&str; 3] = ["orders", "nearest", "results"];
const USERS: [&str; 4] = ["ada", "grace", "edsger", "barbara"];
const CHILDREN: u64 = 9;

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let run = Run::start("demo")?;
    let mut tasks = JoinSet::new();
    for _ in 0..run.args.producers {
        let producer = run.collector.register()?;
        let producer = match run.args.policy.0 {
            OverflowPolicy::Block => Producer::Waits(producer),
            _ => Producer::AsThePolicySays(producer.into_sync()),
        };
        tasks.spawn(work(producer, run.args.spans));
    }
    tasks.join_all().await;
    run.finish(0).await
}

enum Producer {
    Waits(AsyncSpanProducer),
    AsThePolicySays(SpanProducer),
}

impl Producer {
    fn start<const N: usize>(
        &mut self,
        template: &'static SpanTemplate<N>,
        parent: Option<&OpenSpan<N>>,
    ) -> OpenSpan<N> {
        match (self, parent.map(OpenSpan::context)) {
            (Self::Waits(producer), None) => producer.start(template),
            (Self::Waits(producer), Some(parent)) => producer.start_child(template, parent),
            (Self::AsThePolicySays(producer), None) => producer.start(template),
            (Self::AsThePolicySays(producer), Some(parent)) => {
                producer.start_child(template, parent)
            }
        }
    }

    async fn end<const N: usize>(&mut self, span: OpenSpan<N>, values: [AttributeValue<'_>; N]) {
        // What is not taken is in the ledger, with its reason.
        let _ = match self {
            Self::Waits(producer) => producer.end(span, values).await,
            Self::AsThePolicySays(producer) => block_in_place(|| producer.end(span, values)),
        };
    }
}

async fn work(mut producer: Producer, spans: u64) {
    let mut left = spans;
    let mut request = 0_u64;
    while left > 0 {
        let root = producer.start(&REQUEST, None);
        let children = CHILDREN.min(left - 1);
        for step in 0..children {
            let index = (step % 3) as usize;
            let mut span = producer.start(&STEPS[index], Some(&root));
            if step == 7 && request.is_multiple_of(50) {
                span.set_status(StatusCode::Error);
            }
            let share = 1.0 / (step + 1) as f64;
            let values = [step.into(), NAMES[index].into(), share.into()];
            producer.end(span, values).await;
        }
        let user = USERS[request as usize % USERS.len()];
        let is_cached = request.is_multiple_of(3);
        let values = [request.into(), user.into(), is_cached.into()];
        producer.end(root, values).await;
        left -= children + 1;
        request += 1;
        if request.is_multiple_of(64) {
            // Others have their turn.
            tokio::task::yield_now().await;
        }
    }
}
