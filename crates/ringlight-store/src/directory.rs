//! The data directory: its rights, and the lock that keeps other processes out.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use crate::StoreError;

const LOCK_FILE: &str = "lock";
pub(crate) const CATALOGUE_FILE: &str = "catalogue.db";

/// A data directory this process alone has open. The lock ends with the value, or the process.
#[derive(Debug)]
pub(crate) struct DataDirectory {
    path: PathBuf,
    _lock: File,
}

impl DataDirectory {
    /// Creates the directory if it is missing, closes it to other users and locks it.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        create_private(path)?;
        if !is_ours_or_empty(path)? {
            return Err(StoreError::ForeignDirectory {
                path: path.to_owned(),
            });
        }
        make_private(path)?;
        let lock = lock(path)?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn io_error(
    action: &'static str,
    path: &Path,
) -> impl FnOnce(std::io::Error) -> StoreError + use<> {
    let path = path.to_owned();
    move |source| StoreError::Io {
        action,
        path,
        source,
    }
}

fn create_private(path: &Path) -> Result<(), StoreError> {
    if path.is_dir() {
        return Ok(());
    }
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
        .create(path)
        .map_err(io_error("create directory", path))?;
    sync_parent(path)
}

// So that a power loss does not take the directory with all that was acknowledged in it.
#[cfg(unix)]
fn sync_parent(path: &Path) -> Result<(), StoreError> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(parent)
        .and_then(|parent| parent.sync_all())
        .map_err(io_error("sync directory", parent))
}

#[cfg(not(unix))]
fn sync_parent(_path: &Path) -> Result<(), StoreError> {
    Ok(())
}

fn is_ours_or_empty(path: &Path) -> Result<bool, StoreError> {
    // Another process may be about to create the catalogue; it has the lock file already then.
    let mut is_empty = true;
    let entries = fs::read_dir(path).map_err(io_error("read directory", path))?;
    for entry in entries {
        let entry = entry.map_err(io_error("read directory", path))?;
        if entry.file_name() == CATALOGUE_FILE {
            return Ok(true);
        }
        is_empty &= entry.file_name() == LOCK_FILE;
    }
    Ok(is_empty)
}

#[cfg(unix)]
fn make_private(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::PermissionsExt as _;
    let metadata = fs::metadata(path).map_err(io_error("read rights of", path))?;
    if metadata.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))
            .map_err(io_error("restrict rights of", path))?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn make_private(_path: &Path) -> Result<(), StoreError> {
    Ok(())
}

fn lock(directory: &Path) -> Result<File, StoreError> {
    let path = directory.join(LOCK_FILE);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(io_error("open", &path))?;
    let began = Instant::now();
    let pause = || {
        thread::sleep(LOCK_TRY_INTERVAL);
        began.elapsed() < LOCK_TIMEOUT
    };
    match lock_soon(&file, pause) {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // The holder writes its id only after it has the lock; until then there is none to name.
            let pid = match (&mut file).take(32).read_to_string(&mut text) {
                Ok(_) => text.trim().parse().ok(),
                Err(_) => None,
            };
            return Err(StoreError::Locked {
                path: directory.to_owned(),
                pid,
            });
        }
        Err(TryLockError::Error(source)) => return Err(io_error("lock", &path)(source)),
    }
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(io_error("write", &path))?;
    Ok(file)
}

/// How long a lock is waited for, and how long between two tries.
const LOCK_TIMEOUT: Duration = Duration::from_millis(500);
const LOCK_TRY_INTERVAL: Duration = Duration::from_millis(10);

/// Takes the lock, also where it is given up only now: a process that was just killed may still be ending, and until a child
/// runs its own program it has its parent's open files, locks among them. It is tried again for as long as `pause`, which is
/// called in between, says so.
fn lock_soon(file: &File, mut pause: impl FnMut() -> bool) -> Result<(), TryLockError> {
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if pause() => {}
            tried => return tried,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_is_given_up_soon_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let mut held = Some(lock(directory.path()).unwrap());
        let file = File::open(directory.path().join(LOCK_FILE)).unwrap();
        let mut pauses = 0;
        let give_up_later = || {
            pauses += 1;
            if pauses == 2 {
                held = None;
            }
            pauses < 5
        };
        lock_soon(&file, give_up_later).unwrap();
        assert_eq!(pauses, 2);
    }
}
