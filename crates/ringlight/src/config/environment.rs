//! Where variables come from: the process, or a fixed list.

use std::collections::BTreeMap;

/// Variables to configure from.
#[derive(Debug, Clone, Default)]
pub(crate) enum Environment {
    /// The process's own.
    #[default]
    Process,
    /// These and no others.
    Fixed(BTreeMap<String, String>),
}

impl Environment {
    /// The value of a variable; empty ones count as unset, as the OpenTelemetry specification asks.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        let value = match self {
            Self::Process => std::env::var(name).ok(),
            Self::Fixed(variables) => variables.get(name).cloned(),
        };
        value.filter(|value| !value.trim().is_empty())
    }
}

/// Reads variables, remembering what was wrong with them. A bad value is ignored: telemetry must
/// not keep a service from starting because of its environment.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    environment: &'a Environment,
    pub(super) warnings: Vec<String>,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(environment: &'a Environment) -> Self {
        Self {
            environment,
            warnings: Vec::new(),
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.environment
            .get(name)
            .map(|text| text.trim().to_owned())
    }

    /// Only `true`, in any case, is true.
    pub(super) fn truth(&mut self, name: &str) -> bool {
        let truth = self.choice(name, "`true` or `false`", |text| {
            match text.to_ascii_lowercase().as_str() {
                "true" => Some(true),
                "false" => Some(false),
                _ => None,
            }
        });
        truth.unwrap_or(false)
    }

    /// A whole number that `accept` turns into something.
    pub(super) fn number<T>(
        &mut self,
        name: &str,
        allowed: &str,
        accept: impl FnOnce(u64) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(name)?;
        let value = text.parse().ok().and_then(accept);
        if value.is_none() {
            self.warn(name, &text, allowed);
        }
        value
    }

    /// One of several words.
    pub(super) fn choice<T>(
        &mut self,
        name: &str,
        allowed: &str,
        accept: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.text(name)?;
        let value = accept(&text);
        if value.is_none() {
            self.warn(name, &text, allowed);
        }
        value
    }

    /// A list of `key=value` separated by commas, values (and keys) percent-encoded.
    pub(super) fn pairs(&mut self, name: &str) -> Vec<(String, String)> {
        let Some(text) = self.text(name) else {
            return Vec::new();
        };
        let members = text.split(',').map(str::trim).filter(|m| !m.is_empty());
        let mut pairs = Vec::new();
        for member in members {
            let pair = member.split_once('=').and_then(|(key, value)| {
                let key = percent_decode(key.trim())?;
                (!key.is_empty()).then_some((key, percent_decode(value.trim())?))
            });
            match pair {
                Some(pair) => pairs.push(pair),
                // Not shown: it may be a secret.
                None => self.say(format!(
                    "`{name}` has a member that is not `key=value`, which is ignored"
                )),
            }
        }
        pairs
    }

    pub(super) fn warn(&mut self, name: &str, value: &str, allowed: &str) {
        self.say(format!(
            "`{name}` is `{value}`, which is ignored; allowed is {allowed}"
        ));
    }

    /// Remembers a warning, once: a generic variable is read for every signal.
    pub(super) fn say(&mut self, warning: String) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }
}

/// Undoes percent-encoding; `None` where an escape or the text is broken.
fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            let (high, low) = (digit()?, digit()?);
            bytes.push((high * 16 + low) as u8);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str, value: &str) -> Environment {
        Environment::Fixed([(name.to_owned(), value.to_owned())].into())
    }

    #[test]
    fn empty_means_unset_and_only_true_is_true() {
        assert_eq!(environment("A", "  ").get("A"), None);
        let check = |value: &str, expected: bool, warnings: &[&str]| {
            let environment = environment("A", value);
            let mut reader = Reader::new(&environment);
            assert_eq!(reader.truth("A"), expected);
            assert_eq!(reader.warnings, warnings);
        };
        check("true", true, &[]);
        check("TRUE", true, &[]);
        check("False", false, &[]);
        check("", false, &[]);
        let said = "`A` is `1`, which is ignored; allowed is `true` or `false`";
        check("1", false, &[said]);
        check("yes", false, &[&said.replace('1', "yes")]);
    }

    #[test]
    fn bad_numbers_are_warned_about_and_ignored() {
        let check = |value: &str, expected: Option<u64>, warnings: usize| {
            let environment = environment("A", value);
            let mut reader = Reader::new(&environment);
            assert_eq!(
                reader.number("A", "1 to 9", |n| (n < 10).then_some(n)),
                expected
            );
            assert_eq!(reader.warnings.len(), warnings);
        };
        check("7", Some(7), 0);
        check("", None, 0);
        check("70", None, 1);
        check("-1", None, 1);
        check("soon", None, 1);
    }

    #[test]
    fn pairs_are_percent_decoded() {
        let environment = environment("A", "a=1, b%20c=d%2Ce==,broken,%zz=1,=x,");
        let mut reader = Reader::new(&environment);
        let pairs = reader.pairs("A");
        let pairs: Vec<_> = pairs
            .iter()
            .map(|(k, v)| (k.as_str(), v.as_str()))
            .collect();
        assert_eq!(pairs, [("a", "1"), ("b c", "d,e==")]);
        assert_eq!(reader.warnings.len(), 1);
        assert!(reader.warnings.iter().all(|w| !w.contains("broken")));
    }
}
