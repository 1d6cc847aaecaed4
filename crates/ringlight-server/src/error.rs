//! Why a server does not start.

use std::fmt;
use std::net::SocketAddr;

use crate::otlp::ReceiverConfigError;
use crate::state::Listener;

/// Another Ringlight that has a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Its process.
    pub pid: u32,
    /// Its data directory.
    pub data_dir: String,
    /// Where its UI is.
    pub ui: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "another Ringlight (process {}, data directory `{}`, UI at {})",
            self.pid, self.data_dir, self.ui
        )
    }
}

/// A server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// An address others than this machine could reach.
    #[error("`{address}` for {} is not a loopback address", named(*listener))]
    NotLoopback {
        /// For what.
        listener: Listener,
        /// The address.
        address: SocketAddr,
    },
    /// A field of the configuration is outside its range.
    #[error("`{field}` is `{value}`, allowed is {allowed}")]
    Config {
        /// The field of [`ServerConfig`](crate::ServerConfig).
        field: &'static str,
        /// Its value.
        value: usize,
        /// What it may be.
        allowed: &'static str,
    },
    /// A field of the receivers' configuration is outside its range.
    #[error(transparent)]
    Receiver(#[from] ReceiverConfigError),
    /// Somebody else has a port.
    #[error(
        "port {} for {} is in use by {}",
        address.port(),
        named(*listener),
        described(holder.as_ref())
    )]
    PortInUse {
        /// For what.
        listener: Listener,
        /// The address.
        address: SocketAddr,
        /// Who has it, if it is a Ringlight.
        holder: Option<Holder>,
    },
    /// A port cannot be opened for another reason.
    #[error("cannot listen on `{address}` for {}", named(*listener))]
    Bind {
        /// For what.
        listener: Listener,
        /// The address.
        address: SocketAddr,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl ServerError {
    /// What to do about it, where there is something to do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotLoopback { .. } => Some(
                "use 127.0.0.1 or [::1]; others may not read what is collected here, and there are \
                 no tokens yet that could tell who may"
                    .to_owned(),
            ),
            Self::PortInUse {
                holder: Some(holder),
                ..
            } => Some(format!(
                "open {}, or stop process {} first",
                holder.ui, holder.pid
            )),
            Self::PortInUse {
                address,
                holder: None,
                ..
            } => Some(format!(
                "stop the program that listens on port {}, or choose another port",
                address.port()
            )),
            Self::Bind { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                Some("ports below 1024 need privileges; choose a higher one".to_owned())
            }
            Self::Config { .. } | Self::Receiver(_) | Self::Bind { .. } => None,
        }
    }
}

/// What a listener is for, in words.
fn named(listener: Listener) -> &'static str {
    match listener {
        Listener::Grpc => "OTLP over gRPC",
        Listener::Http => "OTLP over HTTP",
        Listener::Ui => "the UI",
    }
}

fn described(holder: Option<&Holder>) -> String {
    holder.map_or_else(|| "another program".to_owned(), ToString::to_string)
}
