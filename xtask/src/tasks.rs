//! The tasks, as lists of steps.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::demo::Demo;
use crate::step::{Outcome, Steps, require, succeeds};
use crate::{features, instructions, interop};

/// Everything CI runs.
pub(crate) fn test(keeps_going: bool) -> Outcome {
    prerequisites()?;
    let mut steps = Steps::new()?.keep_going(keeps_going);
    rust(&mut steps)?;
    web(&mut steps)?;
    interop::steps(&mut steps, false)?;
    browser(&mut steps)?;
    steps.finish()
}

/// The Rust part alone.
pub(crate) fn test_rust() -> Outcome {
    valgrind()?;
    for_secrets()?;
    let mut steps = Steps::new()?;
    rust(&mut steps)?;
    steps.finish()
}

/// The web and browser part alone.
pub(crate) fn test_web() -> Outcome {
    prerequisites()?;
    let mut steps = Steps::new()?;
    web(&mut steps)?;
    steps.cargo("build the binary", &["build", "--quiet"])?;
    browser(&mut steps)?;
    steps.finish()
}

/// With the clients and servers of others; with all of them, if asked.
pub(crate) fn interop(all: bool) -> Outcome {
    for_interop()?;
    let mut steps = Steps::new()?;
    steps.cargo("build the binary", &["build", "--quiet"])?;
    interop::steps(&mut steps, all)?;
    steps.finish()
}

/// What recording costs in instructions.
pub(crate) fn instructions(write: bool) -> Outcome {
    valgrind()?;
    instructions::run(&mut Steps::new()?, write)
}

fn valgrind() -> Outcome {
    require("valgrind", "apt-get install valgrind")
}

/// What the tests of secrets want: the tool of age, and what RustyVault is built with.
fn for_secrets() -> Outcome {
    require("age", "apt-get install age")?;
    succeeds(
        Command::new("pkg-config").args(["--exists", "openssl"]),
        "the headers of OpenSSL are needed and were not found\nhint: apt-get install libssl-dev pkg-config",
    )
}

/// The pictures of the documentation.
pub(crate) fn screenshots() -> Outcome {
    prerequisites()?;
    let mut steps = Steps::new()?;
    steps.cargo("build the binary", &["build", "--release", "--quiet"])?;
    let web = steps.root().join("web");
    steps.run(
        "web: packages",
        Command::new("npm")
            .args(["ci", "--no-audit", "--no-fund"])
            .current_dir(&web),
    )?;
    let demo = Demo::start(&steps.target().join("release"))?;
    steps.run(
        "take the screenshots",
        Command::new("npm")
            .args(["run", "screenshots"])
            .current_dir(&web)
            .env("RINGLIGHT_URL", &demo.url)
            .env("RINGLIGHT_CHROMIUM", chromium()),
    )
}

/// What `web/package.json` and its packages ask for.
const NODE_IS_NEW_ENOUGH: &str = "const [major, minor] = process.versions.node.split('.').map(Number); \
     process.exit(major >= 24 || (major === 22 && minor >= 13) || (major === 20 && minor >= 19) ? 0 : 1)";

fn prerequisites() -> Outcome {
    for_interop()?;
    valgrind()?;
    for_secrets()
}

/// What runs the SDKs and servers of others.
fn for_interop() -> Outcome {
    require(
        "node",
        "install Node.js 20.19, 22.13, or 24 and later, with npm",
    )?;
    succeeds(
        Command::new("node").args(["-e", NODE_IS_NEW_ENOUGH]),
        "`node` is too old for the tools of `web/`\n\
         hint: install Node.js 20.19, 22.13, or 24 and later",
    )?;
    require("npm", "install npm, which comes with Node.js")?;
    require(&chromium().to_string_lossy(), "apt-get install chromium")?;
    require("/usr/bin/prometheus", "apt-get install prometheus")?;
    require("python3", "apt-get install python3 python3-venv")?;
    succeeds(
        Command::new("python3").args(["-c", "import venv, ensurepip"]),
        "Python's `venv` is needed and was not found\nhint: apt-get install python3-venv",
    )
}

pub(crate) fn chromium() -> PathBuf {
    std::env::var_os("RINGLIGHT_CHROMIUM").map_or_else(|| "chromium".into(), PathBuf::from)
}

fn rust(steps: &mut Steps) -> Outcome {
    steps.cargo("format", &["fmt", "--all", "--check"])?;
    steps.cargo(
        "lints",
        &[
            "clippy",
            "--quiet",
            "--workspace",
            "--all-targets",
            "--",
            "--deny",
            "warnings",
        ],
    )?;
    features::steps(steps)?;
    dependencies(steps)?;
    // On their own and not quietly, since the first time that takes minutes.
    steps.cargo("build the tests", &["test", "--workspace", "--no-run"])?;
    steps.cargo(
        "tests",
        &["test", "--quiet", "--workspace", "--no-fail-fast"],
    )?;
    documentation(steps)?;
    models(steps)?;
    soak_for(steps, &["--seconds", "25"])?;
    instructions::run(steps, false)?;
    console(steps)?;
    benchmark(steps)
}

/// Of everything, and of the facade alone: beside the others it has features that not every service enables, so that what is
/// linked there may not be in another's documentation.
fn documentation(steps: &mut Steps) -> Outcome {
    let facade = ["--package", "ringlight"];
    for (title, package) in [
        ("documentation", &["--workspace"][..]),
        ("documentation of the facade", &facade),
        (
            "documentation of the facade without features",
            &[&facade[..], &["--no-default-features"]].concat(),
        ),
    ] {
        steps.run(
            title,
            Command::new(env!("CARGO"))
                .args(["doc", "--quiet", "--no-deps"])
                .args(package)
                .env("RUSTDOCFLAGS", "--deny warnings"),
        )?;
    }
    Ok(())
}

/// Random work against a backend that fails at random, for as long as the arguments say.
pub(crate) fn soak(args: impl Iterator<Item = String>) -> Outcome {
    let args: Vec<String> = args.collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    soak_for(&mut Steps::new()?, &args)
}

fn soak_for(steps: &mut Steps, args: &[&str]) -> Outcome {
    let build = ["build", "--quiet", "--package", "ringlight-soak"];
    steps.cargo("soak: build", &build)?;
    let program = steps.target().join("debug/ringlight-soak");
    // On stderr it says each time that the backend fails, which is what the backend is for.
    let mut command = Command::new(program);
    steps.run("soak", command.args(args).stderr(Stdio::null()))
}

/// Lock-free code as the model checker sees it, which is other code than every other build has.
fn models(steps: &mut Steps) -> Outcome {
    let target = steps.target().join("loom");
    let mut cargo = |title: &str, task: &str, rest: &[&str]| {
        steps.run(
            title,
            Command::new(env!("CARGO"))
                .args([task, "--quiet", "--release"])
                .arg("--target-dir")
                .arg(&target)
                .args(rest)
                .env("RUSTFLAGS", "--cfg ringlight_loom"),
        )
    };
    let ring = ["--package", "ringlight-ring"];
    let lint = ["--lib", "--test", "loom", "--", "--deny", "warnings"];
    cargo(
        "lints of the ring's model",
        "clippy",
        &[&ring[..], &lint].concat(),
    )?;
    let test = [&ring[..], &["--test", "loom"]].concat();
    cargo("model checks of the ring", "test", &test)?;
    let clock = ["--package", "ringlight-clock", "--lib", "anchor"];
    cargo("model check of the clock", "test", &clock)?;
    let threads = [
        "--package",
        "ringlight-context",
        "--lib",
        "published::model",
    ];
    cargo("model checks of published threads", "test", &threads)?;
    let spans_and_channels = [
        "--package",
        "ringlight",
        "--no-default-features",
        "--features",
        "profiling-alloc",
        "--lib",
        "--",
        "slab::model",
        "twins::model",
        "channel::model",
    ];
    cargo(
        "model checks of open spans and channels",
        "test",
        &spans_and_channels,
    )
}

/// Beside the console, which exists only where tokio is built to have spans for its tasks.
fn console(steps: &mut Steps) -> Outcome {
    let target = steps.target().join("tokio-unstable");
    let mut cargo = |title: &str, args: &[&str]| {
        steps.run(
            title,
            Command::new(env!("CARGO"))
                .args(args)
                .arg("--target-dir")
                .arg(&target)
                .env("RUSTFLAGS", "--cfg tokio_unstable --deny warnings"),
        )
    };
    let names = ["--test", "console", "--test", "console_protocol"];
    let test = [&["--package", "ringlight-compat"], &names[..]].concat();
    let title = "build the tests beside the console";
    cargo(title, &[&["test"], &test[..], &["--no-run"]].concat())?;
    let title = "beside the console";
    cargo(title, &[&["test", "--quiet"], &test[..]].concat())?;
    // Which thread a worker runs on is told there, and not found out.
    let package = [
        "--package",
        "ringlight",
        "--features",
        "profiling,tokio-console",
    ];
    // Arguments of cargo alone, which others follow.
    let unit = ["--lib", "builder::console"];
    for (title, names) in [
        (
            "runtimes with what tokio tells of them",
            &["--test", "watched_runtimes", "--test", "runtime_counts"][..],
        ),
        ("the console's place", &unit),
    ] {
        cargo(title, &[&["test", "--quiet"], &package[..], names].concat())?;
    }
    Ok(())
}

/// The benchmark, which is a workspace of its own: it must compile and its own tests pass, so that
/// figures can be had at any commit. Nothing is measured here.
fn benchmark(steps: &mut Steps) -> Outcome {
    let target = steps.target().join("bench-compare");
    let mut cargo = |title: &str, args: &[&str], rest: &[&str]| {
        steps.run(
            title,
            Command::new(env!("CARGO"))
                .args(args)
                .args(["--manifest-path", "bench-compare/Cargo.toml"])
                .args(rest)
                .env("CARGO_TARGET_DIR", &target),
        )
    };
    cargo("bench-compare: format", &["fmt", "--all"], &["--check"])?;
    // Every line of the applications that the bench builds in several ways, in one of them.
    cargo(
        "bench-compare: lints",
        &["clippy", "--quiet", "--workspace", "--all-targets"],
        &[
            "--features",
            "bench-features/profiling-alloc,bench-features/chrome",
            "--",
            "--deny",
            "warnings",
        ],
    )?;
    // The applications have no tests.
    cargo(
        "bench-compare: tests",
        &["test", "--quiet", "--workspace"],
        &["--exclude", "bench-features"],
    )
}

/// Licences, bans and sources of everything in the lock file, by `cargo-deny`, which is built in
/// the target folder on a machine that lacks it.
fn dependencies(steps: &mut Steps) -> Outcome {
    let tools = steps.target().join("tools");
    let mut program = PathBuf::from("cargo-deny");
    if require("cargo-deny", "").is_err() {
        program = tools.join("bin/cargo-deny");
    }
    if require(&program.to_string_lossy(), "").is_err() {
        steps.run(
            "build cargo-deny",
            Command::new(env!("CARGO"))
                .args([
                    "install",
                    "--quiet",
                    "--locked",
                    "--debug",
                    "cargo-deny@0.20.2",
                    "--root",
                ])
                .arg(&tools),
        )?;
    }
    steps.run(
        "dependencies",
        Command::new(program).args(["check", "bans", "licenses", "sources"]),
    )
}

fn web(steps: &mut Steps) -> Outcome {
    let web = steps.root().join("web");
    let mut npm = |title: &str, args: &[&str]| {
        steps.run(title, Command::new("npm").args(args).current_dir(&web))
    };
    npm("web: packages", &["ci", "--no-audit", "--no-fund"])?;
    npm("web: types", &["run", "check"])?;
    npm("web: lint", &["run", "lint"])?;
    npm("web: unit tests", &["test"])
}

fn browser(steps: &mut Steps) -> Outcome {
    let web = steps.root().join("web");
    let demo = Demo::start(&steps.target().join("debug"))?;
    steps.run(
        "browser tests against a running demo",
        Command::new("npm")
            .args(["run", "e2e"])
            .current_dir(&web)
            .env("RINGLIGHT_URL", &demo.url)
            .env("RINGLIGHT_CHROMIUM", chromium()),
    )
}
