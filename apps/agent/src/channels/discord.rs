//! A channel of Discord, by its HTTP API.

use http::Method;
use serde_json::json;

use super::ChannelError;
use crate::http_client::HttpClient;
use crate::status::failed;

/// Stands for the bot's token.
const AUTHORIZATION: &str = "Bot stand-in";

/// A bot in one channel.
#[derive(Debug)]
pub struct Discord {
    service: HttpClient,
    messages: String,
}

impl Discord {
    pub(super) fn new(service: HttpClient, channel: u32) -> Self {
        Self {
            service,
            messages: format!("/discord/api/v10/channels/{channel}/messages"),
        }
    }

    #[tracing::instrument(
        name = "channel.discord",
        skip_all,
        fields(
            otel.kind = "client",
            channel.operation = "receive",
            url.path = self.messages,
            channel.bytes,
            otel.status_code,
            otel.status_message,
        )
    )]
    pub(super) async fn receive(&mut self) -> Result<String, ChannelError> {
        let path = format!("{}?limit=1", self.messages);
        let messages = self
            .service
            .exchange_json(Method::GET, &path, Some(AUTHORIZATION), None)
            .await
            .inspect_err(failed)?;
        let text = messages[0]["content"].as_str().unwrap_or_default();
        tracing::Span::current().record("channel.bytes", text.len());
        Ok(text.to_owned())
    }

    #[tracing::instrument(
        name = "channel.discord",
        skip_all,
        fields(
            otel.kind = "client",
            channel.operation = "send",
            url.path = self.messages,
            channel.bytes = answer.len(),
            otel.status_code,
            otel.status_message,
        )
    )]
    pub(super) async fn send(&mut self, answer: &str) -> Result<(), ChannelError> {
        let message = json!({"content": answer});
        let path = &self.messages;
        self.service
            .exchange_json(Method::POST, path, Some(AUTHORIZATION), Some(&message))
            .await
            .inspect_err(failed)?;
        Ok(())
    }
}
