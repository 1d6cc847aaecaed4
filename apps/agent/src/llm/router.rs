//! Choosing the provider that is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use ringlight::channel::mpsc;
use tracing::Span;

use super::{Completion, LlmClient, LlmError};
use crate::status::failed;
use crate::{Message, ToolDefinition};

/// Providers tried for one question.
const TRIED_MAX: usize = 2;

/// Questions after which failures are forgotten, so that a provider that failed is asked again.
const FORGIVEN_AFTER: usize = 32;

/// How a provider stands. Written by whoever asks it; `Relaxed` throughout, since the numbers only
/// order the candidates, and one that is a moment old orders them well enough.
#[derive(Debug, Default)]
struct Standing {
    /// Questions it is working on.
    in_use: AtomicU32,
    /// Questions it did not answer lately.
    failures: AtomicU32,
}

/// Counts a question as being worked on, until it is dropped.
struct InUse<'a>(&'a AtomicU32);

impl<'a> InUse<'a> {
    fn new(count: &'a AtomicU32) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One model at several providers. Cheap to clone; all clones share what they know of the providers.
#[derive(Debug, Clone)]
pub struct Router {
    clients: Arc<[LlmClient]>,
    standings: Arc<[Standing]>,
    /// Whose turn it is among equals.
    turn: Arc<AtomicUsize>,
}

impl Router {
    /// A router among `clients`, which should offer the same model.
    ///
    /// # Panics
    /// There are none.
    #[must_use]
    pub fn new(clients: Vec<LlmClient>) -> Self {
        assert!(!clients.is_empty(), "a router needs a provider");
        Self {
            standings: clients.iter().map(|_| Standing::default()).collect(),
            clients: clients.into(),
            turn: Arc::new(AtomicUsize::new(0)),
        }
    }

    /// The model that is asked.
    #[must_use]
    pub fn model(&self) -> &str {
        self.clients[0].model()
    }

    /// The provider a question would go to now.
    #[must_use]
    pub fn best(&self) -> &LlmClient {
        &self.clients[self.order()[0]]
    }

    /// Chooses a provider and asks it; another one if it fails in a way that is its own. With
    /// `tokens`, the text of the answer goes there as it comes.
    ///
    /// # Errors
    /// Nobody answered.
    #[tracing::instrument(
        name = "llm.router",
        skip_all,
        fields(
            gen_ai.request.model = self.model(),
            gen_ai.provider.name,
            router.candidates = self.clients.len(),
            router.tried,
            router.policy = "fewest failures, then least in use",
            otel.status_code,
            otel.status_message,
        )
    )]
    pub async fn chat(
        &self,
        messages: &[Message],
        tools: &[ToolDefinition],
        tokens: Option<&mpsc::Sender<String>>,
    ) -> Result<Completion, LlmError> {
        let span = Span::current();
        let mut last = None;
        for (place, index) in self.order().into_iter().take(TRIED_MAX).enumerate() {
            let (client, standing) = (&self.clients[index], &self.standings[index]);
            span.record("gen_ai.provider.name", client.provider().as_str());
            span.record("router.tried", place + 1);
            let outcome = {
                let _in_use = InUse::new(&standing.in_use);
                match tokens {
                    Some(tokens) => client.chat_stream(messages, tools, tokens.clone()).await,
                    None => client.chat(messages, tools).await,
                }
            };
            match outcome {
                Err(error) if error.is_retryable() => {
                    standing.failures.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(
                        cause = %error,
                        gen_ai.provider.name = client.provider().as_str(),
                        "the provider does not answer"
                    );
                    last = Some(error);
                }
                other => return other.inspect_err(failed),
            }
        }
        // There is a provider, so one was tried.
        let error = last.unwrap_or(LlmError::Timeout);
        failed(&error);
        Err(error)
    }

    /// The providers, the one to ask first first.
    fn order(&self) -> Vec<usize> {
        let count = self.clients.len();
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        if turn.is_multiple_of(FORGIVEN_AFTER) {
            for standing in self.standings.iter() {
                standing.failures.store(0, Ordering::Relaxed);
            }
        }
        let mut order: Vec<usize> = (0..count).map(|place| (place + turn) % count).collect();
        // Sorting keeps the order of equals, which is the rotation's.
        order.sort_by_key(|index| {
            let standing = &self.standings[*index];
            (
                standing.failures.load(Ordering::Relaxed),
                standing.in_use.load(Ordering::Relaxed),
            )
        });
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Provider;

    fn router() -> Router {
        let clients = Provider::ALL
            .into_iter()
            .map(|provider| LlmClient::new("http://127.0.0.1:9/v1", provider, "m").unwrap())
            .collect();
        Router::new(clients)
    }

    #[test]
    fn equals_take_turns() {
        let router = router();
        let first: Vec<usize> = (0..5).map(|_| router.order()[0]).collect();
        assert_eq!(first, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn who_failed_or_is_busy_comes_later() {
        let router = router();
        router.order();
        for (index, standing) in router.standings.iter().enumerate() {
            standing
                .failures
                .store(u32::from(index == 0), Ordering::Relaxed);
            standing.in_use.store(5 - index as u32, Ordering::Relaxed);
        }
        assert_eq!(router.order(), [4, 3, 2, 1, 0]);
    }
}
