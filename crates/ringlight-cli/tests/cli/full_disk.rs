//! A start without room for it, with the real process on a real file system.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::common::{FREE_PORTS, text};

/// Starts `up` on a disk with so many KiB free, then makes room and starts it again. Exits with 99
/// if there is no such disk, and with 98 if it does not start once there is room.
const SCRIPT: &str = r#"
    disk=$1 free=$2 binary=$3
    shift 3
    mount -t tmpfs -o size=2m tmpfs "$disk" || exit 99
    head -c $(( (2048 - free) * 1024 )) /dev/zero > "$disk/filler" || exit 99
    "$binary" up --data-dir "$disk/data" "$@" -- true
    code=$?
    rm "$disk/filler"
    "$binary" up --data-dir "$disk/data" "$@" -- true || exit 98
    exit $code
"#;

/// In a mount namespace of its own, so that nothing is left behind.
fn up_on_a_disk(mount_point: &Path, free_kib: u64) -> Output {
    let namespaces: &[&str] = if rustix::process::getuid().is_root() {
        &["--mount"]
    } else {
        &["--user", "--map-root-user", "--mount"]
    };
    Command::new("unshare")
        .args(namespaces)
        .args(["sh", "-c", SCRIPT, "sh"])
        .arg(mount_point)
        .arg(free_kib.to_string())
        .arg(env!("CARGO_BIN_EXE_ringlight"))
        .args(FREE_PORTS)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("this test needs `unshare`, of util-linux: {error}"))
}

#[test]
fn fault_29_a_full_disk_at_the_start_is_told_as_such_and_harms_nothing() {
    let mount_point = tempfile::tempdir().unwrap();
    for free_kib in [4, 20, 60, 100, 140] {
        let output = up_on_a_disk(mount_point.path(), free_kib);
        let stderr = text(&output.stderr);
        assert!(
            !stderr.contains("unshare: ") && output.status.code() != Some(99),
            "cannot mount a tmpfs in a mount namespace, which this test needs: run it as root, or \
             where `unshare --user --map-root-user --mount` is allowed; {stderr}"
        );
        let disk = mount_point.path().display();
        assert_eq!(output.status.code(), Some(4), "{free_kib} KiB: {stderr}");
        let lines: Vec<&str> = stderr.lines().collect();
        let expected = format!("error: the disk of `{disk}/data` is full");
        assert_eq!(lines[0], expected, "{free_kib} KiB");
        assert!(lines[1].starts_with("hint: make room"), "{stderr}");
    }
}

/// The same calls of the system fail, for another reason, which is told once.
#[test]
fn a_limit_on_the_size_of_files_is_one_error() {
    let data_dir = tempfile::tempdir().unwrap();
    let output = Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 16; exec \"$@\"", "sh"])
        .arg(env!("CARGO_BIN_EXE_ringlight"))
        .args(["up", "--data-dir"])
        .arg(data_dir.path())
        .args(FREE_PORTS)
        .args(["--", "true"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{stderr}");
    assert!(
        lines[0].ends_with("catalogue.db`: disk I/O error"),
        "{stderr}"
    );
    assert!(lines[1].starts_with("hint: "), "{stderr}");
}
