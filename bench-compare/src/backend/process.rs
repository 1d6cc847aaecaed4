//! The product's binary, and processes of it.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::Value;

use super::http;
use crate::{cargo, parent::without_telemetry_settings};

/// Builds the product as its users do, and says where cargo put the binary.
pub(crate) fn build() -> Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    cargo::build_release(&manifest, &["--package", "ringlight-cli"], "ringlight")
}

/// A backend that runs, on ports and data of its own; gone with its data when dropped.
pub(crate) struct Backend {
    process: Process,
    ready: Ready,
}

/// A process and the folder it writes to.
struct Process {
    child: Child,
    data_dir: PathBuf,
}

impl Drop for Process {
    fn drop(&mut self) {
        // The data is thrown away, so the process need not end in order.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.data_dir);
    }
}

/// What `ringlight up --json` prints once everything is ready.
#[derive(Debug, Deserialize)]
struct Ready {
    url: String,
    otlp_grpc: String,
}

impl Backend {
    /// Starts with no data; also gives the time to the first answer over HTTP.
    pub(crate) fn start(binary: &Path) -> Result<(Self, Duration)> {
        // Beside this program and not in the folder for temporary files, which may be memory.
        let this_program = std::env::current_exe()?;
        let data_dir = this_program.with_file_name(format!("backend-data-{}", std::process::id()));
        let mut command = Command::new(binary);
        command
            .args(["up", "--json", "--grpc-port", "0", "--http-port", "0"])
            .args(["--ui-port", "0", "--data-dir"])
            .arg(&data_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let started = Instant::now();
        let child = without_telemetry_settings(&mut command)
            .spawn()
            .with_context(|| format!("`{}` does not start", binary.display()))?;
        let mut process = Process { child, data_dir };
        let output = process.child.stdout.take();
        let mut line = String::new();
        BufReader::new(output.context("standard output was asked for")?).read_line(&mut line)?;
        let ready = serde_json::from_str(&line)
            .with_context(|| format!("`ringlight up --json` printed {line:?}"))?;
        let backend = Self { process, ready };
        backend.status()?;
        Ok((backend, started.elapsed()))
    }

    /// Where OTLP over gRPC is received.
    pub(crate) fn endpoint(&self) -> &str {
        &self.ready.otlp_grpc
    }

    /// Host and port of the API.
    pub(crate) fn api(&self) -> &str {
        self.ready.url.trim_start_matches("http://")
    }

    /// What it says about itself.
    pub(crate) fn status(&self) -> Result<Value> {
        http::get(self.api(), "/api/v1/status")
    }

    /// CPU time it has taken; the system counts it in ticks of usually 10 ms.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.child.id()))?;
        // The name in parentheses, the second field, may have spaces; user and system time are the
        // 14th and the 15th.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let ticks: Vec<u64> = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(str::parse)
            .collect::<Result<_, _>>()?;
        let ticks: u64 = ticks.iter().sum();
        let ticks_per_second = rustix::param::clock_ticks_per_second();
        Ok(Duration::from_secs_f64(
            ticks as f64 / ticks_per_second as f64,
        ))
    }

    /// Memory it has resident, in MiB.
    pub(crate) fn resident_mib(&self) -> Result<f64> {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.process.child.id()))?;
        let pages: f64 = statm
            .split(' ')
            .nth(1)
            .context("`statm` has a second field")?
            .parse()?;
        Ok(pages * rustix::param::page_size() as f64 / f64::from(1 << 20))
    }

    /// The most memory it had resident since [`forget_peak`](Self::forget_peak), in MiB.
    pub(crate) fn peak_mib(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.child.id()))?;
        let kib: f64 = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"))
            .context("`status` has a `VmHWM`")?
            .parse()?;
        Ok(kib / 1024.0)
    }

    /// Lets the system take the most memory anew, from what is resident now.
    pub(crate) fn forget_peak(&self) -> Result<()> {
        let path = format!("/proc/{}/clear_refs", self.process.child.id());
        // 5 is the peak alone, see proc(5).
        fs::write(&path, "5").with_context(|| format!("cannot write {path}"))
    }

    /// Bytes of its files.
    pub(crate) fn disk_bytes(&self) -> Result<u64> {
        let mut bytes = 0;
        for entry in fs::read_dir(&self.process.data_dir)? {
            bytes += entry?.metadata()?.len();
        }
        Ok(bytes)
    }
}
