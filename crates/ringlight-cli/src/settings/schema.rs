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

    #[test]
    fn the_schema_and_the_reader_agree() {
        let validator = jsonschema::validator_for(&schema()).unwrap();
        let check = |line: &str, document: Value, expected: bool| {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("ringlight.toml");
            std::fs::write(&path, format!("[telemetry]\n{line}\n")).unwrap();
            let builder = ringlight::builder().environment([("", ""); 0]);
            let read = builder.config_file(path).effective_settings();
            assert_eq!(read.is_ok(), expected, "{line}: {read:?}");
            let valid = validator.is_valid(&json!({ "telemetry": document }));
            assert_eq!(valid, expected, "{document}");
        };
        check("enabled = true", json!({"enabled": true}), true);
        check("enabled = 1", json!({"enabled": 1}), false);
        check("sample_rate = 1", json!({"sample_rate": 1}), true);
        check("sample_rate = 1.1", json!({"sample_rate": 1.1}), false);
        check("service_name = \"a\"", json!({"service_name": "a"}), true);
        check("service_name = \" \"", json!({"service_name": " "}), false);
        check("servicename = \"a\"", json!({"servicename": "a"}), false);
        check("batch_delay = \"2s\"", json!({"batch_delay": "2s"}), true);
        check("batch_delay = \"2\"", json!({"batch_delay": "2"}), false);
        check(
            "batch_records_max = 0",
            json!({"batch_records_max": 0}),
            false,
        );
        check(
            "overhead_budget = \"2%\"",
            json!({"overhead_budget": "2%"}),
            true,
        );
        check(
            "overhead_budget = \"2\"",
            json!({"overhead_budget": "2"}),
            false,
        );
        check(
            "spool_mode = \"never\"",
            json!({"spool_mode": "never"}),
            false,
        );
        check(
            "propagators = [\"b3\"]",
            json!({"propagators": ["b3"]}),
            true,
        );
        check(
            "propagators = [\"b4\"]",
            json!({"propagators": ["b4"]}),
            false,
        );
        check("redact_keys = [\"a\"]", json!({"redact_keys": ["a"]}), true);
        check("redact_keys = [1]", json!({"redact_keys": [1]}), false);
        for (address, expected) in [
            ("http://h:4317", true),
            ("https://h/x?y", true),
            ("h:4317", false),
            ("https://a:b@h", false),
        ] {
            let line = format!("otlp_endpoint = \"{address}\"");
            check(&line, json!({ "otlp_endpoint": address }), expected);
        }
        let table = json!({"resource_attributes": {"a": 1, "b": "c"}});
        check("resource_attributes = { a = 1, b = \"c\" }", table, true);
        let nested = json!({"resource_attributes": {"a": {"b": "c"}}});
        check("resource_attributes = { a = { b = \"c\" } }", nested, false);
    }
}
