//! What earlier versions had in place of `[telemetry]`, and what takes its place.
//!
//! The one list of it: files are read by it, and `ringlight config migrate` rewrites them by it.

use std::path::Path;

use super::file::is_ours_alone;
use super::setting::{self, Setting, Shape};

/// A table of earlier versions, whose settings are below `[telemetry]` now.
#[derive(Debug)]
#[non_exhaustive]
pub struct OldSection {
    /// Its name, with a dot where it is a table in another.
    pub name: &'static str,
    /// All keys it may have.
    pub keys: &'static [OldKey],
}

/// A setting of an [`OldSection`].
#[derive(Debug)]
#[non_exhaustive]
pub struct OldKey {
    /// Its key.
    pub key: &'static str,
    /// What it may be.
    pub shape: Shape,
    successor: Successor,
}

/// What is written in place of an [`OldKey`].
#[derive(Debug)]
enum Successor {
    /// The setting of this key, with the same value.
    Same(&'static str),
    /// For each value, as a variable would have it, settings and their values in TOML.
    Values(&'static [(&'static str, &'static [(&'static str, &'static str)])]),
}

/// A setting that takes the place of an [`OldKey`].
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Replaced {
    /// The setting.
    pub setting: &'static Setting,
    /// Its value as it is written in TOML; `None` if it stays what it was.
    pub literal: Option<&'static str>,
}

impl OldSection {
    /// Whether a table of this name with these keys is the section of earlier versions. In `ringlight.toml` it is. In
    /// a file of another name it may be the application's own: there it is if it has keys, and all of them are known.
    #[must_use]
    pub fn is_meant<'k>(&self, file: &Path, keys: impl IntoIterator<Item = &'k str>) -> bool {
        let mut keys = keys.into_iter().peekable();
        is_ours_alone(file) || keys.peek().is_some() && keys.all(|key| self.key(key).is_some())
    }

    /// One of its keys.
    #[must_use]
    pub fn key(&self, key: &str) -> Option<&'static OldKey> {
        self.keys.iter().find(|known| known.key == key)
    }
}

impl OldKey {
    /// What takes its place where it has this value, as a variable would have it: one setting at least, unless the value
    /// is not of the [`shape`](Self::shape).
    #[must_use]
    pub fn replaced(&self, value: &str) -> Vec<Replaced> {
        let of_value = |value: &str, values: &'static [(&str, &'static [(&str, &str)])]| {
            let found = values.iter().find(|(known, _)| *known == value);
            found.map_or(&[][..], |(_, settings)| settings)
        };
        match self.successor {
            Successor::Same(key) => setting::of_key(key)
                .map(|setting| Replaced {
                    setting,
                    literal: None,
                })
                .into_iter()
                .collect(),
            Successor::Values(values) => of_value(value, values)
                .iter()
                .filter_map(|(key, literal)| {
                    Some(Replaced {
                        setting: setting::of_key(key)?,
                        literal: Some(literal),
                    })
                })
                .collect(),
        }
    }
}

impl Replaced {
    /// The value as a variable would have it, where that of the old key is `value`.
    pub(super) fn text(&self, value: &str) -> String {
        let text = self
            .literal
            .map_or(value, |literal| literal.trim_matches('"'));
        text.to_owned()
    }
}

const fn same(key: &'static str, shape: Shape, becomes: &'static str) -> OldKey {
    OldKey {
        key,
        shape,
        successor: Successor::Same(becomes),
    }
}

/// All of them. Where two say the same thing, the first holds.
pub const OLD_SECTIONS: &[OldSection] = &[
    OldSection {
        name: "observability",
        keys: &[
            OldKey {
                key: "exporter",
                shape: Shape::Word(&["otlp", "none"]),
                successor: Successor::Values(&[
                    ("otlp", &[("backend", "\"otlp\""), ("enabled", "true")]),
                    ("none", &[("enabled", "false")]),
                ]),
            },
            same("endpoint", Shape::Url, "otlp_endpoint"),
        ],
    },
    OldSection {
        name: "debug.traces",
        keys: &[
            same("enabled", Shape::Truth, "enabled"),
            same("otlp_endpoint", Shape::Url, "otlp_endpoint"),
            same("service_name", Shape::Text, "service_name"),
            same("sample_rate", Shape::Ratio, "sample_rate"),
            same("trace_dir", Shape::Path, "trace_dir"),
            OldKey {
                key: "redact",
                shape: Shape::Truth,
                successor: Successor::Values(&[
                    ("true", &[("redact", "\"standard\"")]),
                    ("false", &[("redact", "\"none\"")]),
                ]),
            },
        ],
    },
];
