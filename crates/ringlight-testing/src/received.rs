//! What the backend has seen.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::successors;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::{Metric, ScopeMetrics};
use opentelemetry_proto::tonic::trace::v1::Span;
use ringlight_model::{LedgerSnapshot, Signal};
use ringlight_otlp::ledger_report;

use crate::{Format, Reply};

/// One request.
#[derive(Debug, Clone)]
pub struct Received {
    /// What it was sent as.
    pub signal: Signal,
    /// How it was written.
    pub format: Format,
    /// How it was compressed: `gzip`, `zstd`, or empty.
    pub compression: String,
    /// Request headers.
    pub headers: http::HeaderMap,
    /// The export request in protobuf, whatever it was written in, without framing and compression.
    pub body: Bytes,
    /// How long the body was on the wire.
    pub wire_bytes: usize,
    /// How it was answered.
    pub reply: Reply,
    /// The number of the connection it came over, from 0.
    pub connection: usize,
    /// The certificate the client showed.
    pub client_certificate: Option<Bytes>,
}

impl Received {
    /// The value of a header, empty where it is missing or not text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
    }

    /// The value of `ringlight-batch-id`.
    #[must_use]
    pub fn batch_id(&self) -> &str {
        self.header("ringlight-batch-id")
    }

    /// The request as traces.
    ///
    /// # Panics
    /// If it does not decode.
    #[must_use]
    pub fn traces(&self) -> ExportTraceServiceRequest {
        assert_eq!(self.signal, Signal::Traces);
        decode(&self.body)
    }

    /// The request as logs.
    ///
    /// # Panics
    /// If it does not decode.
    #[must_use]
    pub fn logs(&self) -> ExportLogsServiceRequest {
        assert_eq!(self.signal, Signal::Logs);
        decode(&self.body)
    }

    /// The request as metrics.
    ///
    /// # Panics
    /// If it does not decode.
    #[must_use]
    pub fn metrics(&self) -> ExportMetricsServiceRequest {
        assert_eq!(self.signal, Signal::Metrics);
        decode(&self.body)
    }

    fn spans(&self) -> Vec<Span> {
        let resources = self.traces().resource_spans.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).collect()
    }

    fn log_records(&self) -> Vec<LogRecord> {
        let resources = self.logs().resource_logs.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_logs);
        scopes.flat_map(|scope| scope.log_records).collect()
    }
}

#[expect(clippy::expect_used, reason = "a test fails by panicking")]
fn decode<M: prost::Message + Default>(body: &Bytes) -> M {
    M::decode(body.clone()).expect("the request decodes as OTLP")
}

/// Every request so far.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// The requests, in the order they were answered.
    pub requests: Vec<Received>,
    /// Requests that are being kept without an answer.
    pub hanging: usize,
    /// Connections accepted so far.
    pub connections: usize,
}

impl Seen {
    /// Requests with data, that is without the client's own reports.
    pub fn data(&self) -> impl Iterator<Item = &Received> {
        self.requests
            .iter()
            .filter(|request| request.signal != Signal::Metrics)
    }

    /// Spans of the requests that were taken. A batch that came twice is taken once.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        self.taken(Signal::Traces)
            .flat_map(Received::spans)
            .collect()
    }

    /// Log records of the requests that were taken. A batch that came twice is taken once.
    #[must_use]
    pub fn log_records(&self) -> Vec<LogRecord> {
        self.taken(Signal::Logs)
            .flat_map(Received::log_records)
            .collect()
    }

    /// What was sent as metrics of the scopes whose names are `wanted`, request by request, however it was answered.
    #[must_use]
    pub fn scopes(&self, wanted: impl Fn(&str) -> bool) -> Vec<ScopeMetrics> {
        let of_metrics = |request: &&Received| request.signal == Signal::Metrics;
        let requests = self.requests.iter().filter(of_metrics);
        let resources = requests.flat_map(|request| request.metrics().resource_metrics);
        let scopes = resources.flat_map(|resource| resource.scope_metrics);
        let is_wanted = |scope: &ScopeMetrics| {
            let name = scope.scope.as_ref().map(|scope| scope.name.as_str());
            wanted(name.unwrap_or_default())
        };
        scopes.filter(is_wanted).collect()
    }

    /// The metrics of those [scopes](Self::scopes).
    #[must_use]
    pub fn metrics(&self, wanted: impl Fn(&str) -> bool) -> Vec<Metric> {
        let scopes = self.scopes(wanted).into_iter();
        scopes.flat_map(|scope| scope.metrics).collect()
    }

    /// How many spans there are of each name, in the requests that were taken.
    #[must_use]
    pub fn span_names(&self) -> BTreeMap<String, usize> {
        let mut names = BTreeMap::new();
        for span in self.spans() {
            *names.entry(span.name).or_default() += 1;
        }
        names
    }

    /// Compares the ledger of a client that has ended with what arrived: it balances, nothing is on
    /// its way any more, and what it counts as exported is here, to the record.
    ///
    /// # Panics
    /// If they differ.
    #[track_caller]
    pub fn assert_agrees_with(&self, ledger: &LedgerSnapshot) {
        assert!(ledger.balances(), "{ledger:?}");
        let arrived = [
            (Signal::Traces, self.spans().len()),
            (Signal::Logs, self.log_records().len()),
        ];
        for (signal, arrived) in arrived {
            let account = ledger.account(signal);
            assert_eq!(account.in_flight, 0, "{signal}: {account:?}");
            assert_eq!(account.exported, arrived as u64, "{signal}: {account:?}");
        }
    }

    /// The ledger of a client's last report, with which it says that it ends.
    ///
    /// # Panics
    /// If there is none, or more than one client.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test fails by panicking")]
    pub fn final_ledger(&self) -> LedgerSnapshot {
        let of = |request: &Received| {
            ledger_report::read(&request.body).expect("a report decodes as metrics")
        };
        let mut last = self
            .requests
            .iter()
            .filter(|request| request.signal == Signal::Metrics)
            .flat_map(of)
            .filter(|report| report.is_final);
        let report = last.next().expect("there is a last report");
        assert!(last.next().is_none(), "there are two last reports");
        report.ledger
    }

    fn taken(&self, signal: Signal) -> impl Iterator<Item = &Received> {
        let mut known = BTreeSet::new();
        self.requests.iter().filter(move |request| {
            let id = request.batch_id();
            request.signal == signal
                && request.reply.takes()
                && (id.is_empty() || known.insert(id.to_owned()))
        })
    }
}

/// The batches that the one of this id is a half of, or a half of a half, the smallest first: what is refused as a whole is
/// tried in halves, and those of `p-7` are `p.1-7` and `p.2-7`.
pub fn wholes(batch_id: &str) -> impl Iterator<Item = String> {
    let (process, number) = batch_id.rsplit_once('-').unwrap_or((batch_id, ""));
    let wholes = successors(process.rsplit_once('.'), |(whole, _)| {
        whole.rsplit_once('.')
    });
    wholes.map(move |(whole, _)| format!("{whole}-{number}"))
}
