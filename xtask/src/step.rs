//! One step of a task: a command whose output is shown, read for counts, and judged by its exit.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::report::Count;

/// Runs commands one after the other and keeps the books.
#[derive(Debug)]
pub(crate) struct Steps {
    root: PathBuf,
    target: PathBuf,
    count: Count,
    done: Vec<(String, u64)>,
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
        })
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

    /// Runs a command in the root unless it has a folder of its own, shows its output line by line
    /// and adds up the tests it reports.
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
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).split(b'\n') {
                let line = line.map_err(|e| format!("{title}: output ends early: {e}"))?;
                let line = String::from_utf8_lossy(&line);
                println!("{line}");
                self.count.read_line(&line);
            }
        }
        let status = child.wait().map_err(|e| format!("{title}: {e}"))?;
        self.done
            .push((title.to_owned(), began.elapsed().as_secs()));
        if status.success() {
            Ok(())
        } else {
            self.summary();
            Err(format!(
                "{title} failed ({status})\nhint: run it alone: {}",
                shown(command)
            ))
        }
    }

    /// Prints how long each step took and the line that counts the tests.
    pub(crate) fn summary(&self) {
        println!("\n==> summary");
        for (title, seconds) in &self.done {
            println!("{seconds:>5} s  {title}");
        }
        println!("{} passed, {} failed", self.count.passed, self.count.failed);
    }
}

/// The target folder, which an environment variable or a configuration file may have moved.
fn target(root: &Path) -> Result<PathBuf, String> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| format!("`cargo metadata` does not start: {e}"))?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)
        .map_err(|e| format!("`cargo metadata` is not understood: {e}"))?;
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
