//! The directory tools are confined to.

use std::io;
use std::path::{Component, Path, PathBuf};

use super::ToolError;

/// A directory that tools may read and write, and nothing beside it.
#[derive(Debug)]
pub struct Sandbox {
    root: PathBuf,
}

impl Sandbox {
    /// The sandbox at `root`, which must exist.
    ///
    /// # Errors
    /// There is no such directory.
    pub fn new(root: &Path) -> io::Result<Self> {
        Ok(Self {
            root: root.canonicalize()?,
        })
    }

    /// The directory itself.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The place a path names, if it is inside: no absolute path, no `..`, no symbolic link that
    /// leads out.
    pub(super) fn resolve(&self, path: &str) -> Result<PathBuf, ToolError> {
        let outside = || ToolError::OutsideSandbox(path.to_owned());
        let relative = Path::new(path);
        let plain = relative
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !plain {
            return Err(outside());
        }
        let place = self.root.join(relative);
        // What does not exist yet cannot lead out by itself, but the directory it is in can.
        let existing = place
            .ancestors()
            .find_map(|ancestor| ancestor.canonicalize().ok())
            .ok_or_else(outside)?;
        if existing.starts_with(&self.root) {
            Ok(place)
        } else {
            Err(outside())
        }
    }
}
