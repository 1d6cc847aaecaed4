//! A chat of Telegram, by its Bot API.

use http::Method;
use serde_json::{Value, json};

use super::ChannelError;
use crate::http_client::HttpClient;
use crate::status::failed;

/// Stands for the bot's token; a path with a real one must never be in telemetry.
const BOT: &str = "/telegram/botstand-in";

/// A bot, and what it has read.
#[derive(Debug)]
pub struct Telegram {
    service: HttpClient,
    /// The update that comes next.
    offset: u64,
    /// The chat that was asked in last.
    chat: Value,
}

impl Telegram {
    pub(super) fn new(service: HttpClient) -> Self {
        Self {
            service,
            offset: 0,
            chat: Value::Null,
        }
    }

    #[tracing::instrument(
        name = "channel.telegram",
        skip_all,
        fields(
            otel.kind = "client",
            channel.operation = "receive",
            channel.method = "getUpdates",
            channel.bytes,
            otel.status_code,
            otel.status_message,
        )
    )]
    pub(super) async fn receive(&mut self) -> Result<String, ChannelError> {
        let path = format!("{BOT}/getUpdates?offset={}&limit=1&timeout=5", self.offset);
        let updates = self
            .call(Method::GET, &path, None)
            .await
            .inspect_err(failed)?;
        let update = &updates["result"][0];
        self.offset = update["update_id"]
            .as_u64()
            .map_or(self.offset, |id| id + 1);
        self.chat = update["message"]["chat"]["id"].clone();
        let text = update["message"]["text"].as_str().unwrap_or_default();
        tracing::Span::current().record("channel.bytes", text.len());
        Ok(text.to_owned())
    }

    #[tracing::instrument(
        name = "channel.telegram",
        skip_all,
        fields(
            otel.kind = "client",
            channel.operation = "send",
            channel.method = "sendMessage",
            channel.bytes = answer.len(),
            otel.status_code,
            otel.status_message,
        )
    )]
    pub(super) async fn send(&mut self, answer: &str) -> Result<(), ChannelError> {
        let message = json!({"chat_id": self.chat, "text": answer});
        self.call(Method::POST, &format!("{BOT}/sendMessage"), Some(&message))
            .await
            .inspect_err(failed)?;
        Ok(())
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, ChannelError> {
        let answer = self.service.exchange_json(method, path, None, body).await?;
        if answer["ok"] == true {
            return Ok(answer);
        }
        let reason = answer["description"].as_str().unwrap_or("no reason given");
        Err(ChannelError::Refused(reason.to_owned()))
    }
}
