//! What the kernel says of the process: CPU time, memory, threads, files.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

/// What the kernel says at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Reading {
    pub(crate) user_seconds: f64,
    pub(crate) system_seconds: f64,
    pub(crate) resident_bytes: u64,
    pub(crate) virtual_bytes: u64,
    pub(crate) threads: u64,
    pub(crate) minor_faults: u64,
    pub(crate) major_faults: u64,
    pub(crate) open_files: Option<u64>,
    pub(crate) switches: Switches,
    pub(crate) disk: Option<Disk>,
    /// Since the process began.
    pub(crate) uptime_seconds: f64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Switches {
    pub(crate) voluntary: u64,
    pub(crate) involuntary: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Disk {
    pub(crate) read_bytes: u64,
    pub(crate) write_bytes: u64,
}

/// The kernel's files about this process, kept open: opening them is most of what reading them costs.
#[derive(Debug)]
pub(crate) struct Source {
    stat: File,
    /// Not every process may read it.
    io: Option<File>,
    /// The folder of the open files. By its path, asking for its size would take as long as the rest.
    files: Option<File>,
    page_bytes: u64,
    ticks_per_second: f64,
    /// When the machine started, by the clock of `starttime`.
    began_seconds: f64,
}

impl Source {
    pub(crate) fn open() -> Option<Self> {
        let file = |name: &str| File::open(format!("/proc/self/{name}")).ok();
        let mut source = Self {
            stat: file("stat")?,
            io: file("io"),
            files: file("fd"),
            page_bytes: rustix::param::page_size() as u64,
            ticks_per_second: rustix::param::clock_ticks_per_second() as f64,
            began_seconds: 0.0,
        };
        let (_, began_ticks) = source.stat()?;
        source.began_seconds = began_ticks / source.ticks_per_second;
        Some(source)
    }

    pub(crate) fn read(&self) -> Option<Reading> {
        let (mut reading, _) = self.stat()?;
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let now = now.tv_sec as f64 + now.tv_nsec as f64 / 1e9;
        reading.uptime_seconds = (now - self.began_seconds).max(0.0);
        reading.open_files = self.files.as_ref().and_then(open_files);
        // Of all threads, those that have ended among them; times to the microsecond.
        let usage = getrusage(UsageWho::RUSAGE_SELF).ok()?;
        reading.user_seconds = seconds(usage.user_time());
        reading.system_seconds = seconds(usage.system_time());
        reading.minor_faults = unsigned(usage.minor_page_faults());
        reading.major_faults = unsigned(usage.major_page_faults());
        reading.switches = Switches {
            voluntary: unsigned(usage.voluntary_context_switches()),
            involuntary: unsigned(usage.involuntary_context_switches()),
        };
        let mut buffer = [0; 1024];
        reading.disk = self.io.as_ref().and_then(|file| {
            let text = std::str::from_utf8(contents(file, &mut buffer)?).ok()?;
            Some(Disk {
                read_bytes: named(text, "read_bytes:")?,
                write_bytes: named(text, "write_bytes:")?,
            })
        });
        Some(reading)
    }

    /// What `stat` has, and when the process began, in ticks.
    fn stat(&self) -> Option<(Reading, f64)> {
        let mut buffer = [0; 1024];
        let rest = behind_name(contents(&self.stat, &mut buffer)?)?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // Numbered as in proc_pid_stat(5), of which two are before.
        let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
        let reading = Reading {
            threads: number(20)?,
            virtual_bytes: number(23)?,
            resident_bytes: number(24)? * self.page_bytes,
            ..Reading::default()
        };
        Some((reading, number(22)? as f64))
    }
}

/// What a file of the kernel says now.
fn contents<'b>(file: &File, buffer: &'b mut [u8]) -> Option<&'b [u8]> {
    let length = file.read_at(buffer, 0).ok()?;
    buffer.get(..length)
}

/// What of `stat` comes after the name of the program, which is in parentheses and may be any bytes: spaces, parentheses, and
/// since the kernel cuts it a part of a character.
fn behind_name(stat: &[u8]) -> Option<&str> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    std::str::from_utf8(&stat[end + 1..]).ok()
}

/// The number in the line that begins so.
fn named(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().parse().ok()
}

fn seconds(time: TimeVal) -> f64 {
    time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6
}

fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

/// Since Linux 6.2 the size of the folder is the number of files; before, they are counted one by one.
fn open_files(folder: &File) -> Option<u64> {
    let size = folder.metadata().map_or(0, |folder| folder.len());
    if size > 0 {
        return Some(size);
    }
    let entries = std::fs::read_dir("/proc/self/fd").ok()?;
    // One of them is the directory's own.
    Some((entries.count() as u64).saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_the_process_does() {
        let source = Source::open().unwrap();
        let before = source.read().unwrap();
        assert!(before.threads >= 1 && before.open_files.unwrap() >= 3);
        assert!(before.resident_bytes > 100_000 && before.virtual_bytes > before.resident_bytes);
        assert!(before.uptime_seconds >= 0.0);
        // As much CPU time as it takes until the kernel has counted some.
        let mut files = Vec::new();
        let mut memory = Vec::new();
        let (block, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || wait.recv());
        for _ in 0..50 {
            files.push(File::open("/dev/null").unwrap());
        }
        memory.resize(64 << 20, 1_u8);
        let after = loop {
            let after = source.read().unwrap();
            if after.user_seconds + after.system_seconds
                > before.user_seconds + before.system_seconds
            {
                break after;
            }
            memory
                .iter_mut()
                .for_each(|byte| *byte = byte.wrapping_add(1));
        };
        assert!(after.open_files.unwrap() >= before.open_files.unwrap() + 40);
        assert!(after.resident_bytes > before.resident_bytes + (32 << 20));
        assert!(after.minor_faults > before.minor_faults);
        assert!(after.uptime_seconds >= before.uptime_seconds);
        assert!(after.switches.voluntary > before.switches.voluntary);
        drop((block, files, memory));
        let _ = thread.join();
    }

    #[test]
    fn names_of_programs_may_be_any_bytes() {
        for name in [&b"a) S (b"[..], b"caf\xc3", b"\xff", b""] {
            let stat = [b"7 (", name, b") R 1 2"].concat();
            assert_eq!(behind_name(&stat), Some(" R 1 2"), "{name:?}");
        }
        assert_eq!(behind_name(b"7"), None);
    }

    #[test]
    fn numbers_are_found_by_their_names() {
        assert_eq!(named("a: 1\nread_bytes: 17\n", "read_bytes:"), Some(17));
        assert_eq!(named("a: 1\n", "read_bytes:"), None);
    }
}
