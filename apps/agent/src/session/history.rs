//! What a session keeps of its turns.

use tracing::Span;

use super::Session;
use crate::memory::Admission;
use crate::status::failed;
use crate::{MemoryError, Message, Role};

/// Messages of a session kept for its next turns, if they cannot be summarized.
const HISTORY_MAX: usize = 16;

impl Session {
    /// Goes on with the conversation that memory has of the session.
    #[tracing::instrument(
        name = "agent.restore_history",
        skip_all,
        fields(
            session.id = self.id,
            history.messages,
            otel.status_code,
            otel.status_message,
        )
    )]
    pub(super) async fn restore_history(&mut self) -> Result<(), MemoryError> {
        let memory = &self.sources.memory;
        self.history = memory.history(&self.id).await.inspect_err(failed)?;
        self.shorten();
        self.is_restored = true;
        Span::current().record("history.messages", self.history.len());
        Ok(())
    }

    /// Forgets the conversation: it may be what the turn failed of.
    pub(super) async fn start_anew(&mut self) {
        self.history.clear();
        self.is_restored = false;
        if let Err(error) = self.sources.memory.clear_history(&self.id).await {
            tracing::warn!(cause = %error, "the conversation stays in memory");
        }
    }

    /// Adds a turn to the conversation.
    pub(super) fn push_turn(&mut self, question: &str, answer: &str) {
        self.history.push(Message::text(Role::User, question));
        self.history.push(Message::text(Role::Assistant, answer));
        self.shorten();
    }

    fn shorten(&mut self) {
        let too_many = self.history.len().saturating_sub(HISTORY_MAX);
        self.history.drain(..too_many);
    }

    /// Stores one side of the turn: in the conversation, and if it is worth it, to be recalled. With
    /// an `embedding`, that need not be asked for.
    #[tracing::instrument(
        name = "agent.persist_message",
        skip_all,
        fields(
            session.id = self.id,
            message.role = role.as_str(),
            message.remembered,
            otel.status_code,
            otel.status_message,
        )
    )]
    pub(super) async fn persist_message(
        &self,
        role: Role,
        content: &str,
        embedding: Option<Vec<f32>>,
    ) -> Result<(), MemoryError> {
        let memory = &self.sources.memory;
        memory
            .append_history(&self.id, role, content)
            .await
            .inspect_err(failed)?;
        let admission = memory.admit(&self.id, role, content).await;
        let admission = admission.inspect_err(failed)?;
        let is_admitted = matches!(admission, Admission::Admitted(_));
        Span::current().record("message.remembered", is_admitted);
        if let Admission::Admitted(importance) = admission {
            let embedding = match embedding {
                Some(known) => Some(known),
                None => self.sources.embed(content).await,
            };
            memory
                .remember(&self.id, role, content, importance, embedding.as_deref())
                .await
                .inspect_err(failed)?;
        }
        Ok(())
    }
}
