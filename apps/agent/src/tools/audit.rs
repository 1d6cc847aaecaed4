//! A record of what tools did.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Mutex;
use tracing::Span;

use crate::memory::unix_ms;

/// The most a record takes, in bytes; it is begun anew then, and the one before is kept beside it.
const BYTES_MAX: u64 = 256 * 1024;

/// One line of JSON for each call. Cheap to clone; all clones write to the same file.
#[derive(Debug, Clone)]
pub(super) struct AuditLog {
    path: Arc<Path>,
    /// Held while a line is written, so that lines stay whole.
    writing: Arc<Mutex<()>>,
}

impl AuditLog {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path: path.into(),
            writing: Arc::default(),
        }
    }

    /// Writes down a call. What cannot be written is told, and the call goes on.
    #[tracing::instrument(
        name = "tool.audit_log",
        skip_all,
        fields(gen_ai.tool.name = tool, audit.succeeded = has_succeeded, audit.bytes)
    )]
    pub(super) async fn write(&self, tool: &str, arguments: &str, has_succeeded: bool) {
        let line = json!({
            "unix_ms": unix_ms(SystemTime::now()),
            "tool": tool,
            "arguments": arguments,
            "succeeded": has_succeeded,
        });
        let line = format!("{line}\n");
        Span::current().record("audit.bytes", line.len());
        if let Err(error) = self.append(&line).await {
            tracing::warn!(cause = %error, "a tool call could not be written down");
        }
    }

    async fn append(&self, line: &str) -> io::Result<()> {
        let _writing = self.writing.lock().await;
        let written = match tokio::fs::metadata(&self.path).await {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
        if written + line.len() as u64 > BYTES_MAX {
            tokio::fs::rename(&self.path, self.path.with_extension("1")).await?;
        }
        let mut file = tokio::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
            .await?;
        file.write_all(line.as_bytes()).await?;
        file.flush().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn calls_are_lines_and_the_file_is_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.jsonl");
        let log = AuditLog::new(path.clone());
        log.write("shell", "{}", true).await;
        let text = std::fs::read_to_string(&path).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.trim()).unwrap();
        assert_eq!(line["tool"], "shell");
        let long = "x".repeat(100_000);
        for _ in 0..6 {
            log.write("file", &long, false).await;
        }
        for name in ["audit.jsonl", "audit.1"] {
            let size = std::fs::metadata(directory.path().join(name))
                .unwrap()
                .len();
            assert!((1..=BYTES_MAX).contains(&size), "{name}: {size}");
        }
    }
}
