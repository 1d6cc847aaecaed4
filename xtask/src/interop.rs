//! With what others wrote: stock SDKs against the built binary. All of it comes from package registries, in versions
//! that are pinned, and is kept below the target folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step::{Outcome, Steps};

/// All of it.
pub(crate) fn steps(steps: &mut Steps) -> Outcome {
    python_sdk(steps)?;
    node_sdk(steps)
}

fn python_sdk(steps: &mut Steps) -> Outcome {
    let folder = steps.root().join("crates/ringlight-cli/tests/python_sdk");
    let requirements = folder.join("requirements.txt");
    let python = python(steps, "python-sdk", &requirements)?.join("python");
    let binary = steps.target().join("debug/ringlight");
    steps.run(
        "python: stock OpenTelemetry SDK",
        Command::new(python)
            .arg("test_sdk.py")
            .current_dir(&folder)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("RINGLIGHT_BIN", binary),
    )
}

fn node_sdk(steps: &mut Steps) -> Outcome {
    let folder = steps.root().join("crates/ringlight-cli/tests/node_sdk");
    steps.run(
        "node: packages",
        Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
            .current_dir(&folder),
    )?;
    let binary = steps.target().join("debug/ringlight");
    steps.run(
        "node: stock OpenTelemetry SDK",
        Command::new("node")
            .args(["--test", "--test-reporter=tap", "test.mjs"])
            .current_dir(&folder)
            .env("RINGLIGHT_BIN", binary),
    )
}

/// A Python environment of its own with what a file asks for, and the folder of its programs.
fn python(steps: &mut Steps, name: &str, requirements: &Path) -> Result<PathBuf, String> {
    let environment = steps.target().join(name);
    let programs = environment.join("bin");
    let python = programs.join("python");
    if !python.exists() {
        steps.run(
            &format!("{name}: environment"),
            Command::new("python3")
                .args(["-m", "venv"])
                .arg(&environment),
        )?;
    }
    steps.run(
        &format!("{name}: packages"),
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--only-binary", ":all:"])
            .arg("--requirement")
            .arg(requirements),
    )?;
    Ok(programs)
}
