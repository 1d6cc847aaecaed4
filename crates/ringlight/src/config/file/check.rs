//! From TOML to settings that are known to be right.

use std::ops::Range;
use std::path::Path;

use ringlight_model::Value;
use toml_edit::{Document, Item, TableLike};

use super::{ConfigFile, ConfigProblem, Entry, FILE_NAME};
use crate::config::effective::without_secrets;
use crate::config::old::OLD_SECTIONS;
use crate::config::setting::{self, SETTINGS, Setting, Shape};
use crate::filter::Filter;

/// The table that is ours.
const TABLE: &str = "telemetry";

/// Parts of keys under which people put secrets.
const OF_SECRETS: [&str; 8] = [
    "header",
    "authorization",
    "token",
    "password",
    "secret",
    "api_key",
    "apikey",
    "credential",
];

/// What settings are called elsewhere, too unlike for a slip of the finger.
const OTHER_NAMES: [(&str, &str); 2] = [("log_level", "filter"), ("rust_log", "filter")];

/// The most names that are listed in a hint.
const LISTED_MAX: usize = 16;

/// Checks a whole file: what is right in it, and everything that is wrong, in the order of its lines.
pub(super) fn file(path: &Path, text: &str) -> ConfigFile {
    let mut check = Check {
        text,
        file: ConfigFile {
            path: path.to_owned(),
            ..ConfigFile::default()
        },
    };
    match Document::parse(text) {
        Ok(document) => check.document(document.as_table(), is_ours_alone(path)),
        Err(error) => {
            let reason = error.message().trim().replace('\n', ", ");
            check.problem(
                error.span(),
                format!("this is not TOML: {reason}"),
                "see https://toml.io for how it is written",
            );
        }
    }
    let mut file = check.file;
    file.problems.sort_by_key(|problem| problem.line);
    file
}

/// Another file may be the application's own, in which other tables are none of our business.
pub(in crate::config) fn is_ours_alone(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == FILE_NAME)
}

pub(super) struct Check<'a> {
    text: &'a str,
    pub(super) file: ConfigFile,
}

impl Check<'_> {
    fn document(&mut self, root: &dyn TableLike, is_ours_alone: bool) {
        for (name, item) in root.iter() {
            let span = span_of(root, name, item);
            match (name, item.as_table_like()) {
                (TABLE, Some(table)) => {
                    self.file.has_section = true;
                    self.table(table);
                }
                (TABLE, None) => self.problem(
                    span,
                    format!("`{TABLE}` is a table, not {}", kind(item)),
                    "write `[telemetry]` on a line of its own, and the settings below it",
                ),
                _ if is_ours_alone => self.beside(name, item, span),
                _ => {}
            }
        }
        // Last, since what `[telemetry]` says holds.
        self.old_sections(root);
    }

    /// What stands beside `[telemetry]` in a file that has nothing else.
    fn beside(&mut self, name: &str, item: &Item, span: Option<Range<usize>>) {
        if setting::of_key(name).is_some() {
            return self.problem(
                span,
                format!("`{name}` stands before `[{TABLE}]`"),
                "write `[telemetry]` on a line of its own, and the settings below it",
            );
        }
        if let Some(table) = item.as_table_like() {
            if is_old(name) {
                return;
            }
            if OLD_SECTIONS.iter().any(|old| is_in(old.name, name)) {
                for (key, item) in table.iter() {
                    let path = format!("{name}.{key}");
                    self.beside(&path, item, span_of(table, key, item));
                }
                return;
            }
        }
        self.problem(
            span,
            format!("`{name}` is not known here"),
            "the settings of this file are below `[telemetry]`",
        );
    }

    fn table(&mut self, table: &dyn TableLike) {
        for (key, item) in table.iter() {
            let key_span = span_of(table, key, item);
            match setting::of_key(key) {
                Some(setting) => self.setting(setting, item, key_span),
                None => {
                    let known: Vec<_> = SETTINGS.iter().map(|setting| setting.key).collect();
                    self.unknown(key, key_span, &known);
                }
            }
        }
    }

    pub(super) fn unknown(&mut self, key: &str, span: Option<Range<usize>>, known: &[&str]) {
        let lower = key.to_ascii_lowercase();
        if OF_SECRETS.iter().any(|part| lower.contains(part)) {
            return self.problem(
                span,
                format!(
                    "`{key}` is refused: headers and tokens are secrets, and a file of settings is copied, shown and \
                     kept under version control"
                ),
                "name where they come from with `otlp_headers_file`, `otlp_headers_age_file` or \
                 `otlp_headers_vault_key`, or set `OTEL_EXPORTER_OTLP_HEADERS` in the environment; see docs/secrets.md",
            );
        }
        let other = OTHER_NAMES
            .into_iter()
            .find(|(other, meant)| *other == lower && known.contains(meant));
        let nearest = known
            .iter()
            .map(|known| (strsim::damerau_levenshtein(known, &lower), *known))
            .min()
            .filter(|(distance, known)| *distance <= known.len() / 3);
        let meant = other.map(|(_, meant)| meant);
        let hint = match meant.or(nearest.map(|(_, known)| known)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => hint_of_prefix(&lower, known),
        };
        self.problem(span, format!("`{key}` is not a setting"), hint);
    }

    fn setting(&mut self, setting: &'static Setting, item: &Item, key_span: Option<Range<usize>>) {
        let line = self.line(key_span.clone().or_else(|| item.span()));
        if setting.shape == Shape::Table {
            self.attributes(setting, item, key_span);
            return;
        }
        match text(setting.shape, item) {
            Some(text) => self.file.entries.push(Entry {
                setting,
                text,
                line,
                name: setting.key.to_owned(),
            }),
            None => self.wrong(setting.key, setting.shape, item, key_span),
        }
    }

    /// A value is not what it may be.
    pub(super) fn wrong(
        &mut self,
        key: &str,
        shape: Shape,
        item: &Item,
        key_span: Option<Range<usize>>,
    ) {
        let span = item.span().or(key_span);
        let allowed = format!("allowed is {shape}");
        let directives = item.as_str().filter(|_| shape == Shape::Directives);
        let (_, bad) = Filter::parse_any(directives.unwrap_or_default());
        for bad in &bad {
            let message = format!(
                "`{key}` has the directive `{}`: {}",
                bad.directive, bad.reason
            );
            self.problem(span.clone(), message, &*allowed);
        }
        if !bad.is_empty() {
            return;
        }
        let message = match shown(shape, item) {
            Some(value) => format!("`{key}` is {value}"),
            None => format!("`{key}` is something else"),
        };
        self.problem(span, message, allowed);
    }

    fn attributes(
        &mut self,
        setting: &'static Setting,
        item: &Item,
        key_span: Option<Range<usize>>,
    ) {
        let Some(table) = item.as_table_like() else {
            let message = format!("`{}` is {}", setting.key, kind(item));
            return self.problem(key_span, message, format!("allowed is {}", setting.shape));
        };
        let line = self.line(key_span);
        let mut names = Vec::new();
        for (key, item) in table.iter() {
            let span = span_of(table, key, item);
            match attribute(item) {
                Some(value) => {
                    names.push(key);
                    self.file.attributes.push((key.to_owned(), value));
                }
                None => {
                    let hint = if item.is_table_like() {
                        format!(
                            "write a name that has dots in quotes, such as `\"{key}.name\" = \"..\"`"
                        )
                    } else {
                        "allowed are texts, numbers, `true` and `false`".to_owned()
                    };
                    let message = format!("the attribute `{key}` is {}", kind(item));
                    self.problem(span, message, hint);
                }
            }
        }
        self.file.entries.push(Entry {
            setting,
            text: names.join(","),
            line,
            name: setting.key.to_owned(),
        });
    }

    fn problem(
        &mut self,
        span: Option<Range<usize>>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.file.problems.push(ConfigProblem {
            line: Some(self.line(span)),
            message: message.into(),
            hint: hint.into(),
        });
    }

    pub(super) fn line(&self, span: Option<Range<usize>>) -> usize {
        let start = span.map_or(0, |span| span.start).min(self.text.len());
        1 + self.text.as_bytes()[..start]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
    }
}

/// The names that begin with the words that this one is, or begins with: `otlp` and `otlp_url` lead to all `otlp_*`; without any,
/// those there are, or where they are listed if they are many.
fn hint_of_prefix(key: &str, known: &[&str]) -> String {
    let first = key.split(['_', '.', '-']).next().unwrap_or(key);
    let alike: Vec<_> = known
        .iter()
        .filter(|known| {
            known
                .strip_prefix(first)
                .is_some_and(|rest| rest.starts_with('_'))
        })
        .copied()
        .collect();
    if !alike.is_empty() {
        return format!("settings that begin like it are `{}`", alike.join("`, `"));
    }
    match known.len() {
        0..=LISTED_MAX => format!("known are `{}`", known.join("`, `")),
        _ => "`ringlight config schema` and docs/configuration.md have all there are".to_owned(),
    }
}

/// Where a key is, or else what belongs to it.
pub(super) fn span_of(table: &dyn TableLike, key: &str, item: &Item) -> Option<Range<usize>> {
    let key = table.get_key_value(key).and_then(|(key, _)| key.span());
    key.or_else(|| item.span())
}

/// A value as the variable of the setting would have it; `None` if it is not of the shape.
pub(super) fn text(shape: Shape, item: &Item) -> Option<String> {
    let text = match shape {
        Shape::Truth => item.as_bool()?.to_string(),
        Shape::Whole(..) => item.as_integer()?.to_string(),
        Shape::Ratio => number(item)?.to_string(),
        Shape::Words(_) => {
            let words = item.as_array()?.iter();
            let words: Option<Vec<_>> = words
                .map(|word| word.as_str().filter(|word| shape.takes(word)))
                .collect();
            return Some(words?.join(","));
        }
        _ => item.as_str()?.to_owned(),
    };
    shape.takes(&text).then_some(text)
}

/// Whether this is the name of a section of earlier versions.
fn is_old(name: &str) -> bool {
    OLD_SECTIONS.iter().any(|old| old.name == name)
}

/// Whether a name of several parts begins with these.
fn is_in(name: &str, first: &str) -> bool {
    (name.strip_prefix(first)).is_some_and(|rest| rest.starts_with('.'))
}

fn number(item: &Item) -> Option<f64> {
    item.as_float()
        .or_else(|| item.as_integer().map(|number| number as f64))
}

/// A value to be shown with what is allowed; an address without what may be a secret in it.
fn shown(shape: Shape, item: &Item) -> Option<String> {
    if matches!(shape, Shape::Words(_))
        && let Some(array) = item.as_array()
    {
        let bad = array
            .iter()
            .find(|word| !word.as_str().is_some_and(|word| shape.takes(word)))?;
        let bad = bad
            .as_str()
            .map_or_else(|| bad.type_name().to_owned(), |bad| format!("`\"{bad}\"`"));
        return Some(format!("an array with {bad}"));
    }
    if let Some(number) = item.as_integer() {
        return Some(format!("`{number}`"));
    }
    if let Some(number) = item.as_float() {
        return Some(format!("`{number}`"));
    }
    if let Some(truth) = item.as_bool() {
        return Some(format!("`{truth}`"));
    }
    match (item.as_str(), shape) {
        (Some(text), Shape::Url) if text.contains('@') => {
            Some("an address with credentials, which are a secret".to_owned())
        }
        (Some(text), Shape::Url) => Some(format!("`\"{}\"`", without_secrets(text))),
        (Some(text), _) => Some(format!("`\"{text}\"`")),
        (None, _) => Some(kind(item)),
    }
}

fn kind(item: &Item) -> String {
    match item.type_name() {
        name @ ("integer" | "array" | "array of tables" | "inline table") => format!("an {name}"),
        name => format!("a {name}"),
    }
}

fn attribute(item: &Item) -> Option<Value<'static>> {
    if let Some(text) = item.as_str() {
        return Some(text.to_owned().into());
    }
    if let Some(truth) = item.as_bool() {
        return Some(truth.into());
    }
    if let Some(number) = item.as_integer() {
        return Some(number.into());
    }
    item.as_float().map(Into::into)
}
