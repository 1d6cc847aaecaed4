//! Answers, as the script says.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Frame;
use ringlight_model::Signal;
use ringlight_otlp::response::{ExportResponse, Status};
use tokio::sync::Notify;

use crate::request::Format;
use crate::{Code, Reply};

pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What an answer has to be to be understood.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wire {
    pub(crate) format: Format,
    pub(crate) signal: Signal,
}

/// What a server says that never stops: 10 GB.
const ENDLESS_BYTES: u64 = 10_000_000_000;

pub(crate) fn respond(reply: &Reply, wire: Wire) -> Response<Body> {
    let is_grpc = wire.format == Format::Grpc;
    match reply {
        Reply::Partial { rejected, message } => taken(partial(*rejected, message, wire), wire),
        Reply::PartialCompressed {
            encoding,
            rejected,
            message,
        } => taken_compressed(&partial(*rejected, message, wire), encoding, wire),
        Reply::Bomb { encoding, bytes } => taken_compressed(&vec![0; *bytes], encoding, wire),
        Reply::Garbage => taken(b"\xff\xff\xffnot a response".to_vec(), wire),
        Reply::Huge(bytes) => taken(vec![0; *bytes], wire),
        Reply::Endless => repeated(wire, Bytes::from(vec![0; 1 << 16]), None),
        Reply::Drip(pause) => repeated(wire, Bytes::from_static(b"\0"), Some(*pause)),
        Reply::Grpc(code, delay) if is_grpc => grpc_status(*code, "as the script says", *delay),
        Reply::GrpcMessage(code, message) if is_grpc => grpc_status(*code, message, None),
        Reply::Grpc(..) | Reply::GrpcMessage(..) => {
            http_reply(StatusCode::SERVICE_UNAVAILABLE, None)
        }
        Reply::Http(status, retry_after) => {
            let header = retry_after.as_deref().map(|value| ("retry-after", value));
            http_reply(status_of(*status), header)
        }
        Reply::Says {
            status,
            content_type,
            body,
        } => {
            let mut response = Response::new(full(body.as_bytes().to_vec()));
            *response.status_mut() = status_of(*status);
            set(response.headers_mut(), "content-type", content_type);
            response
        }
        Reply::Redirect(location) => {
            http_reply(StatusCode::TEMPORARY_REDIRECT, Some(("location", location)))
        }
        _ => taken(Vec::new(), wire),
    }
}

/// Success, and the end of the connection in the middle of it.
pub(crate) fn cut(wire: Wire, kill: Arc<Notify>) -> Response<Body> {
    let mut response = taken(vec![0; 64], wire);
    let head = VecDeque::from([Frame::data(Bytes::from_static(b"\0\0\0"))]);
    response.headers_mut().insert("content-length", 64.into());
    *response.body_mut() = Frames {
        frames: head,
        kill: Some(kill),
    }
    .boxed_unsync();
    response
}

fn status_of(number: u16) -> StatusCode {
    StatusCode::from_u16(number).unwrap_or(StatusCode::IM_A_TEAPOT)
}

fn partial(rejected: i64, message: &str, wire: Wire) -> Vec<u8> {
    let response = ExportResponse {
        rejected: u64::try_from(rejected).unwrap_or(0),
        message: message.to_owned(),
    };
    match wire.format {
        Format::Json => response.to_json(wire.signal).into_bytes(),
        _ => response.to_protobuf(),
    }
}

/// Success with this message.
fn taken(message: Vec<u8>, wire: Wire) -> Response<Body> {
    let mut response = Response::new(match wire.format {
        Format::Grpc => framed(0, &message),
        _ => full(message),
    });
    set_content_type(&mut response, wire);
    response
}

/// The same, compressed.
fn taken_compressed(message: &[u8], encoding: &'static str, wire: Wire) -> Response<Body> {
    let message = compressed(message, encoding);
    let (mut response, name) = match wire.format {
        Format::Grpc => (Response::new(framed(1, &message)), "grpc-encoding"),
        _ => (Response::new(full(message)), "content-encoding"),
    };
    set_content_type(&mut response, wire);
    set(response.headers_mut(), name, encoding);
    response
}

fn set_content_type(response: &mut Response<Body>, wire: Wire) {
    let content_type = match wire.format {
        Format::Grpc => "application/grpc",
        Format::Protobuf => "application/x-protobuf",
        Format::Json => "application/json",
    };
    set(response.headers_mut(), "content-type", content_type);
}

/// A message in the framing of gRPC, and the trailers of success.
fn framed(flag: u8, message: &[u8]) -> Body {
    let mut framed = vec![flag];
    framed.extend_from_slice(
        &u32::try_from(message.len())
            .unwrap_or(u32::MAX)
            .to_be_bytes(),
    );
    framed.extend_from_slice(message);
    let mut trailers = HeaderMap::new();
    set(&mut trailers, "grpc-status", "0");
    let frames = [Frame::data(Bytes::from(framed)), Frame::trailers(trailers)];
    Frames {
        frames: frames.into_iter().collect(),
        kill: None,
    }
    .boxed_unsync()
}

#[expect(clippy::expect_used, reason = "a test fails by panicking")]
fn compressed(bytes: &[u8], encoding: &str) -> Vec<u8> {
    match encoding {
        "gzip" => {
            let level = flate2::Compression::default();
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(bytes).expect("memory can be written");
            encoder.finish().expect("memory can be written")
        }
        "zstd" => zstd::encode_all(bytes, 3).expect("memory can be written"),
        _ => bytes.to_vec(),
    }
}

/// Success with a body of one piece, again and again, with a pause between.
fn repeated(wire: Wire, piece: Bytes, pause: Option<Duration>) -> Response<Body> {
    let pace = pause.map(tokio::time::interval);
    let mut response = Response::new(Repeated { piece, pace }.boxed_unsync());
    set_content_type(&mut response, wire);
    if wire.format != Format::Grpc {
        response
            .headers_mut()
            .insert("content-length", ENDLESS_BYTES.into());
    }
    response
}

struct Repeated {
    piece: Bytes,
    pace: Option<tokio::time::Interval>,
}

impl http_body::Body for Repeated {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(pace) = &mut self.pace
            && pace.poll_tick(context).is_pending()
        {
            return Poll::Pending;
        }
        Poll::Ready(Some(Ok(Frame::data(self.piece.clone()))))
    }
}

fn grpc_status(code: Code, message: &str, delay: Option<Duration>) -> Response<Body> {
    let mut response = Response::new(full(Vec::new()));
    let headers = response.headers_mut();
    set(headers, "content-type", "application/grpc");
    set(headers, "grpc-status", &code.0.to_string());
    set(headers, "grpc-message", message);
    if delay.is_some() {
        let status = Status {
            code: code.0,
            message: message.to_owned(),
            retry_after: delay,
        };
        set(
            headers,
            "grpc-status-details-bin",
            &base64(&status.to_protobuf()),
        );
    }
    response
}

pub(crate) fn http_reply(
    status: StatusCode,
    header: Option<(&'static str, &str)>,
) -> Response<Body> {
    let mut response = Response::new(full(b"as the script says".to_vec()));
    *response.status_mut() = status;
    if let Some((name, value)) = header {
        set(response.headers_mut(), name, value);
    }
    response
}

fn full(bytes: Vec<u8>) -> Body {
    Full::new(Bytes::from(bytes)).boxed_unsync()
}

#[expect(clippy::expect_used, reason = "a test fails by panicking")]
fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    headers.insert(name, value.parse().expect("a header value is visible text"));
}

/// A body whose frames are all there already, and then perhaps the end of the connection.
struct Frames {
    frames: VecDeque<Frame<Bytes>>,
    kill: Option<Arc<Notify>>,
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match (self.frames.pop_front(), &self.kill) {
            (None, Some(kill)) => {
                kill.notify_one();
                Poll::Pending
            }
            (frame, _) => Poll::Ready(frame.map(Ok)),
        }
    }
}

/// Base64 without padding, as gRPC writes binary headers.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut word = [0; 4];
        word[1..=chunk.len()].copy_from_slice(chunk);
        let bits = u32::from_be_bytes(word);
        for digit in 0..=chunk.len() {
            let index = (bits >> (18 - 6 * digit)) & 0x3f;
            text.push(char::from(ALPHABET[index as usize]));
        }
    }
    text
}
