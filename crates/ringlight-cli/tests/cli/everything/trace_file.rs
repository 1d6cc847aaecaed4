//! What is in a trace file of an application.

use std::collections::BTreeSet;

use serde_json::Value;

/// What each of them has, by phase and what of its name or category is the same in all: slices, lives, log records, arrows
/// from one time that a future is polled to the next.
const EVENTS: [(&str, &str, &str); 6] = [
    ("X", "name", ""),
    ("b", "name", ""),
    ("e", "name", ""),
    ("i", "name", ""),
    ("s", "cat", "flow"),
    ("t", "cat", "flow"),
];

/// Counters that each of them has.
const COUNTERS: [&str; 5] = [
    "CPU",
    "memory",
    "threads",
    "open files",
    "channel stop (watch)",
];

/// Whether a trace file is of a process of this name.
pub(super) fn is_of(file: &Value, process: &str) -> bool {
    let mut names = events(file, "M").filter(|event| event["name"] == "process_name");
    names.any(|event| event["args"]["name"] == process)
}

/// All kinds of events are in it, and each span that is open is closed.
#[track_caller]
pub(super) fn check(file: &Value, process: &str) {
    for (phase, key, begins) in EVENTS {
        let mut found = events(file, phase).filter_map(|event| event[key].as_str());
        let has = found.any(|text| text.starts_with(begins));
        assert!(has, "{process}: no `{phase}`");
    }
    let counters: BTreeSet<&str> = events(file, "C")
        .filter_map(|event| event["name"].as_str())
        .collect();
    for name in COUNTERS {
        assert!(
            counters.contains(name),
            "{process}: no `{name}` in {counters:?}"
        );
    }
    // A life has an end.
    let lives = |phase| {
        let of_phase = events(file, phase).map(|event| event["id2"].to_string());
        of_phase.collect::<BTreeSet<_>>()
    };
    assert_eq!(lives("b"), lives("e"), "{process}");
}

fn events<'a>(file: &'a Value, phase: &'a str) -> impl Iterator<Item = &'a Value> {
    let events = file.as_array().unwrap().iter();
    events.filter(move |event| event["ph"] == phase)
}
