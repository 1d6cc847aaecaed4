//! How much a span may hold, of the OpenTelemetry API or of `tracing`, while it is open and after.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod received;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::trace::{
    Event, Link, Span as _, SpanContext, Status, TraceContextExt as _, TraceState, Tracer as _,
};
use opentelemetry::{Context, KeyValue, StringValue, TraceFlags};
use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value::Value};
use ringlight::otel::{Propagator, SpanExt as _, Tracer, TracerProvider};
use ringlight::{LogFormat, RecordSink};
use ringlight_collector::record::Record;
use ringlight_model::CallsiteRegistry;
use ringlight_testing::Backend;
use tracing::dispatcher::with_default;
use tracing::{info, info_span};

use received::received;

#[test]
fn spans_are_limited_as_the_variables_say() {
    let limits = [
        ("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "2"),
        ("OTEL_SPAN_EVENT_COUNT_LIMIT", "2"),
        ("OTEL_SPAN_LINK_COUNT_LIMIT", "1"),
        ("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "1"),
        ("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "1"),
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "4"),
    ];
    let spans = received(
        |builder| builder.environment(limits).span_events(true),
        |tracer| {
            let two = || vec![KeyValue::new("a", 1), KeyValue::new("b", 2)];
            let linked = tracer.in_span("linked", |context| context.span().span_context().clone());
            let event = || Event::new("event", std::time::SystemTime::now(), two(), 0);
            let mut span = tracer
                .span_builder("api")
                .with_attributes((0..3).map(|n| KeyValue::new(format!("k{n}"), "long text")))
                .with_events(vec![event(), event(), event()])
                .with_links(vec![Link::new(linked.clone(), two(), 0)])
                .start(&tracer);
            span.add_event("one more", vec![]);
            span.add_link(linked.clone(), vec![]);
            drop(span);

            let span = info_span!("tracing");
            for n in 0..3 {
                span.set_attribute(format!("k{n}"), "long text");
                span.in_scope(|| info!(a = 1, "event"));
            }
            span.add_event("event", two());
            span.add_link(linked.clone(), two());
            span.add_link(linked, vec![]);
        },
    );
    for name in ["api", "tracing"] {
        let span = spans.iter().find(|span| span.name == name).unwrap();
        assert_eq!(span.attributes.len(), 2, "{name}");
        assert_eq!(span.dropped_attributes_count, 1, "{name}");
        assert!(
            format!("{:?}", span.attributes).contains("\"long…\""),
            "{name}"
        );
        assert_eq!(
            (span.events.len(), span.dropped_events_count),
            (2, 2),
            "{name}"
        );
        assert_eq!(
            (span.links.len(), span.dropped_links_count),
            (1, 1),
            "{name}"
        );
        assert_eq!(span.links[0].attributes.len(), 1, "{name}");
        assert_eq!(span.links[0].dropped_attributes_count, 1, "{name}");
        for event in &span.events {
            assert_eq!(event.attributes.len(), 1, "{name}");
            assert!(event.dropped_attributes_count > 0, "{name}");
        }
    }
}

/// Spans and log records have the same limits; of those for one of them the smaller hold for both. The message
/// is no attribute.
#[test]
fn log_records_are_limited_as_the_variables_say() {
    for of in ["", "SPAN_", "LOGRECORD_"] {
        let limits = [
            (format!("OTEL_{of}ATTRIBUTE_COUNT_LIMIT"), "2"),
            (format!("OTEL_{of}ATTRIBUTE_VALUE_LENGTH_LIMIT"), "4"),
        ];
        let backend = Backend::start();
        let builder = ringlight::builder()
            .environment(limits)
            .log_format(LogFormat::Off)
            .otlp_endpoint(backend.url());
        let (dispatch, telemetry) = builder.build().unwrap();
        with_default(&dispatch, || {
            info!(a = "long text", b = "long text", c = 1, "said");
        });
        telemetry.shutdown(received::LONG);
        let records = backend.stop().log_records();
        assert_eq!(records.len(), 1, "{of}");
        assert_eq!(records[0].attributes.len(), 2, "{of}");
        assert_eq!(records[0].dropped_attributes_count, 1, "{of}");
        assert!(records[0].body.is_some(), "{of}");
        let shown = format!("{:?}", records[0].attributes);
        assert_eq!(shown.matches("\"long…\"").count(), 2, "{of} {shown}");
    }
}

#[test]
fn a_span_as_large_as_can_be_arrives_and_says_what_it_lost() {
    let spans = received(
        |builder| builder,
        |tracer| {
            let text = "x".repeat(1000);
            let mut api = tracer.start("api");
            let tracing = info_span!("tracing");
            for n in 0..100 {
                let attribute = KeyValue::new("text", text.clone());
                api.add_event(format!("event {n}"), vec![attribute.clone()]);
                tracing.add_event(format!("event {n}"), vec![attribute]);
            }
        },
    );
    assert_eq!(spans.len(), 2);
    for span in spans {
        let whole = span
            .events
            .iter()
            .filter(|e| e.dropped_attributes_count == 0);
        assert!(whole.count() > 50, "{}", span.name);
        assert!(span.dropped_events_count > 0, "{}", span.name);
        let events = span.events.len() + span.dropped_events_count as usize;
        assert_eq!(events, 100, "{}", span.name);
    }
}

/// Keeps how many texts of each span were cut.
#[derive(Clone, Default)]
struct Cut(Arc<Mutex<Vec<u8>>>);

impl RecordSink for Cut {
    fn record(&mut self, record: &Record<'_>, _: &CallsiteRegistry) {
        if let Record::Span(span) = record {
            self.0.lock().unwrap().push(span.head().texts_cut());
        }
    }

    fn flush(&mut self) {}
}

/// What is cut of the only span that `body` makes, where texts have four bytes.
fn cut(body: impl FnOnce(Tracer)) -> u8 {
    let cut = Cut::default();
    let limit = [
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "4"),
        ("RUST_LOG", "trace"),
    ];
    let change = |builder: ringlight::Builder| {
        let builder = builder.environment(limit).span_events(true);
        builder.sink(cut.clone())
    };
    let spans = received(change, body);
    assert_eq!(spans.len(), 1);
    let cut = cut.0.lock().unwrap();
    let [cut] = cut[..] else {
        panic!("{cut:?}");
    };
    cut
}

/// A span elsewhere, with a trace state.
fn linked(state: &'static str) -> SpanContext {
    let state = TraceState::from_key_value([("k", state)]).unwrap();
    let flags = TraceFlags::SAMPLED;
    SpanContext::new(1_u128.into(), 2_u64.into(), flags, true, state)
}

#[test]
fn every_text_that_is_cut_is_counted() {
    let long = || vec![KeyValue::new("a", "long text"), KeyValue::new("b", "text")];
    let of_api = |name: &'static str, change: &dyn Fn(&mut ringlight::otel::Span)| {
        cut(|tracer| change(&mut tracer.start(name)))
    };
    let of_tracing = |change: &dyn Fn(&tracing::Span)| cut(|_| change(&info_span!("span")));
    assert_eq!(of_api("span", &|_| {}), 0);
    assert_eq!(of_api("long name", &|_| {}), 1);
    assert_eq!(of_api("span", &|span| span.update_name("long name")), 1);
    assert_eq!(
        of_api("span", &|span| span.set_status(Status::error("failed"))),
        1
    );
    assert_eq!(
        of_api("span", &|span| span.set_attribute(long().remove(0))),
        1
    );
    assert_eq!(
        of_api("span", &|span| span.add_event("happened", long())),
        2
    );
    assert_eq!(of_api("span", &|span| span.add_event("said", vec![])), 0);
    assert_eq!(
        of_api("span", &|span| span.add_link(linked("long"), long())),
        2
    );
    assert_eq!(
        of_api("span", &|span| span.add_link(linked("s"), vec![])),
        0
    );

    assert_eq!(
        of_tracing(&|span| span.set_status(Status::error("failed"))),
        1
    );
    assert_eq!(of_tracing(&|span| span.set_attribute("a", "long text")), 1);
    assert_eq!(of_tracing(&|span| span.add_event("happened", long())), 2);
    assert_eq!(of_tracing(&|span| span.add_link(linked("long"), long())), 2);
    // Its message, its field, its level and its target, which is this file's name.
    let event = |span: &tracing::Span| span.in_scope(|| info!(a = "long text", "happened"));
    assert_eq!(of_tracing(&event), 3);
}

#[test]
fn an_event_of_tracing_says_what_of_it_was_cut() {
    let limit = [
        ("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "4"),
        ("RUST_LOG", "trace"),
    ];
    let spans = received(
        |builder| builder.environment(limit).span_events(true),
        |_| info_span!("span").in_scope(|| info!(a = "long text", "happened")),
    );
    let event = &spans[0].events[0];
    assert_eq!(event.name, "happ\u{2026}");
    let attributes = format!("{:?}", event.attributes);
    assert!(attributes.contains("\"long\u{2026}\""), "{attributes}");
}

#[test]
fn a_link_to_nowhere_is_kept_for_what_it_says() {
    let nowhere = || SpanContext::NONE;
    let said = || vec![KeyValue::new("a", 1)];
    let state = TraceState::from_key_value([("k", "v")]).unwrap();
    let with_state = || {
        let (trace, span) = (0_u128.into(), 0_u64.into());
        SpanContext::new(trace, span, TraceFlags::default(), true, state.clone())
    };
    let links = [
        (nowhere(), vec![]),
        (nowhere(), said()),
        (with_state(), vec![]),
    ];
    let spans = received(
        |builder| builder,
        |tracer| {
            let link = |(context, attributes): &(SpanContext, Vec<KeyValue>)| {
                Link::new(context.clone(), attributes.clone(), 0)
            };
            // `with_links` would leave them out.
            let mut builder = tracer.span_builder("built");
            builder.links = Some(links.iter().map(link).collect());
            drop(builder.start(&tracer));
            let mut added = tracer.start("added");
            let tracing = info_span!("tracing");
            for (context, attributes) in &links {
                added.add_link(context.clone(), attributes.clone());
                tracing.add_link(context.clone(), attributes.clone());
            }
        },
    );
    assert_eq!(spans.len(), 3);
    for span in spans {
        let [said, with_state] = &span.links[..] else {
            panic!("{span:?}");
        };
        assert_eq!(said.attributes.len(), 1, "{}", span.name);
        assert_eq!(with_state.trace_state, "k=v", "{}", span.name);
        assert_eq!(span.dropped_links_count, 0, "{}", span.name);
    }
}

#[test]
fn an_open_span_holds_no_more_than_its_record() {
    let text: Arc<str> = "x".repeat(100_000).into();
    let value = || KeyValue::new("text", StringValue::from(Arc::clone(&text)));
    let spans = received(
        |builder| builder,
        |tracer| {
            let mut span = tracer
                .span_builder("span")
                .with_attributes([value()])
                .with_events(vec![Event::new(
                    "built",
                    std::time::SystemTime::now(),
                    vec![value()],
                    0,
                )])
                .start(&tracer);
            span.add_event("event", (0..1000).map(|_| value()).collect());
            span.add_link(linked("s"), vec![value()]);
            span.set_attribute(value());
            span.set_status(Status::error("x".repeat(100_000)));
            // Nothing of what was given is kept: what of it fits was copied.
            assert_eq!(Arc::strong_count(&text), 1);
        },
    );
    assert_eq!(spans[0].name, "span");
}

#[test]
fn fault_37_thousands_of_members_in_a_request_are_bounded() {
    let members = |count: usize| (0..count).map(|n| format!("k{n}=v")).collect::<Vec<_>>();
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut headers = HashMap::from([
        ("traceparent".to_owned(), traceparent.to_owned()),
        ("tracestate".to_owned(), members(10_000).join(",")),
        ("baggage".to_owned(), members(10_000).join(",")),
    ]);
    headers.extend((0..10_000).map(|n| (format!("uberctx-k{n}"), "v".to_owned())));
    let propagators = if cfg!(feature = "jaeger") {
        &["tracecontext,baggage", "tracecontext,jaeger"][..]
    } else {
        &["tracecontext,baggage"]
    };
    for propagators in propagators {
        let environment = [("OTEL_PROPAGATORS", *propagators)];
        let builder = ringlight::builder().environment(environment);
        let (dispatch, _telemetry) = builder.build().unwrap();
        let propagator = with_default(&dispatch, Propagator::current);
        let context = propagator.extract_with_context(&Context::new(), &headers);
        let span = context.span();
        assert!(span.span_context().is_valid(), "{propagators}");
        let state = span.span_context().trace_state();
        assert_eq!(*state, TraceState::NONE, "{propagators}");
        assert_eq!(context.baggage().len(), 64, "{propagators}");
    }
    headers.insert("tracestate".to_owned(), members(32).join(", "));
    let context = Propagator::current().extract_with_context(&Context::new(), &headers);
    let state = context.span().span_context().trace_state().header();
    assert_eq!(state, members(32).join(","));
}

/// By the limits that hold where none are set.
#[test]
fn fault_30_megabytes_of_text_and_thousands_of_attributes_are_cut() {
    const TEXT_MAX: usize = 32_768;
    let text = "x".repeat(10 << 20);
    let backend = Backend::start();
    let builder = ringlight::builder()
        .environment([("", ""); 0])
        .otlp_endpoint(backend.url())
        .log_format(LogFormat::Off);
    let (dispatch, telemetry) = builder.build().unwrap();
    let tracer = TracerProvider::of(&dispatch).unwrap().tracer("tested");
    with_default(&dispatch, || {
        info_span!("field", text);
        info_span!("set").set_attribute("text", text.clone());
        tracer
            .start("api")
            .set_attribute(KeyValue::new("text", text.clone()));
        info!(text, "log");
        info_span!("name", otel.name = text);
        info!("{text}");

        let many = info_span!("many set");
        let mut many_of_api = tracer.start("many of api");
        for n in 0..10_000 {
            many.set_attribute(format!("k{n}"), n);
            many_of_api.set_attribute(KeyValue::new(format!("k{n}"), n));
        }
        let attributes = (0..10_000).map(|n| KeyValue::new(format!("k{n}"), n));
        drop(
            tracer
                .span_builder("many at once")
                .with_attributes(attributes)
                .start(&tracer),
        );
    });
    let ledger = telemetry.shutdown(received::LONG);
    assert!(ledger.balances(), "{ledger}");
    let seen = backend.stop();
    seen.assert_agrees_with(&ledger);

    let spans = seen.spans();
    let span = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let is_cut = |text: &str| {
        assert!(
            text.ends_with('\u{2026}') && text.len() > TEXT_MAX / 2,
            "{}",
            text.len()
        );
        assert!(
            text.len() <= TEXT_MAX + '\u{2026}'.len_utf8(),
            "{}",
            text.len()
        );
    };
    let is_value_cut = |value: Option<&AnyValue>| match value.and_then(|any| any.value.as_ref()) {
        Some(Value::StringValue(text)) => is_cut(text),
        other => panic!("{other:?}"),
    };
    for name in ["field", "set", "api"] {
        let mut attributes = span(name).attributes.iter();
        let attribute = attributes
            .find(|attribute| attribute.key == "text")
            .unwrap();
        is_value_cut(attribute.value.as_ref());
    }
    is_cut(
        &spans
            .iter()
            .find(|span| span.name.starts_with('x'))
            .unwrap()
            .name,
    );
    let logs = seen.log_records();
    assert_eq!(logs.len(), 2);
    is_value_cut(
        logs[0]
            .attributes
            .iter()
            .find(|a| a.key == "text")
            .unwrap()
            .value
            .as_ref(),
    );
    is_value_cut(logs[1].body.as_ref());
    for name in ["many set", "many of api", "many at once"] {
        let span = span(name);
        assert_eq!(span.attributes.len(), 128, "{name}");
        assert_eq!(span.dropped_attributes_count, 10_000 - 128, "{name}");
    }
    let bytes: usize = seen.requests.iter().map(|request| request.body.len()).sum();
    assert!(bytes < 512 << 10, "{bytes}");
}
