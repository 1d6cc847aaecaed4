//! The parameters of a request, read strictly: what is not understood is refused, never ignored.

use std::ops::RangeInclusive;
use std::str::FromStr;

use http::StatusCode;
use ringlight_store::query::{Query, QuerySignal};
use serde::de::IntoDeserializer as _;
use serde::de::value::StrDeserializer;

use super::error::ApiError;

/// Characters of a value that an error repeats.
const SHOWN_CHARS_MAX: usize = 80;

/// The names a value is not among.
#[derive(Debug, thiserror::Error)]
#[error("not among the names known")]
pub(super) struct NotAmong(&'static [&'static str]);

impl serde::de::Error for NotAmong {
    fn custom<T: std::fmt::Display>(_: T) -> Self {
        Self(&[])
    }

    fn unknown_variant(_: &str, names: &'static [&'static str]) -> Self {
        Self(names)
    }
}

/// The decoded parameters of a request, each at most once.
#[derive(Debug)]
pub(super) struct Params {
    pairs: Vec<(String, String)>,
}

impl Params {
    /// Reads the part of a URL behind `?`. An empty value is the same as none.
    pub(super) fn read(query: Option<&str>, allowed: &[&str]) -> Result<Self, ApiError> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or("").as_bytes()) {
            let refuse = |what: &str| {
                let message = format!("parameter `{}` is {what}", shown(&name));
                let error = ApiError::new(StatusCode::BAD_REQUEST, "bad_parameter", message);
                if allowed.is_empty() {
                    error.hint("there are no parameters here")
                } else {
                    error.hint(format!("parameters are {}", allowed.join(", ")))
                }
            };
            if !allowed.contains(&name.as_ref()) {
                return Err(refuse("not known here"));
            }
            if pairs.iter().any(|(known, _)| *known == name) {
                return Err(refuse("given twice"));
            }
            pairs.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self { pairs })
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(known, value)| known == name && !value.is_empty())
            .map(|(_, value)| value.as_str())
    }

    /// Whether it is given without a value, which is the same as not at all for most.
    pub(super) fn is_empty(&self, name: &str) -> bool {
        let mut pairs = self.pairs.iter();
        pairs.any(|(known, value)| known == name && value.is_empty())
    }

    /// Text of bounded length.
    pub(super) fn bounded(&self, name: &str, chars_max: usize) -> Result<&str, ApiError> {
        let value = self.text(name).unwrap_or("");
        if value.chars().nth(chars_max).is_some() {
            let allowed = format!("text of at most {chars_max} characters");
            return Err(ApiError::parameter(name, value, &allowed));
        }
        Ok(value)
    }

    /// Anything that is read from text, such as an id.
    pub(super) fn parsed<T: FromStr>(
        &self,
        name: &str,
        allowed: &str,
    ) -> Result<Option<T>, ApiError> {
        self.text(name)
            .map(|value| {
                value
                    .parse()
                    .map_err(|_| ApiError::parameter(name, value, allowed))
            })
            .transpose()
    }

    /// One of the names of an enum, which `read` deserializes; an error says which there are.
    pub(super) fn choice<'a, T>(
        &'a self,
        name: &str,
        read: impl FnOnce(StrDeserializer<'a, NotAmong>) -> Result<T, NotAmong>,
    ) -> Result<Option<T>, ApiError> {
        let Some(value) = self.text(name) else {
            return Ok(None);
        };
        match read(value.into_deserializer()) {
            Ok(chosen) => Ok(Some(chosen)),
            Err(NotAmong(names)) => Err(ApiError::parameter(name, value, &names.join(", "))),
        }
    }

    /// A whole number without a sign.
    pub(super) fn number(
        &self,
        name: &str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, ApiError> {
        let Some(value) = self.text(name) else {
            return Ok(None);
        };
        // `parse` alone would take a plus sign.
        let is_digits = value.bytes().all(|byte| byte.is_ascii_digit());
        match value
            .parse()
            .ok()
            .filter(|number| is_digits && range.contains(number))
        {
            Some(number) => Ok(Some(number)),
            None => {
                let allowed = if *range.end() == u64::MAX {
                    format!("a whole number from {}", range.start())
                } else {
                    format!("a whole number from {} to {}", range.start(), range.end())
                };
                Err(ApiError::parameter(name, value, &allowed))
            }
        }
    }

    pub(super) fn limit(&self, default: usize, max: usize) -> Result<usize, ApiError> {
        let limit = self.number("limit", 1..=u64::try_from(max).unwrap_or(u64::MAX))?;
        Ok(limit.map_or(default, |limit| usize::try_from(limit).unwrap_or(max)))
    }

    /// The time range `from` to `to`, in Unix nanoseconds.
    pub(super) fn range(&self) -> Result<(Option<u64>, Option<u64>), ApiError> {
        let from = self.number("from", 0..=u64::MAX)?;
        let to = self.number("to", 0..=u64::MAX)?;
        if let (Some(from), Some(to)) = (from, to)
            && from > to
        {
            let allowed = format!("at most the value of `to`, {to}");
            return Err(ApiError::parameter("from", &from.to_string(), &allowed));
        }
        Ok((from, to))
    }

    pub(super) fn query(&self, signal: QuerySignal) -> Result<Query, ApiError> {
        Ok(Query::parse(self.text("q").unwrap_or(""), signal)?)
    }

    pub(super) fn cursor(&self) -> Result<Option<String>, ApiError> {
        let cursor = self.bounded("cursor", 512)?;
        Ok(Some(cursor.to_owned()).filter(|cursor| !cursor.is_empty()))
    }
}

/// Text from outside, fit for a message: short, and without control characters.
pub(super) fn shown(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(SHOWN_CHARS_MAX)
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Size {
        Small,
        Large,
    }

    #[test]
    fn an_error_says_which_names_there_are() {
        let params = |query| Params::read(Some(query), &["size"]).unwrap();
        let choice = |query| params(query).choice("size", Size::deserialize);
        assert_eq!(choice("").unwrap(), None);
        assert_eq!(choice("size=large").unwrap(), Some(Size::Large));
        assert_eq!(choice("size=small").unwrap(), Some(Size::Small));
        let error = choice("size=Large").unwrap_err();
        let shown = format!("{error:?}");
        assert!(shown.contains("allowed is small, large"), "{shown}");
    }
}
