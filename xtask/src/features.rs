//! Features that the workspace as a whole does not have, or always has: without them, with each alone, with all.

use std::process::Command;

use crate::step::{Outcome, Steps, require};

/// Features of the facade that must compile by themselves, tests too where they differ by the feature.
const ALONE: &[(&str, &str)] = &[
    ("", "--all-targets"),
    ("otel", "--all-targets"),
    ("fmt", "--all-targets"),
    ("otel,profiling", "--lib"),
    ("profiling", "--lib"),
    ("clap", "--lib"),
    ("zstd", "--lib"),
    ("b3", "--lib"),
    ("jaeger", "--lib"),
    ("profiling-alloc", "--all-targets"),
    ("tokio-console", "--lib"),
    ("age", "--lib"),
    ("vault", "--lib"),
    ("otel-config", "--lib"),
    ("prometheus", "--lib"),
];

/// Features that programs hand on to the facade.
const OF_PROGRAMS: &[(&str, &str)] = &[
    ("ringlight-cli", "age"),
    ("ringlight-cli", "vault"),
    ("ringlight-app-agent", "tokio-console"),
    ("ringlight-app-streaming", "tokio-console"),
];

/// Test programs of the facade with features that nothing in the workspace asks for.
const WITH_ALL: &[&str] = &[
    "allocations_otel",
    "allocations_per_span",
    "allocations_traced",
    "prometheus",
    "secrets",
    "watched_runtimes",
];

/// Lints and tests of packages with other features than the workspace has.
pub(crate) fn steps(steps: &mut Steps) -> Outcome {
    facade_with_each_alone(steps)?;
    programs(steps)?;
    without_what_others_bring(steps)?;
    facade_with_all(steps)?;
    secrets(steps)
}

fn facade_with_each_alone(steps: &mut Steps) -> Outcome {
    for (features, targets) in ALONE {
        let title = match *features {
            "" => "facade without features".to_owned(),
            feature => format!("facade with feature `{feature}` only"),
        };
        let with = ["--no-default-features", "--features", features, targets];
        lints(steps, &title, "ringlight", &with)?;
    }
    Ok(())
}

fn programs(steps: &mut Steps) -> Outcome {
    for (package, feature) in OF_PROGRAMS {
        let title = format!("{package} with feature `{feature}`");
        lints(steps, &title, package, &["--features", feature])?;
    }
    Ok(())
}

/// By themselves, since others in the workspace bring these features along.
fn without_what_others_bring(steps: &mut Steps) -> Outcome {
    // The facade brings TLS, and the command zstd: that nothing goes out in the clear instead.
    let title = "tests of the exporters without TLS and zstd";
    tests(steps, title, "ringlight-export", &[])?;
    let title = "tests of the facade's settings without zstd and the specification's file";
    tests(steps, title, "ringlight", &["--lib", "config::"])?;
    let with = |features| ["--no-default-features", "--features", features];
    let title = "tests of the facade without OTLP";
    let args = [&with("fmt")[..], &["--lib", "builder::outputs"]].concat();
    tests(steps, title, "ringlight", &args)?;
    // The workspace's own applications ask for `profiling`.
    for features in ["", "otel"] {
        let title = format!("tests of channels that are tokio's, with features `{features}`");
        let args = [&with(features)[..], &["--test", "channel_api"]].concat();
        tests(steps, &title, "ringlight", &args)?;
    }
    Ok(())
}

fn facade_with_all(steps: &mut Steps) -> Outcome {
    let mut args = vec!["--all-features", "--lib"];
    args.extend(WITH_ALL.iter().flat_map(|name| ["--test", name]));
    let title = "tests of the facade with all features";
    tests(steps, title, "ringlight", &args)?;
    let title = "guide of the facade with all features";
    tests(steps, title, "ringlight", &["--all-features", "--doc"])
}

/// Where secrets come from: all sources, and beside a server with Vault's protocol that somebody else wrote,
/// which is built in the target folder.
fn secrets(steps: &mut Steps) -> Outcome {
    let package = [
        "--quiet",
        "--package",
        "ringlight-secrets",
        "--all-features",
    ];
    let lint = [
        "--all-targets",
        "--test",
        "rusty_vault",
        "--",
        "--deny",
        "warnings",
    ];
    let title = "lints of secrets with all features";
    steps.cargo(title, &[&["clippy"], &package[..], &lint].concat())?;
    let title = "tests of secrets with all features";
    steps.cargo(title, &[&["test"], &package[..]].concat())?;
    let tools = steps.target().join("tools");
    let server = tools.join("bin/rvault");
    if require(&server.to_string_lossy(), "").is_err() {
        let install = [
            "install",
            "--quiet",
            "--locked",
            "--debug",
            "rusty_vault@0.2.1",
            "--root",
        ];
        steps.run(
            "build RustyVault",
            Command::new(env!("CARGO")).args(install).arg(&tools),
        )?;
    }
    steps.run(
        "secrets of RustyVault",
        Command::new(env!("CARGO"))
            .args([&["test"], &package[..], &["--test", "rusty_vault"]].concat())
            .env("RINGLIGHT_TEST_RVAULT", server),
    )
}

fn lints(steps: &mut Steps, title: &str, package: &str, args: &[&str]) -> Outcome {
    let command = ["clippy", "--quiet", "--package", package];
    let rest = ["--", "--deny", "warnings"];
    steps.cargo(title, &[&command[..], args, &rest].concat())
}

fn tests(steps: &mut Steps, title: &str, package: &str, args: &[&str]) -> Outcome {
    let command = ["test", "--quiet", "--package", package];
    steps.cargo(title, &[&command[..], args].concat())
}
