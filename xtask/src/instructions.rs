//! What recording costs in instructions, as `callgrind` counts them, beside what it cost when that
//! was written down.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::step::{Outcome, Steps};

/// The shapes of `ringlight-instructions`, and what is counted of each.
const SHAPES: [(&str, &str); 10] = [
    ("flat", "span"),
    ("flat3", "span"),
    ("tree3", "span"),
    ("tree3-unsampled", "span"),
    ("tree3-beside", "span"),
    ("tree3-beside-wanted", "span"),
    ("tree3-otel", "span"),
    ("event", "event"),
    ("event-line", "event"),
    ("native3", "span"),
];

/// Records of the two runs whose difference counts; whole trees of eleven spans.
const FEW: u64 = 550;
const MANY: u64 = 1650;

/// How much more or less than written down passes, as a part of it.
const TOLERANCE: f64 = 0.05;

/// Builds the program, counts every shape, and compares; or writes down what was counted.
pub(crate) fn run(steps: &mut Steps, write: bool) -> Outcome {
    let path = steps.root().join("docs/benchmarks/instructions.json");
    let compiler = if write {
        version(None)?
    } else {
        compiler_to_compare_with(&written(&path)?, version)?
    };
    build(steps, &compiler)?;
    let program = steps.target().join("service/ringlight-instructions");
    println!("\n==> instructions of recording");
    let mut counted = BTreeMap::new();
    for (shape, unit) in SHAPES {
        let many = count(&program, shape, MANY)?;
        let few = count(&program, shape, FEW)?;
        let each = many.saturating_sub(few) as f64 / (MANY - FEW) as f64;
        println!("{shape:<20} {each:>7.1} a {unit}");
        counted.insert(shape, (each * 10.0).round() / 10.0);
    }
    if write {
        return keep(&path, &compiler.version, &counted);
    }
    compare(&written(&path)?, &counted)
}

/// A compiler, and what rustup calls it if it is not the one in use.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Compiler {
    version: String,
    toolchain: Option<String>,
}

/// Counts differ between compilers, so it has to be the one they were written down with: the one in use
/// or another that rustup has.
fn compiler_to_compare_with(
    written: &Value,
    version: impl Fn(Option<&str>) -> Result<Compiler, String>,
) -> Result<Compiler, String> {
    let wanted = written["rustc"].as_str().unwrap_or_default();
    let used = version(None)?;
    if used.version == wanted {
        return Ok(used);
    }
    match version(Some(wanted)) {
        Ok(other) if other.version == wanted => Ok(other),
        _ => Err(format!(
            "instructions cannot be compared: they were counted with rustc {wanted}, this is {}\n\
             hint: `rustup toolchain install --profile minimal {wanted}`; or go over to this compiler \
             with `cargo xtask instructions --write`",
            used.version
        )),
    }
}

/// The version of the compiler in use, or of the one that rustup calls so.
fn version(toolchain: Option<&str>) -> Result<Compiler, String> {
    let output = Command::new("rustc")
        .args(toolchain.map(|toolchain| format!("+{toolchain}")))
        .arg("--version")
        .output()
        .map_err(|e| format!("`rustc` does not start: {e}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let version = said.split_whitespace().nth(1);
    Ok(Compiler {
        version: version.unwrap_or("unknown").to_owned(),
        toolchain: toolchain.map(str::to_owned),
    })
}

fn build(steps: &mut Steps, compiler: &Compiler) -> Outcome {
    let arguments = [
        "build",
        "--quiet",
        "--profile",
        "service",
        "--package",
        "ringlight-instructions",
    ];
    let title = "instructions: build";
    match &compiler.toolchain {
        None => steps.cargo(title, &arguments),
        Some(toolchain) => steps.run(
            title,
            Command::new("cargo")
                .arg(format!("+{toolchain}"))
                .args(arguments),
        ),
    }
}

/// Instructions that a run spends in the function that records.
fn count(program: &Path, shape: &str, records: u64) -> Result<u64, String> {
    let out = PathBuf::from("/dev/null");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=*::measured"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .args([shape, &records.to_string()])
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("`valgrind` does not start: {e}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| {
        let (_, count) = line.split_once("Collected :")?;
        count.trim().parse().ok()
    });
    match collected {
        Some(count) if output.status.success() && count > 0 => Ok(count),
        _ => Err(format!("`{shape}` was not counted: {said}")),
    }
}

fn keep(path: &Path, compiler: &str, counted: &BTreeMap<&str, f64>) -> Outcome {
    let written = json!({ "rustc": compiler, "instructions": counted });
    let text = format!("{written:#}\n");
    std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}

/// What was counted before.
fn written(path: &Path) -> Result<Value, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
}

fn compare(written: &Value, counted: &BTreeMap<&str, f64>) -> Outcome {
    let mut complaints = Vec::new();
    for (shape, now) in counted {
        let before = written["instructions"][shape].as_f64().unwrap_or(0.0);
        if (now - before).abs() > before * TOLERANCE {
            complaints.push(format!(
                "`{shape}` takes {now} instructions instead of {before}"
            ));
        }
    }
    if complaints.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{}\nhint: if that is meant, `cargo xtask instructions --write`, and say why in the commit",
        complaints.join("; ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With the compiler in use, and those that rustup has, the version to compare with.
    fn chosen(used: &str, others: &[&str]) -> Result<Compiler, String> {
        let written = json!({ "rustc": "1.95.0" });
        compiler_to_compare_with(&written, |toolchain| {
            let found = match toolchain {
                None => Some(used),
                Some(wanted) => others.iter().copied().find(|other| *other == wanted),
            };
            Ok(Compiler {
                version: found.unwrap_or("unknown").to_owned(),
                toolchain: toolchain.map(str::to_owned),
            })
        })
    }

    #[test]
    fn counts_of_another_compiler_are_never_let_through() {
        let toolchain = |used, others: &[&str]| chosen(used, others).map(|found| found.toolchain);
        assert_eq!(toolchain("1.95.0", &[]), Ok(None));
        let other = Ok(Some("1.95.0".to_owned()));
        assert_eq!(toolchain("1.96.0", &["1.90.0", "1.95.0"]), other);
        let error = toolchain("1.96.0", &["1.90.0"]).unwrap_err();
        assert!(error.contains("rustc 1.95.0, this is 1.96.0"), "{error}");
        assert!(error.contains("rustup toolchain install"), "{error}");
    }

    #[test]
    fn a_shape_that_was_not_written_down_is_a_complaint() {
        let written = json!({ "instructions": { "flat": 100.0 } });
        let compared = |shape, now| compare(&written, &BTreeMap::from([(shape, now)]));
        assert_eq!(compared("flat", 104.9), Ok(()));
        assert!(compared("flat", 106.0).is_err());
        assert!(compared("flat", 94.0).is_err());
        assert!(compared("tree", 1.0).is_err());
    }
}
