//! What a spool asks of a file system.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, IoSlice};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags, flock};

/// A file system, so that tests can have one that fails. All calls block.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Makes a directory and those above it that are missing, for the owner alone. One that is there may be
    /// open to others, since nothing lies in it that they can read.
    ///
    /// # Errors
    /// It cannot be made, or is a symbolic link, or is not a directory, or is one for temporary files of
    /// everybody.
    fn create_root(&self, path: &Path) -> io::Result<()>;

    /// Makes a directory in one that is there, for the owner alone.
    ///
    /// # Errors
    /// It cannot be made, or is a symbolic link, or is not a directory, or others may look into it.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// The names of what is in a directory.
    ///
    /// # Errors
    /// It cannot be read.
    fn list(&self, path: &Path) -> io::Result<Vec<OsString>>;

    /// Makes a new file, for the owner alone.
    ///
    /// # Errors
    /// It cannot be made, or there is one.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file that is there, to be read.
    ///
    /// # Errors
    /// It cannot be opened, or is a symbolic link.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Gives a file another name, in place of whatever had it.
    ///
    /// # Errors
    /// It cannot be done; then the other name is as it was.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// It cannot be removed.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Returns when what was made, renamed and removed in a directory stays so.
    ///
    /// # Errors
    /// That cannot be said.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Has a file for this process alone, until what it returns is dropped. Writes `text` into it.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] if another one has it.
    fn lock(&self, path: &Path, text: &str) -> io::Result<Box<dyn Send + Sync>>;
}

/// An open file of a [`Disk`].
pub trait DiskFile: fmt::Debug + Send {
    /// Writes all parts, one after the other, beginning at an offset.
    ///
    /// # Errors
    /// Not all could be written; some may have been.
    fn write_all_at(&mut self, parts: &[&[u8]], offset: u64) -> io::Result<()>;

    /// Fills a buffer from an offset on.
    ///
    /// # Errors
    /// It cannot be read, or ends before.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Bytes of the file.
    ///
    /// # Errors
    /// It cannot be said.
    fn size(&self) -> io::Result<u64>;

    /// Cuts the file.
    ///
    /// # Errors
    /// It cannot be done.
    fn truncate(&mut self, len: u64) -> io::Result<()>;

    /// Returns when what was written stays.
    ///
    /// # Errors
    /// That cannot be said, and never will: the system may forget what it could not write.
    fn sync(&mut self) -> io::Result<()>;
}

/// The file system of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn create_root(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let found = own_dir(path)?;
        if found.mode() & 0o1000 != 0 {
            return refused("everybody shares it; hint: name a directory in it, or elsewhere");
        }
        Ok(())
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let found = own_dir(path)?;
        if found.uid() != rustix::process::geteuid().as_raw() {
            return refused("it belongs to another user; hint: name a directory of your own");
        }
        if found.mode() & 0o077 != 0 {
            return refused("others have access to it; hint: `chmod 700`");
        }
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<OsString>> {
        fs::read_dir(path)?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect()
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        let file = options.custom_flags(no_follow()).open(path)?;
        Ok(Box::new(SystemFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        let file = options.read(true).custom_flags(no_follow()).open(path)?;
        if !file.metadata()?.is_file() {
            return refused("it is not a regular file");
        }
        Ok(Box::new(SystemFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn lock(&self, path: &Path, text: &str) -> io::Result<Box<dyn Send + Sync>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.mode(0o600).custom_flags(no_follow()).open(path)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)?;
        file.set_len(0)?;
        file.write_all_at(text.as_bytes(), 0)?;
        Ok(Box::new(file))
    }
}

fn refused<T>(reason: &str) -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::InvalidInput, reason))
}

/// What is known of a directory that is no symbolic link.
fn own_dir(path: &Path) -> io::Result<fs::Metadata> {
    let found = fs::symlink_metadata(path)?;
    if found.is_symlink() {
        return refused("it is a symbolic link; hint: name what it leads to");
    }
    if !found.is_dir() {
        return refused("it is not a directory; hint: name one");
    }
    Ok(found)
}

/// A symbolic link in place of a file is refused, and a pipe is not waited for.
fn no_follow() -> i32 {
    (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32
}

#[derive(Debug)]
struct SystemFile(File);

impl DiskFile for SystemFile {
    fn write_all_at(&mut self, parts: &[&[u8]], mut offset: u64) -> io::Result<()> {
        // As many as one call takes (`IOV_MAX`).
        for parts in parts.chunks(1024) {
            let mut slices: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
            let mut left = &mut slices[..];
            IoSlice::advance_slices(&mut left, 0);
            while !left.is_empty() {
                let written = match rustix::io::pwritev(&self.0, left, offset) {
                    Err(rustix::io::Errno::INTR) => continue,
                    written => written?,
                };
                if written == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                offset += written as u64;
                IoSlice::advance_slices(&mut left, written);
            }
        }
        Ok(())
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}
