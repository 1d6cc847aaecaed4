//! Whether the ledger says what the backend saw.

use std::collections::{BTreeMap, HashMap};

use ringlight::{DropReason, LedgerSnapshot, Signal};
use ringlight_testing::{Received, Seen, wholes};

use crate::mood::Fate;
use crate::plan::{Ending, Plan};
use crate::work::Made;

/// What the backend saw of one signal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    exported: u64,
    rejected: u64,
    /// In batches whose last answer left it open, or may not have been heard.
    open: u64,
}

/// Compares, and says in a few lines what there was.
///
/// # Errors
/// What does not agree.
pub(crate) fn compare(
    plan: &Plan,
    seen: &Seen,
    ledger: &LedgerSnapshot,
    made: Made,
) -> Result<String, String> {
    let mut told = String::new();
    for (signal, made) in [(Signal::Traces, made.spans), (Signal::Logs, made.logs)] {
        let account = ledger.account(signal);
        let tally = tally(seen, signal)?;
        let context = format!("{signal}: {account:?}, the backend saw {tally:?}, made were {made}");
        let require = |is: bool, what: &str| match is {
            true => Ok(()),
            false => Err(format!("{what}; {context}")),
        };
        require(account.balances(), "the ledger does not balance")?;
        require(account.in_flight == 0, "something is in flight for ever")?;
        require(
            !plan.is_steady || account.submitted == made,
            "not as many were submitted as were made",
        )?;
        require(account.submitted <= made, "more were submitted than made")?;
        let malformed = account.dropped[DropReason::Malformed];
        require(malformed == 0, "a record is malformed")?;
        match plan.ending {
            Ending::Orderly => {
                let seen = (tally.exported, tally.rejected, tally.open);
                let booked = (account.exported, account.rejected, 0);
                require(seen == booked, "the backend saw something else")?;
                let left = account.dropped[DropReason::Shutdown];
                require(left == 0, "something was left behind")?;
            }
            // Answers of the last moment are not heard.
            Ending::Abrupt => require(
                account.exported + account.rejected <= tally.exported + tally.rejected + tally.open,
                "more was delivered than the backend saw",
            )?,
        }
        told += &line(signal, ledger);
    }
    if plan.ending == Ending::Orderly && seen.final_ledger() != *ledger {
        return Err(format!(
            "the last report says {:?}, the ledger {ledger:?}",
            seen.final_ledger()
        ));
    }
    told += &format!("  negative durations: {}", ledger.negative_durations());
    Ok(told)
}

fn line(signal: Signal, ledger: &LedgerSnapshot) -> String {
    let account = ledger.account(signal);
    let mut line = format!(
        "  {signal}: {} submitted, {} exported, {} rejected",
        account.submitted, account.exported, account.rejected
    );
    for reason in DropReason::ALL {
        let count = account.dropped[reason];
        if count > 0 {
            line += &format!(", {count} {}", reason.as_str());
        }
    }
    line + "\n"
}

/// Adds up the batches by the last answer each of them had: had it not been heard, there would have
/// been another attempt. Of a batch that went on in parts, the parts count, and what was not sent in one is open.
fn tally(seen: &Seen, signal: Signal) -> Result<Tally, String> {
    let mut batches: BTreeMap<&str, &Received> = BTreeMap::new();
    for request in seen.data().filter(|request| request.signal == signal) {
        if let Some(earlier) = batches.insert(request.batch_id(), request)
            && earlier.body != request.body
        {
            return Err(format!("batch {} has changed", request.batch_id()));
        }
    }
    let mut tally = Tally::default();
    let mut spans = Spans::default();
    let mut records_of: HashMap<&str, u64> = HashMap::new();
    for (&id, request) in &batches {
        let records = match signal {
            Signal::Traces => spans.add(request)?,
            _ => logs(request),
        };
        records_of.insert(id, records);
    }
    let mut in_parts: HashMap<String, u64> = HashMap::new();
    for (&id, records) in &records_of {
        if let Some(whole) = wholes(id).find(|whole| records_of.contains_key(whole.as_str())) {
            *in_parts.entry(whole).or_default() += records;
        }
    }
    for (&id, request) in &batches {
        let records = records_of[id];
        if let Some(in_parts) = in_parts.get(id) {
            let left = records.checked_sub(*in_parts);
            tally.open += left.ok_or_else(|| format!("batch {id} has less than its parts"))?;
            continue;
        }
        match Fate::of(&request.reply) {
            Fate::Taken { rejected } => {
                let rejected = rejected.min(records);
                tally.rejected += rejected;
                tally.exported += records - rejected;
            }
            Fate::Refused => tally.rejected += records,
            Fate::Open => tally.open += records,
        }
    }
    spans.check()?;
    Ok(tally)
}

fn logs(request: &Received) -> u64 {
    let resources = request.logs().resource_logs.into_iter();
    let scopes = resources.flat_map(|resource| resource.scope_logs);
    scopes.map(|scope| scope.log_records.len() as u64).sum()
}

/// Every span in any batch.
#[derive(Default)]
struct Spans {
    trace_of: HashMap<Vec<u8>, Vec<u8>>,
    /// The batch it was last seen in.
    batch_of: HashMap<Vec<u8>, String>,
    parents: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Spans {
    /// Adds those of a batch; how many they are.
    fn add(&mut self, request: &Received) -> Result<u64, String> {
        let mut count = 0;
        let resources = request.traces().resource_spans.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        for span in scopes.flat_map(|scope| scope.spans) {
            count += 1;
            if span.end_time_unix_nano < span.start_time_unix_nano {
                return Err(format!("`{}` ends before it begins", span.name));
            }
            if !span.parent_span_id.is_empty() {
                self.parents
                    .push((span.parent_span_id, span.trace_id.clone()));
            }
            let id = request.batch_id();
            let before = self.batch_of.insert(span.span_id.clone(), id.to_owned());
            let is_part = |id: &str, of: &str| wholes(id).any(|whole| whole == of);
            if before.is_some_and(|other| !is_part(id, &other) && !is_part(&other, id)) {
                return Err(format!("`{}` was delivered in two batches", span.name));
            }
            self.trace_of.insert(span.span_id, span.trace_id);
        }
        Ok(count)
    }

    /// Whether parents and children are of one trace. A parent may have been dropped.
    fn check(&self) -> Result<(), String> {
        let strays = self.parents.iter().filter(|(parent, trace)| {
            let of_parent = self.trace_of.get(parent);
            of_parent.is_some_and(|of_parent| of_parent != trace)
        });
        match strays.count() {
            0 => Ok(()),
            count => Err(format!(
                "{count} spans are in another trace than their parent"
            )),
        }
    }
}
