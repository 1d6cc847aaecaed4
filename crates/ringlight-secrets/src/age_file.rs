//! Secrets in files that are encrypted with age.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use age::armor::ArmoredReader;
use age::{DecryptError, Decryptor, Identity, IdentityFile};
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::file::{Blocking, REFRESH_INTERVAL, read, text, too_large};
use crate::{SECRET_BYTES_MAX, Secret, SecretError, SecretErrorKind, SecretSource};

/// A secret in a file that is encrypted with [age](https://age-encryption.org), as bytes or armored.
///
/// It is decrypted with a file of identities, such as `age-keygen -o key.txt` writes: X25519 keys, without a
/// passphrase. Nobody is there to type one, and a passphrase kept in another file would protect
/// nothing that the identity does not; so identities and secrets that are encrypted with a passphrase are refused,
/// as are SSH keys and plugins. Both files are read again every five seconds, and are refused where anybody may
/// write them.
#[derive(Debug, Clone)]
pub struct AgeFileSecret {
    path: PathBuf,
    identities: PathBuf,
    name: String,
    blocking: Blocking,
}

impl AgeFileSecret {
    /// The secret in the file `path`, decrypted with one of the identities in the file `identities`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, identities: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self {
            name: format!("age file `{}`", path.display()),
            path,
            identities: identities.into(),
            blocking: Blocking::default(),
        }
    }
}

impl SecretSource for AgeFileSecret {
    async fn fetch(&self) -> Result<Secret, SecretError> {
        let this = self.clone();
        let secret = self.blocking.run(&self.name, move || {
            let encrypted = read(&this.path, &this.name)?;
            let identities = identities(&this.identities)?;
            let plain = decrypt(&encrypted, &identities, &this)?;
            text(&plain, &this.name)
        });
        let secret: SecretString = secret.await?;
        Ok(secret.into())
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn refresh_interval(&self) -> Duration {
        REFRESH_INTERVAL
    }
}

type Identities = Vec<Box<dyn Identity + Send + Sync>>;

fn identities(path: &Path) -> Result<Identities, SecretError> {
    let name = format!("age identity file `{}`", path.display());
    let bytes = read(path, &name)?;
    let invalid = |reason: &str| SecretError::new(SecretErrorKind::Invalid, &name, reason);
    if is_encrypted(&bytes) {
        return Err(
            invalid("is itself encrypted, and nobody is there to type the passphrase").with_hint(
                "decrypt it once, `age --decrypt`, and keep what comes out in a file with mode 0600",
            ),
        );
    }
    // The library's errors name the line and not what is in it.
    let identities = IdentityFile::from_buffer(&bytes[..])
        .map_err(|error| {
            invalid(&error.to_string()).with_hint(
                "it must have lines that begin with `AGE-SECRET-KEY-1`, as `age-keygen` writes them",
            )
        })?
        .into_identities()
        .map_err(|_| invalid("has an identity that cannot be used"))?;
    if identities.is_empty() {
        return Err(invalid("has no identity").with_hint("make one with `age-keygen`"));
    }
    Ok(identities)
}

/// Whether a file is an age file, as bytes or armored.
fn is_encrypted(bytes: &[u8]) -> bool {
    bytes.starts_with(b"age-encryption.org/") || bytes.starts_with(b"-----BEGIN AGE ENCRYPTED")
}

fn decrypt(
    encrypted: &[u8],
    identities: &Identities,
    of: &AgeFileSecret,
) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let error = |kind, reason: String| SecretError::new(kind, &of.name, reason);
    let failed = |cause: DecryptError| match &cause {
        DecryptError::NoMatchingKeys => error(
            SecretErrorKind::Refused,
            format!(
                "is not encrypted for any identity in `{}`",
                of.identities.display()
            ),
        )
        .with_hint("encrypt it for the recipient that `age-keygen -y` shows for that file"),
        _ => error(
            SecretErrorKind::Invalid,
            format!("cannot be decrypted: {cause}"),
        )
        .with_hint("it must be whole, and the output of `age --encrypt`")
        .with_cause(cause),
    };
    let decryptor = Decryptor::new(ArmoredReader::new(encrypted)).map_err(failed)?;
    if decryptor.is_scrypt() {
        let reason = "is encrypted with a passphrase, and nobody is there to type it";
        return Err(error(SecretErrorKind::Invalid, reason.to_owned())
            .with_hint("encrypt it for a recipient: `age --encrypt --recipient age1...`"));
    }
    let known = identities
        .iter()
        .map(|identity| &**identity as &dyn Identity);
    let plain = decryptor.decrypt(known).map_err(failed)?;
    // Room for all of it, so that it is never moved and a copy left behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(SECRET_BYTES_MAX + 1));
    plain
        .take(SECRET_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|cause| failed(DecryptError::Io(cause)))?;
    if bytes.len() > SECRET_BYTES_MAX {
        return Err(too_large(&of.name));
    }
    Ok(bytes)
}
