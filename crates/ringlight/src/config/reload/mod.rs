//! What a file says while telemetry runs: some settings take effect at once, others with the next start.
//!
//! Settings come to what they would come to at a start, so that what code and variables say holds over the file. Only
//! what has changed is applied: what [`Controls`](crate::Controls) were told stays until the file says something else
//! about the same.

mod hangup;
mod watch;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ringlight_collector::Redaction;

use super::environment::{Environment, Reader};
use super::file::{ConfigError, ConfigFile};
use super::filters::filters;
use super::sampler::sampler;
use super::{Inputs, redaction};
use crate::InitError;
use crate::controls;
use crate::filter::{Filters, Output};
use crate::sampling::Sampler;
use crate::sync::unpoisoned;
pub(crate) use hangup::Hangup;
pub(crate) use watch::Watch;

/// What the code says of settings that can be changed.
#[derive(Debug, Clone, Default)]
pub(crate) struct OfCode {
    pub(super) environment: Environment,
    pub(super) default_directives: Option<String>,
    pub(super) output_directives: Vec<(Output, String)>,
    sampler: Option<Sampler>,
    pub(super) audit_target: Option<String>,
}

impl OfCode {
    pub(crate) fn of(inputs: &Inputs) -> Self {
        Self {
            environment: inputs.environment.clone(),
            default_directives: inputs.default_directives.clone(),
            output_directives: inputs.output_directives.clone(),
            sampler: inputs.sampler,
            audit_target: inputs.audit_target.clone(),
        }
    }
}

/// The settings that can be changed, as they come out.
#[derive(Debug, PartialEq)]
pub(crate) struct Changeable {
    pub(super) filters: Filters,
    pub(super) sampler: Sampler,
    pub(super) redaction: redaction::Said,
}

impl Changeable {
    fn of(code: &OfCode, file: &ConfigFile) -> Result<Self, InitError> {
        let mut reader = Reader::with_file(&code.environment, Some(file));
        Ok(Self {
            filters: filters(&mut reader, code)?,
            sampler: sampler(&mut reader, code.sampler),
            redaction: redaction::Said::of(&mut reader),
        })
    }
}

/// Replaces what settings have redacted; whether that is so now.
type Redact = Box<dyn Fn(Redaction) -> bool + Send + Sync>;

/// Reads the file again and applies what has changed.
pub(crate) struct Reloader {
    /// From the root, since the process may go elsewhere.
    path: PathBuf,
    code: OfCode,
    controls: Arc<controls::Shared>,
    redact: Redact,
    state: Mutex<State>,
}

struct State {
    /// As it was at the start, which settings that need one still go by.
    first: Arc<ConfigFile>,
    last: Arc<ConfigFile>,
    holds: Changeable,
    /// What is wrong with the file now.
    wrong: Option<ConfigError>,
}

/// What came of reading the file of settings again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reloaded {
    /// The file.
    pub path: PathBuf,
    /// Settings that have changed, and how it is now: in effect.
    pub in_effect: Vec<&'static str>,
    /// Settings that have changed in the file, and nothing else, since code or variables hold over it.
    pub held: Vec<&'static str>,
    /// Settings that have changed and take effect when the process is started again.
    pub needs_restart: Vec<&'static str>,
}

/// The file of settings cannot be read again. Everything stays as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// There was no file when telemetry started.
    #[error("no file of settings was read when telemetry started; hint: see docs/configuration.md")]
    NoFile,
    /// The file is not there, or something is wrong with it.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl Reloader {
    /// For the file that was read at the start, and what held then.
    pub(crate) fn new(
        file: Arc<ConfigFile>,
        code: OfCode,
        holds: Changeable,
        controls: Arc<controls::Shared>,
        redact: impl Fn(Redaction) -> bool + Send + Sync + 'static,
    ) -> Self {
        // Without a directory that the process is in, it is as good as it is.
        let path = std::path::absolute(file.path()).unwrap_or_else(|_| file.path().to_owned());
        let state = State {
            first: Arc::clone(&file),
            last: file,
            holds,
            wrong: None,
        };
        Self {
            path,
            code,
            controls,
            redact: Box::new(redact),
            state: Mutex::new(state),
        }
    }

    fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file and applies what has changed since the last time.
    ///
    /// # Errors
    /// The file cannot be read, or something is wrong with it; then nothing changes.
    pub(crate) fn reload(&self) -> Result<Reloaded, ConfigError> {
        let mut state = unpoisoned(self.state.lock());
        let file = match ConfigFile::read(&self.path) {
            Ok(file) => Arc::new(file),
            Err(error) => {
                state.wrong = Some(error.clone());
                return Err(error);
            }
        };
        state.wrong = None;
        let mut reloaded = Reloaded {
            path: file.path().to_owned(),
            in_effect: Vec::new(),
            held: Vec::new(),
            needs_restart: Vec::new(),
        };
        let changed = file.changed_since(&state.last);
        state.last = Arc::clone(&file);
        // What is wrong with the code's own directives was an error at the start, and is not now.
        let Ok(new) = Changeable::of(&self.code, &file) else {
            return Ok(reloaded);
        };
        let is_redacted =
            new.redaction == state.holds.redaction || (self.redact)(new.redaction.redaction());
        for key in changed {
            match new.is_change(&state.holds, key) {
                None if file.changed_since(&state.first).contains(&key) => {
                    reloaded.needs_restart.push(key);
                }
                // As it was at the start.
                None => {}
                Some(is_change) => {
                    let is_applied = is_redacted || !key.starts_with("redact");
                    match is_change && is_applied {
                        true => reloaded.in_effect.push(key),
                        false => reloaded.held.push(key),
                    }
                }
            }
        }
        self.controls.take_over(&state.holds.filters, &new.filters);
        if new.sampler != state.holds.sampler {
            self.controls.sampling.set_sampler(new.sampler);
        }
        state.holds = new;
        Ok(reloaded)
    }

    /// What was wrong with the file when it was last read.
    fn wrong(&self) -> Option<ConfigError> {
        unpoisoned(self.state.lock()).wrong.clone()
    }
}

impl Changeable {
    /// Whether what a setting of the file is about comes to something else than it did; `None` if it cannot be
    /// changed.
    fn is_change(&self, before: &Self, key: &str) -> Option<bool> {
        let own = |output| self.filters.own(output) != before.filters.own(output);
        Some(match key {
            "filter" => self.filters.general() != before.filters.general(),
            "filter_lines" => own(Output::Lines),
            "filter_logs" => own(Output::Logs),
            "filter_traces" => own(Output::Traces),
            "sample_rate" => self.sampler != before.sampler,
            "redact" => self.redaction.is_standard != before.redaction.is_standard,
            "redact_keys" => self.redaction.keys != before.redaction.keys,
            _ => return None,
        })
    }
}

impl Reloaded {
    /// Whether nothing has changed.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.in_effect.is_empty() && self.held.is_empty() && self.needs_restart.is_empty()
    }
}

impl fmt::Display for Reloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "settings in {}: ", self.path.display())?;
        if self.is_nothing() {
            return f.write_str("nothing has changed");
        }
        let parts = [
            (&self.in_effect, "changed"),
            (
                &self.held,
                "changed there alone, since code or variables hold over it",
            ),
            (
                &self.needs_restart,
                "changed, which takes effect with a restart",
            ),
        ];
        let parts = parts.into_iter().filter(|(keys, _)| !keys.is_empty());
        for (index, (keys, what)) in parts.enumerate() {
            let before = if index == 0 { "" } else { "; " };
            write!(f, "{before}`{}` {what}", keys.join("`, `"))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}
