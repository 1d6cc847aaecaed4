//! Where each signal goes, and how.

use std::fmt;
use std::path::PathBuf;

use ringlight_model::Signal;

use super::Inputs;
use super::environment::{Reader, upper};
use super::headers::headers;
use crate::InitError;

/// How OTLP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Protocol {
    /// gRPC, usually on port 4317.
    Grpc,
    /// Protobuf over HTTP, usually on port 4318.
    HttpProtobuf,
    /// JSON over HTTP, usually on port 4318: larger and slower, for backends that take nothing else.
    HttpJson,
}

impl Protocol {
    /// Its name, as [`from_name`](Self::from_name) takes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::HttpProtobuf => "http/protobuf",
            Self::HttpJson => "http/json",
        }
    }

    /// The protocol of a name as `OTEL_EXPORTER_OTLP_PROTOCOL` has it.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "grpc" => Some(Self::Grpc),
            "http/protobuf" => Some(Self::HttpProtobuf),
            "http/json" => Some(Self::HttpJson),
            _ => None,
        }
    }
}

/// How requests are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// gzip, which every OTLP backend takes.
    Gzip,
    /// Zstandard, smaller and much faster than gzip; the OpenTelemetry Collector takes it, others may not. With
    /// feature `zstd`.
    #[cfg(feature = "zstd")]
    Zstd,
}

impl Compression {
    /// Its name, as `OTEL_EXPORTER_OTLP_COMPRESSION` has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            #[cfg(feature = "zstd")]
            Self::Zstd => "zstd",
        }
    }
}

/// Files for TLS, all PEM, and who named them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct TlsFiles {
    /// The authorities that may vouch for a server.
    pub(crate) certificate: Option<(PathBuf, Origin)>,
    /// Our certificate and its key.
    pub(crate) client: Option<(PathBuf, PathBuf, Origin)>,
}

/// Who named an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The command line or the code: a bad one is an error. The text names the place.
    Application(&'static str),
    /// A variable: a bad one is ignored.
    Variable(String),
    /// The file: a bad one is an error. The text names the setting and the place.
    File(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Application(place) => f.write_str(place),
            Self::File(place) => f.write_str(place),
            Self::Variable(name) => write!(f, "`{name}`"),
        }
    }
}

/// Where one signal goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) endpoint: String,
    /// The endpoint is this signal's own: over HTTP its path is used as it is.
    pub(crate) own: bool,
    pub(crate) protocol: Protocol,
    pub(crate) origin: Origin,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) headers_origin: Origin,
    /// The variable with an endpoint for which the file's, or none that is named, stands in here. Whatever secret variables
    /// name is for that one.
    #[cfg(feature = "otel")]
    pub(crate) stands_in_for: Option<String>,
    pub(crate) compression: Compression,
    pub(crate) tls_files: TlsFiles,
}

/// Where everything goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Routes {
    pub(crate) traces: Option<Route>,
    pub(crate) logs: Option<Route>,
    /// For the report of the ledger, which is a metric, and for the metrics that a relay passes on.
    pub(crate) metrics: Option<Route>,
    /// For those that a relay passes on; a service has none.
    pub(crate) profiles: Option<Route>,
}

#[cfg(feature = "otel")]
impl Routes {
    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut Route> {
        let of_signals = [
            &mut self.traces,
            &mut self.logs,
            &mut self.metrics,
            &mut self.profiles,
        ];
        of_signals.into_iter().flatten()
    }

    pub(crate) const fn of(&self, signal: Signal) -> Option<&Route> {
        match signal {
            Signal::Traces => self.traces.as_ref(),
            Signal::Logs => self.logs.as_ref(),
            Signal::Metrics => self.metrics.as_ref(),
            Signal::Profiles => self.profiles.as_ref(),
        }
    }
}

const ARGUMENT: Origin = Origin::Application("--otlp-endpoint");
const CODE: Origin = Origin::Application("`otlp_endpoint` in code");
/// The code of who makes a relay has it from somewhere else, such as `--forward`.
const RELAY: Origin = Origin::Application("the endpoint that is passed on to");
pub(crate) const CERTIFICATE_CODE: Origin = Origin::Application("`otlp_certificate` in code");
pub(crate) const CLIENT_CERTIFICATE_CODE: Origin =
    Origin::Application("`otlp_client_certificate` in code");
const OWN_VARIABLE: &str = "OTLP_ENDPOINT";
const GENERIC_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const GENERIC_PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
/// Used when an exporter is asked for by name and no endpoint is.
const DEFAULT_ENDPOINT: &str = "http://localhost:4318";
/// Used when the file asks for OTLP and names no endpoint.
const DEFAULT_GRPC_ENDPOINT: &str = "http://localhost:4317";

/// Where the signals go; `None` if none goes anywhere, as where telemetry `is_disabled`.
///
/// # Errors
/// The program or the file names an endpoint that cannot be used.
pub(super) fn routes(
    reader: &mut Reader<'_>,
    inputs: &Inputs,
    is_disabled: bool,
) -> Result<Option<Routes>, InitError> {
    if is_disabled {
        return Ok(None);
    }
    let mut route = |signal| {
        let chosen = (!inputs.is_relay)
            .then(|| exporter(reader, signal))
            .flatten();
        match chosen {
            Some(Exporter::None) => Ok(None),
            chosen => route(reader, inputs, signal, chosen.is_some()),
        }
    };
    let (traces, logs) = (route(Signal::Traces)?, route(Signal::Logs)?);
    let metrics = metrics_route(reader, inputs)?;
    if traces.is_none() && logs.is_none() && metrics.is_none() {
        return Ok(None);
    }
    let profiles = match inputs.is_relay {
        true => self::route(reader, inputs, Signal::Profiles, false)?,
        false => None,
    };
    Ok(Some(Routes {
        traces,
        logs,
        metrics,
        profiles,
    }))
}

/// Who names an endpoint for all signals, before the file does.
pub(super) fn who_names_an_endpoint(reader: &Reader<'_>, inputs: &Inputs) -> Option<Origin> {
    let variable = |name: &str| {
        reader
            .variable(name)
            .map(|_| Origin::Variable(name.to_owned()))
    };
    (inputs.argument_endpoint.as_ref().map(|_| ARGUMENT))
        .or_else(|| inputs.endpoint.as_ref().map(|_| CODE))
        .or_else(|| variable(OWN_VARIABLE))
        .or_else(|| variable(GENERIC_ENDPOINT))
}

/// The ledger is reported wherever metrics would go, but only to an endpoint for all signals: one
/// that is meant for traces alone does not want it.
fn metrics_route(reader: &mut Reader<'_>, inputs: &Inputs) -> Result<Option<Route>, InitError> {
    let mut asked_for = false;
    if !inputs.is_relay {
        let exporters = metrics_exporters(reader);
        let is_named = |name: &str| exporters.iter().any(|exporter| exporter == name);
        asked_for = is_named("otlp");
        if is_named("none") || is_named("prometheus") && !asked_for {
            return Ok(None);
        }
    }
    route(reader, inputs, Signal::Metrics, asked_for)
}

/// What `OTEL_METRICS_EXPORTER` names.
pub(super) fn metrics_exporters(reader: &Reader<'_>) -> Vec<String> {
    let text = reader.text("OTEL_METRICS_EXPORTER").unwrap_or_default();
    let names = text.split(',').map(|name| name.trim().to_ascii_lowercase());
    names.filter(|name| !name.is_empty()).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exporter {
    Otlp,
    None,
}

fn exporter(reader: &mut Reader<'_>, signal: Signal) -> Option<Exporter> {
    let name = format!("OTEL_{}_EXPORTER", upper(signal));
    reader.choice(&name, "`otlp` or `none`", |text| {
        match text.to_ascii_lowercase().as_str() {
            "otlp" => Some(Exporter::Otlp),
            "none" => Some(Exporter::None),
            _ => None,
        }
    })
}

fn route(
    reader: &mut Reader<'_>,
    inputs: &Inputs,
    signal: Signal,
    asked_for: bool,
) -> Result<Option<Route>, InitError> {
    let Some(place) = place(reader, inputs, signal, asked_for)? else {
        return Ok(None);
    };
    let (headers, headers_origin) = headers(reader, inputs, signal, &place);
    #[cfg(feature = "otel")]
    let stands_in_for = place.stands_in_for(Level::All).map(str::to_owned);
    let (named, protocol) = (place.named, place.protocol);
    let compression = compression(reader, inputs, signal);
    let tls_files = tls_files(reader, inputs, signal);
    Ok(Some(Route {
        endpoint: named.endpoint,
        own: named.level == Level::Signal,
        protocol,
        origin: named.origin,
        headers,
        headers_origin,
        #[cfg(feature = "otel")]
        stands_in_for,
        compression,
        tls_files,
    }))
}

/// Who names something, in the order in which they hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// The command line or the code.
    Program,
    /// A variable for this signal.
    Signal,
    /// A variable for all signals.
    All,
    File,
    /// Nobody does.
    Default,
}

/// An endpoint, and who names it.
struct Named {
    endpoint: String,
    origin: Origin,
    level: Level,
}

/// The endpoint that holds for a signal.
pub(super) struct Place {
    named: Named,
    protocol: Protocol,
    /// The variables before it with an endpoint that cannot be used.
    ignored: Vec<(Level, String)>,
}

impl Place {
    /// Who names it.
    pub(super) const fn origin(&self) -> &Origin {
        &self.named.origin
    }

    /// The ignored variable whose endpoint was the one that variables of a level were set beside. What authenticates there
    /// is nobody else's business: variables for all signals are set beside any of the variables, those for one signal also
    /// beside that signal's alone.
    pub(super) fn stands_in_for(&self, level: Level) -> Option<&str> {
        let is_elsewhere = self.named.level > Level::All;
        let mut ignored = self.ignored.iter();
        let (_, name) =
            ignored.find(|(of, _)| is_elsewhere || *of == level && level == Level::Signal)?;
        Some(name)
    }
}

/// The first endpoint that can be used, and its protocol. A variable with one that cannot be is ignored.
fn place(
    reader: &mut Reader<'_>,
    inputs: &Inputs,
    signal: Signal,
    asked_for: bool,
) -> Result<Option<Place>, InitError> {
    let mut found = None;
    let mut refused = Vec::new();
    for mut named in named(reader, inputs, signal, asked_for) {
        let protocol = protocol(reader, inputs, signal, &named.endpoint, &named.origin);
        let is_specified = named.level == Level::Signal
            || named.origin == Origin::Variable(GENERIC_ENDPOINT.to_owned());
        if is_specified && protocol == Protocol::Grpc && !named.endpoint.contains("://") {
            let scheme = if is_insecure(reader, signal) {
                "http"
            } else {
                "https"
            };
            named.endpoint = format!("{scheme}://{}", named.endpoint);
        }
        let Some(reason) = flaw(&named, protocol) else {
            found = Some((named, protocol));
            break;
        };
        match named.origin {
            Origin::Variable(name) => refused.push((named.level, name, reason)),
            origin => return Err(InitError::endpoint(&origin, reason)),
        }
    }
    let instead = match &found {
        Some((named, _)) => format!("{} holds", named.origin),
        None => "nothing is sent there".to_owned(),
    };
    let mut ignored = Vec::new();
    for (level, name, reason) in refused {
        reader.say(format!("`{name}` is ignored: {reason}; {instead}"));
        reader.ignored.insert(name.clone());
        ignored.push((level, name));
    }
    Ok(found.map(|(named, protocol)| Place {
        named,
        protocol,
        ignored,
    }))
}

/// The endpoints of a signal, in the order in which they hold.
fn named(reader: &Reader<'_>, inputs: &Inputs, signal: Signal, asked_for: bool) -> Vec<Named> {
    let by_program = |endpoint: &String, origin| {
        vec![Named {
            endpoint: endpoint.clone(),
            origin,
            level: Level::Program,
        }]
    };
    if let Some(endpoint) = &inputs.argument_endpoint {
        return by_program(endpoint, ARGUMENT);
    }
    if let Some(endpoint) = &inputs.endpoint {
        return by_program(endpoint, if inputs.is_relay { RELAY } else { CODE });
    }
    let own_name = format!("OTEL_EXPORTER_OTLP_{}_ENDPOINT", upper(signal));
    let own = reader
        .variable(&own_name)
        .map(|endpoint| (endpoint, reader.variable_origin(&own_name)));
    let variable = |name: &str| {
        let endpoint = reader.variable(name)?;
        Some((endpoint, Origin::Variable(name.to_owned())))
    };
    let default = asked_for.then(|| {
        let name = format!("OTEL_{}_EXPORTER", upper(signal));
        (DEFAULT_ENDPOINT.to_owned(), Origin::Variable(name))
    });
    let all = [
        (Level::Signal, own),
        (Level::All, variable(OWN_VARIABLE)),
        (Level::All, variable(GENERIC_ENDPOINT)),
        (Level::File, in_file(reader)),
        (Level::Default, default),
    ];
    let all = all.into_iter().filter_map(|(level, named)| {
        let (endpoint, origin) = named?;
        Some(Named {
            endpoint,
            origin,
            level,
        })
    });
    all.collect()
}

/// Why nothing can be sent to an endpoint, as far as that shows without a connection.
#[cfg(feature = "otel")]
fn flaw(named: &Named, protocol: Protocol) -> Option<String> {
    let checked =
        crate::destinations::check_address(protocol, &named.endpoint, named.level == Level::Signal);
    checked.err().map(|error| error.to_string())
}

/// A build that sends nothing says that of all of them.
#[cfg(not(feature = "otel"))]
const fn flaw(_: &Named, _: Protocol) -> Option<String> {
    None
}

/// The endpoint of the file, and what says so there; none where traces stay on this machine.
fn in_file(reader: &Reader<'_>) -> Option<(String, Origin)> {
    let endpoint = reader.in_file("otlp_endpoint");
    let Some((backend, origin)) = reader.in_file("backend") else {
        return endpoint;
    };
    let default = || (DEFAULT_GRPC_ENDPOINT.to_owned(), origin);
    (backend == "otlp").then(|| endpoint.unwrap_or_else(default))
}

/// The signal's own variable if it is set, or else the one for all: its name and its value.
fn text_of(reader: &Reader<'_>, signal: Signal, what: &str) -> Option<(Origin, String)> {
    let own = format!("OTEL_EXPORTER_OTLP_{}_{what}", upper(signal));
    let names = [own, format!("OTEL_EXPORTER_OTLP_{what}")];
    names
        .into_iter()
        .find_map(|name| reader.text(&name).map(|text| (reader.origin(&name), text)))
}

/// The specification has endpoints for gRPC without a scheme, for which this says whether there is TLS.
fn is_insecure(reader: &mut Reader<'_>, signal: Signal) -> bool {
    let own = format!("OTEL_EXPORTER_OTLP_{}_INSECURE", upper(signal));
    let own = reader.variable(&own).map(|_| own);
    reader.truth(own.as_deref().unwrap_or("OTEL_EXPORTER_OTLP_INSECURE"))
}

fn compression(reader: &mut Reader<'_>, inputs: &Inputs, signal: Signal) -> Compression {
    if let Some(compression) = inputs.compression {
        return compression;
    }
    let per_signal = format!("OTEL_EXPORTER_OTLP_{}_COMPRESSION", upper(signal));
    [&*per_signal, "OTEL_EXPORTER_OTLP_COMPRESSION"]
        .into_iter()
        .find_map(|name| named_compression(reader, name))
        .unwrap_or_default()
}

fn named_compression(reader: &mut Reader<'_>, name: &str) -> Option<Compression> {
    if cfg!(not(feature = "zstd")) && reader.text(name).as_deref() == Some("zstd") {
        let what = format!("`zstd` of {}", reader.origin(name));
        reader.say_without(&what, "zstd");
        return None;
    }
    const NAMES: &str = if cfg!(feature = "zstd") {
        "`gzip`, `zstd` or `none`"
    } else {
        "`gzip` or `none`, and with the feature `zstd`, which this build does not have, `zstd`"
    };
    reader.choice(name, NAMES, |text| match text {
        "gzip" => Some(Compression::Gzip),
        #[cfg(feature = "zstd")]
        "zstd" => Some(Compression::Zstd),
        "none" => Some(Compression::None),
        _ => None,
    })
}

fn tls_files(reader: &mut Reader<'_>, inputs: &Inputs, signal: Signal) -> TlsFiles {
    let mut files = inputs.tls_files.clone();
    if files.certificate.is_none() {
        files.certificate =
            text_of(reader, signal, "CERTIFICATE").map(|(origin, path)| (path.into(), origin));
    }
    if files.client.is_none() {
        let certificate = text_of(reader, signal, "CLIENT_CERTIFICATE");
        files.client = match (certificate, text_of(reader, signal, "CLIENT_KEY")) {
            (Some((origin, certificate)), Some((_, key))) => {
                Some((certificate.into(), key.into(), origin))
            }
            (Some((origin, _)), None) => {
                reader.say(format!(
                    "{origin} is ignored: its key is missing; hint: set `OTEL_EXPORTER_OTLP_CLIENT_KEY`"
                ));
                None
            }
            (None, Some((origin, _))) => {
                reader.say(format!(
                    "{origin} is ignored: its certificate is missing; hint: set \
                     `OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE`"
                ));
                None
            }
            (None, None) => None,
        };
    }
    files
}

/// gRPC for the product's own ways to name an endpoint, HTTP for the specification's, unless the
/// protocol is given or the port is the other protocol's.
fn protocol(
    reader: &mut Reader<'_>,
    inputs: &Inputs,
    signal: Signal,
    endpoint: &str,
    origin: &Origin,
) -> Protocol {
    if let Some(protocol) = inputs.protocol {
        return protocol;
    }
    let own_way = matches!(origin, Origin::Application(_) | Origin::File(_))
        || *origin == Origin::Variable(OWN_VARIABLE.into());
    let in_file = reader.in_file("otlp_protocol");
    let in_file = in_file.filter(|_| matches!(origin, Origin::File(_)));
    // Where both kinds of endpoint are set, as `ringlight up` does for its programs, the protocol
    // variable belongs to the specification's. A relay has one endpoint, and is no such program.
    let applies = inputs.is_relay || !own_way || reader.variable(GENERIC_ENDPOINT).is_none();
    let per_signal = format!("OTEL_EXPORTER_OTLP_{}_PROTOCOL", upper(signal));
    let given = applies.then(|| {
        named_protocol(reader, &per_signal).or_else(|| named_protocol(reader, GENERIC_PROTOCOL))
    });
    let in_file = || in_file.and_then(|(name, _)| Protocol::from_name(&name));
    given
        .flatten()
        .or_else(in_file)
        .unwrap_or(match (port(endpoint), own_way) {
            (Some(4317), _) => Protocol::Grpc,
            (Some(4318), _) => Protocol::HttpProtobuf,
            (_, true) => Protocol::Grpc,
            (_, false) => Protocol::HttpProtobuf,
        })
}

fn named_protocol(reader: &mut Reader<'_>, name: &str) -> Option<Protocol> {
    const NAMES: &str = "`grpc`, `http/protobuf` or `http/json`";
    reader.choice(name, NAMES, Protocol::from_name)
}

/// The path in an address, if it names one; without the query, which may hold a token.
#[cfg(feature = "otel")]
pub(crate) fn path(endpoint: &str) -> Option<&str> {
    let (_, rest) = endpoint.split_once("://")?;
    let rest = rest.split(['?', '#']).next()?;
    let path = &rest[rest.find('/')?..];
    (!path.trim_matches('/').is_empty()).then_some(path)
}

/// Whether an address has a query.
#[cfg(feature = "otel")]
pub(crate) fn has_query(endpoint: &str) -> bool {
    let address = endpoint.split('#').next().unwrap_or_default();
    address.contains('?')
}

/// The port in an address, if it names one.
fn port(endpoint: &str) -> Option<u16> {
    let (_, rest) = endpoint.split_once("://").unwrap_or(("", endpoint));
    let authority = rest.split(['/', '?', '#']).next()?;
    let (_, port) = authority.rsplit_once(':')?;
    port.parse().ok()
}
