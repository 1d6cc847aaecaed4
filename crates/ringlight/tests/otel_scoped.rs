//! The OpenTelemetry API under subscribers with settings of their own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod received;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use opentelemetry::Context;
use opentelemetry::trace::{
    Span as _, SpanContext, TraceContextExt as _, Tracer as _, TracerProvider as _,
};
use ringlight::otel::{Interop, SpanExt as _, TracerProvider};
use ringlight::{Clock, ManualTime, RecordSink, Sampler, SamplingRule, TraceContext};
use ringlight_collector::record::{Item, Record};
use ringlight_model::CallsiteRegistry;
use tracing::dispatcher::with_default;
use tracing::{Dispatch, info, info_span};
use tracing_subscriber::layer::SubscriberExt as _;

use received::{LONG, received};

fn sent() -> HashMap<String, String> {
    let mut headers = HashMap::new();
    ringlight::otel::inject(|name, value| {
        headers.insert(name.to_owned(), value);
    });
    headers
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

fn named(context: &SpanContext) -> TraceContext {
    TraceContext::from_span_context(context).unwrap()
}

#[test]
fn what_is_not_sampled_is_not_so_anywhere() {
    let spans = received(
        |builder| builder.sampler(Sampler::always_off()),
        |tracer| {
            let check = |of: &str| {
                let here = TraceContext::current().unwrap();
                assert!(!here.is_sampled(), "{of}");
                assert_eq!(sent()["traceparent"], here.to_traceparent(), "{of}");
                assert!(here.to_traceparent().ends_with("-00"), "{of}");
                here.trace_id()
            };
            info_span!("1").in_scope(|| {
                let trace = check("1");
                tracer.in_span("2", |context| {
                    assert!(!context.span().is_recording());
                    assert_eq!(check("2"), trace);
                    info_span!("3").in_scope(|| {
                        assert_eq!(check("3"), trace);
                        info_span!("4").in_scope(|| {
                            assert_eq!(check("4"), trace);
                            tracer.in_span("5", |_| assert_eq!(check("5"), trace));
                        });
                    });
                    info!("in 2");
                });
            });
            tracer.in_span("root", |_| {
                let trace = check("root");
                let child = info_span!("child");
                let context = child.context();
                assert!(!context.span().is_recording());
                assert_eq!(named(context.span().span_context()).trace_id(), trace);
                // On another thread, within the first span here, which has closed.
                let inner = child.in_scope(|| info_span!("inner"));
                drop(child);
                inner.in_scope(|| drop(tracer.start("innermost")));
            });
        },
    );
    assert_eq!(spans, []);
}

#[test]
fn a_sampled_share_has_no_orphans() {
    let spans = received(
        |builder| builder.sampler(Sampler::trace_id_ratio(0.3).parent_based()),
        |tracer| {
            for n in 0..200 {
                let inner = || tracer.in_span("inner", |_| drop(info_span!("innermost")));
                if n % 2 == 0 {
                    info_span!("root").in_scope(|| tracer.in_span("child", |_| inner()));
                } else {
                    tracer.in_span("root", |_| info_span!("child").in_scope(inner));
                }
            }
        },
    );
    let roots = spans.iter().filter(|span| span.name == "root").count();
    assert!((1..200).contains(&roots), "{roots}");
    assert_eq!(spans.len(), roots * 4);
    let ids: HashSet<_> = spans.iter().map(|span| &span.span_id).collect();
    for span in &spans {
        let is_root = span.parent_span_id.is_empty();
        assert_eq!(is_root, span.name == "root");
        assert!(
            is_root || ids.contains(&span.parent_span_id),
            "{}",
            span.name
        );
    }
}

#[test]
fn a_remote_parent_says_whether_its_trace_is_recorded() {
    let check = |sampler: Sampler, flags: &str, recorded: bool| {
        let spans = received(
            |builder| builder.sampler(sampler),
            |tracer| {
                let header = format!("00-{TRACE}-00f067aa0ba902b7-{flags}");
                let get = |name: &str| (name == "traceparent").then_some(header.as_str());
                let attached = ringlight::otel::extract(get).attach();
                let span = info_span!("tracing");
                let span_of_api = tracer.start("api");
                drop(attached);
                for context in [
                    span.in_scope(TraceContext::current).unwrap(),
                    named(span_of_api.span_context()),
                ] {
                    assert_eq!(context.trace_id().to_string(), TRACE);
                    assert_eq!(context.is_sampled(), recorded);
                }
                // The other way to the same.
                let remote = TraceContext::extract(get).unwrap();
                let span_of_api = remote.parent_of(|| tracer.start("api"));
                let context = named(span_of_api.span_context());
                assert_eq!(context.trace_id().to_string(), TRACE);
                assert_eq!(context.is_sampled(), recorded);
            },
        );
        assert_eq!(spans.len(), if recorded { 3 } else { 0 });
        for span in spans {
            assert_eq!(span.parent_span_id, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
        }
    };
    check(Sampler::always_on().parent_based(), "01", true);
    check(Sampler::always_on().parent_based(), "00", false);
    check(Sampler::always_off().parent_based(), "01", true);
    check(Sampler::always_off(), "01", false);
    check(Sampler::always_on(), "00", true);
}

#[test]
fn rules_are_about_names_and_scopes_of_the_api_too() {
    let rules = |target: &str| {
        [
            SamplingRule::always_off().span_name("health"),
            SamplingRule::always_off().target(target),
        ]
    };
    let check = |target: &str, expected: &[&str]| {
        let spans = received(
            |builder| builder.sampling_rules(rules(target)),
            |tracer| {
                tracer.in_span("health", |_| drop(info_span!("within")));
                drop(tracer.start("work"));
            },
        );
        let names: Vec<_> = spans.iter().map(|span| span.name.as_str()).collect();
        assert_eq!(names, expected);
    };
    check("other", &["work"]);
    check("tested", &[]);
}

/// Keeps whether the parents of spans are elsewhere, by their names.
#[derive(Clone, Default)]
struct Parents(Arc<Mutex<HashMap<String, bool>>>);

impl RecordSink for Parents {
    fn record(&mut self, record: &Record<'_>, callsites: &CallsiteRegistry) {
        if let Record::Span(span) = record {
            let callsite = callsites.lookup(span.callsite().unwrap()).unwrap();
            let name = span.items().find_map(|item| match item {
                Item::Name(name) => Some(name.to_str().into_owned()),
                _ => None,
            });
            let name = name.unwrap_or_else(|| callsite.name.to_owned());
            let is_remote = span.head().has_remote_parent();
            self.0.lock().unwrap().insert(name, is_remote);
        }
    }

    fn flush(&mut self) {}
}

#[test]
fn only_a_parent_in_another_process_counts_as_remote() {
    let parents = Parents::default();
    let spans = received(
        |builder| builder.sink(parents.clone()),
        |tracer| {
            let header = format!("00-{TRACE}-00f067aa0ba902b7-01");
            let get = |name: &str| (name == "traceparent").then_some(header.as_str());
            let attached = ringlight::otel::extract(get).attach();
            info_span!("remote tracing").in_scope(|| drop(tracer.start("api in tracing")));
            tracer.in_span("remote api", |_| drop(info_span!("tracing in api")));
            drop(attached);
            tracer.in_span("root", |_| {});
        },
    );
    assert_eq!(spans.len(), 5);
    let parents = parents.0.lock().unwrap();
    assert_eq!(parents.len(), spans.len());
    for (name, is_remote) in &*parents {
        assert_eq!(*is_remote, name.starts_with("remote"), "{name}");
    }
}

#[test]
fn contexts_that_are_not_to_be_shared_are_not() {
    let spans = received(
        |builder| builder.otel_interop(Interop::Off),
        |tracer| {
            info_span!("tracing").in_scope(|| {
                assert!(!Context::current().has_active_span());
                tracer.in_span("api", |_| drop(info_span!("child")));
            });
        },
    );
    let span = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    assert_eq!(span("api").parent_span_id, b"");
    assert_eq!(span("child").parent_span_id, span("tracing").span_id);
}

#[test]
fn contexts_are_shared_beside_other_layers() {
    let everything = || tracing_subscriber::fmt::layer().with_writer(std::io::sink);
    let spans = received(
        |builder| builder.beside(move |registry| registry.with(everything())),
        |tracer| {
            let outer = info_span!("outer");
            outer.in_scope(|| {
                tracer.in_span("api", |_| {
                    let inner = info_span!("inner");
                    inner.set_attribute("said", 1);
                    let here = inner.in_scope(TraceContext::current).unwrap();
                    assert_eq!(named(inner.context().span().span_context()), here);
                });
            });
        },
    );
    let span = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    assert_eq!(span("api").parent_span_id, span("outer").span_id);
    assert_eq!(span("inner").parent_span_id, span("api").span_id);
    assert_eq!(span("inner").attributes.len(), 1);
}

#[test]
fn fault_8_spans_of_the_api_last_as_long_as_they_took_whatever_the_wall_clock_does() {
    const SECOND: u64 = 1_000_000_000;
    const HOUR: u64 = 3600 * SECOND;
    let times = ManualTime::default();
    times.set_wall(1000 * HOUR);
    let clock = Clock::manual(times.clone());
    let at = |second: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
    let spans = received(
        |builder| builder.clock(clock),
        |tracer| {
            let mut jumped = tracer.start("jumped");
            let told_its_start = tracer.span_builder("told its start");
            let told_its_start = told_its_start.with_start_time(at(1000 * 3600));
            let mut told_its_start = tracer.build(told_its_start);
            times.pass(2 * SECOND);
            times.set_wall(999 * HOUR);
            times.pass(3 * SECOND);
            jumped.end();
            told_its_start.end();
            let mut told_both =
                tracer.build(tracer.span_builder("told both").with_start_time(at(7)));
            told_both.end_with_timestamp(at(6));
        },
    );
    let times = |name: &str| {
        let span = spans.iter().find(|span| span.name == name).unwrap();
        (span.start_time_unix_nano, span.end_time_unix_nano)
    };
    assert_eq!(times("jumped"), (1000 * HOUR, 1000 * HOUR + 5 * SECOND));
    // Whoever gives one of the times gets what it makes of the other, and no less than nothing.
    assert_eq!(times("told its start"), (1000 * HOUR, 1000 * HOUR));
    assert_eq!(times("told both"), (7 * SECOND, 7 * SECOND));
}

#[test]
fn fault_8_events_and_ends_lie_in_their_span_whatever_the_wall_clock_does() {
    const SECOND: u64 = 1_000_000_000;
    const HOUR: u64 = 3600 * SECOND;
    let times = ManualTime::default();
    times.set_wall(1000 * HOUR);
    let clock = Clock::manual(times.clone());
    let mut longest = Duration::ZERO;
    let spans = received(
        |builder| builder.clock(clock).otel_interop(Interop::Always),
        |tracer| {
            let mut own = tracer.start("own");
            let boxed = Context::new().with_span(tracer.start("boxed"));
            let macros = info_span!("macros");
            let context = macros.context();
            times.pass(2 * SECOND);
            times.set_wall(999 * HOUR);
            own.add_event("event", vec![]);
            macros.add_event("event", vec![]);
            // Here OpenTelemetry reads the wall clock, and some time passes until it hands that over.
            let began = Instant::now();
            boxed.span().add_event("event", vec![]);
            context.span().add_event("event", vec![]);
            times.pass(3 * SECOND);
            boxed.span().end();
            longest = began.elapsed();
            let given = SystemTime::UNIX_EPOCH + Duration::from_secs(7);
            own.add_event_with_timestamp("given", given, vec![]);
            own.end();
        },
    );
    let span = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let check = |found: u64, expected: u64| {
        let earliest = expected - u64::try_from(longest.as_nanos()).unwrap();
        assert!((earliest..=expected).contains(&found), "{found}");
    };
    for (name, events) in [("own", 2), ("boxed", 1), ("macros", 2)] {
        let span = span(name);
        assert_eq!(span.events.len(), events, "{name}");
        assert_eq!(span.start_time_unix_nano, 1000 * HOUR);
        check(span.events[0].time_unix_nano, 1000 * HOUR + 2 * SECOND);
        check(span.end_time_unix_nano, 1000 * HOUR + 5 * SECOND);
    }
    check(
        span("macros").events[1].time_unix_nano,
        1000 * HOUR + 2 * SECOND,
    );
    // A time of somebody's own is left as it is.
    assert_eq!(span("own").events[1].time_unix_nano, 7 * SECOND);
}

#[test]
fn nothing_is_recorded_for_nobody() {
    let none: [(&str, &str); 0] = [];
    let (dispatch, telemetry) = ringlight::builder().environment(none).build().unwrap();
    let tracer = TracerProvider::of(&dispatch).unwrap().tracer("tested");
    with_default(&dispatch, || {
        let span = tracer.start("span");
        assert!(!span.is_recording());
        assert!(span.span_context().is_valid());
    });
    let ledger = telemetry.shutdown(LONG);
    assert_eq!(ledger.account(ringlight::Signal::Traces).submitted, 0);
    assert!(TracerProvider::of(&Dispatch::none()).is_none());
}
