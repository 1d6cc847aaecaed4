//! From routes to exporters.

use std::sync::Arc;

use ringlight_collector::{
    EncodedBatch, ExportError, ExportFuture, ExportOutcome, Exporter, ExporterBoxed, Notices,
};
use ringlight_export::{EndpointError, OtlpConfig, OtlpExporter, OtlpHttpExporter};
use ringlight_model::Signal;
use ringlight_secrets::SecretHeaders;

use crate::InitError;
use crate::config::{Compression, Origin, Protocol, Route, Routes, has_query, path};

/// What all exporters have in common.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'a> {
    /// Where headers come from that hold a secret.
    pub(crate) secret: Option<&'a SecretHeaders>,
    /// Who is told of what changes about the way to a destination.
    pub(crate) notices: &'a Notices,
}

/// The exporter for the routes, and the routes without the headers that cannot be sent, of which there is a warning.
pub(crate) fn connect(
    mut routes: Routes,
    shared: Shared<'_>,
    warnings: &mut Vec<String>,
) -> Result<(Routes, Arc<dyn ExporterBoxed>), InitError> {
    let all = [
        &mut routes.traces,
        &mut routes.logs,
        &mut routes.metrics,
        &mut routes.profiles,
    ];
    for route in all.into_iter().flatten() {
        check(route, shared, warnings)?;
    }
    let reports_open_spans = match (&routes.traces, &routes.logs) {
        (Some(traces), Some(logs)) => is_one_backend(traces, logs),
        _ => false,
    };
    let split = Split {
        reports_open_spans,
        traces: exporter(routes.traces.as_ref(), shared)?,
        logs: exporter(routes.logs.as_ref(), shared)?,
        metrics: exporter(routes.metrics.as_ref(), shared)?,
        profiles: exporter(routes.profiles.as_ref(), shared)?,
    };
    // One place for everything is the usual case; it then keeps one connection. A service, which has no
    // profiles, has no place for them to differ.
    let first = routes.of(Signal::Traces).filter(|route| !route.own);
    let one_place = Signal::ALL.into_iter().all(|signal| {
        routes.of(signal) == first || signal == Signal::Profiles && routes.profiles.is_none()
    });
    let exporter: Arc<dyn ExporterBoxed> = match split.traces {
        Some(exporter) if one_place => exporter,
        _ => Arc::new(split),
    };
    Ok((routes, exporter))
}

/// Whether there can be an exporter for an address, which is `own` if it is a signal's own.
pub(crate) fn check_address(
    protocol: Protocol,
    endpoint: &str,
    own: bool,
) -> Result<(), EndpointError> {
    exporter_to(protocol, &address(endpoint, own)).map(|_| ())
}

/// Leaves out headers of a variable that cannot be sent; an error if they are the application's.
fn check(
    route: &mut Route,
    shared: Shared<'_>,
    warnings: &mut Vec<String>,
) -> Result<(), InitError> {
    if route.protocol == Protocol::Grpc {
        say_what_grpc_leaves_out(route, warnings);
    }
    for (name, value) in std::mem::take(&mut route.headers) {
        route.headers.push((name, value));
        if let Err(error) = exporter_to(route.protocol, &config(route, shared)) {
            if matches!(route.origin, Origin::Application(_))
                || matches!(route.headers_origin, Origin::File(_))
            {
                return Err(refused(route, error));
            }
            let origin = &route.headers_origin;
            say(
                warnings,
                format!("a header of {origin} is ignored: {error}"),
            );
            route.headers.pop();
        }
    }
    check_files(route, warnings)
}

fn say_what_grpc_leaves_out(route: &Route, warnings: &mut Vec<String>) {
    let origin = &route.origin;
    if let Some(path) = path(&route.endpoint) {
        let text = format!(
            "path `{path}` of {origin} is not used with gRPC; hint: leave it out, or choose \
             `http/protobuf`"
        );
        say(warnings, text);
    }
    // Not shown: it may hold a token.
    if has_query(&route.endpoint) {
        let text = format!(
            "the query of {origin} is not used with gRPC; hint: send what it holds in a header, or \
             choose `http/protobuf`"
        );
        say(warnings, text);
    }
}

/// Looks whether the files with certificates can be used. What the application named has to be there; what
/// variables and the file name may come later, as a volume that is mounted late does.
fn check_files(route: &Route, warnings: &mut Vec<String>) -> Result<(), InitError> {
    if !route.endpoint.trim_start().starts_with("https:") {
        return Ok(());
    }
    let files = &route.tls_files;
    let (certificate, client) = (files.certificate.as_ref(), files.client.as_ref());
    let origins = [
        certificate.map(|(_, origin)| origin),
        client.map(|(_, _, origin)| origin),
    ];
    for origin in origins.into_iter().flatten() {
        let mut config = OtlpConfig::new(&route.endpoint);
        // One after the other, so that it is known whose file is bad.
        if let Some((path, _)) = certificate {
            config = config.ca_certificate_file(path);
        }
        if let Some((certificate, key, of)) = client
            && of == origin
        {
            config = config.client_identity_files(certificate, key);
        }
        if let Err(error) = config.check_certificate_files() {
            let reason = error.to_string();
            return match origin {
                Origin::Application(_) => Err(InitError::Certificate {
                    origin: origin.to_string(),
                    reason,
                }),
                Origin::Variable(_) | Origin::File(_) => {
                    let text =
                        format!("{origin}: {reason}; it is tried again with every connection");
                    say(warnings, text);
                    Ok(())
                }
            };
        }
    }
    Ok(())
}

fn say(warnings: &mut Vec<String>, warning: String) {
    if !warnings.contains(&warning) {
        warnings.push(warning);
    }
}

fn refused(route: &Route, error: EndpointError) -> InitError {
    let reason = error.to_string();
    match error {
        EndpointError::Header { .. } => InitError::Header {
            origin: route.headers_origin.to_string(),
            reason,
        },
        _ => InitError::endpoint(&route.origin, reason),
    }
}

fn exporter(
    route: Option<&Route>,
    shared: Shared<'_>,
) -> Result<Option<Arc<dyn ExporterBoxed>>, InitError> {
    let built = route.map(|route| {
        exporter_to(route.protocol, &config(route, shared)).map_err(|error| refused(route, error))
    });
    built.transpose()
}

/// An address alone. A signal's own is that of all: its exporter is asked for nothing else.
fn address(endpoint: &str, own: bool) -> OtlpConfig {
    let mut config = OtlpConfig::new(endpoint);
    if own {
        for signal in Signal::ALL {
            config = config.signal_endpoint(signal, endpoint);
        }
    }
    config
}

fn config(route: &Route, shared: Shared<'_>) -> OtlpConfig {
    let mut config = address(&route.endpoint, route.own);
    for (name, value) in &route.headers {
        config = config.header(name, value);
    }
    if let Some(secret) = shared.secret
        && route.stands_in_for.is_none()
    {
        config = config.headers_from(secret.clone());
    }
    if let Some((certificate, _)) = &route.tls_files.certificate {
        config = config.ca_certificate_file(certificate);
    }
    if let Some((certificate, key, _)) = &route.tls_files.client {
        config = config.client_identity_files(certificate, key);
    }
    let compression = match route.compression {
        Compression::None => ringlight_export::Compression::None,
        Compression::Gzip => ringlight_export::Compression::Gzip,
        #[cfg(feature = "zstd")]
        Compression::Zstd => ringlight_export::Compression::Zstd,
    };
    config
        .compression(compression)
        .notices(shared.notices.clone())
}

fn exporter_to(
    protocol: Protocol,
    config: &OtlpConfig,
) -> Result<Arc<dyn ExporterBoxed>, EndpointError> {
    Ok(match protocol {
        Protocol::Grpc => Arc::new(OtlpExporter::new(config)?),
        Protocol::HttpProtobuf => Arc::new(OtlpHttpExporter::new(config)?),
        Protocol::HttpJson => Arc::new(OtlpHttpExporter::json(config)?),
    })
}

/// Whether two routes lead to one backend, as an exporter for both of them says. One that is reached over
/// two protocols has two addresses, and is not recognized.
fn is_one_backend(traces: &Route, logs: &Route) -> bool {
    if traces.protocol != logs.protocol {
        return false;
    }
    if !traces.own && !logs.own {
        return traces.endpoint == logs.endpoint;
    }
    let for_all = if traces.own { logs } else { traces };
    let mut config = OtlpConfig::new(&for_all.endpoint);
    for (signal, route) in [(Signal::Traces, traces), (Signal::Logs, logs)] {
        if route.own {
            config = config.signal_endpoint(signal, &route.endpoint);
        }
    }
    exporter_to(traces.protocol, &config).is_ok_and(|both| both.reports_open_spans_boxed())
}

/// An exporter of its own for each signal.
struct Split {
    traces: Option<Arc<dyn ExporterBoxed>>,
    logs: Option<Arc<dyn ExporterBoxed>>,
    metrics: Option<Arc<dyn ExporterBoxed>>,
    profiles: Option<Arc<dyn ExporterBoxed>>,
    /// Whether spans and log records go to one backend.
    reports_open_spans: bool,
}

impl Split {
    fn of(&self, signal: Signal) -> Option<&Arc<dyn ExporterBoxed>> {
        match signal {
            Signal::Traces => self.traces.as_ref(),
            Signal::Logs => self.logs.as_ref(),
            Signal::Metrics => self.metrics.as_ref(),
            Signal::Profiles => self.profiles.as_ref(),
        }
    }
}

impl Exporter for Split {
    async fn export(&self, batch: EncodedBatch) -> Result<ExportOutcome, ExportError> {
        match self.of(batch.signal) {
            Some(exporter) => {
                let sent: ExportFuture<'_> = exporter.export_boxed(batch);
                sent.await
            }
            None => Err(ExportError::Unsupported {
                reason: format!("no endpoint takes {}", batch.signal),
            }),
        }
    }

    fn name(&self) -> &str {
        let mut places = Signal::ALL.into_iter().filter_map(|signal| self.of(signal));
        places
            .next()
            .map_or("nowhere", |exporter| exporter.name_boxed())
    }

    fn place(&self, signal: Signal) -> Option<&str> {
        self.of(signal).map(|exporter| exporter.name_boxed())
    }

    fn reports_open_spans(&self) -> bool {
        self.reports_open_spans
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TlsFiles;

    fn route(endpoint: &str, own: bool, protocol: Protocol) -> Option<Route> {
        Some(Route {
            endpoint: endpoint.to_owned(),
            own,
            protocol,
            origin: Origin::Variable("TEST".to_owned()),
            headers: Vec::new(),
            headers_origin: Origin::Variable("TEST_HEADERS".to_owned()),
            stands_in_for: None,
            compression: Compression::None,
            tls_files: TlsFiles::default(),
        })
    }

    #[test]
    fn a_place_is_shared_unless_a_signal_has_one_of_its_own() {
        const HTTP: Option<&str> = Some("http://a:4318 (OTLP/HTTP)");
        const GRPC: Option<&str> = Some("http://a:4318 (OTLP/gRPC)");
        let all = || route("http://a:4318", false, Protocol::HttpProtobuf);
        let other = || route("http://a:4318", false, Protocol::Grpc);
        let check = |metrics, profiles: Option<Route>, expected: [Option<&str>; 4]| {
            let routes = Routes {
                traces: all(),
                logs: all(),
                metrics,
                profiles,
            };
            let shared = Shared {
                secret: None,
                notices: &Notices::default(),
            };
            let (_, exporter) = connect(routes, shared, &mut Vec::new()).unwrap();
            let places = Signal::ALL.map(|signal| exporter.place_boxed(signal));
            assert_eq!(places, expected);
        };
        check(all(), all(), [HTTP; 4]);
        check(all(), other(), [HTTP, HTTP, HTTP, GRPC]);
        check(other(), all(), [HTTP, HTTP, GRPC, HTTP]);
        // Profiles are of a relay alone.
        check(other(), None, [HTTP, HTTP, GRPC, None]);
    }

    #[test]
    fn what_is_not_used_is_told_with_who_named_it_and_nothing_secret() {
        let check = |route: Option<Route>, expected: &[&str]| {
            let routes = Routes {
                traces: route,
                logs: None,
                metrics: None,
                profiles: None,
            };
            let shared = Shared {
                secret: None,
                notices: &Notices::default(),
            };
            let mut warnings = Vec::new();
            connect(routes, shared, &mut warnings).unwrap();
            assert_eq!(warnings.len(), expected.len(), "{warnings:?}");
            for (warning, expected) in warnings.iter().zip(expected) {
                assert!(warning.starts_with(expected), "{warning}");
                assert!(!warning.contains("s3cret"), "{warning}");
            }
        };
        let path = "path `/path` of `TEST` is not used with gRPC; hint: ";
        let query = "the query of `TEST` is not used with gRPC; hint: ";
        let grpc = |endpoint| route(endpoint, false, Protocol::Grpc);
        check(grpc("http://a:4317/path?token=s3cret"), &[path, query]);
        check(grpc("http://a:4317?token=s3cret"), &[query]);
        check(grpc("http://a:4317/#s3cret?"), &[]);
        let over_http = "http://a:4318/path?token=s3cret";
        check(route(over_http, false, Protocol::HttpProtobuf), &[]);
        let mut with_header = grpc("http://a:4317");
        let headers = [("host", "s3cret"), ("x-tenant", "shop")];
        with_header.as_mut().unwrap().headers = headers
            .map(|(name, value)| (name.into(), value.into()))
            .into();
        let header = "a header of `TEST_HEADERS` is ignored: header `host` cannot be sent";
        check(with_header, &[header]);
    }

    #[test]
    fn a_secret_stays_with_the_endpoint_it_is_for() {
        let secret = SecretHeaders::from_source(ringlight_secrets::FileSecret::new("/of/variable"));
        let secret = secret.build();
        let shared = Shared {
            secret: Some(&secret),
            notices: &Notices::default(),
        };
        let check = |ignored: Option<&str>, is_sent: bool| {
            let mut route = route("http://a:4317", false, Protocol::Grpc).unwrap();
            route.stands_in_for = ignored.map(str::to_owned);
            let config = format!("{:?}", config(&route, shared));
            assert_eq!(config.contains("/of/variable"), is_sent, "{config}");
        };
        check(None, true);
        check(Some("OTLP_ENDPOINT"), false);
    }

    #[test]
    fn open_spans_are_reported_where_the_traces_go() {
        use Protocol::{Grpc, HttpProtobuf};
        let check = |traces: Option<Route>, logs: Option<Route>, expected: bool| {
            // Without metrics, so that there is an exporter for each.
            let routes = Routes {
                traces,
                logs,
                metrics: None,
                profiles: None,
            };
            let shared = Shared {
                secret: None,
                notices: &Notices::default(),
            };
            let (routes, exporter) = connect(routes, shared, &mut Vec::new()).unwrap();
            let reports = exporter.reports_open_spans_boxed();
            assert_eq!(reports, expected, "{routes:?}");
        };
        let all = |protocol| route("http://a:4317", false, protocol);
        check(all(Grpc), all(Grpc), true);
        check(all(HttpProtobuf), all(HttpProtobuf), true);
        check(all(Grpc), all(HttpProtobuf), false);
        check(None, all(Grpc), false);
        check(all(Grpc), None, false);
        let traces = || route("http://a:4318/v1/traces", true, HttpProtobuf);
        check(
            traces(),
            route("http://a:4318/v1/logs", true, HttpProtobuf),
            true,
        );
        check(traces(), route("http://a:4318", false, HttpProtobuf), true);
        check(
            traces(),
            route("http://b:4318/v1/logs", true, HttpProtobuf),
            false,
        );
        check(all(Grpc), route("http://b:4317", true, Grpc), false);
    }
}
