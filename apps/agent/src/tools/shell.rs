//! Running a few harmless commands.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use tracing::Span;

use super::{Sandbox, ToolError};

const ALLOWED: [&str; 4] = ["wc", "head", "sort", "ls"];

/// The most of a command's output that is read, in bytes.
const OUTPUT_BYTES_MAX: u64 = 64 * 1024;

const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, Deserialize)]
pub(super) struct Arguments {
    command: String,
    #[serde(default)]
    arguments: Vec<String>,
}

/// Runs a command without a shell in between: nothing in its arguments is ever interpreted.
#[tracing::instrument(
    name = "tool.shell",
    skip_all,
    fields(
        process.command = arguments.command,
        process.args_count = arguments.arguments.len(),
        process.exit.code,
    )
)]
pub(super) async fn run(sandbox: &Sandbox, arguments: Arguments) -> Result<String, ToolError> {
    let Arguments { command, arguments } = arguments;
    if !ALLOWED.contains(&command.as_str()) {
        return Err(ToolError::CommandNotAllowed(command));
    }
    for argument in arguments
        .iter()
        .filter(|argument| !argument.starts_with('-'))
    {
        sandbox.resolve(argument)?;
    }
    // Only short options: a long one may name a file (`--files0-from=/etc/passwd`).
    if let Some(long) = arguments.iter().find(|argument| {
        argument.starts_with("--") || (argument.starts_with('-') && argument.contains('/'))
    }) {
        return Err(ToolError::OutsideSandbox(long.clone()));
    }
    let failed = |source: io::Error| ToolError::Command {
        command: command.clone(),
        source,
    };
    let mut child = Command::new(&command)
        .args(&arguments)
        .current_dir(sandbox.root())
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let finished = tokio::time::timeout(TIMEOUT, async {
        let (stdout, stderr) = tokio::try_join!(read_some(stdout), read_some(stderr))?;
        Ok::<_, io::Error>((child.wait().await?, stdout, stderr))
    });
    let (status, stdout, stderr) = finished
        .await
        .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut)))
        .map_err(failed)?;
    let code = status.code().unwrap_or(-1);
    Span::current().record("process.exit.code", code);
    if status.success() {
        return Ok(stdout);
    }
    Err(ToolError::CommandFailed {
        command,
        code,
        stderr: stderr.trim().to_owned(),
    })
}

/// Reads up to the limit; the pipe is closed then, which ends a command that writes on and on.
async fn read_some(pipe: Option<impl tokio::io::AsyncRead + Unpin>) -> io::Result<String> {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        pipe.take(OUTPUT_BYTES_MAX).read_to_end(&mut bytes).await?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
