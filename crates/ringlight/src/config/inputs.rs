//! What the application says, before anything else is asked.

use std::fmt;
use std::path::PathBuf;

use ringlight_collector::CollectorConfig;
#[cfg(feature = "otel")]
use ringlight_secrets::SecretHeadersBuilder;

#[cfg(feature = "otel")]
use super::metrics::MetricsInputs;
#[cfg(feature = "profiling")]
use super::runtime::RuntimeInputs;
#[cfg(feature = "profiling")]
use super::traces::TraceInputs;
use super::{
    Compression, ConsoleInput, Environment, LineInputs, Protocol, ResourceInputs, TlsFiles,
    declared,
};
use crate::InitError;
use crate::budget::OverheadBudget;
use crate::filter::Output;
use crate::sampling::Sampler;

/// What the application said in code and on its command line.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    pub(crate) environment: Environment,
    pub(crate) config_file: Option<PathBuf>,
    pub(crate) reload_on_hangup: Option<bool>,
    pub(crate) argument_endpoint: Option<String>,
    pub(crate) endpoint: Option<String>,
    /// Nothing of this process is recorded, so what keeps it from being sent does not apply.
    pub(crate) is_relay: bool,
    /// Nothing starts, what holds is told: no directory is made, and no source of a secret opened, which may be there for
    /// the service alone.
    pub(crate) is_look: bool,
    pub(crate) protocol: Option<Protocol>,
    pub(crate) headers: Vec<(String, String)>,
    #[cfg(feature = "otel")]
    pub(crate) secret_headers: Option<SecretHeadersBuilder>,
    #[cfg(feature = "otel")]
    pub(crate) metrics: MetricsInputs,
    #[cfg(feature = "profiling")]
    pub(crate) traces: TraceInputs,
    #[cfg(feature = "profiling")]
    pub(crate) runtime: RuntimeInputs,
    pub(crate) console: ConsoleInput,
    pub(crate) compression: Option<Compression>,
    pub(crate) tls_files: TlsFiles,
    pub(crate) resource: ResourceInputs,
    pub(crate) lines: LineInputs,
    pub(crate) panic_backtrace: Option<bool>,
    pub(crate) audit_target: Option<String>,
    pub(crate) default_directives: Option<String>,
    /// Those of single outputs; the last ones of an output hold.
    pub(crate) output_directives: Vec<(Output, String)>,
    pub(crate) sampler: Option<Sampler>,
    pub(crate) overhead_budget: Option<OverheadBudget>,
    /// Where variables begin.
    pub(crate) pipeline: CollectorConfig,
    /// What the code changes about that, after the variables.
    pub(crate) changes: Changes,
}

impl Inputs {
    /// Has the file that `OTEL_CONFIG_FILE` names take the place of the specification's variables. Not for a relay, which
    /// is no service.
    ///
    /// # Errors
    /// It cannot be read, or something is wrong with it.
    pub(crate) fn read_declared(&mut self) -> Result<(), InitError> {
        let environment = std::mem::take(&mut self.environment);
        self.environment = declared::applied(environment)?;
        Ok(())
    }
}

/// Changes of the pipeline's settings, in the order the code has them.
#[derive(Default)]
pub(crate) struct Changes(Vec<Change>);

type Change = Box<dyn FnOnce(&mut CollectorConfig) + Send>;

impl Changes {
    pub(crate) fn add(&mut self, change: impl FnOnce(&mut CollectorConfig) + Send + 'static) {
        self.0.push(Box::new(change));
    }

    pub(super) fn apply(self, config: &mut CollectorConfig) {
        for change in self.0 {
            change(config);
        }
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Changes").field(&self.0.len()).finish()
    }
}
