//! The closing account: what each application submitted beside what the store has of it.

use std::collections::BTreeMap;
use std::time::Duration;

use ringlight::DropReason;
use ringlight_app_harness::{AccountReport, Report};
use ringlight_server::ClientStatus;
use ringlight_store::InstanceStored;
use serde::Serialize;
use serde_json::Value;

use super::process::Ended;
use crate::error::{CliError, Exit};
use crate::table::{Column, Table};

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

    /// Where the records are that are not stored: how many, and what became of them.
    fn losses(&self) -> Vec<String> {
        let account = &self.account;
        let dropped = account
            .dropped
            .iter()
            .map(|(reason, count)| (*count, format!("dropped ({reason})")));
        let others = [
            (account.rejected, "refused by the backend"),
            (account.in_flight + account.spooled, "not delivered"),
            (
                account.exported.saturating_sub(self.stored),
                "acknowledged and not stored",
            ),
            (
                self.stored.saturating_sub(account.exported),
                "stored and not acknowledged",
            ),
        ];
        let others = others.map(|(count, what)| (count, what.to_owned()));
        let mut losses: Vec<String> = dropped
            .chain(others)
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if losses.is_empty() {
            losses.push("an account that does not add up".to_owned());
        }
        losses
    }
}

/// What to do about records that are missing: what their accounts have in common.
fn hint(accounts: &[&AccountReport]) -> &'static str {
    let dropped = |reasons: &[DropReason]| {
        accounts.iter().any(|account| {
            reasons
                .iter()
                .any(|reason| account.dropped.contains_key(reason.as_str()))
        })
    };
    if dropped(&[DropReason::RingFull, DropReason::QueueFull]) {
        "the backend did not keep up: a lower `--rate` helps, or a machine with less other work"
    } else if dropped(&[DropReason::Closed, DropReason::Malformed]) {
        "this is a defect of Ringlight: please report it with what `--verbose` shows"
    } else if dropped(&[DropReason::RetriesExhausted, DropReason::Shutdown]) {
        "the backend did not take them in time: look for room on the disk of `--data-dir`"
    } else if accounts.iter().any(|account| account.rejected > 0) {
        "run it again without `--duration`: the Health page tells what is refused and why"
    } else {
        "this is a defect of Ringlight: please report it with this account"
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

    /// What is not stored, why, and what to do about it; `None` when everything is.
    pub(super) fn shortfall(&self) -> Option<CliError> {
        if self.balanced {
            return None;
        }
        let rows = || {
            self.apps.iter().flat_map(|app| {
                app.signals
                    .iter()
                    .filter(|(_, row)| !row.is_balanced())
                    .map(|(signal, row)| (app.service.as_str(), signal.as_str(), row))
            })
        };
        let losses: Vec<String> = rows()
            .map(|(service, signal, row)| {
                let noun = match signal {
                    "logs" => "log records",
                    "metrics" => "data points",
                    _ => "spans",
                };
                format!(
                    "`{service}`: {} of {} {noun}",
                    row.losses().join(", "),
                    row.account.submitted
                )
            })
            .collect();
        if losses.is_empty() {
            return Some(
                CliError::new(Exit::Failure, "the applications submitted nothing")
                    .with_hint("let them run for a few seconds"),
            );
        }
        let accounts: Vec<&AccountReport> = rows().map(|(_, _, row)| &row.account).collect();
        Some(
            CliError::new(
                Exit::Failure,
                format!(
                    "not everything the applications submitted was stored; {}",
                    losses.join("; ")
                ),
            )
            .with_hint(hint(&accounts)),
        )
    }

    /// For people, in a window of so many characters.
    pub(super) fn as_text(&self, window: Option<usize>) -> String {
        let mut table = Table::new([
            ("application", Column::Text),
            ("signal", Column::Text),
            ("submitted", Column::Number),
            ("exported", Column::Number),
            ("rejected", Column::Number),
            ("dropped", Column::Number),
            ("stored", Column::Number),
            ("", Column::Text),
        ]);
        for app in &self.apps {
            for (signal, row) in &app.signals {
                let account = &row.account;
                table.row([
                    app.service.clone(),
                    signal.clone(),
                    account.submitted.to_string(),
                    account.exported.to_string(),
                    account.rejected.to_string(),
                    account.dropped_total().to_string(),
                    row.stored.to_string(),
                    if row.is_balanced() { "" } else { "(!)" }.to_owned(),
                ]);
            }
        }
        table.text(&format!(
            "ran for {:.1} s: {}",
            self.duration_seconds,
            if self.balanced {
                "everything submitted was stored"
            } else {
                "not everything submitted was stored, see (!)"
            }
        ));
        table.render(window)
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
            ("metrics", counts.points, counts.points_duplicate),
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
            dropped: (dropped > 0)
                .then(|| ("ring_full".to_owned(), dropped))
                .into_iter()
                .collect(),
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

    #[track_caller]
    fn check_shortfall(report: &Report, spans: u64, message: &str, hint: &str) {
        let app = AppSummary::new(report, &[stored("one", spans)], &[]);
        let summary = Summary {
            balanced: false,
            duration_seconds: 2.0,
            apps: vec![app],
        };
        let error = summary.shortfall().unwrap();
        assert_eq!(
            error
                .message
                .strip_prefix("not everything the applications submitted was stored; "),
            Some(message)
        );
        let given = error.hint.unwrap();
        assert!(given.contains(hint), "{given}");
    }

    #[test]
    fn what_is_missing_is_told_with_its_application_count_and_reason() {
        check_shortfall(
            &report(10, 8, 2),
            8,
            "`streaming`: 2 dropped (ring_full) of 10 spans",
            "lower `--rate`",
        );
        check_shortfall(
            &report(10, 10, 0),
            9,
            "`streaming`: 1 acknowledged and not stored of 10 spans",
            "report it",
        );
        let mut refused = report(10, 7, 1);
        let account = refused.ledger.get_mut("traces").unwrap();
        account.dropped = BTreeMap::from([("shutdown".to_owned(), 1)]);
        account.rejected = 2;
        check_shortfall(
            &refused,
            7,
            "`streaming`: 1 dropped (shutdown), 2 refused by the backend of 10 spans",
            "room on the disk",
        );
    }

    #[test]
    fn nothing_submitted_is_told_as_such() {
        let summary = Summary {
            balanced: false,
            duration_seconds: 0.0,
            apps: vec![AppSummary::new(&report(0, 0, 0), &[], &[])],
        };
        let error = summary.shortfall().unwrap();
        assert_eq!(error.message, "the applications submitted nothing");
    }

    #[test]
    fn the_table_marks_what_is_missing() {
        let app = AppSummary::new(&report(10, 10, 0), &[stored("one", 9)], &[]);
        let summary = Summary {
            balanced: false,
            duration_seconds: 2.0,
            apps: vec![app],
        };
        let table = summary.as_text(None);
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[1].starts_with("streaming    logs "), "{table}");
        assert!(lines[2].starts_with("streaming    metrics "), "{table}");
        assert!(lines[3].ends_with("9  (!)"), "{table}");
        assert_eq!(
            lines[4],
            "ran for 2.0 s: not everything submitted was stored, see (!)"
        );
    }
}
