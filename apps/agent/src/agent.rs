//! The parts of the agent, put together: what sessions share, and the tasks beside them.

use std::error::Error;
use std::path::Path;

use ringlight::channel::{broadcast, mpsc, watch};
use ringlight_app_harness::Stop;
use tokio::task::JoinSet;

use crate::code_index::CodeIndex;
use crate::context::Sources;
use crate::http_client::HttpClient;
use crate::mcp::{LocalServer, Mcp};
use crate::session::{Listeners, UNHEARD_MAX};
use crate::settings::{Settings, SharedSettings};
use crate::skills::{Skills, write_first_skills};
use crate::upkeep::{self, Board, Upkeep};
use crate::wires;
use crate::{
    Channel, LlmClient, LlmError, Memory, Provider, Router, Sandbox, Session, Tools, corpus,
    metrics, model,
};

/// Messages that wait on the channels between the parts; whoever sends one more waits.
const WAITING_MAX: usize = 64;

/// An agent: its memory, tools, skills and models, and the tasks that look after them.
#[derive(Debug)]
pub struct Agent {
    /// One for each model, in the order of [`model::MODELS`].
    sources: Vec<Sources>,
    tools: Tools,
    listeners: Listeners,
    services: HttpClient,
    mcp: Mcp,
    tasks: JoinSet<()>,
    /// Ends with the agent.
    _server: LocalServer,
}

impl Agent {
    /// Starts an agent that keeps what it knows in `work_dir` and asks the models at `model_url`.
    /// Upkeep ends once `stop` is requested.
    ///
    /// # Errors
    /// The work directory or the models' address is unusable.
    pub async fn start(
        work_dir: &Path,
        model_url: &str,
        stop: Stop,
    ) -> Result<Self, Box<dyn Error + Send + Sync>> {
        let sandbox = work_dir.join("sandbox");
        corpus::write_code_base(&sandbox)
            .map_err(|error| format!("cannot write to `{}`: {error}", sandbox.display()))?;
        let skill_files = work_dir.join("skills");
        write_first_skills(&skill_files)?;
        let memory = Memory::open(&work_dir.join("memory.db"))?;
        let routers = routers(model_url)?;
        let services = HttpClient::new(model_url)?;
        let mut tasks = JoinSet::new();

        let (elicitation, elicitations) = wires::open(wires::ELICITATION, WAITING_MAX);
        tasks.spawn(upkeep::answer_elicitations(elicitations));
        let mcp = Mcp::new(elicitation);
        let server = LocalServer::start().await?;
        mcp.connect(&server.url).await?;
        let settings = SharedSettings::default();
        let settings_path = work_dir.join("settings.json");
        Settings::new(&server.url).write(&settings_path).await?;

        let skills = Skills::new(skill_files, memory.clone());
        if let Err(error) = skills.load(routers[0].best()).await {
            tracing::warn!(cause = %error, "there are no skills until they are loaded again");
        }
        let tools = Tools::new(Sandbox::new(&sandbox)?)
            .with_documentation(services.clone())
            .with_mcp(mcp.clone())
            .with_audit_log(work_dir.join("audit.jsonl"));
        let code = CodeIndex::new(tools.sandbox().clone());
        let sources: Vec<Sources> = routers
            .into_iter()
            .map(|llm| Sources {
                memory: memory.clone(),
                llm,
                skills: skills.clone(),
                code: code.clone(),
                settings: settings.clone(),
            })
            .collect();
        let listeners = look_after(&mut tasks, &sources[0], &mcp, &settings_path, stop);
        Ok(Self {
            sources,
            tools,
            listeners,
            services,
            mcp,
            tasks,
            _server: server,
        })
    }

    /// The `number`th session. Users differ in what they pay for: the models take turns.
    #[must_use]
    pub fn session(&self, number: u32) -> Session {
        let sources = &self.sources[number as usize % self.sources.len()];
        Session::new(
            format!("session-{number}"),
            sources.clone(),
            self.tools.clone(),
            self.listeners.clone(),
        )
    }

    /// The channel of the `number`th session: the kinds take turns.
    #[must_use]
    pub fn channel(&self, number: u32) -> Channel {
        Channel::of_session(number, &self.services)
    }

    /// What the agent remembers.
    #[must_use]
    pub fn memory(&self) -> &Memory {
        &self.sources[0].memory
    }

    /// Ends the tasks, which finish what they have begun. All sessions must have ended before.
    pub async fn finish(self) {
        let Self {
            listeners,
            tools,
            mcp,
            mut tasks,
            ..
        } = self;
        mcp.shutdown().await;
        // Each task ends with the last sender to it.
        drop((listeners, tools, mcp));
        while tasks.join_next().await.is_some() {}
    }
}

/// A router for each model, among all providers.
fn routers(model_url: &str) -> Result<Vec<Router>, LlmError> {
    model::MODELS
        .into_iter()
        .map(|name| {
            let clients = Provider::ALL
                .into_iter()
                .map(|provider| LlmClient::new(model_url, provider, name))
                .collect::<Result<Vec<_>, _>>()?;
            Ok(Router::new(clients))
        })
        .collect()
}

/// Starts the tasks beside the sessions. They use the smaller model.
fn look_after(
    tasks: &mut JoinSet<()>,
    sources: &Sources,
    mcp: &Mcp,
    settings_path: &Path,
    stop: Stop,
) -> Listeners {
    let (status, updates) = wires::open(wires::STATUS, WAITING_MAX);
    let (ended, endings) = mpsc::named_unbounded("ended");
    let (kept, board) = watch::named("board", Board::default());
    tasks.spawn(upkeep::follow_status(updates, endings, kept));
    metrics::sessions(board.clone());
    let (news, _) = broadcast::named("news", UNHEARD_MAX);
    let (skill_reload, changed) = wires::open(wires::SKILL_RELOAD, 1);
    tasks.spawn(upkeep::reload_skills(
        changed,
        sources.skills.clone(),
        sources.llm.clone(),
        news.clone(),
    ));
    let (config_reload, changed) = wires::open(wires::CONFIG_RELOAD, 1);
    tasks.spawn(upkeep::reload_settings(
        changed,
        settings_path.to_owned(),
        sources.settings.clone(),
        mcp.clone(),
        news.clone(),
    ));
    let (metrics, taken) = wires::open(wires::METRICS, WAITING_MAX);
    let upkeep = Upkeep {
        memory: sources.memory.clone(),
        llm: sources.llm.clone(),
        skills: sources.skills.clone(),
        mcp: mcp.clone(),
        settings_path: settings_path.to_owned(),
        metrics: taken,
        board,
        skill_reload,
        config_reload,
        stop,
    };
    tasks.spawn(upkeep.run());
    Listeners {
        status,
        metrics,
        ended,
        news,
    }
}
