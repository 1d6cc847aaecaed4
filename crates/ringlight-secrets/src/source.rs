//! The seam to wherever secrets are kept.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use secrecy::SecretString;

use crate::SecretError;

/// How often a source is asked again that says nothing else.
const REFRESH_INTERVAL: Duration = Duration::from_secs(60);

/// A secret, and how long it may be used.
#[derive(Debug, Clone)]
pub struct Secret {
    /// The secret itself. `Debug` does not show it, and its memory is overwritten when it is dropped.
    pub value: SecretString,
    /// From now on, where the source says; then the source must be asked again. Whoever uses the secret asks
    /// earlier, so that the next one is there in time.
    pub valid_for: Option<Duration>,
}

impl From<SecretString> for Secret {
    fn from(value: SecretString) -> Self {
        Self {
            value,
            valid_for: None,
        }
    }
}

/// Somewhere a secret comes from.
///
/// Methods are called on a tokio runtime with time and input and output enabled, and must not block it.
pub trait SecretSource: Send + Sync {
    /// Fetches the secret as it is now. Dropping the future gives the attempt up; whoever calls it limits its
    /// time.
    ///
    /// # Errors
    /// There is no secret, or none can be had; see [`SecretErrorKind`](crate::SecretErrorKind).
    fn fetch(&self) -> impl Future<Output = Result<Secret, SecretError>> + Send;

    /// Where the secret comes from, as messages name it; nothing secret.
    fn name(&self) -> &str;

    /// How often to look whether there is another one. Default: a minute.
    fn refresh_interval(&self) -> Duration {
        REFRESH_INTERVAL
    }

    /// Whoever the secret was shown to refused it: the next [`fetch`](Self::fetch) must not answer from
    /// memory. Nothing to do unless the source remembers.
    fn forget(&self) {}
}

/// The future of [`SecretSourceBoxed::fetch_boxed`].
pub type FetchFuture<'a> = Pin<Box<dyn Future<Output = Result<Secret, SecretError>> + Send + 'a>>;

/// [`SecretSource`] for dynamic dispatch; every source is one.
pub trait SecretSourceBoxed: Send + Sync {
    /// [`SecretSource::fetch`].
    fn fetch_boxed(&self) -> FetchFuture<'_>;

    /// [`SecretSource::name`].
    fn name_boxed(&self) -> &str;

    /// [`SecretSource::refresh_interval`].
    fn refresh_interval_boxed(&self) -> Duration;

    /// [`SecretSource::forget`].
    fn forget_boxed(&self);
}

impl<S: SecretSource> SecretSourceBoxed for S {
    fn fetch_boxed(&self) -> FetchFuture<'_> {
        Box::pin(self.fetch())
    }

    fn name_boxed(&self) -> &str {
        self.name()
    }

    fn refresh_interval_boxed(&self) -> Duration {
        self.refresh_interval()
    }

    fn forget_boxed(&self) {
        self.forget();
    }
}

/// A secret that the program has already, by whatever way; it never changes.
impl SecretSource for SecretString {
    async fn fetch(&self) -> Result<Secret, SecretError> {
        Ok(self.clone().into())
    }

    fn name(&self) -> &'static str {
        "a secret given in code"
    }
}
