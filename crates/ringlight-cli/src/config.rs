//! The validated configuration: what the rest of the program works from.

use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use http::Uri;
use http::uri::Authority;
use ringlight::collector::{OtlpConfig, OtlpExporter};
use ringlight_app_harness::parse_duration;

use crate::address::Address;
use crate::args::{BackendArgs, CheckArgs, DemoArgs, UpArgs};
use crate::error::{CliError, Exit};
use crate::size::parse_size;

/// How the backend is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BackendConfig {
    pub(crate) data_dir: PathBuf,
    pub(crate) retention: Duration,
    pub(crate) size_limit_bytes: u64,
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) ui: SocketAddr,
    pub(crate) forward: Option<ForwardConfig>,
}

/// Where the backend passes everything on to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ForwardConfig {
    pub(crate) url: Address,
    /// What waits for it on disk, at most.
    pub(crate) size_limit_bytes: u64,
}

/// What `up` does.
#[derive(Debug)]
pub(crate) struct UpConfig {
    pub(crate) backend: BackendConfig,
    pub(crate) json: bool,
    pub(crate) program: Option<Program>,
}

/// A program to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) name: OsString,
    pub(crate) args: Vec<OsString>,
}

/// What `demo` does.
#[derive(Debug)]
pub(crate) struct DemoConfig {
    pub(crate) backend: BackendConfig,
    pub(crate) duration: Option<Duration>,
    pub(crate) rate: u32,
    /// Where the applications write trace files, if they do.
    pub(crate) trace_dir: Option<PathBuf>,
    pub(crate) json: bool,
    pub(crate) verbose: bool,
}

/// What `check` does.
#[derive(Debug)]
pub(crate) struct CheckConfig {
    pub(crate) map: PathBuf,
    /// Host and port of the backend.
    pub(crate) backend: Authority,
    /// In place of the map's.
    pub(crate) service: Option<String>,
    /// How far back is looked; `None` is to the start of the backend.
    pub(crate) since: Option<Duration>,
    pub(crate) traces_max: u64,
    pub(crate) json: bool,
}

/// What the configuration depends on beside the command line.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surroundings {
    pub(crate) xdg_data_home: Option<PathBuf>,
    pub(crate) home: Option<PathBuf>,
}

impl Surroundings {
    pub(crate) fn of_process() -> Self {
        let path = |name| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        Self {
            xdg_data_home: path("XDG_DATA_HOME"),
            home: path("HOME"),
        }
    }

    /// The data directory where none is given. A relative `XDG_DATA_HOME` is ignored, as its
    /// specification demands.
    fn data_dir(&self, name: &str) -> Result<PathBuf, CliError> {
        let base = self
            .xdg_data_home
            .clone()
            .filter(|path| path.is_absolute())
            .or_else(|| Some(self.home.as_ref()?.join(".local/share")));
        match base {
            Some(base) => Ok(base.join("ringlight").join(name)),
            None => Err(CliError::new(
                Exit::Data,
                "there is no place to store telemetry: neither `XDG_DATA_HOME` nor `HOME` is set",
            )
            .with_hint("name a directory with `--data-dir`")),
        }
    }
}

impl UpConfig {
    pub(crate) fn new(args: UpArgs, surroundings: &Surroundings) -> Result<Self, CliError> {
        let mut program = args.program.into_iter();
        let mut backend = BackendConfig::new(args.backend, "up", surroundings)?;
        backend.forward = match args.forward {
            Some(url) => Some(ForwardConfig::new(url, &args.forward_size_limit, &backend)?),
            None => None,
        };
        Ok(Self {
            backend,
            json: args.json,
            program: program.next().map(|name| Program {
                name,
                args: program.collect(),
            }),
        })
    }
}

impl DemoConfig {
    pub(crate) fn new(args: DemoArgs, surroundings: &Surroundings) -> Result<Self, CliError> {
        Ok(Self {
            backend: BackendConfig::new(args.backend, "demo", surroundings)?,
            duration: args
                .duration
                .map(|text| duration("--duration", &text))
                .transpose()?,
            rate: args.rate,
            trace_dir: args.trace_dir,
            json: args.json,
            verbose: args.verbose,
        })
    }
}

impl CheckConfig {
    pub(crate) fn new(args: CheckArgs) -> Result<Self, CliError> {
        Ok(Self {
            map: args.map,
            backend: authority(&args.url)?,
            service: args.service,
            since: args
                .since
                .map(|text| duration("--since", &text))
                .transpose()?,
            traces_max: args.limit,
            json: args.json,
        })
    }
}

impl BackendConfig {
    fn new(
        args: BackendArgs,
        directory: &str,
        surroundings: &Surroundings,
    ) -> Result<Self, CliError> {
        let address = loopback(&args.listen)?;
        let retention = duration("--retention", &args.retention)?;
        if retention < Duration::from_secs(60) {
            return Err(
                usage("--retention", &args.retention, "it is less than a minute")
                    .with_hint("keep at least `1m`"),
            );
        }
        let size_limit_bytes = size("--size-limit", &args.size_limit)?;
        let ports = [
            ("--grpc-port", args.grpc_port),
            ("--http-port", args.http_port),
            ("--ui-port", args.ui_port),
        ];
        for (index, (name, port)) in ports.iter().enumerate() {
            if let Some((other, _)) = ports[..index]
                .iter()
                .find(|(_, taken)| taken == port && *port != 0)
            {
                return Err(CliError::new(
                    Exit::Usage,
                    format!("`{name}` and `{other}` are both {port}"),
                )
                .with_hint("give each its own port, or 0 for a free one"));
            }
        }
        Ok(Self {
            data_dir: match args.data_dir {
                Some(given) => given,
                None => surroundings.data_dir(directory)?,
            },
            retention,
            size_limit_bytes,
            grpc: SocketAddr::new(address, args.grpc_port),
            http: SocketAddr::new(address, args.http_port),
            ui: SocketAddr::new(address, args.ui_port),
            forward: None,
        })
    }
}

impl ForwardConfig {
    fn new(url: Address, size_limit: &str, backend: &BackendConfig) -> Result<Self, CliError> {
        let size_limit_bytes = size("--forward-size-limit", size_limit)?;
        // An exporter knows best, and connects to nothing.
        OtlpExporter::new(&OtlpConfig::new(url.as_str())).map_err(|error| {
            CliError::new(Exit::Usage, format!("`--forward` cannot be used: {error}")).with_hint(
                "write scheme, host and port, for instance `http://localhost:4317`; what \
                 authenticates goes into `OTEL_EXPORTER_OTLP_HEADERS`",
            )
        })?;
        if leads_back(url.as_str(), backend) {
            return Err(usage(
                "--forward",
                &url.to_string(),
                "this backend listens there itself",
            )
            .with_hint(
                "name the endpoint of another one, or choose other ports with `--grpc-port` and \
                 `--http-port`",
            ));
        }
        Ok(Self {
            url,
            size_limit_bytes,
        })
    }
}

/// Whether an address, which an exporter can use, is one of the backend's own, as far as can be seen without asking
/// anybody.
fn leads_back(url: &str, backend: &BackendConfig) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        // Not one of the colons in `[::1]`.
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()),
        _ if scheme.eq_ignore_ascii_case("https") => (authority, Some(443)),
        _ => (authority, Some(80)),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    [backend.grpc, backend.http, backend.ui]
        .into_iter()
        .any(|own| own.port() != 0 && Some(own.port()) == port && names(host, own.ip()))
}

/// Whether a host is this address of the machine, or any of its.
fn names(host: &str, own: IpAddr) -> bool {
    if host.eq_ignore_ascii_case("localhost") {
        return [
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ]
        .contains(&own);
    }
    host.parse::<IpAddr>().is_ok_and(|address| {
        address.is_unspecified() || address.to_canonical() == own.to_canonical()
    })
}

/// Host and port of the address a backend prints.
fn authority(url: &Address) -> Result<Authority, CliError> {
    let wrong = |message: &str| {
        usage("--url", &url.to_string(), message)
            .with_hint("write scheme, host and port alone, such as `http://127.0.0.1:4320`")
    };
    let uri: Uri = url
        .as_str()
        .parse()
        .map_err(|_| wrong("it is no address"))?;
    match (uri.scheme_str(), uri.authority()) {
        (Some("http"), Some(authority))
            if uri.path() == "/" && uri.query().is_none() && !authority.as_str().contains('@') =>
        {
            Ok(authority.clone())
        }
        (Some("http"), _) => Err(wrong("it has more than scheme, host and port")),
        (Some("https"), _) => Err(wrong("the backend does not speak TLS")),
        _ => Err(wrong("it does not begin with `http://`")),
    }
}

/// At least what a store or a spool needs to work with.
fn size(flag: &str, text: &str) -> Result<u64, CliError> {
    let bytes =
        parse_size(text).map_err(|(message, hint)| usage(flag, text, &message).with_hint(hint))?;
    if bytes < 16 << 20 {
        return Err(usage(flag, text, "it is too small").with_hint("keep at least `16MiB`"));
    }
    Ok(bytes)
}

fn usage(flag: &str, value: &str, message: &str) -> CliError {
    CliError::new(
        Exit::Usage,
        format!("`{flag} {value}` cannot be used: {message}"),
    )
}

fn duration(flag: &str, text: &str) -> Result<Duration, CliError> {
    parse_duration(text)
        .map_err(|error| usage(flag, text, &error.to_string()).with_hint(error.hint()))
}

/// Only loopback addresses: whoever can reach the ports can read and write everything.
fn loopback(text: &str) -> Result<IpAddr, CliError> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    let address = if bare == "localhost" {
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    } else {
        bare.parse::<IpAddr>().map_err(|_| {
            usage("--listen", text, "it is no IP address").with_hint(
                "write for example `--listen 127.0.0.1` or `--listen ::1`; ports have flags of \
                 their own",
            )
        })?
    };
    if address.is_loopback() {
        return Ok(address);
    }
    Err(usage(
        "--listen",
        text,
        "only loopback addresses are allowed, since nothing protects others yet",
    )
    .with_hint("listen on 127.0.0.1, and reach it from elsewhere through `ssh -L 4320:127.0.0.1:4320 HOST`"))
}

#[cfg(test)]
mod tests;
