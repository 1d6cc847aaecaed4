//! From the body of a request to its answer.

use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode};
use ringlight_model::{
    DecodeError, Limits, LogRecord, RecordVisitor, RejectReason, Resource, Scope, Signal, Span,
};
use ringlight_otlp::response::{ExportResponse, Status};
use ringlight_otlp::{Decoded, OtlpDecoder, json, ledger_report, open_report};
use ringlight_store::{Ingest, IngestError, now_unix_nano};

use super::body::{BodyError, Encoding, decompress};
use super::memory::Buffer;
use super::{Inner, Receiver};
use crate::state::{RefusalReason, Taken};

/// How long a received request waits for one of the places where requests are worked on.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(1);

/// When a client should try again where nothing better is known.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What every answer says the backend takes beyond OTLP, to clients that can do it.
pub(super) const TAKES: HeaderName = HeaderName::from_static("ringlight-takes");
/// Reports of spans that are still open.
pub(super) const OPEN_SPANS: HeaderValue = HeaderValue::from_static("open-spans");

/// Bytes of a batch id; a longer one is not ours.
const BATCH_ID_BYTES_MAX: usize = 128;

/// gRPC status codes, as far as they are needed here.
pub(super) mod code {
    pub(in super::super) const INVALID_ARGUMENT: i32 = 3;
    pub(in super::super) const DEADLINE_EXCEEDED: i32 = 4;
    pub(in super::super) const PERMISSION_DENIED: i32 = 7;
    pub(in super::super) const RESOURCE_EXHAUSTED: i32 = 8;
    pub(in super::super) const UNIMPLEMENTED: i32 = 12;
    pub(in super::super) const INTERNAL: i32 = 13;
    pub(in super::super) const UNAVAILABLE: i32 = 14;
}

/// The form of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Protobuf,
    Json,
}

/// A request that has arrived.
#[derive(Debug)]
pub(super) struct Received {
    pub(super) signal: Signal,
    pub(super) format: Format,
    /// How the body is compressed, if it is.
    pub(super) encoding: Option<Encoding>,
    pub(super) body: Buffer,
    /// What our own client calls the batch, the same when it sends it again.
    pub(super) batch_id: Option<String>,
}

/// A request that is refused as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) reason: RefusalReason,
    pub(super) message: String,
    pub(super) retry_after: Option<Duration>,
}

impl Refused {
    pub(super) fn new(reason: RefusalReason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            retry_after: None,
        }
    }

    fn retry(reason: RefusalReason, message: impl Into<String>, after: Duration) -> Self {
        Self {
            reason,
            message: message.into(),
            retry_after: Some(after),
        }
    }

    /// The gRPC status code.
    pub(super) fn code(&self) -> i32 {
        match self.reason {
            RefusalReason::UnknownPath
            | RefusalReason::Method
            | RefusalReason::ContentType
            | RefusalReason::Encoding
            | RefusalReason::WrongProtocol
            | RefusalReason::Tls => code::UNIMPLEMENTED,
            RefusalReason::TooLarge => code::RESOURCE_EXHAUSTED,
            RefusalReason::Undecodable | RefusalReason::Incomplete => code::INVALID_ARGUMENT,
            RefusalReason::Slow => code::DEADLINE_EXCEEDED,
            RefusalReason::ForeignHost | RefusalReason::ForeignOrigin => code::PERMISSION_DENIED,
            RefusalReason::Overloaded | RefusalReason::DiskFull | RefusalReason::Connections => {
                code::UNAVAILABLE
            }
            RefusalReason::StoreFailed if self.retry_after.is_some() => code::UNAVAILABLE,
            RefusalReason::StoreFailed => code::INTERNAL,
        }
    }

    /// The HTTP status code.
    pub(super) fn http_status(&self) -> StatusCode {
        match self.reason {
            RefusalReason::UnknownPath => StatusCode::NOT_FOUND,
            RefusalReason::Method => StatusCode::METHOD_NOT_ALLOWED,
            RefusalReason::ContentType
            | RefusalReason::Encoding
            | RefusalReason::WrongProtocol
            | RefusalReason::Tls => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            RefusalReason::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            RefusalReason::Undecodable | RefusalReason::Incomplete => StatusCode::BAD_REQUEST,
            RefusalReason::Slow => StatusCode::REQUEST_TIMEOUT,
            RefusalReason::ForeignHost | RefusalReason::ForeignOrigin => StatusCode::FORBIDDEN,
            RefusalReason::Overloaded | RefusalReason::DiskFull | RefusalReason::Connections => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            RefusalReason::StoreFailed if self.retry_after.is_some() => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            RefusalReason::StoreFailed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What goes into the body or the trailers of the answer.
    pub(super) fn status(&self) -> Status {
        Status {
            code: self.code(),
            message: self.message.clone(),
            retry_after: self.retry_after,
        }
    }
}

/// The refusal of a body that could not be taken.
pub(super) fn refused_body(error: BodyError, max: usize) -> Refused {
    match error {
        BodyError::TooLarge => Refused::new(
            RefusalReason::TooLarge,
            format!("request is larger than {max} bytes, send smaller batches"),
        ),
        BodyError::Memory => Refused::retry(
            RefusalReason::Overloaded,
            "requests in flight take all the memory they may, try again later",
            RETRY_AFTER,
        ),
        BodyError::Slow => Refused::new(RefusalReason::Slow, "request took too long to arrive"),
        BodyError::Incomplete => Refused::new(
            RefusalReason::Incomplete,
            "connection ended before the request did",
        ),
        BodyError::Corrupt => Refused::new(
            RefusalReason::Undecodable,
            "request is not compressed as it says, or is cut off, damaged, or Zstandard with a window of more than 8 MiB",
        ),
    }
}

/// A batch id as our client sends it; anything else is no batch id.
pub(super) fn batch_id(headers: &http::HeaderMap) -> Option<String> {
    let value = headers.get("ringlight-batch-id")?.to_str().ok()?;
    (!value.is_empty() && value.len() <= BATCH_ID_BYTES_MAX).then(|| value.to_owned())
}

/// Works on a request on a thread that may block, and gives the answer.
pub(super) async fn take(
    receiver: &Receiver,
    received: Received,
) -> Result<ExportResponse, Refused> {
    let inner = &receiver.inner;
    inner
        .state
        .count_request(received.signal, received.body.as_slice().len() as u64);
    let place = std::sync::Arc::clone(&inner.requests).acquire_owned();
    let Ok(Ok(place)) = tokio::time::timeout(QUEUE_TIMEOUT, place).await else {
        return Err(Refused::retry(
            RefusalReason::Overloaded,
            "too many requests are being stored, try again later",
            RETRY_AFTER,
        ));
    };
    let receiver = receiver.clone();
    let work = tokio::task::spawn_blocking(move || {
        let answer = work(&receiver.inner, received);
        drop(place);
        answer
    });
    match work.await {
        Ok(answer) => answer,
        Err(_) => Err(Refused::new(
            RefusalReason::StoreFailed,
            "request ended in an internal error",
        )),
    }
}

/// A request that is known to be good but for the records that are counted as bad.
struct Prepared {
    signal: Signal,
    body: Buffer,
    batch_id: Option<String>,
    decoded: Decoded,
    rejects: Rejects,
    warning: Option<String>,
}

impl Prepared {
    /// Counts the points the store had no room for among what the client is told.
    fn refuse_series(&mut self, taken: &Taken) {
        let is_it = |(reason, _): &&(RejectReason, u64)| *reason == RejectReason::TooManySeries;
        if let Some(&(reason, points)) = taken.rejected.iter().find(is_it) {
            self.rejects.counts.push((reason, points));
            self.decoded.rejected += points;
            self.decoded.records = self.decoded.records.saturating_sub(points);
        }
    }
}

/// Decompresses, converts, checks and stores a request. Blocks.
fn work(inner: &Inner, received: Received) -> Result<ExportResponse, Refused> {
    let mut prepared = inner.turns.take(|| prepare(inner, received))?;
    let signal = prepared.signal;
    let taken = match signal {
        Signal::Traces => store(inner, &prepared)?,
        Signal::Logs => match open_spans(inner, &prepared)? {
            Some(taken) => taken,
            None => store(inner, &prepared)?,
        },
        Signal::Metrics => metrics(inner, &prepared)?,
        Signal::Profiles => not_stored(&prepared.decoded),
    };
    inner.state.count_taken(signal, &taken);
    prepared.refuse_series(&taken);
    let decoded = &prepared.decoded;
    let body = prepared.body.as_slice();
    if let Some(forward) = &inner.forward
        && is_passed_on(&taken)
    {
        forward.forward(signal, body);
    }
    let message = prepared
        .rejects
        .describe(decoded)
        .into_iter()
        .chain(prepared.warning)
        .collect::<Vec<_>>()
        .join("; ");
    Ok(ExportResponse {
        rejected: decoded.rejected,
        message,
    })
}

/// Decompresses, converts and checks a request.
fn prepare(inner: &Inner, received: Received) -> Result<Prepared, Refused> {
    let Received {
        signal,
        format,
        encoding,
        mut body,
        batch_id,
    } = received;
    let max = inner.config.request_bytes_max;
    let refused = |error| refused_body(error, max);
    if let Some(encoding) = encoding {
        body = decompress(encoding, body.as_slice(), &inner.memory, max).map_err(refused)?;
    }
    let limits = Limits {
        request_bytes_max: max,
        ..Limits::default()
    };
    let mut warning = None;
    if format == Format::Json {
        let convert = || {
            let converted =
                json::to_protobuf(signal, body.as_slice(), &limits).map_err(undecodable)?;
            warning = converted.snake_case.map(|name| {
                format!("member `{name}` was ignored: OTLP/JSON names are lowerCamelCase")
            });
            Ok(converted.request)
        };
        let size = body.as_slice().len();
        body = Buffer::made(&inner.memory, size, convert, refused)?;
    }
    let mut rejects = Rejects::default();
    let decoded = OtlpDecoder::new(limits)
        .walk(signal, body.as_slice(), &mut rejects)
        .map_err(undecodable)?;
    Ok(Prepared {
        signal,
        body,
        batch_id,
        decoded,
        rejects,
        warning,
    })
}

fn store(inner: &Inner, prepared: &Prepared) -> Result<Taken, Refused> {
    let decoded = &prepared.decoded;
    if decoded.records == 0 {
        // Nothing to store, but what was refused counts.
        return Ok(Taken {
            rejected: prepared.rejects.counts.clone(),
            ..Taken::default()
        });
    }
    let receipt = inner
        .intake
        .ingest(Ingest {
            signal: prepared.signal,
            request: prepared.body.as_slice(),
            batch_id: prepared.batch_id.as_deref(),
        })
        .map_err(refused_by_store)?;
    // A client that got no answer sends the same again; what was refused then is counted already.
    let came_before = receipt.stored == 0 && receipt.duplicates > 0;
    Ok(Taken {
        accepted: receipt.accepted,
        stored: receipt.stored,
        duplicates: receipt.duplicates,
        not_stored: 0,
        ledger_points: 0,
        open_spans: 0,
        rejected: if came_before {
            Vec::new()
        } else {
            receipt.rejected
        },
        negative_durations: decoded.negative_durations,
        repaired_texts: decoded.repaired_texts,
    })
}

/// Whether others get what was taken. What came before went there before, and reports of open spans are between a client and
/// its backend.
const fn is_passed_on(taken: &Taken) -> bool {
    taken.stored + taken.not_stored + taken.ledger_points > 0
}

fn not_stored(decoded: &Decoded) -> Taken {
    Taken {
        accepted: decoded.records,
        not_stored: decoded.records,
        ..Taken::default()
    }
}

/// Stores a metrics request, unless it is nothing but the reports of clients about themselves, which are
/// taken out of it in any case.
fn metrics(inner: &Inner, prepared: &Prepared) -> Result<Taken, Refused> {
    let ledger_points = ledgers(inner, prepared.body.as_slice())?;
    let decoded = &prepared.decoded;
    if ledger_points == 0 || ledger_points < decoded.records {
        return store(inner, prepared);
    }
    Ok(Taken {
        accepted: decoded.records,
        ledger_points: decoded.records,
        rejected: prepared.rejects.counts.clone(),
        ..Taken::default()
    })
}

/// Takes the ledgers out of a metrics request; says how many data points they were.
fn ledgers(inner: &Inner, request: &[u8]) -> Result<u64, Refused> {
    let mut points = 0;
    for report in ledger_report::read(request).map_err(undecodable)? {
        points += report.points;
        inner.state.report(report);
    }
    Ok(points)
}

/// Reports of open spans that are taken from one request. A client sends one.
const OPEN_REPORTS_MAX: usize = 16;

/// Takes the reports of open spans that a logs request consists of. One that has other records, too, is
/// no report.
fn open_spans(inner: &Inner, prepared: &Prepared) -> Result<Option<Taken>, Refused> {
    let reports = open_report::read(prepared.body.as_slice()).map_err(undecodable)?;
    let records: usize = reports.iter().map(|report| report.spans.len()).sum();
    if reports.is_empty() || records as u64 != prepared.decoded.records {
        return Ok(None);
    }
    let mut taken = Taken::default();
    let (reports, more) = reports.split_at(reports.len().min(OPEN_REPORTS_MAX));
    let refused: usize = more.iter().map(|report| report.spans.len()).sum();
    if refused > 0 {
        taken
            .rejected
            .push((RejectReason::Malformed, refused as u64));
    }
    for report in reports {
        let show = |source, request: &[u8]| inner.intake.show_open(source, request);
        let of_report = inner.state.open_spans.take(report, now_unix_nano(), show);
        taken.open_spans += of_report.spans;
        if of_report.refused > 0 {
            taken
                .rejected
                .push((RejectReason::Malformed, of_report.refused));
        }
    }
    taken.accepted = taken.open_spans;
    Ok(Some(taken))
}

fn undecodable(error: DecodeError) -> Refused {
    Refused::new(RefusalReason::Undecodable, error.to_string())
}

fn refused_by_store(error: IngestError) -> Refused {
    let message = error.to_string();
    match error {
        IngestError::Overloaded { retry_after } => {
            Refused::retry(RefusalReason::Overloaded, message, retry_after)
        }
        IngestError::DiskFull { retry_after, .. } => {
            Refused::retry(RefusalReason::DiskFull, message, retry_after)
        }
        IngestError::Decode(error) => undecodable(error),
        IngestError::Write { .. } | IngestError::Closed => {
            Refused::retry(RefusalReason::StoreFailed, message, RETRY_AFTER)
        }
        _ => Refused::new(RefusalReason::StoreFailed, message),
    }
}

/// Counts refused records by reason.
#[derive(Debug, Default)]
struct Rejects {
    counts: Vec<(RejectReason, u64)>,
}

impl Rejects {
    /// What the client is told.
    fn describe(&self, decoded: &Decoded) -> Option<String> {
        if self.counts.is_empty() {
            return None;
        }
        let reasons: Vec<_> = self
            .counts
            .iter()
            .map(|(reason, count)| format!("{reason} ({count})"))
            .collect();
        let total = decoded.records + decoded.rejected;
        Some(format!(
            "refused {} of {total} records: {}",
            decoded.rejected,
            reasons.join(", ")
        ))
    }
}

impl RecordVisitor for Rejects {
    fn resource(&mut self, _: &Resource<'_>) {}
    fn scope(&mut self, _: &Scope<'_>) {}
    fn span(&mut self, _: &Span<'_>) {}
    fn log(&mut self, _: &LogRecord<'_>) {}
    fn rejected(&mut self, reason: RejectReason) {
        match self.counts.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, count)) => *count += 1,
            None => self.counts.push((reason, 1)),
        }
    }
}
