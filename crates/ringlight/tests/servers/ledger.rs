//! The report of the ledger as a server shows it.

use std::collections::BTreeMap;

use ringlight::Signal;

use crate::sent::Sent;

/// The value of each data point by its attributes.
pub(crate) type Points = BTreeMap<BTreeMap<String, String>, i64>;

/// Checks that a server was told what the client itself says.
#[track_caller]
pub(crate) fn assert_ledger(sent: &Sent, points: &Points) {
    for signal in [Signal::Traces, Signal::Logs] {
        let account = sent.ledger.account(signal);
        for (outcome, records) in [
            ("submitted", account.submitted),
            ("exported", account.exported),
            ("rejected", account.rejected),
            ("in_flight", 0),
        ] {
            let attributes = [("signal", signal.as_str()), ("outcome", outcome)];
            let attributes = attributes.map(|(key, value)| (key.to_owned(), value.to_owned()));
            let point = points.get(&BTreeMap::from(attributes));
            let records = i64::try_from(records).unwrap();
            assert_eq!(point, Some(&records), "{outcome} of {signal:?}: {points:?}");
        }
    }
}
