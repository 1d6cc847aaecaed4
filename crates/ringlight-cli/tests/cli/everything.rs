//! The sample applications use all there is in Ringlight for a service, and what comes of it is shown.

use serde_json::Value;

use crate::common::{Backend, FREE_PORTS, ringlight, run, text, until, wait};

/// Both sample applications. (The model is part of the agent.)
const APPLICATIONS: [&str; 2] = ["streaming", "agent"];

/// Metrics that each of them has.
const METRICS: [&str; 12] = [
    "channel.sent",
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

/// Attributes that spans of each of them have, as the UI asks for their sums.
const ATTRIBUTES: [&str; 7] = [
    "alloc.count",
    "alloc.bytes",
    "alloc.total.bytes",
    "dealloc.count",
    "dealloc.bytes",
    "busy_ns",
    "idle_ns",
];

#[test]
fn both_applications_use_all_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let traces = directory.path().join("traces");
    let mut command = ringlight();
    command
        .args(["demo", "--json", "--rate", "400", "--data-dir"])
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
                sums.any(|sum| sum > 0.0).then_some(())
            });
        }
    }
    until("a tool of the agent changed something", || {
        log_of(&backend, "body = \"a tool wrote a file\"")
            .is_some_and(|log| log["scope"] == "audit" && log["trace_id"] != "")
            .then_some(())
    });
    backend.signal(rustix::process::Signal::TERM);
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
        assert!(
            files.iter().any(|file| is_of(file, application)),
            "{application}"
        );
    }
    let backend = Backend::up(&directory.path().join("data"));
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

/// What each of them is told on its command line.
#[test]
fn both_applications_offer_trace_files_and_prometheus() {
    for application in APPLICATIONS {
        let help = text(&run(&["app", application, "--help"]).stdout);
        for option in ["--otlp-endpoint <URL>", "--trace-dir <", "--prometheus <"] {
            assert!(help.contains(option), "{application}: {help}");
        }
    }
}

/// The newest log record that a query finds.
fn log_of(backend: &Backend, query: &str) -> Option<Value> {
    let query: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let found = backend.get(&format!("/api/v1/logs?limit=1&q={query}"));
    found["logs"].as_array()?.first().cloned()
}

/// Whether a trace file is of a process of this name, and shows what it used, its channels and spans.
fn is_of(file: &Value, process: &str) -> bool {
    let events = file.as_array().unwrap();
    let has = |kind: &str, is_it: &dyn Fn(&Value) -> bool| {
        let of_kind = events.iter().filter(|event| event["ph"] == kind);
        of_kind.into_iter().any(is_it)
    };
    has("M", &|event| {
        event["name"] == "process_name" && event["args"]["name"] == process
    }) && has("X", &|_| true)
        && has("C", &|event| event["name"] == "memory")
        && has("C", &|event| {
            let name = event["name"].as_str().unwrap_or_default();
            name.starts_with("channel")
        })
}
