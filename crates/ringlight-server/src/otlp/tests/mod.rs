//! The receivers against a stand-in for the store. Numbers are those of the project's list of
//! faults.

mod grpc;
mod http;
mod listeners;

use std::collections::VecDeque;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use flate2::Compression;
use flate2::write::GzEncoder;
use ringlight_model::{RejectReason, Resource, Scope, Signal, Span, SpanId, TraceId};
use ringlight_otlp::{Ignore, OtlpDecoder, encode};
use ringlight_store::{Ingest, IngestError, IngestReceipt};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Intake, Receiver, ReceiverConfig};
use crate::server::Addresses;
use crate::state::{Listener, RefusalReason, ServerState};

const PEER: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 50_000);

/// Where a request may wait inside the intake, so that a test can look around meanwhile.
struct Gate {
    arrived: std::sync::mpsc::Sender<()>,
    go_on: Mutex<std::sync::mpsc::Receiver<()>>,
}

/// A request as the intake got it: its signal, its bytes and its batch id.
type KeptRequest = (Signal, Vec<u8>, Option<String>);

/// Keeps what it is given; refuses where it is told to.
#[derive(Default)]
struct Kept {
    requests: Mutex<Vec<KeptRequest>>,
    errors: Mutex<VecDeque<IngestError>>,
    /// What was shown as open, and by which source.
    open: Mutex<Vec<(u64, Vec<u8>)>>,
    gate: Option<Gate>,
}

impl Kept {
    fn refusing(error: IngestError) -> Self {
        Self {
            errors: Mutex::new([error].into()),
            ..Self::default()
        }
    }

    fn requests(&self) -> Vec<KeptRequest> {
        self.requests.lock().unwrap().clone()
    }
}

impl Intake for Kept {
    fn ingest(&self, ingest: Ingest<'_>) -> Result<IngestReceipt, IngestError> {
        if let Some(gate) = &self.gate {
            gate.arrived.send(()).unwrap();
            // The test may have ended.
            let _ = gate.go_on.lock().unwrap().recv();
        }
        if let Some(error) = self.errors.lock().unwrap().pop_front() {
            return Err(error);
        }
        let decoded = OtlpDecoder::default()
            .walk(ingest.signal, ingest.request, &mut Ignore)
            .map_err(IngestError::Decode)?;
        self.requests.lock().unwrap().push((
            ingest.signal,
            ingest.request.to_vec(),
            ingest.batch_id.map(str::to_owned),
        ));
        Ok(IngestReceipt {
            accepted: decoded.records,
            stored: decoded.records,
            duplicates: 0,
            rejected: Vec::new(),
        })
    }

    fn show_open(&self, source: u64, request: &[u8]) {
        self.open.lock().unwrap().push((source, request.to_vec()));
    }
}

/// A receiver and what is behind it.
struct Bench {
    intake: Arc<Kept>,
    state: Arc<ServerState>,
    receiver: Receiver,
}

impl Bench {
    fn new() -> Self {
        Self::with(Kept::default(), ReceiverConfig::default())
    }

    fn with(intake: Kept, config: ReceiverConfig) -> Self {
        let intake = Arc::new(intake);
        let state = Arc::new(ServerState::new());
        let dynamic = Arc::clone(&intake) as Arc<dyn Intake>;
        // Not the usual ports, and not those of `serve` either, which are not known yet.
        let local = |port| SocketAddr::new(PEER.ip(), port);
        let addresses = Addresses {
            grpc: local(14_317),
            http: local(14_318),
            ui: local(14_320),
        };
        let receiver = Receiver::new(dynamic, Arc::clone(&state), addresses, None, config).unwrap();
        Self {
            intake,
            state,
            receiver,
        }
    }

    /// A bench whose requests may have up to 64 KiB.
    fn small() -> Self {
        Self::with(Kept::default(), small_config())
    }

    /// The reason of the last refusal.
    fn last_refusal(&self) -> Option<RefusalReason> {
        self.state.recent_refusals().first().map(|last| last.reason)
    }

    /// No memory is held by requests any more.
    fn assert_memory_is_free(&self) {
        assert_eq!(self.receiver.inner.memory.used(), 0);
    }

    /// Serves gRPC and HTTP on ports of their own.
    async fn serve(&self) -> Served {
        let (stop, stopping) = watch::channel(false);
        let bind = || TcpListener::bind("127.0.0.1:0");
        let (grpc, http) = (bind().await.unwrap(), bind().await.unwrap());
        let addresses = (grpc.local_addr().unwrap(), http.local_addr().unwrap());
        let (for_grpc, stop_grpc) = (self.receiver.clone(), stopping.clone());
        let for_http = self.receiver.clone();
        Served {
            grpc: addresses.0,
            http: addresses.1,
            stop,
            tasks: [
                tokio::spawn(async move { for_grpc.serve_grpc(grpc, stop_grpc).await }),
                tokio::spawn(async move { for_http.serve_http(http, stopping).await }),
            ],
        }
    }
}

struct Served {
    grpc: SocketAddr,
    http: SocketAddr,
    stop: watch::Sender<bool>,
    tasks: [JoinHandle<()>; 2],
}

impl Served {
    async fn stop(self) {
        self.stop.send(true).unwrap();
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

fn small_config() -> ReceiverConfig {
    ReceiverConfig {
        request_bytes_max: 64 << 10,
        memory_bytes_max: 256 << 10,
        ..ReceiverConfig::default()
    }
}

fn span(id: u64) -> Span<'static> {
    Span {
        trace_id: TraceId::new(7),
        span_id: SpanId::new(id),
        name: "checkout".into(),
        start_unix_nano: 1,
        end_unix_nano: 2,
        ..Span::default()
    }
}

/// A traces request of spans with the given ids; id 0 makes a bad one.
fn traces(ids: &[u64]) -> Vec<u8> {
    let spans: Vec<_> = ids.iter().map(|id| span(*id)).collect();
    encode::request(&Resource::default(), &Scope::default(), &spans)
}

/// A traces request of at least `bytes` bytes.
fn large_traces(bytes: usize) -> Vec<u8> {
    let span = Span {
        name: "x".repeat(bytes).into(),
        ..span(1)
    };
    encode::request(&Resource::default(), &Scope::default(), &[span])
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// One frame of Zstandard with a checksum.
fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 19).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What Zstandard makes of `megabytes` of zeros.
fn zstd_bomb(megabytes: usize) -> Vec<u8> {
    zstd(&vec![0; megabytes << 20])
}

/// What gzip makes of `megabytes` of zeros.
fn bomb(megabytes: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let zeros = vec![0; 1 << 20];
    for _ in 0..megabytes {
        encoder.write_all(&zeros).unwrap();
    }
    encoder.finish().unwrap()
}

#[test]
fn the_documentation_names_every_reason() {
    let text = include_str!("../../../../../docs/otlp.md");
    let records = [
        RejectReason::ZeroTraceId,
        RejectReason::ZeroSpanId,
        RejectReason::IdLength,
        RejectReason::TooDeep,
        RejectReason::TooLarge,
        RejectReason::Malformed,
        RejectReason::BadBuckets,
        RejectReason::NoTemporality,
        RejectReason::TooManySeries,
    ]
    .map(RejectReason::as_str);
    let foreign = [RefusalReason::ForeignHost, RefusalReason::ForeignOrigin];
    let requests = RefusalReason::ALL
        .into_iter()
        .filter(|reason| !foreign.contains(reason))
        .map(|reason| reason.as_str());
    for reason in records.into_iter().chain(requests) {
        assert!(text.contains(&format!("`{reason}`")), "{reason}");
    }
}
