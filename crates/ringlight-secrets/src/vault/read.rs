//! Reading the secret, and keeping what was lent.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use secrecy::SecretString;
use serde_json::value::RawValue;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::answer::{Answer, MountData, Versioned};
use super::client::Failure;
use super::{KvVersion, State, Token, VaultReference, VaultSecret};
use crate::{SECRET_BYTES_MAX, Secret, SecretError, SecretErrorKind};

/// Where an engine is mounted.
#[derive(Debug, Clone)]
pub(super) struct Engine {
    /// Without slashes around it.
    mount: String,
    version: KvVersion,
}

impl Engine {
    pub(super) fn new(mount: &str, version: KvVersion) -> Self {
        Self {
            mount: mount.trim_matches('/').to_owned(),
            version,
        }
    }

    /// The path of the API for a secret of this engine; `None` if it is not in it.
    pub(super) fn path_of(&self, reference: &VaultReference) -> Option<String> {
        let path = reference.path();
        let rest = path.strip_prefix(&self.mount)?.strip_prefix('/')?;
        Some(match self.version {
            KvVersion::V1 => path.to_owned(),
            KvVersion::V2 => format!("{}/data/{rest}", self.mount),
        })
    }
}

/// A secret that is lent for a time.
pub(super) struct Leased {
    value: SecretString,
    id: String,
    ends: Instant,
    /// What it was lent for at the beginning.
    whole: Duration,
    is_renewable: bool,
}

impl Leased {
    fn remaining(&self) -> Duration {
        self.ends.saturating_duration_since(Instant::now())
    }
}

const READING: &str = "reading it";

impl VaultSecret {
    /// The secret; from memory while its lease has time.
    pub(super) async fn read(&self, state: &mut State) -> Result<Secret, SecretError> {
        let State {
            token: Some(token),
            engine,
            leased,
        } = state
        else {
            return Err(self.error(SecretErrorKind::Unavailable, "there is no token"));
        };
        if let Some(held) = leased {
            if self.renew_lease(token, held).await {
                return Ok(lent(held, token));
            }
            *leased = None;
        }
        if engine.is_none() {
            *engine = Some(match &self.engine {
                Some(given) => given.clone(),
                None => self.find_engine(token).await?,
            });
        }
        let found = engine.as_ref().and_then(|engine| {
            let path = engine.path_of(&self.reference)?;
            Some((engine.version, path))
        });
        let Some((version, path)) = found else {
            *engine = None;
            let reason = "what Vault says of the mount does not fit";
            return Err(self.error(SecretErrorKind::Invalid, reason));
        };
        let body = self
            .client
            .call(Method::GET, &path, Some(&token.value), Bytes::new());
        let body = match body.await {
            Ok(body) => body,
            Err(failure) => {
                if failure.kind == SecretErrorKind::Missing {
                    // It may have been mounted anew.
                    *engine = None;
                }
                return Err(self.not_read(version, failure));
            }
        };
        let no_secret = || self.error(SecretErrorKind::Invalid, "the answer is not one of Vault");
        let answer = Answer::parse(&body).ok_or_else(no_secret)?;
        let data = answer.data.ok_or_else(no_secret)?;
        let data = match version {
            KvVersion::V1 => data,
            KvVersion::V2 => self.last_version(data)?,
        };
        let value = self.value(data)?;
        // Engines of key and value lend nothing; version 1 has a duration nevertheless, as advice.
        if answer.lease_id.is_empty() || answer.lease_duration().is_zero() {
            return Ok(Secret {
                value,
                valid_for: token.renewable_for(),
            });
        }
        let held = leased.insert(Leased {
            value,
            id: answer.lease_id.clone(),
            ends: Instant::now() + answer.lease_duration(),
            whole: answer.lease_duration(),
            is_renewable: answer.renewable,
        });
        Ok(lent(held, token))
    }

    /// Why it was not read: a version that was deleted is not found, and says since when.
    fn not_read(&self, version: KvVersion, failure: Failure) -> SecretError {
        let is_missing = failure.kind == SecretErrorKind::Missing;
        if is_missing && version == KvVersion::V2 {
            let data = Answer::parse(&failure.body).and_then(|answer| answer.data);
            if let Some(Err(deleted)) = data.map(|data| self.last_version(data)) {
                return deleted;
            }
        }
        self.failed(READING, failure)
    }

    /// Renews a lease when two thirds of it are over; `false` if the secret has to be read anew.
    async fn renew_lease(&self, token: &Token, held: &mut Leased) -> bool {
        if held.remaining() > held.whole / 3 {
            return true;
        }
        if !held.is_renewable {
            return false;
        }
        let body = serde_json::json!({ "lease_id": held.id }).to_string();
        let path = "sys/leases/renew";
        let answer = self
            .client
            .call(Method::PUT, path, Some(&token.value), body.into());
        let Ok(body) = answer.await else {
            return false;
        };
        let Some(answer) = Answer::parse(&body) else {
            return false;
        };
        held.ends = Instant::now() + answer.lease_duration();
        held.is_renewable = answer.renewable;
        // Towards the longest it may be lent for, there is less and less of it.
        held.remaining() > held.whole / 3
    }

    /// Asks where the engine of the secret is mounted and which version it has, as Vault's command line does.
    async fn find_engine(&self, token: &Token) -> Result<Engine, SecretError> {
        let what = "asking for the version of its engine";
        let path = format!("sys/internal/ui/mounts/{}", self.reference.path());
        let body = self
            .client
            .call(Method::GET, &path, Some(&token.value), Bytes::new());
        let body = match body.await {
            Ok(body) => body,
            // From before there was a version 2.
            Err(failure) if failure.status == Some(StatusCode::NOT_FOUND) => {
                return Ok(self.first_segment());
            }
            Err(failure) => return Err(self.failed(what, failure)),
        };
        let mount = Answer::parse(&body)
            .and_then(|answer| serde_json::from_str::<MountData>(answer.data?.get()).ok());
        let mount = mount.ok_or_else(|| {
            let reason = format!("{what}: the answer is not one of Vault");
            self.error(SecretErrorKind::Invalid, reason)
        })?;
        let version = mount
            .options
            .as_ref()
            .and_then(|options| options.get("version"));
        let version = match version.map(String::as_str) {
            Some("2") => KvVersion::V2,
            _ => KvVersion::V1,
        };
        Ok(Engine::new(&mount.path, version))
    }

    fn first_segment(&self) -> Engine {
        let mount = self.reference.path().split('/').next().unwrap_or_default();
        Engine::new(mount, KvVersion::V1)
    }

    /// The keys and values of the last version of a secret.
    fn last_version<'a>(&self, data: &'a RawValue) -> Result<&'a RawValue, SecretError> {
        let versioned: Versioned<'a> = serde_json::from_str(data.get()).map_err(|_| {
            let reason = "the answer is not one of an engine of version 2";
            self.error(SecretErrorKind::Invalid, reason)
        })?;
        versioned.data.ok_or_else(|| {
            let metadata = versioned.metadata;
            let since = metadata.deletion_time;
            let reason = match (metadata.destroyed, since.is_empty()) {
                (true, _) => "its last version was destroyed".to_owned(),
                (false, false) => format!("its last version was deleted at {since}"),
                (false, true) => "its last version has no data".to_owned(),
            };
            self.error(SecretErrorKind::Missing, reason).with_hint(
                "write a new one, `vault kv put`, or take that back, `vault kv undelete`",
            )
        })
    }

    /// What the key has, or all keys and values.
    fn value(&self, data: &RawValue) -> Result<SecretString, SecretError> {
        let Some(key) = self.reference.key() else {
            return self.checked(data.get());
        };
        let keys: BTreeMap<String, &RawValue> = serde_json::from_str(data.get()).map_err(|_| {
            self.error(
                SecretErrorKind::Invalid,
                "what it has is not keys and values",
            )
        })?;
        let Some(value) = keys.get(key) else {
            return Err(self
                .error(SecretErrorKind::Missing, format!("has no key `{key}`"))
                .with_hint("look with `vault kv get`"));
        };
        match serde_json::from_str::<Zeroizing<String>>(value.get()) {
            Ok(text) => self.checked(&text),
            // An object under the key, in place of a text that has one in it.
            Err(_) => self.checked(value.get()),
        }
    }

    fn checked(&self, text: &str) -> Result<SecretString, SecretError> {
        if text.len() > SECRET_BYTES_MAX {
            return Err(crate::file::too_large(&self.name));
        }
        if text.trim().is_empty() {
            return Err(self.error(SecretErrorKind::Missing, "is empty"));
        }
        Ok(SecretString::from(text))
    }
}

/// A secret that is held, for as long as both it and the right to renew it last.
fn lent(held: &Leased, token: &Token) -> Secret {
    let valid_for = held.remaining();
    let valid_for = token
        .renewable_for()
        .map_or(valid_for, |token| token.min(valid_for));
    Secret {
        value: held.value.clone(),
        valid_for: Some(valid_for),
    }
}
