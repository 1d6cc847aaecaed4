//! What can be set in a file, as data: for tools that check, show or describe it.
//!
//! The file is `ringlight.toml` where the process runs, the one that `RINGLIGHT_CONFIG_FILE` names, or the one given to
//! [`Builder::config_file`](crate::Builder::config_file); the settings are those below `[telemetry]`. The guide is
//! `docs/configuration.md`.

pub use crate::config::{
    ConfigError, ConfigProblem, EffectiveSetting, EffectiveSettings, OLD_SECTIONS, OldKey,
    OldSection, ReloadError, Reloaded, Replaced, SETTINGS, Setting, SettingOrigin, Shape,
};
