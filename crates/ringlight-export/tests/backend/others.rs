//! Files, nowhere, and two ways to one backend.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringlight_collector::{
    AsyncSpanCollector, CollectorConfig, EncodedBatch, ExportError, ExportOutcome, Exporter,
    SpanExporterBoxed,
};
use ringlight_export::{
    FallbackExporter, JsonLinesExporter, NullExporter, OtlpConfig, OtlpGrpcExporter,
    OtlpHttpExporter,
};
use ringlight_model::{Limits, Signal, Span, SpanId, TraceId};
use ringlight_testing::{Backend, Format};

use crate::support::{PATIENCE, batch, config, runtime};

fn span(number: u64) -> Span<'static> {
    Span {
        trace_id: TraceId::new(1),
        span_id: SpanId::new(number),
        name: "numbered".into(),
        ..Span::default()
    }
}

/// Ten spans through a collector, all of which the exporter takes.
fn deliver_ten(config: CollectorConfig, exporter: Arc<dyn SpanExporterBoxed>) {
    runtime().block_on(async {
        let collector = AsyncSpanCollector::new(config, exporter).unwrap();
        let mut producer = collector.register().unwrap();
        for number in 1..=10 {
            producer.submit_span(span(number)).await.unwrap();
        }
        let ledger = collector.shutdown(PATIENCE).await;
        assert!(ledger.balances());
        assert_eq!(ledger.account(Signal::Traces).exported, 10);
    });
}

#[test]
fn nowhere_takes_everything() {
    deliver_ten(config(), Arc::new(NullExporter));
}

#[test]
fn a_file_has_a_line_of_otlp_json_for_every_batch_in_their_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("spans.jsonl");
    for _ in 0..2 {
        let exporter = JsonLinesExporter::file(&path).unwrap();
        let small = CollectorConfig {
            batch_records_max: 3,
            batch_delay: Duration::from_secs(60),
            ..config()
        };
        deliver_ten(small, Arc::new(exporter));
    }
    let mut ids = Vec::new();
    let text = std::fs::read_to_string(&path).unwrap();
    for line in text.lines() {
        let request: serde_json::Value = serde_json::from_str(line).unwrap();
        let spans = &request["resourceSpans"][0]["scopeSpans"][0]["spans"];
        for span in spans.as_array().unwrap() {
            ids.push(u64::from_str_radix(span["spanId"].as_str().unwrap(), 16).unwrap());
        }
        // It is what an OTLP receiver takes.
        let read =
            ringlight_otlp::json::to_protobuf(Signal::Traces, line.as_bytes(), &Limits::default());
        assert!(read.is_ok());
    }
    assert_eq!(text.lines().count(), 8);
    assert_eq!(ids, (1..=10).chain(1..=10).collect::<Vec<u64>>());
    assert!(JsonLinesExporter::file(folder.path()).is_err());
}

/// Takes half of the first line and then fails once.
#[derive(Clone, Default)]
struct Failing {
    calls: Arc<AtomicU32>,
    text: Arc<Mutex<Vec<u8>>>,
}

impl Write for Failing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = match self.calls.fetch_add(1, Ordering::SeqCst) {
            0 => bytes.len() / 2,
            1 => return Err(io::ErrorKind::StorageFull.into()),
            _ => bytes.len(),
        };
        self.text
            .lock()
            .unwrap()
            .extend_from_slice(&bytes[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_line_that_could_not_be_written_is_written_again_on_a_line_of_its_own() {
    let writer = Failing::default();
    deliver_ten(
        CollectorConfig {
            batch_delay: Duration::from_secs(60),
            ..config()
        },
        Arc::new(JsonLinesExporter::new("failing", writer.clone())),
    );
    let text = String::from_utf8(writer.text.lock().unwrap().clone()).unwrap();
    let lines: Vec<_> = text.lines().collect();
    let [broken, whole] = lines[..] else {
        panic!("{lines:?}");
    };
    assert!(serde_json::from_str::<serde_json::Value>(broken).is_err());
    assert!(serde_json::from_str::<serde_json::Value>(whole).is_ok());
    assert!(whole.starts_with(broken));
}

/// Nobody reads any more.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_closed_pipe_is_not_written_to_again() {
    let exporter = JsonLinesExporter::new("closed", Closed);
    let sent = Exporter::export(&exporter, batch(1)).await;
    assert!(matches!(sent, Err(ExportError::Permanent { .. })));
}

#[test]
fn http_takes_over_where_grpc_leads_nowhere() {
    let backend = Backend::start();
    let nobody = format!("http://{}", Backend::nobody());
    let exporter = FallbackExporter::new(
        OtlpGrpcExporter::new(&OtlpConfig::new(nobody)).unwrap(),
        OtlpHttpExporter::new(&OtlpConfig::new(backend.url())).unwrap(),
    );
    deliver_ten(config(), Arc::new(exporter));
    let seen = backend.stop();
    assert_eq!(seen.spans().len(), 10);
    assert!(
        seen.requests
            .iter()
            .all(|request| request.format == Format::Protobuf)
    );

    let backend = Backend::start();
    let config_of = OtlpConfig::new(backend.url());
    let exporter = FallbackExporter::new(
        OtlpGrpcExporter::new(&config_of).unwrap(),
        OtlpHttpExporter::new(&config_of).unwrap(),
    )
    // However busy the machine is.
    .primary_timeout(Duration::from_secs(60));
    deliver_ten(config(), Arc::new(exporter));
    let seen = backend.stop();
    assert_eq!(seen.spans().len(), 10);
    assert!(
        seen.requests
            .iter()
            .all(|request| request.format == Format::Grpc)
    );
}

/// A way that answers or does not, and counts who comes.
#[derive(Clone)]
struct Way {
    answer: Arc<Mutex<Option<ExportError>>>,
    hangs: bool,
    asked: Arc<AtomicU32>,
}

impl Way {
    fn new(answer: Option<ExportError>) -> Self {
        Self {
            answer: Arc::new(Mutex::new(answer)),
            hangs: false,
            asked: Arc::default(),
        }
    }

    fn asked(&self) -> u32 {
        self.asked.swap(0, Ordering::SeqCst)
    }
}

impl Exporter for Way {
    async fn export(&self, _: EncodedBatch) -> Result<ExportOutcome, ExportError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.hangs {
            std::future::pending::<()>().await;
        }
        match &*self.answer.lock().unwrap() {
            None => Ok(ExportOutcome::default()),
            Some(ExportError::Unreachable { .. }) => Err(unreachable()),
            Some(_) => Err(not_now()),
        }
    }

    fn name(&self) -> &str {
        "way"
    }
}

fn unreachable() -> ExportError {
    ExportError::Unreachable {
        reason: "no way".to_owned(),
        source: None,
    }
}

fn not_now() -> ExportError {
    ExportError::Retryable {
        reason: "not now".to_owned(),
        after: None,
    }
}

#[tokio::test(start_paused = true)]
async fn the_way_that_led_somewhere_is_taken_first_for_a_while() {
    let (first, second) = (Way::new(Some(unreachable())), Way::new(None));
    let both = FallbackExporter::new(first.clone(), second.clone());
    let send = async || both.export(batch(1)).await;

    send().await.unwrap();
    assert_eq!((first.asked(), second.asked()), (1, 1));
    for _ in 0..3 {
        send().await.unwrap();
        assert_eq!((first.asked(), second.asked()), (0, 1));
    }
    tokio::time::advance(Duration::from_secs(31)).await;
    *first.answer.lock().unwrap() = None;
    send().await.unwrap();
    assert_eq!((first.asked(), second.asked()), (1, 0));

    // "Not now" is an answer.
    *first.answer.lock().unwrap() = Some(not_now());
    assert!(matches!(send().await, Err(ExportError::Retryable { .. })));
    assert_eq!((first.asked(), second.asked()), (1, 0));

    // The second way ends; the first is tried again at once.
    *first.answer.lock().unwrap() = Some(unreachable());
    send().await.unwrap();
    assert_eq!((first.asked(), second.asked()), (1, 1));
    *first.answer.lock().unwrap() = None;
    *second.answer.lock().unwrap() = Some(unreachable());
    send().await.unwrap();
    assert_eq!((first.asked(), second.asked()), (1, 1));

    *first.answer.lock().unwrap() = Some(unreachable());
    assert!(matches!(send().await, Err(ExportError::Unreachable { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_first_way_that_hangs_leaves_time_for_the_second() {
    let mut first = Way::new(None);
    first.hangs = true;
    let both = FallbackExporter::new(first, Way::new(None));
    let limit = CollectorConfig::default().export_timeout;
    let sent = tokio::time::timeout(limit, both.export(batch(1))).await;
    sent.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_first_way_that_is_given_up_before_it_answers_comes_second_then() {
    let mut first = Way::new(None);
    first.hangs = true;
    let second = Way::new(None);
    let both = FallbackExporter::new(first.clone(), second.clone());
    // As a pipeline does whose attempts take a second at most.
    let attempt = tokio::time::timeout(Duration::from_secs(1), both.export(batch(1)));
    assert!(attempt.await.is_err());
    assert_eq!((first.asked(), second.asked()), (1, 0));
    both.export(batch(1)).await.unwrap();
    assert_eq!((first.asked(), second.asked()), (0, 1));
}

#[test]
fn open_spans_are_reported_where_traces_and_logs_go_to_one_backend() {
    let http = |config: &OtlpConfig| OtlpHttpExporter::new(config).unwrap();
    let grpc = |config: &OtlpConfig| OtlpGrpcExporter::new(config).unwrap();
    let to = |base: &str, traces: Option<&str>, logs: Option<&str>| {
        let mut config = OtlpConfig::new(base);
        for (signal, endpoint) in [(Signal::Traces, traces), (Signal::Logs, logs)] {
            if let Some(endpoint) = endpoint {
                config = config.signal_endpoint(signal, endpoint);
            }
        }
        config
    };
    let check = |config: &OtlpConfig, over_grpc: bool, over_http: bool| {
        assert_eq!(grpc(config).reports_open_spans(), over_grpc, "{config:?}");
        assert_eq!(http(config).reports_open_spans(), over_http, "{config:?}");
    };
    check(&to("http://a", None, None), true, true);
    check(
        &to("http://a:80/", Some("http://a/v1/traces"), None),
        true,
        true,
    );
    let (traces, logs) = (Some("http://a/x/v1/traces"), Some("http://a/x/v1/logs"));
    check(&to("http://b", traces, logs), true, true);
    // Over HTTP a path may lead elsewhere.
    check(&to("http://a", traces, None), true, false);
    check(
        &to("http://a", None, Some("http://b/v1/logs")),
        false,
        false,
    );
    check(
        &to("http://a", Some("http://a:81/v1/traces"), None),
        false,
        false,
    );

    let one = to("http://a", None, None);
    let both = FallbackExporter::new(grpc(&one), http(&one));
    assert!(both.reports_open_spans());
    let file = JsonLinesExporter::new("file", io::sink());
    assert!(!file.reports_open_spans() && !NullExporter.reports_open_spans());
    assert!(!FallbackExporter::new(grpc(&one), file).reports_open_spans());
}
