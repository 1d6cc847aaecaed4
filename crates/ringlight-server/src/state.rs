//! What the server knows about its own work: counters, refused requests, and the ledgers clients
//! report. Written by the receivers, read by the API.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ringlight_model::{RejectReason, Signal};
use ringlight_otlp::ledger_report::LedgerReport;
use ringlight_store::now_unix_nano;

use crate::open_spans::OpenSpans;

/// Refusals kept for the API; older ones are only counted.
pub const REFUSALS_KEPT: usize = 100;

/// Clients whose last ledger is kept. Beyond it the one heard of least recently is forgotten.
pub const CLIENTS_KEPT: usize = 256;

/// Characters kept of the detail of a refusal, which may quote what a stranger sent.
const DETAIL_CHARS_MAX: usize = 300;

/// The listener a request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Listener {
    /// OTLP over gRPC.
    Grpc,
    /// OTLP over HTTP.
    Http,
    /// The UI and its API.
    Ui,
}

impl Listener {
    /// The name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => "otlp_grpc",
            Self::Http => "otlp_http",
            Self::Ui => "ui",
        }
    }
}

/// Why a whole request, or a connection, was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum RefusalReason {
    /// No such path or gRPC method.
    UnknownPath,
    /// Another HTTP method than POST.
    Method,
    /// A content type that is not taken.
    ContentType,
    /// A content encoding other than gzip and zstd, or several of them.
    Encoding,
    /// Larger than the limit after decompression.
    TooLarge,
    /// It does not decompress or does not decode.
    Undecodable,
    /// The connection ended before the request did.
    Incomplete,
    /// It took too long to arrive.
    Slow,
    /// More arrives than can be stored.
    Overloaded,
    /// The disk is full.
    DiskFull,
    /// Writing failed, or the store is closed.
    StoreFailed,
    /// Another protocol than the port speaks: HTTP at the gRPC port, or gRPC at the HTTP port.
    WrongProtocol,
    /// A TLS handshake at a port that speaks plain text.
    Tls,
    /// Too many connections are open.
    Connections,
    /// The UI's port was asked under a name that is not this machine's.
    ForeignHost,
    /// A page of another site asked the UI's port.
    ForeignOrigin,
}

impl RefusalReason {
    /// All reasons.
    pub const ALL: [Self; 16] = [
        Self::UnknownPath,
        Self::Method,
        Self::ContentType,
        Self::Encoding,
        Self::TooLarge,
        Self::Undecodable,
        Self::Incomplete,
        Self::Slow,
        Self::Overloaded,
        Self::DiskFull,
        Self::StoreFailed,
        Self::WrongProtocol,
        Self::Tls,
        Self::Connections,
        Self::ForeignHost,
        Self::ForeignOrigin,
    ];

    /// The name in counters and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownPath => "unknown_path",
            Self::Method => "method",
            Self::ContentType => "content_type",
            Self::Encoding => "encoding",
            Self::TooLarge => "too_large",
            Self::Undecodable => "undecodable",
            Self::Incomplete => "incomplete",
            Self::Slow => "slow",
            Self::Overloaded => "overloaded",
            Self::DiskFull => "disk_full",
            Self::StoreFailed => "store_failed",
            Self::WrongProtocol => "wrong_protocol",
            Self::Tls => "tls",
            Self::Connections => "too_many_connections",
            Self::ForeignHost => "foreign_host",
            Self::ForeignOrigin => "foreign_origin",
        }
    }
}

/// A request that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// When, Unix nanoseconds.
    pub time_unix_nano: u64,
    /// Where it came to.
    pub listener: Listener,
    /// Who sent it.
    pub peer: SocketAddr,
    /// Why.
    pub reason: RefusalReason,
    /// What exactly, and what to do about it.
    pub detail: String,
}

/// The counts of one signal since the server started.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SignalCounts {
    /// Requests that reached an endpoint of the signal.
    pub requests: u64,
    /// Bytes of their bodies as they came, compressed or not.
    pub bytes_received: u64,
    /// Records accepted: the sender may consider them delivered.
    pub accepted: u64,
    /// Records stored.
    pub stored: u64,
    /// Records that had been stored before.
    pub duplicates: u64,
    /// Records accepted of a signal that is not stored: profiles.
    pub not_stored: u64,
    /// Metric points accepted as the report of a client's ledger, and used as such.
    pub ledger_points: u64,
    /// Log records accepted as the report of a span that is still open, and used as such.
    pub open_spans: u64,
    /// Records refused, by reason.
    pub rejected: BTreeMap<RejectReason, u64>,
    /// Spans that ended before they started, stored with a duration of zero.
    pub negative_durations: u64,
    /// Texts that were not UTF-8, stored with U+FFFD in place of the bad bytes.
    pub repaired_texts: u64,
}

/// One client and the account it last gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Client {
    /// When its last report came, Unix nanoseconds.
    pub last_report_unix_nano: u64,
    /// The report.
    pub report: LedgerReport,
}

/// What became of the records of one request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Taken {
    pub(crate) accepted: u64,
    pub(crate) stored: u64,
    pub(crate) duplicates: u64,
    pub(crate) not_stored: u64,
    pub(crate) ledger_points: u64,
    pub(crate) open_spans: u64,
    pub(crate) rejected: Vec<(RejectReason, u64)>,
    pub(crate) negative_durations: u64,
    pub(crate) repaired_texts: u64,
}

#[derive(Debug, Default)]
struct Refusals {
    by_reason: BTreeMap<RefusalReason, u64>,
    /// Newest first, at most [`REFUSALS_KEPT`].
    recent: VecDeque<Refusal>,
}

/// Counters, refusals and client ledgers of one server. Bounded in memory.
///
/// What became of the records of a request is counted at once: `accepted` is the sum of `stored`,
/// `duplicates`, `not_stored`, `ledger_points` and `open_spans` whenever the counts of a signal are read.
#[derive(Debug, Default)]
pub struct ServerState {
    signals: [Mutex<SignalCounts>; Signal::ALL.len()],
    refusals: Mutex<Refusals>,
    /// By service and instance, at most [`CLIENTS_KEPT`].
    clients: Mutex<HashMap<(String, String), Client>>,
    /// What clients say is still open.
    pub(crate) open_spans: OpenSpans,
}

impl ServerState {
    /// A state of zeros.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The counts of a signal.
    #[must_use]
    pub fn signal(&self, signal: Signal) -> SignalCounts {
        lock(&self.signals[signal as usize]).clone()
    }

    /// Refused requests by reason.
    #[must_use]
    pub fn refused(&self) -> BTreeMap<RefusalReason, u64> {
        lock(&self.refusals).by_reason.clone()
    }

    /// The last refused requests, newest first.
    #[must_use]
    pub fn recent_refusals(&self) -> Vec<Refusal> {
        lock(&self.refusals).recent.iter().cloned().collect()
    }

    /// The clients that reported a ledger, the last to report first.
    #[must_use]
    pub fn clients(&self) -> Vec<Client> {
        let mut clients: Vec<_> = lock(&self.clients).values().cloned().collect();
        clients.sort_by_key(|client| std::cmp::Reverse(client.last_report_unix_nano));
        clients
    }

    /// Counts and keeps a refused request.
    pub fn refuse(
        &self,
        listener: Listener,
        peer: SocketAddr,
        reason: RefusalReason,
        detail: &str,
    ) {
        let refusal = Refusal {
            time_unix_nano: now_unix_nano(),
            listener,
            peer,
            reason,
            detail: detail.chars().take(DETAIL_CHARS_MAX).collect(),
        };
        let mut refusals = lock(&self.refusals);
        *refusals.by_reason.entry(reason).or_default() += 1;
        refusals.recent.truncate(REFUSALS_KEPT - 1);
        refusals.recent.push_front(refusal);
    }

    pub(crate) fn count_request(&self, signal: Signal, bytes: u64) {
        let mut counts = lock(&self.signals[signal as usize]);
        counts.requests += 1;
        counts.bytes_received += bytes;
    }

    pub(crate) fn count_taken(&self, signal: Signal, taken: &Taken) {
        let mut counts = lock(&self.signals[signal as usize]);
        counts.accepted += taken.accepted;
        counts.stored += taken.stored;
        counts.duplicates += taken.duplicates;
        counts.not_stored += taken.not_stored;
        counts.ledger_points += taken.ledger_points;
        counts.open_spans += taken.open_spans;
        counts.negative_durations += taken.negative_durations;
        counts.repaired_texts += taken.repaired_texts;
        for (reason, count) in &taken.rejected {
            *counts.rejected.entry(*reason).or_default() += count;
        }
    }

    /// Takes a client's ledger, unless one that is further on is here already: reports may overtake
    /// each other. The client's clock says nothing about that, since it may be set back.
    pub(crate) fn report(&self, report: LedgerReport) {
        let key = (report.service.clone(), report.instance.clone());
        let client = Client {
            last_report_unix_nano: now_unix_nano(),
            report,
        };
        let mut clients = lock(&self.clients);
        if clients
            .get(&key)
            .is_some_and(|known| progress(&known.report) > progress(&client.report))
        {
            return;
        }
        if clients.len() >= CLIENTS_KEPT && !clients.contains_key(&key) {
            let oldest = clients
                .iter()
                .min_by_key(|(_, client)| client.last_report_unix_nano)
                .map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                clients.remove(&oldest);
            }
        }
        clients.insert(key, client);
    }
}

/// How far a client's ledger has come: nothing in it ever shrinks but what is in flight or spooled,
/// and nothing follows the last report.
fn progress(report: &LedgerReport) -> (bool, u64) {
    let settled = |signal| {
        let account = report.ledger.account(signal);
        [
            account.submitted,
            account.exported,
            account.rejected,
            account.dropped_total(),
        ]
        .into_iter()
        .fold(0, u64::saturating_add)
    };
    let sum = Signal::ALL.into_iter().map(settled);
    (report.is_final, sum.fold(0, u64::saturating_add))
}

/// Nothing is left half-done under these locks, so a poisoned one is as good as another.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use ringlight_model::LedgerSnapshot;

    use super::*;

    fn report(instance: &str, submitted: u64, is_final: bool) -> LedgerReport {
        let mut ledger = LedgerSnapshot::default();
        ledger.account_mut(Signal::Traces).submitted = submitted;
        LedgerReport {
            service: "shop".to_owned(),
            instance: instance.to_owned(),
            start_unix_nano: 1,
            time_unix_nano: 1,
            is_final,
            ledger,
            threads: Vec::new(),
            ring_bytes: 0,
            cost: None,
            delivery: None,
            points: 1,
        }
    }

    #[test]
    fn refusals_are_counted_without_bound_and_kept_within_one() {
        let state = ServerState::new();
        let peer: SocketAddr = ([127, 0, 0, 1], 9).into();
        for index in 0..150 {
            let detail = format!("{index} {}", "é".repeat(1000));
            state.refuse(Listener::Http, peer, RefusalReason::Method, &detail);
        }
        assert_eq!(state.refused(), [(RefusalReason::Method, 150)].into());
        let recent = state.recent_refusals();
        assert_eq!(recent.len(), REFUSALS_KEPT);
        assert!(recent[0].detail.starts_with("149 "));
        assert_eq!(recent[0].detail.chars().count(), DETAIL_CHARS_MAX);
    }

    #[test]
    fn the_ledger_that_is_furthest_on_wins_and_clients_are_bounded() {
        let state = ServerState::new();
        let submitted = |state: &ServerState| {
            let client = state.clients().remove(0);
            client.report.ledger.account(Signal::Traces).submitted
        };
        state.report(report("a", 2, false));
        state.report(report("a", 1, false));
        assert_eq!((state.clients().len(), submitted(&state)), (1, 2));
        // The clock went back, the counts did not.
        let mut later = report("a", 3, true);
        later.time_unix_nano = 0;
        state.report(later);
        state.report(report("a", 3, false));
        assert!(state.clients()[0].report.is_final);
        assert_eq!(submitted(&state), 3);
        for index in 0..2 * CLIENTS_KEPT {
            state.report(report(&index.to_string(), 1, false));
        }
        assert_eq!(state.clients().len(), CLIENTS_KEPT);
    }
}
