//! Spans that are still open, as clients say that report them (`ringlight_otlp::open_report`).
//!
//! Kept in memory, within bounds, and gone with the process: a client repeats what is open. The store
//! shows them to searches and forgets each as it is stored; here is what a round says about the client,
//! so that a span in progress is told from one whose process has gone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ringlight_model::{Limits, RecordVisitor, RejectReason, Resource, Scope, Signal, Span};
use ringlight_model::{LogRecord, SpanId, TraceId};
use ringlight_otlp::OtlpDecoder;
use ringlight_otlp::open_report::{self, OpenReport, OpenSpan};

use crate::state::lock;

/// Clients whose open spans are kept. Beyond it the one heard of least recently is forgotten.
pub const OPEN_CLIENTS_MAX: usize = 256;
/// Open spans kept of one client; further ones are refused.
pub const OPEN_SPANS_MAX: usize = 1024;
/// Bytes kept of all open spans. Beyond it clients are forgotten, the one heard of least recently first.
pub const OPEN_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A client that has missed so many rounds is taken to be gone, but not before [`SILENCE_MIN`].
const ROUNDS_MISSED: u32 = 4;
const SILENCE_MIN: Duration = Duration::from_secs(10);
const INTERVAL_MAX: Duration = Duration::from_secs(3600);
/// How long the spans of a client that is gone are kept.
const LOST_KEPT: Duration = Duration::from_secs(3600);

/// What is known of a span that has not arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Its client still says that it is open, or it has just closed and is on its way.
    InProgress,
    /// Its client has ended or fallen silent.
    Lost,
}

/// What became of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Taken {
    pub(crate) spans: u64,
    /// Spans that are not what they say, those of another client, or too many.
    pub(crate) refused: u64,
}

/// The open spans of all clients.
#[derive(Debug, Default)]
pub(crate) struct OpenSpans {
    clients: Mutex<Clients>,
}

#[derive(Debug, Default)]
struct Clients {
    by_sender: HashMap<Arc<str>, Client>,
    /// Who reports a span: the client that was the first to do so, until it is forgotten there.
    sender_of: SenderOf,
    /// Bytes of all spans.
    bytes: usize,
    last_source: u64,
}

type SpanKey = (TraceId, SpanId);
type SenderOf = HashMap<SpanKey, Arc<str>>;

#[derive(Debug)]
struct Client {
    sender: Arc<str>,
    /// What the store knows it by.
    source: u64,
    resource: Vec<u8>,
    round: u64,
    is_final: bool,
    /// After this time without a round it is taken to be gone.
    silence: Duration,
    heard_unix_nano: u64,
    spans: HashMap<SpanKey, Kept>,
    /// Bytes of them.
    spans_bytes: usize,
}

#[derive(Debug)]
struct Kept {
    scope_spans: Vec<u8>,
    /// The last round that had it.
    round: u64,
    heard_unix_nano: u64,
}

impl OpenSpans {
    /// Takes a round, unless a later one of the same client is here. `show` hands the spans of a source
    /// to the store, as a request.
    pub(crate) fn take(
        &self,
        report: &OpenReport<'_>,
        now_unix_nano: u64,
        mut show: impl FnMut(u64, &[u8]),
    ) -> Taken {
        let mut clients = self.clients();
        clients.sweep(now_unix_nano, &mut show);
        clients.take(report, now_unix_nano, &mut show)
    }

    /// Forgets what has been kept for long enough.
    pub(crate) fn sweep(&self, now_unix_nano: u64, mut show: impl FnMut(u64, &[u8])) {
        self.clients().sweep(now_unix_nano, &mut show);
    }

    /// What is known of a span that the store shows as open.
    pub(crate) fn progress(&self, span: SpanKey, now_unix_nano: u64) -> Progress {
        self.clients().progress(span, now_unix_nano)
    }

    /// How many of these spans of a trace, which the store shows as open, are lost.
    pub(crate) fn lost_count(
        &self,
        trace_id: TraceId,
        open_spans: &[SpanId],
        now_unix_nano: u64,
    ) -> u64 {
        if open_spans.is_empty() {
            return 0;
        }
        let clients = self.clients();
        let progress = |span: &SpanId| clients.progress((trace_id, *span), now_unix_nano);
        let lost = open_spans
            .iter()
            .filter(|span| progress(span) == Progress::Lost);
        lost.count() as u64
    }

    fn clients(&self) -> MutexGuard<'_, Clients> {
        lock(&self.clients)
    }
}

impl Clients {
    fn progress(&self, span: SpanKey, now_unix_nano: u64) -> Progress {
        let sender = self.sender_of.get(&span);
        match sender.and_then(|sender| self.by_sender.get(sender)) {
            Some(client) if client.is_gone(now_unix_nano) && client.is_in_round(span) => {
                Progress::Lost
            }
            _ => Progress::InProgress,
        }
    }

    fn take(
        &mut self,
        report: &OpenReport<'_>,
        now_unix_nano: u64,
        show: &mut impl FnMut(u64, &[u8]),
    ) -> Taken {
        let round = &report.round;
        if !self.by_sender.contains_key(&*round.sender) {
            if report.spans.is_empty() {
                return Taken::default();
            }
            self.last_source += 1;
            let sender: Arc<str> = Arc::from(&*round.sender);
            let client = Client::new(Arc::clone(&sender), self.last_source);
            self.by_sender.insert(sender, client);
        }
        let Some(client) = self.by_sender.get_mut(&*round.sender) else {
            return Taken::default();
        };
        if round.number <= client.round {
            return Taken::default();
        }
        let before = client.bytes();
        let taken = client.take(report, &mut self.sender_of, now_unix_nano);
        self.bytes = self.bytes - before + client.bytes();
        show(client.source, &client.request());
        while self.by_sender.len() > OPEN_CLIENTS_MAX || self.bytes > OPEN_BYTES_MAX {
            let known = self.by_sender.iter();
            let Some(oldest) = known.min_by_key(|(_, client)| client.heard_unix_nano) else {
                break;
            };
            let sender = Arc::clone(oldest.0);
            self.forget(&sender, show);
        }
        taken
    }

    fn forget(&mut self, sender: &str, show: &mut impl FnMut(u64, &[u8])) {
        if let Some(client) = self.by_sender.remove(sender) {
            self.bytes -= client.bytes();
            for span in client.spans.keys() {
                self.sender_of.remove(span);
            }
            show(client.source, &[]);
        }
    }

    fn sweep(&mut self, now_unix_nano: u64, show: &mut impl FnMut(u64, &[u8])) {
        let mut forgotten = Vec::new();
        for (sender, client) in &mut self.by_sender {
            let before = client.bytes();
            if client.sweep(&mut self.sender_of, now_unix_nano) {
                show(client.source, &client.request());
                self.bytes = self.bytes - before + client.bytes();
            }
            if client.is_done(now_unix_nano) {
                forgotten.push(Arc::clone(sender));
            }
        }
        for sender in forgotten {
            self.forget(&sender, show);
        }
    }
}

impl Client {
    fn new(sender: Arc<str>, source: u64) -> Self {
        Self {
            sender,
            source,
            resource: Vec::new(),
            round: 0,
            is_final: false,
            silence: SILENCE_MIN,
            heard_unix_nano: 0,
            spans: HashMap::new(),
            spans_bytes: 0,
        }
    }

    fn take(
        &mut self,
        report: &OpenReport<'_>,
        sender_of: &mut SenderOf,
        now_unix_nano: u64,
    ) -> Taken {
        let round = &report.round;
        self.resource = report.resource.to_vec();
        self.round = round.number;
        self.is_final = round.is_final;
        let interval = Duration::from_millis(round.interval_ms).min(INTERVAL_MAX);
        self.silence = (interval * ROUNDS_MISSED).max(SILENCE_MIN);
        self.heard_unix_nano = now_unix_nano;
        let mut taken = Taken {
            // What is looked at is bounded as what is kept is.
            refused: report.spans.len().saturating_sub(OPEN_SPANS_MAX) as u64,
            ..Taken::default()
        };
        for span in report.spans.iter().take(OPEN_SPANS_MAX) {
            let id = (span.trace_id, span.span_id);
            let has_room = self.spans.len() < OPEN_SPANS_MAX || self.spans.contains_key(&id);
            let is_own = sender_of.get(&id).is_none_or(|of| *of == self.sender);
            if !has_room || !is_own || !is_whole(span) {
                taken.refused += 1;
                continue;
            }
            let kept = Kept {
                scope_spans: span.scope_spans.to_vec(),
                round: round.number,
                heard_unix_nano: now_unix_nano,
            };
            self.spans_bytes += kept.scope_spans.len();
            match self.spans.insert(id, kept) {
                Some(before) => self.spans_bytes -= before.scope_spans.len(),
                None => {
                    sender_of.insert(id, Arc::clone(&self.sender));
                }
            }
            taken.spans += 1;
        }
        taken
    }

    const fn bytes(&self) -> usize {
        self.resource.len() + self.spans_bytes
    }

    fn request(&self) -> Vec<u8> {
        let spans = self.spans.values().map(|kept| &*kept.scope_spans);
        open_report::traces_request(&self.resource, spans)
    }

    fn is_in_round(&self, span: SpanKey) -> bool {
        self.spans
            .get(&span)
            .is_some_and(|kept| kept.round == self.round)
    }

    fn is_gone(&self, now_unix_nano: u64) -> bool {
        self.is_final || since(self.heard_unix_nano, now_unix_nano) > self.silence
    }

    /// Forgets spans that have closed since and did not arrive; whether there were any.
    fn sweep(&mut self, sender_of: &mut SenderOf, now_unix_nano: u64) -> bool {
        let before = self.spans.len();
        let (round, silence) = (self.round, self.silence);
        let bytes = &mut self.spans_bytes;
        self.spans.retain(|span, kept| {
            let is_kept =
                kept.round == round || since(kept.heard_unix_nano, now_unix_nano) <= silence;
            if !is_kept {
                *bytes -= kept.scope_spans.len();
                sender_of.remove(span);
            }
            is_kept
        });
        self.spans.len() < before
    }

    /// Whether nothing of it is worth keeping.
    fn is_done(&self, now_unix_nano: u64) -> bool {
        let silent_for = since(self.heard_unix_nano, now_unix_nano);
        // An empty client still knows the number of its last round, should one before it come late.
        silent_for > LOST_KEPT || self.spans.is_empty() && silent_for > self.silence
    }
}

fn since(then_unix_nano: u64, now_unix_nano: u64) -> Duration {
    Duration::from_nanos(now_unix_nano.saturating_sub(then_unix_nano))
}

/// Whether a report holds the span it says, and nothing else.
fn is_whole(span: &OpenSpan<'_>) -> bool {
    // The resource, which may be long, was looked at once with the whole request.
    let request = open_report::traces_request(&[], [&*span.scope_spans]);
    let mut ids = Ids::default();
    let walked = OtlpDecoder::new(Limits::default()).walk(Signal::Traces, &request, &mut ids);
    walked.is_ok() && ids.0 == [(span.trace_id, span.span_id)]
}

#[derive(Default)]
struct Ids(Vec<(TraceId, SpanId)>);

impl RecordVisitor for Ids {
    fn resource(&mut self, _: &Resource<'_>) {}
    fn scope(&mut self, _: &Scope<'_>) {}
    fn span(&mut self, span: &Span<'_>) {
        self.0.push((span.trace_id, span.span_id));
    }
    fn log(&mut self, _: &LogRecord<'_>) {}
    fn rejected(&mut self, _: RejectReason) {}
}

#[cfg(test)]
mod tests;
