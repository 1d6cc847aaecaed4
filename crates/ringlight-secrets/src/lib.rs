//! Where secrets come from: variables ([`EnvSecret`]), files ([`FileSecret`]), files encrypted with
//! [age](https://age-encryption.org) (`AgeFileSecret`, feature `age`), HashiCorp Vault (`VaultSecret`,
//! feature `vault`), or anything else that is a [`SecretSource`].
//!
//! [`SecretHeaders`] makes HTTP headers of a secret, a JSON object or a list, and keeps them fresh: it asks the source again
//! before a lease ends and now and then anyway, keeps the last good headers when that fails, and tells.
//!
//! It guarantees that a secret is in nothing that is made to be read, neither `Debug` nor `Display` nor errors; that its own
//! copies are overwritten when they are dropped; and that every wait and every size is bounded: a secret
//! has at most [`SECRET_BYTES_MAX`] bytes. Not overwritten is what others copy: the buffers of sockets, a variable, which the process
//! keeps for as long as it runs, and, in answers of Vault, the text of a JSON string that has escapes in it, while it is decoded.
//!
//! It must not know what the secrets are for.
//!
//! # Examples
//! ```
//! use ringlight_secrets::{FileSecret, SecretHeaders};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("headers");
//! std::fs::write(&path, r#"{"authorization": "Bearer abc"}"#)?;
//! let headers = SecretHeaders::from_source(FileSecret::new(&path)).build();
//! let now = headers.get().await?;
//! assert_eq!(now["authorization"], "Bearer abc");
//! assert_eq!(format!("{now:?}"), r#"{"authorization": Sensitive}"#);
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

#[cfg(feature = "age")]
mod age_file;
mod env;
mod error;
mod file;
mod headers;
mod source;
#[cfg(feature = "vault")]
mod vault;

#[cfg(feature = "age")]
pub use age_file::AgeFileSecret;
pub use env::EnvSecret;
pub use error::{SecretError, SecretErrorKind};
pub use file::FileSecret;
pub use headers::{SecretHeaders, SecretHeadersBuilder, SecretNotice};
pub use secrecy::{ExposeSecret, SecretString};
pub use source::{FetchFuture, Secret, SecretSource, SecretSourceBoxed};
#[cfg(feature = "vault")]
pub use vault::{KvVersion, VaultAuth, VaultConfigError, VaultReference, VaultSecret};

/// Bytes of a secret at most; larger ones are refused. Sixteen times what web servers take as headers.
pub const SECRET_BYTES_MAX: usize = 128 * 1024;

/// The example of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
