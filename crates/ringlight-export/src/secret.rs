//! Headers that hold a secret, for each request as they are then.

use std::sync::Arc;

use http::HeaderMap;
use ringlight_collector::{ExportError, ExportOutcome};
use ringlight_secrets::SecretHeaders;

use crate::config::is_reserved;
use crate::failure;

/// The headers of requests: those that were given, and those that come of a secret.
pub(crate) struct Headers {
    given: HeaderMap,
    secret: Option<SecretHeaders>,
}

/// The headers of one request.
pub(crate) struct Current {
    pub(crate) all: HeaderMap,
    secret: Option<Arc<HeaderMap>>,
}

impl Headers {
    pub(crate) const fn new(given: HeaderMap, secret: Option<SecretHeaders>) -> Self {
        Self { given, secret }
    }

    /// Those of now.
    ///
    /// # Errors
    /// There is no secret yet, or it has a header that belongs to the protocol. Either may change, and
    /// nothing is sent without it, so the attempt is to be repeated.
    pub(crate) async fn current(&self) -> Result<Current, ExportError> {
        let mut all = self.given.clone();
        let Some(secret) = &self.secret else {
            return Ok(Current { all, secret: None });
        };
        let not_now = |reason| ExportError::Retryable {
            reason,
            after: None,
        };
        let headers = secret
            .get()
            .await
            .map_err(|error| not_now(error.to_string()))?;
        for name in headers.keys() {
            if is_reserved(name) {
                let place = secret.name();
                return Err(not_now(format!(
                    "{place}: header `{name}` cannot be sent: it is set by the protocol"
                )));
            }
            all.remove(name);
        }
        for (name, value) in &*headers {
            all.append(name, value.clone());
        }
        Ok(Current {
            all,
            secret: Some(headers),
        })
    }

    /// What came of a request with these headers: one whose secret was refused while the source has another one by
    /// now is worth repeating.
    pub(crate) async fn judged(
        &self,
        used: Option<&Arc<HeaderMap>>,
        result: Result<ExportOutcome, ExportError>,
    ) -> Result<ExportOutcome, ExportError> {
        match (&self.secret, used, result) {
            (Some(secret), Some(used), Err(error))
                if failure::is_of_credentials(&error) && secret.were_refused(used).await =>
            {
                Err(ExportError::Retryable {
                    reason: format!("{error}, with headers that were replaced meanwhile"),
                    after: None,
                })
            }
            (_, _, result) => result,
        }
    }
}

impl Current {
    /// Those that come of the secret, to be [judged](Headers::judged).
    pub(crate) const fn secret(&self) -> Option<&Arc<HeaderMap>> {
        self.secret.as_ref()
    }
}
