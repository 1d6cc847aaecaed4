//! The counting server: receives OTLP over gRPC, counts, and compares a sample of the records with
//! what was sent, decoded with types that are not ours.
//!
//! It runs as a process of its own, so that its CPU time is nobody's. It takes commands as lines
//! on standard input and answers each with one line of JSON.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    future::Ready,
    io::{BufRead, Write},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use anyhow::{Context as _, Result};
use bench_workload::Cores;
use bytes::Bytes;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tonic::{
    Request, Response, Status,
    body::Body,
    codec::CompressionEncoding,
    codegen::{BoxFuture, Service, http},
    server::{Grpc, NamedService, UnaryService},
    transport::server::TcpIncoming,
};

use crate::{codec::Raw, plan::Shape, sample::Sample, wire};

/// Larger than any peer's request, so that none is refused.
const REQUEST_BYTES_MAX: usize = 256 << 20;

/// What it is told in place of a shape where there is nothing to compare records with.
pub(crate) const NO_SHAPE: &str = "none";

/// The server's first line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Hello {
    /// Where it listens.
    pub(crate) endpoint: String,
}

/// What arrived since the last reset.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Received {
    /// Spans.
    pub(crate) spans: u64,
    /// Log records.
    pub(crate) logs: u64,
    /// Requests with either.
    pub(crate) requests: u64,
    /// Requests with metrics.
    pub(crate) metrics_requests: u64,
    /// The scopes of these metrics.
    pub(crate) metric_scopes: BTreeSet<String>,
    /// Spans and log records that were compared with what was sent.
    pub(crate) compared: u64,
    /// Traces of the sample that are not whole.
    pub(crate) incomplete: u64,
    /// What differed; the first few.
    pub(crate) differences: Vec<String>,
}

#[derive(Default)]
struct Counts {
    spans: AtomicU64,
    logs: AtomicU64,
    requests: AtomicU64,
    metrics_requests: AtomicU64,
    metric_scopes: Mutex<BTreeSet<String>>,
    broken: AtomicU64,
    sample: Mutex<Option<Sample>>,
}

impl Counts {
    fn take_in(&self, signal: Signal, request: &[u8]) {
        // Relaxed here and below: the numbers are read when nobody sends any more.
        let count = match signal {
            Signal::Traces => &self.spans,
            Signal::Logs => &self.logs,
            // A client may report on itself as well.
            Signal::Metrics => {
                self.metrics_requests.fetch_add(1, Ordering::Relaxed);
                let scopes = wire::metric_scopes(request);
                lock(&self.metric_scopes).extend(scopes);
                return;
            }
        };
        let mut records = 0;
        let mut sample = lock(&self.sample);
        let walked = wire::for_each_record(request, &mut |record| {
            records += 1;
            if let Some(sample) = &mut *sample {
                sample.offer(signal, record);
            }
        });
        drop(sample);
        count.fetch_add(records, Ordering::Relaxed);
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.broken.fetch_add(u64::from(!walked), Ordering::Relaxed);
    }

    /// Counts anew; records of a shape are compared with what it should be.
    fn reset(&self, shape: Option<Shape>) {
        self.spans.store(0, Ordering::Relaxed);
        self.logs.store(0, Ordering::Relaxed);
        self.requests.store(0, Ordering::Relaxed);
        self.metrics_requests.store(0, Ordering::Relaxed);
        self.broken.store(0, Ordering::Relaxed);
        lock(&self.metric_scopes).clear();
        *lock(&self.sample) = shape.map(Sample::new);
    }

    fn report(&self) -> Received {
        let mut received = Received {
            spans: self.spans.load(Ordering::Relaxed),
            logs: self.logs.load(Ordering::Relaxed),
            requests: self.requests.load(Ordering::Relaxed),
            metrics_requests: self.metrics_requests.load(Ordering::Relaxed),
            metric_scopes: lock(&self.metric_scopes).clone(),
            ..Received::default()
        };
        let broken = self.broken.load(Ordering::Relaxed);
        if broken > 0 {
            received
                .differences
                .push(format!("{broken} requests that cannot be decoded"));
        }
        let sample = lock(&self.sample);
        if let Some(sample) = &*sample {
            sample.compare(&mut received);
        }
        received
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Spans.
    Traces,
    /// Log records.
    Logs,
    /// Metrics, of which the scopes are looked at.
    Metrics,
}

/// Takes the requests of one signal. An empty message is a full success of any of them.
#[derive(Clone)]
struct Export {
    counts: Arc<Counts>,
    signal: Signal,
}

impl UnaryService<Bytes> for Export {
    type Response = Bytes;
    type Future = Ready<Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        self.counts.take_in(self.signal, request.get_ref());
        std::future::ready(Ok(Response::new(Bytes::new())))
    }
}

macro_rules! services {
    ($($service:ident is $name:literal;)*) => {$(
        #[derive(Clone)]
        struct $service(Export);

        impl NamedService for $service {
            const NAME: &'static str = $name;
        }

        impl Service<http::Request<Body>> for $service {
            type Response = http::Response<Body>;
            type Error = Infallible;
            type Future = BoxFuture<Self::Response, Infallible>;

            fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
                Poll::Ready(Ok(()))
            }

            fn call(&mut self, request: http::Request<Body>) -> Self::Future {
                // Each of the services has one method, `Export`.
                let export = self.0.clone();
                Box::pin(async move {
                    let mut grpc = Grpc::new(Raw)
                        .max_decoding_message_size(REQUEST_BYTES_MAX)
                        .accept_compressed(CompressionEncoding::Gzip)
                        .accept_compressed(CompressionEncoding::Zstd);
                    Ok(grpc.unary(export, request).await)
                })
            }
        }
    )*};
}

services! {
    Traces is "opentelemetry.proto.collector.trace.v1.TraceService";
    Logs is "opentelemetry.proto.collector.logs.v1.LogsService";
    Metrics is "opentelemetry.proto.collector.metrics.v1.MetricsService";
}

/// Serves until standard input ends.
pub(crate) fn run(cores: Cores) -> Result<()> {
    cores.keep()?;
    let counts = Arc::new(Counts::default());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let export = |signal| Export {
        counts: Arc::clone(&counts),
        signal,
    };
    let server = tonic::transport::Server::builder()
        .add_service(Traces(export(Signal::Traces)))
        .add_service(Logs(export(Signal::Logs)))
        .add_service(Metrics(export(Signal::Metrics)));
    // Without it an answer that comes in two writes waits for the client's delayed acknowledgement,
    // 40 ms of idling that would be booked on the client.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    runtime.spawn(server.serve_with_incoming(incoming));
    answer(&Hello { endpoint })?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        match line.split_once(' ') {
            Some(("reset", shape)) => {
                let shape = match shape {
                    NO_SHAPE => None,
                    name => Some(Shape::from_str(name, false).map_err(anyhow::Error::msg)?),
                };
                counts.reset(shape);
                answer(&Received::default())?;
            }
            _ => answer(&counts.report())?,
        }
    }
    Ok(())
}

fn answer(value: &impl Serialize) -> Result<()> {
    let mut line = serde_json::to_string(value).context("an answer is plain data")?;
    line.push('\n');
    let mut output = std::io::stdout().lock();
    output.write_all(line.as_bytes())?;
    Ok(output.flush()?)
}
