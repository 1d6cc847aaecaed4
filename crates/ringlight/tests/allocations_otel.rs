//! What is allocated in spans, as OTLP, beside layers, and while their contexts are shared with the OpenTelemetry API, each of
//! which takes memory of its own (Z-6).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod counted;
mod received;

use std::hint::black_box;

use counted::{add, check, recorded, sum, telemetry_of};
use opentelemetry::Context;
use opentelemetry::trace::{SpanId, TraceContextExt as _};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use received::received;
use ringlight::Builder;
use ringlight::otel::Interop;
use tracing::info_span;
use tracing_subscriber::layer::{Identity, SubscriberExt as _};

#[test]
fn contexts_are_no_allocations_of_the_spans_they_name() {
    telemetry_of(|| ringlight::builder().otel_interop(Interop::Always));
    let [mut outer, mut inner] = [[0; 4]; 2];
    let mut named = SpanId::INVALID;
    {
        let _outer = info_span!("outer").entered();
        add(&mut outer, || drop(black_box(vec![1_u8; 10])));
        for _ in 0..100 {
            info_span!("idle").in_scope(|| {});
        }
        {
            let _inner = info_span!("inner").entered();
            Context::map_current(|context| named = context.span().span_context().span_id());
            add(&mut inner, || drop(black_box(vec![1_u8; 20])));
        }
        add(&mut outer, || drop(black_box(vec![1_u8; 30])));
    }
    let is_inner = recorded("inner").span.to_bytes() == named.to_bytes();
    assert!(is_inner, "the context is shared");
    assert_eq!(recorded("inner").parent, recorded("outer").span);
    assert!(!recorded("inner").failed && recorded("inner").status_message.is_none());
    check("inner", inner, inner);
    check("outer", outer, sum(&[outer, inner]));
}

#[test]
fn what_is_allocated_arrives_as_integers() {
    check_received(|builder| builder);
}

#[test]
fn spans_that_layers_want_as_well_have_their_own() {
    check_received(|builder| builder.beside(|registry| registry.with(Identity::new())));
}

fn check_received(change: impl FnOnce(Builder) -> Builder) {
    let spans = received(change, |_| {
        let _parent = info_span!("parent").entered();
        let kept = black_box(vec![1_u8; 1000]);
        info_span!("child").in_scope(|| drop(kept));
    });
    let check = |name: &str, expected: [(&str, i64); 10]| {
        let span = spans.iter().find(|span| span.name == name).unwrap();
        let value = |key: &str| {
            let found = span.attributes.iter().find(|kv| kv.key == key);
            found.unwrap().value.clone().unwrap().value
        };
        for (key, number) in expected {
            assert_eq!(value(key), Some(Value::IntValue(number)), "{name} {key}");
        }
    };
    check(
        "child",
        [
            ("alloc.count", 0),
            ("alloc.bytes", 0),
            ("dealloc.count", 1),
            ("dealloc.bytes", 1000),
            ("alloc.net_bytes", -1000),
            ("alloc.total.count", 0),
            ("alloc.total.bytes", 0),
            ("dealloc.total.count", 1),
            ("dealloc.total.bytes", 1000),
            ("alloc.total.net_bytes", -1000),
        ],
    );
    check(
        "parent",
        [
            ("alloc.count", 1),
            ("alloc.bytes", 1000),
            ("dealloc.count", 0),
            ("dealloc.bytes", 0),
            ("alloc.net_bytes", 1000),
            ("alloc.total.count", 1),
            ("alloc.total.bytes", 1000),
            ("dealloc.total.count", 1),
            ("dealloc.total.bytes", 1000),
            ("alloc.total.net_bytes", 0),
        ],
    );
}
