//! Addresses, and what of them may be shown.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// An address as it was given. It may hold credentials; what is shown of it, as `Debug` too, does not.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address(String);

impl Address {
    /// With whatever is secret in it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Address {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.trim().to_owned()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&if self.0.contains("://") {
            shown_word(&self.0)
        } else {
            without_secrets(&self.0)
        })
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

/// A word of a command line, without what an address in it may hold that is secret.
pub(crate) fn shown_word(word: &str) -> String {
    match word.find("://") {
        Some(at) => {
            let (scheme, rest) = word.split_at(at + "://".len());
            format!("{scheme}{}", without_secrets(rest))
        }
        None => word.to_owned(),
    }
}

/// What follows the scheme, without the credentials and the query. Where an `@` comes after a `?`, either may be part of a
/// password, and nothing is shown.
fn without_secrets(rest: &str) -> String {
    let (before, query) = match rest.find(['?', '#']) {
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    if query.contains('@') {
        return "…".to_owned();
    }
    let shown = match before.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}"),
        None => before.to_owned(),
    };
    match query.chars().next() {
        Some(mark) => format!("{shown}{mark}…"),
        None => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_holds_no_credentials() {
        let check = |text: &str, expected: &str| {
            assert_eq!(shown_word(text), expected);
            let address: Address = text.parse().unwrap();
            assert_eq!(address.to_string(), expected);
            assert_eq!(format!("{address:?}"), format!("`{expected}`"));
            assert_eq!(address.as_str(), text);
        };
        check("https://a.example:4317/v1", "https://a.example:4317/v1");
        check("https://me:s3cret@a.example/x", "https://…@a.example/x");
        check("https://me:s3/cret@a.example", "https://…@a.example");
        check("https://a.example/?token=s3cret", "https://a.example/?…");
        check("https://a.example#s3cret", "https://a.example#…");
        check("https://me:s3cret@h/?token=s3cret", "https://…@h/?…");
        check("https://a.example?token=s3@cret", "https://…");
        check("https://me:s3?cret@a.example", "https://…");
    }

    #[test]
    fn an_address_without_a_scheme_is_one_but_not_every_word() {
        let shown = |text: &str| text.parse::<Address>().unwrap().to_string();
        assert_eq!(shown("me:s3cret@h:4317"), "…@h:4317");
        assert_eq!(shown("h:4317/?token=s3cret"), "h:4317/?…");
        assert_eq!(shown_word("really?"), "really?");
        assert_eq!(
            shown_word("--forward=https://me:s3cret@h/x"),
            "--forward=https://…@h/x"
        );
    }
}
