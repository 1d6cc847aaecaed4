//! A disk in memory that fails, dies and loses power as it is told.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ringlight_spool::{Disk, DiskFile};

/// Something that changes a [`FaultDisk`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskOperation {
    /// A file is made.
    Create,
    /// Bytes are written to a file.
    Write,
    /// A file is cut.
    Truncate,
    /// A file is made safe.
    Sync,
    /// A file gets another name.
    Rename,
    /// A file is removed.
    Remove,
    /// The names in a directory are made safe.
    SyncDir,
}

/// A file system in memory. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct FaultDisk(Arc<Mutex<State>>);

#[derive(Debug, Clone, Default)]
struct State {
    dirs: BTreeMap<PathBuf, Dir>,
    files: Vec<Content>,
    locks: BTreeSet<PathBuf>,
    operations: u64,
    /// The operation in the middle of which the process dies.
    dies_at: Option<u64>,
    is_dead: bool,
    failing: Vec<(DiskOperation, io::ErrorKind)>,
}

#[derive(Debug, Clone, Default)]
struct Dir {
    names: BTreeMap<OsString, usize>,
    /// The names as of the last time they were made safe.
    safe: BTreeMap<OsString, usize>,
}

#[derive(Debug, Clone, Default)]
struct Content {
    bytes: Vec<u8>,
    safe: Vec<u8>,
    /// Something was written over what is safe.
    is_rewritten: bool,
}

impl FaultDisk {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many operations there were that change something.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// The process dies in the middle of the operation with this number, counted from one: a write is done in
    /// part, anything else is not, and nothing works any more.
    pub fn die_at(&self, operation: u64) {
        self.state().dies_at = Some(operation);
    }

    /// The process dies now.
    pub fn die(&self) {
        self.state().is_dead = true;
    }

    /// These fail from now on, until [`heal`](Self::heal).
    pub fn fail(&self, operation: DiskOperation, kind: io::ErrorKind) {
        self.state().failing.push((operation, kind));
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        self.state().failing.clear();
    }

    /// What the next process finds after this one died: all that was done.
    #[must_use]
    pub fn after_death(&self) -> Self {
        let state = self.state().clone();
        Self(Arc::new(Mutex::new(State {
            locks: BTreeSet::new(),
            operations: 0,
            dies_at: None,
            is_dead: false,
            failing: Vec::new(),
            ..state
        })))
    }

    /// What is found after the power was lost: what was made safe, and of the rest some, by chance.
    #[must_use]
    pub fn after_power_loss(&self, random: &mut fastrand::Rng) -> Self {
        let next = self.after_death();
        let mut state = next.state();
        for file in &mut state.files {
            let kept = random.usize(..=file.bytes.len());
            let mut found = file.safe.clone();
            // A length may be safe before the bytes are.
            let is_there = random.bool();
            let tail = file.bytes.get(found.len()..kept).unwrap_or_default();
            found.extend(tail.iter().map(|byte| if is_there { *byte } else { 0 }));
            *file = Content {
                bytes: found.clone(),
                safe: found,
                is_rewritten: false,
            };
        }
        for dir in state.dirs.values_mut() {
            let mut found = dir.safe.clone();
            for (name, file) in &dir.names {
                if random.bool() {
                    found.insert(name.clone(), *file);
                }
            }
            for name in dir.safe.keys() {
                if !dir.names.contains_key(name) && random.bool() {
                    found.remove(name);
                }
            }
            *dir = Dir {
                safe: found.clone(),
                names: found,
            };
        }
        drop(state);
        next
    }

    /// Paths of all files.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        let state = self.state();
        let in_dir = |(path, dir): (&PathBuf, &Dir)| {
            let names = dir.names.keys();
            names.map(|name| path.join(name)).collect::<Vec<_>>()
        };
        state.dirs.iter().flat_map(in_dir).collect()
    }

    /// Changes the bytes of a file, as nobody should.
    ///
    /// # Panics
    /// If there is no such file.
    #[track_caller]
    pub fn tamper(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        #[expect(clippy::expect_used, reason = "a test fails by panicking")]
        let file = state.file(path).expect("the file is there");
        state.files[file].is_rewritten = true;
        change(&mut state.files[file].bytes);
    }

    /// Puts a file there.
    pub fn put(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.state();
        let file = state.files.len();
        state.files.push(Content {
            bytes: bytes.to_vec(),
            safe: bytes.to_vec(),
            is_rewritten: false,
        });
        let dir = path.parent().unwrap_or(Path::new("")).to_owned();
        let dir = state.dirs.entry(dir).or_default();
        let name = path.file_name().unwrap_or_default().to_owned();
        dir.names.insert(name.clone(), file);
        dir.safe.insert(name, file);
    }
}

impl State {
    /// Counts an operation. An error if it fails or the process is dead; `true` if it dies in the middle of it.
    fn operate(&mut self, operation: DiskOperation) -> io::Result<bool> {
        self.alive()?;
        self.operations += 1;
        if self.dies_at == Some(self.operations) {
            self.is_dead = true;
            return Ok(true);
        }
        let mut failing = self.failing.iter();
        match failing.find(|(failing, _)| *failing == operation) {
            Some((_, kind)) => Err((*kind).into()),
            None => Ok(false),
        }
    }

    fn alive(&self) -> io::Result<()> {
        if self.is_dead {
            return Err(io::Error::other("the process is dead"));
        }
        Ok(())
    }

    /// As [`operate`](Self::operate), for what is not done when the process dies.
    fn operate_whole(&mut self, operation: DiskOperation) -> io::Result<()> {
        self.operate(operation)?;
        self.alive()
    }

    fn file(&self, path: &Path) -> io::Result<usize> {
        let dir = path.parent().and_then(|dir| self.dirs.get(dir));
        let name = path.file_name().unwrap_or_default();
        let file = dir.and_then(|dir| dir.names.get(name));
        file.copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn dir(&mut self, path: &Path) -> io::Result<&mut Dir> {
        let dir = path.parent().and_then(|dir| self.dirs.get_mut(dir));
        dir.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Disk for FaultDisk {
    fn create_root(&self, path: &Path) -> io::Result<()> {
        self.create_dir(path)
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.alive()?;
        state.dirs.entry(path.to_owned()).or_default();
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let state = self.state();
        state.alive()?;
        let dir = state.dirs.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(dir.names.keys().cloned().collect())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.operate_whole(DiskOperation::Create)?;
        let file = state.files.len();
        let name = path.file_name().unwrap_or_default().to_owned();
        let dir = state.dir(path)?;
        if dir.names.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        dir.names.insert(name, file);
        state.files.push(Content::default());
        drop(state);
        Ok(Box::new(OpenFile {
            disk: self.clone(),
            file,
        }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let state = self.state();
        state.alive()?;
        let file = state.file(path)?;
        drop(state);
        Ok(Box::new(OpenFile {
            disk: self.clone(),
            file,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.operate_whole(DiskOperation::Rename)?;
        let file = state.file(from)?;
        let name = from.file_name().unwrap_or_default().to_owned();
        state.dir(from)?.names.remove(&name);
        let name = to.file_name().unwrap_or_default().to_owned();
        state.dir(to)?.names.insert(name, file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.file(path)?;
        state.operate_whole(DiskOperation::Remove)?;
        let name = path.file_name().unwrap_or_default().to_owned();
        state.dir(path)?.names.remove(&name);
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.operate_whole(DiskOperation::SyncDir)?;
        let dir = state.dirs.get_mut(path).ok_or(io::ErrorKind::NotFound)?;
        dir.safe = dir.names.clone();
        Ok(())
    }

    fn lock(&self, path: &Path, text: &str) -> io::Result<Box<dyn Send + Sync>> {
        let is_free = self.state().locks.insert(path.to_owned());
        if !is_free {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.put(path, text.as_bytes());
        Ok(Box::new(Lock {
            disk: self.clone(),
            path: path.to_owned(),
        }))
    }
}

struct Lock {
    disk: FaultDisk,
    path: PathBuf,
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.disk.state().locks.remove(&self.path);
    }
}

#[derive(Debug)]
struct OpenFile {
    disk: FaultDisk,
    file: usize,
}

impl DiskFile for OpenFile {
    fn write_all_at(&mut self, parts: &[&[u8]], offset: u64) -> io::Result<()> {
        let mut bytes = parts.concat();
        let mut state = self.disk.state();
        let outcome = match state.operate(DiskOperation::Write) {
            Ok(false) => Ok(()),
            dying_or_failed => {
                // A full disk, too, has taken some of it.
                let part = bytes.len() * (state.operations as usize % 7) / 7;
                bytes.truncate(part);
                dying_or_failed.and_then(|_| state.alive())
            }
        };
        let file = &mut state.files[self.file];
        file.is_rewritten |= (offset as usize) < file.safe.len();
        let content = &mut file.bytes;
        let end = offset as usize + bytes.len();
        content.resize(content.len().max(end), 0);
        content[offset as usize..end].copy_from_slice(&bytes);
        outcome
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let state = self.disk.state();
        state.alive()?;
        let content = &state.files[self.file].bytes;
        let found = content.get(offset as usize..offset as usize + buffer.len());
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        let state = self.disk.state();
        state.alive()?;
        Ok(state.files[self.file].bytes.len() as u64)
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operate_whole(DiskOperation::Truncate)?;
        let file = &mut state.files[self.file];
        file.is_rewritten |= (len as usize) < file.safe.len();
        file.bytes.truncate(len as usize);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operate_whole(DiskOperation::Sync)?;
        let file = &mut state.files[self.file];
        if file.is_rewritten {
            file.safe.clear();
            file.is_rewritten = false;
        }
        file.safe.truncate(file.bytes.len());
        let new = file.safe.len()..;
        file.safe.extend_from_slice(&file.bytes[new]);
        Ok(())
    }
}
