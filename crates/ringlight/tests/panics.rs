//! What is recorded of panics.

use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use ringlight::RecordSink;
use ringlight::collector::CallsiteRegistry;
use ringlight::collector::record::Record;
use ringlight_testing::{Backend, attribute, body, text_of};
use tracing::{info, info_span};

const LONG: Duration = Duration::from_secs(20);

/// Panics the hook before was told of.
static TOLD: AtomicUsize = AtomicUsize::new(0);

/// Panics on the pipeline's thread.
struct Failing;

impl RecordSink for Failing {
    fn record(&mut self, _: &Record<'_>, _: &CallsiteRegistry) {
        panic!("of the sink");
    }

    fn flush(&mut self) {}
}

struct Panics;

impl fmt::Debug for Panics {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("of a field");
    }
}

/// Has this name in the backtrace.
#[inline(never)]
fn the_pan_falls() {
    panic!("the pan fell: {}", 7);
}

fn catch(body: impl FnOnce()) {
    assert!(panic::catch_unwind(AssertUnwindSafe(body)).is_err());
}

#[test]
fn a_panic_is_recorded_as_an_exception_where_it_came_up() {
    panic::set_hook(Box::new(|_| {
        TOLD.fetch_add(1, Ordering::Relaxed);
    }));
    let backend = Backend::start();
    let telemetry = ringlight::builder()
        .environment([("RUST_LOG_LOGS", "panics=info")])
        .otlp_endpoint(backend.url())
        .log_format(ringlight::LogFormat::Off)
        .sink(Failing)
        .init()
        .unwrap();

    let thread = std::thread::Builder::new().name("cook".to_owned());
    let cooking = thread.spawn(|| info_span!("unwound").in_scope(the_pan_falls));
    assert!(cooking.unwrap().join().is_err());
    info_span!("caught").in_scope(|| catch(|| panic!("{}", "x".repeat(40_000))));
    // While a record is made, of an event and of a span.
    catch(|| info!(field = ?Panics, "an event"));
    catch(|| drop(info_span!("a span", field = ?Panics)));
    catch(|| panic::panic_any(7));
    catch(|| panic::resume_unwind(Box::new(8)));
    let ledger = telemetry.shutdown(LONG);

    let seen = backend.stop();
    let logs = seen.log_records();
    let logs: Vec<_> = logs.iter().collect();
    // Neither that of the sink nor that which no hook is told of.
    assert_eq!(logs.len(), 5, "{logs:?}");
    assert_eq!(TOLD.load(Ordering::Relaxed), 6);
    assert!(ledger.balances());
    let spans = seen.spans();
    let span = |name: &str| spans.iter().find(|span| span.name == name).unwrap();

    let [first, second, event, of_span, any] = logs[..] else {
        panic!("{logs:?}");
    };
    let (unwound, caught) = (span("unwound"), span("caught"));
    assert_eq!(first.severity_text, "ERROR");
    assert_eq!(first.trace_id, unwound.trace_id);
    assert_eq!(first.span_id, unwound.span_id);
    assert!(body(first).starts_with("panicked at crates/ringlight/tests/panics.rs:"));
    assert!(body(first).ends_with(": the pan fell: 7"));
    let of_first = |key| text_of(&first.attributes, key);
    assert_eq!(of_first("exception.type"), "panic");
    assert_eq!(of_first("exception.message"), "the pan fell: 7");
    assert_eq!(of_first("thread.name"), "cook");
    assert!(of_first("code.file.path").ends_with("tests/panics.rs"));
    assert!(matches!(
        attribute(&first.attributes, "code.line.number"),
        Some(Value::IntValue(40..=60))
    ));
    let stacktrace = of_first("exception.stacktrace");
    let first_line = stacktrace.lines().next().unwrap();
    assert!(first_line.contains("the_pan_falls"), "{stacktrace}");
    assert!(!stacktrace.contains("rust_begin_unwind"), "{stacktrace}");
    let status = unwound.status.as_ref().unwrap();
    assert_eq!(status.code(), StatusCode::Error);
    assert_eq!(status.message, body(first));

    // It was caught within its span, which went on.
    assert_eq!(second.span_id, caught.span_id);
    assert!(
        caught
            .status
            .as_ref()
            .is_none_or(|status| status.code() == StatusCode::Unset)
    );
    let long = text_of(&second.attributes, "exception.message");
    assert_eq!(long.trim_end_matches('…').len(), 32 * 1024);
    for log in [event, of_span] {
        assert_eq!(text_of(&log.attributes, "exception.message"), "of a field");
    }
    assert_eq!(attribute(&any.attributes, "exception.message"), None);
    assert!(body(any).starts_with("panicked at "));
}
