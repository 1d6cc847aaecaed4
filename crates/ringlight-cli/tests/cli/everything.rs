//! The sample applications use all there is in Ringlight for a service, and what comes of it is shown.

mod channels;
mod trace_file;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::common::{Backend, FREE_PORTS, free_port, request, ringlight, send, text, until, wait};

/// Both sample applications. (The model is part of the agent.)
const APPLICATIONS: [&str; 2] = ["streaming", "agent"];

/// Metrics that each of them has.
const METRICS: [&str; 11] = [
    "process.cpu.time",
    "process.cpu.utilization",
    "process.memory.usage",
    "process.thread.count",
    "process.unix.file_descriptor.count",
    "tokio.runtime.lag",
    "tokio.worker.busy_duration",
    "traces.span.metrics.busy",
    "traces.span.metrics.calls",
    "traces.span.metrics.duration",
    "traces.span.metrics.idle",
];

/// What Prometheus finds of each of them.
const SCRAPED: [&str; 7] = [
    "channel_sent_total",
    "process_cpu_time_seconds_total",
    "process_memory_usage_bytes",
    "tokio_runtime_lag_seconds_bucket",
    "tokio_workers",
    "traces_span_metrics_calls_total",
    "traces_span_metrics_duration",
];

/// Attributes that spans of each of them have, as the UI asks for their sums: what was allocated in a span, and with all
/// within it.
const ATTRIBUTES: [&str; 12] = [
    "alloc.count",
    "alloc.bytes",
    "dealloc.count",
    "dealloc.bytes",
    "alloc.net_bytes",
    "alloc.total.count",
    "alloc.total.bytes",
    "dealloc.total.count",
    "dealloc.total.bytes",
    "alloc.total.net_bytes",
    "busy_ns",
    "idle_ns",
];

#[test]
fn both_applications_use_all_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let traces = directory.path().join("traces");
    let mut command = ringlight();
    command
        .args(["demo", "--json", "--rate", "200", "--data-dir"])
        .arg(directory.path().join("data"))
        .arg("--trace-dir")
        .arg(&traces)
        .args(FREE_PORTS);
    let mut backend = Backend::spawn(command);
    for application in APPLICATIONS {
        for name in METRICS {
            until(&format!("`{application}` has the metric `{name}`"), || {
                let found = backend.get("/api/v1/metrics");
                let metrics = found["metrics"].as_array().unwrap();
                let of_application = |metric: &&Value| {
                    let services = metric["services"].as_array().unwrap();
                    metric["metric"]["name"] == name && services.iter().any(|s| s == application)
                };
                metrics.iter().find(of_application).map(|_| ())
            });
        }
        for key in ATTRIBUTES {
            until(&format!("spans of `{application}` have `{key}`"), || {
                let query = format!("/api/v1/operations?service={application}&attributes={key}");
                let found = backend.get(&query);
                let operations = found["operations"].as_array()?;
                let mut sums = operations.iter().flat_map(|operation| {
                    let attributes = operation["attributes"].as_array().unwrap();
                    attributes.iter().filter_map(|sum| sum["sum"].as_f64())
                });
                // What spans keep may be less than nothing.
                sums.any(|sum| sum != 0.0).then_some(())
            });
        }
    }
    channels::wait_for_metrics(&backend);
    until("a tool of the agent changed something", || {
        log_of(&backend, "body = \"a tool wrote a file\"")
            .is_some_and(|log| log["scope"] == "audit" && log["trace_id"] != "")
            .then_some(())
    });
    backend.signal(Signal::TERM);
    let summary: Value = serde_json::from_str(&backend.line()).unwrap();
    assert_eq!(summary["balanced"], true, "{summary:#}");
    assert_eq!(wait(&mut backend.child).code(), Some(0));
    // One of each process, and each names the process.
    let files: Vec<Value> = std::fs::read_dir(&traces)
        .unwrap()
        .map(|file| serde_json::from_slice(&std::fs::read(file.unwrap().path()).unwrap()).unwrap())
        .collect();
    assert_eq!(files.len(), 3);
    for application in APPLICATIONS {
        let mut files = files.iter();
        let file = files.find(|file| trace_file::is_of(file, application));
        trace_file::check(file.unwrap(), application);
    }
    let backend = Backend::up(&directory.path().join("data"));
    channels::wait_for_the_last(&backend);
    for application in APPLICATIONS {
        let query =
            format!("{{ resource.service.name = \"{application}\" && body = \"stopping\" }}");
        let log = log_of(&backend, &query).unwrap();
        assert_eq!(log["scope"], "audit", "{log:#}");
        let resource = log["resource"].as_array().unwrap();
        let version = resource
            .iter()
            .find(|item| item["key"] == "service.version");
        assert_eq!(version.unwrap()["value"], env!("CARGO_PKG_VERSION"));
    }
}

/// An application that runs by itself, in a directory of its own.
struct Application {
    name: &'static str,
    child: Child,
    directory: PathBuf,
    /// The file of settings, of which `[telemetry]` is all but what stands before it.
    file: PathBuf,
    others: &'static str,
    metrics: SocketAddr,
}

impl Application {
    /// Starts it with log lines and a trace file in its directory, and metrics for Prometheus.
    fn start(name: &'static str, parent: &Path, arguments: &[&str]) -> Self {
        let directory = parent.join(name);
        std::fs::create_dir(&directory).unwrap();
        // One names a file of its own, and the other one finds Ringlight's.
        let (file, others) = match name {
            "streaming" => ("streaming.toml", "[run]\nworkers = 3\n"),
            _ => ("ringlight.toml", ""),
        };
        let metrics = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let file = directory.join(file);
        let mut command = ringlight();
        command.args(["app", name]).args(arguments);
        if !others.is_empty() {
            command.arg("--config").arg(&file);
        }
        command
            .args(["--prometheus", &metrics.to_string()])
            .current_dir(&directory)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        write_settings(&file, others, "warn");
        Self {
            name,
            child: command.spawn().unwrap(),
            directory,
            file,
            others,
            metrics,
        }
    }

    /// Waits until Prometheus finds all of it.
    fn wait_for_metrics(&self, wanted: &[&str]) -> String {
        let name = self.name;
        until(&format!("Prometheus finds {wanted:?} of `{name}`"), || {
            let (status, body) = request(self.metrics, "GET", "/metrics", &[], &[]).ok()?;
            let body = text(&body);
            let has_all = wanted.iter().all(|wanted| body.contains(wanted));
            (status == 200 && has_all).then_some(body)
        })
    }

    /// The levels of its log lines so far, but for those of the audit, which no filter leaves out.
    fn levels(&self) -> BTreeSet<String> {
        let lines = std::fs::read(self.directory.join("log.jsonl")).unwrap_or_default();
        let lines = text(&lines);
        // The last one may not be whole yet.
        let (whole, _) = lines.rsplit_once('\n').unwrap_or_default();
        let lines = whole.lines();
        let lines = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines
            .filter(|line| line["target"] != "audit")
            .map(|line| line["level"].as_str().unwrap().to_owned())
            .collect()
    }

    /// Ends it in order. What it said on stderr, and its trace files.
    fn end(mut self) -> (String, Vec<u8>) {
        send(&self.child, Signal::TERM);
        let status = wait(&mut self.child);
        let mut said = String::new();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut said).unwrap();
        assert_eq!(status.code(), Some(0), "{}: {said}", self.name);
        let files = std::fs::read_dir(self.directory.join("traces")).unwrap();
        let files = files.map(|file| file.unwrap().path());
        let bytes = files.map(|file| {
            assert!(file.extension().is_some_and(|e| e == "pftrace"), "{file:?}");
            std::fs::read(file).unwrap()
        });
        (said, bytes.flatten().collect())
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn write_settings(file: &Path, others: &str, filter: &str) {
    let settings = format!(
        "{others}[telemetry]\nfilter_lines = \"{filter}\"\nlog_format = \"off\"\nlog_file = \"log.jsonl\"\n\
         include_args = false\ntrace_dir = \"traces\"\ntrace_format = \"perfetto\"\n"
    );
    std::fs::write(file, settings).unwrap();
}

/// Each with a file of settings that changes while it runs, and metrics that Prometheus asks for.
#[test]
fn both_applications_go_by_a_file_and_answer_prometheus() {
    let directory = tempfile::tempdir().unwrap();
    let mut model = ringlight();
    // What fails is asked again, which is a warning.
    model.args(["app", "model", "--port", "0", "--failures", "300"]);
    model.current_dir(&directory).stderr(Stdio::null());
    let mut model = Killed(model.stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    let stdout = model.0.stdout.take().unwrap();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    let listening: Value = serde_json::from_str(&line).unwrap();
    let url = listening["listening"].as_str().unwrap();

    let start = |name, arguments: &[&str]| Application::start(name, directory.path(), arguments);
    let applications = [
        start("streaming", &["--rate", "400"]),
        start("agent", &["--sessions", "3", "--model-url", url]),
    ];
    for application in &applications {
        let name = application.name;
        let warnings = until(&format!("`{name}` warns of something"), || {
            Some(application.levels()).filter(|levels| !levels.is_empty())
        });
        assert!(
            warnings
                .iter()
                .all(|level| level == "WARN" || level == "ERROR"),
            "{warnings:?}"
        );
        // A bucket of a view among them.
        let own = match name {
            "streaming" => ["streaming_loudness_score_bucket", "le=\"4.5\""],
            _ => ["agent_turn_duration_seconds_bucket", "le=\"16"],
        };
        let found = application.wait_for_metrics(&[&SCRAPED[..], &own].concat());
        let mut lines = found.lines();
        let workers = lines
            .find(|line| line.starts_with("tokio_workers{"))
            .unwrap();
        let expected = if name == "streaming" { " 3" } else { " 2" };
        assert!(workers.ends_with(expected), "{workers}");

        write_settings(&application.file, application.others, "info");
        if name == "agent" {
            send(&application.child, Signal::HUP);
        }
        until(&format!("`{name}` tells more"), || {
            application.levels().contains("INFO").then_some(())
        });
    }
    for application in applications {
        let name = application.name;
        // Still alive, after the signal too.
        application.wait_for_metrics(&SCRAPED);
        let (said, traces) = application.end();
        assert!(said.contains("`filter_lines` changed"), "{name}: {said}");
        let has = |text: &str| {
            traces
                .windows(text.len())
                .any(|part| part == text.as_bytes())
        };
        let (span, argument) = match name {
            "streaming" => ("process_message", "chunk_len"),
            _ => ("llm.router", "gen_ai.request.model"),
        };
        assert!(
            has(name) && has(span),
            "{name}: spans are in the trace file"
        );
        assert!(!has(argument), "{name}: and no fields of them");
    }
}

/// A process that ends with this.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The newest log record that a query finds.
fn log_of(backend: &Backend, query: &str) -> Option<Value> {
    let query = encoded(query);
    let found = backend.get(&format!("/api/v1/logs?limit=1&q={query}"));
    found["logs"].as_array()?.first().cloned()
}

fn encoded(query: &str) -> String {
    query.bytes().map(|byte| format!("%{byte:02x}")).collect()
}
