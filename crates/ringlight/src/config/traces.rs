//! Local trace files, and what spans are timed by, by variables and the file.

#[cfg(all(feature = "clap", feature = "profiling"))]
use std::path::Path;
#[cfg(feature = "profiling")]
use std::path::PathBuf;

#[cfg(feature = "profiling")]
use ringlight_tracefile::TraceFileConfig;

use super::environment::Reader;
#[cfg(feature = "profiling")]
use super::limits::TRACE_BYTES_LEAST;
use super::otlp::Origin;
#[cfg(feature = "profiling")]
use super::process;

const DIR: &str = "RINGLIGHT_TRACE_DIR";
const BUSY_TIMES: &str = "RINGLIGHT_BUSY_TIMES";
const FORMAT: &str = "RINGLIGHT_TRACE_FORMAT";
const FILE_SIZE: &str = "RINGLIGHT_TRACE_FILE_SIZE";
const DIR_SIZE_LIMIT: &str = "RINGLIGHT_TRACE_DIR_SIZE_LIMIT";
#[cfg(feature = "profiling")]
const INCLUDE_ARGS: &str = "RINGLIGHT_INCLUDE_ARGS";
/// Where files are with `backend = "local"` alone.
#[cfg(feature = "profiling")]
const DEFAULT_DIR: &str = ".local/traces";

/// What the code says of them.
#[cfg(feature = "profiling")]
#[derive(Debug, Default)]
pub(crate) struct TraceInputs {
    /// The directory that the command line names.
    pub(crate) argument_dir: Option<PathBuf>,
    pub(crate) file: Option<TraceFileConfig>,
    pub(crate) busy_times: Option<bool>,
    pub(crate) include_args: Option<bool>,
}

#[cfg(feature = "profiling")]
impl TraceInputs {
    /// In this directory, if the command line names one.
    #[cfg(feature = "clap")]
    pub(crate) fn take_argument(&mut self, directory: Option<&Path>) {
        self.argument_dir = directory.map(Path::to_owned);
    }
}

/// What is done.
#[cfg(feature = "profiling")]
#[derive(Debug, Default)]
pub(crate) struct Traces {
    /// The trace file, and who asked for it if it was not the code.
    pub(crate) file: Option<(TraceFileConfig, Option<Origin>)>,
    /// Whether spans have the times that threads were in them.
    pub(crate) busy_times: bool,
    /// Whether arguments of functions are recorded.
    pub(crate) include_args: bool,
}

/// `is_disabled`: nothing is to come of this process, so there is no file and the clock is read for nobody.
#[cfg(feature = "profiling")]
pub(super) fn traces(reader: &mut Reader<'_>, inputs: TraceInputs, is_disabled: bool) -> Traces {
    let busy_times = inputs.busy_times.or_else(|| reader.said_truth(BUSY_TIMES));
    let include_args = inputs
        .include_args
        .or_else(|| reader.said_truth(INCLUDE_ARGS))
        .unwrap_or(true);
    let mut file = match (inputs.file, inputs.argument_dir) {
        (Some(mut file), argument) => {
            file.directory = argument.unwrap_or(file.directory);
            Some((file, None))
        }
        (None, Some(directory)) => Some((file_in(reader, directory), None)),
        (None, None) => file(reader).map(|(file, origin)| (file, Some(origin))),
    };
    if let Some((file, _)) = &mut file {
        file.include_args &= include_args;
    }
    Traces {
        file: file.filter(|_| !is_disabled),
        busy_times: busy_times.unwrap_or(false) && !is_disabled,
        include_args,
    }
}

#[cfg(feature = "profiling")]
fn file(reader: &mut Reader<'_>) -> Option<(TraceFileConfig, Origin)> {
    let (directory, origin) = match reader.text(DIR) {
        Some(directory) => (directory, reader.origin(DIR)),
        None => (DEFAULT_DIR.to_owned(), is_local(reader)?),
    };
    Some((file_in(reader, directory.into()), origin))
}

/// How files are written, as variables and the file say.
#[cfg(feature = "profiling")]
fn file_in(reader: &mut Reader<'_>, directory: PathBuf) -> TraceFileConfig {
    let mut file = TraceFileConfig::new(directory);
    if let Some(format) = reader.choice(FORMAT, "`json` or `perfetto`", |text| text.parse().ok()) {
        file.format = format;
    }
    if let Some(bytes) = reader.size(FILE_SIZE, TRACE_BYTES_LEAST, "64MiB") {
        file.file_bytes_max = bytes;
    }
    if let Some(bytes) = reader.size(DIR_SIZE_LIMIT, TRACE_BYTES_LEAST, "64MiB") {
        file.directory_bytes_max = bytes;
    }
    if let Some(interval) = process::interval(reader) {
        file.counter_interval = interval;
    }
    file
}

/// Who says that traces stay on this machine.
fn is_local(reader: &Reader<'_>) -> Option<Origin> {
    let (backend, origin) = reader.in_file("backend")?;
    (backend == "local").then_some(origin)
}

/// What is asked for and is not in this build.
#[cfg(not(feature = "profiling"))]
pub(super) fn warn_of_what_is_missing(reader: &mut Reader<'_>) {
    for name in [DIR, FORMAT, FILE_SIZE, DIR_SIZE_LIMIT, BUSY_TIMES] {
        reader.warn_without(name, "profiling");
    }
    if let Some(origin) = is_local(reader) {
        reader.say_of_build(format!(
            "{origin}: this build writes no trace files, so spans go nowhere; hint: enable the feature `profiling`"
        ));
    }
}
