//! Where variables come from: the process, or a fixed list; and reading them, with the file behind them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ringlight_model::{Signal, Value};

use super::declared::Declared;
use super::file::ConfigFile;
use super::limits::{WAIT_MOST, WAIT_MS_LEAST, WAIT_MS_MOST};
use super::otlp::Origin;
use super::units;

/// Variables to configure from.
#[derive(Debug, Clone, Default)]
pub(crate) enum Environment {
    /// The process's own.
    #[default]
    Process,
    /// These and no others.
    Fixed(BTreeMap<String, String>),
    /// Those of the specification in a file, and of the others these.
    Declared(Arc<Declared>, Box<Self>),
}

impl Environment {
    /// The value of a variable; empty ones count as unset, as the OpenTelemetry specification asks.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        let value = match self {
            Self::Process => std::env::var(name).ok(),
            Self::Fixed(variables) => variables.get(name).cloned(),
            Self::Declared(file, _) if name.starts_with("OTEL_") => {
                file.get(name).map(str::to_owned)
            }
            Self::Declared(_, others) => others.get(name),
        };
        value.filter(|value| !value.trim().is_empty())
    }

    /// Whether it stands for the process's surroundings.
    pub(super) fn is_fixed(&self) -> bool {
        match self {
            Self::Process => false,
            Self::Fixed(_) => true,
            Self::Declared(_, others) => others.is_fixed(),
        }
    }

    /// What the specification's file says, if there is one.
    pub(super) fn declared(&self) -> Option<&Declared> {
        match self {
            Self::Declared(file, _) => Some(file),
            Self::Process | Self::Fixed(_) => None,
        }
    }
}

/// Reads variables, and the file where there is none, remembering what was wrong with them. A bad value of a
/// variable is ignored: telemetry must not keep a service from starting because of its environment.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    environment: &'a Environment,
    file: Option<&'a ConfigFile>,
    pub(super) warnings: Vec<String>,
    /// Those of them that another build of the program would not give.
    pub(super) build_warnings: Vec<String>,
    /// The variables whose values are not understood.
    pub(super) ignored: BTreeSet<String>,
    /// Those that are not used although they are understood.
    #[cfg(feature = "otel")]
    forgotten: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    #[cfg(test)]
    pub(super) const fn new(environment: &'a Environment) -> Self {
        Self::with_file(environment, None)
    }

    pub(super) const fn with_file(
        environment: &'a Environment,
        file: Option<&'a ConfigFile>,
    ) -> Self {
        Self {
            environment,
            file,
            warnings: Vec::new(),
            build_warnings: Vec::new(),
            ignored: BTreeSet::new(),
            #[cfg(feature = "otel")]
            forgotten: BTreeSet::new(),
        }
    }

    /// What a variable says, or in its place the file.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.variable(name).or_else(|| self.by_file(name))
    }

    /// What the file says in place of a variable.
    pub(super) fn by_file(&self, name: &str) -> Option<String> {
        Some(self.file?.by_variable(name)?.text.clone())
    }

    /// What a variable says.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        #[cfg(feature = "otel")]
        if self.forgotten.contains(name) {
            return None;
        }
        self.environment
            .get(name)
            .map(|text| text.trim().to_owned())
    }

    /// Goes on as though a variable were not set.
    #[cfg(feature = "otel")]
    pub(super) fn forget(&mut self, name: &str) {
        self.ignored.insert(name.to_owned());
        self.forgotten.insert(name.to_owned());
    }

    /// What the file says of a setting, and where.
    pub(super) fn in_file(&self, key: &str) -> Option<(String, Origin)> {
        let file = self.file?;
        let entry = file.by_key(key)?;
        Some((entry.text.clone(), Origin::File(file.place(entry))))
    }

    /// The attributes of the resource that are in the file.
    pub(super) fn file_attributes(
        &self,
    ) -> impl Iterator<Item = (String, Value<'static>)> + use<'a> {
        let attributes = self.file.map(|file| file.attributes.iter().cloned());
        attributes.into_iter().flatten()
    }

    /// What the specification's file says, if there is one.
    pub(super) fn declared(&self) -> Option<&'a Declared> {
        self.environment.declared()
    }

    /// Who says what a variable does: it, or the specification's file in its place.
    pub(super) fn variable_origin(&self, name: &str) -> Origin {
        let place = self.declared().and_then(|file| file.place(name));
        place.map_or_else(|| Origin::Variable(name.to_owned()), Origin::File)
    }

    /// Who says what [`text`](Self::text) has of a variable: it, or the file in its place.
    pub(super) fn origin(&self, name: &str) -> Origin {
        let entry = self.file.filter(|_| self.variable(name).is_none());
        let entry = entry.and_then(|file| Some(file.place(file.by_variable(name)?)));
        entry.map_or_else(|| self.variable_origin(name), Origin::File)
    }

    /// Only `true`, in any case, is true.
    pub(super) fn truth(&mut self, name: &str) -> bool {
        self.said_truth(name).unwrap_or(false)
    }

    /// The same, where something is said.
    pub(super) fn said_truth(&mut self, name: &str) -> Option<bool> {
        self.choice(name, "`true` or `false`", |text| {
            match text.to_ascii_lowercase().as_str() {
                "true" => Some(true),
                "false" => Some(false),
                _ => None,
            }
        })
    }

    /// A whole number that `accept` turns into something.
    pub(super) fn number<T>(
        &mut self,
        name: &str,
        allowed: &str,
        accept: impl Fn(u64) -> Option<T>,
    ) -> Option<T> {
        self.choice(name, allowed, |text| text.parse().ok().and_then(&accept))
    }

    /// A time as variables of the specification have it: so many milliseconds.
    pub(super) fn millis(&mut self, name: &str) -> Option<Duration> {
        let allowed = format!("{WAIT_MS_LEAST} to {WAIT_MS_MOST} (milliseconds)");
        self.number(name, &allowed, |ms| {
            (WAIT_MS_LEAST..=WAIT_MS_MOST)
                .contains(&ms)
                .then(|| Duration::from_millis(ms))
        })
    }

    /// A time with its unit, such as `example`, or `never`, which is zero.
    pub(super) fn time_or_never(
        &mut self,
        name: &str,
        example: &str,
        never: &str,
    ) -> Option<Duration> {
        let most = units::written(WAIT_MOST);
        let allowed =
            format!("a time such as `{example}`, at most `{most}`, or `{never}` for never");
        self.choice(name, &allowed, |text| {
            units::duration(text).filter(|time| *time <= WAIT_MOST)
        })
    }

    /// A size, such as `example`, of so many bytes at least.
    pub(super) fn size(&mut self, name: &str, least: u64, example: &str) -> Option<u64> {
        let allowed = format!(
            "a size from `{}` in `KiB`, `MiB`, `GiB`, `TiB`, `kB`, `MB` or `GB`, such as `{example}`",
            units::written_size(least)
        );
        self.choice(name, &allowed, |text| {
            units::size(text).filter(|bytes| *bytes >= least)
        })
    }

    /// One of several words. Where a variable has none of them, the file is asked.
    pub(super) fn choice<T>(
        &mut self,
        name: &str,
        allowed: &str,
        accept: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        self.by_variable(name, allowed, &accept)
            .or_else(|| accept(&self.file?.by_variable(name)?.text))
    }

    /// The same of variables that say one thing for each signal: the least. Where none of them is understood, the file is
    /// asked.
    pub(super) fn least<T: Ord>(
        &mut self,
        names: [&str; 2],
        allowed: &str,
        accept: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let said = names.map(|name| self.by_variable(name, allowed, &accept));
        let least = said.into_iter().flatten().min();
        least.or_else(|| {
            let mut entries = (names.iter()).filter_map(|name| self.file?.by_variable(name));
            accept(&entries.next()?.text)
        })
    }

    fn by_variable<T>(
        &mut self,
        name: &str,
        allowed: &str,
        accept: &impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let text = self.variable(name)?;
        let value = accept(&text);
        if value.is_none() {
            self.ignored.insert(name.to_owned());
            self.warn(name, &text, allowed);
        }
        value
    }

    /// A list of `key=value` separated by commas, values (and keys) percent-encoded.
    pub(super) fn pairs(&mut self, name: &str) -> Vec<(String, String)> {
        let Some(text) = self.variable(name) else {
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
                None => {
                    let origin = self.variable_origin(name);
                    self.say(format!(
                        "{origin} has a member that is not `key=value`, which is ignored"
                    ));
                }
            }
        }
        pairs
    }

    /// Hands on what a person is to be told of the files themselves.
    pub(super) fn say_what_files_warn_of(&mut self) {
        let file = self.file.iter().flat_map(|file| &file.warnings);
        let declared = self.environment.declared().into_iter();
        let declared = declared.flat_map(|file| &file.warnings);
        for warning in file.chain(declared).cloned().collect::<Vec<_>>() {
            self.say(warning);
        }
    }

    pub(super) fn warn(&mut self, name: &str, value: &str, allowed: &str) {
        let origin = self.variable_origin(name);
        self.say(format!(
            "{origin} is `{value}`, which is ignored; allowed is {allowed}"
        ));
    }

    /// Warns of what is said and is not in this build.
    #[cfg(not(all(feature = "profiling", feature = "tokio-console")))]
    pub(super) fn warn_without(&mut self, name: &str, feature: &str) {
        if self.text(name).is_some() {
            let origin = self.origin(name);
            self.say_without(&origin.to_string(), feature);
        }
    }

    /// Warns of something that is said and is not in this build.
    pub(super) fn say_without(&mut self, what: &str, feature: &str) {
        self.say_of_build(format!(
            "{what} is ignored: this build does not have it; hint: enable the feature `{feature}`"
        ));
    }

    /// Remembers a warning that another build of the program would not give.
    pub(super) fn say_of_build(&mut self, warning: String) {
        if !self.build_warnings.contains(&warning) {
            self.build_warnings.push(warning.clone());
        }
        self.say(warning);
    }

    /// Remembers a warning, once: a generic variable is read for every signal.
    pub(super) fn say(&mut self, warning: String) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }
}

/// The part of a variable's name that is of one signal.
pub(super) const fn upper(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "TRACES",
        Signal::Logs => "LOGS",
        Signal::Metrics => "METRICS",
        Signal::Profiles => "PROFILES",
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
