//! Builds of programs that are measured, as their users make them.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// Builds with the profile `release`, and says where cargo put the binary of this name.
pub(crate) fn build_release(manifest: &Path, arguments: &[&str], name: &str) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--release"])
        .args(arguments)
        .args(["--message-format", "json-render-diagnostics"])
        .arg("--manifest-path")
        .arg(manifest)
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        bail!("`{name}` does not build");
    }
    binary(&output.stdout, name).with_context(|| format!("cargo names no binary `{name}`"))
}

/// The binary that cargo's messages name.
fn binary(messages: &[u8], name: &str) -> Option<PathBuf> {
    let messages = messages.split(|byte| *byte == b'\n');
    messages
        .filter_map(|line| serde_json::from_slice::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == name)
        .find_map(|message| Some(message["executable"].as_str()?.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_the_one_cargo_names() {
        let messages =
            br#"{"reason":"compiler-artifact","target":{"name":"ringlight"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"other"},"executable":"/x/other"}
{"reason":"compiler-artifact","target":{"name":"ringlight"},"executable":"/x/ringlight"}
{"reason":"build-finished","success":true}
"#;
        assert_eq!(
            binary(messages, "ringlight"),
            Some(PathBuf::from("/x/ringlight"))
        );
        assert_eq!(binary(b"not json", "ringlight"), None);
    }
}
