//! Spans that are entered or left where their context cannot be attached or detached.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod received;

use std::collections::HashMap;

use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{TraceContextExt as _, Tracer as _, get_active_span};
use opentelemetry::{Context, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use ringlight::otel::{Interop, SpanExt as _, Tracer};
use ringlight::{Sampler, TraceContext};
use tracing::{info, info_span};

use received::received;

/// The headers that carry the current context.
fn sent() -> HashMap<String, String> {
    let mut headers = HashMap::new();
    ringlight::otel::inject(|name, value| {
        headers.insert(name.to_owned(), value);
    });
    headers
}

/// The spans by their names.
fn spans(body: impl FnOnce(Tracer)) -> HashMap<String, Span> {
    let spans = received(|builder| builder, body);
    spans.into_iter().map(|s| (s.name.clone(), s)).collect()
}

#[track_caller]
fn check_parent(spans: &HashMap<String, Span>, child: &str, parent: &str) {
    assert_eq!(
        spans[child].parent_span_id, spans[parent].span_id,
        "{child}"
    );
}

/// What the current context names.
fn current() -> Option<TraceContext> {
    Context::map_current(|context| TraceContext::from_span_context(context.span().span_context()))
}

#[test]
fn a_span_entered_where_telemetry_is_suppressed_is_the_parent_of_what_is_opened_in_it() {
    let spans = spans(|tracer| {
        tracer.in_span("root", |_| {
            let _suppressed = Context::enter_telemetry_suppressed_scope();
            info_span!("outer").in_scope(|| {
                info_span!("inner").in_scope(|| drop(info_span!("innermost")));
                let headers = sent();
                let here = TraceContext::current().unwrap();
                assert_eq!(headers["traceparent"], here.to_traceparent());
            });
            drop(info_span!("beside outer"));
        });
    });
    check_parent(&spans, "outer", "root");
    check_parent(&spans, "inner", "outer");
    check_parent(&spans, "innermost", "inner");
    check_parent(&spans, "beside outer", "root");
}

#[test]
fn leaving_a_span_detaches_nothing_but_what_entering_it_attached() {
    let spans = spans(|tracer| {
        info_span!("outer").in_scope(|| {
            let here = TraceContext::current();
            let again = tracing::Span::current();
            {
                let _suppressed = Context::enter_telemetry_suppressed_scope();
                again.in_scope(|| {});
            }
            assert_eq!(current(), here);
            Context::map_current(|_| again.in_scope(|| {}));
            assert_eq!(current(), here);
            drop(tracer.start("inner"));
        });
        assert_eq!(current(), None);
    });
    check_parent(&spans, "inner", "outer");
}

#[test]
fn a_span_entered_where_the_context_is_borrowed_is_the_parent_of_what_is_opened_in_it() {
    let spans = spans(|tracer| {
        Context::map_current(|_| {
            info_span!("alone").in_scope(|| {
                drop(info_span!("in alone"));
                drop(tracer.start("api in alone"));
            });
        });
        tracer.in_span("root", |_| {
            get_active_span(|_| {
                info_span!("outer").in_scope(|| {
                    info_span!("inner").in_scope(|| {
                        drop(info_span!("innermost"));
                        drop(tracer.start("api in inner"));
                    });
                });
                drop(tracer.start("api in root"));
            });
        });
    });
    check_parent(&spans, "in alone", "alone");
    check_parent(&spans, "api in alone", "alone");
    check_parent(&spans, "outer", "root");
    check_parent(&spans, "inner", "outer");
    check_parent(&spans, "innermost", "inner");
    check_parent(&spans, "api in inner", "inner");
    check_parent(&spans, "api in root", "root");
}

#[test]
fn a_span_left_where_the_context_is_borrowed_is_detached_later() {
    let spans = spans(|tracer| {
        let outer = info_span!("outer").entered();
        let here = TraceContext::current();
        let inner = info_span!("inner").entered();
        Context::map_current(|_| drop(inner));
        drop(info_span!("in outer"));
        drop(tracer.start("api in outer"));
        info_span!("next").in_scope(|| {});
        assert_eq!(current(), here);
        Context::map_current(|_| drop(outer));
        drop(info_span!("root"));
        drop(tracer.start("api root"));
        info_span!("another").in_scope(|| {});
        assert_eq!(current(), None);
    });
    for name in ["in outer", "api in outer", "next"] {
        check_parent(&spans, name, "outer");
    }
    for name in ["root", "api root", "another"] {
        assert_eq!(spans[name].parent_span_id, b"", "{name}");
    }
}

#[test]
fn a_closed_span_whose_guard_was_leaked_is_nobodys_parent() {
    let spans = spans(|tracer| {
        let leaked = info_span!("leaked");
        std::mem::forget(leaked.enter());
        drop(leaked);
        drop(tracer.start("api"));
        info_span!("next").in_scope(|| drop(tracer.start("api in next")));
    });
    assert_eq!(spans["api"].parent_span_id, b"");
    assert_eq!(spans["next"].parent_span_id, b"");
    check_parent(&spans, "api in next", "next");
}

#[test]
fn leaked_guards_do_not_keep_contexts_from_being_attached() {
    let _spans = received(
        |builder| builder.sampler(Sampler::always_on()).span_events(false),
        |_| {
            for _ in 0..20_000 {
                let leaked = info_span!("leaked");
                std::mem::forget(leaked.enter());
            }
            let next = info_span!("next");
            let context = next.context();
            let named = TraceContext::from_span_context(context.span().span_context());
            assert!(named.is_some());
            next.in_scope(|| assert_eq!(current(), named));
        },
    );
}

#[test]
fn a_parent_elsewhere_is_not_one_of_what_is_opened_within_a_span() {
    let spans = spans(|_| {
        let _suppressed = Context::enter_telemetry_suppressed_scope();
        info_span!("outer").in_scope(|| {
            let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
            let remote = TraceContext::from_traceparent(header).unwrap();
            drop(remote.parent_of(|| info_span!("inner")));
        });
    });
    check_parent(&spans, "inner", "outer");
}

#[test]
fn a_subscriber_that_shares_nothing_attaches_no_parent_from_elsewhere() {
    let spans = received(
        |builder| builder.otel_interop(Interop::Off),
        |tracer| {
            let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
            let remote = TraceContext::from_traceparent(header).unwrap();
            remote.parent_of(|| {
                assert_eq!(current(), None);
                drop(tracer.start("api"));
                drop(info_span!("tracing"));
            });
        },
    );
    let parent = |name: &str| {
        let mut found = spans.iter().filter(|span| span.name == name);
        found.next().unwrap().parent_span_id.as_slice()
    };
    assert_eq!(parent("api"), b"");
    assert_eq!(parent("tracing"), 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
}

#[test]
fn what_is_not_sampled_has_its_context_all_the_same() {
    let spans = received(
        |builder| builder.sampler(Sampler::always_off()),
        |tracer| {
            let root = info_span!("root");
            let trace = root.in_scope(TraceContext::current).unwrap().trace_id();
            let child = root.in_scope(|| {
                let _attached =
                    Context::current_with_baggage([KeyValue::new("user", "ada")]).attach();
                info_span!("child")
            });
            assert_eq!(root.context().baggage().len(), 0);
            drop(root);
            // The first span here has closed, and its slot is another one's.
            let _other = info_span!("other");
            let grandchild = child.in_scope(|| info_span!("grandchild"));
            drop(child);
            grandchild.in_scope(|| {
                let here = TraceContext::current().unwrap();
                assert_eq!(here.trace_id(), trace);
                let headers = sent();
                assert_eq!(headers["traceparent"], here.to_traceparent());
                assert!(headers["traceparent"].ends_with("-00"));
                assert_eq!(headers["baggage"], "user=ada");
                let of_api = tracer.start("api");
                let named = TraceContext::from_span_context(
                    opentelemetry::trace::Span::span_context(&of_api),
                );
                assert_eq!(named.unwrap().trace_id(), trace);
                assert!(!named.unwrap().is_sampled());
                info!("in grandchild");
            });
        },
    );
    assert_eq!(spans, []);
}
