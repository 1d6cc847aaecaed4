//! OTLP over gRPC, or over HTTP to an endpoint that speaks only that.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use ringlight_collector::{EncodedBatch, ExportError, ExportOutcome, Exporter, Notice, Notices};
use ringlight_model::Signal;

use crate::config::OtlpConfig;
use crate::connect::Sign;
use crate::endpoint::EndpointError;
use crate::grpc::OtlpGrpcExporter;
use crate::http1::OtlpHttpExporter;

/// Sends batches as OTLP over gRPC, and as OTLP over HTTP with protobuf where the endpoint turns out to speak
/// HTTP but not gRPC.
///
/// The port of the other protocol is the mistake that is made most often. It shows in what the
/// server says: an HTTP/1 answer to the first bytes of HTTP/2, HTTP/1.1 chosen in the TLS handshake, or a
/// plain 404, 405 or 415 over HTTP/2. A server that says nothing and closes the connection at those bytes is
/// asked over HTTP as well, and has to take the batch. Every answer of gRPC, a refused connection, one that
/// breaks later, and silence are what they are, and change nothing. The change is
/// [said](crate::OtlpConfig::notices) once.
///
/// Over HTTP, `/v1/traces` and so on are appended to the path, also to that of a single signal's endpoint
/// unless it has one. When nobody answers over HTTP, gRPC is tried again.
pub struct OtlpExporter {
    grpc: OtlpGrpcExporter,
    http: OtlpHttpExporter,
    /// Whether what goes to a host goes over HTTP, by the number of the host among those of the signals.
    /// `Relaxed`: each stands alone, and to see one late costs an attempt.
    is_over_http: [AtomicBool; Signal::ALL.len()],
    /// Whether that was said. `Relaxed`, as it guards nothing but that.
    is_told: AtomicBool,
    notices: Notices,
}

impl OtlpExporter {
    /// An exporter to this destination. Connects to nothing yet.
    ///
    /// # Errors
    /// As [`OtlpGrpcExporter::new`].
    pub fn new(config: &OtlpConfig) -> Result<Self, EndpointError> {
        Ok(Self {
            grpc: OtlpGrpcExporter::new(config)?,
            http: OtlpHttpExporter::instead_of_grpc(config)?,
            is_over_http: Default::default(),
            is_told: AtomicBool::new(false),
            notices: config.notices_hook(),
        })
    }

    /// Sends over HTTP, and goes on with that if what comes of it is proof that it is right.
    async fn over_http(
        &self,
        batch: EncodedBatch,
        is_proof: impl FnOnce(&Result<ExportOutcome, ExportError>) -> bool,
    ) -> Result<ExportOutcome, ExportError> {
        let is_over_http = &self.is_over_http[self.grpc.host(batch.signal)];
        let result = self.http.export(batch).await;
        let is_right = is_proof(&result);
        is_over_http.store(is_right, Ordering::Relaxed);
        if is_right && !self.is_told.swap(true, Ordering::Relaxed) {
            self.notices.send(&Notice::Transport {
                destination: self.grpc.name().to_owned(),
                message: NOTICE.to_owned(),
            });
        }
        result
    }
}

const NOTICE: &str = "it speaks HTTP, not gRPC, so OTLP is sent over HTTP; hint: set the protocol to \
                      `http/protobuf`, or use the port for gRPC";

/// Whether anybody answered, if only that the signal is not known.
const fn is_answer(result: &Result<ExportOutcome, ExportError>) -> bool {
    !matches!(result, Err(ExportError::Unreachable { .. }))
}

impl Exporter for OtlpExporter {
    async fn export(&self, batch: EncodedBatch) -> Result<ExportOutcome, ExportError> {
        let signal = batch.signal;
        if self.is_over_http[self.grpc.host(signal)].load(Ordering::Relaxed) {
            return self.over_http(batch, is_answer).await;
        }
        let result = self.grpc.export(batch.clone()).await;
        if result.is_ok() {
            return result;
        }
        let is_proof: fn(&Result<_, _>) -> bool = match self.grpc.sign(signal) {
            Sign::None => return result,
            Sign::Silence => Result::is_ok,
            Sign::HttpOnly => is_answer,
        };
        let over_http = self.over_http(batch, is_proof).await;
        if is_proof(&over_http) {
            over_http
        } else {
            // It is away; what came of gRPC is what was asked for.
            result
        }
    }

    fn name(&self) -> &str {
        self.grpc.name()
    }

    fn reports_open_spans(&self) -> bool {
        self.grpc.reports_open_spans() && self.http.reports_open_spans()
    }
}

impl fmt::Debug for OtlpExporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OtlpExporter").field(&self.name()).finish()
    }
}
