//! The JSON of what records are made of.
//!
//! 64-bit times and integers are strings, since JavaScript rounds numbers beyond 2^53; ids are
//! lower-case hexadecimal, empty where there is none.

use std::borrow::Cow;
use std::fmt::Display;

use ringlight_model::{KeyValue, SpanId, TraceId, Value};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::json;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// An attribute: its key, the type of its value and the value.
pub(super) struct Attribute<'a>(&'a KeyValue<'a>);

/// A value with its type.
pub(super) struct TypedValue<'a>(pub(super) &'a Value<'a>);

/// A list of attributes.
pub(super) fn attributes<S: Serializer>(
    attributes: &&[KeyValue<'_>],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(attributes.iter().map(Attribute))
}

/// Anything that is shown as text.
pub(super) fn text<S: Serializer>(value: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

/// A trace id; empty where there is none.
pub(super) fn trace_id<S: Serializer>(id: &TraceId, serializer: S) -> Result<S::Ok, S::Error> {
    if id.is_valid() {
        serializer.collect_str(id)
    } else {
        serializer.serialize_str("")
    }
}

/// A span id; empty where there is none.
pub(super) fn span_id<S: Serializer>(id: &SpanId, serializer: S) -> Result<S::Ok, S::Error> {
    if id.is_valid() {
        serializer.collect_str(id)
    } else {
        serializer.serialize_str("")
    }
}

impl Serialize for Attribute<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("key", &self.0.key)?;
        serialize_entries(&mut map, &self.0.value)?;
        map.end()
    }
}

impl Serialize for TypedValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        serialize_entries(&mut map, self.0)?;
        map.end()
    }
}

fn serialize_entries<M: SerializeMap>(map: &mut M, value: &Value<'_>) -> Result<(), M::Error> {
    match value {
        Value::Empty => {
            map.serialize_entry("type", "empty")?;
            map.serialize_entry("value", &())
        }
        Value::Str(text) => {
            map.serialize_entry("type", "string")?;
            map.serialize_entry("value", text)
        }
        Value::Bool(value) => {
            map.serialize_entry("type", "bool")?;
            map.serialize_entry("value", value)
        }
        Value::Int(value) => {
            map.serialize_entry("type", "int")?;
            map.serialize_entry("value", &AsText(value))
        }
        Value::Double(number) => {
            map.serialize_entry("type", "double")?;
            if number.is_finite() {
                map.serialize_entry("value", number)
            } else {
                // `NaN`, `Infinity` or `-Infinity`.
                map.serialize_entry("value", &AsText(value))
            }
        }
        Value::Bytes(_) => {
            map.serialize_entry("type", "bytes")?;
            // Shown as base64.
            map.serialize_entry("value", &AsText(value))
        }
        Value::Array(items) => {
            map.serialize_entry("type", "array")?;
            map.serialize_entry("value", &Items(items))
        }
        Value::Map(items) => {
            map.serialize_entry("type", "map")?;
            map.serialize_entry("value", &Members(items))
        }
    }
}

struct AsText<'a, T>(&'a T);

impl<T: Display> Serialize for AsText<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self.0)
    }
}

struct Items<'a>(&'a [Value<'a>]);

impl Serialize for Items<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(TypedValue))
    }
}

struct Members<'a>(&'a [KeyValue<'a>]);

impl Serialize for Members<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Attribute))
    }
}

/// A schema for each type of value, since each has its own kind of `value`; lists and maps hold
/// values again, by reference.
fn schema_of_each_type(description: &str, key: Option<serde_json::Value>) -> RefOr<Schema> {
    let number = json!({"oneOf": [
        {"type": "number"},
        {"type": "string", "enum": ["NaN", "Infinity", "-Infinity"]},
    ]});
    let list = |of: &str| json!({"type": "array", "items": {"$ref": of}});
    let types = [
        ("string", json!({"type": "string"})),
        ("bool", json!({"type": "boolean"})),
        ("int", json!({"type": "string", "pattern": "^-?[0-9]+$"})),
        ("double", number),
        ("bytes", json!({"type": "string", "format": "byte"})),
        ("array", list("#/components/schemas/TypedValue")),
        ("map", list("#/components/schemas/Attribute")),
        ("empty", json!({"type": "null"})),
    ];
    let each = types.map(|(name, value)| {
        let mut schema = json!({
            "type": "object",
            "required": ["type", "value"],
            "properties": {"type": {"type": "string", "enum": [name]}, "value": value},
        });
        if let Some(key) = &key {
            schema["required"] = json!(["key", "type", "value"]);
            schema["properties"]["key"] = key.clone();
        }
        schema
    });
    read_schema(json!({"description": description, "oneOf": each}))
}

#[expect(
    clippy::expect_used,
    reason = "what is read is built just above from constants, and every test of the document reads it"
)]
fn read_schema(schema: serde_json::Value) -> RefOr<Schema> {
    serde_json::from_value(schema).expect("a schema")
}

impl PartialSchema for TypedValue<'_> {
    fn schema() -> RefOr<Schema> {
        let description = "A value and its type. Integers are decimal text, bytes base64.";
        schema_of_each_type(description, None)
    }
}

impl ToSchema for TypedValue<'_> {
    fn name() -> Cow<'static, str> {
        "TypedValue".into()
    }
}

impl PartialSchema for Attribute<'_> {
    fn schema() -> RefOr<Schema> {
        let description = "An attribute: its key, the type of its value and the value.";
        schema_of_each_type(description, Some(json!({"type": "string"})))
    }
}

impl ToSchema for Attribute<'_> {
    fn name() -> Cow<'static, str> {
        "Attribute".into()
    }
}
