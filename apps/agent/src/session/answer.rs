//! From a question to its answer.

use tracing::Span;

use super::{Cost, Live, Session, TurnError, failed_unless_cancelled};
use crate::corpus::STEP;
use crate::status::failed;
use crate::wires::RecvInSpan as _;
use crate::{Message, Role, ToolCall};

/// What begins a question of several steps.
const FIRST_STEP: &str = "First: ";

/// Steps of a question that are done.
const STEPS_MAX: usize = 4;

/// What the model wants.
#[derive(Debug)]
pub(super) enum Response {
    /// To say this.
    Answer(String),
    /// To have these tools called.
    Calls(Vec<ToolCall>),
}

impl Session {
    /// Prepares the context, asks the model and remembers both sides.
    pub(super) async fn answer(
        &mut self,
        input: &str,
        mut live: Live,
        cost: &mut Cost,
    ) -> Result<String, TurnError> {
        let prepared = self
            .sources
            .prepare_context(&self.id, &mut self.history, input)
            .await?;
        self.persist_message(Role::User, input, prepared.embedding)
            .await?;
        let steps = steps(input);
        let answered = if steps.len() > 1 {
            self.plan_execute(prepared.messages, &steps, &mut live, cost)
                .await
        } else {
            self.follow(prepared.messages, &mut live, cost).await
        };
        if let Some(skill) = &prepared.skill {
            let has_succeeded = answered.is_ok() && cost.tools_failed == 0;
            self.learn(&skill.name, has_succeeded).await?;
        }
        let answer = answered?;
        self.persist_message(Role::Assistant, &answer, None).await?;
        self.push_turn(input, &answer);
        Ok(answer)
    }

    /// Does one step of a question after the other; each knows the answers of those before.
    #[tracing::instrument(
        name = "agent.plan_execute",
        skip_all,
        fields(
            session.id = self.id,
            plan.steps = steps.len(),
            plan.done,
            otel.status_code,
            otel.status_message,
        )
    )]
    async fn plan_execute(
        &self,
        mut messages: Vec<Message>,
        steps: &[&str],
        live: &mut Live,
        cost: &mut Cost,
    ) -> Result<String, TurnError> {
        // The question as a whole gives way to its steps.
        messages.pop();
        let mut answers = Vec::new();
        for (done, step) in steps.iter().enumerate() {
            messages.push(Message::text(Role::User, *step));
            let answer = self.follow(messages.clone(), live, cost).await;
            let answer = answer.inspect_err(failed_unless_cancelled)?;
            messages.push(Message::text(Role::Assistant, answer.as_str()));
            answers.push(answer);
            Span::current().record("plan.done", done + 1);
        }
        Ok(answers.join("\n"))
    }

    /// Asks the model, and does what it wants until it answers.
    async fn follow(
        &self,
        mut messages: Vec<Message>,
        live: &mut Live,
        cost: &mut Cost,
    ) -> Result<String, TurnError> {
        let reply = self.ask(&messages, live, cost).await?;
        match process_response(&reply).await? {
            Response::Answer(answer) => Ok(answer),
            Response::Calls(calls) => {
                messages.push(reply);
                self.tool_loop(messages, calls, live, cost).await
            }
        }
    }

    /// Asks the model for its next message. While it thinks, the user may end the turn.
    pub(super) async fn ask(
        &self,
        messages: &[Message],
        live: &mut Live,
        cost: &mut Cost,
    ) -> Result<Message, TurnError> {
        let tools = self.tools.definitions().await;
        let asking = self
            .sources
            .llm
            .chat(messages, &tools, live.tokens.as_ref());
        let completion = tokio::select! {
            completion = asking => completion?,
            Some(((), span)) = live.cancelled.recv_in_span() => {
                let _entered = span.entered();
                tracing::info!("the user does not want the answer any more");
                return Err(TurnError::Cancelled);
            }
        };
        cost.input_tokens += completion.usage.prompt_tokens;
        cost.output_tokens += completion.usage.completion_tokens;
        Ok(completion.message)
    }

    /// Learns from how the turn went.
    #[tracing::instrument(
        name = "agent.learning",
        skip_all,
        fields(
            session.id = self.id,
            skill.name = skill,
            learning.reward = if has_succeeded { 1 } else { 0 },
            otel.status_code,
            otel.status_message,
        )
    )]
    async fn learn(&self, skill: &str, has_succeeded: bool) -> Result<(), TurnError> {
        let evolved = self.sources.skills.evolve(skill, has_succeeded).await;
        Ok(evolved.inspect_err(failed)?)
    }
}

/// The steps of a question; one if it has none.
fn steps(input: &str) -> Vec<&str> {
    match input.strip_prefix(FIRST_STEP) {
        Some(steps) => steps.split(STEP).take(STEPS_MAX).collect(),
        None => vec![input],
    }
}

/// Reads what the model wants from what it said.
#[tracing::instrument(
    name = "agent.process_response",
    skip_all,
    fields(response.kind, response.tool_calls = reply.tool_calls.len())
)]
pub(super) async fn process_response(reply: &Message) -> Result<Response, TurnError> {
    let span = Span::current();
    if !reply.tool_calls.is_empty() {
        span.record("response.kind", "tool_calls");
        return Ok(Response::Calls(reply.tool_calls.clone()));
    }
    match reply.content.as_deref().map(str::trim) {
        None | Some("") => {
            span.record("response.kind", "empty");
            tracing::error!("the model's answer is empty");
            Err(TurnError::EmptyAnswer)
        }
        Some(answer) => {
            span.record("response.kind", "answer");
            Ok(Response::Answer(answer.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_question_that_says_so_has_steps() {
        assert_eq!(
            steps("First: find it. Then: read it."),
            ["find it.", "read it."]
        );
        assert_eq!(
            steps("What is it? Then: what?"),
            ["What is it? Then: what?"]
        );
    }
}
