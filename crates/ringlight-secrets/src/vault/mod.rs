//! Secrets in HashiCorp Vault.

mod answer;
mod auth;
mod client;
mod read;
mod reference;

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Mutex;

use auth::Token;
pub use auth::VaultAuth;
use client::Client;
use read::{Engine, Leased};
pub use reference::{KvVersion, VaultConfigError, VaultReference};

use crate::{Secret, SecretError, SecretErrorKind, SecretSource};

/// A secret in HashiCorp Vault, or what speaks its protocol, such as OpenBao.
///
/// It is read from a key-value engine, version 1 or 2; Vault is asked which it is, as its own command line does. Another engine
/// works if what it answers is made of texts, and its lease is renewed, or the secret read anew, when two thirds of it
/// are over. The same holds for the token; where it came of a [login](VaultAuth), that is done again when
/// it cannot be renewed or is refused. All of this happens in [`fetch`](SecretSource::fetch), none of it
/// between.
///
/// An `https://` address is checked against the authorities the platform trusts, or a
/// [file](Self::ca_certificate_file); the secret and the token never leave in the clear where that was asked for. Redirects are not
/// followed. A request takes ten seconds at most, an answer has 1 MiB at most.
///
/// It speaks the protocol itself, over the HTTP client that the exporters use, since the client libraries there are
/// (`vaultrs`, `vault-client-rs`, `openbao`) bring another one, reqwest.
///
/// # Examples
/// ```
/// use ringlight_secrets::{FileSecret, SecretHeaders, VaultAuth, VaultSecret};
///
/// let secret_id = FileSecret::new("/run/secrets/vault-secret-id");
/// let vault = VaultSecret::new(
///     "https://vault.example.com:8200",
///     "secret/shop/otlp#headers".parse()?,
///     VaultAuth::app_role("0bd7a3c5-shop", secret_id),
/// )?
/// .namespace("team-a")?;
/// let headers = SecretHeaders::from_source(vault).build();
/// # Ok::<_, ringlight_secrets::VaultConfigError>(())
/// ```
pub struct VaultSecret {
    name: String,
    client: Client,
    reference: VaultReference,
    /// Where the engine is, if it was given.
    engine: Option<Engine>,
    auth: VaultAuth,
    state: Mutex<State>,
    /// The secret was refused: read it anew though its lease goes on.
    is_forgotten: AtomicBool,
}

/// What is kept from one time to the next.
#[derive(Default)]
struct State {
    token: Option<Token>,
    engine: Option<Engine>,
    leased: Option<Leased>,
}

impl VaultSecret {
    /// The secret that `reference` names, from the Vault at `address`, such as `https://vault:8200`.
    /// Connects to nothing yet.
    ///
    /// # Errors
    /// The address is not one.
    pub fn new(
        address: &str,
        reference: VaultReference,
        auth: VaultAuth,
    ) -> Result<Self, VaultConfigError> {
        let client = Client::new(address)?;
        Ok(Self {
            name: format!("`{reference}` in Vault at {}", client.address()),
            client,
            reference,
            engine: None,
            auth,
            state: Mutex::default(),
            is_forgotten: AtomicBool::new(false),
        })
    }

    /// The namespace of everything that is asked for (Vault Enterprise, HCP and OpenBao). Default: the root.
    ///
    /// # Errors
    /// No header can carry it.
    pub fn namespace(mut self, namespace: &str) -> Result<Self, VaultConfigError> {
        self.client.set_namespace(namespace)?;
        Ok(self)
    }

    /// A PEM file with the certificates of the authorities that may vouch for Vault, in place of those that the
    /// platform trusts. It is read with each connection.
    #[must_use]
    pub fn ca_certificate_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.client.set_ca_certificates(path.into());
        self
    }

    /// Where the engine is mounted, with which the reference's path must begin, and which version it is: Vault
    /// is then not asked, for tokens that may not.
    ///
    /// # Errors
    /// The path does not begin with `mount`.
    pub fn mount(mut self, mount: &str, version: KvVersion) -> Result<Self, VaultConfigError> {
        let mount = mount.trim_matches('/');
        let engine = Engine::new(mount, version);
        if engine.path_of(&self.reference).is_none() {
            return Err(VaultConfigError::Mount {
                mount: mount.to_owned(),
                path: self.reference.path().to_owned(),
            });
        }
        self.engine = Some(engine);
        Ok(self)
    }

    fn error(&self, kind: SecretErrorKind, reason: impl Into<String>) -> SecretError {
        SecretError::new(kind, &self.name, reason)
    }
}

impl SecretSource for VaultSecret {
    async fn fetch(&self) -> Result<Secret, SecretError> {
        // Held throughout: a second caller gets what the first one learned.
        let mut state = self.state.lock().await;
        // Relaxed: nothing is read by it.
        if self.is_forgotten.swap(false, Ordering::Relaxed) {
            state.leased = None;
        }
        let is_new = self.authenticate(&mut state).await?;
        let read = self.read(&mut state).await;
        let is_refused = read
            .as_ref()
            .is_err_and(|error| error.kind() == SecretErrorKind::Refused);
        if !is_refused || is_new || !self.auth.is_login() {
            return read;
        }
        // The token may have been taken back, which is seen by nothing else.
        state.token = None;
        self.authenticate(&mut state).await?;
        self.read(&mut state).await
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn forget(&self) {
        // Relaxed: as above.
        self.is_forgotten.store(true, Ordering::Relaxed);
    }
}

impl fmt::Debug for VaultSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultSecret")
            .field("name", &self.name)
            .field("auth", &self.auth)
            .finish_non_exhaustive()
    }
}
