//! One conversation, turn by turn.

mod answer;
mod history;
mod news;
mod tool_loop;

use std::time::Instant;

use ringlight::channel::{broadcast, mpsc};
use tracing::Span;

use crate::channels::{Channel, ChannelError};
use crate::context::Sources;
use crate::status::failed;
use crate::upkeep::TurnMetrics;
use crate::wires::{self, Receiver, Sender};
use crate::{LlmError, MemoryError, Message, Refusal, Tools, prescreen};

pub(crate) use news::{News, UNHEARD_MAX};

/// The most of a question that telemetry shows, in bytes.
const SHOWN_BYTES_MAX: usize = 80;

/// Pieces of an answer that wait to be shown.
const TOKENS_WAITING_MAX: usize = 16;

/// What the user is told when a turn fails.
const APOLOGY: &str = "I could not answer that, please ask again.";

/// How a turn ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TurnOutcome {
    /// The model answered.
    Answered {
        /// What it said.
        answer: String,
        /// How many tools it called for it.
        tool_calls: u64,
    },
    /// The user did not want the answer any more.
    Cancelled,
    /// The input was not let through.
    Refused(Refusal),
}

/// Why a turn failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TurnError {
    /// Memory could not be used.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The model did not answer.
    #[error(transparent)]
    Llm(#[from] LlmError),
    /// The answer could not be sent.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The user does not want the answer any more.
    #[error("the user does not want the answer any more")]
    Cancelled,
    /// The model said nothing and called nothing.
    #[error("the model's answer is empty")]
    EmptyAnswer,
    /// The model kept calling tools.
    #[error("the model still calls tools after {} rounds", tool_loop::ROUNDS_MAX)]
    TooManyRounds,
}

/// What a session is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// It works on an answer.
    Thinking,
    /// It runs tools.
    CallingTools,
    /// It waits for the next question.
    Idle,
}

impl Status {
    /// All of them, each at its own place.
    pub(crate) const ALL: [Self; 3] = [Self::Thinking, Self::CallingTools, Self::Idle];

    /// The name in telemetry.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Thinking => "thinking",
            Self::CallingTools => "calling_tools",
            Self::Idle => "idle",
        }
    }
}

/// What a turn has taken so far.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    tool_calls: u64,
    tools_failed: u64,
    input_tokens: u64,
    output_tokens: u64,
}

/// The line to the user while a turn goes on.
#[derive(Debug)]
struct Live {
    /// Where the text of an answer goes as it comes, if it is shown then.
    tokens: Option<mpsc::Sender<String>>,
    /// Whether the user wants it any more.
    cancelled: Receiver<()>,
}

/// Whom sessions tell what they do, and who tells them. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Listeners {
    /// What a session does now, by its id.
    pub(crate) status: Sender<(String, Status)>,
    /// What a turn has taken.
    pub(crate) metrics: Sender<TurnMetrics>,
    /// That a session is over, by its id. Without a bound: what is dropped cannot wait, and says so once.
    pub(crate) ended: mpsc::UnboundedSender<String>,
    /// What has changed for all of them.
    pub(crate) news: broadcast::Sender<News>,
}

/// A conversation with one user.
#[derive(Debug)]
pub struct Session {
    id: String,
    sources: Sources,
    tools: Tools,
    listeners: Listeners,
    news: broadcast::Receiver<News>,
    history: Vec<Message>,
    is_restored: bool,
    turns: u64,
}

impl Session {
    /// A conversation that begins, or goes on if memory has one of this id.
    pub(crate) fn new(id: String, sources: Sources, tools: Tools, listeners: Listeners) -> Self {
        Self {
            id,
            sources,
            tools,
            news: listeners.news.subscribe(),
            listeners,
            history: Vec::new(),
            is_restored: false,
            turns: 0,
        }
    }

    /// Answers one input of the user, and sends the answer to `channel`.
    ///
    /// # Errors
    /// The model or memory failed, the model never came to an answer, or it cannot be sent.
    #[tracing::instrument(
        name = "agent.turn",
        skip_all,
        fields(
            session.id = self.id,
            channel.kind = channel.as_str(),
            gen_ai.request.model = self.sources.llm.model(),
            turn.number = self.turns,
            turn.question,
            turn.outcome,
            turn.tool_calls,
            gen_ai.usage.input_tokens,
            gen_ai.usage.output_tokens,
            otel.status_code,
            otel.status_message,
        )
    )]
    pub async fn turn(
        &mut self,
        channel: &mut Channel,
        input: &str,
    ) -> Result<TurnOutcome, TurnError> {
        let started = Instant::now();
        self.turns += 1;
        self.tell(Status::Thinking).await;
        let mut cost = Cost::default();
        let outcome = self.screened(channel, input, &mut cost).await;
        let duration = started.elapsed();
        self.conclude(&outcome, cost, input, duration.as_millis() as u64);
        if outcome.is_err() {
            self.start_anew().await;
        }
        let said = match &outcome {
            Ok(TurnOutcome::Answered { answer, .. }) => answer.as_str(),
            Ok(TurnOutcome::Cancelled) => "Stopped.",
            Ok(TurnOutcome::Refused(_)) => "I do not answer that.",
            Err(_) => APOLOGY,
        };
        let sent = channel.send(said).await.inspect_err(failed);
        let metrics = TurnMetrics {
            duration,
            has_failed: outcome.is_err(),
            input_tokens: cost.input_tokens,
            tool_calls: cost.tool_calls,
            question: input[..input.floor_char_boundary(SHOWN_BYTES_MAX)].to_owned(),
        };
        // Whoever listens is gone at the end.
        let _ = self.listeners.metrics.send(metrics).await;
        self.tell(Status::Idle).await;
        let outcome = outcome?;
        sent?;
        Ok(outcome)
    }

    /// Answers an input if it may reach the model.
    async fn screened(
        &mut self,
        channel: &mut Channel,
        input: &str,
        cost: &mut Cost,
    ) -> Result<TurnOutcome, TurnError> {
        if let Err(refusal) = prescreen(input).await {
            return Ok(TurnOutcome::Refused(refusal));
        }
        if !self.is_restored {
            self.restore_history().await?;
        }
        self.history.extend(news::notes(&mut self.news));
        self.sources.code.refresh(self.tools.writes()).await;
        let (sender, tokens) = mpsc::named("tokens", TOKENS_WAITING_MAX);
        let (cancel, cancelled) = wires::open(wires::CANCEL, 1);
        let live = Live {
            tokens: channel.is_live().then_some(sender),
            cancelled,
        };
        let answering = self.answer(input, live, cost);
        let (answered, relayed) = tokio::join!(answering, channel.relay(tokens, cancel));
        relayed?;
        match answered {
            Ok(answer) => Ok(TurnOutcome::Answered {
                answer,
                tool_calls: cost.tool_calls,
            }),
            Err(TurnError::Cancelled) => Ok(TurnOutcome::Cancelled),
            Err(error) => Err(error),
        }
    }

    /// Tells how the turn ended.
    fn conclude(
        &self,
        outcome: &Result<TurnOutcome, TurnError>,
        cost: Cost,
        input: &str,
        duration_ms: u64,
    ) {
        let span = Span::current();
        let shown = &input[..input.floor_char_boundary(SHOWN_BYTES_MAX)];
        let name = match outcome {
            Ok(TurnOutcome::Answered { .. }) => "answered",
            Ok(TurnOutcome::Cancelled) => "cancelled",
            Ok(TurnOutcome::Refused(_)) => "refused",
            Err(_) => "failed",
        };
        span.record("turn.outcome", name);
        // What was refused is not shown.
        if !matches!(outcome, Ok(TurnOutcome::Refused(_))) {
            span.record("turn.question", shown);
            span.record("turn.tool_calls", cost.tool_calls);
            span.record("gen_ai.usage.input_tokens", cost.input_tokens);
            span.record("gen_ai.usage.output_tokens", cost.output_tokens);
        }
        match outcome {
            Ok(TurnOutcome::Answered { answer, .. }) => tracing::info!(
                question = shown,
                duration_ms,
                tool_calls = cost.tool_calls,
                gen_ai.usage.input_tokens = cost.input_tokens,
                gen_ai.usage.output_tokens = cost.output_tokens,
                answer.bytes = answer.len(),
                "question answered"
            ),
            Ok(_) => {}
            Err(error) => {
                failed(error);
                tracing::warn!(
                    question = shown,
                    duration_ms,
                    cause = %error,
                    "no answer for the user, the conversation starts anew"
                );
            }
        }
    }

    async fn tell(&self, status: Status) {
        let _ = self.listeners.status.send((self.id.clone(), status)).await;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // Whoever follows them is gone at the end.
        let _ = self.listeners.ended.send(std::mem::take(&mut self.id));
    }
}

/// Marks the current span as failed, unless it is the user who ends it.
fn failed_unless_cancelled(error: &TurnError) {
    if !matches!(error, TurnError::Cancelled) {
        failed(error);
    }
}
