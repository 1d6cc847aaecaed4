//! The closing account: what each application submitted beside what the store has of it.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::time::Duration;

use ringlight_app_harness::{AccountReport, Report};
use ringlight_server::ClientStatus;
use ringlight_store::InstanceStored;
use serde::Serialize;
use serde_json::Value;

use super::process::Ended;
use crate::error::CliError;

/// What came of everything the applications submitted.
#[derive(Debug, Serialize)]
pub(super) struct Summary {
    /// Whether every record that was submitted is stored, once.
    pub(super) balanced: bool,
    duration_seconds: f64,
    apps: Vec<AppSummary>,
}

#[derive(Debug, Serialize)]
struct AppSummary {
    service: String,
    instance: String,
    /// Whether the ledger the application sent to the backend is the one it ended with. The
    /// records are accounted for without it.
    reported: bool,
    signals: BTreeMap<String, SignalSummary>,
    work: Value,
}

#[derive(Debug, Serialize)]
struct SignalSummary {
    #[serde(flatten)]
    account: AccountReport,
    stored: u64,
    duplicates: u64,
}

impl SignalSummary {
    /// Whether every record submitted is stored, no more and no less.
    fn is_balanced(&self) -> bool {
        self.account.balances()
            && self.account.submitted == self.account.exported
            && self.account.submitted == self.stored
    }
}

impl Summary {
    /// Compares the applications' reports with the store.
    ///
    /// An application without a report failed, which is the error.
    pub(super) fn new(
        ran: Duration,
        ended: &[Ended],
        stored: &[InstanceStored],
        clients: &[ClientStatus],
    ) -> Result<Self, CliError> {
        let mut apps = Vec::with_capacity(ended.len());
        for app in ended {
            let succeeded = app.status.is_some_and(|status| status.success());
            match &app.report {
                Some(report) if succeeded => {
                    apps.push(AppSummary::new(report, stored, clients));
                }
                _ => return Err(app.error()),
            }
        }
        Ok(Self {
            // An account of nothing at all would prove nothing.
            balanced: apps.iter().all(AppSummary::is_balanced)
                && apps.iter().any(AppSummary::has_submitted),
            duration_seconds: ran.as_secs_f64(),
            apps,
        })
    }

    pub(super) fn print_table(&self) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        match stdout
            .write_all(self.table().as_bytes())
            .and_then(|()| stdout.flush())
        {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other,
        }
    }

    fn table(&self) -> String {
        let mut text = format!(
            "{:<12} {:<8} {:>10} {:>10} {:>10} {:>10} {:>10}\n",
            "application", "signal", "submitted", "exported", "rejected", "dropped", "stored"
        );
        for app in &self.apps {
            for (signal, row) in &app.signals {
                let account = &row.account;
                text.push_str(&format!(
                    "{:<12} {:<8} {:>10} {:>10} {:>10} {:>10} {:>10}{}\n",
                    app.service,
                    signal,
                    account.submitted,
                    account.exported,
                    account.rejected,
                    account.dropped_total(),
                    row.stored,
                    if row.is_balanced() { "" } else { "  (!)" },
                ));
            }
        }
        text.push_str(&format!(
            "{} in {:.1} s\n",
            if self.balanced {
                "everything submitted was stored"
            } else {
                "not everything submitted was stored, see (!)"
            },
            self.duration_seconds
        ));
        text
    }
}

impl AppSummary {
    fn new(report: &Report, stored: &[InstanceStored], clients: &[ClientStatus]) -> Self {
        let counts = stored
            .iter()
            .find(|instance| instance.instance == report.instance)
            .cloned()
            .unwrap_or_default();
        let signals = [
            ("traces", counts.spans, counts.spans_duplicate),
            ("logs", counts.logs, counts.logs_duplicate),
        ];
        Self {
            service: report.service.clone(),
            instance: report.instance.clone(),
            reported: clients
                .iter()
                .any(|client| client.instance == report.instance && agrees(client, report)),
            signals: signals
                .into_iter()
                .map(|(signal, stored, duplicates)| {
                    let account = report.ledger.get(signal).cloned().unwrap_or_default();
                    let row = SignalSummary {
                        account,
                        stored,
                        duplicates,
                    };
                    (signal.to_owned(), row)
                })
                .collect(),
            work: report.work.clone(),
        }
    }

    fn is_balanced(&self) -> bool {
        self.signals.values().all(SignalSummary::is_balanced)
    }

    fn has_submitted(&self) -> bool {
        self.signals.values().any(|row| row.account.submitted > 0)
    }
}

/// Whether the backend was told the same, and that it is final.
fn agrees(client: &ClientStatus, report: &Report) -> bool {
    let same = |signal: &str, account: &AccountReport| {
        client.signals.get(signal).is_some_and(|told| {
            told.submitted == account.submitted
                && told.exported == account.exported
                && told.rejected == account.rejected
                && told.dropped.values().sum::<u64>() == account.dropped_total()
        })
    };
    client.is_final
        && report
            .ledger
            .iter()
            .all(|(signal, account)| same(signal, account))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(submitted: u64, exported: u64, dropped: u64) -> Report {
        let account = AccountReport {
            submitted,
            exported,
            dropped: BTreeMap::from([("ring_full".to_owned(), dropped)]),
            ..AccountReport::default()
        };
        Report {
            service: "streaming".to_owned(),
            instance: "one".to_owned(),
            ledger: BTreeMap::from([("traces".to_owned(), account)]),
            work: Value::Null,
        }
    }

    fn stored(instance: &str, spans: u64) -> InstanceStored {
        InstanceStored {
            instance: instance.to_owned(),
            spans,
            ..InstanceStored::default()
        }
    }

    #[track_caller]
    fn check(report: &Report, stored: &[InstanceStored], expected: bool) {
        assert_eq!(AppSummary::new(report, stored, &[]).is_balanced(), expected);
    }

    #[test]
    fn only_an_account_that_is_stored_to_the_record_balances() {
        check(&report(10, 10, 0), &[stored("one", 10)], true);
        check(&report(10, 10, 0), &[stored("one", 9)], false);
        check(&report(10, 10, 0), &[stored("one", 11)], false);
        check(&report(10, 10, 0), &[stored("two", 10)], false);
        check(&report(10, 9, 1), &[stored("one", 9)], false);
        check(&report(10, 9, 0), &[stored("one", 9)], false);
        check(&report(0, 0, 0), &[], true);
    }

    #[test]
    fn the_table_marks_what_is_missing() {
        let app = AppSummary::new(&report(10, 10, 0), &[stored("one", 9)], &[]);
        let summary = Summary {
            balanced: false,
            duration_seconds: 2.0,
            apps: vec![app],
        };
        let table = summary.table();
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[1].starts_with("streaming    logs "), "{table}");
        assert!(lines[2].ends_with("9  (!)"), "{table}");
        assert_eq!(
            lines[3],
            "not everything submitted was stored, see (!) in 2.0 s"
        );
    }
}
