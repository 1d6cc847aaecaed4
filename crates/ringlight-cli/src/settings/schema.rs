//! `ringlight config schema`: what may be in a file, as JSON Schema, for editors.

use ringlight::settings::{SETTINGS, Setting, Shape};
use serde_json::{Map, Value, json};

/// The schema, as it is published in `docs/ringlight.schema.json`.
pub(super) fn text() -> String {
    format!("{:#}\n", schema())
}

fn schema() -> Value {
    let settings: Map<String, Value> = SETTINGS
        .iter()
        .map(|setting| (setting.key.to_owned(), property(setting)))
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Settings of Ringlight",
        "description": "The table [telemetry] of ringlight.toml, or of an application's own file.",
        "type": "object",
        "properties": {
            "telemetry": {
                "type": "object",
                "additionalProperties": false,
                "properties": settings,
            },
        },
    })
}

fn property(setting: &Setting) -> Value {
    let mut property = of_shape(setting.shape);
    let about = format!("{}. Default: {}.", setting.about, setting.default);
    let about = match setting.variable {
        Some(variable) => format!("{about} Variable: {variable}."),
        None => about,
    };
    if let Some(property) = property.as_object_mut() {
        property.insert("description".to_owned(), about.into());
    }
    property
}

fn of_shape(shape: Shape) -> Value {
    match shape {
        Shape::Truth => json!({"type": "boolean"}),
        Shape::Url => json!({"type": "string", "pattern": "^https?://[^/?#@]+([/?#].*)?$"}),
        Shape::Word(words) => json!({"enum": words}),
        Shape::Words([]) => {
            json!({"type": "array", "items": {"type": "string", "pattern": "\\S"}})
        }
        Shape::Words(words) => json!({"type": "array", "items": {"enum": words}}),
        Shape::Whole(least, most) => {
            json!({"type": "integer", "minimum": least, "maximum": most})
        }
        Shape::Ratio => json!({"type": "number", "minimum": 0, "maximum": 1}),
        Shape::Time(..) => json!({"type": "string", "pattern": "^[0-9]+ *(ms|s|m|h|d)$"}),
        Shape::Size(_) => {
            json!({"type": "string", "pattern": "^[0-9]+ *(B|KiB|MiB|GiB|TiB|kB|MB|GB)?$"})
        }
        Shape::Percentage => json!({"type": "string", "pattern": "^[0-9.]+ *%$"}),
        Shape::Table => json!({
            "type": "object",
            "additionalProperties": {"type": ["string", "number", "boolean"]},
        }),
        // Directives are checked when the file is read.
        _ => json!({"type": "string", "pattern": "\\S"}),
    }
}

#[cfg(test)]
mod tests {
    use toml_edit::{Document, Item, Value as Toml};

    use super::*;

    #[test]
    fn the_published_schema_is_that_of_the_settings() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../docs/ringlight.schema.json"
        );
        let published = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            published == text(),
            "docs/ringlight.schema.json is out of date; hint: \
             `cargo run -- config schema > docs/ringlight.schema.json`"
        );
    }

    /// Whether settings are right, asked of both.
    struct Both(jsonschema::Validator);

    impl Both {
        fn new() -> Self {
            Self(jsonschema::validator_for(&schema()).unwrap())
        }

        #[track_caller]
        fn check(&self, file: &str, expected: bool) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("ringlight.toml");
            std::fs::write(&path, file).unwrap();
            let builder = ringlight::builder().environment([("", ""); 0]);
            let read = builder.config_file(path).effective_settings();
            assert_eq!(read.is_ok(), expected, "{file}: {read:?}");
            let document = json_of(Document::parse(file).unwrap().as_item());
            let error = self.0.validate(&document).err();
            assert_eq!(error.is_none(), expected, "{file}: {error:?}");
        }

        #[track_caller]
        fn check_line(&self, line: &str, expected: bool) {
            self.check(&format!("[telemetry]\n{line}\n"), expected);
        }
    }

    /// TOML as an editor that has a JSON Schema for it sees it.
    fn json_of(item: &Item) -> Value {
        if let Some(table) = item.as_table_like() {
            let members = table.iter();
            return members
                .map(|(key, item)| (key.to_owned(), json_of(item)))
                .collect();
        }
        match item.as_value().unwrap() {
            Toml::String(text) => text.value().as_str().into(),
            Toml::Integer(number) => (*number.value()).into(),
            Toml::Float(number) => (*number.value()).into(),
            Toml::Boolean(truth) => (*truth.value()).into(),
            Toml::Array(items) => items
                .iter()
                .map(|value| json_of(&Item::Value(value.clone())))
                .collect(),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn the_schema_takes_every_setting_that_the_reader_takes() {
        let everything = include_str!("../../../ringlight/src/config/file/tests/everything.toml");
        let both = Both::new();
        both.check(everything, true);
        for key in [
            "otlp_headers_age_file",
            "otlp_headers_age_identity_file",
            "otlp_headers_vault_key",
        ] {
            both.check_line(&format!("{key} = \"a\""), true);
        }
    }

    /// What is not of a shape, in ways that a schema can tell.
    fn not_of(shape: Shape) -> Vec<String> {
        let texts = |texts: &[&str]| texts.iter().map(|text| format!("\"{text}\"")).collect();
        let mut wrong: Vec<String> = match shape {
            Shape::Truth => vec!["\"true\"".to_owned(), "1".to_owned()],
            Shape::Text | Shape::Path | Shape::Directives => {
                vec!["\" \"".to_owned(), "1".to_owned()]
            }
            Shape::Url => texts(&["h:4317", "https://a:b@h"]),
            Shape::Word(_) => texts(&["no such word"]),
            Shape::Words([]) => vec!["[\" \"]".to_owned(), "[1]".to_owned()],
            Shape::Words(_) => vec!["[\"no such word\"]".to_owned()],
            Shape::Whole(least, most) => {
                let below = least.checked_sub(1).map(|number| number.to_string());
                let around = [below, Some((most + 1).to_string()), Some("1.5".to_owned())];
                around.into_iter().flatten().collect()
            }
            Shape::Ratio => vec!["1.1".to_owned(), "-0.1".to_owned()],
            Shape::Time(..) => texts(&["2", "soon", "2 weeks"]),
            Shape::Size(_) => texts(&["large", "1XB"]),
            Shape::Percentage => texts(&["2", "%"]),
            Shape::Table => texts(&["a=b"]),
            other => panic!("{other:?} is not known here"),
        };
        // Of no shape.
        wrong.push("{ a = [] }".to_owned());
        wrong
    }

    #[test]
    fn what_is_of_another_shape_is_refused_by_the_schema_and_the_reader() {
        let both = Both::new();
        for setting in SETTINGS {
            for wrong in not_of(setting.shape) {
                both.check_line(&format!("{} = {wrong}", setting.key), false);
            }
        }
    }

    #[test]
    fn the_schema_and_the_reader_agree() {
        let both = Both::new();
        for line in [
            "enabled = true",
            "sample_rate = 1",
            "service_name = \"a\"",
            "batch_delay = \"2s\"",
            "overhead_budget = \"2%\"",
            "propagators = [\"b3\"]",
            "redact_keys = [\"a\"]",
            "otlp_endpoint = \"http://h:4317\"",
            "otlp_endpoint = \"https://h/x?y\"",
            "resource_attributes = { a = 1, b = \"c\" }",
        ] {
            both.check_line(line, true);
        }
        for line in [
            "servicename = \"a\"",
            "resource_attributes = { a = { b = \"c\" } }",
        ] {
            both.check_line(line, false);
        }
    }
}
