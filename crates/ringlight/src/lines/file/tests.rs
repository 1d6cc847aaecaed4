use std::cell::Cell;
use std::time::Duration;

use super::*;
use crate::LogRotation;

thread_local! {
    static NOW_SECS: Cell<u64> = const { Cell::new(0) };
}

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(NOW_SECS.get())
}

struct Fixture {
    dir: tempfile::TempDir,
    file: RotatingFile,
}

fn fixture(change: impl FnOnce(&mut LogFile)) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let mut config = LogFile::new(dir.path().join("logs").join("shop.jsonl"));
    change(&mut config);
    let mut file = RotatingFile::new(config, Notices::default());
    file.now = now;
    Fixture { dir, file }
}

impl Fixture {
    fn path(&self) -> PathBuf {
        self.dir.path().join("logs").join("shop.jsonl")
    }

    fn put(&mut self, text: &str) {
        self.file.write_all(text.as_bytes()).unwrap();
    }

    /// Another process with the same settings.
    fn restart(&mut self) {
        self.file.open = None;
    }

    /// Names and contents of the files, by name.
    fn files(&self) -> Vec<(String, String)> {
        let entries = fs::read_dir(self.dir.path().join("logs")).unwrap();
        let mut files: Vec<_> = entries
            .map(|entry| {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                (name, fs::read_to_string(entry.path()).unwrap())
            })
            .collect();
        files.sort();
        files
    }

    fn contents(&self) -> Vec<String> {
        self.files().into_iter().map(|(_, text)| text).collect()
    }
}

#[test]
fn a_full_file_gives_way_at_the_end_of_a_line_and_the_oldest_go() {
    let mut fixture = fixture(|file| {
        file.bytes_max = 8;
        file.files_kept = 2;
    });
    NOW_SECS.set(1_793_326_500);
    fixture.put("one\ntwo\nthree\n");
    fixture.put("4\n");
    assert_eq!(fixture.contents(), ["three\n4\n", "one\ntwo\n"]);
    // A line that is longer than any file may be has one of its own.
    fixture.put("a very long one\n  with more\n5\n6\n7\n8\n9\n");
    let files = fixture.files();
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    let expected = [
        "shop.jsonl",
        "shop.jsonl.2026-10-30T02-15-00.000002Z",
        "shop.jsonl.2026-10-30T02-15-00.000003Z",
    ];
    assert_eq!(names, expected);
    let contents = ["9\n", "a very long one\n  with more\n", "5\n6\n7\n8\n"];
    let contents = contents.map(str::to_owned);
    assert!(
        contents
            .iter()
            .all(|text| fixture.contents().contains(text)),
        "{files:?}"
    );
}

#[test]
fn a_file_gives_way_with_the_hour_and_the_day_also_when_the_process_starts_anew() {
    let check = |rotation, within: u64, later: u64| {
        let mut fixture = fixture(|file| file.rotation = rotation);
        // What the file system says of a file's time is the real one.
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let begin = started.as_secs() / later * later;
        NOW_SECS.set(begin);
        fixture.put("one\n");
        NOW_SECS.set(begin + within);
        fixture.put("two\n");
        NOW_SECS.set(begin + later);
        fixture.put("three\n");
        assert_eq!(fixture.contents(), ["three\n", "one\ntwo\n"]);

        // As if that were of an hour or a day ago.
        let file = File::options().append(true).open(fixture.path()).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(begin - 1))
            .unwrap();
        fixture.restart();
        fixture.put("four\n");
        assert_eq!(fixture.files().len(), 3);
        assert_eq!(fixture.contents()[0], "four\n");
    };
    check(LogRotation::Hourly, 3_599, 3_600);
    check(LogRotation::Daily, 86_399, 86_400);
}

#[test]
fn without_files_to_keep_the_old_one_is_gone() {
    let mut fixture = fixture(|file| {
        file.bytes_max = 4;
        file.files_kept = 0;
    });
    fixture.put("one\ntwo\n");
    assert_eq!(fixture.contents(), ["two\n"]);
}

#[test]
fn only_files_with_a_time_behind_the_name_are_removed() {
    let mut fixture = fixture(|file| {
        file.bytes_max = 4;
        file.files_kept = 0;
    });
    fixture.put("one\n");
    for name in [
        "shop.jsonl.bak",
        "shop.jsonl.2026-10-29",
        "shop.jsonl2.2026-10-29T21-35-00.000001Z",
    ] {
        fs::write(fixture.path().with_file_name(name), "mine\n").unwrap();
    }
    fixture.put("two\nthree\n");
    assert_eq!(fixture.files().len(), 4);
}

#[cfg(unix)]
#[test]
fn files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let mut fixture = fixture(|file| file.bytes_max = 4);
    fixture.put("one\ntwo\n");
    let dir = fixture.dir.path().join("logs");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    for (name, _) in fixture.files() {
        assert_eq!(mode(&dir.join(name)), 0o600);
    }
}

#[test]
fn a_file_that_was_moved_removed_or_truncated_by_others_is_found_again() {
    let mut fixture = fixture(|_| {});
    fixture.put("one\n");
    fs::rename(
        fixture.path(),
        fixture.path().with_file_name("shop.jsonl.1"),
    )
    .unwrap();
    fixture.put("two\n");
    assert_eq!(fixture.contents(), ["two\n", "one\n"]);
    fs::remove_file(fixture.path()).unwrap();
    fixture.put("three\n");
    assert_eq!(fixture.contents()[0], "three\n");
    // `copytruncate`: no hole is left at the beginning.
    let file = File::options().write(true).open(fixture.path()).unwrap();
    file.set_len(0).unwrap();
    fixture.put("four\n");
    assert_eq!(fixture.contents()[0], "four\n");
}

#[test]
fn a_line_that_a_killed_process_left_unfinished_spoils_no_other() {
    let check = |format: LogFormat, left: &str, expected: &str| {
        let mut fixture = fixture(|file| file.format = format);
        fixture.put("first\n");
        fixture.restart();
        fs::write(fixture.path(), left).unwrap();
        fixture.put("new\n");
        assert_eq!(fixture.contents(), [expected]);
    };
    let whole = "{\"timestamp\":\"1\"}\n";
    let json = LogFormat::Json;
    check(json, whole, &format!("{whole}new\n"));
    check(
        json,
        &format!("{whole}{{\"timestamp\":\"2"),
        &format!("{whole}new\n"),
    );
    check(json, "{\"timestamp\":\"2", "new\n");
    // Whose that is nobody knows.
    check(json, "something", "something\nnew\n");
    check(LogFormat::Text, "2026-10", "2026-10\nnew\n");
    check(json, "", "new\n");
}

#[test]
fn where_nothing_can_be_written_lines_are_counted_and_it_goes_on_later() {
    let mut fixture = fixture(|_| {});
    // Its directory cannot be made while a file has that name.
    let dir = fixture.dir.path().join("logs");
    fs::write(&dir, "").unwrap();
    fixture.put("one\n  more of it\ntwo\n");
    fixture.put("three\n");
    assert_eq!(fixture.file.lost_count, Some(3));
    fs::remove_file(&dir).unwrap();
    fixture.put("four\n");
    assert_eq!(fixture.file.lost_count, None);
    assert_eq!(fixture.contents(), ["four\n"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_survived() {
    let mut fixture = fixture(|_| {});
    fs::create_dir(fixture.dir.path().join("logs")).unwrap();
    std::os::unix::fs::symlink("/dev/full", fixture.path()).unwrap();
    fixture.put("one\n");
    fixture.put("two\n");
    assert_eq!(fixture.file.lost_count, Some(2));
    fs::remove_file(fixture.path()).unwrap();
    fixture.put("three\n");
    assert_eq!(fixture.contents(), ["three\n"]);
}
