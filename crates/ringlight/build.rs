//! Tells the crate which compiler it is built by: the version of the runtime that spans come from.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=RUSTC");
    // Cargo says which compiler it is. Without its version nothing is wrong but that it is not known.
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let text = text.unwrap_or_default();
    // `rustc 1.95.0 (59807616e 2026-04-14)`
    let version = text.split_whitespace().nth(1).unwrap_or_default();
    println!("cargo:rustc-env=RINGLIGHT_RUSTC_VERSION={version}");
}
