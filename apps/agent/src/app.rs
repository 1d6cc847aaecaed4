//! The application: sessions that answer questions until they are stopped.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use ringlight_app_harness::{RunArgs, Stop};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::{Agent, Channel, Session, TurnOutcome, metrics, model};

/// Turns of a session that may fail one after another before it gives up.
const FAILURES_MAX: u32 = 20;

/// The arguments of the application.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Arguments every sample application takes.
    #[command(flatten)]
    pub run: RunArgs,

    /// Where the model answers
    #[arg(long, default_value = "http://127.0.0.1:8090/v1", value_name = "URL")]
    pub model_url: String,

    /// Conversations at the same time
    #[arg(long, default_value_t = 5, value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub sessions: u32,

    /// Directory for memory and sandbox; without it, a temporary one that is removed at the end
    #[arg(long, value_name = "DIRECTORY")]
    pub work_dir: Option<PathBuf>,
}

/// What the application did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Work {
    /// Turns taken.
    pub turns: u64,
    /// Turns the model answered.
    pub answered: u64,
    /// Inputs that were not let through.
    pub refused: u64,
    /// Turns the user ended before the answer was whole.
    pub cancelled: u64,
    /// Turns that failed.
    pub failed: u64,
    /// Tools called.
    pub tool_calls: u64,
}

impl Work {
    fn add(&mut self, other: &Self) {
        self.turns += other.turns;
        self.answered += other.answered;
        self.refused += other.refused;
        self.cancelled += other.cancelled;
        self.failed += other.failed;
        self.tool_calls += other.tool_calls;
    }
}

/// Runs the application as a process: telemetry, signals, the closing report.
#[must_use]
pub fn main(args: &Args) -> ExitCode {
    let build = ringlight::build_info!();
    ringlight_app_harness::run("agent", build, &args.run, metrics::view, async |stop| {
        let work = run(args, stop).await?;
        Ok(serde_json::to_value(work)?)
    })
}

/// Runs the sessions until stopped; a turn that has begun is finished.
///
/// # Errors
/// The work directory or the model's address is unusable, or every session gave up because the
/// model does not answer, at once or after a while.
pub async fn run(args: &Args, stop: Stop) -> Result<Work, Box<dyn Error + Send + Sync>> {
    let temporary;
    let work_dir = match &args.work_dir {
        Some(given) => given.as_path(),
        None => {
            temporary = tempfile::Builder::new()
                .prefix("ringlight-agent-")
                .tempdir()?;
            temporary.path()
        }
    };
    let agent = Agent::start(work_dir, &args.model_url, stop.clone()).await?;
    tracing::info!(
        sessions = args.sessions,
        models = model::MODELS.join(", "),
        url = args.model_url,
        "the agent is ready"
    );
    let mut sessions = JoinSet::new();
    for number in 0..args.sessions {
        let (session, channel) = (agent.session(number), agent.channel(number));
        let stop = stop.clone();
        sessions.spawn(async move { (number, converse(session, channel, stop).await) });
    }
    let mut work = Work::default();
    let mut given_up = BTreeMap::new();
    while let Some(ended) = sessions.join_next().await {
        let (number, (session_work, failure)) = ended?;
        work.add(&session_work);
        given_up.extend(failure.map(|failure| (number, failure)));
    }
    agent.finish().await;
    tracing::info!(
        turns = work.turns,
        answered = work.answered,
        refused = work.refused,
        cancelled = work.cancelled,
        failed = work.failed,
        tool_calls = work.tool_calls,
        "all sessions ended"
    );
    let count = given_up.len();
    // The first session is on a terminal: all it can fail of is the model.
    match given_up.pop_first() {
        Some((_, failure)) if count == args.sessions as usize => Err(format!(
            "every session gave up: {failure}; hint: start the model first, and name it with \
             `--model-url`"
        )
        .into()),
        _ => Ok(work),
    }
}

/// Answers one question after another. The model's latency sets the pace.
async fn converse(
    mut session: Session,
    mut channel: Channel,
    stop: Stop,
) -> (Work, Option<String>) {
    let mut work = Work::default();
    let mut failures = 0;
    while !stop.is_requested() {
        let outcome = match channel.receive().await {
            Ok(question) => {
                work.turns += 1;
                session.turn(&mut channel, &question).await
            }
            Err(error) => Err(error.into()),
        };
        match outcome {
            Ok(TurnOutcome::Answered { tool_calls, .. }) => {
                work.answered += 1;
                work.tool_calls += tool_calls;
                failures = 0;
            }
            Ok(TurnOutcome::Cancelled) => work.cancelled += 1,
            Ok(TurnOutcome::Refused(_)) => work.refused += 1,
            Err(error) => {
                work.failed += 1;
                failures += 1;
                if failures == FAILURES_MAX {
                    tracing::error!(failures, "the session gives up");
                    return (work, Some(error.to_string()));
                }
            }
        }
    }
    (work, None)
}
