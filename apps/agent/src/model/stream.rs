//! An answer of the stand-in model that is sent while it is thought of.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, header};
use http_body_util::channel::{Channel, Sender};
use tracing::{Instrument as _, Span};

use super::{Size, Slot, thinking_record};
use crate::{ChatChunk, ChatRequest, ChunkChoice, Delta, Message, Usage};

/// Pieces that wait for a client that reads slowly; the model stops thinking then.
const PIECES_WAITING_MAX: usize = 4;

/// Words of one piece.
const PIECE_WORDS: usize = 3;

/// What is about to be said.
pub(super) struct Saying {
    pub(super) id: String,
    pub(super) request: ChatRequest,
    pub(super) size: Size,
    pub(super) message: Message,
    pub(super) usage: Usage,
    /// How much longer this answer takes than others.
    pub(super) slowness: u32,
}

/// Answers at once, and goes on thinking and sending in a task, whose span is inside the current
/// one and keeps it open. The slot is taken until all is said.
pub(super) fn respond(saying: Saying, slot: Slot) -> Response {
    let (sender, body) = Channel::<Bytes>::new(PIECES_WAITING_MAX);
    let request_span = Span::current();
    let span = tracing::info_span!(
        "model.generate",
        gen_ai.request.model = saying.size.name,
        gen_ai.usage.input_tokens = saying.usage.prompt_tokens,
        gen_ai.usage.output_tokens = saying.usage.completion_tokens,
        model.streamed = true,
    );
    tokio::spawn(async move {
        let sender = say(saying, sender).instrument(span).await;
        drop((slot, request_span));
        // The client sees the end of the answer once the spans of giving it are closed.
        drop(sender);
    });
    let mut response = Body::new(body).into_response();
    let content_type = HeaderValue::from_static("text/event-stream");
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}

/// Says it, and hands back the sender.
async fn say(saying: Saying, mut sender: Sender<Bytes>) -> Sender<Bytes> {
    let started = Instant::now();
    let times = |each: Duration, tokens: u64| each.saturating_mul(tokens as u32 * saying.slowness);
    let size = saying.size;
    tokio::time::sleep(size.start * saying.slowness).await;
    tokio::time::sleep(times(size.read_token, saying.request.tokens())).await;
    for chunk in chunks(&saying) {
        let tokens = chunk.choices.iter().map(|choice| tokens_of(&choice.delta));
        tokio::time::sleep(times(size.written_token, tokens.sum())).await;
        let Ok(json) = serde_json::to_string(&chunk) else {
            return sender;
        };
        let event = Bytes::from(format!("data: {json}\n\n"));
        if sender.send_data(event).await.is_err() {
            tracing::info!("the client does not listen any more, the completion is given up");
            return sender;
        }
    }
    // A client that is gone after the last piece has all it needs.
    let _ = sender
        .send_data(Bytes::from_static(b"data: [DONE]\n\n"))
        .await;
    thinking_record(started, size, saying.usage);
    sender
}

fn tokens_of(delta: &Delta) -> u64 {
    delta
        .content
        .as_deref()
        .map_or(8, |text| text.len() as u64 / 4 + 1)
}

/// The message in pieces of a few words, the calls of tools in one.
fn chunks(saying: &Saying) -> Vec<ChatChunk> {
    let message = &saying.message;
    let mut deltas: Vec<Delta> = words(message.content.as_deref().unwrap_or_default())
        .chunks(PIECE_WORDS)
        .map(|words| Delta {
            content: Some(words.concat()),
            ..Delta::default()
        })
        .collect();
    if !message.tool_calls.is_empty() {
        deltas.push(Delta {
            content: None,
            tool_calls: message.tool_calls.clone(),
        });
    }
    let last = deltas.len().saturating_sub(1);
    deltas
        .into_iter()
        .enumerate()
        .map(|(place, delta)| ChatChunk {
            id: saying.id.clone(),
            model: saying.request.model.clone(),
            choices: vec![ChunkChoice {
                index: 0,
                delta,
                finish_reason: (place == last).then(|| message.finish_reason().to_owned()),
            }],
            usage: (place == last).then_some(saying.usage),
        })
        .collect()
}

/// The words of a text with the blanks that follow them.
fn words(text: &str) -> Vec<&str> {
    text.split_inclusive(char::is_whitespace).collect()
}
