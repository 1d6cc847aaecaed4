//! A start without room for it, with the real process on a real file system.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::common::{Backend, FREE_PORTS, request, spans_of, text, trace_request, until};

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

/// Starts `up` on a disk of its own, which every line on standard input fills and empties in turn.
const FILL_SCRIPT: &str = r#"
    disk=$1 binary=$2
    shift 2
    mount -t tmpfs -o size=4m tmpfs "$disk" || exit 99
    "$binary" up --json --data-dir "$disk/data" "$@" &
    while read -r line; do
        cat /dev/zero > "$disk/filler" 2> /dev/null
        read -r line
        rm "$disk/filler"
    done
    kill $!
    wait $!
"#;

/// A script in namespaces of its own, so that neither mounts nor processes are left behind.
fn script(script: &str, mount_point: &Path) -> Command {
    let mut command = Command::new("unshare");
    if !rustix::process::getuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command
        .args(["--mount", "--pid", "--fork", "--kill-child"])
        .args(["sh", "-c", script, "sh"])
        .arg(mount_point)
        .stdin(Stdio::null());
    command
}

fn up_on_a_disk(mount_point: &Path, free_kib: u64) -> Output {
    script(SCRIPT, mount_point)
        .arg(free_kib.to_string())
        .arg(env!("CARGO_BIN_EXE_ringlight"))
        .args(FREE_PORTS)
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
            "cannot mount a tmpfs in namespaces, which this test needs: run it as root, or where \
             `unshare --user --map-root-user --mount --pid --fork` is allowed; {stderr}"
        );
        let disk = mount_point.path().display();
        assert_eq!(output.status.code(), Some(4), "{free_kib} KiB: {stderr}");
        let lines: Vec<&str> = stderr.lines().collect();
        let expected = format!("error: the disk of `{disk}/data` is full");
        assert_eq!(lines[0], expected, "{free_kib} KiB");
        assert!(lines[1].starts_with("hint: make room"), "{stderr}");
    }
}

#[test]
fn fault_29_a_disk_that_fills_up_refuses_requests_until_there_is_room() {
    let mount_point = tempfile::tempdir().unwrap();
    let mut command = script(FILL_SCRIPT, mount_point.path());
    command
        .arg(env!("CARGO_BIN_EXE_ringlight"))
        .args(FREE_PORTS)
        .stdin(Stdio::piped());
    let mut backend = Backend::spawn(command);
    let mut turn = {
        let mut stdin = backend.child.stdin.take().unwrap();
        move || stdin.write_all(b"\n").unwrap()
    };
    let mut traces = 1_u128..;
    let mut kept = Vec::new();
    // One more trace; why it was refused, if it was.
    let mut send = |backend: &Backend| {
        let trace = traces.next().unwrap();
        let body = trace_request("full", trace, 20);
        let headers = [("Content-Type", "application/x-protobuf")];
        let (status, answer) =
            request(backend.http, "POST", "/v1/traces", &headers, &body).unwrap();
        if status == 200 {
            kept.push(trace);
            return None;
        }
        assert_eq!(status, 503, "{}", text(&answer));
        Some(text(&answer))
    };
    assert_eq!(send(&backend), None);
    for _ in 0..3 {
        turn();
        let refused = until("a request is refused", || send(&backend));
        assert!(refused.contains("disk is full"), "{refused}");
        let found = backend.get("/api/v1/traces?limit=1");
        assert_eq!(found["traces"].as_array().unwrap().len(), 1);
        turn();
        until("a request is taken again", || {
            send(&backend).is_none().then_some(())
        });
    }
    let refused = backend.get("/api/v1/status")["refused_requests"].clone();
    assert!(refused["disk_full"].as_u64() >= Some(3), "{refused}");
    assert_eq!(refused.as_object().unwrap().len(), 1, "{refused}");
    for trace in kept {
        assert_eq!(spans_of(&backend, trace), Some(20), "{trace}");
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
