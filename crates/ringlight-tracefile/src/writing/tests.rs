use std::fs::{self, File};
use std::io::{self, Write};
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use ringlight_collector::record::ThreadName;
use serde_json::Value;

use super::*;
use crate::TraceFileFormat;
use crate::files::Medium;

/// Counts how often it is read.
struct Reads(f64);

impl CounterSource for Reads {
    fn read(&mut self, each: &mut dyn FnMut(&str, &str, f64)) {
        self.0 += 1.0;
        each("reads", "1", self.0);
    }
}

fn writing(directory: &Path, change: impl FnOnce(&mut TraceFileConfig)) -> Writing {
    let mut config = TraceFileConfig::new(directory);
    config.counters = Some(Box::new(Reads(0.0)));
    config.counter_interval = Duration::ZERO;
    change(&mut config);
    prepare(config, Arc::new(CallsiteRegistry::new())).unwrap()
}

/// A file whose disk may be full: half of what is written comes there then.
#[derive(Debug)]
struct Bad {
    file: File,
    is_full: Arc<AtomicBool>,
    can_be_mended: bool,
}

impl Write for Bad {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_full.load(Ordering::Relaxed) {
            self.file.write_all(&bytes[..bytes.len() / 2])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Medium for Bad {
    fn set_len(&self, len_bytes: u64) -> io::Result<()> {
        if self.can_be_mended {
            self.file.set_len(len_bytes)
        } else {
            Err(io::ErrorKind::Other.into())
        }
    }
}

/// Puts the file on such a disk, which is full from now on.
fn make_bad(writing: &mut Writing, can_be_mended: bool) -> Arc<AtomicBool> {
    let is_full = Arc::new(AtomicBool::new(true));
    let output = writing.output.as_mut().unwrap();
    output.file = Box::new(Bad {
        file: File::options().append(true).open(&output.path).unwrap(),
        is_full: Arc::clone(&is_full),
        can_be_mended,
    });
    is_full
}

/// Has a person told, and kept what of.
fn told(config: &mut TraceFileConfig) -> Arc<Mutex<Vec<String>>> {
    let told = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&told);
    config.on_notice = Arc::new(move |notice| {
        keep.lock().unwrap().push(match notice {
            TraceFileNotice::Failing { .. } => "failing".to_owned(),
            TraceFileNotice::Lost { events } => format!("lost {events}"),
        });
    });
    told
}

/// How often the counter had been read when it was written, by file, in the order they were begun; those that have an
/// end.
fn reads(directory: &Path) -> Vec<Vec<u64>> {
    let entries = fs::read_dir(directory).unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let files = paths.iter().filter_map(|path| {
        let events: Value = serde_json::from_slice(&fs::read(path).unwrap()).ok()?;
        let counters = events.as_array().unwrap().iter();
        let counters = counters.filter(|event| event["ph"] == "C");
        Some(
            counters
                .map(|event| event["args"]["1"].as_f64().unwrap() as u64)
                .collect(),
        )
    });
    files.collect()
}

#[test]
fn a_file_that_is_old_is_followed_by_another() {
    let hour = Duration::from_secs(3600);
    let moment = Duration::from_nanos(1);
    let directory = tempfile::tempdir().unwrap();
    let mut writing = writing(directory.path(), |config| config.file_time_max = hour);
    let began = writing.output.as_ref().unwrap().since;
    let mut empty = Buffer::default();
    for later in [moment, hour - moment, hour, 2 * hour - moment, 2 * hour] {
        empty = writing.pass(empty, false, began + later);
    }
    writing.pass(empty, true, began + 4 * hour);
    writing.finish();
    let expected = [vec![1, 2], vec![3, 4], vec![5], vec![6]];
    assert_eq!(reads(directory.path()), expected);
}

#[test]
fn durations_may_be_as_long_as_can_be() {
    let directory = tempfile::tempdir().unwrap();
    let mut writing = writing(directory.path(), |config| {
        config.counter_interval = Duration::MAX;
        config.file_time_max = Duration::MAX;
    });
    let now = Instant::now();
    let empty = writing.pass(Buffer::default(), false, now);
    writing.pass(empty, true, now + Duration::from_secs(1 << 31));
    writing.finish();
    assert_eq!(reads(directory.path()), [[1]]);
}

#[test]
fn a_name_that_was_lost_on_the_disk_is_written_with_what_comes_next() {
    for format in [TraceFileFormat::Json, TraceFileFormat::Perfetto] {
        let directory = tempfile::tempdir().unwrap();
        let mut writing = writing(directory.path(), |config| config.format = format);
        let is_full = make_bad(&mut writing, true);
        writing.shared.with_drawing(|drawing| {
            let bytes = ThreadName::to_bytes(7, "worker");
            drawing.thread(&ThreadName::parse(&bytes).unwrap());
        });
        let now = Instant::now();
        let empty = writing.pass(Buffer::default(), false, now);
        is_full.store(false, Ordering::Relaxed);
        let empty = writing.pass(empty, false, now);
        writing.pass(empty, true, now);
        let file = fs::read(&writing.output.as_ref().unwrap().path).unwrap();
        let names = |name| String::from_utf8_lossy(&file).matches(name).count();
        assert_eq!(names("worker"), 1, "{format}");
        if format == TraceFileFormat::Perfetto {
            // All names are said again, since some may have been in what was lost.
            assert_eq!(names("parent_span_id"), 2);
        }
    }
}

#[test]
fn nothing_follows_an_event_that_was_written_in_part() {
    let directory = tempfile::tempdir().unwrap();
    let mut writing = writing(directory.path(), |_| ());
    let is_full = make_bad(&mut writing, false);
    let torn = writing.output.as_ref().unwrap().path.clone();
    let now = Instant::now();
    let empty = writing.pass(Buffer::default(), false, now);
    is_full.store(false, Ordering::Relaxed);
    let before = fs::read(&torn).unwrap();
    let empty = writing.pass(empty, false, now);
    writing.pass(empty, true, now);
    writing.finish();
    assert_eq!(fs::read(&torn).unwrap(), before);
    assert_eq!(reads(directory.path()), [[2, 3]]);
}

/// What a person is told of a disk that is full at some of these passes, four a second.
fn told_of(passes: impl Iterator<Item = bool>) -> Vec<String> {
    let directory = tempfile::tempdir().unwrap();
    let mut told = None;
    let mut writing = writing(directory.path(), |config| {
        told = Some(self::told(config));
    });
    let is_full = make_bad(&mut writing, true);
    let (mut empty, mut now) = (Buffer::default(), Instant::now());
    for is_full_now in passes {
        is_full.store(is_full_now, Ordering::Relaxed);
        empty = writing.pass(empty, false, now);
        now += INTERVAL;
    }
    writing.finish();
    let told = told.unwrap();
    told.lock().unwrap().clone()
}

#[test]
fn a_disk_that_fails_every_other_time_is_spoken_of_once_a_minute_and_when_it_is_over() {
    const SECOND: usize = 4;
    let passes = (0..150 * SECOND).map(|pass| pass % 2 == 0);
    let quiet = std::iter::repeat_n(false, 10 * SECOND);
    let expected = [
        "failing", "lost 1", "failing", "lost 120", "failing", "lost 120", "lost 59",
    ];
    assert_eq!(told_of(passes.clone().chain(quiet)), expected);
    // It is over as well at the end.
    assert_eq!(told_of(passes), expected);
    // One that fails for long is spoken of once, and so it is where that was not said when it began.
    let long = || std::iter::repeat_n(true, 600 * SECOND);
    assert_eq!(told_of(long()), ["failing", "lost 2400"]);
    let twice = [true, false].into_iter().chain(long());
    let expected = ["failing", "lost 1", "failing", "lost 2400"];
    assert_eq!(told_of(twice), expected);
}

#[test]
fn whoever_is_told_may_panic() {
    let directory = tempfile::tempdir().unwrap();
    let mut writing = writing(directory.path(), |config| {
        config.on_notice = Arc::new(|_| resume_unwind(Box::new(())));
    });
    let is_full = make_bad(&mut writing, true);
    let now = Instant::now();
    let empty = writing.pass(Buffer::default(), false, now);
    is_full.store(false, Ordering::Relaxed);
    writing.pass(empty, true, now);
    writing.finish();
    assert_eq!(reads(directory.path()), [[2]]);
}
