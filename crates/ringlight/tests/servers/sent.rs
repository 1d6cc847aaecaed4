//! What is recorded, sent, and then looked for.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry::trace::{
    Link, Span as _, SpanContext, SpanKind, Status, TraceContextExt as _, TraceFlags,
    TracerProvider as _,
};
use opentelemetry::{Array, Context, KeyValue, SpanId, StringValue, TraceId, Value};
use ringlight::collector::{Notice, Notices, RetryConfig};
use ringlight::metrics::{Aggregation, Stream};
use ringlight::otel::TracerProvider;
use ringlight::{Compression, LedgerSnapshot, LogFormat, Protocol, Signal};
use tracing::{Dispatch, debug, error, info, info_span, trace, warn};

/// Longest wait for telemetry to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A text that an encoder or a database may get wrong.
pub(crate) const TEXT: &str = "café ☕ \"quoted\" \\ \u{1b}[31m\t</script>";

/// One way to send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    pub(crate) protocol: Protocol,
    pub(crate) compression: Compression,
}

impl Way {
    /// Every protocol with every one of the given compressions.
    pub(crate) fn all(compressions: &[Compression]) -> Vec<Self> {
        let protocols = [Protocol::Grpc, Protocol::HttpProtobuf, Protocol::HttpJson];
        let ways = protocols.into_iter().flat_map(|protocol| {
            compressions.iter().map(move |&compression| Self {
                protocol,
                compression,
            })
        });
        ways.collect()
    }

    /// Who is sending, by the name of its service.
    pub(crate) fn service(self) -> String {
        format!("shop {:?} {:?}", self.protocol, self.compression)
    }
}

/// Where a server listens.
#[derive(Debug, Clone)]
pub(crate) struct Endpoints {
    pub(crate) grpc: String,
    pub(crate) http: String,
}

/// A span as it was recorded.
#[derive(Debug)]
pub(crate) struct Span {
    pub(crate) name: &'static str,
    pub(crate) kind: SpanKind,
    pub(crate) span_id: SpanId,
    /// Invalid for a root.
    pub(crate) parent: SpanId,
    pub(crate) status: Status,
    pub(crate) attributes: Vec<KeyValue>,
    pub(crate) events: Vec<(&'static str, Vec<KeyValue>)>,
    pub(crate) links: Vec<SpanContext>,
}

/// A log record as it was recorded.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) body: &'static str,
    pub(crate) severity: &'static str,
    /// Of the span it belongs to; invalid without one.
    pub(crate) span_id: SpanId,
    pub(crate) attributes: Vec<KeyValue>,
}

/// All that was recorded, and what the client says became of it.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) protocol: Protocol,
    pub(crate) service: String,
    pub(crate) trace_id: TraceId,
    pub(crate) spans: Vec<Span>,
    pub(crate) logs: Vec<Log>,
    pub(crate) ledger: LedgerSnapshot,
    pub(crate) notices: Vec<String>,
}

impl Sent {
    /// Records and sends it all, and ends.
    pub(crate) fn by(way: Way, endpoints: &Endpoints) -> Self {
        Self::with(way, endpoints, &[])
    }

    /// Sends the spans alone. Of what a destination refuses only the first is told, and which signal
    /// that is, is for the network to say.
    pub(crate) fn spans_by(way: Way, endpoints: &Endpoints) -> Self {
        Self::with(way, endpoints, &[("OTEL_LOGS_EXPORTER", "none")])
    }

    fn with(way: Way, endpoints: &Endpoints, environment: &[(&str, &str)]) -> Self {
        let service = way.service();
        let notices = Arc::new(Mutex::new(Vec::new()));
        let said = Arc::clone(&notices);
        let endpoint = match way.protocol {
            Protocol::Grpc => &endpoints.grpc,
            _ => &endpoints.http,
        };
        let (dispatch, telemetry) = ringlight::builder()
            .environment([&[("RUST_LOG", "trace")], environment].concat())
            .service_name(&service)
            .resource_attribute("shop.text", TEXT)
            .otlp_endpoint(endpoint)
            .otlp_protocol(way.protocol)
            .otlp_compression(way.compression)
            .log_format(LogFormat::Off)
            // What the process uses is none of the test's business.
            .metric_view(|_| {
                Stream::builder()
                    .with_aggregation(Aggregation::Drop)
                    .build()
                    .ok()
            })
            .pipeline(move |config| {
                config.retry = RetryConfig {
                    delay_first: Duration::from_millis(10),
                    ..config.retry
                };
                config.notices = Notices::new(move |notice: &Notice| {
                    // That nobody counts allocations is of no interest here.
                    if !matches!(notice, Notice::Recording { .. }) {
                        said.lock().unwrap().push(notice.to_string());
                    }
                });
            })
            .build()
            .unwrap();
        let (trace_id, spans, logs) = record(&dispatch);
        let ledger = telemetry.shutdown(PATIENCE);
        let notices = std::mem::take(&mut *notices.lock().unwrap());
        Self {
            protocol: way.protocol,
            service,
            trace_id,
            spans,
            logs,
            ledger,
            notices,
        }
    }

    /// Checks that the client believes that all of it arrived, and had nothing to complain of.
    #[track_caller]
    pub(crate) fn assert_taken(&self) {
        assert_eq!(self.notices, [""; 0], "{}", self.service);
        for (signal, count) in [
            (Signal::Traces, self.spans.len()),
            (Signal::Logs, self.logs.len()),
        ] {
            let account = self.ledger.account(signal);
            assert_eq!(account.submitted, count as u64, "{}", self.service);
            assert_eq!(account.exported, count as u64, "{}", self.service);
        }
        assert!(self.ledger.balances(), "{:?}", self.ledger);
    }

    /// Checks that nothing was taken, that the client knows that, and that it was said with the server's reason.
    #[track_caller]
    pub(crate) fn assert_refused(&self, reason: &str) {
        self.assert_rejected(Signal::Traces);
        self.assert_rejected(Signal::Logs);
        self.assert_said(reason);
    }

    /// Checks that of one signal nothing was taken, and that the client knows that.
    #[track_caller]
    pub(crate) fn assert_rejected(&self, signal: Signal) {
        let account = self.ledger.account(signal);
        assert!(account.submitted > 0, "{}", self.service);
        assert_eq!(account.rejected, account.submitted, "{}", self.service);
        assert!(self.ledger.balances(), "{:?}", self.ledger);
    }

    /// Checks that a person was told with the server's reason, and of nothing else: at once, and at the end how many they
    /// were if there were more.
    #[track_caller]
    pub(crate) fn assert_said(&self, reason: &str) {
        assert!(
            matches!(self.notices.len(), 1 | 2)
                && self.notices.iter().all(|notice| notice.contains(reason)),
            "{}: {:?}",
            self.service,
            self.notices
        );
    }
}

fn current() -> SpanContext {
    Context::map_current(|context| context.span().span_context().clone())
}

fn strings(values: [&'static str; 2]) -> Value {
    Value::Array(Array::String(values.map(StringValue::from).into()))
}

/// One of each kind of value that the OpenTelemetry API has.
fn arrays() -> Vec<KeyValue> {
    vec![
        KeyValue::new("strings", strings(["a", TEXT])),
        KeyValue::new("bools", Value::Array(Array::Bool(vec![true, false]))),
        KeyValue::new("ints", Value::Array(Array::I64(vec![1, i64::MIN]))),
        KeyValue::new("doubles", Value::Array(Array::F64(vec![0.5, -1.5]))),
    ]
}

/// A trace of four spans, `tracing` and OpenTelemetry in turns, with log records of every level within it, and
/// one beside it.
fn record(dispatch: &Dispatch) -> (TraceId, Vec<Span>, Vec<Log>) {
    let provider = TracerProvider::of(dispatch).unwrap();
    let tracer = provider.tracer("shop.payment");
    let (mut spans, mut logs) = (Vec::new(), Vec::new());
    let mut root = SpanContext::NONE;
    tracing::dispatcher::with_default(dispatch, || {
        info_span!(
            target: "shop.cart",
            "checkout ☕",
            otel.kind = "server",
            text = TEXT,
            empty = "",
            int = -42,
            int_max = i64::MAX,
            double = 0.1,
            whole = 3.0,
            flag = true,
            off = false,
        )
        .in_scope(|| {
            root = current();
            info!(target: "shop.cart", order = 7, user = TEXT, "looked up {}", "orders ☕");
            log(
                &mut logs,
                "looked up orders ☕",
                "INFO",
                root.span_id(),
                [KeyValue::new("order", 7), KeyValue::new("user", TEXT)],
            );
            payment(&tracer, &mut spans, &mut logs, root.span_id());
            refusal(&mut spans, &mut logs, root.span_id());
        });
        warn!(target: "shop.stock", left = 0.5, "stock is low");
        log(
            &mut logs,
            "stock is low",
            "WARN",
            SpanId::INVALID,
            [KeyValue::new("left", 0.5)],
        );
    });
    spans.push(Span {
        kind: SpanKind::Server,
        attributes: vec![
            KeyValue::new("text", TEXT),
            KeyValue::new("empty", ""),
            KeyValue::new("int", -42),
            KeyValue::new("int_max", i64::MAX),
            KeyValue::new("double", 0.1),
            KeyValue::new("whole", 3.0),
            KeyValue::new("flag", true),
            KeyValue::new("off", false),
        ],
        ..span("checkout ☕", root.span_id(), SpanId::INVALID)
    });
    (root.trace_id(), spans, logs)
}

/// A span of the OpenTelemetry API with an event, a link, a failure and a child of `tracing`.
fn payment(
    tracer: &impl opentelemetry::trace::Tracer<Span: Send + Sync + 'static>,
    spans: &mut Vec<Span>,
    logs: &mut Vec<Log>,
    parent: SpanId,
) {
    let linked = SpanContext::new(
        TraceId::from(0x0102_0304_0506_0708_090a_0b0c_0d0e_0f10),
        SpanId::from(0x1112_1314_1516_1718),
        TraceFlags::SAMPLED,
        true,
        Default::default(),
    );
    let miss = vec![KeyValue::new("key", "card"), KeyValue::new("tries", 2)];
    let mut charge = tracer
        .span_builder("charge")
        .with_kind(SpanKind::Client)
        .with_attributes(arrays())
        .with_links(vec![Link::with_context(linked.clone())])
        .start(tracer);
    charge.add_event("cache.miss", miss.clone());
    let status = Status::error("card declined");
    charge.set_status(status.clone());
    let span_id = charge.span_context().span_id();
    let attached = Context::current_with_span(charge).attach();
    info_span!(target: "shop.cart", "confirm", otel.status_code = "ok").in_scope(|| {
        let span_id_of_confirm = current().span_id();
        debug!(target: "shop.cart", "asked again");
        trace!(target: "shop.cart", "waited");
        log(logs, "asked again", "DEBUG", span_id_of_confirm, []);
        log(logs, "waited", "TRACE", span_id_of_confirm, []);
        spans.push(Span {
            status: Status::Ok,
            ..span("confirm", span_id_of_confirm, span_id)
        });
    });
    drop(attached);
    spans.push(Span {
        kind: SpanKind::Client,
        status,
        attributes: arrays(),
        events: vec![("cache.miss", miss)],
        links: vec![linked],
        ..span("charge", span_id, parent)
    });
}

/// A span that fails by what is said in it.
fn refusal(spans: &mut Vec<Span>, logs: &mut Vec<Log>, parent: SpanId) {
    info_span!(target: "shop.cart", "refuse").in_scope(|| {
        let span_id = current().span_id();
        error!(target: "shop.cart", code = 9, again = false, "it broke");
        log(
            logs,
            "it broke",
            "ERROR",
            span_id,
            [KeyValue::new("code", 9), KeyValue::new("again", false)],
        );
        spans.push(Span {
            status: Status::error("it broke"),
            ..span("refuse", span_id, parent)
        });
    });
}

fn span(name: &'static str, span_id: SpanId, parent: SpanId) -> Span {
    Span {
        name,
        kind: SpanKind::Internal,
        span_id,
        parent,
        status: Status::Unset,
        attributes: Vec::new(),
        events: Vec::new(),
        links: Vec::new(),
    }
}

fn log<const N: usize>(
    logs: &mut Vec<Log>,
    body: &'static str,
    severity: &'static str,
    span_id: SpanId,
    attributes: [KeyValue; N],
) {
    logs.push(Log {
        body,
        severity,
        span_id,
        attributes: attributes.into(),
    });
}
