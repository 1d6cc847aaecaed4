//! Where records go besides the rings: log lines, and the destinations that variables and code name.

use std::io;
use std::sync::Arc;

use ringlight_collector::{DestinationConfig, RecordSink};
use ringlight_model::{KeyValue, Value};

use crate::InitError;
#[cfg(not(feature = "fmt"))]
use crate::LogFormat;
use crate::config::{Route, Routes, Settings};
use crate::controls;
#[cfg(feature = "fmt")]
use crate::filter::{Choice, Output};
use crate::subscriber::Outputs;

/// The service's name among the attributes of the resource.
pub(super) fn service_name(attributes: &[KeyValue]) -> String {
    let named = attributes.iter().find(|a| a.key == "service.name");
    match named.map(|attribute| &attribute.value) {
        Some(Value::Str(name)) => name.to_string(),
        _ => String::new(),
    }
}

/// What makes metrics of spans, if that is asked for and they go anywhere.
#[cfg(feature = "otel")]
pub(super) fn span_metrics(
    settings: &Settings,
    destinations: &[DestinationConfig],
) -> Option<crate::metrics::SpanMetrics> {
    let takes_metrics = |one: &DestinationConfig| one.takes(ringlight_model::Signal::Metrics);
    let are_sent = destinations.iter().any(takes_metrics);
    settings.metrics.of_spans(are_sent)
}

/// Who takes records.
pub(super) struct Takers {
    /// Log lines.
    pub(super) lines: bool,
    /// Sinks of the program's own, which see what is around log records as well.
    pub(super) sinks: bool,
    /// Others that take everything: they, a trace file, and destinations of the program's own.
    pub(super) others: bool,
    /// Metrics are made of spans.
    #[cfg(feature = "otel")]
    pub(super) metrics: bool,
    /// Where OTLP goes.
    pub(super) routes: Option<Routes>,
    /// Spans themselves: the events in them.
    pub(super) span_events: bool,
    /// And what was allocated in them.
    #[cfg(feature = "profiling-alloc")]
    pub(super) allocations: bool,
}

impl Takers {
    /// What they ask for.
    pub(super) fn outputs(&self) -> Outputs {
        let sent = |route: fn(&Routes) -> &Option<Route>| {
            let routes = self.routes.as_ref();
            routes.is_some_and(|routes| route(routes).is_some())
        };
        #[cfg(feature = "otel")]
        let are_counted = self.metrics;
        #[cfg(not(feature = "otel"))]
        let are_counted = false;
        let exported_logs = self.others || sent(|routes| &routes.logs);
        Outputs {
            spans: are_counted || self.others || sent(|routes| &routes.traces),
            logs: self.lines || exported_logs,
            lines: self.lines,
            exported_logs,
            sinks: self.sinks,
            span_events: self.span_events,
            #[cfg(feature = "profiling-alloc")]
            allocations: self.allocations,
        }
    }
}

/// What makes log lines: for a stream, for a file.
#[cfg(feature = "fmt")]
pub(super) fn lines(
    settings: &Settings,
    writer: Option<Box<dyn io::Write + Send>>,
    controls: &Arc<controls::Shared>,
) -> Vec<Box<dyn RecordSink>> {
    let notices = &settings.pipeline.notices;
    use crate::lines::LineSink;
    let settings = &settings.lines;
    let stream = match writer {
        Some(writer) => {
            LineSink::into_writer(settings.format, settings.color, writer, notices.clone())
        }
        None => LineSink::new(settings.format, settings.color, notices.clone()),
    };
    let file = settings.file.as_ref();
    let file = file.and_then(|file| LineSink::into_file(file, notices.clone()));
    let sinks = stream.into_iter().chain(file).map(|lines| {
        let choice = Choice::new(Arc::clone(controls), Output::Lines);
        Box::new(lines.naming_spans(settings.spans).choosing(choice)) as Box<dyn RecordSink>
    });
    sinks.collect()
}

#[cfg(not(feature = "fmt"))]
pub(super) fn lines(
    settings: &Settings,
    writer: Option<Box<dyn io::Write + Send>>,
    _: &Arc<controls::Shared>,
) -> Vec<Box<dyn RecordSink>> {
    let (lines, notices) = (&settings.lines, &settings.pipeline.notices);
    let asked_for = matches!(lines.format, LogFormat::Json | LogFormat::Pretty);
    if asked_for || lines.file.is_some() || writer.is_some() {
        let message = "this build writes no log lines; hint: enable the feature `fmt`";
        crate::notice::of_settings(notices, message);
    }
    Vec::new()
}

#[cfg(feature = "otel")]
pub(super) fn connect(
    settings: &mut Settings,
    destinations: &mut Vec<DestinationConfig>,
) -> Result<Option<Routes>, InitError> {
    let Some(routes) = settings.routes.take() else {
        return Ok(None);
    };
    let notices = &settings.pipeline.notices;
    let secret = settings.secret_headers.take();
    let secret = secret.map(|secret| {
        let notices = notices.clone();
        secret
            .on_notice_by_default(move |notice| crate::notice::of_secret(&notices, notice))
            .build()
    });
    let shared = crate::destinations::Shared {
        secret: secret.as_ref(),
        notices,
    };
    let (routes, exporter) = crate::destinations::connect(routes, shared, &mut settings.warnings)?;
    // First, since the ledger of the first destination is the one that is shown.
    destinations.insert(0, exporter.into());
    Ok(Some(routes))
}

#[cfg(not(feature = "otel"))]
pub(super) fn connect(
    settings: &mut Settings,
    _: &mut Vec<DestinationConfig>,
) -> Result<Option<Routes>, InitError> {
    let Some(routes) = settings.routes.take() else {
        return Ok(None);
    };
    let route = [routes.traces, routes.logs, routes.metrics];
    let route = route.into_iter().flatten().next();
    match route.map(|route| route.origin) {
        Some(origin @ (crate::config::Origin::Application(_) | crate::config::Origin::File(_))) => {
            Err(InitError::Endpoint {
                origin: origin.to_string(),
                reason: "this build of ringlight cannot send OTLP".to_owned(),
                hint: "enable its feature `otel`",
            })
        }
        Some(crate::config::Origin::Variable(name)) => {
            settings.warnings.push(format!(
                "`{name}` is ignored: this build cannot send OTLP; hint: enable the feature `otel`"
            ));
            Ok(None)
        }
        None => Ok(None),
    }
}

#[cfg(all(test, not(feature = "otel")))]
mod tests {
    #[test]
    fn who_asks_for_otlp_where_there_is_none_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("shop.toml");
        std::fs::write(&file, "[telemetry]\nbackend = \"otlp\"\n").unwrap();
        let nothing = [("", ""); 0];
        let builder = crate::builder().environment(nothing).config_file(&file);
        let error = builder.build().unwrap_err().to_string();
        assert!(error.contains("`backend` in "), "{error}");
        assert!(
            error.contains("cannot send OTLP; hint: enable its feature `otel`"),
            "{error}"
        );
        let endpoint = "http://localhost:4317";
        let error = crate::builder()
            .environment(nothing)
            .otlp_endpoint(endpoint);
        assert!(error.build().is_err());
        // A variable keeps no service from starting.
        let builder = crate::builder().environment([("OTLP_ENDPOINT", endpoint)]);
        assert!(builder.build().is_ok());
    }
}
