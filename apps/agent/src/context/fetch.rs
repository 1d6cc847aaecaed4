//! What is fetched for the model before it answers.

use tracing::Span;

use super::Sources;
use crate::MemoryError;
use crate::memory::terms;
use crate::status::failed;

/// Facts of the graph told at most.
const FACTS_MAX: usize = 3;

/// Topics of several sessions told at most.
const TOPICS_MAX: usize = 2;

/// Places in the code told at most.
const PLACES_MAX: usize = 2;

/// Summaries told at most.
const SUMMARIES_MAX: u32 = 1;

impl Sources {
    /// Memories that bear on the question.
    #[tracing::instrument(
        name = "context.fetch_recall",
        skip_all,
        fields(session.id = session, context.items, otel.status_code, otel.status_message)
    )]
    pub(super) async fn fetch_recall(
        &self,
        session: &str,
        question: &str,
        embedding: Option<&[f32]>,
    ) -> Result<Vec<String>, MemoryError> {
        let recalled = self
            .memory
            .recall(session, question, embedding, self.settings.recall_max())
            .await
            .inspect_err(failed)?;
        let lines: Vec<String> = recalled
            .into_iter()
            .map(|memory| format!("{}: {}", memory.role, memory.content))
            .collect();
        Ok(counted(lines))
    }

    /// What earlier parts of the conversation came to.
    #[tracing::instrument(
        name = "context.fetch_summaries",
        skip_all,
        fields(session.id = session, context.items, otel.status_code, otel.status_message)
    )]
    pub(super) async fn fetch_summaries(&self, session: &str) -> Result<Vec<String>, MemoryError> {
        let found = self.memory.summaries(session, SUMMARIES_MAX).await;
        found.map(counted).inspect_err(failed)
    }

    /// Where the functions are that the question names.
    #[tracing::instrument(name = "context.fetch_code", skip_all, fields(context.items))]
    pub(super) async fn fetch_code(&self, question: &str) -> Vec<String> {
        counted(self.code.find(&terms(question), PLACES_MAX))
    }

    /// What several sessions have in common about what the question names.
    #[tracing::instrument(
        name = "context.fetch_cross_session",
        skip_all,
        fields(context.items, otel.status_code, otel.status_message)
    )]
    pub(super) async fn fetch_cross_session(
        &self,
        question: &str,
    ) -> Result<Vec<String>, MemoryError> {
        let found = self.memory.shared_about(terms(question), TOPICS_MAX).await;
        found.map(counted).inspect_err(failed)
    }

    /// Facts about what the question names.
    #[tracing::instrument(
        name = "context.fetch_graph_facts",
        skip_all,
        fields(context.items, otel.status_code, otel.status_message)
    )]
    pub(super) async fn fetch_graph_facts(
        &self,
        question: &str,
    ) -> Result<Vec<String>, MemoryError> {
        let found = self.memory.facts_about(terms(question), FACTS_MAX).await;
        found.map(counted).inspect_err(failed)
    }
}

/// Tells the current span how many items there are.
fn counted(items: Vec<String>) -> Vec<String> {
    Span::current().record("context.items", items.len());
    items
}
