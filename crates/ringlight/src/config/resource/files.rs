//! Small files that say something about the system.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::path::Path;

/// Bytes that are read of a file at most.
const BYTES_MAX: u64 = 256 * 1024;

/// Files below a folder, which is `/` outside of tests.
pub(super) struct Files<'a> {
    root: &'a Path,
}

impl<'a> Files<'a> {
    pub(super) fn below(root: &'a Path) -> Self {
        Self { root }
    }

    /// What is in a file, up to 256 KiB; `None` if it cannot be read.
    pub(super) fn text(&self, path: &str) -> Option<String> {
        let file = File::open(self.root.join(path)).ok()?;
        let mut bytes = Vec::new();
        file.take(BYTES_MAX).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The same without white space around it; `None` if nothing is left.
    pub(super) fn line(&self, path: &str) -> Option<String> {
        let text = self.text(path)?;
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    #[cfg(unix)]
    pub(super) fn metadata(&self, path: &str) -> Option<Metadata> {
        std::fs::metadata(self.root.join(path)).ok()
    }
}
