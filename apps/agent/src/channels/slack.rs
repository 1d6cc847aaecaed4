//! A channel of Slack, by its Web API.

use http::Method;
use serde_json::{Value, json};

use super::ChannelError;
use crate::http_client::HttpClient;
use crate::status::failed;

/// Stands for the bot's token.
const AUTHORIZATION: &str = "Bearer stand-in";

/// A bot in one channel.
#[derive(Debug)]
pub struct Slack {
    service: HttpClient,
    channel: String,
}

impl Slack {
    pub(super) fn new(service: HttpClient, number: u32) -> Self {
        Self {
            service,
            channel: format!("C{number}"),
        }
    }

    #[tracing::instrument(
        name = "channel.slack",
        skip_all,
        fields(
            otel.kind = "client",
            channel.operation = "receive",
            channel.method = "conversations.history",
            channel.bytes,
            otel.status_code,
            otel.status_message,
        )
    )]
    pub(super) async fn receive(&mut self) -> Result<String, ChannelError> {
        let path = format!(
            "/slack/api/conversations.history?channel={}&limit=1",
            self.channel
        );
        let history = self
            .call(Method::GET, &path, None)
            .await
            .inspect_err(failed)?;
        let text = history["messages"][0]["text"].as_str().unwrap_or_default();
        tracing::Span::current().record("channel.bytes", text.len());
        Ok(text.to_owned())
    }

    #[tracing::instrument(
        name = "channel.slack",
        skip_all,
        fields(
            otel.kind = "client",
            channel.operation = "send",
            channel.method = "chat.postMessage",
            channel.bytes = answer.len(),
            otel.status_code,
            otel.status_message,
        )
    )]
    pub(super) async fn send(&mut self, answer: &str) -> Result<(), ChannelError> {
        let message = json!({"channel": self.channel, "text": answer});
        self.call(Method::POST, "/slack/api/chat.postMessage", Some(&message))
            .await
            .inspect_err(failed)?;
        Ok(())
    }

    /// Slack answers 200 whatever happens; whether it worked is in the answer.
    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, ChannelError> {
        let answer = self
            .service
            .exchange_json(method, path, Some(AUTHORIZATION), body)
            .await?;
        if answer["ok"] == true {
            return Ok(answer);
        }
        let reason = answer["error"].as_str().unwrap_or("no reason given");
        Err(ChannelError::Refused(reason.to_owned()))
    }
}
