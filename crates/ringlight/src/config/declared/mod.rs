//! The OpenTelemetry specification's own file of settings: what `OTEL_CONFIG_FILE` names, in YAML.
//!
//! It takes the place of all variables that begin with `OTEL_`. What it says is turned into what these would say, each
//! with its line: one way through the settings serves both. Of what this version does not do, a person is told; what the
//! schema (1.0, 1.1) does not have is an error, as in the other file.

#[cfg(feature = "otel-config")]
mod provider;
#[cfg(feature = "otel-config")]
mod schema;
#[cfg(feature = "otel-config")]
mod yaml;

#[cfg(test)]
#[cfg(feature = "otel-config")]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;

use ringlight_model::Value;

use super::environment::Environment;
use super::file::ConfigError;

/// Names the file.
pub(super) const VARIABLE: &str = "OTEL_CONFIG_FILE";

/// What a file says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Declared {
    path: PathBuf,
    values: BTreeMap<String, Said>,
    /// Attributes of the resource, with their lines.
    attributes: Vec<(String, Value<'static>, usize)>,
    pub(super) warnings: Vec<String>,
}

/// What is said in place of a variable.
#[derive(Debug, Clone)]
struct Said {
    text: String,
    /// What it is called there.
    key: String,
    line: usize,
}

impl Declared {
    /// What the file says in place of a variable.
    pub(super) fn get(&self, variable: &str) -> Option<&str> {
        self.values.get(variable).map(|said| said.text.as_str())
    }

    /// Where that is: otel.yaml:3.
    pub(super) fn position(&self, variable: &str) -> Option<String> {
        let said = self.values.get(variable)?;
        Some(format!("{}:{}", self.path.display(), said.line))
    }

    /// The same with its key.
    pub(super) fn place(&self, variable: &str) -> Option<String> {
        let said = self.values.get(variable)?;
        Some(format!("`{}` in {}", said.key, self.position(variable)?))
    }

    /// The attributes of the resource, each with where it is.
    pub(super) fn attributes(&self) -> impl Iterator<Item = (&str, &Value<'static>, String)> {
        let path = self.path.display();
        let place = move |line: &usize| format!("{path}:{line}");
        let attributes = self.attributes.iter();
        attributes.map(move |(key, value, line)| (key.as_str(), value, place(line)))
    }
}

/// These variables, with what the file that one of them names says in place of those of the specification.
///
/// # Errors
/// The file cannot be read, or something is wrong with it, or this build does not read it: without it, everything
/// might go somewhere else.
pub(super) fn applied(environment: Environment) -> Result<Environment, ConfigError> {
    let Some(path) = environment.get(VARIABLE) else {
        return Ok(environment);
    };
    let path = PathBuf::from(path.trim());
    #[cfg(not(feature = "otel-config"))]
    let found: Result<Declared, _> = Err(ConfigError::refused(
        &path,
        format!("`{VARIABLE}` names it, and this build does not read such files"),
        "enable the feature `otel-config` of the crate `ringlight`, or unset the variable",
    ));
    #[cfg(feature = "otel-config")]
    let found = schema::read(path, &environment);
    Ok(Environment::Declared(
        std::sync::Arc::new(found?),
        Box::new(environment),
    ))
}
