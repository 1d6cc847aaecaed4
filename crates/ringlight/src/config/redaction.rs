//! What is redacted, by variables.

use ringlight_collector::{Redaction, Replacement};

use super::environment::Reader;

/// `RINGLIGHT_REDACT` and `RINGLIGHT_REDACT_KEYS`, and what the file says; keys of both. A word that is not understood asks for the standard rules: what
/// is masked in vain can be seen and set right, what has left the process cannot.
pub(super) fn redaction(reader: &mut Reader<'_>) -> Option<Redaction> {
    const VARIABLE: &str = "RINGLIGHT_REDACT";
    let base = match reader.text(VARIABLE).as_deref() {
        None | Some("none") => Redaction::new(),
        Some("standard") => Redaction::standard(),
        Some(other) => {
            reader.say(format!(
                "`{VARIABLE}` is `{other}`, which is taken for `standard`; allowed is `standard` or `none`"
            ));
            Redaction::standard()
        }
    };
    let keys = [
        reader.variable("RINGLIGHT_REDACT_KEYS"),
        reader.in_file("redact_keys").map(|(keys, _)| keys),
    ];
    let keys = keys.iter().flatten().flat_map(|keys| keys.split(','));
    let keys = keys.map(str::trim).filter(|key| !key.is_empty());
    let redaction = keys.fold(base, |redaction, key| redaction.key(key, Replacement::Mask));
    (!redaction.is_empty()).then_some(redaction)
}
