//! The bodies of requests and of answers.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Collected, LengthLimitError, Limited};
use ringlight_collector::{EncodedBatch, ExportError, ExportOutcome};
use ringlight_model::{Limits, Signal};
use ringlight_otlp::OtlpDecoder;
use ringlight_otlp::json::Writer;

use crate::compress::{Compression, Compressor};

/// Bytes of a request before compression (OTLP specification, "request size"). What is larger is not sent.
pub(crate) const REQUEST_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of an answer that are read, before and after decompression, after which the batch counts as
/// refused (OTLP specification, "response size").
pub(crate) const RESPONSE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What is larger is written as JSON or compressed on a thread for blocking work. The exporter runs on the
/// collector's thread, which is to take records out of the rings: a batch of 256 KiB would hold it up
/// for 4 ms with gzip and for 2 ms as JSON. Handing it over takes 13 µs, as much as compressing 2 KB.
const INLINE_BYTES_MAX: usize = 4 * 1024;

/// How a batch is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Protobuf,
    Json,
}

/// The body of a request.
#[derive(Debug)]
pub(crate) struct RequestBody {
    pub(crate) bytes: Bytes,
    pub(crate) format: Format,
    /// The name of its compression.
    pub(crate) encoding: Option<&'static str>,
    /// Records of the batch that are not in it, since they cannot be written so.
    pub(crate) left_out: u64,
}

impl RequestBody {
    /// What came of the batch, by what came of the request.
    pub(crate) fn outcome(wire_bytes: u64, left_out: u64, answer: ExportOutcome) -> ExportOutcome {
        let message = (left_out > 0)
            .then(|| format!("{left_out} records do not decode, and cannot be written as JSON"));
        ExportOutcome {
            rejected: answer.rejected.saturating_add(left_out),
            message: answer.message.or(message),
            wire_bytes,
            ..answer
        }
    }
}

/// Turns batches into bodies.
#[derive(Debug, Clone)]
pub(crate) struct Encoder {
    format: Format,
    compressor: Arc<Compressor>,
}

impl Encoder {
    pub(crate) fn new(format: Format, compression: Compression) -> Self {
        Self {
            format,
            compressor: Arc::new(Compressor::new(compression)),
        }
    }

    /// The body of a request with this batch.
    ///
    /// # Errors
    /// It is too large, or does not decode.
    pub(crate) async fn body(&self, batch: &EncodedBatch) -> Result<RequestBody, ExportError> {
        too_large(batch.bytes.len())?;
        let is_work = self.compressor.compression() != Compression::None
            || self.format_of(batch.signal) == Format::Json;
        if !is_work || batch.bytes.len() <= INLINE_BYTES_MAX {
            return self.encode(batch);
        }
        let (encoder, batch) = (self.clone(), batch.clone());
        let encoded = tokio::task::spawn_blocking(move || encoder.encode(&batch));
        encoded.await.unwrap_or_else(|error| {
            Err(if error.is_panic() {
                ExportError::Permanent {
                    reason: format!("writing the request panicked: {error}"),
                }
            } else {
                ExportError::Unreachable {
                    reason: "the runtime ended".to_owned(),
                    source: None,
                }
            })
        })
    }

    /// Profiles, which only a relay has, stay protobuf: there are no JSON records of them, and a server that takes one of
    /// the formats takes both.
    fn format_of(&self, signal: Signal) -> Format {
        match signal {
            Signal::Traces | Signal::Logs | Signal::Metrics => self.format,
            Signal::Profiles => Format::Protobuf,
        }
    }

    fn encode(&self, batch: &EncodedBatch) -> Result<RequestBody, ExportError> {
        let format = self.format_of(batch.signal);
        let (whole, left_out) = match format {
            Format::Protobuf => (batch.bytes.clone(), 0),
            Format::Json => {
                let (json, left_out) = json(batch)?;
                (Bytes::from(json), left_out)
            }
        };
        too_large(whole.len())?;
        let compressed = self.compressor.compress(&whole);
        let compressed = compressed.map_err(|error| ExportError::Permanent {
            reason: format!("the request cannot be compressed: {error}"),
        })?;
        Ok(RequestBody {
            encoding: compressed
                .is_some()
                .then(|| self.compressor.compression().name())
                .flatten(),
            bytes: compressed.unwrap_or(whole),
            format,
            left_out,
        })
    }
}

fn too_large(bytes: usize) -> Result<(), ExportError> {
    if bytes <= REQUEST_BYTES_MAX {
        return Ok(());
    }
    Err(ExportError::TooLarge {
        reason: format!(
            "the request has {bytes} bytes, more than the {REQUEST_BYTES_MAX} that OTLP has"
        ),
    })
}

/// A batch of spans, log records or data points as an OTLP/JSON request, and how many of them are not in it: those that do not decode,
/// which others may have made.
pub(crate) fn json(batch: &EncodedBatch) -> Result<(String, u64), ExportError> {
    let mut writer = Writer::new(batch.signal);
    let decoded = OtlpDecoder::new(Limits::default())
        .walk(batch.signal, &batch.bytes, &mut writer)
        .map_err(|error| ExportError::Permanent {
            reason: error.to_string(),
        })?;
    Ok((writer.finish(), decoded.rejected))
}

/// Reads the body of an answer, as it is on the wire.
pub(crate) async fn collect<B>(body: B) -> Result<Collected<Bytes>, ExportError>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match Limited::new(body, RESPONSE_BYTES_MAX).collect().await {
        Ok(body) => Ok(body),
        Err(error) if error.is::<LengthLimitError>() => Err(endless()),
        Err(error) => Err(ExportError::Unreachable {
            reason: format!("the connection was lost during the response: {error}"),
            source: Some(error),
        }),
    }
}

/// The error for an answer with more bytes than are read.
pub(crate) fn endless() -> ExportError {
    ExportError::Permanent {
        reason: format!("the response has more than {RESPONSE_BYTES_MAX} bytes"),
    }
}
