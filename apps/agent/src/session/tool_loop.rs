//! Running the tools the model calls, until it answers.

use tracing::Span;

use super::answer::{Response, process_response};
use super::{Cost, Live, Session, Status, TurnError, failed_unless_cancelled};
use crate::context::microcompact;
use crate::status::failed;
use crate::{Message, ToolCall};

/// How often the model may call tools before it must answer.
pub(super) const ROUNDS_MAX: u32 = 6;

impl Session {
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
    pub(super) async fn tool_loop(
        &self,
        mut messages: Vec<Message>,
        mut calls: Vec<ToolCall>,
        live: &mut Live,
        cost: &mut Cost,
    ) -> Result<String, TurnError> {
        for round in 1..=ROUNDS_MAX {
            Span::current().record("tool_loop.rounds", round);
            self.tell(Status::CallingTools).await;
            let results = self.tools.execute_batch(&calls).await;
            cost.tool_calls += calls.len() as u64;
            for (call, result) in calls.iter().zip(results) {
                // The model is told what went wrong, and may do something about it.
                let content = result.unwrap_or_else(|error| {
                    cost.tools_failed += 1;
                    format!("error: {error}")
                });
                messages.push(Message::tool_result(&call.id, content));
            }
            microcompact(&mut messages);
            let reply = self.ask(&messages, live, cost).await;
            let reply = reply.inspect_err(failed_unless_cancelled)?;
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
}
