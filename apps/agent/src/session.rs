//! One conversation, turn by turn.

use std::time::Instant;

use tracing::Span;

use crate::status::failed;
use crate::{
    LlmClient, LlmError, Memory, MemoryError, Message, Refusal, Role, ToolCall, Tools,
    prepare_context, prescreen,
};

/// How often the model may call tools before it must answer.
const ROUNDS_MAX: u32 = 6;

/// Messages of a session kept for its next turns.
const HISTORY_MAX: usize = 12;

/// The most of a question that telemetry shows, in bytes.
const SHOWN_BYTES_MAX: usize = 80;

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
    /// The model said nothing and called nothing.
    #[error("the model's answer is empty")]
    EmptyAnswer,
    /// The model kept calling tools.
    #[error("the model still calls tools after {ROUNDS_MAX} rounds")]
    TooManyRounds,
}

/// What a turn has taken so far.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    tool_calls: u64,
    input_tokens: u64,
    output_tokens: u64,
}

/// What the model wants.
#[derive(Debug)]
enum Response {
    Answer(String),
    Calls(Vec<ToolCall>),
}

/// A conversation with one user.
#[derive(Debug)]
pub struct Session {
    id: String,
    llm: LlmClient,
    memory: Memory,
    tools: Tools,
    history: Vec<Message>,
    turns: u64,
}

impl Session {
    /// A conversation that begins.
    #[must_use]
    pub fn new(id: String, llm: LlmClient, memory: Memory, tools: Tools) -> Self {
        Self {
            id,
            llm,
            memory,
            tools,
            history: Vec::new(),
            turns: 0,
        }
    }

    /// Answers one input of the user.
    ///
    /// # Errors
    /// The model or memory failed, or the model never came to an answer.
    #[tracing::instrument(
        name = "agent.turn",
        skip_all,
        fields(
            session.id = self.id,
            gen_ai.request.model = self.llm.model(),
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
    pub async fn turn(&mut self, input: &str) -> Result<TurnOutcome, TurnError> {
        let started = Instant::now();
        self.turns += 1;
        let span = Span::current();
        if let Err(refusal) = prescreen(input).await {
            span.record("turn.outcome", "refused");
            return Ok(TurnOutcome::Refused(refusal));
        }
        let shown = &input[..input.floor_char_boundary(SHOWN_BYTES_MAX)];
        span.record("turn.question", shown);
        let mut cost = Cost::default();
        let answered = self.answer(input, &mut cost).await;
        span.record("turn.tool_calls", cost.tool_calls);
        span.record("gen_ai.usage.input_tokens", cost.input_tokens);
        span.record("gen_ai.usage.output_tokens", cost.output_tokens);
        let duration_ms = started.elapsed().as_millis() as u64;
        match &answered {
            Ok(answer) => {
                span.record("turn.outcome", "answered");
                tracing::info!(
                    question = shown,
                    duration_ms,
                    tool_calls = cost.tool_calls,
                    gen_ai.usage.input_tokens = cost.input_tokens,
                    gen_ai.usage.output_tokens = cost.output_tokens,
                    answer.bytes = answer.len(),
                    "question answered"
                );
            }
            Err(error) => {
                span.record("turn.outcome", "failed");
                failed(error);
                tracing::warn!(
                    question = shown,
                    duration_ms,
                    cause = %error,
                    "no answer for the user, the conversation starts anew"
                );
                self.history.clear();
            }
        }
        answered.map(|answer| TurnOutcome::Answered {
            answer,
            tool_calls: cost.tool_calls,
        })
    }

    async fn answer(&mut self, input: &str, cost: &mut Cost) -> Result<String, TurnError> {
        let mut messages = prepare_context(&self.memory, &self.id, &self.history, input).await?;
        self.persist_message(Role::User, input).await?;
        let reply = self.ask(&messages, cost).await?;
        let answer = match process_response(&reply).await? {
            Response::Answer(answer) => answer,
            Response::Calls(calls) => {
                messages.push(reply);
                self.tool_loop(messages, calls, cost).await?
            }
        };
        self.persist_message(Role::Assistant, &answer).await?;
        self.history.push(Message::text(Role::User, input));
        self.history
            .push(Message::text(Role::Assistant, answer.as_str()));
        let too_many = self.history.len().saturating_sub(HISTORY_MAX);
        self.history.drain(..too_many);
        Ok(answer)
    }

    /// Asks the model for its next message.
    async fn ask(&self, messages: &[Message], cost: &mut Cost) -> Result<Message, LlmError> {
        let completion = self.llm.chat(messages, &self.tools.definitions()).await?;
        cost.input_tokens += completion.usage.prompt_tokens;
        cost.output_tokens += completion.usage.completion_tokens;
        Ok(completion.message)
    }

    /// Runs the tools the model calls and asks it again, until it answers.
    #[tracing::instrument(
        name = "agent.tool_loop",
        skip_all,
        fields(
            session.id = self.id,
            tool_loop.rounds,
            otel.status_code,
            otel.status_message,
        )
    )]
    async fn tool_loop(
        &self,
        mut messages: Vec<Message>,
        mut calls: Vec<ToolCall>,
        cost: &mut Cost,
    ) -> Result<String, TurnError> {
        for round in 1..=ROUNDS_MAX {
            Span::current().record("tool_loop.rounds", round);
            let results = self.tools.execute_batch(&calls).await;
            cost.tool_calls += calls.len() as u64;
            for (call, result) in calls.iter().zip(results) {
                // The model is told what went wrong, and may do something about it.
                let content = result.unwrap_or_else(|error| format!("error: {error}"));
                messages.push(Message::tool_result(&call.id, content));
            }
            let reply = self.ask(&messages, cost).await.inspect_err(failed)?;
            match process_response(&reply).await.inspect_err(failed)? {
                Response::Answer(answer) => return Ok(answer),
                Response::Calls(next) => {
                    messages.push(reply);
                    calls = next;
                }
            }
        }
        tracing::error!(rounds = ROUNDS_MAX, "the model does not come to an answer");
        Err(TurnError::TooManyRounds)
    }

    /// Stores one side of the turn in memory.
    #[tracing::instrument(
        name = "agent.persist_message",
        skip_all,
        fields(
            session.id = self.id,
            message.role = role.as_str(),
            otel.status_code,
            otel.status_message,
        )
    )]
    async fn persist_message(&self, role: Role, content: &str) -> Result<(), MemoryError> {
        self.memory
            .remember(&self.id, role, content)
            .await
            .inspect_err(failed)
    }
}

/// Reads what the model wants from what it said.
#[tracing::instrument(
    name = "agent.process_response",
    skip_all,
    fields(response.kind, response.tool_calls = reply.tool_calls.len())
)]
async fn process_response(reply: &Message) -> Result<Response, TurnError> {
    let span = Span::current();
    if !reply.tool_calls.is_empty() {
        span.record("response.kind", "tool_calls");
        return Ok(Response::Calls(reply.tool_calls.clone()));
    }
    match reply.content.as_deref().map(str::trim) {
        None | Some("") => {
            tracing::error!("the model's answer is empty");
            Err(TurnError::EmptyAnswer)
        }
        Some(answer) => {
            span.record("response.kind", "answer");
            Ok(Response::Answer(answer.to_owned()))
        }
    }
}
