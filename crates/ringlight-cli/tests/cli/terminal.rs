//! On a terminal: a real one, of the kind a terminal emulator opens.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::common::{FREE_PORTS, PATIENCE, ringlight, send, wait};

/// A process on a terminal of its own.
struct OnTerminal {
    child: Child,
    terminal: File,
    shown: String,
}

impl OnTerminal {
    fn start(program: &Command) -> Self {
        Self::start_in(program, 0)
    }

    /// In a window of so many columns; 0 where the terminal does not say.
    fn start_in(program: &Command, columns: u16) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let size = Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&master, size).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = OpenOptions::new()
            .read(true)
            .write(true)
            .open(name.to_str().unwrap())
            .unwrap();
        let stream = || OwnedFd::from(slave.try_clone().unwrap());
        let mut command = Command::new("setsid");
        command
            .arg("--ctty")
            .arg(program.get_program())
            .args(program.get_args())
            .env("TERM", "xterm")
            .env_remove("NO_COLOR");
        for (name, value) in program.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let child = command
            .stdin(stream())
            .stdout(stream())
            .stderr(stream())
            .spawn()
            .unwrap();
        Self {
            child,
            terminal: File::from(master),
            shown: String::new(),
        }
    }

    /// Reads what is shown until it contains `text`.
    fn wait_for(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        let mut buffer = [0; 4096];
        while !self.shown.contains(text) {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).unwrap();
            let mut readable = [PollFd::new(&self.terminal, PollFlags::IN)];
            let is_readable = poll(&mut readable, Some(&left)).unwrap() > 0;
            // The terminal fails to be read once nothing has it open any more.
            let count = if is_readable {
                self.terminal.read(&mut buffer).unwrap_or(0)
            } else {
                0
            };
            assert!(count > 0, "waited in vain for `{text}` in: {}", self.shown);
            self.shown
                .push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    }

    /// Reads what is shown until the program has ended.
    fn wait_for_end(&mut self) {
        let mut rest = Vec::new();
        // Linux has an error where nobody has the terminal open any more.
        let _ = self.terminal.read_to_end(&mut rest);
        self.shown.push_str(&String::from_utf8_lossy(&rest));
    }

    fn press_ctrl_c(&mut self) {
        self.terminal.write_all(b"\x03").unwrap();
    }
}

impl Drop for OnTerminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn up(data_dir: &std::path::Path, script: &str) -> Command {
    let mut command = ringlight();
    command
        .args(["up", "--data-dir"])
        .arg(data_dir)
        .args(FREE_PORTS)
        .args(["--", "sh", "-c", script]);
    command
}

#[test]
fn the_backend_stays_after_the_program_until_ctrl_c() {
    let data_dir = tempfile::tempdir().unwrap();
    let mut up = OnTerminal::start(&up(data_dir.path(), "echo hello; exit 5"));
    up.wait_for("hello");
    up.wait_for("ended with exit code 5");
    up.wait_for("until Ctrl-C");
    assert_eq!(up.child.try_wait().unwrap(), None);
    up.press_ctrl_c();
    assert_eq!(wait(&mut up.child).code(), Some(5));
}

#[test]
fn ctrl_c_reaches_the_program_once() {
    let data_dir = tempfile::tempdir().unwrap();
    // A shell counts a signal whenever it comes only while it waits for a child, so it never waits
    // for anything else; it ends when told by a file, not by what it has counted.
    let end = data_dir.path().join("end");
    let script = format!(
        "count=0; trap 'count=$((count+1)); echo interrupted $count' INT; echo ready; \
         while [ ! -e '{}' ]; do sleep 0.02; done; exit 3",
        end.display()
    );
    let mut up = OnTerminal::start(&up(data_dir.path(), &script));
    up.wait_for("ready");
    for count in 1..=3 {
        up.press_ctrl_c();
        up.wait_for(&format!("interrupted {count}"));
    }
    std::fs::write(end, "").unwrap();
    up.wait_for("ended with exit code 3");
    up.press_ctrl_c();
    assert_eq!(wait(&mut up.child).code(), Some(3));
    assert_eq!(up.shown.matches("interrupted").count(), 3, "{}", up.shown);
}

#[test]
fn the_ctrl_c_that_ends_the_program_does_not_end_the_backend() {
    let data_dir = tempfile::tempdir().unwrap();
    let mut up = OnTerminal::start(&up(data_dir.path(), "echo ready; exec sleep 60"));
    up.wait_for("ready");
    up.press_ctrl_c();
    up.wait_for("until Ctrl-C");
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(up.child.try_wait().unwrap(), None, "{}", up.shown);
    up.press_ctrl_c();
    assert_eq!(wait(&mut up.child).code(), Some(130));
}

#[test]
fn a_signal_to_end_ends_the_backend_with_the_program() {
    let data_dir = tempfile::tempdir().unwrap();
    let mut up = OnTerminal::start(&up(data_dir.path(), "echo ready; exec sleep 60"));
    up.wait_for("ready");
    send(&up.child, Signal::TERM);
    assert_eq!(wait(&mut up.child).code(), Some(143));
    assert!(!up.shown.contains("until Ctrl-C"), "{}", up.shown);
}

#[test]
fn the_demo_shows_its_progress_and_its_account() {
    let data_dir = tempfile::tempdir().unwrap();
    let mut command = ringlight();
    command
        .args(["demo", "--data-dir"])
        .arg(data_dir.path())
        .args(FREE_PORTS);
    let mut demo = OnTerminal::start(&command);
    demo.wait_for("spans and");
    demo.wait_for("on disk");
    demo.press_ctrl_c();
    demo.wait_for("submitted was stored");
    let code = wait(&mut demo.child).code();
    assert_eq!(code, Some(0), "{}", demo.shown);
}

#[test]
fn no_color_is_respected() {
    for (value, coloured) in [("", true), ("1", false)] {
        let mut command = ringlight();
        command.args(["up", "--listen", "0.0.0.0"]);
        let mut up = OnTerminal::start(command.env("NO_COLOR", value));
        up.wait_for("hint:");
        assert_eq!(up.shown.contains("\x1b[1;31m"), coloured, "{:?}", up.shown);
    }
}

#[test]
fn a_table_keeps_within_the_window() {
    let directory = tempfile::tempdir().unwrap();
    let name = "n".repeat(90);
    let mut command = ringlight();
    command
        .args(["config", "show"])
        .env("OTEL_SERVICE_NAME", &name);
    let command = command.current_dir(directory.path());
    let mut wide = OnTerminal::start(command);
    wide.wait_for(&format!("{name}  "));
    let mut narrow = OnTerminal::start_in(command, 90);
    narrow.wait_for_end();
    let table = narrow.shown.lines().map(str::trim_end);
    let table = table.skip_while(|line| !line.starts_with("SETTING"));
    let widest = table.map(|line| line.chars().count()).max();
    assert_eq!(widest, Some(90), "{}", narrow.shown);
}
