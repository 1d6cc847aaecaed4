//! What recording costs in instructions, as `callgrind` counts them, beside what it cost when that
//! was written down.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::step::{Outcome, Steps};

/// The shapes of `ringlight-instructions`, and what is counted of each.
const SHAPES: [(&str, &str); 6] = [
    ("flat", "span"),
    ("flat3", "span"),
    ("tree3", "span"),
    ("tree3-unsampled", "span"),
    ("event", "event"),
    ("native3", "span"),
];

/// Records of the two runs whose difference counts; whole trees of eleven spans.
const FEW: u64 = 550;
const MANY: u64 = 1650;

/// How much more or less than written down passes, as a part of it.
const TOLERANCE: f64 = 0.05;

/// Builds the program, counts every shape, and compares; or writes down what was counted.
pub(crate) fn run(steps: &mut Steps, write: bool) -> Outcome {
    steps.cargo(
        "instructions: build",
        &[
            "build",
            "--quiet",
            "--profile",
            "service",
            "--package",
            "ringlight-instructions",
        ],
    )?;
    let program = steps.target().join("service/ringlight-instructions");
    println!("\n==> instructions of recording");
    let mut counted = BTreeMap::new();
    for (shape, unit) in SHAPES {
        let many = count(&program, shape, MANY)?;
        let few = count(&program, shape, FEW)?;
        let each = many.saturating_sub(few) as f64 / (MANY - FEW) as f64;
        println!("{shape:<16} {each:>7.1} a {unit}");
        counted.insert(shape, (each * 10.0).round() / 10.0);
    }
    let path = steps.root().join("docs/benchmarks/instructions.json");
    let compiler = compiler()?;
    if write {
        return keep(&path, &compiler, &counted);
    }
    compare(&path, &compiler, &counted)
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

fn compiler() -> Result<String, String> {
    let output = Command::new("rustc")
        .arg("--version")
        .output()
        .map_err(|e| format!("`rustc` does not start: {e}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let version = said.split_whitespace().nth(1);
    Ok(version.unwrap_or("unknown").to_owned())
}

fn keep(path: &Path, compiler: &str, counted: &BTreeMap<&str, f64>) -> Outcome {
    let written = json!({ "rustc": compiler, "instructions": counted });
    let text = format!("{written:#}\n");
    std::fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
}

/// Counts differ between compilers, so those of another one are shown and no more.
fn compare(path: &Path, compiler: &str, counted: &BTreeMap<&str, f64>) -> Outcome {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    let written: Value =
        serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
    let kept = written["rustc"].as_str().unwrap_or_default();
    if kept != compiler {
        println!("not compared: written down with rustc {kept}, this is {compiler}");
        return Ok(());
    }
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
