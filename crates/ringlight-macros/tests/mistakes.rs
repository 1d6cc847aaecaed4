//! What is wrong with an attribute is said, where it is, whether it is on or off.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Line and column, both from one, and what is said.
type Said = (usize, usize, String);

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mistakes/source.rs")
}

/// The library with the macros, which Cargo has built already: it says where it is.
fn library() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", "ringlight-macros"])
        .args(["--message-format", "json"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let messages = text.lines().map(|line| line.parse::<Value>().unwrap());
    let mut artifacts = messages.filter(|message| {
        message["reason"] == "compiler-artifact" && message["target"]["name"] == "ringlight_macros"
    });
    let files = artifacts.next().unwrap();
    PathBuf::from(files["filenames"][0].as_str().unwrap())
}

/// The errors the compiler finds in the source.
fn errors(library: &Path, flags: &[&str]) -> BTreeSet<Said> {
    let folder = tempfile::tempdir().unwrap();
    let mut externally = std::ffi::OsString::from("ringlight_macros=");
    externally.push(library);
    let output = Command::new(Path::new(env!("CARGO")).with_file_name("rustc"))
        .args(["--edition", "2024", "--crate-type", "lib", "--emit"])
        .args(["metadata", "--error-format", "json", "--extern"])
        .arg(externally)
        .arg("--out-dir")
        .arg(folder.path())
        .args(flags)
        .arg(source())
        .output()
        .unwrap();
    assert!(!output.status.success(), "it compiles");
    let text = String::from_utf8(output.stderr).unwrap();
    let messages = text.lines().map(|line| line.parse::<Value>().unwrap());
    // The last one counts the others, and is nowhere.
    let errors = messages.filter(|message| {
        message["level"] == "error" && !message["spans"].as_array().unwrap().is_empty()
    });
    let place = |span: &Value, what: &str| usize::try_from(span[what].as_u64().unwrap()).unwrap();
    errors
        .map(|error| {
            let span = &error["spans"][0];
            let text = error["message"].as_str().unwrap().to_owned();
            (place(span, "line_start"), place(span, "column_start"), text)
        })
        .collect()
}

/// What the source says is wrong with it.
fn expected() -> BTreeSet<Said> {
    let text = std::fs::read_to_string(source()).unwrap();
    let lines = text.lines().enumerate();
    // The comment is on the line after, so that its number is that of the line, counted from one.
    let said = lines.skip(2).filter_map(|(line, text)| {
        let column = text.find('^')?;
        let (_, what) = text.split_once("^ ")?;
        text.trim_start()
            .starts_with("//~")
            .then(|| (line, column + 1, what.to_owned()))
    });
    said.collect()
}

#[test]
fn a_mistake_is_said_where_it_is_whether_the_attribute_is_on_or_off() {
    let expected = expected();
    assert!(expected.len() > 20, "{expected:?}");
    let library = library();
    for flags in [&[][..], &["--cfg", "off"]] {
        let errors = errors(&library, flags);
        let unexpected: Vec<_> = errors.difference(&expected).collect();
        let missing: Vec<_> = expected.difference(&errors).collect();
        assert!(
            unexpected.is_empty() && missing.is_empty(),
            "{flags:?}: said, but not expected: {unexpected:#?}\nexpected, but not said: {missing:#?}"
        );
    }
}
