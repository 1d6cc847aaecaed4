//! Errors in one line.

use std::error::Error;

/// An error and what caused it, in one line: `cannot open: the disk is full`.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
