//! One step of a task: a command whose output is shown, read for counts, and judged by its exit.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::report::Count;

/// How long a step may take before it counts as hanging: several times the longest one, a build from
/// nothing on a busy machine.
const LIMIT: Duration = Duration::from_secs(30 * 60);

/// Runs commands one after the other and keeps the books.
#[derive(Debug)]
pub(crate) struct Steps {
    root: PathBuf,
    target: PathBuf,
    count: Count,
    done: Vec<(String, u64)>,
    /// What failed, where that does not end the task.
    failed: Option<Vec<String>>,
}

/// What a task ends with: a sentence for the person who called it.
pub(crate) type Outcome = Result<(), String>;

impl Steps {
    /// Starts in the root of the workspace.
    pub(crate) fn new() -> Result<Self, String> {
        let manifest_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = manifest_dir.parent().unwrap_or(manifest_dir).to_owned();
        let target = target(&root)?;
        Ok(Self {
            root,
            target,
            count: Count::default(),
            done: Vec::new(),
            failed: None,
        })
    }

    /// Goes on after a step that failed, if asked: the task fails at its end.
    pub(crate) fn keep_going(mut self, is_asked: bool) -> Self {
        self.failed = is_asked.then(Vec::new);
        self
    }

    /// The root of the workspace.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where cargo puts what it builds, wherever that was configured.
    pub(crate) fn target(&self) -> &Path {
        &self.target
    }

    /// Runs `cargo` with arguments; see [`run`](Self::run).
    pub(crate) fn cargo(&mut self, title: &str, args: &[&str]) -> Outcome {
        self.run(title, Command::new(env!("CARGO")).args(args))
    }

    /// Runs a command in the root unless it has a folder of its own, shows its output line by line,
    /// adds up the tests it reports, and stops it when it hangs.
    pub(crate) fn run(&mut self, title: &str, command: &mut Command) -> Outcome {
        println!("\n==> {title}");
        let began = Instant::now();
        if command.get_current_dir().is_none() {
            command.current_dir(&self.root);
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command
            .spawn()
            .map_err(|e| format!("`{}` does not start: {e}", program(command)))?;
        let lines = lines(child.stdout.take());
        loop {
            match lines.recv_timeout(LIMIT.saturating_sub(began.elapsed())) {
                Ok(line) => {
                    println!("{line}");
                    self.count.read_line(&line);
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    kill_with_descendants(child.id());
                    let _ = child.wait();
                    self.summary();
                    return Err(format!(
                        "{title} was stopped after {} minutes; the last lines above say where it \
                         hangs\nhint: run it alone: {}",
                        LIMIT.as_secs() / 60,
                        shown(command)
                    ));
                }
            }
        }
        let status = child.wait().map_err(|e| format!("{title}: {e}"))?;
        self.done
            .push((title.to_owned(), began.elapsed().as_secs()));
        if status.success() {
            return Ok(());
        }
        let failure = format!(
            "{title} failed ({status})\nhint: run it alone: {}",
            shown(command)
        );
        if let Some(failed) = &mut self.failed {
            eprintln!("\nerror: {failure}");
            failed.push(failure);
            return Ok(());
        }
        self.summary();
        Err(failure)
    }

    /// Ends the task: prints how long each step took and the line that counts the tests, and tells what failed.
    pub(crate) fn finish(self) -> Outcome {
        self.summary();
        match self.failed {
            Some(failed) if !failed.is_empty() => Err(failed.join("\n\n")),
            _ => Ok(()),
        }
    }

    fn summary(&self) {
        println!("\n==> summary");
        for (title, seconds) in &self.done {
            println!("{seconds:>5} s  {title}");
        }
        println!("{} passed, {} failed", self.count.passed, self.count.failed);
    }
}

/// What cargo knows of the workspace, `option` being one more for `cargo metadata`.
pub(crate) fn metadata(root: &Path, option: &str) -> Result<serde_json::Value, String> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", option])
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| format!("`cargo metadata` does not start: {e}"))?;
    serde_json::from_slice(&output.stdout)
        .map_err(|e| format!("`cargo metadata` is not understood: {e}"))
}

/// The target folder, which an environment variable or a configuration file may have moved.
fn target(root: &Path) -> Result<PathBuf, String> {
    let metadata = metadata(root, "--no-deps")?;
    let target = metadata["target_directory"].as_str();
    Ok(target
        .ok_or("`cargo metadata` names no target folder")?
        .into())
}

/// Fails with the line that installs a program when it is missing.
pub(crate) fn require(program: &str, install: &str) -> Outcome {
    succeeds(
        Command::new(program).arg("--version"),
        &format!("`{program}` is needed and was not found\nhint: {install}"),
    )
}

/// Fails with `otherwise` unless the command runs and succeeds; its output is not shown.
pub(crate) fn succeeds(command: &mut Command, otherwise: &str) -> Outcome {
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        _ => Err(otherwise.to_owned()),
    }
}

/// The lines of a stream as they come, until it ends.
fn lines(stream: Option<ChildStdout>) -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        let Some(stream) = stream else { return };
        for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
            let _ = sender.send(String::from_utf8_lossy(&line).into_owned());
        }
    });
    lines
}

/// Kills a process and all it started, as far as `/proc` tells.
fn kill_with_descendants(pid: u32) {
    let mut doomed = vec![pid];
    let mut at = 0;
    while let Some(parent) = doomed.get(at).copied() {
        doomed.extend(children(parent));
        at += 1;
    }
    let pids = doomed.iter().map(ToString::to_string);
    let _ = Command::new("kill").arg("-KILL").args(pids).status();
}

fn children(parent: u32) -> Vec<u32> {
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // "pid (name) state parent ..."; the name may hold anything.
        let parent_of = stat
            .rsplit_once(')')
            .and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        parent_of == Some(parent)
    })
    .collect()
}

fn program(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

fn shown(command: &Command) -> String {
    let mut words = vec![program(command)];
    words.extend(
        command
            .get_args()
            .map(|arg| arg.to_string_lossy().into_owned()),
    );
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hangs_is_killed_with_all_it_started() {
        let mut hanging = Command::new("sh")
            .args(["-c", "sh -c 'sleep 100 & echo $$; wait'; :"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = lines(hanging.stdout.take());
        let inner = lines.recv().unwrap();
        kill_with_descendants(hanging.id());
        assert!(!hanging.wait().unwrap().success());
        // The stream ends only when none of the three has it open.
        assert_eq!(
            lines.recv_timeout(LIMIT),
            Err(RecvTimeoutError::Disconnected)
        );
        assert!(!Path::new(&format!("/proc/{inner}/exe")).exists());
    }
}
