//! Spans of the OpenTelemetry API and of `tracing` in one process, under the global subscriber, as a
//! backend receives them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{
    Event, FutureExt as _, Link, Span as _, SpanContext, SpanKind, Status, TraceContextExt as _,
    TraceState, Tracer as _, TracerProvider as _,
};
use opentelemetry::{
    Array, Context, InstrumentationScope, KeyValue, StringValue, TraceFlags, Value, global,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value as Received;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue};
use opentelemetry_proto::tonic::trace::v1::{ScopeSpans, Span};
use ringlight::otel::SpanExt as _;
use ringlight::{LogFormat, Telemetry, TraceContext};
use ringlight_testing::{Backend, attribute, text};
use tracing::{Instrument as _, info, info_span};

const LONG: Duration = Duration::from_secs(20);

static STARTED: OnceLock<(Telemetry, Backend)> = OnceLock::new();

/// The one subscriber of this process. Every test has span names of its own.
fn start() -> &'static (Telemetry, Backend) {
    STARTED.get_or_init(|| {
        let backend = Backend::start();
        let telemetry = ringlight::builder()
            .environment([("RUST_LOG", "trace")])
            .otlp_endpoint(backend.url())
            .log_format(LogFormat::Off)
            .span_events(true)
            .init()
            .unwrap();
        (telemetry, backend)
    })
}

fn tracer() -> global::BoxedTracer {
    start();
    global::tracer("tested")
}

/// The spans whose names begin like this, without that, once they have arrived.
fn received(prefix: &str) -> HashMap<String, Span> {
    let (telemetry, backend) = start();
    telemetry.flush(LONG).unwrap();
    let spans = backend.seen().spans();
    let ours = spans.into_iter().filter_map(|span| {
        let name = span.name.strip_prefix(prefix)?.to_owned();
        Some((name, span))
    });
    ours.collect()
}

/// Checks that each is the parent of the next one, and the first a root.
#[track_caller]
fn check_chain(spans: &HashMap<String, Span>, chain: &[&str]) {
    let root = &spans[chain[0]];
    assert_eq!(root.parent_span_id, b"", "{}", chain[0]);
    for pair in chain.windows(2) {
        let (parent, child) = (&spans[pair[0]], &spans[pair[1]]);
        assert_eq!(child.parent_span_id, parent.span_id, "{}", pair[1]);
        assert_eq!(child.trace_id, root.trace_id, "{}", pair[1]);
    }
}

fn current() -> SpanContext {
    Context::map_current(|context| context.span().span_context().clone())
}

#[test]
fn whichever_is_the_innermost_is_the_parent() {
    let tracer = tracer();
    info_span!("a/1").in_scope(|| {
        tracer.in_span("a/2", |_| {
            info_span!("a/3").in_scope(|| {
                tracer.in_span("a/4", |_| {
                    info_span!("a/5").in_scope(|| drop(info_span!("a/6")));
                });
                drop(info_span!("a/beside 4"));
            });
            drop(tracer.start("a/beside 3"));
            info!("in 2");
        });
        drop(info_span!("a/beside 2"));
    });
    tracer.in_span("a/root", |_| {
        info_span!("a/within").in_scope(|| drop(tracer.start("a/innermost")));
    });
    let spans = received("a/");
    check_chain(&spans, &["1", "2", "3", "4", "5", "6"]);
    check_chain(&spans, &["1", "2", "3", "beside 4"]);
    check_chain(&spans, &["1", "2", "beside 3"]);
    check_chain(&spans, &["1", "beside 2"]);
    check_chain(&spans, &["root", "within", "innermost"]);
    let logs = start().1.seen().log_records();
    let text = Some(Received::StringValue("in 2".to_owned()));
    let mut logs = logs.into_iter();
    let log = logs.find(|log| log.body.as_ref().is_some_and(|body| body.value == text));
    let log = log.unwrap();
    assert_eq!(log.span_id, spans["2"].span_id);
    assert_eq!(log.trace_id, spans["2"].trace_id);
    assert_eq!(log.flags, 1);
}

#[test]
fn spans_may_be_left_in_any_order() {
    let tracer = tracer();
    let (one, three) = (info_span!("b/1"), info_span!("b/3"));
    let one = one.entered();
    let two = Context::current_with_span(tracer.start("b/2"));
    let attached = two.attach();
    let three = three.entered();
    drop(one);
    drop(info_span!("b/in 3"));
    drop(attached);
    drop(tracer.start("b/still in 3"));
    drop(three);
    drop(info_span!("b/alone"));
    assert!(!current().is_valid());
    let spans = received("b/");
    check_chain(&spans, &["1", "2"]);
    check_chain(&spans, &["alone"]);
    for name in ["in 3", "still in 3"] {
        assert_eq!(spans[name].parent_span_id, spans["3"].span_id, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tasks_take_their_context_along() {
    /// A span of each kind around and after a point where the thread may change.
    async fn work(n: usize) {
        let tracer = tracer();
        let named = |what: &str| format!("c/{n} {what}");
        tokio::task::yield_now().await;
        let span = tracer.start(named("api"));
        async {
            tokio::task::yield_now().await;
            let span = info_span!("tracing", otel.name = named("tracing"));
            async {
                tokio::task::yield_now().await;
                drop(tracer.start(named("innermost")));
            }
            .instrument(span)
            .await;
            tokio::task::yield_now().await;
            drop(info_span!("sibling", otel.name = named("sibling")));
        }
        .with_context(Context::current_with_span(span))
        .await;
    }
    start();
    let tasks: Vec<_> = (0..50)
        .map(|n| {
            let span = info_span!("task", otel.name = format!("c/{n}"));
            tokio::spawn(work(n).instrument(span))
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let spans = tokio::task::spawn_blocking(|| received("c/"))
        .await
        .unwrap();
    assert_eq!(spans.len(), 50 * 5);
    for n in 0..50 {
        let name = |what: &str| format!("{n} {what}");
        let task = n.to_string();
        check_chain(
            &spans,
            &[&task, &name("api"), &name("tracing"), &name("innermost")],
        );
        check_chain(&spans, &[&task, &name("api"), &name("sibling")]);
    }
}

#[test]
fn a_context_is_a_parent_on_another_thread() {
    let tracer = tracer();
    let root = info_span!("d/root");
    let context = root.in_scope(|| tracer.in_span("d/api", |context| context));
    let tracer = &tracer;
    std::thread::scope(|scope| {
        let context = context.clone();
        scope.spawn(move || {
            let _attached = context.attach();
            info_span!("d/tracing").in_scope(|| drop(tracer.start("d/innermost")));
        });
        // That of the `tracing` span, too, without it being entered there.
        let context = root.context();
        let root = &root;
        scope.spawn(move || {
            let _attached = context.attach();
            drop(info_span!("d/other"));
            let _entered = root.enter();
            drop(tracer.start("d/another"));
        });
    });
    drop((root, context));
    let spans = received("d/");
    check_chain(&spans, &["root", "api", "tracing", "innermost"]);
    check_chain(&spans, &["root", "other"]);
    check_chain(&spans, &["root", "another"]);
}

#[test]
fn baggage_and_trace_state_follow_a_span_wherever_it_is_entered() {
    let tracer = tracer();
    let headers = HashMap::from([
        (
            "traceparent".to_owned(),
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned(),
        ),
        ("tracestate".to_owned(), "vendor=opaque".to_owned()),
        ("baggage".to_owned(), "user=ada".to_owned()),
    ]);
    let context = global::get_text_map_propagator(|p| p.extract(&headers));
    let span = {
        let _attached = context.attach();
        info_span!("e/tracing")
    };
    let sent = std::thread::spawn(move || {
        let _entered = span.enter();
        info_span!("e/inner").in_scope(|| {
            tracer.in_span("e/api", |_| {
                let mut sent = HashMap::new();
                ringlight::otel::inject(|name, value| {
                    sent.insert(name.to_owned(), value);
                });
                sent
            })
        })
    });
    let sent = sent.join().unwrap();
    assert_eq!(sent["tracestate"], "vendor=opaque");
    assert_eq!(sent["baggage"], "user=ada");
    let spans = received("e/");
    assert_eq!(
        spans["tracing"].parent_span_id,
        0x00f0_67aa_0ba9_02b7_u64.to_be_bytes()
    );
    assert_eq!(spans["inner"].parent_span_id, spans["tracing"].span_id);
    assert_eq!(spans["api"].parent_span_id, spans["inner"].span_id);
    for name in ["tracing", "inner", "api"] {
        let trace = 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736_u128;
        assert_eq!(spans[name].trace_id, trace.to_be_bytes());
        assert_eq!(spans[name].trace_state, "vendor=opaque");
        assert_eq!(spans[name].flags & 0xff, 1);
    }
    let api = TraceContext::from_traceparent(&sent["traceparent"]).unwrap();
    assert_eq!(spans["api"].span_id, api.span_id().to_bytes());
}

/// Propagators that know nothing of this crate.
fn third_parties() -> [Box<dyn TextMapPropagator>; 2] {
    [
        Box::new(opentelemetry_sdk::propagation::TraceContextPropagator::new()),
        Box::new(opentelemetry_propagator_b3::Propagator::new()),
    ]
}

#[test]
fn propagators_of_others_see_the_span_and_give_a_parent() {
    let tracer = tracer();
    for (n, propagator) in third_parties().iter().enumerate() {
        let mut headers = HashMap::new();
        info_span!("client", otel.name = format!("f/{n} client"))
            .in_scope(|| propagator.inject(&mut headers));
        let context = propagator.extract(&headers);
        let remote = TraceContext::from_span_context(context.span().span_context()).unwrap();
        let _attached = context.attach();
        assert_eq!(TraceContext::current(), Some(remote));
        info_span!("server", otel.name = format!("f/{n} server"))
            .in_scope(|| drop(tracer.start(format!("f/{n} query"))));
    }
    let spans = received("f/");
    for n in 0..third_parties().len() {
        let name = |what: &str| format!("{n} {what}");
        check_chain(&spans, &[&name("client"), &name("server"), &name("query")]);
    }
}

/// A server behind somebody else's middleware, and a client that asks it: both of the
/// OpenTelemetry API, with `tracing` around and within them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_library_on_the_api_takes_part() {
    use http_body_util::Empty;
    use opentelemetry_http::{Bytes, HeaderInjector};
    use opentelemetry_instrumentation_tower::http::server::LayerBuilder;
    use tower::{Layer as _, ServiceExt as _};

    async fn handle(_: http::Request<()>) -> Result<http::Response<Empty<Bytes>>, fmt::Error> {
        tokio::task::yield_now().await;
        let span = info_span!("l/handler");
        async {
            tokio::task::yield_now().await;
            drop(tracer().start("l/query"));
        }
        .instrument(span)
        .await;
        Ok(http::Response::new(Empty::new()))
    }

    start();
    let layer = LayerBuilder::builder()
        .with_route_extractor_fn(|_: &http::Request<()>| Some("l/".to_owned()))
        .build()
        .unwrap();
    let mut request = http::Request::get("/").body(()).unwrap();
    info_span!("l/client").in_scope(|| {
        global::get_text_map_propagator(|propagator| {
            propagator.inject(&mut HeaderInjector(request.headers_mut()));
        });
    });
    let server = layer.layer(tower::service_fn(handle));
    // Somebody's own span around the server is not in the way of the client's.
    let answered = tokio::spawn(server.oneshot(request).instrument(info_span!("l/around")));
    assert_eq!(answered.await.unwrap().unwrap().status(), 200);

    let spans = tokio::task::spawn_blocking(|| received("")).await.unwrap();
    check_chain(&spans, &["l/client", "GET l/", "l/handler", "l/query"]);
    check_chain(&spans, &["l/around"]);
    assert_eq!(spans["GET l/"].kind, 2);
}

fn array(values: impl IntoIterator<Item = Received>) -> Received {
    let value = |value| AnyValue { value: Some(value) };
    Received::ArrayValue(ArrayValue {
        values: values.into_iter().map(value).collect(),
    })
}

#[test]
fn all_of_a_span_of_the_api_arrives() {
    start();
    let scope = InstrumentationScope::builder("a-library")
        .with_version("1.2.3")
        .with_schema_url("https://opentelemetry.io/schemas/1.37.0")
        .with_attributes([KeyValue::new("kind", "test")])
        .build();
    let tracer = global::tracer_provider().tracer_with_scope(scope.clone());
    let time = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let linked = SpanContext::new(
        7_u128.into(),
        8_u64.into(),
        TraceFlags::SAMPLED,
        true,
        TraceState::from_key_value([("a", "b")]).unwrap(),
    );
    let builder = tracer
        .span_builder("g/first name")
        .with_kind(SpanKind::Producer)
        .with_start_time(time(1000))
        .with_attributes([
            KeyValue::new("text", "first"),
            KeyValue::new("text", "second"),
            KeyValue::new("truth", true),
            KeyValue::new("number", -3),
        ])
        .with_events(vec![Event::new("early", time(1001), vec![], 0)])
        .with_links(vec![Link::new(
            linked.clone(),
            vec![KeyValue::new("l", 1)],
            2,
        )]);
    let mut span = builder.start_with_context(&tracer, &Context::new());
    assert!(span.is_recording());
    span.set_attribute(KeyValue::new("ratio", 0.5));
    span.set_attribute(KeyValue::new(
        "truths",
        array_of(vec![true, false], Array::Bool),
    ));
    span.set_attribute(KeyValue::new("numbers", array_of(vec![1, 2], Array::I64)));
    span.set_attribute(KeyValue::new("ratios", array_of(vec![0.5], Array::F64)));
    let texts = vec![StringValue::from("a"), StringValue::from("b")];
    span.set_attribute(KeyValue::new("texts", array_of(texts, Array::String)));
    span.add_event_with_timestamp("late", time(1002), vec![KeyValue::new("e", "v")]);
    span.record_error(&std::fmt::Error);
    span.add_link(SpanContext::NONE, vec![]);
    span.update_name("g/span");
    span.set_status(Status::error("first"));
    span.set_status(Status::Unset);
    span.set_status(Status::error("second"));
    span.end_with_timestamp(time(1003));
    assert!(!span.is_recording());
    span.set_attribute(KeyValue::new("after", true));
    span.update_name("g/after");
    span.set_status(Status::Ok);
    span.end();
    drop(span);

    let found = received("g/");
    assert_eq!(found.len(), 1);
    let span = &found["span"];
    let nanos = |seconds: u64| seconds * 1_000_000_000;
    assert_eq!(span.start_time_unix_nano, nanos(1000));
    assert_eq!(span.end_time_unix_nano, nanos(1003));
    assert_eq!(span.kind, 4);
    assert_eq!((span.parent_span_id.as_slice(), span.flags), (&b""[..], 1));
    let of = |key: &str| attribute(&span.attributes, key);
    assert_eq!(of("text"), text("second"));
    assert_eq!(of("truth"), Some(Received::BoolValue(true)));
    assert_eq!(of("number"), Some(Received::IntValue(-3)));
    assert_eq!(of("ratio"), Some(Received::DoubleValue(0.5)));
    assert_eq!(
        of("truths"),
        Some(array([true, false].map(Received::BoolValue)))
    );
    assert_eq!(of("numbers"), Some(array([1, 2].map(Received::IntValue))));
    assert_eq!(of("ratios"), Some(array([0.5].map(Received::DoubleValue))));
    assert_eq!(
        of("texts"),
        Some(array(["a", "b"].map(|t| text(t).unwrap())))
    );
    assert_eq!(span.attributes.len(), 8);
    let events: Vec<_> = span
        .events
        .iter()
        .map(|event| event.name.as_str())
        .collect();
    assert_eq!(events, ["early", "late", "exception"]);
    assert_eq!(span.events[1].time_unix_nano, nanos(1002));
    assert_eq!(attribute(&span.events[1].attributes, "e"), text("v"));
    let [link] = &span.links[..] else {
        panic!("{:?}", span.links);
    };
    assert_eq!(link.trace_id, 7_u128.to_be_bytes());
    assert_eq!(link.span_id, 8_u64.to_be_bytes());
    assert_eq!((link.trace_state.as_str(), link.flags & 0xff), ("a=b", 1));
    assert_eq!(link.dropped_attributes_count, 2);
    assert_eq!(
        attribute(&link.attributes, "l"),
        Some(Received::IntValue(1))
    );
    let status = span.status.as_ref().unwrap();
    assert_eq!((status.code, status.message.as_str()), (2, "second"));

    let scopes: Vec<_> = scopes_of("g/span");
    let [received] = &scopes[..] else {
        panic!("{scopes:?}");
    };
    let sent = received.scope.as_ref().unwrap();
    assert_eq!(
        (sent.name.as_str(), sent.version.as_str()),
        (scope.name(), "1.2.3")
    );
    assert_eq!(attribute(&sent.attributes, "kind"), text("test"));
    assert_eq!(received.schema_url, scope.schema_url().unwrap());
}

fn array_of<T>(values: Vec<T>, array: impl FnOnce(Vec<T>) -> Array) -> Value {
    Value::Array(array(values))
}

/// The scopes that spans of this name came in.
fn scopes_of(name: &str) -> Vec<ScopeSpans> {
    let seen = start().1.seen();
    let traces = seen
        .data()
        .filter(|data| data.signal == ringlight::Signal::Traces);
    let resources = traces.flat_map(|data| data.traces().resource_spans);
    let scopes = resources.flat_map(|resource| resource.scope_spans);
    scopes
        .filter(|scope| scope.spans.iter().any(|span| span.name == name))
        .collect()
}

#[test]
fn a_tracing_span_takes_what_the_api_says_of_it() {
    let tracer = tracer();
    let before = SystemTime::now();
    let span = info_span!("h/created", declared = tracing::field::Empty, kept = 1);
    let linked = tracer.in_span("h/linked", |context| context.span().span_context().clone());
    span.add_link(linked.clone(), vec![KeyValue::new("l", 1)]);
    span.set_attribute("declared", 1);
    span.set_attribute("other", 1);
    span.set_attribute("other", "replaced");
    span.in_scope(|| {
        opentelemetry::trace::get_active_span(|active| {
            assert!(active.is_recording());
            assert!(!active.span_context().is_remote());
            active.set_attribute(KeyValue::new("declared", 2));
            active.add_event("happened", vec![KeyValue::new("e", "v")]);
            active.set_status(Status::error("broken"));
            active.update_name("h/span");
            // A `tracing` span ends itself.
            active.end();
        });
        info!(count = 3, "an event");
    });
    let context = span.context();
    drop(span);
    assert!(!context.span().is_recording());
    context.span().set_attribute(KeyValue::new("after", true));

    let spans = received("h/");
    let (span, linked_span) = (&spans["span"], &spans["linked"]);
    let of = |key: &str| attribute(&span.attributes, key);
    assert_eq!(of("declared"), Some(Received::IntValue(2)));
    assert_eq!(of("kept"), Some(Received::IntValue(1)));
    assert_eq!(of("other"), text("replaced"));
    assert_eq!(of("after"), None);
    assert_eq!(span.links[0].span_id, linked_span.span_id);
    assert_eq!(
        attribute(&span.links[0].attributes, "l"),
        Some(Received::IntValue(1))
    );
    let status = span.status.as_ref().unwrap();
    assert_eq!((status.code, status.message.as_str()), (2, "broken"));
    let [happened, event] = &span.events[..] else {
        panic!("{:?}", span.events);
    };
    assert_eq!(happened.name, "happened");
    let since = before.duration_since(UNIX_EPOCH).unwrap().as_nanos();
    assert!(u128::from(happened.time_unix_nano) >= since);
    assert_eq!(event.name, "an event");
    assert_eq!(
        attribute(&event.attributes, "count"),
        Some(Received::IntValue(3))
    );
    assert_eq!(attribute(&event.attributes, "level"), text("INFO"));
    assert_eq!(attribute(&event.attributes, "target"), text("otel"));
}

#[test]
fn what_is_said_of_a_span_that_closes_meanwhile_reaches_no_other() {
    const SPANS: i64 = 2000;
    start();
    let open = |n: i64| {
        let span = info_span!("m/span", n);
        (span.context(), span)
    };
    let (sender, receiver) = std::sync::mpsc::sync_channel::<(i64, Context)>(0);
    let other = std::thread::spawn(move || {
        while let Ok((n, context)) = receiver.recv() {
            // As it closes, its place is taken by the next one.
            for _ in 0..3 {
                context.span().set_attribute(KeyValue::new("said", n));
            }
        }
    });
    for n in 0..SPANS {
        let (context, span) = open(n);
        sender.send((n, context)).unwrap();
        drop(span);
    }
    drop(sender);
    other.join().unwrap();
    start().0.flush(LONG).unwrap();
    let spans = start().1.seen().spans();
    let ours: Vec<_> = spans.iter().filter(|span| span.name == "m/span").collect();
    assert_eq!(ours.len(), SPANS as usize);
    for span in ours {
        let said = attribute(&span.attributes, "said");
        assert!(said.is_none() || said == attribute(&span.attributes, "n"));
    }
}

#[test]
fn suppressed_telemetry_stays_suppressed() {
    let tracer = tracer();
    let outer = info_span!("i/outer");
    tracer.in_span("i/root", |_| {
        let _suppressed = Context::enter_telemetry_suppressed_scope();
        let outside = current();
        let mut span = tracer.start("i/suppressed");
        assert!(!span.is_recording());
        assert_eq!(*span.span_context(), outside);
        span.set_attribute(KeyValue::new("a", 1));
        let _entered = outer.enter();
        assert!(Context::is_current_telemetry_suppressed());
        assert!(!tracer.start("i/also suppressed").is_recording());
    });
    drop(outer);
    let spans = received("i/");
    let mut names: Vec<_> = spans.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["outer", "root"]);
}

#[test]
fn entering_a_span_where_no_context_can_be_attached_is_no_panic() {
    tracer();
    Context::map_current(|_| {
        info_span!("j/outer").in_scope(|| drop(info_span!("j/inner")));
    });
    let spans = received("j/");
    check_chain(&spans, &["outer", "inner"]);
    // Nor does the panic that was caught count as theirs.
    assert!(spans.values().all(|span| span.status.is_none()));
}

#[test]
fn what_opentelemetry_logs_about_contexts_is_recorded() {
    tracer();
    // More are refused and logged, in the midst of attaching.
    let mut attached: Vec<_> = (0..=u16::MAX).map(|_| Context::new().attach()).collect();
    while attached.pop().is_some() {}
    start().0.flush(LONG).unwrap();
    let logs = start().1.seen().log_records();
    assert!(
        logs.iter()
            .any(|log| log.event_name == "Context.AttachFailed")
    );
}

#[test]
fn spans_are_recorded_while_the_locals_of_a_thread_go() {
    struct Late(&'static str);
    impl Drop for Late {
        fn drop(&mut self) {
            let tracer = tracer();
            let span = info_span!("late", otel.name = format!("k/late {}", self.0));
            span.in_scope(|| info!("late"));
            // The API itself cannot be used any more, but for an explicit context.
            let name = format!("k/api {}", self.0);
            drop(tracer.start_with_context(name, &Context::new()));
        }
    }
    thread_local! {
        static LATE: Cell<Option<Late>> = const { Cell::new(None) };
    }
    // Goes last, since it is used first.
    let on_a_thread = |name, use_locals: fn()| {
        let thread = std::thread::spawn(move || {
            LATE.with(|late| late.set(Some(Late(name))));
            use_locals();
        });
        thread.join().unwrap();
    };
    on_a_thread("after spans", || {
        info_span!("k/usual").in_scope(|| drop(tracer().start("k/child")));
    });
    // OpenTelemetry's local goes before this crate's is used for the first time.
    on_a_thread("after a context", || drop(Context::current()));
    let spans = received("k/");
    check_chain(&spans, &["usual", "child"]);
    for name in ["late after spans", "api after spans"] {
        check_chain(&spans, &[name]);
    }
    for name in ["late after a context", "api after a context"] {
        check_chain(&spans, &[name]);
    }
}
