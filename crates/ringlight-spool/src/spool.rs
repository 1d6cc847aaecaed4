//! A directory of logs, one for each signal of each destination, for one process at a time.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::disk::{Disk, SystemDisk};
use crate::log::{Log, LogOptions};
use crate::recover::Recovered;

const LOCK: &str = "lock";

/// The directory of refused batches within that of their log.
pub(crate) const DEAD_LETTERS: &str = "dead-letters";

/// Why a spool cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// Another process uses it.
    #[error(
        "the spool `{}` is in use by {}; hint: give each process a directory of its own",
        dir.display(), holder(*pid)
    )]
    Locked {
        /// Its directory.
        dir: PathBuf,
        /// The other process, where that is known.
        pid: Option<u32>,
    },
    /// The file system refuses something.
    #[error("cannot use `{}` as a spool: {source}{}", path.display(), hint(source))]
    Io {
        /// What it was about.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(
        || "another process".to_owned(),
        |pid| format!("process {pid}"),
    )
}

/// What to do about an error of the system; what the spool itself refuses says so by itself.
fn hint(error: &io::Error) -> &'static str {
    use io::ErrorKind as K;
    if error.raw_os_error().is_none() {
        return "";
    }
    match error.kind() {
        K::AlreadyExists | K::NotADirectory => {
            "; hint: a file is in the way: name a directory, or remove the file"
        }
        K::StorageFull | K::QuotaExceeded => {
            "; hint: make room on its disk, or name another directory"
        }
        _ => "; hint: name a directory in which the user that the program runs as can make files",
    }
}

/// A directory of logs that this process has for itself.
///
/// ```
/// use ringlight_spool::{Entry, LogOptions, Spool};
///
/// # let dir = tempfile::tempdir()?;
/// let spool = Spool::open(&dir.path().join("spool"))?;
/// let (mut log, _) = spool.log("collector", "traces", LogOptions::default())?;
/// let batch = Entry {
///     process: "5f3a",
///     sequence: 1,
///     records: 10,
///     note: "",
///     bytes: b"a batch",
/// };
/// log.append(&[batch], 0, 1_700_000_000_000)?;
///
/// let read = log.read(1024, 0);
/// assert_eq!(&read.frames[0].bytes[..], b"a batch");
/// log.done(read.frames[0].id);
/// log.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Spool {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    _lock: Arc<dyn Send + Sync>,
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

impl Spool {
    /// Opens a directory, which is made if there is none. It stays this process's until the last clone and
    /// everything else made with it is gone.
    ///
    /// # Errors
    /// Another process has it, or it cannot be used.
    pub fn open(dir: &Path) -> Result<Self, SpoolError> {
        Self::open_on(Arc::new(SystemDisk), dir)
    }

    /// As [`open`](Self::open), on another file system.
    ///
    /// # Errors
    /// As for `open`.
    pub fn open_on(disk: Arc<dyn Disk>, dir: &Path) -> Result<Self, SpoolError> {
        let failed = |path: &Path, source| SpoolError::Io {
            path: path.to_owned(),
            source,
        };
        disk.create_root(dir).map_err(|error| failed(dir, error))?;
        if let Some(above) = dir.parent() {
            // Who may not read the directory above cannot do that, and need not: it is not theirs.
            let _ = disk.sync_dir(above);
        }
        let path = dir.join(LOCK);
        let lock = disk.lock(&path, &format!("{}\n", std::process::id()));
        let lock = lock.map_err(|error| {
            if error.kind() == io::ErrorKind::WouldBlock {
                SpoolError::Locked {
                    dir: dir.to_owned(),
                    pid: read_pid(&*disk, &path),
                }
            } else {
                failed(dir, error)
            }
        })?;
        Ok(Self {
            disk,
            dir: dir.to_owned(),
            _lock: Arc::from(lock),
        })
    }

    /// Its directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The log of a signal to a destination, both by names that are the same in every process.
    ///
    /// # Errors
    /// It cannot be made or read.
    pub fn log(
        &self,
        destination: &str,
        signal: &str,
        options: LogOptions,
    ) -> Result<(Log, Recovered), SpoolError> {
        let mut dir = self.dir.join(file_name(destination));
        self.make(&dir)?;
        dir.push(file_name(signal));
        self.make(&dir)?;
        self.open_log(&dir, options)
    }

    /// The log that keeps what a destination refused for good.
    ///
    /// ```
    /// # fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::path::Path;
    ///
    /// use ringlight_spool::{LogOptions, Spool};
    ///
    /// let spool = Spool::open(Path::new("/var/lib/shop/telemetry"))?;
    /// let (mut letters, _) = spool.dead_letters("default", "traces", LogOptions::default())?;
    /// // Until nothing is left: what has been read stays on disk as long as it is not `done`.
    /// loop {
    ///     let frames = letters.read(16 << 20, 0).frames;
    ///     if frames.is_empty() {
    ///         break;
    ///     }
    ///     for letter in frames {
    ///         println!("{}: {} spans: {}", letter.id, letter.records, letter.note);
    ///         // As it is, the body of a POST to `/v1/traces` of type `application/x-protobuf`.
    ///         std::fs::write(format!("{}.pb", letter.id), &letter.bytes)?;
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As for [`log`](Self::log).
    pub fn dead_letters(
        &self,
        destination: &str,
        signal: &str,
        options: LogOptions,
    ) -> Result<(Log, Recovered), SpoolError> {
        let mut dir = self.dir.join(file_name(destination));
        for name in [file_name(signal), DEAD_LETTERS.to_owned()] {
            self.make(&dir)?;
            dir.push(name);
        }
        self.make(&dir)?;
        self.open_log(&dir, options)
    }

    /// Names, as they are on disk, of destinations that have a directory.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn destinations(&self) -> io::Result<Vec<String>> {
        let names = self.disk.list(&self.dir)?.into_iter();
        let names = names.filter_map(|name| name.into_string().ok());
        Ok(names.filter(|name| name != LOCK).collect())
    }

    fn make(&self, dir: &Path) -> Result<(), SpoolError> {
        let made = self.disk.create_dir(dir).and_then(|()| {
            // A log is no safer than the name of its directory.
            dir.parent()
                .map_or(Ok(()), |above| self.disk.sync_dir(above))
        });
        made.map_err(|source| SpoolError::Io {
            path: dir.to_owned(),
            source,
        })
    }

    fn open_log(&self, dir: &Path, options: LogOptions) -> Result<(Log, Recovered), SpoolError> {
        let opened = Log::open(Arc::clone(&self.disk), dir, options);
        opened.map_err(|source| SpoolError::Io {
            path: dir.to_owned(),
            source,
        })
    }
}

fn read_pid(disk: &dyn Disk, path: &Path) -> Option<u32> {
    let file = disk.open(path).ok()?;
    let mut text = vec![0; file.size().ok()?.min(32) as usize];
    file.read_exact_at(&mut text, 0).ok()?;
    std::str::from_utf8(&text).ok()?.trim().parse().ok()
}

/// A name that a file can have, and that no other name is given: what files cannot be called is written as its
/// bytes in hexadecimal.
#[must_use]
pub fn file_name(name: &str) -> String {
    let mut shown = String::new();
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => shown.push(byte.into()),
            _ => shown.push_str(&format!("%{byte:02x}")),
        }
    }
    if name == LOCK {
        shown.insert(0, '%');
    }
    shown
}
