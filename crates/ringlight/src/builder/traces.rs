//! What shows when threads were in spans.

use std::sync::Arc;

use ringlight_collector::{Notices, RecordSink};
use ringlight_model::CallsiteRegistry;
use ringlight_tracefile::TraceFile;

use super::Builder;
use crate::InitError;
use crate::config::{Origin, Settings};
use crate::subscriber::Times;

impl Builder {
    /// Writes trace files that Perfetto and `chrome://tracing` open, beside everything else. Default:
    /// `RINGLIGHT_TRACE_DIR`, else none. A directory stands for the [defaults](crate::TraceFileConfig). The guide is
    /// `docs/trace-files.md`.
    ///
    /// The clock is then read each time a span is entered and left, so that the file shows when threads were in it.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), ringlight::InitError> {
    /// let _telemetry = ringlight::builder().trace_file("traces").init()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn trace_file(mut self, file: impl Into<crate::TraceFileConfig>) -> Self {
        self.inputs.traces.file = Some(file.into());
        self
    }

    /// Whether spans have attributes for how long threads were in them, `busy_ns`, and how long they were open
    /// otherwise, `idle_ns`: nanoseconds, as `tracing-opentelemetry` has them. Default: `RINGLIGHT_BUSY_TIMES`, else no.
    ///
    /// The clock is read when a span is entered and when it is left.
    pub fn busy_times(mut self, busy_times: bool) -> Self {
        self.inputs.traces.busy_times = Some(busy_times);
        self
    }

    /// Whether [`instrument`](macro@crate::instrument) records the arguments of functions as fields of their spans, and trace files
    /// have the fields of spans and log records at all. Of functions it holds for the whole process. Default:
    /// `RINGLIGHT_INCLUDE_ARGS`, else yes.
    pub fn include_args(mut self, include_args: bool) -> Self {
        self.inputs.traces.include_args = Some(include_args);
        self
    }
}

/// What is to be timed, and begins the trace file among the sinks if that is asked for.
pub(super) fn begin(
    settings: &mut Settings,
    service: &str,
    callsites: &Arc<CallsiteRegistry>,
    sinks: &mut Vec<Box<dyn RecordSink>>,
) -> Result<Times, InitError> {
    let traces = std::mem::take(&mut settings.traces);
    crate::__private::set_include_args(traces.include_args);
    let notices = &settings.pipeline.notices;
    let file = trace_file(traces.file, service, notices, callsites)?;
    let slices = file.is_some();
    sinks.extend(file);
    Ok(Times {
        busy: traces.busy_times,
        slices,
    })
}

/// What writes trace files, if anything does. A directory that a variable names and that cannot be used is warned about.
fn trace_file(
    asked_for: Option<(crate::TraceFileConfig, Option<Origin>)>,
    service: &str,
    notices: &Notices,
    callsites: &Arc<CallsiteRegistry>,
) -> Result<Option<Box<dyn RecordSink>>, InitError> {
    let Some((mut config, origin)) = asked_for else {
        return Ok(None);
    };
    if config.process.is_empty() {
        service.clone_into(&mut config.process);
    }
    if config.counters.is_none() {
        config.counters = Some(Box::new(crate::counters::Counters::new()));
    }
    let told = notices.clone();
    let notices = notices.clone();
    config.on_notice = Arc::new(move |notice| crate::notice::of_trace_file(&notices, notice));
    match (TraceFile::start(config, Arc::clone(callsites)), origin) {
        (Ok(file), _) => Ok(Some(Box::new(file))),
        (Err(error), Some(origin @ Origin::Variable(_))) => {
            crate::notice::of_settings(&told, format!("{origin} is ignored: {error}"));
            Ok(None)
        }
        (Err(error), _) => Err(error.into()),
    }
}
