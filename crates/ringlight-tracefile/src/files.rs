//! The files of a directory: their names, which of them are kept, and what is written to them.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A file that was written to within this time may be another process's that is still running.
const IN_USE: Duration = Duration::from_secs(60);
/// Files that are looked at in a directory at most.
const LOOKED_AT_MAX: usize = 100_000;

/// Makes the directory, for the user alone where there was none.
pub(crate) fn make_directory(directory: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

/// What files of one process are called, and which they are.
#[derive(Debug)]
pub(crate) struct Names {
    directory: PathBuf,
    /// What tells this process from others. Others may have the same, if somebody chose it.
    session: String,
    extension: &'static str,
    /// Those that were made here, as far as they were there when it was looked last.
    own: HashSet<PathBuf>,
}

impl Names {
    pub(crate) fn new(directory: PathBuf, session: String, extension: &'static str) -> Self {
        Self {
            directory,
            session,
            extension,
            own: HashSet::new(),
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The file of a time: `{session}_{20261130T014500.123Z}.json`.
    fn at(&self, unix_nano: u64) -> PathBuf {
        let Self {
            session, extension, ..
        } = self;
        let name = format!("{session}_{}.{extension}", timestamp(unix_nano));
        self.directory.join(name)
    }

    /// Whether a file's name is one that some process of ours gave.
    fn is_ours(name: &str) -> bool {
        let stem = (name.strip_suffix(".json")).or_else(|| name.strip_suffix(".pftrace"));
        let stamp = stem
            .and_then(|stem| stem.rsplit_once('_'))
            .map(|(_, stamp)| stamp);
        stamp.is_some_and(|stamp| {
            let shape = b"00000000T000000.000Z";
            stamp.len() == shape.len()
                && (stamp.bytes().zip(shape)).all(|(byte, shape)| match shape {
                    b'0' => byte.is_ascii_digit(),
                    _ => byte == *shape,
                })
        })
    }
}

/// Where the bytes of a file go.
pub(crate) trait Medium: io::Write + std::fmt::Debug + Send {
    /// Cuts off what is behind so many bytes.
    ///
    /// # Errors
    /// It is still there.
    fn set_len(&self, len_bytes: u64) -> io::Result<()>;
}

impl Medium for File {
    fn set_len(&self, len_bytes: u64) -> io::Result<()> {
        Self::set_len(self, len_bytes)
    }
}

/// A file that is being written.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) file: Box<dyn Medium>,
    pub(crate) path: PathBuf,
    /// Bytes in it that are whole events.
    pub(crate) len_bytes: u64,
    pub(crate) since: Instant,
    /// Whether an event that was written in part may be at its end: nothing is to follow that.
    pub(crate) is_torn: bool,
}

impl Output {
    /// A new file, for the user alone, which begins so, now, which is the time that its name tells.
    pub(crate) fn create(
        names: &mut Names,
        now: Instant,
        unix_nano: u64,
        beginning: &[u8],
    ) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.append(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut unix_nano = unix_nano;
        let (file, path) = loop {
            let path = names.at(unix_nano);
            match options.open(&path) {
                Ok(file) => break (file, path),
                // Of the same millisecond, by a session of the same name.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    unix_nano += 1_000_000
                }
                Err(error) => return Err(error),
            }
        };
        let mut output = Self {
            file: Box::new(file),
            path,
            len_bytes: 0,
            since: now,
            is_torn: false,
        };
        if let Err(error) = output.append(beginning) {
            // A file without a beginning is none.
            let _ = fs::remove_file(&output.path);
            return Err(error);
        }
        names.own.insert(output.path.clone());
        Ok(output)
    }

    /// Appends all of it, or nothing: what is in the file stays whole, unless it [is torn](Self::is_torn) afterwards.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self.file.write_all(bytes) {
            Ok(()) => {
                self.len_bytes += bytes.len() as u64;
                Ok(())
            }
            Err(error) => {
                self.is_torn |= self.file.set_len(self.len_bytes).is_err();
                Err(error)
            }
        }
    }
}

/// Deletes the oldest files, of this process and of others, until those that are left and one more of `more_bytes` are
/// within the limit: none that another process may still be writing. This one must be writing none.
pub(crate) fn prune(names: &mut Names, limit_bytes: u64, more_bytes: u64) {
    let Ok(entries) = fs::read_dir(&names.directory) else {
        return;
    };
    let now = SystemTime::now();
    let mut files: Vec<(SystemTime, u64, PathBuf)> = entries
        .take(LOOKED_AT_MAX)
        .flatten()
        .filter(|entry| entry.file_name().to_str().is_some_and(Names::is_ours))
        .filter_map(|entry| {
            let about = entry.metadata().ok().filter(fs::Metadata::is_file)?;
            Some((about.modified().ok()?, about.len(), entry.path()))
        })
        .collect();
    files.sort();
    let own = files.iter().filter(|(_, _, path)| names.own.contains(path));
    names.own = own.map(|(_, _, path)| path.clone()).collect();
    let mut sum: u64 = files.iter().map(|(_, len, _)| len).sum();
    for (modified, len, path) in &files {
        if sum.saturating_add(more_bytes) <= limit_bytes {
            return;
        }
        let is_old = now.duration_since(*modified).is_ok_and(|age| age > IN_USE);
        if (is_old || names.own.contains(path)) && fs::remove_file(path).is_ok() {
            sum -= len;
        }
    }
}

pub(crate) fn now_unix_nano() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    // Until the year 2554.
    since.map_or(0, |since| since.as_nanos() as u64)
}

/// Since the machine was started, if it tells.
#[cfg(target_os = "linux")]
pub(crate) fn now_boot_nano() -> Option<u64> {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let (seconds, nanos) = (
        u64::try_from(now.tv_sec).ok()?,
        u64::try_from(now.tv_nsec).ok()?,
    );
    seconds.checked_mul(1_000_000_000)?.checked_add(nanos)
}

#[cfg(not(target_os = "linux"))]
pub(crate) const fn now_boot_nano() -> Option<u64> {
    None
}

/// `20261130T014500.123Z`: such names are in the order of their times.
fn timestamp(unix_nano: u64) -> String {
    let millis = unix_nano / 1_000_000;
    let (days, of_day) = (millis / 86_400_000, millis % 86_400_000);
    let (year, month, day) = date(days);
    let (hours, minutes) = (of_day / 3_600_000, of_day / 60_000 % 60);
    let (seconds, millis) = (of_day / 1000 % 60, of_day % 1000);
    format!("{year:04}{month:02}{day:02}T{hours:02}{minutes:02}{seconds:02}.{millis:03}Z")
}

/// Year, month and day of a number of days since 1970-01-01, in the Gregorian calendar, whose years are counted from
/// March here, so that a leap day is the last one.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_the_order_of_their_times() {
        for (unix_seconds, stamp) in [
            (0, "19700101T000000.000Z"),
            (951_782_400, "20000229T000000.000Z"),
            (1_796_003_100, "20261130T014500.000Z"),
            (4_107_542_400, "21000301T000000.000Z"),
        ] {
            assert_eq!(timestamp(unix_seconds * 1_000_000_000), stamp);
        }
        assert_eq!(timestamp(1_999_999), "19700101T000000.001Z");
    }

    #[test]
    fn only_names_we_give_are_ours() {
        for name in [
            "a_20261130T014500.123Z.json",
            "a_b-1_20261130T014500.123Z.pftrace",
        ] {
            assert!(Names::is_ours(name), "{name}");
        }
        for name in [
            "a.json",
            "a_20261130.json",
            "20261130T014500.123Z.json",
            "a_20261130T014500.123Z.txt",
        ] {
            assert!(!Names::is_ours(name), "{name}");
        }
    }

    #[test]
    fn the_oldest_go_first_and_none_that_may_be_in_use() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, age: u64| {
            let path = directory.path().join(name);
            fs::write(&path, [0; 100]).unwrap();
            let file = File::options().write(true).open(path).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(age))
                .unwrap();
        };
        file("a_20261130T014500.000Z.json", 3000);
        file("b_20261130T014500.000Z.json", 2000);
        file("c_20261130T014500.000Z.json", 1);
        file("somebody-elses.json", 4000);
        let names = |session: &str| Names::new(directory.path().into(), session.into(), "json");
        let left = || {
            let names = fs::read_dir(&directory)
                .unwrap()
                .map(|entry| entry.unwrap().file_name());
            let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
            names.sort();
            names.concat().replace("_20261130T014500.000Z.json", " ")
        };
        prune(&mut names("d"), 400, 100);
        assert_eq!(left(), "a b c somebody-elses.json");
        prune(&mut names("d"), 399, 100);
        assert_eq!(left(), "b c somebody-elses.json");
        prune(&mut names("d"), 1, 100);
        assert_eq!(left(), "c somebody-elses.json");
        // Of the same session, and of one that begins as the other does.
        file("c_d_20261130T014500.000Z.json", 1);
        prune(&mut names("c"), 1, 100);
        assert_eq!(left(), "c c_d somebody-elses.json");
        // Its own it may delete at once, and knows no more of them than are there.
        let mut names = names("c");
        let now = Instant::now();
        let own = [1, 2, 3].map(|time| {
            let output = Output::create(&mut names, now, time, b"[").unwrap();
            output.path
        });
        fs::remove_file(&own[0]).unwrap();
        prune(&mut names, 202, 0);
        assert_eq!(names.own, own[1..].iter().cloned().collect());
        prune(&mut names, 1, 0);
        assert_eq!(left(), "c c_d somebody-elses.json");
    }

    #[test]
    fn two_files_of_a_moment_have_different_names() {
        let directory = tempfile::tempdir().unwrap();
        let mut names = Names::new(directory.path().into(), "s".into(), "json");
        let mut create = || {
            Output::create(&mut names, Instant::now(), 5_000_000, b"[")
                .unwrap()
                .path
        };
        assert_ne!(create(), create());
    }
}
