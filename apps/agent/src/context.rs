//! What the model is told before it answers.

use crate::status::failed;
use crate::{Memory, MemoryError, Message, Role};

/// The most the context may take, in estimated tokens.
const TOKENS_MAX: u64 = 4_000;

/// Memories recalled for a question.
const RECALL_MAX: u32 = 4;

const INSTRUCTIONS: &str = "You answer questions about the code in your working directory. \
     Use the tools `file`, `search_code` and `shell`; never guess what a file contains.";

/// Assembles the messages for the model: instructions, what memory knows, the session's latest
/// messages as far as they fit, and the question.
///
/// # Errors
/// Memory could not be read.
#[tracing::instrument(
    name = "agent.prepare_context",
    skip_all,
    fields(
        session.id = session,
        context.messages,
        context.tokens,
        context.left_out,
        otel.status_code,
        otel.status_message,
    )
)]
pub async fn prepare_context(
    memory: &Memory,
    session: &str,
    history: &[Message],
    question: &str,
) -> Result<Vec<Message>, MemoryError> {
    let recalled = memory
        .recall(session, question, RECALL_MAX)
        .await
        .inspect_err(failed)?;
    let mut messages = vec![Message::text(Role::System, INSTRUCTIONS)];
    if !recalled.is_empty() {
        let lines: String = recalled
            .iter()
            .map(|memory| format!("- {}: {}\n", memory.role, memory.content))
            .collect();
        messages.push(Message::text(
            Role::System,
            format!("From earlier conversations:\n{lines}"),
        ));
    }
    let question = Message::text(Role::User, question);
    let mut tokens = question.tokens() + messages.iter().map(Message::tokens).sum::<u64>();
    // The newest messages matter most, so the oldest are left out first.
    let kept = history
        .iter()
        .rev()
        .take_while(|message| {
            tokens += message.tokens();
            tokens <= TOKENS_MAX
        })
        .count();
    let left_out = history.len() - kept;
    messages.extend_from_slice(&history[left_out..]);
    messages.push(question);
    let span = tracing::Span::current();
    span.record("context.messages", messages.len());
    span.record(
        "context.tokens",
        messages.iter().map(Message::tokens).sum::<u64>(),
    );
    span.record("context.left_out", left_out);
    if left_out > 0 {
        tracing::warn!(
            left_out,
            kept,
            tokens_max = TOKENS_MAX,
            "older messages do not fit the context"
        );
    }
    Ok(messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn memory_comes_first_the_question_last_and_old_history_is_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let memory = Memory::open(&directory.path().join("memory.db")).unwrap();
        memory
            .remember("s", Role::User, "the cache must flush")
            .await
            .unwrap();
        let history: Vec<Message> = (0..20)
            .map(|index| Message::text(Role::User, format!("{index} {}", "x".repeat(2_000))))
            .collect();
        let messages = prepare_context(&memory, "s", &history, "And the cache?")
            .await
            .unwrap();
        let text = |index: usize| messages[index].content.as_deref().unwrap();
        assert!(text(1).contains("must flush"));
        assert_eq!(text(messages.len() - 1), "And the cache?");
        assert!(text(messages.len() - 2).starts_with("19 "));
        assert!(messages.len() < 12);
        assert!(messages.iter().map(Message::tokens).sum::<u64>() <= TOKENS_MAX);
    }
}
