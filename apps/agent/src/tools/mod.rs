//! The tools the model may call. They are real, and confined to a sandbox directory.

mod file;
mod sandbox;
mod search;
mod shell;

use std::sync::Arc;
use std::time::Instant;

use serde::de::DeserializeOwned;
use serde_json::json;
use tracing::Instrument as _;

use crate::{FunctionDefinition, ToolCall, ToolDefinition};

pub use sandbox::Sandbox;

/// The most of a result that is handed to the model, in bytes.
const RESULT_BYTES_MAX: usize = 4 * 1024;

/// Why a tool gave no result. The model is told, and may try something else.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ToolError {
    /// There is no tool of that name.
    #[error("there is no tool `{0}`; there are `file`, `search_code` and `shell`")]
    UnknownTool(String),
    /// The arguments are not what the tool takes.
    #[error("the arguments of `{tool}` are wrong: {source}")]
    Arguments {
        /// The tool.
        tool: &'static str,
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
    /// The thread that worked for the tool panicked or was stopped.
    #[error("the tool did not finish")]
    Unfinished,
}

/// The tools over one sandbox. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tools {
    sandbox: Arc<Sandbox>,
}

impl Tools {
    /// The tools, confined to `sandbox`.
    #[must_use]
    pub fn new(sandbox: Sandbox) -> Self {
        Self {
            sandbox: Arc::new(sandbox),
        }
    }

    /// What the model is told about the tools.
    #[must_use]
    pub fn definitions(&self) -> Vec<ToolDefinition> {
        let define = |name: &str, description: &str, parameters| ToolDefinition {
            kind: "function".to_owned(),
            function: FunctionDefinition {
                name: name.to_owned(),
                description: description.to_owned(),
                parameters,
            },
        };
        let path = json!({"type": "string", "description": "relative to the working directory"});
        vec![
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
        ]
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
        let done = self.dispatch(call).await;
        let duration_us = started.elapsed().as_micros() as u64;
        let tool = call.function.name.as_str();
        match &done {
            Ok(result) => tracing::info!(
                gen_ai.tool.name = tool,
                duration_us,
                tool.arguments = call.function.arguments,
                tool.result.bytes = result.len(),
                "tool finished"
            ),
            Err(error) => tracing::error!(
                gen_ai.tool.name = tool,
                %error,
                tool.arguments = call.function.arguments,
                "tool failed"
            ),
        }
        done
    }

    async fn dispatch(&self, call: &ToolCall) -> Result<String, ToolError> {
        match call.function.name.as_str() {
            "file" => file::run(&self.sandbox, arguments("file", call)?).await,
            "search_code" => {
                search::run(Arc::clone(&self.sandbox), arguments("search_code", call)?).await
            }
            "shell" => shell::run(&self.sandbox, arguments("shell", call)?).await,
            other => Err(ToolError::UnknownTool(other.to_owned())),
        }
    }
}

fn arguments<T: DeserializeOwned>(tool: &'static str, call: &ToolCall) -> Result<T, ToolError> {
    serde_json::from_str(&call.function.arguments)
        .map_err(|source| ToolError::Arguments { tool, source })
}

#[cfg(test)]
mod tests;
