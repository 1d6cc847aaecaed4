//! A `ringlight demo` that runs while a browser looks at it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running demo; stopped and its data removed on drop.
#[derive(Debug)]
pub(crate) struct Demo {
    child: Child,
    data_dir: PathBuf,
    /// Where the UI answers.
    pub(crate) url: String,
}

impl Demo {
    /// Starts the demo of a folder with binaries on free ports and waits until it prints the address
    /// of its UI.
    pub(crate) fn start(binaries: &Path) -> Result<Self, String> {
        let data_dir = std::env::temp_dir().join(format!("ringlight-xtask-{}", std::process::id()));
        let mut child = Command::new(binaries.join("ringlight"))
            .args([
                "demo",
                "--grpc-port",
                "0",
                "--http-port",
                "0",
                "--ui-port",
                "0",
                "--data-dir",
            ])
            .arg(&data_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| format!("`ringlight demo` does not start: {e}"))?;
        let stderr = child.stderr.take().ok_or("the demo has no stderr")?;
        let mut lines = BufReader::new(stderr).lines();
        let mut seen = String::new();
        let url = loop {
            let Some(Ok(line)) = lines.next() else {
                return Err(format!(
                    "`ringlight demo` ended before it printed its address:\n{seen}"
                ));
            };
            if let Some(at) = line.find("http://127.0.0.1:") {
                break line[at..]
                    .split_whitespace()
                    .next()
                    .unwrap_or_default()
                    .to_owned();
            }
            seen.push_str(&line);
            seen.push('\n');
        };
        // Keeps the pipe from filling up while the demo runs.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self {
            child,
            data_dir,
            url,
        })
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let id = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status();
        if !asked.is_ok_and(|status| status.success()) {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.data_dir);
    }
}
