//! What can keep telemetry from starting.

use ringlight_collector::StartError;

/// Why [`init`](crate::init) or [`Builder::build`](crate::Builder::build) failed.
///
/// A backend that is not there is not among the reasons: that is noticed, and got over, in the
/// background.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// This process already has a global subscriber.
    #[error(
        "a global `tracing` subscriber is already set; hint: call `ringlight::init` once, at the \
         start of `main`, and nothing else that sets one"
    )]
    AlreadyInitialized,
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
    /// The pipeline did not start.
    #[error(transparent)]
    Start(#[from] StartError),
}
