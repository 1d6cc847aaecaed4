//! The file as a whole, and what values may be.

use std::path::PathBuf;

use ringlight_model::Value;

use super::yaml::{self, Kind, Node};
use super::{Declared, Said, VARIABLE};
use crate::config::environment::Environment;
use crate::config::file::{self, ConfigError, ConfigProblem, NamedBy};

/// Versions of the schema that are understood.
const FORMATS: [&str; 2] = ["1.0", "1.1"];

const BY_VARIABLE: NamedBy = NamedBy {
    variable: Some(VARIABLE),
    hint: "set the variable to a file in YAML that this process may read, or unset it",
};

/// Reads a file.
///
/// # Errors
/// With everything that is wrong with it.
pub(super) fn read(path: PathBuf, variables: &Environment) -> Result<Declared, ConfigError> {
    let text = file::text_of(&path, BY_VARIABLE)?;
    let mut reader = Reader {
        declared: Declared {
            path,
            ..Declared::default()
        },
        problems: Vec::new(),
    };
    match yaml::read(&text, variables) {
        Ok(root) => reader.root(&At::root(&root)),
        Err(wrong) => reader.problems.push(ConfigProblem {
            line: Some(wrong.line),
            message: wrong.message,
            hint:
                "see https://opentelemetry.io/docs/specs/otel/configuration/ for how it is written"
                    .to_owned(),
        }),
    }
    if reader.problems.is_empty() {
        return Ok(reader.declared);
    }
    reader.problems.sort_by_key(|problem| problem.line);
    Err(ConfigError {
        path: reader.declared.path,
        problems: reader.problems,
        warnings: Vec::new(),
        checked_by: None,
    })
}

/// A value and what it is called.
#[derive(Debug, Clone)]
pub(super) struct At<'n> {
    pub(super) path: String,
    pub(super) node: &'n Node,
}

impl<'n> At<'n> {
    fn root(node: &'n Node) -> Self {
        Self {
            path: String::new(),
            node,
        }
    }

    fn below(&self, name: &str, node: &'n Node) -> Self {
        let path = match self.path.is_empty() {
            true => name.to_owned(),
            false => format!("{}.{name}", self.path),
        };
        Self { path, node }
    }

    /// The last part of what it is called.
    pub(super) fn name(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or(&self.path)
    }
}

pub(super) struct Reader {
    declared: Declared,
    problems: Vec<ConfigProblem>,
}

impl Reader {
    fn root(&mut self, root: &At<'_>) {
        const KNOWN: [&str; 9] = [
            "file_format",
            "disabled",
            "log_level",
            "resource",
            "attribute_limits",
            "propagator",
            "tracer_provider",
            "logger_provider",
            "meter_provider",
        ];
        let mut missing = vec![
            "file_format",
            "propagator",
            "tracer_provider",
            "logger_provider",
        ];
        missing.push("meter_provider");
        let Kind::Map(entries) = &root.node.kind else {
            return self.problem(root, "the file has no settings".to_owned(), &one_of(&KNOWN));
        };
        for (name, node) in entries {
            let at = root.below(name, node);
            if !matches!(node.kind, Kind::Null) {
                missing.retain(|missing| missing != name);
            }
            match name.as_str() {
                "file_format" => self.format(&at),
                "disabled" => self.truth("OTEL_SDK_DISABLED", &at),
                "log_level" => self.log_level(&at),
                "resource" => self.resource(&at),
                "attribute_limits" => self.limits(
                    &at,
                    &[
                        ("attribute_count_limit", "OTEL_ATTRIBUTE_COUNT_LIMIT"),
                        (
                            "attribute_value_length_limit",
                            "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT",
                        ),
                    ],
                ),
                "propagator" => self.propagator(&at),
                "tracer_provider" => self.tracer_provider(&at),
                "logger_provider" => self.logger_provider(&at),
                "meter_provider" => self.meter_provider(&at),
                // The schema leaves room for others here, and here alone.
                _ => self.unsupported(&at),
            }
        }
        // What is left out is not done, whatever else says so.
        for name in missing {
            let variable = match name {
                "file_format" => {
                    let message = "`file_format` is missing".to_owned();
                    self.problem(root, message, "write `file_format: \"1.1\"` at the top");
                    continue;
                }
                "propagator" => "OTEL_PROPAGATORS",
                "tracer_provider" => "OTEL_TRACES_EXPORTER",
                "logger_provider" => "OTEL_LOGS_EXPORTER",
                _ => "OTEL_METRICS_EXPORTER",
            };
            self.set(variable, "none".to_owned(), &root.below(name, root.node));
        }
    }

    fn format(&mut self, at: &At<'_>) {
        let (Kind::Plain(text) | Kind::Quoted(text)) = &at.node.kind else {
            return self.wrong(at, &one_of(&FORMATS));
        };
        if !FORMATS.contains(&text.as_str()) {
            self.wrong(at, &one_of(&FORMATS));
        }
    }

    fn log_level(&mut self, at: &At<'_>) {
        const NAMES: [&str; 6] = ["trace", "debug", "info", "warn", "error", "fatal"];
        let Some(text) = self.text(at) else { return };
        let name = text.trim_end_matches(['2', '3', '4']);
        if !NAMES.contains(&name) || text.len() > name.len() + 1 {
            self.wrong(
                at,
                &format!("{}, each also with 2, 3 or 4 behind it", one_of(&NAMES)),
            );
        } else if text != "info" {
            self.unsupported(at);
        }
    }

    fn resource(&mut self, at: &At<'_>) {
        let known = ["attributes", "attributes_list"];
        for at in self.entries(at, &known, &["schema_url", "detection/development"]) {
            match at.name() {
                "attributes" => {
                    for item in self.items(&at) {
                        self.attribute(&item);
                    }
                }
                _ => self.pass("OTEL_RESOURCE_ATTRIBUTES", &at),
            }
        }
    }

    fn attribute(&mut self, at: &At<'_>) {
        let (mut name, mut value, mut kind) = (None, None, None);
        for at in self.entries(at, &["name", "value", "type"], &[]) {
            match at.name() {
                "name" => name = self.text(&at),
                "type" => kind = self.text(&at),
                _ => value = Some(at),
            }
        }
        let (Some(name), Some(value)) = (name, value) else {
            return self.problem(
                at,
                format!("`{}` has no name or no value", at.path),
                "write both",
            );
        };
        if matches!(value.node.kind, Kind::Null) {
            return;
        }
        let Some(read) = attribute_value(value.node, kind.as_deref().unwrap_or("string")) else {
            return self.wrong(
                &value,
                "a value of its `type`: `string`, `bool`, `int`, `double`, or one of these with `_array` behind it",
            );
        };
        match (name.as_str(), &read) {
            ("service.name", Value::Str(text)) => {
                self.set("OTEL_SERVICE_NAME", text.to_string(), &value);
            }
            _ => self.declared.attributes.push((name, read, value.node.line)),
        }
    }

    fn propagator(&mut self, at: &At<'_>) {
        let mut names: Vec<String> = Vec::new();
        let mut first = None;
        for at in self.entries(at, &["composite", "composite_list"], &[]) {
            let found = match at.name() {
                "composite" => {
                    let items = self.items(&at);
                    let names = items.iter().filter_map(|item| self.only(item));
                    names.map(|at| at.name().to_owned()).collect()
                }
                _ => self.text(&at).map_or_else(Vec::new, |text| {
                    let names = text.split(',').map(str::trim);
                    names.map(str::to_owned).collect()
                }),
            };
            for name in found {
                // There it is called otherwise than in the variable.
                let name = if name == "b3_multi" {
                    "b3multi".to_owned()
                } else {
                    name
                };
                if !name.is_empty() && !names.contains(&name) {
                    names.push(name);
                }
            }
            first.get_or_insert(at);
        }
        if names.is_empty() {
            names.push("none".to_owned());
        }
        self.set(
            "OTEL_PROPAGATORS",
            names.join(","),
            first.as_ref().unwrap_or(at),
        );
    }

    /// Whole numbers that variables have under other names.
    pub(super) fn limits(&mut self, at: &At<'_>, variables: &[(&str, &str)]) {
        let names: Vec<&str> = variables.iter().map(|(name, _)| *name).collect();
        for at in self.entries(at, &names, &[]) {
            let found = variables.iter().find(|(name, _)| *name == at.name());
            if let (Some((_, variable)), Some(number)) = (found, self.integer(&at, 0)) {
                self.set(variable, number.to_string(), &at);
            }
        }
    }
}

/// What values may be.
impl Reader {
    /// The entries of a map that are known; `null` has none. Others are an error, but for those that are not done here.
    pub(super) fn entries<'n>(
        &mut self,
        at: &At<'n>,
        known: &[&str],
        unsupported: &[&str],
    ) -> Vec<At<'n>> {
        let entries = match &at.node.kind {
            Kind::Map(entries) => entries,
            Kind::Null => return Vec::new(),
            _ => {
                self.wrong(at, "a table");
                return Vec::new();
            }
        };
        let mut found = Vec::new();
        for (name, node) in entries {
            let at = at.below(name, node);
            if known.contains(&name.as_str()) {
                found.push(at);
            } else if unsupported.contains(&name.as_str()) || name.ends_with("/development") {
                self.unsupported(&at);
            } else {
                let message = format!("`{}` is not a setting", at.path);
                self.problem(&at, message, &one_of(known));
            }
        }
        found
    }

    /// The one entry of a map that names what something is.
    pub(super) fn only<'n>(&mut self, at: &At<'n>) -> Option<At<'n>> {
        match &at.node.kind {
            Kind::Map(entries) if entries.len() == 1 => {
                let (name, node) = &entries[0];
                Some(at.below(name, node))
            }
            _ => {
                self.wrong(at, "a table with one entry");
                None
            }
        }
    }

    pub(super) fn items<'n>(&mut self, at: &At<'n>) -> Vec<At<'n>> {
        match &at.node.kind {
            Kind::List(items) => items
                .iter()
                .enumerate()
                .map(|(index, node)| At {
                    path: format!("{}[{index}]", at.path),
                    node,
                })
                .collect(),
            Kind::Null => Vec::new(),
            _ => {
                self.wrong(at, "a list");
                Vec::new()
            }
        }
    }

    /// A text; nothing where it is `null`.
    pub(super) fn text(&mut self, at: &At<'_>) -> Option<String> {
        match &at.node.kind {
            Kind::Quoted(text) => Some(text.clone()),
            Kind::Plain(text) if !is_typed(text) || at.node.is_substituted => Some(text.clone()),
            Kind::Null => None,
            _ => {
                self.wrong(at, "a text");
                None
            }
        }
    }

    pub(super) fn integer(&mut self, at: &At<'_>, least: u64) -> Option<u64> {
        match &at.node.kind {
            Kind::Plain(text) if text.parse().is_ok_and(|number: u64| number >= least) => {
                text.parse().ok()
            }
            Kind::Null => None,
            _ => {
                self.wrong(at, &format!("a whole number from {least}"));
                None
            }
        }
    }

    pub(super) fn truth(&mut self, variable: &str, at: &At<'_>) {
        match &at.node.kind {
            Kind::Plain(text) if matches!(text.as_str(), "true" | "false") => {
                self.set(variable, text.clone(), at);
            }
            Kind::Null => {}
            _ => self.wrong(at, "`true` or `false`"),
        }
    }

    /// Takes a text over as it is.
    pub(super) fn pass(&mut self, variable: &str, at: &At<'_>) {
        if let Some(text) = self.text(at) {
            self.set(variable, text, at);
        }
    }

    pub(super) fn set(&mut self, variable: &str, text: String, at: &At<'_>) {
        let said = Said {
            text,
            key: at.path.clone(),
            line: at.node.line,
        };
        self.declared.values.insert(variable.to_owned(), said);
    }

    /// What a variable would say so far.
    pub(super) fn said(&self, variable: &str) -> Option<&str> {
        self.declared.get(variable)
    }

    pub(super) fn unsupported(&mut self, at: &At<'_>) {
        self.warn(at, "is not supported by this version, and has no effect");
    }

    pub(super) fn warn(&mut self, at: &At<'_>, what: &str) {
        let path = self.declared.path.display();
        let warning = format!("`{}` in {path}:{} {what}", at.path, at.node.line);
        self.declared.warnings.push(warning);
    }

    /// A value is not what it may be. One that comes from a variable, or may be a secret, is not shown.
    pub(super) fn wrong(&mut self, at: &At<'_>, allowed: &str) {
        let shown = match &at.node.kind {
            _ if at.node.is_substituted || at.path.contains("headers") => {
                "something else, which is not shown".to_owned()
            }
            Kind::Null => "`null`".to_owned(),
            Kind::Plain(text) => format!("`{text}`"),
            Kind::Quoted(text) => format!("`\"{text}\"`"),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a table".to_owned(),
        };
        let message = format!("`{}` is {shown}", at.path);
        self.problem(at, message, &format!("allowed is {allowed}"));
    }

    pub(super) fn problem(&mut self, at: &At<'_>, message: String, hint: &str) {
        self.problems.push(ConfigProblem {
            line: Some(at.node.line),
            message,
            hint: hint.to_owned(),
        });
    }
}

/// Whether a text without quotes is a number or a truth, by the core schema of YAML 1.2 (section 10.3.2).
fn is_typed(text: &str) -> bool {
    let word = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_word = matches!(
        word,
        "true"
            | "True"
            | "TRUE"
            | "false"
            | "False"
            | "FALSE"
            | ".inf"
            | ".Inf"
            | ".INF"
            | ".nan"
            | ".NaN"
            | ".NAN"
    );
    // Without a digit it is a word to YAML, though Rust reads `nan` and `infinity` as numbers.
    is_word || text.contains(|c: char| c.is_ascii_digit()) && text.parse::<f64>().is_ok()
}

pub(super) fn one_of(names: &[&str]) -> String {
    format!("`{}`", names.join("`, `"))
}

fn attribute_value(node: &Node, kind: &str) -> Option<Value<'static>> {
    if let (Some(kind), Kind::List(items)) = (kind.strip_suffix("_array"), &node.kind) {
        let values = items.iter().map(|item| attribute_value(item, kind));
        return values.collect::<Option<Vec<_>>>().map(Value::Array);
    }
    let (text, is_plain) = match &node.kind {
        Kind::Plain(text) => (text, true),
        Kind::Quoted(text) => (text, false),
        _ => return None,
    };
    match kind {
        "string" => {
            let is_text = !is_plain || node.is_substituted || !is_typed(text);
            is_text.then(|| text.clone().into())
        }
        "bool" if is_plain => text.parse::<bool>().ok().map(Into::into),
        "int" if is_plain => text.parse::<i64>().ok().map(Into::into),
        "double" if is_plain => text.parse::<f64>().ok().map(Into::into),
        _ => None,
    }
}
