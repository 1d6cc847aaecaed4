//! The instrumentation map: which spans there have to be, inside of which others, and what they tell.
//! How it is written is in `docs/span-map.md`.

use std::collections::HashMap;
use std::fs::File;
use std::io::Read as _;
use std::ops::Range;
use std::path::Path;

use serde_json::Value;
use toml_edit::{Document, Item, Table, TableLike};

/// What a map may have: somebody named the wrong file.
const BYTES_MAX: u64 = 1 << 20;

/// How much of a wrong value is shown.
const SHOWN_CHARS_MAX: usize = 60;

const KEYS: [&str; 2] = ["service", "span"];

const KEYS_OF_SPAN: [&str; 6] = [
    "name",
    "within",
    "encloses",
    "attributes",
    "values",
    "handed_over",
];

const TEXTS: &str = "allowed is an array of texts";

/// A map that is known to be right.
#[derive(Debug, Default)]
pub(super) struct Map {
    /// Whose spans these are; of all services if there is none.
    pub(super) service: Option<String>,
    pub(super) spans: Vec<MapSpan>,
    by_name: HashMap<String, usize>,
}

/// What the map says of one name. Other names are indices into [`Map::spans`].
#[derive(Debug, Default)]
pub(super) struct MapSpan {
    pub(super) name: String,
    /// Spans of the name are inside of one of these; if there are none, they may begin a trace.
    pub(super) within: Vec<usize>,
    /// One of each of these is inside of each span of the name that did not fail.
    pub(super) encloses: Vec<usize>,
    /// Each span of the name that did not fail has these.
    pub(super) attributes: Vec<String>,
    /// Attributes with a value, each of which is seen on a span of the name.
    pub(super) values: Vec<(String, Value)>,
    /// Whether spans of the name may end after those they are inside of.
    pub(super) is_handed_over: bool,
}

/// One thing that is wrong with a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// From 1; `None` where it is about the whole file.
    pub(super) line: Option<usize>,
    pub(super) message: String,
    pub(super) hint: String,
}

impl Map {
    /// Reads a file.
    ///
    /// # Errors
    /// With everything that is wrong with it, by line, at least one.
    pub(super) fn read(path: &Path) -> Result<Self, Vec<Problem>> {
        let text = text_of(path).map_err(|reason| {
            vec![Problem {
                line: None,
                message: format!("the map cannot be read: {reason}"),
                hint: "name a file in TOML that is written as docs/span-map.md says".to_owned(),
            }]
        })?;
        Self::parse(&text)
    }

    pub(super) fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let mut reader = Reader {
            text,
            map: Self::default(),
            problems: Vec::new(),
        };
        match Document::parse(text) {
            Ok(document) => reader.document(document.as_table()),
            Err(error) => {
                let reason = error.message().trim().replace('\n', ", ");
                reader.problem(
                    error.span(),
                    format!("this is not TOML: {reason}"),
                    "see https://toml.io for how it is written",
                );
            }
        }
        if reader.problems.is_empty() {
            return Ok(reader.map);
        }
        reader.problems.sort_by_key(|problem| problem.line);
        Err(reader.problems)
    }

    /// The index of a name.
    pub(super) fn index_of(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// Whether spans of a service are those that are meant.
    pub(super) fn is_about(&self, service: &str) -> bool {
        self.service.as_deref().is_none_or(|own| own == service)
    }
}

fn text_of(path: &Path) -> Result<String, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    file.take(BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|error| error.to_string())?;
    if text.len() as u64 > BYTES_MAX {
        return Err(format!("it has more than {BYTES_MAX} bytes"));
    }
    Ok(text)
}

struct Reader<'a> {
    text: &'a str,
    map: Map,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn document(&mut self, root: &Table) {
        for (key, item) in root.iter() {
            let span = span_of(root, key, item);
            match key {
                "service" => self.map.service = self.text("service", item),
                "span" => match item.as_array_of_tables() {
                    Some(tables) => {
                        // All names first, since each may stand before those it is inside of.
                        for table in tables {
                            self.name(table);
                        }
                        for table in tables {
                            self.rest(table);
                        }
                    }
                    None => self.problem(
                        span,
                        format!("`span` is {}", kind(item)),
                        "write `[[span]]` on a line of its own for each name, and below it what holds",
                    ),
                },
                _ => self.unknown(key, "what a map has", span, &KEYS),
            }
        }
        if !root.contains_key("span") {
            self.problems.push(Problem {
                line: None,
                message: "the map has no span".to_owned(),
                hint: "write `[[span]]` for each name that has to be there, and below it `name = \"..\"`"
                    .to_owned(),
            });
        }
    }

    fn name(&mut self, table: &Table) {
        let Some(item) = table.get("name") else {
            return self.problem(
                table.span(),
                "this `[[span]]` has no `name`",
                "write what the span is called: `name = \"..\"`",
            );
        };
        let Some(name) = self.text("name", item) else {
            return;
        };
        if self.map.by_name.contains_key(&name) {
            return self.problem(
                item.span(),
                format!("`name` is `\"{name}\"`, which is there before"),
                "write all that holds for a name below one `[[span]]`",
            );
        }
        self.map.by_name.insert(name.clone(), self.map.spans.len());
        self.map.spans.push(MapSpan {
            name,
            ..MapSpan::default()
        });
    }

    /// What holds for a span whose name is known.
    fn rest(&mut self, table: &Table) {
        let mut span = MapSpan::default();
        for (key, item) in table.iter() {
            match key {
                "name" => {}
                "within" => span.within = self.names("within", item),
                "encloses" => span.encloses = self.names("encloses", item),
                "attributes" => {
                    let texts = self.texts("attributes", item);
                    span.attributes = texts.into_iter().map(|(text, _)| text).collect();
                }
                "values" => span.values = self.values(item),
                "handed_over" => match item.as_bool() {
                    Some(is_handed_over) => span.is_handed_over = is_handed_over,
                    None => self.wrong("handed_over", item, "allowed is `true` or `false`"),
                },
                _ => {
                    let place = span_of(table, key, item);
                    self.unknown(key, "what a span of a map has", place, &KEYS_OF_SPAN);
                }
            }
        }
        // There is none where the name is wrong, which is a problem already.
        let name = table.get("name").and_then(Item::as_str).unwrap_or_default();
        if let Some(index) = self.map.index_of(name) {
            span.name = name.to_owned();
            self.map.spans[index] = span;
        }
    }

    fn text(&mut self, key: &str, item: &Item) -> Option<String> {
        match item.as_str() {
            Some(text) if !text.is_empty() => Some(text.to_owned()),
            _ => {
                self.wrong(key, item, "allowed is a text that is not empty");
                None
            }
        }
    }

    /// An array of texts, each with its place.
    fn texts(&mut self, key: &str, item: &Item) -> Vec<(String, Option<Range<usize>>)> {
        let Some(array) = item.as_array() else {
            self.wrong(key, item, TEXTS);
            return Vec::new();
        };
        let mut texts = Vec::new();
        for value in array {
            match value.as_str() {
                Some(text) if !text.is_empty() => texts.push((text.to_owned(), value.span())),
                _ => {
                    let shown = self.shown(value.span());
                    self.problem(value.span(), format!("`{key}` has {shown}"), TEXTS);
                }
            }
        }
        texts
    }

    /// An array of names of the map.
    fn names(&mut self, key: &str, item: &Item) -> Vec<usize> {
        let mut names = Vec::new();
        for (name, span) in self.texts(key, item) {
            if let Some(index) = self.map.index_of(&name) {
                names.push(index);
                continue;
            }
            let known = self.map.spans.iter().map(|span| span.name.as_str());
            let hint = match nearest(&name, known) {
                Some(known) => format!("did you mean `{known}`?"),
                None => format!("add a `[[span]]` with `name = \"{name}\"`"),
            };
            let message = format!("`{key}` has `\"{name}\"`, which is no name of this map");
            self.problem(span, message, hint);
        }
        names
    }

    /// A table of attributes, each with an array of values.
    fn values(&mut self, item: &Item) -> Vec<(String, Value)> {
        const ALLOWED: &str = "allowed are arrays of texts, whole numbers, `true` and `false`, each below its attribute";
        let Some(table) = item.as_table_like() else {
            self.wrong("values", item, ALLOWED);
            return Vec::new();
        };
        let mut values = Vec::new();
        for (key, item) in table.iter() {
            if item.is_table_like() {
                self.problem(
                    span_of(table, key, item),
                    format!("`values.{key}` is {}", kind(item)),
                    format!(
                        "write an attribute that has dots in quotes, such as `values.\"{key}.name\" = [\"..\"]`"
                    ),
                );
                continue;
            }
            let Some(array) = item.as_array() else {
                self.wrong(&format!("values.\"{key}\""), item, ALLOWED);
                continue;
            };
            for value in array {
                let known = (value.as_str().map(Value::from))
                    .or_else(|| value.as_integer().map(Value::from))
                    .or_else(|| value.as_bool().map(Value::from));
                match known {
                    Some(known) => values.push((key.to_owned(), known)),
                    None => {
                        let shown = self.shown(value.span());
                        let message = format!("`values.\"{key}\"` has {shown}");
                        self.problem(value.span(), message, ALLOWED);
                    }
                }
            }
        }
        values
    }

    fn unknown(&mut self, key: &str, of: &str, span: Option<Range<usize>>, known: &[&str]) {
        let hint = match nearest(key, known.iter().copied()) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("known are `{}`", known.join("`, `")),
        };
        self.problem(span, format!("`{key}` is not {of}"), hint);
    }

    /// A value is not what it may be.
    fn wrong(&mut self, key: &str, item: &Item, allowed: &str) {
        let shown = if item.is_value() {
            self.shown(item.span())
        } else {
            kind(item)
        };
        self.problem(item.span(), format!("`{key}` is {shown}"), allowed);
    }

    /// A value as it is written, or the beginning of it.
    fn shown(&self, span: Option<Range<usize>>) -> String {
        let written = span
            .and_then(|span| self.text.get(span))
            .unwrap_or_default();
        let line = written.lines().next().unwrap_or_default();
        if line == written && line.chars().count() <= SHOWN_CHARS_MAX {
            return format!("`{line}`");
        }
        let beginning: String = line.chars().take(SHOWN_CHARS_MAX).collect();
        format!("`{beginning}…`")
    }

    fn problem(
        &mut self,
        span: Option<Range<usize>>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let start = span.map_or(0, |span| span.start).min(self.text.len());
        let before = &self.text.as_bytes()[..start];
        self.problems.push(Problem {
            line: Some(1 + before.iter().filter(|byte| **byte == b'\n').count()),
            message: message.into(),
            hint: hint.into(),
        });
    }
}

/// Where a key is, or else what belongs to it.
fn span_of(table: &dyn TableLike, key: &str, item: &Item) -> Option<Range<usize>> {
    let key = table.get_key_value(key).and_then(|(key, _)| key.span());
    key.or_else(|| item.span())
}

fn kind(item: &Item) -> String {
    match item.type_name() {
        name @ ("integer" | "array" | "array of tables" | "inline table") => format!("an {name}"),
        name => format!("a {name}"),
    }
}

/// The known word that somebody may have meant.
fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|known| (strsim::damerau_levenshtein(known, word), known))
        .filter(|(distance, known)| *distance <= known.len() / 3)
        .min()
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests;
