//! How to become somebody who may read.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::answer::{Answer, Login, TokenData, lease};
use super::client::Failure;
use super::{State, VaultSecret};
use crate::{FileSecret, SecretError, SecretErrorKind, SecretSource, SecretSourceBoxed};

/// Where Kubernetes puts the token of a pod's service account.
const SERVICE_ACCOUNT_TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// How to get a token of Vault.
///
/// A token itself is renewed as long as Vault allows, and taken from its source anew when that has another one. A login
/// is done again when its token cannot be renewed any more.
pub struct VaultAuth {
    method: Kind,
    /// Where the method of a login is mounted.
    mount: String,
}

enum Kind {
    Token {
        token: Box<dyn SecretSourceBoxed>,
    },
    AppRole {
        role_id: String,
        secret_id: Box<dyn SecretSourceBoxed>,
    },
    Kubernetes {
        role: String,
        jwt: Box<dyn SecretSourceBoxed>,
    },
}

impl VaultAuth {
    /// With a token, for instance `EnvSecret::new("VAULT_TOKEN")`, or the file that Vault's agent writes.
    #[must_use]
    pub fn token(token: impl SecretSource + 'static) -> Self {
        let token = Box::new(token);
        Self {
            method: Kind::Token { token },
            mount: String::new(),
        }
    }

    /// With an AppRole. The secret id is taken from its source for each login.
    #[must_use]
    pub fn app_role(role_id: impl Into<String>, secret_id: impl SecretSource + 'static) -> Self {
        Self {
            method: Kind::AppRole {
                role_id: role_id.into(),
                secret_id: Box::new(secret_id),
            },
            mount: "approle".to_owned(),
        }
    }

    /// With the service account of the Kubernetes pod this runs in, as this role.
    #[must_use]
    pub fn kubernetes(role: impl Into<String>) -> Self {
        Self::kubernetes_with(role, FileSecret::new(SERVICE_ACCOUNT_TOKEN))
    }

    /// As [`kubernetes`](Self::kubernetes), with the service account's token from elsewhere, such as a volume with one for
    /// another audience.
    #[must_use]
    pub fn kubernetes_with(role: impl Into<String>, jwt: impl SecretSource + 'static) -> Self {
        Self {
            method: Kind::Kubernetes {
                role: role.into(),
                jwt: Box::new(jwt),
            },
            mount: "kubernetes".to_owned(),
        }
    }

    /// Where the login is mounted below `auth/`. Default: `approle` or `kubernetes`.
    #[must_use]
    pub fn mounted_at(mut self, mount: impl AsRef<str>) -> Self {
        self.mount = mount.as_ref().trim_matches('/').to_owned();
        self
    }

    /// Whether there is another token to be had.
    pub(super) const fn is_login(&self) -> bool {
        !matches!(self.method, Kind::Token { .. })
    }
}

impl fmt::Debug for VaultAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, source) = match &self.method {
            Kind::Token { token } => ("Token", token),
            Kind::AppRole { secret_id, .. } => ("AppRole", secret_id),
            Kind::Kubernetes { jwt, .. } => ("Kubernetes", jwt),
        };
        f.debug_tuple(method).field(&source.name_boxed()).finish()
    }
}

/// A token, and how long it lives.
pub(super) struct Token {
    pub(super) value: SecretString,
    /// `None` is for ever.
    life: Option<Life>,
}

struct Life {
    ends: Instant,
    /// What it was given at the beginning.
    whole: Duration,
    is_renewable: bool,
}

impl Token {
    fn new(value: SecretString, ttl_seconds: u64, is_renewable: bool) -> Self {
        let whole = lease(ttl_seconds);
        let life = (!whole.is_zero()).then(|| Life {
            ends: Instant::now() + whole,
            whole,
            is_renewable,
        });
        Self { value, life }
    }

    /// How long it lives from now on, if it can be renewed until then.
    pub(super) fn renewable_for(&self) -> Option<Duration> {
        let life = self.life.as_ref().filter(|life| life.is_renewable)?;
        Some(life.ends.saturating_duration_since(Instant::now()))
    }
}

impl Life {
    fn is_short(&self) -> bool {
        self.ends.saturating_duration_since(Instant::now()) < self.whole / 3
    }
}

impl From<Login> for Token {
    fn from(login: Login) -> Self {
        Self::new(login.client_token, login.lease_duration, login.renewable)
    }
}

impl VaultSecret {
    /// Sees to a token that lives for some time yet, and says whether it is another one than before.
    pub(super) async fn authenticate(&self, state: &mut State) -> Result<bool, SecretError> {
        if let Kind::Token { token } = &self.auth.method {
            let value = self.part(&**token).await?;
            let known = state
                .token
                .as_ref()
                .map(|token| token.value.expose_secret());
            if known != Some(value.expose_secret()) {
                state.leased = None;
                state.token = Some(self.looked_up(value).await?);
                return Ok(true);
            }
        }
        if let Some(token) = &mut state.token {
            // Of a token that was given there is no other one. It serves as long as Vault takes it.
            if self.renew(token).await || !self.auth.is_login() {
                return Ok(false);
            }
        }
        state.token = Some(self.log_in().await?.into());
        // It belonged to the token before, and ends with that.
        state.leased = None;
        Ok(true)
    }

    /// Renews a token when two thirds of its life are over; `false` if it can serve no longer.
    async fn renew(&self, token: &mut Token) -> bool {
        let Some(life) = token.life.as_ref().filter(|life| life.is_short()) else {
            return true;
        };
        let whole = life.whole;
        if !life.is_renewable {
            return false;
        }
        let path = "auth/token/renew-self";
        let body = Bytes::from_static(b"{}");
        let answer = self
            .client
            .call(Method::POST, path, Some(&token.value), body);
        let Ok(body) = answer.await else {
            return false;
        };
        let Some(login) = Answer::parse(&body).and_then(|answer| answer.auth) else {
            return false;
        };
        let renewed = Token::from(login);
        // Towards the longest life it may have, there is less and less of it.
        let is_short = renewed
            .life
            .as_ref()
            .is_some_and(|life| life.whole < whole / 3);
        let life = renewed.life.map(|life| Life { whole, ..life });
        token.life = life;
        !is_short
    }

    /// A token from outside, which has to be asked how long it lives.
    async fn looked_up(&self, value: SecretString) -> Result<Token, SecretError> {
        let path = "auth/token/lookup-self";
        let found = self
            .client
            .call(Method::GET, path, Some(&value), Bytes::new());
        let data = match found.await {
            Ok(body) => Answer::parse(&body)
                .and_then(|answer| serde_json::from_str::<TokenData>(answer.data?.get()).ok()),
            Err(failure) if failure.kind == SecretErrorKind::Unavailable => {
                return Err(self.failed("looking up the token", failure));
            }
            // One that may not even do that may still read.
            Err(_) => None,
        };
        Ok(match data {
            Some(data) => Token::new(value, data.ttl, data.renewable),
            None => Token::new(value, 0, false),
        })
    }

    async fn log_in(&self) -> Result<Login, SecretError> {
        let (body, secret) = match &self.auth.method {
            Kind::AppRole { role_id, secret_id } => {
                let secret_id = self.part(&**secret_id).await?;
                (
                    object("role_id", role_id, "secret_id", &secret_id),
                    secret_id,
                )
            }
            Kind::Kubernetes { role, jwt } => {
                let jwt = self.part(&**jwt).await?;
                (object("role", role, "jwt", &jwt), jwt)
            }
            // Nobody logs in with a token.
            Kind::Token { token } => {
                return Err(self.error(
                    SecretErrorKind::Refused,
                    format!("{} serves no longer", token.name_boxed()),
                ));
            }
        };
        let path = format!("auth/{}/login", self.auth.mount);
        let what = format!("logging in at `{path}`");
        let answer = self.client.call(Method::POST, &path, None, body).await;
        let answer = answer.map_err(|mut failure| {
            failure.reason = failure.reason.replace(secret.expose_secret(), "[redacted]");
            if matches!(
                failure.kind,
                SecretErrorKind::Invalid | SecretErrorKind::Refused
            ) {
                failure.kind = SecretErrorKind::Refused;
                failure.hint =
                    Some("look whether role and secret are those of this Vault, and still valid");
            } else if failure.kind == SecretErrorKind::Missing {
                // It is not the secret that is missing.
                failure.kind = SecretErrorKind::Invalid;
                failure.hint = Some("look with `vault auth list` where the method is mounted");
            }
            self.failed(&what, failure)
        })?;
        let login = Answer::parse(&answer).and_then(|answer| answer.auth);
        login.ok_or_else(|| {
            let reason = format!("{what}: the answer has no token");
            self.error(SecretErrorKind::Invalid, reason)
        })
    }

    /// A secret that is needed to get at the other.
    async fn part(&self, source: &dyn SecretSourceBoxed) -> Result<SecretString, SecretError> {
        match source.fetch_boxed().await {
            Ok(secret) => Ok(secret.value),
            // That this is missing does not mean that the other is.
            Err(error) if error.kind() == SecretErrorKind::Missing => {
                Err(self.error(SecretErrorKind::Unavailable, error.to_string()))
            }
            Err(error) => Err(self.error(error.kind(), error.to_string())),
        }
    }

    pub(super) fn failed(&self, what: &str, failure: Failure) -> SecretError {
        let error = self.error(failure.kind, format!("{what}: {}", failure.reason));
        match failure.hint {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

/// A JSON object of two texts, in memory that is overwritten.
fn object(name: &str, value: &str, secret_name: &str, secret: &SecretString) -> Bytes {
    // Room for the worst escapes, so that it is never moved.
    let secret = secret.expose_secret();
    let room = 6 * (value.len() + secret.len()) + name.len() + secret_name.len() + 16;
    let mut json = Zeroizing::new(Vec::with_capacity(room));
    json.extend_from_slice(b"{");
    for (separator, text) in [("", name), (":", value), (",", secret_name), (":", secret)] {
        json.extend_from_slice(separator.as_bytes());
        // Neither a text nor memory is refused.
        let _ = serde_json::to_writer(&mut *json, text);
    }
    json.extend_from_slice(b"}");
    Bytes::from_owner(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_may_live_for_longer_than_any_clock_tells() {
        let token = Token::new(SecretString::from("t"), u64::MAX, true);
        assert!(token.renewable_for().unwrap() > Duration::from_secs(365 * 24 * 3600));
    }

    #[test]
    fn an_object_is_json() {
        let json = object("role", "a\"b", "jwt", &SecretString::from("c\nd"));
        assert_eq!(json, r#"{"role":"a\"b","jwt":"c\nd"}"#);
    }
}
