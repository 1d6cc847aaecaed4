//! Running a program with its telemetry pointed here.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::process::{Child, Command};

use crate::config::Program;
use crate::error::{CliError, Exit};
use crate::signals::{self, Signals};

/// Whether a variable could point signals elsewhere, switch them off, or send along what is meant for
/// another backend, such as its credentials.
fn is_removed(name: &str) -> bool {
    const OTHERS: [&str; 3] = [
        "OTEL_SDK_DISABLED",
        "OTEL_CONFIG_FILE",
        "OTEL_EXPERIMENTAL_CONFIG_FILE",
    ];
    name.starts_with("OTEL_EXPORTER_OTLP_")
        || name.starts_with("RINGLIGHT_OTLP_HEADERS_")
        || (name.starts_with("OTEL_") && name.ends_with("_EXPORTER"))
        || OTHERS.contains(&name)
}

/// Starts the program. It shares the terminal and all streams with this process.
pub(crate) fn start(program: &Program, grpc_url: &str, http_url: &str) -> Result<Child, CliError> {
    let mut command = Command::new(&program.name);
    command.args(&program.args);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(is_removed) {
            command.env_remove(name);
        }
    }
    command
        .env("OTLP_ENDPOINT", grpc_url)
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", http_url)
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    if std::env::var_os("OTEL_SERVICE_NAME").is_none()
        && let Some(name) = service_name(program)
    {
        command.env("OTEL_SERVICE_NAME", name);
    }
    command.spawn().map_err(|error| cannot_run(program, &error))
}

fn cannot_run(program: &Program, error: &io::Error) -> CliError {
    let name = program.name.to_string_lossy();
    if error.kind() == io::ErrorKind::NotFound {
        CliError::new(Exit::NotFound, format!("there is no program `{name}`"))
            .with_hint("check its spelling, or give its path")
    } else {
        CliError::new(Exit::CannotRun, format!("cannot run `{name}`: {error}"))
            .with_hint("check that it is a program and may be executed")
    }
}

/// How the program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// Whether this process was sent a signal to end, which it passed on.
    pub(crate) was_asked_to: bool,
    /// Whether this process saw Ctrl-C meanwhile, which the program was sent as well.
    saw_ctrl_c: bool,
}

impl Ended {
    /// How much later this process may see the Ctrl-C that ended the program. Where that is certain
    /// to come, for as long as a busy machine may take; else less than a person takes to press it.
    pub(crate) fn ctrl_c_late_max(&self) -> Duration {
        const INTERRUPTED: u8 = 130;
        match exit_code(self.status) {
            _ if self.saw_ctrl_c => Duration::ZERO,
            INTERRUPTED => Duration::from_secs(5),
            _ => Duration::from_millis(200),
        }
    }
}

/// Waits for the program to end, passing signals on meanwhile.
pub(crate) async fn wait(child: &mut Child, signals: &mut Signals) -> io::Result<Ended> {
    let (mut was_asked_to, mut saw_ctrl_c) = (false, false);
    loop {
        tokio::select! {
            // The child first: a signal must not be sent to a process that has been waited for.
            biased;
            status = child.wait() => {
                return Ok(Ended { status: status?, was_asked_to, saw_ctrl_c });
            }
            received = signals.next() => {
                if received.is_ctrl_c() {
                    saw_ctrl_c = true;
                } else {
                    was_asked_to = true;
                    signals::send(child, received.signal);
                }
            }
        }
    }
}

/// The exit code to end with after the program did: its own, or 128 plus its signal's number.
pub(crate) fn exit_code(status: ExitStatus) -> u8 {
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

/// What the service is called unless it says so itself: the program's file name, or the script's
/// where the program is an interpreter. A launcher's name would be wrong, so there is none then.
fn service_name(program: &Program) -> Option<OsString> {
    const LAUNCHERS: [&str; 18] = [
        "cargo", "sh", "bash", "zsh", "fish", "dash", "env", "make", "just", "npm", "npx", "pnpm",
        "yarn", "sudo", "nice", "timeout", "time", "uv",
    ];
    const INTERPRETERS: [&str; 6] = ["python", "node", "ruby", "perl", "php", "deno"];
    let stem = |name: &OsStr| Path::new(name).file_stem().map(OsStr::to_owned);
    let name = stem(&program.name)?;
    let text = name.to_string_lossy();
    if LAUNCHERS.contains(&text.as_ref()) {
        return None;
    }
    let bare = text.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    if INTERPRETERS.contains(&bare) {
        let script = program.args.first()?;
        if script.to_string_lossy().starts_with('-') {
            return None;
        }
        return stem(script);
    }
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(words: &[&str], expected: Option<&str>) {
        let program = Program {
            name: words[0].into(),
            args: words[1..].iter().map(Into::into).collect(),
        };
        assert_eq!(service_name(&program).as_deref(), expected.map(OsStr::new));
    }

    #[test]
    fn a_service_is_named_after_its_program() {
        check(&["./target/release/shop"], Some("shop"));
        check(&["python3", "app/main.py"], Some("main"));
        check(&["/usr/bin/python3.12", "-m", "app"], None);
        check(&["node", "server.js"], Some("server"));
        check(&["python3"], None);
        check(&["cargo", "run"], None);
        check(&["/bin/sh", "-c", "x"], None);
    }

    #[test]
    fn variables_of_another_backend_are_removed_and_others_kept() {
        for name in [
            "OTEL_SDK_DISABLED",
            "OTEL_CONFIG_FILE",
            "OTEL_TRACES_EXPORTER",
            "OTEL_LOGS_EXPORTER",
            "OTEL_METRICS_EXPORTER",
            "OTEL_EXPORTER_OTLP_HEADERS",
            "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
            "OTEL_EXPORTER_OTLP_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_CLIENT_KEY",
            "OTEL_EXPORTER_OTLP_INSECURE",
            "OTEL_EXPORTER_OTLP_PROFILES_ENDPOINT",
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        ] {
            assert!(is_removed(name), "{name}");
        }
        for name in [
            "OTEL_SERVICE_NAME",
            "OTEL_RESOURCE_ATTRIBUTES",
            "OTEL_TRACES_SAMPLER",
            "OTEL_BSP_SCHEDULE_DELAY",
            "MY_EXPORTER",
        ] {
            assert!(!is_removed(name), "{name}");
        }
    }

    #[test]
    fn an_exit_status_becomes_an_exit_code() {
        for (wait_status, code) in [(0, 0), (7 << 8, 7), (15, 143), (9, 137)] {
            assert_eq!(exit_code(ExitStatus::from_raw(wait_status)), code);
        }
    }
}
