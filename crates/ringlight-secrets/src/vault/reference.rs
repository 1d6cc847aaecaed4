//! Which secret, and what can be wrong with how it is named.

use std::fmt;
use std::str::FromStr;

/// Names a secret in Vault: the path as `vault kv get` takes it, the mount in front, and a key of it:
/// `secret/shop/otlp#headers`.
///
/// Without a key, all of the secret's keys and values are the secret, as a JSON object:
/// for headers, `vault kv put secret/shop/otlp authorization="Bearer abc"` is enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultReference {
    path: String,
    key: Option<String>,
}

impl VaultReference {
    /// The path, without slashes around it.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }
}

impl FromStr for VaultReference {
    type Err = VaultConfigError;

    fn from_str(text: &str) -> Result<Self, VaultConfigError> {
        let invalid = |reason| VaultConfigError::Reference {
            reference: text.to_owned(),
            reason,
        };
        let (path, key) = match text.trim().split_once('#') {
            Some((_, "")) => return Err(invalid("nothing follows the `#`")),
            Some((path, key)) => (path, Some(key.to_owned())),
            None => (text.trim(), None),
        };
        let path = path.trim_matches('/').to_owned();
        if !path.contains('/') {
            return Err(invalid("it has no mount and path"));
        }
        if path.starts_with("v1/") {
            return Err(invalid(
                "`v1/` belongs to the address of the API, leave it out",
            ));
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~@:+=,".contains(&byte);
        let is_good =
            |segment: &str| !matches!(segment, "" | "." | "..") && segment.bytes().all(is_plain);
        if !path.split('/').all(is_good) {
            return Err(invalid(
                "a part of its path is empty, or has characters beyond letters, digits and `-_.~@:+=,`",
            ));
        }
        Ok(Self { path, key })
    }
}

impl fmt::Display for VaultReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path)?;
        match &self.key {
            Some(key) => write!(f, "#{key}"),
            None => Ok(()),
        }
    }
}

/// The version of a key-value engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum KvVersion {
    /// Without versions of secrets; also what engines of other kinds are read as.
    V1,
    /// With versions of secrets. The last one is read.
    V2,
}

/// A [`VaultSecret`](crate::VaultSecret) cannot be had with these settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VaultConfigError {
    /// The address is not one.
    #[error("Vault's address `{address}` is not one such as `https://vault:8200`: {reason}")]
    Address {
        /// The address, without credentials.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The reference is not one.
    #[error("`{reference}` is not a secret in Vault such as `secret/shop/otlp#headers`: {reason}")]
    Reference {
        /// The reference.
        reference: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The namespace cannot be sent.
    #[error("Vault's namespace `{namespace}` cannot be sent as a header")]
    Namespace {
        /// The namespace.
        namespace: String,
    },
    /// The secret is not below the mount.
    #[error("the path `{path}` in Vault is not below the mount `{mount}`")]
    Mount {
        /// The mount.
        mount: String,
        /// The path.
        path: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_a_path_and_a_key() {
        let check = |text: &str, path: &str, key: Option<&str>| {
            let reference: VaultReference = text.parse().unwrap();
            assert_eq!((reference.path(), reference.key()), (path, key), "{text}");
        };
        check("secret/otlp", "secret/otlp", None);
        check(" /secret/a/b/#headers ", "secret/a/b", Some("headers"));
        check("secret/otlp#a#b", "secret/otlp", Some("a#b"));
        let check = |text: &str, expected: &str| {
            let error = text.parse::<VaultReference>().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check("", "no mount and path");
        check("secret#headers", "no mount and path");
        check("secret/otlp#", "nothing follows");
        check("v1/secret/otlp", "leave it out");
        check("secret/../sys/seal", "a part of its path");
        check("secret//otlp", "a part of its path");
        check("secret/otlp?version=1", "a part of its path");
        check("secret/ot lp", "a part of its path");
    }
}
