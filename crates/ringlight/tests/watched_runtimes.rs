//! Tokio's runtimes as they are watched: which span blocks a worker, and what is measured.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use ringlight::collector::CallsiteRegistry;
use ringlight::collector::record::{Item, KeyRef, Record, ValueRef};
use ringlight::{Builder, LogFormat, RecordSink, Telemetry};
use ringlight_testing::{Backend, Seen, attribute, text};
use tokio::runtime::{Builder as Runtimes, Runtime};
use tracing::dispatcher::with_default;
use tracing::{Dispatch, Instrument as _, info_span};

const LONG: Duration = Duration::from_secs(20);
/// Long enough to count as blocked several times over.
const HELD_UP: Duration = Duration::from_millis(400);

/// What is said of blocked workers.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<BTreeMap<String, String>>>>);

impl RecordSink for Said {
    fn record(&mut self, record: &Record<'_>, callsites: &CallsiteRegistry) {
        let callsite = callsites.lookup(record.callsite().unwrap()).unwrap();
        let Record::Log(log) = record else { return };
        if callsite.target != "ringlight::runtime" {
            return;
        }
        let mut fields = BTreeMap::new();
        for item in record.items() {
            if let Item::Attribute(key, value) = item {
                let name = match key {
                    KeyRef::Field(index) => callsite.fields[usize::from(index)].to_owned(),
                    KeyRef::Name(name) => str::from_utf8(name).unwrap().to_owned(),
                };
                let value = match value {
                    ValueRef::Text(text) => text.to_str().into_owned(),
                    ValueRef::U64(value) => value.to_string(),
                    ValueRef::I64(value) => value.to_string(),
                    other => panic!("{name}={other:?}"),
                };
                fields.insert(name, value);
            }
        }
        let around = log.enclosing_spans().next();
        let around = around.map(|span| callsites.lookup(span.callsite).unwrap().name);
        fields.insert("in".to_owned(), around.unwrap_or_default().to_owned());
        self.0.lock().unwrap().push(fields);
    }

    fn flush(&mut self) {}
}

impl Said {
    fn all(&self) -> Vec<BTreeMap<String, String>> {
        self.0.lock().unwrap().clone()
    }

    /// What was said of the span of that name.
    fn of(&self, span: &str) -> Option<BTreeMap<String, String>> {
        let all = self.all().into_iter();
        let mut all = all.filter(|fields| fields.get("span.name").is_some_and(|name| name == span));
        let found = all.next();
        assert!(all.next().is_none(), "`{span}` is spoken of once");
        found
    }

    /// Blocks the thread until something `is` said.
    fn block_until(&self, is: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + LONG;
        while !is(self) {
            assert!(Instant::now() < deadline, "{:?}", self.all());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn builder() -> (Builder, Said) {
    let said = Said::default();
    let none: [(&str, &str); 0] = [];
    let builder = ringlight::builder()
        .environment(none)
        .log_format(LogFormat::Off)
        .sink(said.clone());
    (builder, said)
}

fn threads(count: usize) -> Runtime {
    let mut builder = Runtimes::new_multi_thread();
    builder.worker_threads(count).enable_time().build().unwrap()
}

fn single() -> Runtime {
    let mut builder = Runtimes::new_current_thread();
    builder.enable_time().build().unwrap()
}

/// Runs `body` as a task of the runtime, which is watched, with its spans recorded.
fn run<F>(runtime: &Runtime, body: impl FnOnce(Said) -> F) -> (Said, Telemetry)
where
    F: Future<Output = ()> + Send + 'static,
{
    let (builder, said) = builder();
    let telemetry = run_as(builder, &said, runtime, body);
    (said, telemetry)
}

/// The same by a builder whose sink is the second.
fn run_as<F>(
    builder: Builder,
    said: &Said,
    runtime: &Runtime,
    body: impl FnOnce(Said) -> F,
) -> Telemetry
where
    F: Future<Output = ()> + Send + 'static,
{
    let (dispatch, telemetry) = builder.build().unwrap();
    telemetry.watch_runtime(runtime.handle());
    let task = WithDispatch(Box::pin(body(said.clone())), dispatch);
    runtime.block_on(async {
        // A runtime with one thread counts as running once the probe has run.
        tokio::time::sleep(Duration::from_millis(1)).await;
        tokio::spawn(task).await.unwrap();
    });
    telemetry
}

/// Records into a subscriber that is not the process's.
struct WithDispatch<F>(std::pin::Pin<Box<F>>, Dispatch);

impl<F: Future> Future for WithDispatch<F> {
    type Output = F::Output;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<F::Output> {
        let Self(future, dispatch) = &mut *self;
        with_default(dispatch, || future.as_mut().poll(context))
    }
}

/// A span in which a worker is blocked until it is said.
async fn blocking(said: Said) {
    let span = info_span!("blocking");
    span.in_scope(|| said.block_until(|said| said.of("blocking").is_some()));
}

#[track_caller]
fn check_blocking(said: &Said, runtime: &Runtime) {
    let fields = said.of("blocking").unwrap();
    assert!(fields["blocked_ms"].parse::<u64>().unwrap() >= 100);
    assert_eq!(
        fields["tokio.runtime.id"],
        runtime.handle().id().to_string()
    );
    assert_eq!(fields["in"], "blocking", "the event is the span's");
    // Its ids are the event's.
    assert!(!fields.contains_key("trace_id") && !fields.contains_key("span_id"));
    assert!(
        fields["message"].starts_with("span `blocking` has blocked a worker"),
        "{fields:?}"
    );
}

#[test]
fn a_span_that_blocks_a_worker_is_named() {
    let runtime = threads(2);
    let (said, _telemetry) = run(&runtime, blocking);
    check_blocking(&said, &runtime);
}

/// What log lines are written to.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_line_about_a_blocked_worker_has_the_trace_id_once() {
    let runtime = threads(2);
    let (builder, said) = builder();
    let lines = Lines::default();
    let builder = builder
        .log_format(LogFormat::Text)
        .log_writer(lines.clone());
    run_as(builder, &said, &runtime, blocking).shutdown(LONG);
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let line = text.lines().find(|line| line.contains("has blocked"));
    let line = line.unwrap_or_else(|| panic!("{text}"));
    assert_eq!(line.matches("trace_id=").count(), 1, "{line}");
}

#[test]
fn a_span_that_blocks_the_only_thread_is_named() {
    let runtime = single();
    let (said, _telemetry) = run(&runtime, blocking);
    check_blocking(&said, &runtime);
}

#[test]
fn the_innermost_span_is_named_though_others_were_before() {
    let runtime = threads(2);
    let (said, _telemetry) = run(&runtime, |said| async move {
        let inner = async {
            for _ in 0..3 {
                info_span!("short").in_scope(|| ());
                tokio::task::yield_now().await;
            }
            blocking(said).await;
        };
        inner.instrument(info_span!("outer")).await;
    });
    check_blocking(&said, &runtime);
    assert_eq!(said.of("outer").or_else(|| said.of("short")), None);
}

/// What holds nobody up, each in a span of its own, for long; then what does.
async fn harmless_then_blocking(said: Said) {
    tokio::time::sleep(HELD_UP)
        .instrument(info_span!("asleep"))
        .await;
    let dispatch = tracing::dispatcher::get_default(Dispatch::clone);
    let elsewhere = tokio::task::spawn_blocking(move || {
        with_default(&dispatch, || {
            info_span!("elsewhere").in_scope(|| std::thread::sleep(HELD_UP));
        });
    });
    elsewhere.await.unwrap();
    blocking(said).await;
}

#[test]
fn what_awaits_and_what_blocks_elsewhere_is_not_named() {
    for runtime in [threads(2), single()] {
        let (said, _telemetry) = run(&runtime, harmless_then_blocking);
        check_blocking(&said, &runtime);
        assert_eq!(said.of("asleep").or_else(|| said.of("elsewhere")), None);
    }
}

#[test]
fn a_worker_that_gave_its_work_to_others_is_not_named() {
    let runtime = threads(2);
    let (said, _telemetry) = run(&runtime, |said| async move {
        let span = info_span!("in place");
        span.in_scope(|| tokio::task::block_in_place(|| std::thread::sleep(HELD_UP)));
        tokio::spawn(WithDispatch(
            Box::pin(blocking(said)),
            tracing::dispatcher::get_default(Dispatch::clone),
        ))
        .await
        .unwrap();
    });
    check_blocking(&said, &runtime);
    assert_eq!(said.of("in place"), None);
}

#[test]
fn a_worker_that_is_blocked_outside_of_spans_is_told() {
    let runtime = threads(2);
    let nameless = |said: &Said| {
        let all = said.all();
        assert!(all.iter().all(|fields| !fields.contains_key("span.name")));
        !all.is_empty()
    };
    let (said, _telemetry) = run(&runtime, |said| async move { said.block_until(nameless) });
    let fields = said.all().remove(0);
    assert!(fields["message"].contains("in no span"), "{fields:?}");
    assert_eq!(fields["in"], "");
}

#[test]
fn nothing_is_told_where_that_is_turned_off() {
    let (builder, said) = builder();
    let (dispatch, telemetry) = builder
        .blocked_worker_after(Duration::ZERO)
        .build()
        .unwrap();
    let runtime = threads(1);
    telemetry.watch_runtime(runtime.handle());
    let block = async { info_span!("blocking").in_scope(|| std::thread::sleep(HELD_UP)) };
    let task = WithDispatch(Box::pin(block), dispatch);
    runtime.block_on(async { tokio::spawn(task).await.unwrap() });
    telemetry.shutdown(LONG);
    assert!(said.all().is_empty(), "{:?}", said.all());
}

/// A runtime is watched no more when it or telemetry ends, and neither waits for the other.
#[test]
fn watching_ends_with_either() {
    let (builder, _) = builder();
    let (_dispatch, telemetry) = builder.build().unwrap();
    let (first, second) = (threads(2), single());
    for runtime in [&first, &second] {
        telemetry.watch_runtime(runtime.handle());
        telemetry.watch_runtime(runtime.handle());
    }
    second.block_on(tokio::task::yield_now());
    assert_eq!(second.metrics().num_alive_tasks(), 1, "it is watched once");
    drop(first);
    telemetry.shutdown(LONG);
    let deadline = Instant::now() + LONG;
    while second.metrics().num_alive_tasks() > 0 {
        assert!(Instant::now() < deadline);
        second.block_on(tokio::task::yield_now());
    }
    telemetry.watch_runtime(second.handle());
    assert_eq!(second.metrics().num_alive_tasks(), 0);
}

#[test]
fn the_runtime_it_starts_in_is_watched_unless_told_otherwise() {
    for watch in [true, false] {
        let runtime = single();
        runtime.block_on(async {
            let (builder, _) = builder();
            let (_dispatch, _telemetry) = builder.watch_current_runtime(watch).build().unwrap();
            let tasks = runtime.metrics().num_alive_tasks();
            assert_eq!(tasks, usize::from(watch));
        });
        let runtime = single();
        runtime.block_on(async {
            let said = [("RINGLIGHT_WATCH_CURRENT_RUNTIME", watch.to_string())];
            let builder = ringlight::builder().environment(said);
            let (_dispatch, _telemetry) = builder.log_format(LogFormat::Off).build().unwrap();
            let tasks = runtime.metrics().num_alive_tasks();
            assert_eq!(tasks, usize::from(watch));
        });
    }
}

/// Points of the metrics of runtimes: by name, the attributes of each point.
fn points(seen: &Seen) -> BTreeMap<String, Vec<Vec<KeyValue>>> {
    let mut points = BTreeMap::<_, Vec<_>>::new();
    for metric in seen.metrics(|scope| scope == "ringlight.runtime") {
        let of: Vec<_> = match metric.data.unwrap() {
            Data::Gauge(data) => data.data_points.into_iter().map(|p| p.attributes).collect(),
            Data::Sum(data) => data.data_points.into_iter().map(|p| p.attributes).collect(),
            Data::Histogram(data) => data.data_points.into_iter().map(|p| p.attributes).collect(),
            other => panic!("{other:?}"),
        };
        points.entry(metric.name).or_default().extend(of);
    }
    points
}

#[test]
fn runtimes_are_measured_and_told_apart() {
    let backend = Backend::start();
    let (builder, said) = builder();
    let (dispatch, telemetry) = builder
        .otlp_endpoint(backend.url())
        .metric_export_interval(Duration::from_secs(3600))
        .build()
        .unwrap();
    let mut named = Runtimes::new_multi_thread();
    let named = named.worker_threads(2).name("jobs").build().unwrap();
    let nameless = single();
    telemetry.watch_runtime(named.handle());
    telemetry.watch_runtime(nameless.handle());
    let task = WithDispatch(Box::pin(blocking(said)), dispatch);
    named.block_on(async { tokio::spawn(task).await.unwrap() });
    // Until it is seen that the worker goes on, and how late the runtime was.
    let deadline = Instant::now() + LONG;
    let measured = ["tokio.worker.blocked_duration", "tokio.runtime.lag"];
    while !measured
        .iter()
        .all(|name| points(&backend.seen()).contains_key(*name))
    {
        assert!(Instant::now() < deadline);
        nameless.block_on(async { tokio::time::sleep(Duration::from_millis(20)).await });
        telemetry.flush(LONG).unwrap();
    }
    telemetry.shutdown(LONG);
    let points = points(&backend.stop());

    let runtimes = |name: &str| -> BTreeSet<_> {
        let of = points[name].iter();
        of.map(|at| {
            let Some(Value::StringValue(id)) = attribute(at, "tokio.runtime.id") else {
                panic!("{at:?}");
            };
            id
        })
        .collect()
    };
    let ids = BTreeSet::from([named.handle(), nameless.handle()].map(|h| h.id().to_string()));
    for name in [
        "tokio.workers",
        "tokio.alive_tasks",
        "tokio.global_queue_depth",
    ] {
        assert_eq!(runtimes(name), ids, "{name}");
    }
    for name in ["tokio.worker.busy_duration", "tokio.worker.park_count"] {
        let workers: BTreeSet<_> = points[name]
            .iter()
            .map(|at| {
                format!(
                    "{:?}",
                    (
                        attribute(at, "tokio.runtime.id"),
                        attribute(at, "tokio.worker.index")
                    )
                )
            })
            .collect();
        assert_eq!(workers.len(), 3, "{name}: {workers:?}");
    }
    for name in ["tokio.worker.blocked", "tokio.worker.blocked_duration"] {
        let found = points[name].iter().any(|at| {
            attribute(at, "span.name") == text("blocking")
                && attribute(at, "tokio.runtime.name") == text("jobs")
        });
        assert!(found, "{name}: {:?}", points[name]);
    }
}
