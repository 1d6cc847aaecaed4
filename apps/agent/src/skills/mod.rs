//! Skills: how to do something, told to the model when a question calls for it.
//!
//! They are files. A question is matched to them by its words and by its embedding; how turns end
//! with a skill decides how much it weighs next time, and the model writes new ones.

mod bm25;
mod evolution;
mod generation;
mod matching;
mod registry;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use crate::status::failed;
use crate::{LlmClient, LlmError, Memory, MemoryError};

use bm25::Bm25;
pub(crate) use generation::WRITE_SKILL;
pub(crate) use registry::{Skill, write_first_skills};

/// Why skills could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SkillError {
    /// Their files could not be read or written.
    #[error("skills: {0}")]
    Files(#[from] io::Error),
    /// They could not be embedded, or the model wrote none.
    #[error(transparent)]
    Llm(#[from] LlmError),
    /// What is kept of them could not be used.
    #[error(transparent)]
    Memory(#[from] MemoryError),
}

/// The skills as they were loaded.
#[derive(Debug, Default)]
struct Loaded {
    skills: Vec<Skill>,
    /// Over the skills' texts, in their order.
    words: Bm25,
    /// How much a skill has proved itself, 0..=1, by its name.
    weights: HashMap<String, f64>,
}

/// The skills of a directory. Cheap to clone; all clones share what is loaded.
#[derive(Debug, Clone)]
pub(crate) struct Skills {
    directory: Arc<Path>,
    memory: Memory,
    loaded: Arc<RwLock<Loaded>>,
}

impl Skills {
    /// The skills of `directory`, none of them loaded yet.
    pub(crate) fn new(directory: PathBuf, memory: Memory) -> Self {
        Self {
            directory: directory.into(),
            memory,
            loaded: Arc::default(),
        }
    }

    /// Loads the skills, and has the matcher know them.
    ///
    /// # Errors
    /// The files cannot be read, or the skills cannot be embedded.
    pub(crate) async fn load(&self, llm: &LlmClient) -> Result<(), SkillError> {
        let (skills, weights) = self.load_registry().await?;
        self.sync_matcher(llm, &skills).await?;
        let words = {
            let texts: Vec<String> = skills.iter().map(Skill::text).collect();
            Bm25::new(texts.iter().map(String::as_str))
        };
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        *loaded = Loaded {
            skills,
            words,
            weights,
        };
        Ok(())
    }

    /// Reads the files, and how their skills have proved themselves.
    #[tracing::instrument(
        name = "skill.registry_load",
        skip_all,
        fields(
            skill.directory = %self.directory.display(),
            skill.count,
            otel.status_code,
            otel.status_message,
        )
    )]
    async fn load_registry(&self) -> Result<(Vec<Skill>, HashMap<String, f64>), SkillError> {
        let skills = registry::read(&self.directory).await.inspect_err(failed)?;
        tracing::Span::current().record("skill.count", skills.len());
        let weights = self.weights().await.inspect_err(failed)?;
        Ok((skills, weights))
    }

    /// Loads the skills again, since their files have changed.
    ///
    /// # Errors
    /// The files cannot be read, or the skills cannot be embedded; those loaded before stay.
    #[tracing::instrument(
        name = "skill.hot_reload",
        skip_all,
        fields(skill.before, skill.count, otel.status_code, otel.status_message)
    )]
    pub(crate) async fn reload(&self, llm: &LlmClient) -> Result<(), SkillError> {
        let span = tracing::Span::current();
        span.record("skill.before", self.loaded().skills.len());
        self.load(llm).await.inspect_err(failed)?;
        span.record("skill.count", self.loaded().skills.len());
        Ok(())
    }

    fn loaded(&self) -> RwLockReadGuard<'_, Loaded> {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The key of a skill's vector.
fn key_of(name: &str) -> i64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    // SQLite's keys are signed.
    hasher.finish().cast_signed()
}
