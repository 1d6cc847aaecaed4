//! What this process says about itself.

mod container;
mod detectors;
mod files;
mod kubernetes;

#[cfg(test)]
mod tests;

use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use ringlight_model::{KeyValue, Value};

use super::environment::Reader;
pub use detectors::ResourceDetector;
use detectors::System;
use files::Files;

/// What the code says of the resource.
#[derive(Debug, Default)]
pub(crate) struct ResourceInputs {
    pub(crate) service_name: Option<String>,
    pub(crate) attributes: Vec<KeyValue<'static>>,
    pub(crate) detectors: Option<Vec<ResourceDetector>>,
}

/// Completes what the code has put into the pipeline, which comes behind what the inputs have.
pub(super) fn complete(
    reader: &mut Reader<'_>,
    mut inputs: ResourceInputs,
    in_pipeline: &mut Vec<KeyValue<'static>>,
) {
    inputs.attributes.append(in_pipeline);
    *in_pipeline = attributes(reader, inputs);
}

/// The attributes of the resource. Of several values for a key the first source wins: code,
/// `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, the file, what is found out here.
fn attributes(reader: &mut Reader<'_>, inputs: ResourceInputs) -> Vec<KeyValue<'static>> {
    attributes_below(Path::new("/"), reader, inputs)
}

/// The same, with files below a folder.
fn attributes_below(
    root: &Path,
    reader: &mut Reader<'_>,
    inputs: ResourceInputs,
) -> Vec<KeyValue<'static>> {
    let mut attributes: Vec<KeyValue<'static>> = Vec::new();
    let mut add = |attribute: KeyValue<'static>| {
        if attributes.iter().all(|known| known.key != attribute.key) {
            attributes.push(attribute);
        }
    };
    let text = |key: &'static str, value: String| KeyValue::new(key, value);

    if let Some(name) = inputs.service_name {
        add(text("service.name", name));
    }
    inputs.attributes.into_iter().for_each(&mut add);
    let name = reader.variable("OTEL_SERVICE_NAME");
    if let Some(name) = name {
        add(text("service.name", name));
    }
    let declared = reader.declared().into_iter();
    for (key, value, _) in declared.flat_map(|file| file.attributes()) {
        add(KeyValue::new(key.to_owned(), value.clone()));
    }
    for (key, value) in reader.pairs("OTEL_RESOURCE_ATTRIBUTES") {
        add(KeyValue::new(key, value));
    }
    if let Some((name, _)) = reader.in_file("service_name") {
        add(text("service.name", name));
    }
    for (key, value) in reader.file_attributes() {
        add(KeyValue::new(key, value));
    }
    let unknown = match executable() {
        Some(executable) => format!("unknown_service:{executable}"),
        None => "unknown_service".to_owned(),
    };
    add(text("service.name", unknown));
    add(text("service.instance.id", random_uuid()));
    add(text("telemetry.sdk.name", "ringlight".to_owned()));
    add(text("telemetry.sdk.language", "rust".to_owned()));
    add(text(
        "telemetry.sdk.version",
        env!("CARGO_PKG_VERSION").to_owned(),
    ));
    let by_variable = detectors::wanted(reader);
    let system = System {
        files: Files::below(root),
        variables: reader,
    };
    for detector in inputs.detectors.unwrap_or(by_variable) {
        detector.detect(&system, &mut |key, value: Value<'static>| {
            add(KeyValue::new(key, value));
        });
    }
    attributes
}

fn executable() -> Option<String> {
    let path = std::env::current_exe().ok();
    let first = std::env::args_os().next();
    let name = |path: &Path| Some(path.file_name()?.to_string_lossy().into_owned());
    path.as_deref()
        .and_then(name)
        .or_else(|| first.as_ref().and_then(|first| name(Path::new(first))))
}

/// A random UUID (version 4, RFC 9562).
fn random_uuid() -> String {
    // The keys of a `RandomState` are the operating system's randomness.
    let (high, low) = (
        RandomState::new().hash_one(1),
        RandomState::new().hash_one(2),
    );
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48 & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff
    )
}
