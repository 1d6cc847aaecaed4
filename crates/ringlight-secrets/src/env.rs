//! Secrets in variables of the process.

use std::env::VarError;

use secrecy::SecretString;

use crate::{SECRET_BYTES_MAX, Secret, SecretError, SecretErrorKind, SecretSource};

/// A secret in a variable of the process. Empty means that there is none, as OpenTelemetry has it of all
/// variables.
///
/// Variables are inherited by child processes and shown in `/proc/<pid>/environ` to the same user; a
/// [file](crate::FileSecret) keeps a secret better.
#[derive(Debug, Clone)]
pub struct EnvSecret {
    variable: String,
    name: String,
}

impl EnvSecret {
    /// The secret in the variable of this name.
    #[must_use]
    pub fn new(variable: impl Into<String>) -> Self {
        let variable = variable.into();
        Self {
            name: format!("variable `{variable}`"),
            variable,
        }
    }
}

impl SecretSource for EnvSecret {
    async fn fetch(&self) -> Result<Secret, SecretError> {
        let error = |kind, reason| SecretError::new(kind, &self.name, reason);
        match std::env::var(&self.variable) {
            Ok(value) if value.len() > SECRET_BYTES_MAX => {
                drop(SecretString::from(value));
                Err(error(SecretErrorKind::Invalid, "is too large for a secret"))
            }
            Ok(value) if value.trim().is_empty() => {
                Err(error(SecretErrorKind::Missing, "is empty").with_hint(SET))
            }
            Ok(value) => Ok(SecretString::from(value).into()),
            Err(VarError::NotPresent) => {
                Err(error(SecretErrorKind::Missing, "is not set").with_hint(SET))
            }
            // The error of the standard library would show what is in it.
            Err(VarError::NotUnicode(_)) => Err(error(SecretErrorKind::Invalid, "is not UTF-8")),
        }
    }

    fn name(&self) -> &str {
        &self.name
    }
}

const SET: &str = "set it before the program starts";

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_variable_that_is_not_set_is_missing() {
        let error = EnvSecret::new("RINGLIGHT_TEST_NO_SUCH_VARIABLE")
            .fetch()
            .await
            .unwrap_err();
        assert_eq!(error.kind(), SecretErrorKind::Missing);
        assert_eq!(
            error.to_string(),
            "variable `RINGLIGHT_TEST_NO_SUCH_VARIABLE`: is not set; hint: set it before the program starts"
        );
    }

    #[tokio::test]
    async fn a_variable_is_a_secret() {
        use secrecy::ExposeSecret as _;
        // Cargo sets it for every test.
        let secret = EnvSecret::new("CARGO_PKG_NAME").fetch().await.unwrap();
        assert_eq!(secret.value.expose_secret(), "ringlight-secrets");
        assert!(!format!("{secret:?}").contains("ringlight"));
    }
}
