//! Headers that hold a secret: from a file to what a backend receives, while the program runs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringlight::collector::{Notice, Notices, RetryConfig};
use ringlight::secrets::{FileSecret, SecretHeaders};
use ringlight::{Builder, LogFormat, Protocol, Telemetry};
use ringlight_testing::{Backend, Code, Reply};
use tracing::{Dispatch, info_span};

const LONG: Duration = Duration::from_secs(20);
const PROTOCOLS: [Protocol; 2] = [Protocol::Grpc, Protocol::HttpProtobuf];

struct Running {
    backend: Backend,
    protocol: Protocol,
    folder: tempfile::TempDir,
    notices: Arc<Mutex<Vec<String>>>,
}

impl Running {
    fn new(protocol: Protocol) -> Self {
        Self {
            backend: Backend::start(),
            protocol,
            folder: tempfile::tempdir().unwrap(),
            notices: Arc::default(),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("headers")
    }

    /// Puts a secret into the file, whole.
    fn put(&self, text: &str) {
        let new = self.folder.path().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.path()).unwrap();
    }

    fn builder(&self) -> Builder {
        let notices = Arc::clone(&self.notices);
        ringlight::builder()
            .environment([(
                "OTEL_EXPORTER_OTLP_HEADERS",
                "x-tenant=shop,authorization=none",
            )])
            .otlp_endpoint(self.backend.url())
            .otlp_protocol(self.protocol)
            .log_format(LogFormat::Off)
            .pipeline(move |config| {
                config.batch_delay = Duration::from_millis(1);
                config.retry = RetryConfig {
                    delay_first: Duration::from_millis(1),
                    delay_max: Duration::from_millis(50),
                    ..config.retry
                };
                config.notices = Notices::new(move |notice: &Notice| {
                    // That nobody counts allocations is of no interest here.
                    if !matches!(notice, Notice::Recording { .. }) {
                        notices.lock().unwrap().push(notice.to_string());
                    }
                });
            })
    }

    fn started(&self) -> (Dispatch, Telemetry) {
        let secret = FileSecret::new(self.path());
        self.builder().otlp_headers_from(secret).build().unwrap()
    }

    /// The value of a header of the requests with spans, in order.
    fn received(&self, header: &str) -> Vec<String> {
        let seen = self.backend.seen();
        let of_spans = seen
            .data()
            .filter(|r| r.signal == ringlight::Signal::Traces);
        of_spans.map(|r| r.header(header).to_owned()).collect()
    }

    fn wait_for_spans(&self, count: usize) {
        self.backend.wait_for(|seen| seen.spans().len() >= count);
    }

    fn assert_nothing_secret(&self) {
        let notices = self.notices.lock().unwrap().join("\n");
        assert!(!notices.contains("hunter2"), "{notices}");
    }
}

fn span(dispatch: &Dispatch) {
    tracing::dispatcher::with_default(dispatch, || info_span!("work").in_scope(|| {}));
}

#[test]
fn a_secret_is_in_every_request_and_a_new_one_needs_no_restart() {
    for protocol in PROTOCOLS {
        let running = Running::new(protocol);
        running.put(r#"{"Authorization": "Bearer hunter2-1"}"#);
        // The file is read again because of the refusal, not because time has passed.
        let secret = SecretHeaders::from_source(FileSecret::new(running.path()))
            .refresh_interval(Duration::from_secs(3600));
        let builder = running.builder().otlp_headers_from(secret);
        let (dispatch, telemetry) = builder.build().unwrap();
        span(&dispatch);
        running.wait_for_spans(1);
        // The backend takes the old one no more, and the batch arrives with the new one.
        running.put("authorization=Bearer%20hunter2-2");
        let refusal = match protocol {
            Protocol::Grpc => Reply::GrpcMessage(Code::UNAUTHENTICATED, "who are you"),
            _ => Reply::Http(401, None),
        };
        running.backend.script([refusal]);
        span(&dispatch);
        running.wait_for_spans(2);
        telemetry.shutdown(LONG);
        assert_eq!(
            running.received("authorization"),
            ["Bearer hunter2-1", "Bearer hunter2-1", "Bearer hunter2-2"]
        );
        assert!(
            running
                .received("x-tenant")
                .iter()
                .all(|tenant| tenant == "shop")
        );
        running.assert_nothing_secret();
    }
}

#[test]
fn nothing_is_sent_without_a_secret_that_is_required() {
    for protocol in PROTOCOLS {
        let running = Running::new(protocol);
        let (dispatch, telemetry) = running.started();
        span(&dispatch);
        // It waits, and a person is told why, once.
        let deadline = std::time::Instant::now() + LONG;
        while running.notices.lock().unwrap().is_empty() {
            assert!(std::time::Instant::now() < deadline, "nobody is told");
            std::thread::yield_now();
        }
        assert!(running.backend.seen().requests.is_empty());
        running.put("authorization=Bearer%20hunter2");
        running.wait_for_spans(1);
        telemetry.shutdown(LONG);
        assert_eq!(running.received("authorization"), ["Bearer hunter2"]);
        let seen = running.backend.seen();
        let all = |r: &ringlight_testing::Received| r.header("authorization") == "Bearer hunter2";
        assert!(seen.requests.iter().all(all));
        let notices = running.notices.lock().unwrap().clone();
        let path = running.path().display().to_string();
        let of_file =
            |notice: &&String| notice.contains(&path) && notice.contains("cannot be read");
        assert_eq!(notices.iter().filter(of_file).count(), 1, "{notices:?}");
        running.assert_nothing_secret();
    }
}

#[test]
fn an_optional_secret_that_is_missing_is_done_without_and_said_so() {
    let running = Running::new(Protocol::Grpc);
    let secret = SecretHeaders::from_source(FileSecret::new(running.path())).optional();
    let builder = running.builder().otlp_headers_from(secret);
    let (dispatch, telemetry) = builder.build().unwrap();
    span(&dispatch);
    running.wait_for_spans(1);
    telemetry.shutdown(LONG);
    assert_eq!(running.received("authorization"), ["none"]);
    let notices = running.notices.lock().unwrap().join("\n");
    assert!(
        notices.contains("going on without headers: file"),
        "{notices}"
    );
}

#[test]
fn a_secret_that_is_no_header_of_ours_to_set_is_not_sent() {
    let running = Running::new(Protocol::HttpProtobuf);
    running.put(r#"{"host": "hunter2", "authorization": "hunter2"}"#);
    let (dispatch, telemetry) = running.started();
    span(&dispatch);
    let deadline = std::time::Instant::now() + LONG;
    while running.notices.lock().unwrap().is_empty() {
        assert!(std::time::Instant::now() < deadline, "nobody is told");
        std::thread::yield_now();
    }
    telemetry.shutdown(Duration::ZERO);
    let notices = running.notices.lock().unwrap().join("\n");
    assert!(
        notices.contains("header `host` cannot be sent"),
        "{notices}"
    );
    assert!(running.backend.seen().requests.is_empty());
    running.assert_nothing_secret();
}

#[test]
fn fault_36_a_secret_is_shown_nowhere() {
    let running = Running::new(Protocol::Grpc);
    running.put("not headers but hunter2");
    let builder = running
        .builder()
        .otlp_headers_from(FileSecret::new(running.path()));
    let mut shown = format!("{builder:?}");
    let (dispatch, telemetry) = builder.build().unwrap();
    shown += &format!("{dispatch:?} {telemetry:?}");
    span(&dispatch);
    let ledger = telemetry.shutdown(Duration::from_millis(100));
    shown += &format!("{ledger:?} {}", running.notices.lock().unwrap().join("\n"));
    assert!(!shown.contains("hunter2"), "{shown}");
    let unread = ringlight::builder()
        .environment([
            ("OTLP_ENDPOINT", "http://localhost:4317"),
            ("RINGLIGHT_OTLP_HEADERS_FILE", "/a"),
            ("RINGLIGHT_OTLP_HEADERS_VAULT", "secret/a"),
        ])
        .build();
    let error = unread.err().unwrap();
    assert!(error.to_string().contains("both are set"), "{error}");
}
