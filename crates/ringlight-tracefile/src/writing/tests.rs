use std::fs;
use std::path::Path;

use serde_json::Value;

use super::*;

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
