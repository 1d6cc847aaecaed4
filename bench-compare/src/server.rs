//! The counting server: receives OTLP over gRPC, decodes it with types that are not ours, counts,
//! and compares a sample of the spans with what was sent.
//!
//! It runs as a process of its own, so that its CPU time is nobody's. It takes commands as lines
//! on standard input and answers each with one line of JSON.

use std::{
    io::{BufRead, Write},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use opentelemetry_proto::tonic::collector::{
    logs::v1::{
        ExportLogsServiceRequest, ExportLogsServiceResponse,
        logs_service_server::{LogsService, LogsServiceServer},
    },
    metrics::v1::{
        ExportMetricsServiceRequest, ExportMetricsServiceResponse,
        metrics_service_server::{MetricsService, MetricsServiceServer},
    },
    trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
};
use serde::{Deserialize, Serialize};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, codec::CompressionEncoding};

use crate::{plan::Shape, sample::Sample};

/// Larger than any peer's request, so that none is refused.
const REQUEST_BYTES_MAX: usize = 256 << 20;

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
    sample: Mutex<Option<Sample>>,
}

impl Counts {
    fn with_sample(&self, work: impl FnOnce(&mut Sample)) {
        let mut sample = self.sample.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sample) = &mut *sample {
            work(sample);
        }
    }

    fn reset(&self, shape: Shape) {
        // Relaxed here and below: the numbers are read when nobody sends any more.
        self.spans.store(0, Ordering::Relaxed);
        self.logs.store(0, Ordering::Relaxed);
        self.requests.store(0, Ordering::Relaxed);
        *self.sample.lock().unwrap_or_else(PoisonError::into_inner) = Some(Sample::new(shape));
    }

    fn report(&self) -> Received {
        let mut received = Received {
            spans: self.spans.load(Ordering::Relaxed),
            logs: self.logs.load(Ordering::Relaxed),
            requests: self.requests.load(Ordering::Relaxed),
            ..Received::default()
        };
        self.with_sample(|sample| sample.compare(&mut received));
        received
    }
}

#[tonic::async_trait]
impl TraceService for Service {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let request = request.into_inner();
        let scopes = || {
            request
                .resource_spans
                .iter()
                .flat_map(|resource| &resource.scope_spans)
        };
        let spans_count: usize = scopes().map(|scope| scope.spans.len()).sum();
        self.0
            .spans
            .fetch_add(spans_count as u64, Ordering::Relaxed);
        self.0.requests.fetch_add(1, Ordering::Relaxed);
        self.0.with_sample(|sample| {
            for span in scopes().flat_map(|scope| &scope.spans) {
                sample.offer_span(span);
            }
        });
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Service {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        let request = request.into_inner();
        let scopes = || {
            request
                .resource_logs
                .iter()
                .flat_map(|resource| &resource.scope_logs)
        };
        let logs_count: usize = scopes().map(|scope| scope.log_records.len()).sum();
        self.0.logs.fetch_add(logs_count as u64, Ordering::Relaxed);
        self.0.requests.fetch_add(1, Ordering::Relaxed);
        self.0.with_sample(|sample| {
            for log in scopes().flat_map(|scope| &scope.log_records) {
                sample.offer_log(log);
            }
        });
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Service {
    /// A client may report on itself; that is accepted and not counted.
    async fn export(
        &self,
        _request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[derive(Clone)]
struct Service(Arc<Counts>);

/// Serves until standard input ends.
pub(crate) fn run() -> Result<()> {
    let counts = Arc::new(Counts::default());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let service = Service(Arc::clone(&counts));
    macro_rules! sized {
        ($server:ident) => {
            $server::new(service.clone())
                .max_decoding_message_size(REQUEST_BYTES_MAX)
                .accept_compressed(CompressionEncoding::Gzip)
        };
    }
    let server = tonic::transport::Server::builder()
        .add_service(sized!(TraceServiceServer))
        .add_service(sized!(LogsServiceServer))
        .add_service(sized!(MetricsServiceServer));
    runtime.spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    answer(&Hello { endpoint })?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        match line.split_once(' ') {
            Some(("reset", shape)) => {
                let shape = Shape::from_str(shape, false).map_err(anyhow::Error::msg)?;
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
