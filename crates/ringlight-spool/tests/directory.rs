//! What a spool makes in a real directory, and what it refuses.

#![expect(
    clippy::unwrap_used,
    reason = "a test may stop at the first thing that is wrong"
)]

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use ringlight_spool::{Entry, LogOptions, Spool, SpoolError};

const ENTRY: Entry<'static> = Entry {
    process: "p",
    sequence: 1,
    records: 3,
    note: "",
    bytes: b"batch",
};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn fault_23_directories_and_files_are_for_the_owner_alone() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("a/spool");
    let spool = Spool::open(&root).unwrap();
    let (mut log, _) = spool
        .log("http://host:4317", "traces", LogOptions::default())
        .unwrap();
    log.append(&[ENTRY], 1, 1).unwrap();
    log.checkpoint().unwrap();
    let mut seen = 0;
    let mut left = vec![root.clone()];
    while let Some(path) = left.pop() {
        let expected = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&path), expected, "{}", path.display());
        seen += 1;
        if path.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        }
    }
    assert!(seen >= 5, "{seen}");
    assert_eq!(spool.destinations().unwrap(), ["http%3a%2f%2fhost%3a4317"]);
}

#[test]
fn fault_23_symbolic_links_and_shared_directories_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let real = dir.path().join("real");
    let spool = Spool::open(&real).unwrap();
    drop(spool);
    let check = |path: &Path, expected: &str| {
        let error = Spool::open(path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert!(error.contains(path.to_str().unwrap()), "{error}");
    };
    let link = dir.path().join("link");
    symlink(&real, &link).unwrap();
    check(&link, "symbolic link");
    let shared = dir.path().join("shared");
    fs::create_dir(&shared).unwrap();
    fs::set_permissions(&shared, Permissions::from_mode(0o1777)).unwrap();
    check(&shared, "everybody shares it");
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    check(&file, "hint: a file is in the way: name a directory");
    check(
        &file.join("in"),
        "hint: a file is in the way: name a directory",
    );
    // Where nobody can make files, whoever it is.
    check(Path::new("/proc"), "hint: name a directory in which");

    // In a spool as well, whatever is made there.
    let spool = Spool::open(&real).unwrap();
    let elsewhere = dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, real.join("there")).unwrap();
    let error = spool
        .log("there", "traces", LogOptions::default())
        .unwrap_err();
    assert!(error.to_string().contains("symbolic link"), "{error}");
    let open = real.join("open");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, Permissions::from_mode(0o755)).unwrap();
    let error = spool
        .log("open", "traces", LogOptions::default())
        .unwrap_err();
    assert!(error.to_string().contains("chmod 700"), "{error}");
    let (log, _) = spool.log("d", "traces", LogOptions::default()).unwrap();
    drop(log);
    let target = dir.path().join("target");
    fs::write(&target, "x").unwrap();
    symlink(&target, real.join("d/traces/00000000000000000001.segment")).unwrap();
    let (mut log, recovered) = spool.log("d", "traces", LogOptions::default()).unwrap();
    assert_eq!(recovered.ignored.len(), 1, "{recovered:?}");
    // Its name is taken, and what it leads to is left alone.
    log.append(&[ENTRY], 0, 1).unwrap();
    assert_eq!(fs::read(&target).unwrap(), b"x");
}

#[test]
fn fault_20_a_directory_of_another_process_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("spool");
    let spool = Spool::open(&root).unwrap();
    let (log, _) = spool.log("d", "traces", LogOptions::default()).unwrap();
    let error = Spool::open(&root).unwrap_err();
    let own = std::process::id();
    assert!(matches!(error, SpoolError::Locked { pid: Some(pid), .. } if pid == own));
    assert!(error.to_string().contains(&format!("process {own}")));
    drop(spool);
    drop(log);
    Spool::open(&root).unwrap();
}

#[test]
fn the_salt_of_a_segment_does_not_follow_from_what_the_application_seeds() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path()).unwrap();
    let salt = |signal: &str| {
        fastrand::seed(7);
        let (mut log, _) = spool.log("d", signal, LogOptions::default()).unwrap();
        log.append(&[ENTRY], 0, 1).unwrap();
        let name = "00000000000000000001.segment";
        fs::read(dir.path().join("d").join(signal).join(name)).unwrap()[20..28].to_vec()
    };
    assert_ne!(salt("traces"), salt("logs"));
}
