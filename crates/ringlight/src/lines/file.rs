//! A file of log lines that gives way to a new one when it is full, or with the hour or day.
//!
//! The thread that writes to it is the writer's (`crate::writer`). What others do to the file is noticed before every
//! write: one that was moved away or removed is opened anew, so that `logrotate` needs to send no signal, and one that
//! was truncated (`copytruncate`) is written to from its beginning, since every write is at its end.
//!
//! A process that is killed may leave the beginning of a line at the end of the file. A line of JSON that was left like
//! this is cut off by the next process; whatever else is there, it ends with a line feed.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use ringlight_collector::{Notice, Notices};

use crate::rfc3339::write_time;
use crate::writer::{end_of_line, lines_count};
use crate::{LogFile, LogFormat};

/// How far from the end of a file a line may begin that was not finished.
const TORN_BYTES_MAX: u64 = 1 << 20;
/// What a line of JSON begins with.
const JSON_BEGINNING: &[u8] = b"{\"timestamp\":\"";

/// Takes whole lines, and deals with what goes wrong itself.
pub(super) struct RotatingFile {
    config: LogFile,
    notices: Notices,
    open: Option<Open>,
    /// Lines that were lost since it could be written to, where a person was told.
    lost_count: Option<u64>,
    /// Whether a person was told that it cannot be renamed.
    told_stuck: bool,
    /// The time in the name of the file that gave way last.
    last_stamp: u64,
    now: fn() -> SystemTime,
}

struct Open {
    file: File,
    bytes: u64,
    /// The hour or day it is of.
    period: Option<u64>,
    is_regular: bool,
}

impl RotatingFile {
    pub(super) fn new(mut config: LogFile, notices: Notices) -> Self {
        // From the root, since the process may go elsewhere.
        if let Ok(path) = std::path::absolute(&config.path) {
            config.path = path;
        }
        Self {
            config,
            notices,
            open: None,
            lost_count: None,
            told_stuck: false,
            last_stamp: 0,
            now: SystemTime::now,
        }
    }

    fn put(&mut self, mut text: &str) {
        while !text.is_empty() {
            match self.put_some(text) {
                Ok(count_bytes) => text = &text[count_bytes..],
                Err(error) => return self.lost(text, &error),
            }
        }
        if let Some(count) = self.lost_count.take() {
            self.tell(format_args!("is written to again; {count} lines were lost"));
        }
    }

    /// Some of the lines, one at least; how many bytes those are.
    fn put_some(&mut self, text: &str) -> io::Result<usize> {
        if self.is_elsewhere() {
            self.open = None;
        }
        let period = self.period((self.now)());
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.open(period)?,
        };
        let room = self.config.bytes_max.saturating_sub(open.bytes);
        let fitting = lines_within(text, room);
        if open.is_regular
            && open.bytes > 0
            && (open.period != period || fitting == 0)
            && self.rotate(&mut open, period)
        {
            open = self.open(period)?;
        }
        let room = self.config.bytes_max.saturating_sub(open.bytes);
        let count = match lines_within(text, room) {
            0 => end_of_line(text.as_bytes(), 0),
            fitting => fitting,
        };
        let written = open.write(&text.as_bytes()[..count]);
        self.open = Some(open);
        written.map(|()| count)
    }

    /// Whether the path leads to another file than the one that is open, or to none, or that has become shorter.
    fn is_elsewhere(&mut self) -> bool {
        let Some(open) = &mut self.open else {
            return false;
        };
        let there = fs::metadata(&self.config.path);
        let (Ok(there), Ok(ours)) = (there, open.file.metadata()) else {
            return true;
        };
        if open.is_regular {
            open.bytes = ours.len();
        }
        !is_same(&there, &ours)
    }

    /// The hour or day that a time is in.
    fn period(&self, time: SystemTime) -> Option<u64> {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let period_secs = self.config.rotation.period_secs()?;
        Some(since.as_secs() / period_secs)
    }

    fn open(&self, period: Option<u64>) -> io::Result<Open> {
        let path = &self.config.path;
        if let Some(dir) = path.parent().filter(|dir| !dir.exists()) {
            make_dir(dir)?;
        }
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(Open {
                file,
                bytes: 0,
                period,
                is_regular: false,
            });
        }
        mend_end(&mut file, metadata.len(), self.config.format)?;
        let bytes = file.metadata()?.len();
        // What an earlier process left is of the period in which it was last written to.
        let last = metadata.modified().ok().and_then(|time| self.period(time));
        let period = if bytes > 0 { last } else { period };
        Ok(Open {
            file,
            bytes,
            period,
            is_regular: true,
        })
    }

    /// Has the file give way to a new one. Where that cannot be, it goes on, and becomes larger than it should.
    fn rotate(&mut self, open: &mut Open, period: Option<u64>) -> bool {
        let renamed = self.free_name().and_then(|name| {
            fs::rename(&self.config.path, name)?;
            self.remove_oldest()
        });
        match renamed {
            Ok(()) => {
                self.told_stuck = false;
                true
            }
            Err(error) => {
                if !std::mem::replace(&mut self.told_stuck, true) {
                    self.tell(format_args!("cannot give way to a new one: {error}"));
                }
                let is_gone = fs::metadata(&self.config.path).is_err();
                open.period = period;
                is_gone
            }
        }
    }

    /// A name for the file as it is now that no other has, behind those of the files before.
    fn free_name(&mut self) -> io::Result<PathBuf> {
        let since = (self.now)().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        let first = now.max(self.last_stamp + 1);
        // As many as others may have taken.
        for stamp in first..first.saturating_add(1000) {
            let mut text = String::new();
            // Writing to a string does not fail.
            let _ = write_time(&mut text, stamp.saturating_mul(1000));
            let mut name = self.config.path.clone().into_os_string();
            name.push(".");
            name.push(text.replace(':', "-"));
            let name = PathBuf::from(name);
            if !name.exists() {
                self.last_stamp = stamp;
                return Ok(name);
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// Removes the oldest files that gave way, until there are no more than are to be kept.
    fn remove_oldest(&self) -> io::Result<()> {
        let path = &self.config.path;
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
            return Ok(());
        };
        let mut old = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if is_stamped(&entry.file_name(), name) {
                old.push(entry.path());
            }
        }
        // By their time, which is as long in all of them.
        old.sort();
        let too_many = old.len().saturating_sub(self.config.files_kept);
        old.iter().take(too_many).try_for_each(fs::remove_file)
    }

    fn tell(&self, message: fmt::Arguments<'_>) {
        self.notices.send(&Notice::LogFile {
            message: format!("log file `{}` {message}", self.config.path.display()),
        });
    }

    fn lost(&mut self, text: &str, error: &io::Error) {
        if self.lost_count.is_none() {
            self.tell(format_args!(
                "cannot be written to, lines are lost until it can: {error}"
            ));
        }
        *self.lost_count.get_or_insert(0) += lines_count(text.as_bytes());
        // What is wrong with it may be over with the next one.
        self.open = None;
    }
}

impl Write for RotatingFile {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        // They are made of text; what is not is shown as well as it can be.
        self.put(&String::from_utf8_lossy(lines));
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Open {
    /// All of it, or nothing: a line that was written in part is taken back.
    fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(lines);
        match &written {
            Ok(()) => self.bytes += lines.len() as u64,
            // Where even that is not possible, the next open mends it.
            Err(_) if self.is_regular => drop(self.file.set_len(self.bytes)),
            Err(_) => {}
        }
        written
    }
}

/// Sees to it that a file ends with a line feed.
fn mend_end(file: &mut File, len_bytes: u64, format: LogFormat) -> io::Result<()> {
    let start = len_bytes.saturating_sub(TORN_BYTES_MAX);
    file.seek(SeekFrom::Start(len_bytes.saturating_sub(1)))?;
    let mut last = Vec::new();
    (&mut *file).take(1).read_to_end(&mut last)?;
    if last.is_empty() || last == b"\n" {
        return Ok(());
    }
    let mut end = Vec::new();
    file.seek(SeekFrom::Start(start))?;
    (&mut *file).take(TORN_BYTES_MAX).read_to_end(&mut end)?;
    let line_feed = end.iter().rposition(|byte| *byte == b'\n');
    let torn_at = line_feed.map_or(0, |at| at + 1);
    if format == LogFormat::Json && end[torn_at..].starts_with(JSON_BEGINNING) {
        return file.set_len(start + torn_at as u64);
    }
    file.write_all(b"\n")
}

/// The bytes of the lines at the beginning of a text that are within a number of bytes.
fn lines_within(text: &str, bytes_max: u64) -> usize {
    let mut end = 0;
    while end < text.len() {
        let next = end_of_line(text.as_bytes(), end);
        if next as u64 > bytes_max {
            break;
        }
        end = next;
    }
    end
}

/// Whether a file's name is another one's with a dot and a time behind it.
fn is_stamped(name: &OsStr, of: &OsStr) -> bool {
    let stamp = name.as_encoded_bytes().strip_prefix(of.as_encoded_bytes());
    let stamp = stamp.and_then(|rest| rest.strip_prefix(b"."));
    stamp.is_some_and(|stamp| {
        const SHAPE: &[u8] = b"0000-00-00T00-00-00.000000Z";
        let has_shape = |(byte, shape): (&u8, &u8)| match shape {
            b'0' => byte.is_ascii_digit(),
            shape => byte == shape,
        };
        stamp.len() == SHAPE.len() && stamp.iter().zip(SHAPE).all(has_shape)
    })
}

#[cfg(unix)]
fn is_same(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// Elsewhere an open file cannot be moved away.
#[cfg(not(unix))]
fn is_same(_: &Metadata, _: &Metadata) -> bool {
    true
}

fn make_dir(dir: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

#[cfg(test)]
mod tests;
