//! Headers that hold a secret, kept fresh.

mod notice;
mod object;
mod parse;
#[cfg(test)]
mod tests;
mod watcher;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use tokio::time::Instant;

pub use notice::SecretNotice;
use watcher::Shared;

use crate::{SecretError, SecretErrorKind, SecretSource, SecretSourceBoxed};

/// Shortest time between two refreshes that were asked for because headers were refused: a backend that
/// refuses everything must not make the source suffer.
const REFUSAL_INTERVAL: Duration = Duration::from_secs(10);

/// How a [`SecretHeaders`] is to work.
#[must_use = "a builder does nothing until `build`"]
pub struct SecretHeadersBuilder {
    source: Box<dyn SecretSourceBoxed>,
    is_optional: bool,
    interval: Option<Duration>,
    on_notice: Option<OnNotice>,
}

type OnNotice = Box<dyn Fn(&SecretNotice) + Send + Sync>;

impl SecretHeadersBuilder {
    /// Where the source has no such secret, there are no headers, in place of an error. Default: the secret is
    /// required.
    ///
    /// Only a source that answers that there is none ([`SecretErrorKind::Missing`]) is taken at its word: one
    /// that refuses or cannot be asked is an error nevertheless. And once there were headers, they stay.
    pub const fn optional(mut self) -> Self {
        self.is_optional = true;
        self
    }

    /// How often to look for another secret, at least a second; earlier where a lease ends earlier. Default: as the source
    /// says, five seconds for a file, a minute otherwise.
    pub const fn refresh_interval(mut self, interval: Duration) -> Self {
        self.interval = Some(interval);
        self
    }

    /// What a person may want to know goes here: once when it begins, once when it is over. It is called on
    /// the runtime and must not block. Default: nowhere.
    pub fn on_notice(mut self, hook: impl Fn(&SecretNotice) + Send + Sync + 'static) -> Self {
        self.on_notice = Some(Box::new(hook));
        self
    }

    /// As [`on_notice`](Self::on_notice), unless that was called already.
    pub fn on_notice_by_default(
        self,
        hook: impl Fn(&SecretNotice) + Send + Sync + 'static,
    ) -> Self {
        if self.on_notice.is_some() {
            return self;
        }
        self.on_notice(hook)
    }

    /// Puts it together. Nothing is fetched before the headers are asked for.
    #[must_use]
    pub fn build(self) -> SecretHeaders {
        let interval = self.interval;
        let interval = interval.unwrap_or_else(|| self.source.refresh_interval_boxed());
        SecretHeaders {
            watched: Arc::new(Watched {
                shared: Arc::new(Shared::new(
                    self.source,
                    self.is_optional,
                    interval.max(watcher::DELAY_MIN),
                    self.on_notice,
                )),
                watcher: Mutex::default(),
                refused: Mutex::default(),
            }),
        }
    }
}

impl fmt::Debug for SecretHeadersBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretHeadersBuilder")
            .field("source", &self.source.name_boxed())
            .field("is_optional", &self.is_optional)
            .finish_non_exhaustive()
    }
}

impl<S: SecretSource + 'static> From<S> for SecretHeadersBuilder {
    fn from(source: S) -> Self {
        SecretHeaders::from_source(source)
    }
}

/// HTTP headers made of a secret, always those of now.
///
/// With the first call of [`get`](Self::get), a task begins that asks the source for as long as this, or a clone of it, exists:
/// when two thirds of a lease are over, at the [interval](SecretHeadersBuilder::refresh_interval), and when headers
/// [were refused](Self::were_refused). When the source fails, the last good headers stay, it is asked again after one second, and
/// then after twice as long each time, up to the interval; at most ten seconds are waited for an answer.
///
/// The secret is a JSON object, `{"authorization": "Bearer abc"}`, or a list as in `OTEL_EXPORTER_OTLP_HEADERS`,
/// `authorization=Bearer%20abc,x-tenant=shop`. Clones share everything; `Debug` shows the names of headers only.
#[derive(Clone)]
pub struct SecretHeaders {
    watched: Arc<Watched>,
}

/// What the clones share. The task knows [`Shared`] alone, and so ends with the last clone.
struct Watched {
    shared: Arc<Shared>,
    watcher: Mutex<Option<AbortHandle>>,
    /// When headers were refused last, and the source was asked because of it.
    refused: Mutex<Option<Instant>>,
}

impl SecretHeaders {
    /// Headers from this source: required, unless the builder says otherwise.
    pub fn from_source(source: impl SecretSource + 'static) -> SecretHeadersBuilder {
        SecretHeadersBuilder {
            source: Box::new(source),
            is_optional: false,
            interval: None,
            on_notice: None,
        }
    }

    /// Where the secret comes from, as messages name it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.watched.shared.source.name_boxed()
    }

    /// The headers as they are known; `None` until the source has answered. Takes no lock and waits for
    /// nothing.
    #[must_use]
    pub fn current(&self) -> Option<Arc<HeaderMap>> {
        self.watched.shared.current.load_full()
    }

    /// The headers. Waits only while nothing is known at all, for the source's first answer. No headers are an
    /// empty map.
    ///
    /// # Errors
    /// There never were any, and the source failed the last time; the task goes on asking it. Or this was not
    /// called on a tokio runtime.
    pub async fn get(&self) -> Result<Arc<HeaderMap>, SecretError> {
        self.ensure_watched()?;
        if let Some(headers) = self.current() {
            return Ok(headers);
        }
        let shared = &self.watched.shared;
        let failure = shared.attempt_to_end(1).await;
        match (self.current(), failure) {
            (Some(headers), _) => Ok(headers),
            (None, Some(error)) => Err(error),
            (None, None) => Err(SecretError::new(
                SecretErrorKind::Unavailable,
                self.name(),
                "has not answered yet",
            )),
        }
    }

    /// Says that whoever got `headers` refused them, and answers whether there are others now: then it is worth to try
    /// again with those.
    ///
    /// If there are none yet, the source is asked at once, and waited for. It is asked so every ten
    /// seconds at most; in between, the answer is no.
    pub async fn were_refused(&self, headers: &Arc<HeaderMap>) -> bool {
        let are_others = || {
            let current = self.current();
            current.is_some_and(|current| current != *headers)
        };
        if are_others() {
            return true;
        }
        if self.ensure_watched().is_err() || !self.may_ask_again() {
            return false;
        }
        let shared = &self.watched.shared;
        shared.source.forget_boxed();
        let attempt = shared.ask_now();
        shared.attempt_to_end(attempt).await;
        are_others()
    }

    fn may_ask_again(&self) -> bool {
        let now = Instant::now();
        let mut refused = self.watched.refused();
        let is_soon = refused.is_some_and(|last| now.duration_since(last) < REFUSAL_INTERVAL);
        if !is_soon {
            *refused = Some(now);
        }
        !is_soon
    }

    /// Starts the task unless it runs: for the first time, or since it went down with its runtime.
    fn ensure_watched(&self) -> Result<(), SecretError> {
        let shared = &self.watched.shared;
        if shared.is_watched() {
            return Ok(());
        }
        let runtime = Handle::try_current().map_err(|error| {
            let reason = "was asked for outside of a tokio runtime";
            SecretError::new(SecretErrorKind::Unavailable, self.name(), reason).with_cause(error)
        })?;
        if let Some(watcher) = shared.watcher() {
            let task = runtime.spawn(watcher.run());
            *self.watched.watcher() = Some(task.abort_handle());
        }
        Ok(())
    }
}

impl Watched {
    fn watcher(&self) -> std::sync::MutexGuard<'_, Option<AbortHandle>> {
        // Nothing under the lock leaves it half changed.
        self.watcher.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refused(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        // As above.
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(task) = self.watcher().take() {
            task.abort();
        }
    }
}

impl fmt::Debug for SecretHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let current = self.current();
        let names = current
            .as_ref()
            .map(|headers| headers.keys().collect::<Vec<_>>());
        f.debug_struct("SecretHeaders")
            .field("source", &self.name())
            .field("headers", &names)
            .finish_non_exhaustive()
    }
}
