//! The application: sessions over one memory, one model and one sandbox.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use ringlight_app_harness::{RunArgs, Stop};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::corpus;
use crate::{LlmClient, Memory, Sandbox, Session, Tools, TurnOutcome, model};

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
        self.failed += other.failed;
        self.tool_calls += other.tool_calls;
    }
}

/// Runs the application as a process: telemetry, signals, the closing report.
#[must_use]
pub fn main(args: &Args) -> ExitCode {
    ringlight_app_harness::run("agent", &args.run, async |stop| {
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
    let sandbox = work_dir.join("sandbox");
    corpus::write_code_base(&sandbox)
        .map_err(|error| format!("cannot write to `{}`: {error}", sandbox.display()))?;
    let memory = Memory::open(&work_dir.join("memory.db"))?;
    let tools = Tools::new(Sandbox::new(&sandbox)?);
    // Users differ in what they pay for.
    let llms = model::MODELS
        .into_iter()
        .map(|name| LlmClient::new(&args.model_url, name))
        .collect::<Result<Vec<_>, _>>()?;
    tracing::info!(
        sessions = args.sessions,
        models = model::MODELS.join(", "),
        url = args.model_url,
        "the agent is ready"
    );

    let mut sessions = JoinSet::new();
    for (number, llm) in (0..args.sessions).zip(llms.iter().cycle()) {
        let session = Session::new(
            format!("session-{number}"),
            llm.clone(),
            memory.clone(),
            tools.clone(),
        );
        sessions.spawn(converse(session, stop.clone()));
    }
    let mut work = Work::default();
    let mut given_up = Vec::new();
    while let Some(ended) = sessions.join_next().await {
        let (session_work, failure) = ended?;
        work.add(&session_work);
        given_up.extend(failure);
    }
    tracing::info!(
        turns = work.turns,
        answered = work.answered,
        refused = work.refused,
        failed = work.failed,
        tool_calls = work.tool_calls,
        "all sessions ended"
    );
    match given_up.pop() {
        Some(failure) if given_up.len() + 1 == args.sessions as usize => Err(format!(
            "every session gave up: {failure}; hint: start the model first, and name it with \
             `--model-url`"
        )
        .into()),
        _ => Ok(work),
    }
}

/// Asks one question after another. The model's latency sets the pace.
async fn converse(mut session: Session, stop: Stop) -> (Work, Option<String>) {
    let mut random = fastrand::Rng::new();
    let mut work = Work::default();
    let mut failures = 0;
    while !stop.is_requested() {
        let question = corpus::next_question(&mut random);
        work.turns += 1;
        match session.turn(&question).await {
            Ok(TurnOutcome::Answered { tool_calls, .. }) => {
                work.answered += 1;
                work.tool_calls += tool_calls;
                failures = 0;
            }
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
