//! What can go wrong with a secret.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// What kind of thing went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretErrorKind {
    /// The source answered that there is no such secret. The only kind that an
    /// [optional](crate::SecretHeadersBuilder::optional) secret makes up for.
    Missing,
    /// The source refused to hand it out: permissions, a token that has expired, a key that does not fit.
    Refused,
    /// The source cannot be asked now.
    Unavailable,
    /// There is something, and it is not what was expected.
    Invalid,
}

/// Why there is no secret: which one, from where, and what to do.
///
/// Nothing in it is secret, neither in `Display` nor in `Debug` nor in its sources.
#[derive(Clone)]
pub struct SecretError {
    kind: SecretErrorKind,
    place: String,
    reason: String,
    hint: Option<&'static str>,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl SecretError {
    /// An error of the secret from `place`, as [`SecretSource::name`](crate::SecretSource::name) shows it.
    #[must_use]
    pub fn new(kind: SecretErrorKind, place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            kind,
            place: place.into(),
            reason: reason.into(),
            hint: None,
            cause: None,
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn with_hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    /// What caused it, which must not show anything secret either.
    #[must_use]
    pub fn with_cause(mut self, cause: impl Error + Send + Sync + 'static) -> Self {
        self.cause = Some(Arc::new(cause));
        self
    }

    /// What kind of thing went wrong.
    #[must_use]
    pub const fn kind(&self) -> SecretErrorKind {
        self.kind
    }

    /// What to do about it, which is also in the text.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        self.hint
    }
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.reason)?;
        match self.hint {
            Some(hint) => write!(f, "; hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretError")
            .field("kind", &self.kind)
            .field("place", &self.place)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

impl Error for SecretError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        let cause = self.cause.as_deref()?;
        Some(cause)
    }
}
