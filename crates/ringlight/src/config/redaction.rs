//! What is redacted, by variables.

use ringlight_collector::{Redaction, Replacement};

use super::environment::Reader;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) is_standard: bool,
    pub(super) keys: Vec<String>,
}

impl Said {
    /// `RINGLIGHT_REDACT` and `RINGLIGHT_REDACT_KEYS`, and what the file says; keys of both. A word that is not understood
    /// asks for the standard rules: what is masked in vain can be seen and set right, what has left the process cannot.
    pub(super) fn of(reader: &mut Reader<'_>) -> Self {
        const VARIABLE: &str = "RINGLIGHT_REDACT";
        let is_standard = match reader.text(VARIABLE).as_deref() {
            None | Some("none") => false,
            Some("standard") => true,
            Some(other) => {
                reader.say(format!(
                    "`{VARIABLE}` is `{other}`, which is taken for `standard`; allowed is `standard` or `none`"
                ));
                true
            }
        };
        let keys = [
            reader.variable("RINGLIGHT_REDACT_KEYS"),
            reader.in_file("redact_keys").map(|(keys, _)| keys),
        ];
        let keys = keys.iter().flatten().flat_map(|keys| keys.split(','));
        let keys = keys.map(str::trim).filter(|key| !key.is_empty());
        Self {
            is_standard,
            keys: keys.map(str::to_owned).collect(),
        }
    }

    /// The rules.
    pub(super) fn redaction(&self) -> Redaction {
        let base = match self.is_standard {
            true => Redaction::standard(),
            false => Redaction::new(),
        };
        self.keys
            .iter()
            .fold(base, |redaction, key| redaction.key(key, Replacement::Mask))
    }
}
