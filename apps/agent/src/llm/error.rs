//! Why a model gave no answer.

use std::time::Duration;

use http::StatusCode;

/// How long one request may take.
pub(super) const TIMEOUT: Duration = Duration::from_secs(15);

/// Why the model gave no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LlmError {
    /// The address is none.
    #[error("`{url}` is no URL of a model: {reason}; write for example `http://127.0.0.1:8080/v1`")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The model could not be reached, or the connection broke.
    #[error("the model cannot be reached: {0}")]
    Unreachable(String),
    /// No answer in time.
    #[error("the model did not answer within {} s", TIMEOUT.as_secs())]
    Timeout,
    /// The provider answered with an error.
    #[error("the model answered {status}: {message}")]
    Status {
        /// The HTTP status.
        status: StatusCode,
        /// What the provider wrote.
        message: String,
    },
    /// The answer is no completion.
    #[error("the model's answer cannot be read: {0}")]
    Answer(String),
}

impl LlmError {
    /// Whether asking again may help.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Status { status, .. } => {
                *status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
            }
            Self::Unreachable(_) | Self::Timeout => true,
            Self::Url { .. } | Self::Answer(_) => false,
        }
    }

    /// The value of `error.type`.
    pub(super) fn kind(&self) -> String {
        match self {
            Self::Status { status, .. } => status.as_u16().to_string(),
            Self::Url { .. } => "url".to_owned(),
            Self::Unreachable(_) => "connection".to_owned(),
            Self::Timeout => "timeout".to_owned(),
            Self::Answer(_) => "decode".to_owned(),
        }
    }
}
