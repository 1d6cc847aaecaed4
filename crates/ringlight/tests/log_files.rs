//! Log lines in a file, beside those for people.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringlight::{Builder, LogColor, LogFile, LogFormat};
use serde_json::Value;
use tracing::{info, info_span};

const LONG: Duration = Duration::from_secs(20);

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn run(builder: Builder, body: impl FnOnce()) {
    let none: [(&str, &str); 0] = [];
    let (dispatch, telemetry) = builder.environment(none).build().unwrap();
    tracing::dispatcher::with_default(&dispatch, body);
    telemetry.shutdown(LONG);
}

/// The objects in a file.
fn objects(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn lines_for_people_and_a_file_of_json_go_side_by_side() {
    let (lines, dir) = (Lines::default(), tempfile::tempdir().unwrap());
    let path = dir.path().join("new").join("shop.jsonl");
    let builder = ringlight::builder()
        .log_format(LogFormat::Pretty)
        .log_color(LogColor::Always)
        .log_writer(lines.clone())
        .log_file(&path);
    run(builder, || {
        info_span!("order", id = 7).in_scope(|| info!(count = 3, "placed"));
    });
    let text = lines.text();
    assert!(text.contains("\u{1b}[32m  INFO \u{1b}[0m"), "{text}");
    assert!(text.contains("tests/log_files.rs:"), "{text}");
    let [object] = &objects(&path)[..] else {
        panic!("there is one event");
    };
    assert_eq!(object["message"], "placed");
    assert_eq!(object["spans"][0]["name"], "order");
    assert_eq!(object["trace_id"].as_str().unwrap().len(), 32);
    assert_eq!(object["span_id"].as_str().unwrap().len(), 16);
    assert!(!std::fs::read_to_string(&path).unwrap().contains('\u{1b}'));
}

#[test]
fn a_file_that_is_full_gives_way_and_no_line_is_lost_or_torn() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("shop.jsonl");
    let mut file = LogFile::new(&path);
    file.bytes_max = 64 * 1024;
    file.files_kept = 100;
    let builder = ringlight::builder()
        .log_format(LogFormat::Off)
        .log_spans(false)
        .log_file(file);
    run(builder, || {
        for number in 0..2_000 {
            info!(number, padding = "x".repeat(100), "an event");
        }
    });
    let mut files: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    // Those that gave way first, by their time; the one that is written to has none.
    files.sort_by_key(|path| (path.extension().is_some_and(|e| e == "jsonl"), path.clone()));
    assert!(files.len() > 4, "{files:?}");
    let sizes = files
        .iter()
        .map(|path| std::fs::metadata(path).unwrap().len());
    assert!(sizes.into_iter().all(|bytes| bytes <= 64 * 1024));
    let numbers = files.iter().flat_map(|path| objects(path));
    let numbers: Vec<_> = numbers
        .map(|o| o["fields"]["number"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, (0..2_000).collect::<Vec<_>>());
}
