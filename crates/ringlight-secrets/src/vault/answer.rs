//! What Vault answers.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::value::RawValue;

/// A successful answer. Secrets stay in the text they arrived in until somebody takes one out.
#[derive(Deserialize)]
pub(super) struct Answer<'a> {
    #[serde(default)]
    pub(super) lease_id: String,
    #[serde(default)]
    lease_duration: u64,
    #[serde(default)]
    pub(super) renewable: bool,
    #[serde(borrow, default)]
    pub(super) data: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) auth: Option<Login>,
}

impl<'a> Answer<'a> {
    /// Reads it. What is wrong with one that cannot be read is not said, since that might show a
    /// secret.
    pub(super) fn parse(body: &'a Bytes) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    pub(super) const fn lease_duration(&self) -> Duration {
        lease(self.lease_duration)
    }
}

/// The longest time anything is believed to be lent for; longer ones are cut, so that their end can be told.
const LEASE_SECONDS_MAX: u64 = 10 * 365 * 24 * 3600;

/// The time that something is lent for.
pub(super) const fn lease(seconds: u64) -> Duration {
    let cut = if seconds < LEASE_SECONDS_MAX {
        seconds
    } else {
        LEASE_SECONDS_MAX
    };
    Duration::from_secs(cut)
}

/// What a login gives, and the renewal of a token.
#[derive(Deserialize)]
pub(super) struct Login {
    pub(super) client_token: SecretString,
    /// Seconds; zero is for ever.
    pub(super) lease_duration: u64,
    #[serde(default)]
    pub(super) renewable: bool,
}

/// What a token says of itself.
#[derive(Deserialize)]
pub(super) struct TokenData {
    /// Seconds; zero is for ever.
    pub(super) ttl: u64,
    #[serde(default)]
    pub(super) renewable: bool,
}

/// Where an engine is mounted, and which it is.
#[derive(Deserialize)]
pub(super) struct MountData {
    pub(super) path: String,
    #[serde(default)]
    pub(super) options: Option<BTreeMap<String, String>>,
}

/// What an engine of version 2 has as data.
#[derive(Deserialize)]
pub(super) struct Versioned<'a> {
    #[serde(borrow)]
    pub(super) data: Option<&'a RawValue>,
    pub(super) metadata: Metadata,
}

#[derive(Deserialize)]
pub(super) struct Metadata {
    #[serde(default)]
    pub(super) deletion_time: String,
    #[serde(default)]
    pub(super) destroyed: bool,
}

/// Longest text taken over from Vault into a message.
const TEXT_CHARS_MAX: usize = 200;

/// What Vault says was wrong, on one line.
pub(super) fn errors(status: StatusCode, body: &[u8]) -> String {
    /// Vault has a list; RustyVault, one text.
    #[derive(Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Said {
        Errors(Vec<String>),
        Error(String),
    }
    let said = match serde_json::from_slice(body) {
        Ok(Said::Errors(errors)) => errors.join(", "),
        Ok(Said::Error(error)) => error,
        Err(_) => String::new(),
    };
    let said = if said.trim().is_empty() {
        status.canonical_reason().unwrap_or("no reason given")
    } else {
        said.trim()
    };
    let mut shown: String = said
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(TEXT_CHARS_MAX)
        .collect();
    if said.chars().count() > TEXT_CHARS_MAX {
        shown.push('…');
    }
    shown
}
