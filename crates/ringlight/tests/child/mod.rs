//! Processes with telemetry, from their start to their end.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc::channel;

use ringlight_testing::PATIENCE;

/// An example. `cargo test` builds it beside the tests, unless told to run one of them alone
/// (`--test endings`): then it is the one built last.
///
/// # Panics
///
/// Where none was built, with the command that does it.
pub(crate) fn program(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples");
    path.push(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        path.is_file(),
        "there is no {}\nhint: a test that runs alone needs its example; build it with the features and the profile \
         of the test: cargo build -p ringlight --example {name}",
        path.display(),
    );
    path
}

/// Starts the program with one argument more and with these variables alone.
pub(crate) fn start(program: &mut Command, ending: &str, variables: &[(&str, &str)]) -> Child {
    program
        .arg(ending)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits for the end of the process and of those it forked, and fails where that takes too long.
pub(crate) fn end(child: Child) -> Output {
    let id = child.id();
    let (ended, end) = channel();
    std::thread::spawn(move || ended.send(child.wait_with_output()));
    match end.recv_timeout(PATIENCE) {
        Ok(output) => output.unwrap(),
        Err(_) => {
            signal(id, "KILL");
            panic!("the process hangs");
        }
    }
}

/// Sends a signal, without the `SIG` of its name.
pub(crate) fn signal(process: u32, name: &str) {
    let mut shell = Command::new("sh");
    let shell = shell.args(["-c", "kill -\"$0\" \"$1\"", name, &process.to_string()]);
    assert!(shell.status().unwrap().success());
}
