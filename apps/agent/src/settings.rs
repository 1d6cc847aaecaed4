//! What can be changed while the agent runs, in a file.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use serde::{Deserialize, Serialize};

/// Memories recalled for a question, at first.
const RECALL_FIRST: u32 = 4;

/// The fewest and the most memories recalled for a question.
const RECALL_RANGE: std::ops::RangeInclusive<u32> = 2..=6;

/// Turns that take more tokens of input are to recall less.
const INPUT_TOKENS_MAX: u64 = 900;

/// The settings as the file has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// Memories recalled for a question.
    pub(crate) recall_max: u32,
    /// Where the MCP server is.
    pub(crate) mcp_url: String,
}

impl Settings {
    /// The settings at first.
    pub(crate) fn new(mcp_url: &str) -> Self {
        Self {
            recall_max: RECALL_FIRST,
            mcp_url: mcp_url.to_owned(),
        }
    }

    /// Reads the file.
    ///
    /// # Errors
    /// It cannot be read, or does not contain settings.
    pub(crate) async fn read(path: &Path) -> io::Result<Self> {
        let text = tokio::fs::read(path).await?;
        Ok(serde_json::from_slice(&text)?)
    }

    /// Writes the file, which is never seen in between.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) async fn write(&self, path: &Path) -> io::Result<()> {
        let beside = path.with_extension("new");
        tokio::fs::write(&beside, serde_json::to_vec_pretty(self)?).await?;
        tokio::fs::rename(&beside, path).await
    }

    /// One step to recall less if turns take many tokens, or more if they take few.
    pub(crate) fn adapt(&mut self, input_tokens_of_a_turn: u64) {
        let step = if input_tokens_of_a_turn > INPUT_TOKENS_MAX {
            self.recall_max.saturating_sub(1)
        } else {
            self.recall_max + 1
        };
        self.recall_max = step.clamp(*RECALL_RANGE.start(), *RECALL_RANGE.end());
    }
}

/// The settings that hold now. Cheap to clone; all clones share them.
#[derive(Debug, Clone)]
pub(crate) struct SharedSettings {
    /// Written when the file is read, read by every turn. `Relaxed`: a turn that begins at the same
    /// moment may use the value before.
    recall_max: Arc<AtomicU32>,
}

impl Default for SharedSettings {
    fn default() -> Self {
        Self {
            recall_max: Arc::new(AtomicU32::new(RECALL_FIRST)),
        }
    }
}

impl SharedSettings {
    /// Has what the file says hold.
    pub(crate) fn apply(&self, settings: &Settings) {
        self.recall_max
            .store(settings.recall_max, Ordering::Relaxed);
    }

    /// Memories recalled for a question.
    pub(crate) fn recall_max(&self) -> u32 {
        self.recall_max.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn settings_are_written_read_and_hold() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("settings.json");
        let mut settings = Settings::new("mcp://127.0.0.1:1");
        settings.adapt(100);
        settings.write(&path).await.unwrap();
        let read = Settings::read(&path).await.unwrap();
        assert_eq!(read, settings);
        let shared = SharedSettings::default();
        shared.clone().apply(&read);
        assert_eq!(shared.recall_max(), RECALL_FIRST + 1);
    }

    #[test]
    fn what_is_recalled_stays_within_its_range() {
        let mut settings = Settings::new("");
        for (tokens, expected) in [(5_000, 2), (10, 6)] {
            for _ in 0..9 {
                settings.adapt(tokens);
            }
            assert_eq!(settings.recall_max, expected);
        }
    }
}
