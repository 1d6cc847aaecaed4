//! What an application prints when it is done.

use std::collections::BTreeMap;
use std::io::Write as _;

use ringlight::{Account, DropReason};
use serde::{Deserialize, Serialize};

/// The closing report of an application: one line of JSON on standard output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The application's `service.name`.
    pub service: String,
    /// The process's `service.instance.id`, by which a backend tells its records from those of
    /// other processes of the same service.
    pub instance: String,
    /// The final account by signal (`traces`, `logs`).
    pub ledger: BTreeMap<String, AccountReport>,
    /// What the application itself counted.
    pub work: serde_json::Value,
}

/// The account of one signal: `submitted + recovered = exported + rejected + dropped + in_flight + spooled`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountReport {
    /// Records the application handed over.
    pub submitted: u64,
    /// Records an earlier process left on disk.
    #[serde(default)]
    pub recovered: u64,
    /// Records the backend accepted.
    pub exported: u64,
    /// Records the backend refused for good.
    pub rejected: u64,
    /// Records dropped, by reason; only reasons that happened.
    pub dropped: BTreeMap<String, u64>,
    /// Records neither delivered nor given up: zero after a shutdown.
    pub in_flight: u64,
    /// Records on disk, waiting.
    pub spooled: u64,
}

impl From<&Account> for AccountReport {
    fn from(account: &Account) -> Self {
        Self {
            submitted: account.submitted,
            recovered: account.recovered,
            exported: account.exported,
            rejected: account.rejected,
            dropped: DropReason::ALL
                .into_iter()
                .map(|reason| (reason, account.dropped[reason]))
                .filter(|(_, count)| *count > 0)
                .map(|(reason, count)| (reason.as_str().to_owned(), count))
                .collect(),
            in_flight: account.in_flight,
            spooled: account.spooled,
        }
    }
}

impl AccountReport {
    /// Drops for every reason together.
    #[must_use]
    pub fn dropped_total(&self) -> u64 {
        self.dropped.values().sum()
    }

    /// Whether every submitted record is accounted for.
    #[must_use]
    pub fn balances(&self) -> bool {
        self.submitted + self.recovered
            == self.exported + self.rejected + self.dropped_total() + self.in_flight + self.spooled
    }
}

/// Prints one line of JSON on standard output. Nobody reading it (a closed pipe) is no error.
///
/// # Errors
/// Standard output cannot be written for another reason, such as a full disk.
pub fn print_json_line(value: &impl Serialize) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(value).map_err(std::io::Error::other)?;
    line.push(b'\n');
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(&line).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_balances_only_when_every_record_is_somewhere() {
        let mut account = AccountReport {
            submitted: 10,
            exported: 7,
            dropped: BTreeMap::from([("ring_full".to_owned(), 2)]),
            ..AccountReport::default()
        };
        assert!(!account.balances());
        account.in_flight = 1;
        assert!(account.balances());
    }
}
