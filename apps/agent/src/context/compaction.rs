//! Keeping a conversation short enough for the model.

use tracing::Span;

use super::Sources;
use crate::status::failed;
use crate::{MemoryError, Message, Role};

/// A conversation of as many messages is summarized.
const MESSAGES_MAX: usize = 12;

/// A conversation of as many estimated tokens is summarized.
const TOKENS_MAX: u64 = 1_500;

/// Messages that stay as they are, the newest.
const MESSAGES_KEPT: usize = 4;

/// What stays of a tool's result of an earlier round, in bytes.
const RESULT_BYTES_KEPT: usize = 200;

/// Whether a conversation is long enough to be summarized.
#[tracing::instrument(
    name = "context.check_summarization",
    skip_all,
    fields(context.messages = history.len(), context.tokens, context.is_due)
)]
pub(super) fn check_summarization(history: &[Message]) -> bool {
    let tokens: u64 = history.iter().map(Message::tokens).sum();
    let is_due =
        history.len() > MESSAGES_KEPT && (history.len() >= MESSAGES_MAX || tokens >= TOKENS_MAX);
    let span = Span::current();
    span.record("context.tokens", tokens);
    span.record("context.is_due", is_due);
    is_due
}

impl Sources {
    /// Summarizes the older part of a conversation and removes it. Without a summary it stays.
    ///
    /// # Errors
    /// Memory could not be read.
    #[tracing::instrument(
        name = "context.compaction",
        skip_all,
        fields(
            session.id = session,
            context.messages_before = history.len(),
            context.messages,
            otel.status_code,
            otel.status_message,
        )
    )]
    pub(super) async fn compact(
        &self,
        session: &str,
        history: &mut Vec<Message>,
    ) -> Result<(), MemoryError> {
        let older = history.len().saturating_sub(MESSAGES_KEPT);
        let probed = self.memory.compaction_probe(session, &history[..older]);
        if probed.await.inspect_err(failed)? {
            let summarized = self
                .memory
                .summarize(session, &self.llm, &history[..older])
                .await;
            match summarized {
                Ok(()) => {
                    history.drain(..older);
                }
                Err(error) => tracing::warn!(
                    cause = %error,
                    "the conversation stays as long as it is, for want of a summary"
                ),
            }
        }
        Span::current().record("context.messages", history.len());
        Ok(())
    }
}

/// Shortens the results of earlier rounds of a turn: the model has read them and called what it
/// needs next.
#[tracing::instrument(
    name = "context.microcompact",
    skip_all,
    fields(context.messages = messages.len(), context.shortened, context.bytes_saved)
)]
pub(crate) fn microcompact(messages: &mut [Message]) {
    let latest_calls = messages
        .iter()
        .rposition(|message| !message.tool_calls.is_empty())
        .unwrap_or(0);
    let mut shortened = 0;
    let mut bytes_saved = 0;
    let results = messages[..latest_calls]
        .iter_mut()
        .filter(|message| message.role == Role::Tool)
        .filter_map(|message| message.content.as_mut())
        .filter(|content| content.len() > RESULT_BYTES_KEPT);
    for content in results {
        let end = content.floor_char_boundary(RESULT_BYTES_KEPT);
        bytes_saved += content.len() - end;
        shortened += 1;
        content.truncate(end);
    }
    let span = Span::current();
    span.record("context.shortened", shortened);
    span.record("context.bytes_saved", bytes_saved);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FunctionCall, ToolCall};

    #[test]
    fn a_long_conversation_is_due() {
        let said =
            |count: usize, bytes: usize| vec![Message::text(Role::User, "x".repeat(bytes)); count];
        assert!(!check_summarization(&said(6, 10)));
        assert!(check_summarization(&said(12, 10)));
        assert!(check_summarization(&said(6, 2_000)));
        assert!(!check_summarization(&said(4, 9_000)));
    }

    #[test]
    fn only_results_of_earlier_rounds_are_shortened() {
        let call = |id: &str| Message {
            content: None,
            tool_calls: vec![ToolCall {
                id: id.to_owned(),
                kind: "function".to_owned(),
                function: FunctionCall {
                    name: "file".to_owned(),
                    arguments: "{}".to_owned(),
                },
            }],
            ..Message::text(Role::Assistant, "")
        };
        let long = "é".repeat(300);
        let mut messages = vec![
            Message::text(Role::User, long.as_str()),
            call("1"),
            Message::tool_result("1", long.as_str()),
            call("2"),
            Message::tool_result("2", long.as_str()),
        ];
        microcompact(&mut messages);
        let bytes = |place: usize| messages[place].content.as_deref().unwrap().len();
        assert_eq!((bytes(0), bytes(2), bytes(4)), (600, 200, 600));
    }
}
