//! Reading and writing files.

use std::io;

use serde::Deserialize;
use tracing::Span;

use super::{Sandbox, ToolError};

/// The largest file read or written, in bytes.
const FILE_BYTES_MAX: u64 = 256 * 1024;

#[derive(Debug, Deserialize)]
pub(super) struct Arguments {
    path: String,
    content: Option<String>,
}

impl Arguments {
    /// Whether the file is to be written.
    pub(super) fn writes(&self) -> bool {
        self.content.is_some()
    }
}

#[tracing::instrument(
    name = "tool.file",
    skip_all,
    fields(
        file.path = arguments.path,
        file.operation = if arguments.writes() { "write" } else { "read" },
        file.bytes,
    )
)]
pub(super) async fn run(sandbox: &Sandbox, arguments: Arguments) -> Result<String, ToolError> {
    let Arguments { path, content } = arguments;
    let place = sandbox.resolve(&path)?;
    let failed = |source: io::Error| ToolError::File {
        path: path.clone(),
        source,
    };
    let bytes = match &content {
        Some(content) => content.len() as u64,
        None => tokio::fs::metadata(&place).await.map_err(failed)?.len(),
    };
    Span::current().record("file.bytes", bytes);
    if bytes > FILE_BYTES_MAX {
        return Err(ToolError::TooLarge {
            path,
            bytes,
            max: FILE_BYTES_MAX,
        });
    }
    match content {
        Some(content) => {
            tokio::fs::write(&place, content).await.map_err(failed)?;
            tracing::info!(
                target: "audit",
                { file.path = path, file.bytes = bytes },
                "a tool wrote a file"
            );
            Ok(format!("wrote {bytes} bytes to {path}"))
        }
        None => tokio::fs::read_to_string(&place).await.map_err(failed),
    }
}
