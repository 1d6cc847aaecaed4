//! What this process says about itself.

use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use ringlight_model::{KeyValue, Value};

use super::environment::Reader;

/// The attributes of the resource. Of several values for a key the first source wins: code,
/// `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, what is found out here.
pub(super) fn attributes(
    reader: &mut Reader<'_>,
    service_name: Option<String>,
    from_code: Vec<KeyValue<'static>>,
) -> Vec<KeyValue<'static>> {
    let mut attributes: Vec<KeyValue<'static>> = Vec::new();
    let mut add = |attribute: KeyValue<'static>| {
        if attributes.iter().all(|known| known.key != attribute.key) {
            attributes.push(attribute);
        }
    };
    let text = |key: &'static str, value: String| KeyValue::new(key, value);
    let executable = executable();

    if let Some(name) = service_name {
        add(text("service.name", name));
    }
    from_code.into_iter().for_each(&mut add);
    if let Some(name) = reader.text("OTEL_SERVICE_NAME") {
        add(text("service.name", name));
    }
    for (key, value) in reader.pairs("OTEL_RESOURCE_ATTRIBUTES") {
        add(KeyValue::new(key, value));
    }
    let unknown = match &executable {
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
    add(KeyValue::new(
        "process.pid",
        Value::Int(std::process::id().into()),
    ));
    if let Some(executable) = executable {
        add(text("process.executable.name", executable));
    }
    if let Some(host) = host_name() {
        add(text("host.name", host));
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

fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_its_version_and_variant() {
        let id = random_uuid();
        let groups: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(groups, [8, 4, 4, 4, 12]);
        assert_eq!(id.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&id.as_bytes()[19]), "{id}");
        assert_ne!(id, random_uuid());
    }
}
