//! What can keep telemetry from starting.

use std::fmt;

use ringlight_collector::StartError;

use crate::config::{ConfigError, Origin};
use crate::filter::{ALLOWED, BadDirective};

/// Why [`init`](crate::init) or [`Builder::build`](crate::Builder::build) failed.
///
/// A backend that is not there is not among the reasons: that is noticed, and got over, in the
/// background.
///
/// `Display` is one line. `Debug` is the same text with the hint on a line of its own, since that is
/// what a `main` that returns the error prints:
///
/// ```text
/// Error: `otlp_endpoint` in code: endpoint `localhost` is not an address such as [...]
/// hint: write scheme, host and port, for instance `http://localhost:4317`
/// ```
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// Ringlight is this process's global subscriber already.
    #[error(
        "Ringlight is initialized already; hint: call `ringlight::init` or `Builder::init` once, at the start of `main`, and keep \
         what it returns until the end"
    )]
    AlreadyInitialized,
    /// This process already has another global subscriber.
    #[error(
        "another `tracing` subscriber is installed already; hint: `ringlight::init` replaces it: \
         remove `tracing_subscriber::fmt::init()` or whatever set it, and call `ringlight::init` \
         once, at the start of `main`; layers go to `ringlight::builder().beside(..)`"
    )]
    OtherSubscriber,
    /// An endpoint cannot be used.
    #[error("{origin}: {reason}; hint: {hint}")]
    Endpoint {
        /// Where it was given: an argument, the code or a variable.
        origin: String,
        /// What is wrong with it, the endpoint named.
        reason: String,
        /// What to do.
        hint: &'static str,
    },
    /// A header cannot be sent.
    #[error("{origin}: {reason}; hint: names are letters, digits and `-`, values visible ASCII")]
    Header {
        /// Where it was given.
        origin: String,
        /// What is wrong with it, the header named, its value not.
        reason: String,
    },
    /// Where a secret comes from is not understood. Nothing is sent without it, so nothing starts.
    #[error("{origin}: {reason}; hint: {hint}")]
    Secret {
        /// Where it was given: the variables.
        origin: String,
        /// What is wrong with it.
        reason: String,
        /// What to do.
        hint: &'static str,
    },
    /// A file with certificates or a key that the program names cannot be used.
    #[error("{origin}: {reason}; hint: name a file in PEM that this process may read")]
    Certificate {
        /// Where it was given.
        origin: String,
        /// What is wrong with it, the file named.
        reason: String,
    },
    /// The file of settings cannot be used: it is not there, is not understood, or says what it must not.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A directive of a filter is not understood.
    #[error(
        "{origin}: log directive `{directive}` is not understood: {reason}; hint: {}",
        ALLOWED
    )]
    Filter {
        /// Where it was given.
        origin: String,
        /// The directive.
        directive: String,
        /// What is wrong with it.
        reason: String,
    },
    /// `Builder::tokio_console` was asked for in a build that cannot do it, or with a place that is no address.
    #[error("`tokio-console`: {reason}; hint: {hint}")]
    TokioConsole {
        /// What is wrong.
        reason: String,
        /// What to do.
        hint: &'static str,
    },
    /// The pipeline did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The trace file that the program, or its file of settings, asks for cannot be written.
    #[cfg(feature = "profiling")]
    #[error(transparent)]
    TraceFile(#[from] ringlight_tracefile::TraceFileError),
}

impl InitError {
    /// An endpoint cannot be used, for this reason, which names it.
    pub(crate) fn endpoint(origin: &Origin, reason: String) -> Self {
        Self::Endpoint {
            origin: origin.to_string(),
            reason,
            hint: "write scheme, host and port, for instance `http://localhost:4317`",
        }
    }
}

/// A directive that [`Controls::set_filter`](crate::Controls::set_filter) or
/// [`set_filter_for`](crate::Controls::set_filter_for) does not understand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "log directive `{directive}` is not understood: {reason}; hint: {}",
    ALLOWED
)]
#[non_exhaustive]
pub struct FilterError {
    /// The directive as it was given.
    pub directive: String,
    /// What is wrong with it.
    pub reason: String,
}

impl From<BadDirective> for FilterError {
    fn from(bad: BadDirective) -> Self {
        Self {
            directive: bad.directive,
            reason: bad.reason,
        }
    }
}

/// For a person, not for a programmer: see [`InitError`].
impl fmt::Debug for InitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.to_string();
        match text.rsplit_once("; hint: ") {
            Some((what, hint)) => write!(f, "{what}\nhint: {hint}"),
            None => f.write_str(&text),
        }
    }
}
