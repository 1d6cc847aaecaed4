//! Where in the code which function is.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use tracing::Span;

use crate::Sandbox;

/// Functions kept.
const FUNCTIONS_MAX: usize = 5_000;

/// The largest file read, in bytes.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// What was found, and when.
#[derive(Debug, Default)]
struct Indexed {
    /// The places of the functions, by their names: `src/cache.rs:5`.
    functions: BTreeMap<String, String>,
    /// How often files had been written when they were read; `None` before the first time.
    writes: Option<u64>,
}

/// The functions of the code below a sandbox. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct CodeIndex {
    sandbox: Arc<Sandbox>,
    indexed: Arc<RwLock<Indexed>>,
}

impl CodeIndex {
    /// Nothing is indexed yet.
    pub(crate) fn new(sandbox: Arc<Sandbox>) -> Self {
        Self {
            sandbox,
            indexed: Arc::default(),
        }
    }

    /// Reads the code again if files were written since; `writes` tells how often they were.
    pub(crate) async fn refresh(&self, writes: u64) {
        let before = self
            .indexed
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .writes;
        if before != Some(writes) {
            self.index(writes).await;
        }
    }

    #[ringlight::instrument(
        name = "agent.code_index",
        skip_all,
        fields(code.files, code.functions, code.writes = writes)
    )]
    async fn index(&self, writes: u64) {
        let sandbox = Arc::clone(&self.sandbox);
        let scanned = tokio::task::spawn_blocking(move || scan(sandbox.root())).await;
        // A scan that panicked found nothing; the next write brings another one.
        let (files, functions) = scanned.unwrap_or_default();
        let span = Span::current();
        span.record("code.files", files);
        span.record("code.functions", functions.len());
        let mut indexed = self.indexed.write().unwrap_or_else(PoisonError::into_inner);
        *indexed = Indexed {
            functions,
            writes: Some(writes),
        };
    }

    /// The places of the functions that `terms` name, as lines for the model.
    pub(crate) fn find(&self, terms: &[String], limit: usize) -> Vec<String> {
        let indexed = self.indexed.read().unwrap_or_else(PoisonError::into_inner);
        terms
            .iter()
            .filter_map(|term| {
                let place = indexed.functions.get(term)?;
                Some(format!("fn {term} is at {place}"))
            })
            .take(limit)
            .collect()
    }
}

/// The number of source files in `src`, and the functions in them.
fn scan(root: &Path) -> (usize, BTreeMap<String, String>) {
    let mut functions = BTreeMap::new();
    let mut files = 0;
    let entries = std::fs::read_dir(root.join("src")).into_iter().flatten();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_small = entry
            .metadata()
            .is_ok_and(|metadata| metadata.is_file() && metadata.len() <= FILE_BYTES_MAX);
        if !is_small || !name.ends_with(".rs") {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(entry.path()) else {
            continue;
        };
        files += 1;
        for (number, line) in text.lines().enumerate() {
            if functions.len() < FUNCTIONS_MAX
                && let Some(function) = function_in(line)
            {
                functions.insert(function.to_owned(), format!("src/{name}:{}", number + 1));
            }
        }
    }
    (files, functions)
}

/// The name of the function that a line defines.
fn function_in(line: &str) -> Option<&str> {
    let rest = line.trim_start();
    let rest = rest
        .strip_prefix("pub ")
        .unwrap_or(rest)
        .strip_prefix("fn ")?;
    rest.split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .next()
        .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpus;

    #[tokio::test]
    async fn functions_are_found_and_read_again_after_a_write() {
        let directory = tempfile::tempdir().unwrap();
        corpus::write_code_base(directory.path()).unwrap();
        let index = CodeIndex::new(Arc::new(Sandbox::new(directory.path()).unwrap()));
        let terms = ["flush_cache".to_owned(), "fly".to_owned()];
        assert!(index.find(&terms, 9).is_empty());
        index.refresh(0).await;
        let found = index.find(&terms, 9);
        assert_eq!(found.len(), 1);
        assert!(
            found[0].starts_with("fn flush_cache is at src/cache.rs:"),
            "{found:?}"
        );
        std::fs::write(directory.path().join("src/new.rs"), "\nfn fly() {}\n").unwrap();
        index.refresh(0).await;
        assert_eq!(index.find(&terms, 9).len(), 1);
        index.refresh(1).await;
        assert_eq!(index.find(&terms, 9)[1], "fn fly is at src/new.rs:2");
    }
}
