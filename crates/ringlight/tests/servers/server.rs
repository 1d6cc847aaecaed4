//! A server of somebody else as a process of the test.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest wait for a server, which is on the same machine but may take most of a minute of the processor to start.
const PATIENCE: Duration = Duration::from_secs(300);

/// How long nobody looks whether what is awaited is there.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// A running server with a folder of its own; it ends with this.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    folder: tempfile::TempDir,
}

impl Server {
    /// Starts the program that a variable names.
    pub(crate) fn start(variable: &str, set_up: impl FnOnce(&mut Command, &Path)) -> Self {
        let program = std::env::var_os(variable).unwrap_or_else(|| {
            panic!("`{variable}` names the server's program; hint: run `cargo xtask interop`")
        });
        let folder = tempfile::tempdir().unwrap();
        let output = File::create(folder.path().join("output")).unwrap();
        let mut command = Command::new(program);
        command
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output);
        set_up(&mut command, folder.path());
        let child = command.spawn().unwrap();
        Self { child, folder }
    }

    fn output_file(&self) -> PathBuf {
        self.folder.path().join("output")
    }

    /// All it has printed.
    pub(crate) fn output(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.output_file()).unwrap()).into_owned()
    }

    /// Ends it as a person would, and returns all it has printed.
    pub(crate) fn end(mut self) -> String {
        let pid = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(asked.success());
        self.until("the server ends when it is told to", |server| {
            server.child.try_wait().unwrap()
        });
        self.output()
    }

    /// Waits until something is there, as long as the server runs.
    pub(crate) fn until<T>(
        &mut self,
        what: &str,
        mut look: impl FnMut(&mut Self) -> Option<T>,
    ) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = look(self) {
                return found;
            }
            let ended = self.child.try_wait().unwrap();
            assert!(
                ended.is_none() && began.elapsed() < PATIENCE,
                "{what}: {ended:?}\n{}",
                self.output()
            );
            // What it waits for has the processor meanwhile.
            std::thread::park_timeout(BETWEEN_LOOKS);
        }
    }

    /// Waits until it listens on a port.
    pub(crate) fn until_it_listens(&mut self, port: u16) {
        self.until("the server listens", |_| {
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody has.
pub(crate) fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

/// The JSON document at a path of a server's API; `None` when there is none.
pub(crate) fn document(port: u16, path: &str) -> Option<Value> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    // With this version the answer is neither in chunks nor followed by another one.
    let request = format!("GET {path} HTTP/1.0\r\nhost: 127.0.0.1:{port}\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    let end_of_head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&answer[..end_of_head]);
    if head.split(' ').nth(1) != Some("200") {
        return None;
    }
    serde_json::from_slice(&answer[end_of_head + 4..]).ok()
}

/// The text of a member of a JSON object; empty when there is none.
pub(crate) fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}
