//! What Ringlight itself has to say to a person: single lines on stderr, never through `tracing`.

use std::fmt;
use std::io::Write as _;

/// Says it. A closed stderr is nobody's problem.
#[expect(
    clippy::print_stderr,
    reason = "what is printed so belongs to its test"
)]
pub(crate) fn say(message: fmt::Arguments<'_>) {
    let line = format!("ringlight: {message}\n");
    if cfg!(test) {
        // Kept by the test that is running, and shown only if that fails.
        eprint!("{line}");
    } else {
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}
