//! The code that shares memory, under the thread sanitizer. It takes a nightly compiler, and builds the
//! standard library anew so that it is watched as well.

use std::process::{Command, Stdio};

use crate::step::{Outcome, Steps};

/// What is run: packages and, of each, the targets. Loom's models and whatever starts processes of its own
/// are left out.
const WATCHED: [(&str, &[&str]); 4] = [
    ("ringlight-clock", &["--lib"]),
    (
        "ringlight-ring",
        &["--lib", "--test", "channel", "--test", "queue_model"],
    ),
    (
        "ringlight-collector",
        &["--lib", "--test", "pipeline", "--test", "spans"],
    ),
    ("ringlight", &["--lib"]),
];

const HINT: &str = "hint: rustup toolchain install nightly --component rust-src";

pub(crate) fn run() -> Outcome {
    let target = host()?;
    let mut steps = Steps::new()?;
    let folder = steps.target().join("thread-sanitizer");
    for (package, targets) in WATCHED {
        steps.run(
            &format!("thread sanitizer: {package}"),
            Command::new("cargo")
                .args([
                    "+nightly",
                    "test",
                    "--quiet",
                    "-Zbuild-std",
                    "--target",
                    &target,
                ])
                .args(["--package", package])
                .args(targets)
                .env("CARGO_TARGET_DIR", &folder)
                .env(
                    "RUSTFLAGS",
                    "-Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer",
                ),
        )?;
    }
    steps.finish()
}

/// The machine's own target, asked of the compiler that is needed.
fn host() -> Result<String, String> {
    let output = Command::new("rustc")
        .args(["+nightly", "--version", "--verbose"])
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("`rustc` does not start: {e}\n{HINT}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned)
        .ok_or_else(|| format!("there is no nightly compiler\n{HINT}"))
}
