//! Every setting a file may have: its key, the variable that says the same, what it may be, and what it is without.
//!
//! The one list of them: files are checked by it, and the reference, the JSON Schema and `ringlight config show` are
//! made from it.

mod list;
mod shape;

pub use list::SETTINGS;
pub use shape::Shape;
#[cfg(feature = "prometheus")]
pub(super) use shape::is_host_and_port;

/// One setting below `[telemetry]`.
#[derive(Debug)]
#[non_exhaustive]
pub struct Setting {
    /// Its key.
    pub key: &'static str,
    /// The variable about the same thing, for all signals, which holds over the file.
    pub variable: Option<&'static str>,
    /// Whether the variable has the same values, so that the file's is read in its place.
    pub(super) is_same: bool,
    /// What it may be.
    pub shape: Shape,
    /// What it is where nothing says otherwise, for a person to read.
    pub default: &'static str,
    /// What it does, in a sentence.
    pub about: &'static str,
}

/// The setting of a key.
pub(super) fn of_key(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

const fn setting(
    key: &'static str,
    variable: &'static str,
    shape: Shape,
    default: &'static str,
    about: &'static str,
) -> Setting {
    let variable = if variable.is_empty() {
        None
    } else {
        Some(variable)
    };
    Setting {
        key,
        variable,
        is_same: true,
        shape,
        default,
        about,
    }
}

impl Setting {
    /// The variable is about the same thing, but says it otherwise.
    const fn kin(self) -> Self {
        Self {
            is_same: false,
            ..self
        }
    }
}
