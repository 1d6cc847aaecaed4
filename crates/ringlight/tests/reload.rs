//! A file of settings that changes while telemetry runs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ringlight::Telemetry;
use tracing::Dispatch;

const LONG: Duration = Duration::from_secs(60);

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Started {
    dispatch: Dispatch,
    telemetry: Telemetry,
    lines: Lines,
}

fn started(file: &Path, watch: bool) -> Started {
    let lines = Lines::default();
    let (dispatch, telemetry) = ringlight::builder()
        .environment([("", ""); 0])
        .config_file(file)
        .watch_config_file(watch)
        .log_writer(lines.clone())
        .build()
        .unwrap();
    Started {
        dispatch,
        telemetry,
        lines,
    }
}

impl Started {
    /// The lines of one event at level info and one at debug, each with a card's number and a pin.
    fn lines(&self) -> String {
        tracing::dispatcher::with_default(&self.dispatch, || {
            tracing::info!(pin = 4711, "paid with 4012 8888 8888 1881");
            tracing::debug!("looked closely");
        });
        self.telemetry.flush(LONG).unwrap();
        let bytes = std::mem::take(&mut *self.lines.0.lock().unwrap());
        String::from_utf8(bytes).unwrap()
    }
}

#[test]
fn a_change_of_the_file_is_seen_and_takes_effect() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("shop.toml");
    std::fs::write(&file, "[telemetry]\nfilter = \"info\"\n").unwrap();
    let started = started(&file, true);
    let before = started.lines();
    assert!(
        before.contains("4012 8888 8888 1881") && !before.contains("looked"),
        "{before}"
    );
    let text = "[telemetry]\nfilter = \"debug\"\nredact = \"standard\"\nredact_keys = [\"pin\"]\n";
    std::fs::write(&file, text).unwrap();
    let until = Instant::now() + LONG;
    while !started.lines().contains("looked closely") {
        assert!(Instant::now() < until, "the change is not seen");
        std::thread::sleep(Duration::from_millis(50));
    }
    // The collector was told of the redaction first, and has flushed since.
    let after = started.lines();
    assert!(
        !after.contains("4012") && !after.contains("4711"),
        "{after}"
    );
    let counts = started.telemetry.processing_counts();
    let rules: Vec<_> = counts.iter().map(|count| count.rule.as_str()).collect();
    assert!(
        rules.contains(&"key pin") && rules.contains(&"card_numbers"),
        "{rules:?}"
    );

    // Nothing looks at a file when telemetry has ended.
    #[cfg(target_os = "linux")]
    {
        assert_eq!(watching_threads(), 1);
        started.telemetry.shutdown(LONG);
        let until = Instant::now() + LONG;
        while watching_threads() > 0 {
            assert!(Instant::now() < until, "it is still looked at");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn a_file_that_is_not_watched_is_read_again_when_somebody_asks() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("shop.toml");
    std::fs::write(&file, "[telemetry]\nredact = \"standard\"\n").unwrap();
    let started = started(&file, false);
    assert!(!started.lines().contains("4012"));
    std::fs::write(
        &file,
        "[telemetry]\nsample_rate = 0.5\nspool_mode = \"always\"\n",
    )
    .unwrap();
    let reloaded = started.telemetry.controls().reload().unwrap();
    assert_eq!(reloaded.in_effect, ["sample_rate", "redact"]);
    assert_eq!(reloaded.needs_restart, ["spool_mode"]);
    assert!(started.lines().contains("4012 8888 8888 1881"));
    // After the end nothing is redacted that could be changed.
    started.telemetry.shutdown(LONG);
    std::fs::write(&file, "[telemetry]\nredact = \"standard\"\n").unwrap();
    let reloaded = started.telemetry.controls().reload().unwrap();
    assert_eq!(reloaded.held, ["redact"]);
}

/// The threads that watch a file. Of their names the system keeps fifteen letters.
#[cfg(target_os = "linux")]
fn watching_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names
        .filter(|name| name.trim() == "ringlight-confi")
        .count()
}
