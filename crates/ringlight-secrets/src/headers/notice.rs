//! What a person may want to know of a secret.

use std::fmt;

use crate::SecretError;

/// Something about a secret that a person may want to know. Nothing in it is secret.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SecretNotice {
    /// The source failed. Said once until it answers again.
    Failed {
        /// Why, the source named.
        error: SecretError,
        /// Whether there are earlier headers, which stay in use.
        has_headers: bool,
    },
    /// The source answers again.
    Recovered {
        /// The source's name.
        name: String,
    },
    /// There is no secret, which is optional: no headers are sent. Said once.
    Absent {
        /// Why, the source named.
        error: SecretError,
    },
}

impl fmt::Display for SecretNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed {
                error,
                has_headers: true,
            } => write!(f, "the last good headers stay in use: {error}"),
            Self::Failed {
                error,
                has_headers: false,
            } => write!(f, "there are no headers yet: {error}"),
            Self::Recovered { name } => write!(f, "{name}: answers again"),
            Self::Absent { error } => write!(f, "going on without headers: {error}"),
        }
    }
}
