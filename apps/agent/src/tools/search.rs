//! Searching the code.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use tracing::Span;

use super::{Sandbox, ToolError};

/// Files looked at in one search.
const FILES_MAX: usize = 2_000;

/// Lines reported by one search.
const MATCHES_MAX: usize = 20;

/// The largest file looked at, in bytes.
const FILE_BYTES_MAX: u64 = 256 * 1024;

#[derive(Debug, Deserialize)]
pub(super) struct Arguments {
    text: String,
}

#[derive(Debug, Default)]
struct Found {
    files: usize,
    matches: usize,
    lines: String,
}

#[ringlight::instrument(
    name = "tool.search_code",
    skip_all,
    fields(search.text = arguments.text, search.files, search.matches)
)]
pub(super) async fn run(sandbox: Arc<Sandbox>, arguments: Arguments) -> Result<String, ToolError> {
    let found = tokio::task::spawn_blocking(move || search(sandbox.root(), &arguments.text))
        .await
        .map_err(|_| ToolError::Unfinished)?;
    let span = Span::current();
    span.record("search.files", found.files);
    span.record("search.matches", found.matches);
    if found.matches == 0 {
        return Ok("nothing found".to_owned());
    }
    Ok(found.lines)
}

/// Looks through all files below `root`, directories in the order of their names. What cannot be
/// read is passed over, as a search does.
fn search(root: &Path, text: &str) -> Found {
    let mut found = Found::default();
    let mut waiting = vec![root.to_path_buf()];
    while let Some(place) = waiting.pop() {
        if found.files >= FILES_MAX || found.matches >= MATCHES_MAX {
            break;
        }
        // Symbolic links are not followed: they could lead out, or round in a circle.
        let Ok(metadata) = place.symlink_metadata() else {
            continue;
        };
        if metadata.is_dir() {
            waiting.extend(sorted_entries(&place).into_iter().rev());
        } else if metadata.is_file() && metadata.len() <= FILE_BYTES_MAX {
            found.files += 1;
            search_file(root, &place, text, &mut found);
        }
    }
    found
}

fn sorted_entries(directory: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(directory)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    entries.sort();
    entries
}

fn search_file(root: &Path, place: &Path, text: &str, found: &mut Found) {
    let Ok(content) = std::fs::read_to_string(place) else {
        return;
    };
    let name = place.strip_prefix(root).unwrap_or(place).display();
    for (number, line) in content.lines().enumerate() {
        if found.matches >= MATCHES_MAX {
            return;
        }
        if line.contains(text) {
            found.matches += 1;
            // Writing to a string does not fail.
            let _ = writeln!(found.lines, "{name}:{}: {}", number + 1, line.trim());
        }
    }
}
