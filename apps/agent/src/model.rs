//! The stand-in model: a server of its own process that speaks the chat-completions protocol.
//!
//! It comes in two sizes, serves a few requests at a time, holds others for a moment, and answers 429
//! then unless the client prefers to wait longer; some requests fail with 500, and one that does not
//! fit the context window is refused with 400. It thinks by sleeping, in proportion to what it reads
//! and writes: the only sleeps of the application. An answer may be streamed, or keep to a schema; a
//! second model embeds. Beside the models, the server stands for chat services, where somebody asks
//! questions, and for a site with documentation.

mod embedding;
mod extraction;
mod reply;
mod services;
mod stream;

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use ringlight_app_harness::{RunArgs, Stop, print_json_line};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{Instrument as _, Span};

use crate::propagation;
use crate::{ChatRequest, ChatResponse, Choice, ErrorBody, ErrorResponse, Message, Role, Usage};

pub use embedding::EMBEDDING_MODEL;

/// A place among the requests that are worked on, until it is dropped.
type Slot = OwnedSemaphorePermit;

/// How long a request is held for a slot unless the client prefers otherwise.
const WAIT_DEFAULT: Duration = Duration::from_millis(150);

/// The longest a client may ask to be held.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// A size of the model.
#[derive(Debug, Clone, Copy)]
struct Size {
    name: &'static str,
    /// Tokens of a request that it takes at most.
    window_tokens: u64,
    /// Time before the first token, beside the time to read.
    start: Duration,
    read_token: Duration,
    written_token: Duration,
}

const SIZES: [Size; 2] = [
    Size {
        name: "stand-in-mini",
        window_tokens: 1_024,
        start: Duration::from_millis(80),
        read_token: Duration::from_micros(30),
        written_token: Duration::from_millis(5),
    },
    Size {
        name: "stand-in-large",
        window_tokens: 16_000,
        start: Duration::from_millis(250),
        read_token: Duration::from_micros(80),
        written_token: Duration::from_millis(12),
    },
];

/// The names the model answers to, the fast one first.
pub const MODELS: [&str; SIZES.len()] = [SIZES[0].name, SIZES[1].name];

/// The arguments of the stand-in model.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Arguments every sample application takes.
    #[command(flatten)]
    pub run: RunArgs,

    /// Loopback port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 8090, value_name = "PORT")]
    pub port: u16,

    /// Requests answered at the same time; one more waits for a moment and gets 429 then
    #[arg(long, default_value_t = 4, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub slots: u32,

    /// Requests of a thousand that fail with 500
    #[arg(long, default_value_t = 25, value_name = "N",
        value_parser = clap::value_parser!(u32).range(0..=1_000))]
    pub failures: u32,
}

/// Runs the model as a process. Its first line on standard output tells where it listens:
/// `{"listening":"http://127.0.0.1:8090/v1"}`.
#[must_use]
pub fn main(args: &Args) -> ExitCode {
    let build = ringlight::build_info!();
    let tune = std::convert::identity;
    ringlight_app_harness::run("model", build, &args.run, tune, async |stop| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, args.port));
        let listener = TcpListener::bind(address).await.map_err(|error| {
            format!("cannot listen on {address}: {error}; hint: `--port 0` takes a free port")
        })?;
        let address = listener.local_addr()?;
        print_json_line(&json!({"listening": format!("http://{address}/v1")}))?;
        let served = serve(listener, args.slots, args.failures, stop).await?;
        Ok(json!({"completions": served}))
    })
}

struct Model {
    slots: Arc<Semaphore>,
    slots_total: u32,
    failures: u32,
    /// Completions given; numbers them. `Relaxed`: it orders nothing.
    served: AtomicU64,
}

/// Serves until stopped and returns how many completions were given.
///
/// # Errors
/// The listener failed.
pub async fn serve(
    listener: TcpListener,
    slots: u32,
    failures: u32,
    stop: Stop,
) -> Result<u64, Box<dyn Error + Send + Sync>> {
    let model = Arc::new(Model {
        slots: Arc::new(Semaphore::new(slots as usize)),
        slots_total: slots,
        failures,
        served: AtomicU64::new(0),
    });
    let router = Router::new()
        .route("/v1/chat/completions", post(completions))
        .route("/v1/embeddings", post(embedding::embeddings))
        .merge(services::routes())
        .with_state(Arc::clone(&model));
    axum::serve(listener, router)
        .with_graceful_shutdown(async move { stop.requested().await })
        .await?;
    Ok(model.served.load(Ordering::Relaxed))
}

async fn completions(State(model): State<Arc<Model>>, headers: HeaderMap, body: Bytes) -> Response {
    let span = propagation::continue_trace(&headers, || {
        tracing::info_span!(
            "POST /v1/chat/completions",
            otel.kind = "server",
            http.request.method = "POST",
            http.route = "/v1/chat/completions",
            http.request.body.size = body.len(),
            http.response.status_code = tracing::field::Empty,
        )
    });
    async {
        let response = match answer(&model, &headers, &body).await {
            Ok(response) => response,
            Err(refused) => refused.into_response(),
        };
        Span::current().record("http.response.status_code", response.status().as_u16());
        response
    }
    .instrument(span)
    .await
}

async fn answer(
    model: &Model,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Response, ProviderError> {
    let request: ChatRequest =
        serde_json::from_slice(body).map_err(|error| ProviderError::Request(error.to_string()))?;
    let size = size_for(&request)?;
    let slot = admit(model, preferred_wait(headers)).await?;
    let mut random = fastrand::Rng::new();
    if random.u32(..1_000) < model.failures {
        tracing::error!(
            gen_ai.request.model = size.name,
            gen_ai.usage.input_tokens = request.tokens(),
            "the model ran out of memory"
        );
        return Err(ProviderError::Internal);
    }
    let number = model.served.fetch_add(1, Ordering::Relaxed);
    let id = format!("chatcmpl-{number}");
    let message = said(&request, number, &mut random);
    let usage = usage(&request, &message);
    let slowness = if random.u32(..50) == 0 { 5 } else { 1 };
    if request.stream {
        let saying = stream::Saying {
            id,
            request,
            size,
            message,
            usage,
            slowness,
        };
        return Ok(stream::respond(saying, slot));
    }
    think(size, usage, slowness).await;
    Ok(Json(ChatResponse {
        id,
        object: "chat.completion".to_owned(),
        created: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs()),
        model: request.model,
        choices: vec![Choice {
            index: 0,
            finish_reason: message.finish_reason().to_owned(),
            message,
        }],
        usage,
    })
    .into_response())
}

/// The model's next message: as the schema says if there is one.
fn said(request: &ChatRequest, number: u64, random: &mut fastrand::Rng) -> Message {
    let Some(format) = &request.response_format else {
        return reply::reply(&request.messages, number, random);
    };
    let schema = format["json_schema"]["name"].as_str().unwrap_or_default();
    let text = request
        .messages
        .last()
        .and_then(|last| last.content.as_deref());
    let extracted = extraction::extract(schema, text.unwrap_or_default());
    Message::text(Role::Assistant, extracted.to_string())
}

/// The size a request asks for, if the request fits it.
fn size_for(request: &ChatRequest) -> Result<Size, ProviderError> {
    let size = SIZES
        .into_iter()
        .find(|size| size.name == request.model)
        .ok_or_else(|| ProviderError::UnknownModel(request.model.clone()))?;
    let tokens = request.tokens();
    if tokens > size.window_tokens {
        tracing::warn!(
            gen_ai.request.model = size.name,
            gen_ai.usage.input_tokens = tokens,
            model.window_tokens = size.window_tokens,
            "the request does not fit the context window"
        );
        return Err(ProviderError::TooLong {
            tokens,
            window_tokens: size.window_tokens,
        });
    }
    Ok(size)
}

/// Takes one of the model's slots, waiting for it as long as the client prefers.
#[tracing::instrument(
    name = "model.admit",
    skip_all,
    fields(
        model.slots = model.slots_total,
        model.slots_free = model.slots.available_permits(),
        model.wait_allowed_ms = wait.as_millis() as u64,
    )
)]
async fn admit(model: &Model, wait: Duration) -> Result<Slot, ProviderError> {
    let slots = || Arc::clone(&model.slots);
    if let Ok(slot) = slots().try_acquire_owned() {
        return Ok(slot);
    }
    match tokio::time::timeout(wait, slots().acquire_owned()).await {
        Ok(Ok(slot)) => Ok(slot),
        _ => {
            tracing::warn!(
                model.slots = model.slots_total,
                model.waited_ms = wait.as_millis() as u64,
                "all slots are taken, the request is refused"
            );
            Err(ProviderError::Busy)
        }
    }
}

/// Thinks of the next message: what a model takes seconds of computing for is slept here.
#[tracing::instrument(
    name = "model.generate",
    skip_all,
    fields(
        gen_ai.request.model = size.name,
        gen_ai.usage.input_tokens = usage.prompt_tokens,
        gen_ai.usage.output_tokens = usage.completion_tokens,
        model.streamed = false,
    )
)]
async fn think(size: Size, usage: Usage, slowness: u32) {
    let started = Instant::now();
    let times = |each: Duration, tokens: u64| each.saturating_mul(tokens as u32);
    let thinking = size.start
        + times(size.read_token, usage.prompt_tokens)
        + times(size.written_token, usage.completion_tokens);
    tokio::time::sleep(thinking * slowness).await;
    thinking_record(started, size, usage);
}

/// Tells how fast a completion was.
fn thinking_record(started: Instant, size: Size, usage: Usage) {
    let took = started.elapsed();
    tracing::info!(
        duration_ms = took.as_millis() as u64,
        tokens_per_second = (usage.completion_tokens as f64 / took.as_secs_f64()).round(),
        gen_ai.request.model = size.name,
        gen_ai.usage.input_tokens = usage.prompt_tokens,
        gen_ai.usage.output_tokens = usage.completion_tokens,
        "completion generated"
    );
}

fn usage(request: &ChatRequest, message: &Message) -> Usage {
    let prompt_tokens = request.tokens();
    let completion_tokens = message.tokens();
    Usage {
        prompt_tokens,
        completion_tokens,
        total_tokens: prompt_tokens + completion_tokens,
    }
}

/// How long the client prefers to wait (`Prefer: wait=10`, RFC 7240).
fn preferred_wait(headers: &HeaderMap) -> Duration {
    headers
        .get("prefer")
        .and_then(|value| value.to_str().ok())
        .and_then(|value| {
            value
                .split([',', ';'])
                .find_map(|part| part.trim().strip_prefix("wait="))
        })
        .and_then(|seconds| seconds.parse().ok())
        .map_or(WAIT_DEFAULT, Duration::from_secs)
        .min(WAIT_MAX)
}

#[derive(Debug)]
enum ProviderError {
    Request(String),
    UnknownModel(String),
    TooLong { tokens: u64, window_tokens: u64 },
    Busy,
    Internal,
}

impl IntoResponse for ProviderError {
    fn into_response(self) -> Response {
        let (status, kind, message) = match self {
            Self::Request(message) => (
                StatusCode::BAD_REQUEST,
                "invalid_request_error",
                format!("the request cannot be read: {message}"),
            ),
            Self::UnknownModel(name) => (
                StatusCode::NOT_FOUND,
                "model_not_found",
                format!(
                    "there is no model `{name}`; there are {}",
                    MODELS.join(" and ")
                ),
            ),
            Self::TooLong {
                tokens,
                window_tokens,
            } => (
                StatusCode::BAD_REQUEST,
                "context_length_exceeded",
                format!("the request has {tokens} tokens, the model takes {window_tokens}"),
            ),
            Self::Busy => (
                StatusCode::TOO_MANY_REQUESTS,
                "rate_limit_error",
                "all slots are taken; try again, or prefer to wait".to_owned(),
            ),
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "server_error",
                "the model ran out of memory".to_owned(),
            ),
        };
        let error = ErrorResponse {
            error: ErrorBody {
                message,
                kind: kind.to_owned(),
            },
        };
        let mut response = (status, Json(error)).into_response();
        if status == StatusCode::TOO_MANY_REQUESTS {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_says_how_long_it_prefers_to_wait() {
        let check = |prefer: Option<&'static str>, expected: Duration| {
            let mut headers = HeaderMap::new();
            if let Some(prefer) = prefer {
                headers.insert("prefer", HeaderValue::from_static(prefer));
            }
            assert_eq!(preferred_wait(&headers), expected, "{prefer:?}");
        };
        check(None, WAIT_DEFAULT);
        check(Some("wait=10"), Duration::from_secs(10));
        check(Some("respond-async, wait=5"), Duration::from_secs(5));
        check(Some("wait=0"), Duration::ZERO);
        check(Some("wait=99999999999999999999"), WAIT_DEFAULT);
        check(Some("wait=600"), WAIT_MAX);
        check(Some("wait=soon"), WAIT_DEFAULT);
    }
}
