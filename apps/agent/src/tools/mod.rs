//! The tools the model may call. They are real, and confined to a sandbox directory.

mod audit;
mod cache;
mod file;
mod sandbox;
mod search;
mod shell;
mod web;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use serde::de::DeserializeOwned;
use serde_json::json;
use tracing::Instrument as _;

use crate::http_client::{HttpClient, HttpError};
use crate::mcp::{Mcp, McpError};
use crate::status::failed;
use crate::{FunctionDefinition, ToolCall, ToolDefinition};

use audit::AuditLog;
use cache::Cache;
pub use sandbox::Sandbox;

/// The most of a result that is handed to the model, in bytes.
const RESULT_BYTES_MAX: usize = 4 * 1024;

/// Why a tool gave no result. The model is told, and may try something else.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ToolError {
    /// There is no tool of that name.
    #[error("there is no tool `{0}`; there are `file`, `search_code`, `shell` and `web_scrape`")]
    UnknownTool(String),
    /// The arguments are not what the tool takes.
    #[error("the arguments of `{tool}` are wrong: {source}")]
    Arguments {
        /// The tool.
        tool: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The path leads out of the sandbox.
    #[error("`{0}` is outside of the working directory")]
    OutsideSandbox(String),
    /// A file could not be used.
    #[error("`{path}`: {source}")]
    File {
        /// The file, as the model named it.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file is larger than a tool reads.
    #[error("`{path}` has {bytes} bytes, at most {max} are read")]
    TooLarge {
        /// The file.
        path: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// The command is not one of those allowed.
    #[error("`{0}` may not be run; allowed are `wc`, `head`, `sort` and `ls`")]
    CommandNotAllowed(String),
    /// The command could not be run or took too long.
    #[error("`{command}`: {source}")]
    Command {
        /// The command.
        command: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The command said that it failed.
    #[error("`{command}` failed with exit code {code}: {stderr}")]
    CommandFailed {
        /// The command.
        command: String,
        /// Its exit code, -1 if a signal ended it.
        code: i32,
        /// What it wrote about it.
        stderr: String,
    },
    /// The page is of another site.
    #[error("`{0}` is no page of the documentation; write for example `/docs/cache`")]
    OutsideSite(String),
    /// The site could not be asked.
    #[error(transparent)]
    Web(HttpError),
    /// There is no such page.
    #[error("the page `{page}` cannot be had: {status}")]
    Page {
        /// The page.
        page: String,
        /// The HTTP status.
        status: u16,
    },
    /// A tool of an MCP server gave no result.
    #[error(transparent)]
    Mcp(#[from] McpError),
    /// The thread that worked for the tool panicked or was stopped.
    #[error("the tool did not finish")]
    Unfinished,
}

/// The tools over one sandbox. Cheap to clone; all clones share what they keep.
#[derive(Debug, Clone)]
pub struct Tools {
    sandbox: Arc<Sandbox>,
    documentation: Option<HttpClient>,
    mcp: Option<Mcp>,
    cache: Cache,
    audit: Option<AuditLog>,
    /// How often a file was written. `Relaxed`: who reads it a moment early sees the write next time.
    writes: Arc<AtomicU64>,
}

impl Tools {
    /// The tools, confined to `sandbox`.
    #[must_use]
    pub fn new(sandbox: Sandbox) -> Self {
        Self {
            sandbox: Arc::new(sandbox),
            documentation: None,
            mcp: None,
            cache: Cache::default(),
            audit: None,
            writes: Arc::default(),
        }
    }

    /// With the pages of a site.
    pub(crate) fn with_documentation(mut self, site: HttpClient) -> Self {
        self.documentation = Some(site);
        self
    }

    /// With the tools of an MCP server.
    pub(crate) fn with_mcp(mut self, mcp: Mcp) -> Self {
        self.mcp = Some(mcp);
        self
    }

    /// With a record of all calls at `path`.
    pub(crate) fn with_audit_log(mut self, path: PathBuf) -> Self {
        self.audit = Some(AuditLog::new(path));
        self
    }

    /// How often a file was written; may be more a moment later.
    pub(crate) fn writes(&self) -> u64 {
        self.writes.load(Ordering::Relaxed)
    }

    /// The directory the tools are confined to.
    pub(crate) fn sandbox(&self) -> &Arc<Sandbox> {
        &self.sandbox
    }

    /// What the model is told about the tools.
    pub async fn definitions(&self) -> Vec<ToolDefinition> {
        let define = |name: &str, description: &str, parameters| ToolDefinition {
            kind: "function".to_owned(),
            function: FunctionDefinition {
                name: name.to_owned(),
                description: description.to_owned(),
                parameters,
            },
        };
        let path = json!({"type": "string", "description": "relative to the working directory"});
        let mut definitions = vec![
            define(
                "file",
                "Reads a file, or writes it if there is content",
                json!({"type": "object", "required": ["path"],
                    "properties": {"path": path, "content": {"type": "string"}}}),
            ),
            define(
                "search_code",
                "Finds the lines of all files that contain a text",
                json!({"type": "object", "required": ["text"],
                    "properties": {"text": {"type": "string"}}}),
            ),
            define(
                "shell",
                "Runs one of `wc`, `head`, `sort`, `ls`",
                json!({"type": "object", "required": ["command"],
                    "properties": {"command": {"type": "string"},
                        "arguments": {"type": "array", "items": {"type": "string"}}}}),
            ),
        ];
        if self.documentation.is_some() {
            definitions.push(define(
                "web_scrape",
                "Reads a page of the documentation, such as `/docs/cache`",
                json!({"type": "object", "required": ["page"],
                    "properties": {"page": {"type": "string"}}}),
            ));
        }
        if let Some(mcp) = &self.mcp {
            definitions.extend(mcp.tools().await);
        }
        definitions
    }

    /// Runs the tools of one answer at the same time; the results are in the order of the calls.
    #[tracing::instrument(
        name = "agent.tool_batch",
        skip_all,
        fields(tool.calls = calls.len())
    )]
    pub async fn execute_batch(&self, calls: &[ToolCall]) -> Vec<Result<String, ToolError>> {
        let running: Vec<_> = calls
            .iter()
            .map(|call| {
                let (tools, call) = (self.clone(), call.clone());
                tokio::spawn(async move { tools.exec(&call).await }.in_current_span())
            })
            .collect();
        let mut results = Vec::with_capacity(running.len());
        for tool in running {
            results.push(tool.await.unwrap_or(Err(ToolError::Unfinished)));
        }
        results
    }

    /// Runs one tool the model called and shortens its result to what the model is given.
    #[tracing::instrument(
        name = "agent.tool_exec",
        skip_all,
        fields(gen_ai.tool.call.id = call.id, tool.result.bytes, tool.result.shortened)
    )]
    async fn exec(&self, call: &ToolCall) -> Result<String, ToolError> {
        let mut result = self.execute(call).await?;
        let span = tracing::Span::current();
        span.record("tool.result.bytes", result.len());
        if result.len() > RESULT_BYTES_MAX {
            let end = result.floor_char_boundary(RESULT_BYTES_MAX);
            result.truncate(end);
            result.push_str("\n[shortened]");
            span.record("tool.result.shortened", true);
        }
        Ok(result)
    }

    /// Runs the tool that the call names.
    ///
    /// # Errors
    /// It failed, or there is no such tool.
    #[tracing::instrument(
        name = "tool.execute",
        skip_all,
        fields(
            gen_ai.operation.name = "execute_tool",
            gen_ai.tool.name = call.function.name,
            gen_ai.tool.call.id = call.id,
        )
    )]
    pub async fn execute(&self, call: &ToolCall) -> Result<String, ToolError> {
        let started = Instant::now();
        let done = self.look_up_or_call(call).await;
        let duration_us = started.elapsed().as_micros() as u64;
        let (tool, arguments) = (call.function.name.as_str(), &call.function.arguments);
        if let Some(audit) = &self.audit {
            audit.write(tool, arguments, done.is_ok()).await;
        }
        match &done {
            Ok(result) => tracing::info!(
                gen_ai.tool.name = tool,
                duration_us,
                tool.arguments = arguments,
                tool.result.bytes = result.len(),
                "tool finished"
            ),
            Err(error) => tracing::error!(
                gen_ai.tool.name = tool,
                %error,
                tool.arguments = arguments,
                "tool failed"
            ),
        }
        done
    }

    /// A result that is known already, or that of the call. Only what the agent's own tools find by
    /// looking is kept: what an MCP server does is not known.
    async fn look_up_or_call(&self, call: &ToolCall) -> Result<String, ToolError> {
        let writes = self.writes();
        let (tool, arguments) = (call.function.name.as_str(), &call.function.arguments);
        if let Some(known) = self.cache.look_up(tool, arguments, writes).await {
            return Ok(known);
        }
        let result = self.execute_call(call).await?;
        let only_looks = ["file", "search_code", "shell", "web_scrape"].contains(&tool);
        // A tool that wrote has made the number another one.
        if only_looks && self.writes() == writes {
            self.cache.keep(tool, arguments, writes, &result);
        }
        Ok(result)
    }

    /// Does what the call asks for.
    #[tracing::instrument(
        name = "tool.execute_call",
        skip_all,
        fields(
            gen_ai.tool.name = call.function.name,
            gen_ai.tool.call.id = call.id,
            tool.arguments.bytes = call.function.arguments.len(),
            otel.status_code,
            otel.status_message,
        )
    )]
    async fn execute_call(&self, call: &ToolCall) -> Result<String, ToolError> {
        self.dispatch(call).await.inspect_err(failed)
    }

    async fn dispatch(&self, call: &ToolCall) -> Result<String, ToolError> {
        let name = call.function.name.as_str();
        match (name, &self.documentation, &self.mcp) {
            ("file", ..) => {
                let arguments: file::Arguments = arguments(call)?;
                let writes = arguments.writes();
                let done = file::run(&self.sandbox, arguments).await?;
                if writes {
                    self.writes.fetch_add(1, Ordering::Relaxed);
                }
                Ok(done)
            }
            ("search_code", ..) => search::run(Arc::clone(&self.sandbox), arguments(call)?).await,
            ("shell", ..) => shell::run(&self.sandbox, arguments(call)?).await,
            ("web_scrape", Some(site), _) => web::run(site, arguments(call)?).await,
            (_, _, Some(mcp)) if has_tool(mcp, name).await => {
                Ok(mcp.dispatch(name, &arguments(call)?).await?)
            }
            _ => Err(ToolError::UnknownTool(name.to_owned())),
        }
    }
}

async fn has_tool(mcp: &Mcp, name: &str) -> bool {
    let tools = mcp.tools().await;
    tools.iter().any(|tool| tool.function.name == name)
}

fn arguments<T: DeserializeOwned>(call: &ToolCall) -> Result<T, ToolError> {
    serde_json::from_str(&call.function.arguments).map_err(|source| ToolError::Arguments {
        tool: call.function.name.clone(),
        source,
    })
}

#[cfg(test)]
mod tests;
