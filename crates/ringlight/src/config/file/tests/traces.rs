//! Where everything goes: to a backend, or to trace files.

#[cfg(feature = "profiling")]
use std::path::PathBuf;

use super::settings;
#[cfg(feature = "profiling")]
use super::{Settings, inputs, written};
use crate::Protocol;
#[cfg(feature = "profiling")]
use crate::{TraceFileConfig, TraceFileFormat};

#[cfg(feature = "profiling")]
#[test]
fn what_is_local_is_written_and_not_sent() {
    let local = "[telemetry]\nbackend = \"local\"\n";
    let found = settings(local, &[]);
    let (file, _) = found.traces.file.unwrap();
    assert_eq!(file.directory, PathBuf::from(".local/traces"));
    assert!(found.routes.is_none_or(|routes| routes.traces.is_none()));
    // As the endpoint may stand there for another day; a variable is meant for now.
    let with_endpoint = format!("{local}otlp_endpoint = \"http://a:4317\"\ntrace_dir = \"there\"");
    let found = settings(&with_endpoint, &[]);
    assert_eq!(
        found.traces.file.unwrap().0.directory,
        PathBuf::from("there")
    );
    assert!(found.routes.is_none_or(|routes| routes.traces.is_none()));
    let both = settings(&with_endpoint, &[("OTLP_ENDPOINT", "http://b:4317")]);
    assert!(both.traces.file.is_some());
    assert_eq!(
        both.routes.unwrap().traces.unwrap().endpoint,
        "http://b:4317"
    );
    // Nothing is what is asked for.
    let off = settings(&format!("{local}enabled = false"), &[]);
    assert!(off.traces.file.is_none());
}

/// Also where nothing is sent; and the code has its own.
#[cfg(feature = "profiling")]
#[test]
fn counters_are_read_as_often_as_the_file_says() {
    let every = |settings: Settings| {
        let (file, _) = settings.traces.file.unwrap();
        (file.counter_interval.as_secs(), settings.warnings.len())
    };
    let local = "[telemetry]\nbackend = \"local\"\n";
    let said = |seconds: u64| format!("{local}system_metrics_interval_secs = {seconds}");
    assert_eq!(every(settings(local, &[])), (1, 0));
    assert_eq!(every(settings(&said(7), &[])), (7, 0));
    assert_eq!(every(settings(&said(0), &[])), (1, 1));
    let (_dir, path) = written("ringlight.toml", &said(7));
    let mut by_argument = inputs(&path, &[]);
    by_argument.traces.argument_dir = Some(PathBuf::from("here"));
    assert_eq!(every(Settings::resolve(by_argument).unwrap()), (7, 0));
    let mut by_code = inputs(&path, &[]);
    by_code.traces.file = Some(TraceFileConfig::new("code"));
    assert_eq!(every(Settings::resolve(by_code).unwrap()), (1, 0));
}

/// The command line says where; how files are written, whoever says so.
#[cfg(feature = "profiling")]
#[test]
fn the_command_line_names_the_directory() {
    let text = "[telemetry]\nbackend = \"local\"\ntrace_dir = \"there\"\ninclude_args = false";
    let (_dir, path) = written("ringlight.toml", text);
    let named = |file: Option<TraceFileConfig>| {
        let variables = [
            ("RINGLIGHT_TRACE_DIR", "elsewhere"),
            ("RINGLIGHT_TRACE_FORMAT", "perfetto"),
        ];
        let mut inputs = inputs(&path, &variables);
        inputs.traces.file = file;
        inputs.traces.argument_dir = Some(PathBuf::from("here"));
        Settings::resolve(inputs).unwrap().traces.file.unwrap()
    };
    let (file, origin) = named(None);
    assert_eq!(file.directory, PathBuf::from("here"));
    assert_eq!(file.format, TraceFileFormat::Perfetto);
    assert!(!file.include_args && origin.is_none());
    let (file, _) = named(Some(TraceFileConfig::new("code")));
    assert_eq!(file.directory, PathBuf::from("here"));
    assert_eq!(file.format, TraceFileFormat::Json);
}

#[cfg(not(feature = "profiling"))]
#[test]
fn what_this_build_cannot_do_is_told() {
    let found = settings(
        "[telemetry]\ntrace_dir = \"there\"",
        &[("RINGLIGHT_BUSY_TIMES", "true")],
    );
    let told = found.warnings.join("\n");
    assert!(
        told.contains("`trace_dir` in ") && told.contains("`RINGLIGHT_BUSY_TIMES` is ignored"),
        "{told}"
    );
    assert!(told.contains("enable the feature `profiling`"));
}

#[test]
fn the_backend_alone_is_the_one_on_this_machine() {
    let routes = settings("[telemetry]\nbackend = \"otlp\"", &[])
        .routes
        .unwrap();
    let traces = routes.traces.unwrap();
    assert_eq!(
        (&*traces.endpoint, traces.protocol),
        ("http://localhost:4317", Protocol::Grpc)
    );
    assert_eq!(settings("[telemetry]", &[]).routes, None);
    assert_eq!(settings("", &[]).routes, None);
}
