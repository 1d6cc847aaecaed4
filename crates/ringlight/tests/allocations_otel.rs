//! What is allocated in spans, as OTLP, beside layers, and while their contexts are shared with the OpenTelemetry API, each of
//! which takes memory of its own (Z-6).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod counted;
mod received;

use std::hint::black_box;
use std::pin::pin;
use std::task::{Context as TaskContext, Waker};
use std::time::Duration;

use counted::{add, check, recorded, sum, telemetry_of};
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry::trace::{SpanId, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use received::received;
use ringlight::channel::named;
use ringlight::otel::Interop;
use ringlight::{Builder, LogFormat};
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

/// Nor is what is sent and waited for with them: the application does nothing but that.
#[test]
fn exemplars_and_what_channels_tell_are_no_allocations_of_the_span() {
    telemetry_of(|| ringlight::builder().otel_interop(Interop::Always));
    let waker = Waker::noop();
    let mut context = TaskContext::from_waker(waker);
    // Metrics for the sake of measuring: nobody takes them.
    let (_, metrics) = ringlight::builder()
        .environment([("OTEL_METRIC_EXPORT_INTERVAL", "3600000")])
        .otlp_endpoint("http://127.0.0.1:9")
        .log_format(LogFormat::Off)
        .build()
        .unwrap();
    let meter = metrics.meter_provider().unwrap().meter("tested");
    let orders = meter.u64_counter("orders").build();
    let paid = [KeyValue::new("paid", true)];
    orders.add(1, &paid);
    let (jobs, mut taken) = named("told of").spans().mpsc::<u64>(8);
    let (full, mut emptied) = named("full").mpsc::<u64>(1);
    let (answer, mut answered) = named("answer").spans().oneshot::<u64>();
    let (news, mut heard) = named("news").spans().fill_ratio().broadcast::<u64>(8);
    let (mode, mut followed) = named("mode").spans().watch(0);
    // The SDK has then what it keeps, and tokio what a thread that blocks waits with.
    let mut wait = || {
        full.try_send(1).unwrap();
        let mut sending = pin!(full.send(2));
        assert!(sending.as_mut().poll(&mut context).is_pending());
        emptied.try_recv().unwrap();
        assert!(sending.as_mut().poll(&mut context).is_ready());
        assert_eq!(emptied.blocking_recv(), Some(2));
    };
    wait();
    info_span!("measuring").in_scope(|| {
        // More than once, since one takes the place of another.
        (0..20).for_each(|_| orders.add(1, &paid));
    });
    info_span!("sending").in_scope(|| {
        let mut context = TaskContext::from_waker(waker);
        assert!(pin!(jobs.send(7)).poll(&mut context).is_ready());
        jobs.blocking_send(8).unwrap();
        answer.send(9).unwrap();
        news.send(10).unwrap();
        mode.send(11).unwrap();
    });
    info_span!("receiving").in_scope(|| {
        assert_eq!(heard.try_recv(), Ok(10));
        assert_eq!(*followed.borrow_and_update(), 11);
    });
    info_span!("waiting").in_scope(wait);
    assert_eq!((taken.try_recv(), answered.try_recv()), (Ok(7), Ok(9)));
    for name in ["measuring", "sending", "receiving", "waiting"] {
        let fields = recorded(name).fields;
        let counted = fields.iter().any(|field| field.contains("alloc."));
        assert!(!counted, "{name}: {fields:?}");
    }
    metrics.shutdown(Duration::ZERO);
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
