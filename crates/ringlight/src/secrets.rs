//! Where headers come from that hold a secret, for [`Builder::otlp_headers_from`](crate::Builder::otlp_headers_from).
//!
//! Variables name the usual sources without code:
//!
//! | variable | what it names |
//! |---|---|
//! | `RINGLIGHT_OTLP_HEADERS_FILE` | a file ([`FileSecret`]) |
//! | `RINGLIGHT_OTLP_HEADERS_AGE_FILE`, `RINGLIGHT_OTLP_HEADERS_AGE_IDENTITY_FILE` | a file that is encrypted with age, and the identities to decrypt it with (`AgeFileSecret`, feature `age`) |
//! | `RINGLIGHT_OTLP_HEADERS_VAULT` | a secret in HashiCorp Vault, `<mount>/<path>#<key>` (`VaultSecret`, feature `vault`), by `VAULT_ADDR`, `VAULT_TOKEN` and so on |
//! | `RINGLIGHT_OTLP_HEADERS_OPTIONAL` | `true`: where there is no such secret, send without |
//!
//! The secret is a JSON object of headers, or a list as in `OTEL_EXPORTER_OTLP_HEADERS`. What is wrong with these
//! variables keeps telemetry from starting: to ignore it would be to send without authentication. The guide is
//! `docs/secrets.md`.

pub use ringlight_secrets::{
    EnvSecret, ExposeSecret, FetchFuture, FileSecret, SECRET_BYTES_MAX, Secret, SecretError,
    SecretErrorKind, SecretHeaders, SecretHeadersBuilder, SecretNotice, SecretSource,
    SecretSourceBoxed, SecretString,
};

#[cfg(feature = "age")]
pub use ringlight_secrets::AgeFileSecret;
#[cfg(feature = "vault")]
pub use ringlight_secrets::{KvVersion, VaultAuth, VaultConfigError, VaultReference, VaultSecret};
