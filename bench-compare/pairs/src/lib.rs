//! What costs so little that only turns in one process show it: channels that are counted beside tokio's own, and an
//! allocator that counts beside the same that does not.
//!
//! Its programs print what each way took in each round, and must not know what becomes of that.

pub mod allocations;

use std::io::Write as _;

/// Prints what was found, on one line.
///
/// # Errors
/// Nobody reads standard output.
pub fn print_line(found: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut line = serde_json::to_string(found)?;
    line.push('\n');
    Ok(std::io::stdout().lock().write_all(line.as_bytes())?)
}
