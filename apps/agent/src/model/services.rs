//! What else the stand-in server stands for: chat services with somebody who asks, and pages.
//!
//! The services answer as the HTTP APIs of Telegram, Discord and Slack do, as far as the agent uses
//! them. Behind each sits a user who always has one more question.

use axum::extract::{Path, Query};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::corpus;

/// The longest message a service takes, in characters.
const MESSAGE_CHARS_MAX: usize = 4_000;

pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/telegram/{bot}/getUpdates", get(telegram_updates))
        .route("/telegram/{bot}/sendMessage", post(telegram_send))
        .route(
            "/discord/api/v10/channels/{channel}/messages",
            get(discord_messages).post(discord_send),
        )
        .route("/slack/api/conversations.history", get(slack_history))
        .route("/slack/api/chat.postMessage", post(slack_post))
        .route("/docs/{module}", get(page))
}

fn question() -> String {
    corpus::next_question(&mut fastrand::Rng::new())
}

#[derive(Debug, Deserialize)]
struct Updates {
    offset: u64,
}

async fn telegram_updates(Query(asked): Query<Updates>) -> Json<Value> {
    let message = json!({"chat": {"id": 7}, "text": question()});
    Json(json!({"ok": true, "result": [{"update_id": asked.offset, "message": message}]}))
}

async fn telegram_send(Json(sent): Json<Value>) -> Response {
    accept(
        &sent["text"],
        json!({"ok": true, "result": {"message_id": 1}}),
    )
}

async fn discord_messages(Path(channel): Path<String>) -> Json<Value> {
    Json(json!([{"id": "1", "channel_id": channel, "content": question()}]))
}

async fn discord_send(Json(sent): Json<Value>) -> Response {
    accept(&sent["content"], json!({"id": "2"}))
}

async fn slack_history() -> Json<Value> {
    Json(json!({"ok": true, "messages": [{"type": "message", "text": question()}]}))
}

async fn slack_post(Json(sent): Json<Value>) -> Response {
    accept(&sent["text"], json!({"ok": true, "ts": "1.0"}))
}

fn accept(text: &Value, answer: Value) -> Response {
    match text.as_str().map(|text| text.chars().count()) {
        Some(1..=MESSAGE_CHARS_MAX) => Json(answer).into_response(),
        _ => StatusCode::BAD_REQUEST.into_response(),
    }
}

/// A page of the documentation of the code the agent is asked about.
async fn page(Path(module): Path<String>) -> Response {
    let Some(number) = corpus::MODULES.iter().position(|known| *known == module) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let verbs: String = corpus::VERBS
        .iter()
        .map(|verb| format!("<li><code>{verb}_{module}</code> &amp; its limits</li>\n"))
        .collect();
    Html(format!(
        "<!doctype html>\n<html><head><title>Module {module}</title>\n\
         <style>body {{ margin: 0 }}</style><script>let seen = {number} < 9;</script></head>\n\
         <body><h1>{module}</h1><p>Part {number} of the service. It offers:</p>\n\
         <ul>\n{verbs}</ul></body></html>\n"
    ))
    .into_response()
}
