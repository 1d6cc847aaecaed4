//! What holds of every setting, and who said so.

mod said;
mod trail;

use std::fmt;

use said::Said;
use trail::Trail;

use super::{ConfigFile, Inputs, SETTINGS, Settings};
use crate::InitError;

/// What holds where telemetry would start now.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EffectiveSettings {
    /// The file that was read, if there is one.
    pub file: Option<std::path::PathBuf>,
    /// Whether that file has the table `[telemetry]`, or sections of an earlier version in its place. Without, it sets
    /// nothing, as where an application has other settings in it.
    pub has_section: bool,
    /// The settings, in the order of [`SETTINGS`]. No secret is among them: of headers there are the names, of addresses
    /// neither credentials nor queries.
    pub settings: Vec<EffectiveSetting>,
    /// What is ignored, and why.
    pub warnings: Vec<String>,
    /// What is ignored since this build of the program does not have it: of no interest to a tool that looks at the settings
    /// of another.
    pub build_warnings: Vec<String>,
}

/// One setting as it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EffectiveSetting {
    /// Its key; for what holds for one signal alone followed by ` (traces)` and so on.
    pub key: String,
    /// Its value, as a variable would have it; a default may be a description.
    pub value: String,
    /// Who said so.
    pub origin: SettingOrigin,
}

/// Who said what a setting is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SettingOrigin {
    /// The command line of the program.
    CommandLine,
    /// The code of the program.
    Code,
    /// This variable.
    Variable(String),
    /// The file, at `path:line`.
    File(String),
    /// Nobody.
    Default,
}

impl fmt::Display for SettingOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("command line"),
            Self::Code => f.write_str("code"),
            Self::Variable(name) => f.write_str(name),
            Self::File(place) => f.write_str(place),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Puts the inputs together as [`Settings::resolve`] does, and tells what came of it.
///
/// # Errors
/// As [`Settings::resolve`].
pub(crate) fn effective(mut inputs: Inputs) -> Result<EffectiveSettings, InitError> {
    inputs.is_look = true;
    inputs.read_declared()?;
    let environment = inputs.environment.clone();
    let file = ConfigFile::find(inputs.config_file.as_deref(), &environment)?;
    let said = Said::of(&inputs);
    let settings = Settings::resolve(inputs)?;
    let mut trail = Trail::new(&environment, file.as_ref(), &settings, said);
    for setting in SETTINGS {
        trail.follow(setting);
    }
    let found = trail.found;
    let mut warnings = settings.warnings;
    warnings.retain(|warning| !settings.build_warnings.contains(warning));
    Ok(EffectiveSettings {
        settings: found,
        has_section: file.as_ref().is_some_and(|file| file.has_section),
        file: file.map(|file| file.path().to_owned()),
        warnings,
        build_warnings: settings.build_warnings,
    })
}

/// An address without what may be secret in it: credentials and the query.
pub(super) fn without_secrets(address: &str) -> String {
    let (scheme, rest) = match address.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), address),
    };
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let (rest, query) = rest.split_at(end);
    let end = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let authority = match authority.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => authority.to_owned(),
    };
    let query = if query.is_empty() { "" } else { "?…" };
    format!("{scheme}{authority}{path}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;

    #[test]
    fn what_is_told_to_hold_is_what_does() {
        let variables = [
            ("OTEL_BSP_SCHEDULE_DELAY", "5000"),
            ("OTEL_BLRP_SCHEDULE_DELAY", "1000"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "no"),
            ("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "70"),
            ("OTEL_ATTRIBUTE_COUNT_LIMIT", "7"),
            ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "5"),
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "7"),
            ("RINGLIGHT_TRACE_DIR", "there"),
            ("RINGLIGHT_TRACE_FILE_SIZE", "1KiB"),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut inputs = Inputs {
            environment: Environment::Fixed(variables.into()),
            ..Inputs::default()
        };
        #[cfg(feature = "otel")]
        {
            inputs.metrics.interval = Some(std::time::Duration::from_secs(2));
        }
        inputs.resource.service_name = Some("shop".to_owned());
        let held = effective(inputs).unwrap();
        let check = |key: &str, value: &str, origin: &str| {
            let mut all = held.settings.iter();
            let found = all.find(|setting| setting.key == key).unwrap();
            let shown = (&*found.value, &*found.origin.to_string());
            assert_eq!(shown, (value, origin), "{key}");
        };
        check("batch_delay", "1000ms", "OTEL_BLRP_SCHEDULE_DELAY");
        check("batch_records_max", "70", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE");
        check(
            "attribute_count_limit",
            "5",
            "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT",
        );
        check("sample_rate", "traceidratio", "OTEL_TRACES_SAMPLER");
        #[cfg(feature = "otel")]
        check("metric_export_interval", "2s", "code");
        #[cfg(feature = "profiling")]
        check("trace_file_size", "64MiB", "default");
    }
}
