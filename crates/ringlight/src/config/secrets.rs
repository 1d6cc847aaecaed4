//! Where the headers come from that hold a secret, as variables say, or the file.
//!
//! What is wrong here is an error, unlike elsewhere: to ignore it would be to send without authentication.

use ringlight_secrets::{FileSecret, SecretErrorKind, SecretHeadersBuilder};

use super::environment::Reader;
use super::headers::withhold;
use super::otlp::Routes;
use crate::InitError;

const FILE: &str = "RINGLIGHT_OTLP_HEADERS_FILE";
const AGE_FILE: &str = "RINGLIGHT_OTLP_HEADERS_AGE_FILE";
#[cfg(feature = "age")]
const AGE_IDENTITIES: &str = "RINGLIGHT_OTLP_HEADERS_AGE_IDENTITY_FILE";
const VAULT: &str = "RINGLIGHT_OTLP_HEADERS_VAULT";
const OPTIONAL: &str = "RINGLIGHT_OTLP_HEADERS_OPTIONAL";

/// The headers that the code has, or else variables or the file name, and the routes with what they are not for. Of a look,
/// no source is opened.
///
/// # Errors
/// A source is not named as it has to be, or this build does not have it.
pub(super) fn secret_headers(
    reader: &mut Reader<'_>,
    routes: Option<Routes>,
    in_code: Option<SecretHeadersBuilder>,
    is_relay: bool,
    is_look: bool,
) -> Result<(Option<Routes>, Option<SecretHeadersBuilder>), InitError> {
    let Some(mut routes) = routes else {
        return Ok((None, None));
    };
    let headers = if in_code.is_some() {
        give_to_all(&mut routes);
        in_code
    } else {
        withhold_from_others(reader, &mut routes);
        if is_look {
            look(reader)?;
            None
        } else {
            headers(reader, is_relay)?
        }
    };
    Ok((Some(routes), headers))
}

/// Settles which endpoints a secret is not for that variables name: those that stand in for the one the variables were set
/// beside. Where that is all of them, it is as though the variables were not set.
fn withhold_from_others(reader: &mut Reader<'_>, routes: &mut Routes) {
    let mut set = vec![FILE, AGE_FILE, VAULT];
    set.retain(|name| reader.variable(name).is_some());
    for route in routes.all_mut() {
        if let Some(ignored) = &route.stands_in_for {
            for name in &set {
                withhold(reader, name, ignored, &route.origin);
            }
        }
    }
    let is_for_none = routes.all_mut().all(|route| route.stands_in_for.is_some());
    if is_for_none {
        set.drain(..).for_each(|name| reader.forget(name));
    }
    if set.is_empty() {
        give_to_all(routes);
    }
}

/// A secret that no variable names is for every endpoint.
fn give_to_all(routes: &mut Routes) {
    routes
        .all_mut()
        .for_each(|route| route.stands_in_for = None);
}

/// The headers that variables name a source of. Of a relay, which may wait long for something to send, a file that is not
/// there is said at once.
fn headers(
    reader: &mut Reader<'_>,
    is_relay: bool,
) -> Result<Option<SecretHeadersBuilder>, InitError> {
    let Some((variable, value)) = only_one(reader, &[FILE, AGE_FILE, VAULT])? else {
        return Ok(None);
    };
    let file = FileSecret::new(&value);
    let headers = match variable {
        FILE => FileSecret::new(value).into(),
        AGE_FILE => age(reader, &value)?,
        _ => vault(reader, &value)?,
    };
    let is_optional = reader.truth(OPTIONAL);
    if is_relay && variable != VAULT {
        look_ahead(reader, variable, &file, is_optional);
    }
    Ok(Some(if is_optional {
        SecretHeadersBuilder::optional(headers)
    } else {
        headers
    }))
}

/// What is wrong with how a source is named, whether or not it can be used here.
fn look(reader: &Reader<'_>) -> Result<(), InitError> {
    only_one(reader, &[FILE, AGE_FILE, VAULT]).map(|_| ())
}

fn look_ahead(reader: &mut Reader<'_>, variable: &str, file: &FileSecret, is_optional: bool) {
    match file.probe() {
        Err(error) if !(is_optional && error.kind() == SecretErrorKind::Missing) => {
            let origin = reader.origin(variable);
            reader.say(format!(
                "nothing is sent until {origin} can be used: {error}"
            ));
        }
        _ => {}
    }
}

/// The variable that is set, and its value.
fn only_one(
    reader: &Reader<'_>,
    variables: &[&'static str],
) -> Result<Option<(&'static str, String)>, InitError> {
    // What variables say replaces what the file does.
    let by_variable = variables.iter().any(|name| reader.variable(name).is_some());
    let set = |name: &&'static str| {
        let value = if by_variable {
            reader.variable(name)
        } else {
            reader.text(name)
        };
        value.map(|value| (*name, value))
    };
    let mut set = variables.iter().filter_map(set);
    match (set.next(), set.next()) {
        (Some((one, _)), Some((other, _))) => Err(refused(
            &format!("{} and {}", reader.origin(one), reader.origin(other)),
            "both are set",
            "unset one of them",
        )),
        (one, _) => Ok(one),
    }
}

fn refused(origin: &str, reason: impl Into<String>, hint: &'static str) -> InitError {
    InitError::Secret {
        origin: origin.to_owned(),
        reason: reason.into(),
        hint,
    }
}

#[cfg(feature = "age")]
fn age(reader: &Reader<'_>, path: &str) -> Result<SecretHeadersBuilder, InitError> {
    let identities = reader.text(AGE_IDENTITIES).ok_or_else(|| {
        let reason =
            format!("the file is decrypted with identities, and `{AGE_IDENTITIES}` is not set");
        let hint = "name a file there as `age-keygen -o` writes it";
        refused(&reader.origin(AGE_FILE).to_string(), reason, hint)
    })?;
    let secret = ringlight_secrets::AgeFileSecret::new(path, identities);
    Ok(secret.into())
}

#[cfg(not(feature = "age"))]
fn age(reader: &Reader<'_>, _: &str) -> Result<SecretHeadersBuilder, InitError> {
    let reason = "this build cannot decrypt files of age";
    Err(refused(
        &reader.origin(AGE_FILE).to_string(),
        reason,
        "enable the feature `age`",
    ))
}

#[cfg(feature = "vault")]
fn vault(reader: &Reader<'_>, reference: &str) -> Result<SecretHeadersBuilder, InitError> {
    use ringlight_secrets::{VaultConfigError, VaultSecret};
    let wrong = |variable: &'static str| {
        move |error: VaultConfigError| {
            let hint = "see the guide, docs/secrets.md";
            refused(
                &reader.origin(variable).to_string(),
                error.to_string(),
                hint,
            )
        }
    };
    let reference = reference.parse().map_err(wrong(VAULT))?;
    let address = reader.text("VAULT_ADDR").ok_or_else(|| {
        let reason = "the secret is in Vault, and `VAULT_ADDR` is not set";
        refused(
            &reader.origin(VAULT).to_string(),
            reason,
            "set it, such as to `https://vault:8200`",
        )
    })?;
    let auth = auth::of(reader)?;
    let mut secret = VaultSecret::new(&address, reference, auth).map_err(wrong("VAULT_ADDR"))?;
    if let Some(namespace) = reader.text("VAULT_NAMESPACE") {
        secret = secret
            .namespace(&namespace)
            .map_err(wrong("VAULT_NAMESPACE"))?;
    }
    if let Some(path) = reader.text("VAULT_CACERT") {
        secret = secret.ca_certificate_file(path);
    }
    Ok(secret.into())
}

#[cfg(not(feature = "vault"))]
fn vault(reader: &Reader<'_>, _: &str) -> Result<SecretHeadersBuilder, InitError> {
    let reason = "this build cannot speak to Vault";
    Err(refused(
        &reader.origin(VAULT).to_string(),
        reason,
        "enable the feature `vault`",
    ))
}

/// How to get a token of Vault.
#[cfg(feature = "vault")]
mod auth {
    use ringlight_secrets::{FileSecret, SecretString, VaultAuth};

    use super::{Reader, only_one, refused};
    use crate::InitError;

    const TOKEN_FILE: &str = "RINGLIGHT_VAULT_TOKEN_FILE";
    const ROLE_ID: &str = "RINGLIGHT_VAULT_ROLE_ID";
    const SECRET_ID_FILE: &str = "RINGLIGHT_VAULT_SECRET_ID_FILE";
    const KUBERNETES_ROLE: &str = "RINGLIGHT_VAULT_KUBERNETES_ROLE";
    const MOUNT: &str = "RINGLIGHT_VAULT_AUTH_MOUNT";

    /// What is meant for this alone goes before `VAULT_TOKEN`, which may be there for something else.
    pub(super) fn of(reader: &Reader<'_>) -> Result<VaultAuth, InitError> {
        let auth = match only_one(reader, &[TOKEN_FILE, ROLE_ID, KUBERNETES_ROLE])? {
            Some((TOKEN_FILE, path)) => return Ok(VaultAuth::token(FileSecret::new(path))),
            Some((ROLE_ID, role_id)) => {
                let path = reader.text(SECRET_ID_FILE).ok_or_else(|| {
                    let reason = format!("`{SECRET_ID_FILE}` is not set");
                    let hint = "name a file there with the secret id of the AppRole";
                    refused(&format!("`{ROLE_ID}`"), reason, hint)
                })?;
                VaultAuth::app_role(role_id, FileSecret::new(path))
            }
            Some((_, role)) => VaultAuth::kubernetes(role),
            None => {
                let token = reader.text("VAULT_TOKEN").ok_or_else(|| {
                    let reason = "the secret is in Vault, and nothing says how to log in there";
                    let hint = "set `VAULT_TOKEN`, `RINGLIGHT_VAULT_TOKEN_FILE`, \
                         `RINGLIGHT_VAULT_ROLE_ID` or `RINGLIGHT_VAULT_KUBERNETES_ROLE`";
                    refused(&reader.origin(super::VAULT).to_string(), reason, hint)
                })?;
                return Ok(VaultAuth::token(SecretString::from(token)));
            }
        };
        Ok(match reader.text(MOUNT) {
            Some(mount) => auth.mounted_at(mount),
            None => auth,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;

    fn check(variables: &[(&str, &str)], expected: Result<&str, &str>) {
        let named = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment = Environment::Fixed(variables.iter().map(named).collect());
        let shown = match headers(&mut Reader::new(&environment), false) {
            Ok(headers) => Ok(format!("{headers:?}")),
            Err(error) => Err(error.to_string()),
        };
        assert!(!format!("{shown:?}").contains("hunter2"), "{shown:?}");
        match (&shown, expected) {
            (Ok(shown), Ok(expected)) | (Err(shown), Err(expected)) => {
                assert!(shown.contains(expected), "no `{expected}`: {shown}");
            }
            _ => panic!("{shown:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn a_source_is_named_by_one_variable() {
        check(&[], Ok("None"));
        check(&[(FILE, " ")], Ok("None"));
        check(&[(FILE, "/run/h")], Ok("file `/run/h`"));
        check(&[(FILE, "/run/h")], Ok("is_optional: false"));
        check(
            &[(FILE, "/run/h"), (OPTIONAL, "true")],
            Ok("is_optional: true"),
        );
        let both = "`RINGLIGHT_OTLP_HEADERS_FILE` and `RINGLIGHT_OTLP_HEADERS_VAULT`: both are set";
        check(&[(VAULT, "secret/a"), (FILE, "/run/h")], Err(both));
    }

    #[test]
    fn of_a_relay_a_file_that_is_not_there_is_said_at_once() {
        let said = |file: &str, optional: &str, is_relay: bool| {
            let variables = [(FILE, file), (OPTIONAL, optional)];
            let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let environment = Environment::Fixed(variables.into());
            let mut reader = Reader::new(&environment);
            headers(&mut reader, is_relay).unwrap();
            reader.warnings
        };
        let expected = "nothing is sent until `RINGLIGHT_OTLP_HEADERS_FILE` can be used: file `/nowhere`: cannot be read";
        let warnings = said("/nowhere", "false", true);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].starts_with(expected), "{warnings:?}");
        assert_eq!(said("/nowhere", "true", true), [""; 0]);
        assert_eq!(said("/nowhere", "false", false), [""; 0]);
        assert_eq!(said("/", "true", true).len(), 1);
        // Not opened: that would wait, and take what is in it.
        assert_eq!(said("/dev/null", "false", true), [""; 0]);
    }

    #[cfg(not(feature = "age"))]
    #[test]
    fn without_the_feature_an_age_file_is_an_error() {
        check(&[(AGE_FILE, "/run/h.age")], Err("enable the feature `age`"));
    }

    #[cfg(not(feature = "vault"))]
    #[test]
    fn without_the_feature_vault_is_an_error() {
        check(&[(VAULT, "secret/a")], Err("enable the feature `vault`"));
    }

    #[cfg(feature = "age")]
    #[test]
    fn an_age_file_has_identities() {
        let file = (AGE_FILE, "/run/h.age");
        check(
            &[file, (AGE_IDENTITIES, "/run/key")],
            Ok("age file `/run/h.age`"),
        );
        check(
            &[file],
            Err("`RINGLIGHT_OTLP_HEADERS_AGE_IDENTITY_FILE` is not set"),
        );
    }

    #[cfg(feature = "vault")]
    #[test]
    fn vault_has_an_address_and_a_way_to_log_in() {
        let secret = (VAULT, "secret/otlp#headers");
        let address = ("VAULT_ADDR", "https://vault:8200");
        let token = ("VAULT_TOKEN", "hvs.hunter2");
        let named = "`secret/otlp#headers` in Vault at https://vault:8200";
        check(
            &[
                secret,
                address,
                token,
                ("VAULT_NAMESPACE", "a"),
                ("VAULT_CACERT", "/ca"),
            ],
            Ok(named),
        );
        check(
            &[secret, address, ("RINGLIGHT_VAULT_TOKEN_FILE", "/run/t")],
            Ok(named),
        );
        check(
            &[secret, address, ("RINGLIGHT_VAULT_KUBERNETES_ROLE", "shop")],
            Ok(named),
        );
        let role = ("RINGLIGHT_VAULT_ROLE_ID", "shop");
        let id = ("RINGLIGHT_VAULT_SECRET_ID_FILE", "/run/id");
        check(
            &[
                secret,
                address,
                role,
                id,
                ("RINGLIGHT_VAULT_AUTH_MOUNT", "x"),
            ],
            Ok(named),
        );
        check(
            &[secret, address, token, role],
            Err("`RINGLIGHT_VAULT_SECRET_ID_FILE` is not set"),
        );
        check(&[secret, token], Err("`VAULT_ADDR` is not set"));
        check(&[secret, address], Err("nothing says how to log in"));
        check(
            &[(VAULT, "secret"), address, token],
            Err("no mount and path"),
        );
        check(
            &[secret, ("VAULT_ADDR", "vault"), token],
            Err("`VAULT_ADDR`: Vault's address"),
        );
        let bad = ("VAULT_ADDR", "https://a:hunter2@vault");
        check(&[secret, bad, token], Err("has credentials"));
        check(
            &[secret, address, token, ("VAULT_NAMESPACE", "a\u{7f}b")],
            Err("`VAULT_NAMESPACE`"),
        );
    }
}
