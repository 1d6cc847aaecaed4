//! A sample application as a child process: this program again, with another command.

use std::collections::VecDeque;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use ringlight_app_harness::Report;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::config::DemoConfig;
use crate::console::Console;
use crate::error::{CliError, Exit};

/// How long an application may take to end once asked to: its own deadline for delivering what it
/// has recorded, and some.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);

/// Lines of an application's standard error kept for the case that it fails.
const TAIL_LINES: usize = 12;

/// Bytes of a line read at most; the rest of a longer one is the next line.
const LINE_BYTES_MAX: u64 = 64 * 1024;

/// What to do about an application that does not behave.
pub(super) const VERBOSE_HINT: &str =
    "`ringlight demo --verbose` shows everything the applications write";

/// A running application.
pub(super) struct AppProcess {
    name: &'static str,
    child: Child,
    /// The application ends when this closes: because it is asked to, or because this process has
    /// ended, however it did. A signal could come before the application has a handler for it.
    stdin: Option<ChildStdin>,
    listening: Option<oneshot::Receiver<String>>,
    report: JoinHandle<Option<Report>>,
    tail: JoinHandle<VecDeque<String>>,
}

/// How an application ended.
pub(super) struct Ended {
    pub(super) name: &'static str,
    pub(super) status: Option<ExitStatus>,
    pub(super) report: Option<Report>,
    tail: VecDeque<String>,
}

impl AppProcess {
    pub(super) fn start(
        name: &'static str,
        args: &[&str],
        endpoint: &str,
        config: &DemoConfig,
    ) -> Result<Self, CliError> {
        let program = std::env::current_exe().map_err(|error| cannot_start(name, &error))?;
        let mut command = Command::new(program);
        command
            .args(["app", name, "--until-stdin-closes"])
            .args(args)
            .args(["--otlp-endpoint", endpoint]);
        if let Some(directory) = &config.trace_dir {
            command.arg("--trace-dir").arg(directory);
        }
        // The demonstration is the same whatever the surroundings say about telemetry.
        for (variable, _) in std::env::vars_os() {
            if variable == "RUST_LOG" || variable.to_string_lossy().starts_with("OTEL_") {
                command.env_remove(variable);
            }
        }
        command.env("RINGLIGHT_CONFIG_FILE", "none");
        Self::spawn(name, command, config.verbose)
    }

    pub(super) fn spawn(
        name: &'static str,
        mut command: Command,
        verbose: bool,
    ) -> Result<Self, CliError> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own, so that Ctrl-C reaches this process alone, even before the
            // application leaves signals to it.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| cannot_start(name, &error))?;
        let (sender, listening) = oneshot::channel();
        Ok(Self {
            name,
            stdin: child.stdin.take(),
            listening: Some(listening),
            report: tokio::spawn(read_reports(child.stdout.take(), sender)),
            tail: tokio::spawn(read_tail(name, child.stderr.take(), verbose)),
            child,
        })
    }

    #[cfg(test)]
    pub(super) fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// The URL the application says it listens on; `None` when it ended before it did.
    pub(super) async fn listening(&mut self) -> Option<String> {
        self.listening.take()?.await.ok()
    }

    /// Waits until the application has ended by itself, and gives its name.
    pub(super) async fn ended(&mut self) -> &'static str {
        // An error means that it cannot be waited for, so it is as good as gone.
        let _ = self.child.wait().await;
        self.name
    }

    /// Asks the application to end and waits for it; one that does not is killed.
    pub(super) async fn stop(mut self) -> Ended {
        drop(self.stdin.take());
        let status = match tokio::time::timeout(STOP_TIMEOUT, self.child.wait()).await {
            Ok(status) => status.ok(),
            Err(_) => {
                // Killing fails only for a process that is gone.
                let _ = self.child.kill().await;
                None
            }
        };
        Ended {
            name: self.name,
            status,
            report: self.report.await.ok().flatten(),
            tail: self.tail.await.unwrap_or_default(),
        }
    }
}

fn cannot_start(name: &str, error: &std::io::Error) -> CliError {
    CliError::new(
        Exit::Failure,
        format!("cannot start the application `{name}`: {error}"),
    )
    .with_hint("check the limits of this user (`ulimit -u`, `ulimit -n`)")
}

impl Ended {
    /// Why the application's account is missing.
    pub(super) fn error(&self) -> CliError {
        let what = match self.status {
            None => format!("did not end within {} s", STOP_TIMEOUT.as_secs()),
            Some(status) if !status.success() => format!("failed ({status})"),
            Some(_) if self.report.is_none() => "ended without its closing account".to_owned(),
            Some(_) => "ended before it was asked to".to_owned(),
        };
        let said: Vec<&str> = self.tail.iter().map(String::as_str).collect();
        let said = if said.is_empty() {
            String::new()
        } else {
            format!("; it wrote:\n  {}", said.join("\n  "))
        };
        CliError::new(
            Exit::Failure,
            format!("the application `{}` {what}{said}", self.name),
        )
        .with_hint(VERBOSE_HINT)
    }
}

/// Reads what an application prints: where it listens, and in the end its report.
async fn read_reports(
    stdout: Option<impl AsyncRead + Unpin>,
    listening: oneshot::Sender<String>,
) -> Option<Report> {
    let mut listening = Some(listening);
    let mut report = None;
    let mut lines = Lines::new(stdout?);
    while let Some(line) = lines.next().await {
        let Ok(value) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        if let Some(url) = value.get("listening").and_then(Value::as_str) {
            if let Some(sender) = listening.take() {
                let _ = sender.send(url.to_owned());
            }
        } else if let Ok(found) = serde_json::from_value(value) {
            report = Some(found);
        }
    }
    report
}

/// Reads what an application writes to standard error, to its end, and keeps the last lines.
async fn read_tail(
    name: &str,
    stderr: Option<impl AsyncRead + Unpin>,
    verbose: bool,
) -> VecDeque<String> {
    let console = Console::stderr();
    let mut tail = VecDeque::with_capacity(TAIL_LINES + 1);
    let Some(stderr) = stderr else {
        return tail;
    };
    let mut lines = Lines::new(stderr);
    while let Some(line) = lines.next().await {
        if verbose {
            console.line(&format!("{name}: {line}"));
        }
        tail.push_back(line);
        if tail.len() > TAIL_LINES {
            tail.pop_front();
        }
    }
    tail
}

/// Lines of bounded length, whatever bytes they are made of.
struct Lines<R> {
    reader: BufReader<R>,
    buffer: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn new(reader: R) -> Self {
        Self {
            reader: BufReader::new(reader),
            buffer: Vec::new(),
        }
    }

    async fn next(&mut self) -> Option<String> {
        use tokio::io::AsyncReadExt as _;
        self.buffer.clear();
        let mut limited = (&mut self.reader).take(LINE_BYTES_MAX);
        match limited.read_until(b'\n', &mut self.buffer).await {
            Ok(0) | Err(_) => None,
            Ok(_) => {
                let line = String::from_utf8_lossy(&self.buffer);
                Some(line.trim_end_matches(['\r', '\n']).to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[tokio::test]
    async fn lines_are_bounded_and_never_an_error() {
        let mut bytes = b"one\r\n\xff\xfe\n".to_vec();
        bytes.extend(std::iter::repeat_n(b'x', LINE_BYTES_MAX as usize + 3));
        let mut lines = Lines::new(bytes.as_slice());
        assert_eq!(lines.next().await.as_deref(), Some("one"));
        assert_eq!(lines.next().await.as_deref(), Some("\u{fffd}\u{fffd}"));
        assert_eq!(
            lines.next().await.map(|line| line.len() as u64),
            Some(LINE_BYTES_MAX)
        );
        assert_eq!(lines.next().await.as_deref(), Some("xxx"));
        assert_eq!(lines.next().await, None);
    }

    #[track_caller]
    fn check_error(status: Option<i32>, has_report: bool, expected: &str) {
        let report = Report {
            service: "a".to_owned(),
            instance: "i".to_owned(),
            ledger: std::collections::BTreeMap::new(),
            work: Value::Null,
        };
        let ended = Ended {
            name: "model",
            status: status.map(ExitStatus::from_raw),
            report: has_report.then_some(report),
            tail: VecDeque::from(["the last words".to_owned()]),
        };
        assert_eq!(
            ended.error().message,
            format!("the application `model` {expected}; it wrote:\n  the last words")
        );
    }

    #[test]
    fn an_application_that_ended_wrongly_says_how() {
        check_error(None, false, "did not end within 20 s");
        check_error(Some(9), false, "failed (signal: 9 (SIGKILL))");
        check_error(Some(1 << 8), true, "failed (exit status: 1)");
        check_error(Some(0), false, "ended without its closing account");
        check_error(Some(0), true, "ended before it was asked to");
    }

    #[tokio::test]
    async fn a_report_is_found_among_other_lines() {
        let printed = concat!(
            "warming up\n",
            "{\"listening\":\"http://127.0.0.1:1/v1\"}\n",
            "{\"service\":\"a\",\"instance\":\"i\",\"ledger\":{},\"work\":{}}\n"
        );
        let (sender, listening) = oneshot::channel();
        let report = read_reports(Some(printed.as_bytes()), sender)
            .await
            .unwrap();
        assert_eq!(listening.await.unwrap(), "http://127.0.0.1:1/v1");
        assert_eq!(report.service, "a");
    }
}
