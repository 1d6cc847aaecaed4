//! What the model is told before it answers.

mod compaction;
mod fetch;

use std::fmt::Write as _;

use tracing::Span;

use crate::code_index::CodeIndex;
use crate::settings::SharedSettings;
use crate::skills::{Skill, Skills};
use crate::status::failed;
use crate::{Memory, MemoryError, Message, Role, Router};

use compaction::check_summarization;
pub(crate) use compaction::microcompact;

/// The most the context may take, in estimated tokens.
const TOKENS_MAX: u64 = 4_000;

/// What a thousand tokens of input cost, in thousandths of a cent.
const THOUSAND_TOKENS_COST: u64 = 300;

const INSTRUCTIONS: &str = "You answer questions about the code in your working directory. \
     Use the tools `file`, `search_code` and `shell`; never guess what a file contains.";

/// What stands before memories.
pub(crate) const RECALLED: &str = "From earlier conversations:\n";

/// Where context comes from. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    pub(crate) memory: Memory,
    pub(crate) llm: Router,
    pub(crate) skills: Skills,
    pub(crate) code: CodeIndex,
    pub(crate) settings: SharedSettings,
}

/// What a turn begins with.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The messages for the model, the question last.
    pub(crate) messages: Vec<Message>,
    /// The skill the question calls for.
    pub(crate) skill: Option<Skill>,
    /// The question's embedding, if the model gave one.
    pub(crate) embedding: Option<Vec<f32>>,
}

impl Sources {
    /// Prepares the messages for the model: the conversation is compacted if it is long, what bears
    /// on the question is put before it, and the oldest messages are left out if it does not fit.
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
            context.cost_millicents,
            context.left_out,
            otel.status_code,
            otel.status_message,
        )
    )]
    pub(crate) async fn prepare_context(
        &self,
        session: &str,
        history: &mut Vec<Message>,
        question: &str,
    ) -> Result<Prepared, MemoryError> {
        if check_summarization(history) {
            self.compact(session, history).await.inspect_err(failed)?;
        }
        let mut prepared = self.assemble(session, question).await.inspect_err(failed)?;
        let left_out = append_fitting(&mut prepared.messages, history, question);
        let tokens: u64 = prepared.messages.iter().map(Message::tokens).sum();
        let span = Span::current();
        span.record("context.messages", prepared.messages.len());
        span.record("context.tokens", tokens);
        span.record(
            "context.cost_millicents",
            tokens * THOUSAND_TOKENS_COST / 1_000,
        );
        span.record("context.left_out", left_out);
        if left_out > 0 {
            tracing::warn!(
                left_out,
                tokens_max = TOKENS_MAX,
                "older messages do not fit the context"
            );
        }
        Ok(prepared)
    }

    /// Puts together what the model is told beside the conversation.
    #[tracing::instrument(
        name = "context.assembly",
        skip_all,
        fields(
            session.id = session,
            context.parts,
            skill.name,
            otel.status_code,
            otel.status_message,
        )
    )]
    async fn assemble(&self, session: &str, question: &str) -> Result<Prepared, MemoryError> {
        let embedding = self.embed(question).await;
        let vector = embedding.as_deref();
        let recalled = self.fetch_recall(session, question, vector).await;
        let recalled = recalled.inspect_err(failed)?;
        let summaries = self.fetch_summaries(session).await.inspect_err(failed)?;
        let code = self.fetch_code(question).await;
        let shared = self.fetch_cross_session(question).await;
        let shared = shared.inspect_err(failed)?;
        let facts = self.fetch_graph_facts(question).await.inspect_err(failed)?;
        let skill = self.skills.matching(question, vector).await;
        let skill = skill.inspect_err(failed)?;
        let mut messages = vec![Message::text(Role::System, INSTRUCTIONS)];
        if let Some(skill) = &skill {
            let text = format!("How to do it: {}", skill.instructions);
            messages.push(Message::text(Role::System, text));
            Span::current().record("skill.name", skill.name.as_str());
        }
        for (heading, items) in [
            ("From the code:\n", code),
            ("What is known:\n", facts),
            ("What others ask:\n", shared),
            ("What was said before:\n", summaries),
            (RECALLED, recalled),
        ] {
            if !items.is_empty() {
                messages.push(Message::text(Role::System, listing(heading, &items)));
            }
        }
        Span::current().record("context.parts", messages.len());
        Ok(Prepared {
            messages,
            skill,
            embedding,
        })
    }

    /// The embedding of a text. Without one, what it bears on is found by its words.
    pub(crate) async fn embed(&self, text: &str) -> Option<Vec<f32>> {
        match self.llm.best().embed(&[text]).await {
            Ok(mut vectors) => vectors.pop(),
            Err(error) => {
                tracing::warn!(cause = %error, "there is no embedding, words have to do");
                None
            }
        }
    }
}

fn listing(heading: &str, items: &[String]) -> String {
    let mut text = heading.to_owned();
    for item in items {
        // Writing to a string does not fail.
        let _ = writeln!(text, "- {item}");
    }
    text
}

/// Appends the conversation as far as it fits, and the question. Returns how many messages are left
/// out: the newest matter most, so these are the oldest.
fn append_fitting(messages: &mut Vec<Message>, history: &[Message], question: &str) -> usize {
    let question = Message::text(Role::User, question);
    let mut tokens = question.tokens() + messages.iter().map(Message::tokens).sum::<u64>();
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
    left_out
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{LlmClient, Provider, Sandbox};

    /// Sources whose model cannot be reached.
    fn sources(directory: &std::path::Path) -> Sources {
        let memory = Memory::open(&directory.join("memory.db")).unwrap();
        let client = LlmClient::new("http://127.0.0.1:9/v1", Provider::Ollama, "m").unwrap();
        Sources {
            llm: Router::new(vec![client]),
            skills: Skills::new(directory.join("skills"), memory.clone()),
            code: CodeIndex::new(Arc::new(Sandbox::new(directory).unwrap())),
            settings: SharedSettings::default(),
            memory,
        }
    }

    #[tokio::test]
    async fn memory_comes_first_the_question_last_and_old_history_is_left_out() {
        let directory = tempfile::tempdir().unwrap();
        let sources = sources(directory.path());
        sources
            .memory
            .remember("s", Role::User, "the cache must flush", 1.0, None)
            .await
            .unwrap();
        let mut history: Vec<Message> = (0..20)
            .map(|index| Message::text(Role::User, format!("{index} {}", "x".repeat(2_000))))
            .collect();
        let prepared = sources
            .prepare_context("s", &mut history, "And the cache?")
            .await
            .unwrap();
        assert_eq!(history.len(), 20, "without a summary all of it stays");
        let messages = prepared.messages;
        let text = |index: usize| messages[index].content.as_deref().unwrap();
        assert!(text(1).contains("must flush"));
        assert_eq!(text(messages.len() - 1), "And the cache?");
        assert!(text(messages.len() - 2).starts_with("19 "));
        assert!(messages.len() < 12);
        assert!(messages.iter().map(Message::tokens).sum::<u64>() <= TOKENS_MAX);
    }
}
