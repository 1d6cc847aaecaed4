//! What is allocated in spans while their contexts are shared with the OpenTelemetry API, each of which takes
//! memory of its own (Z-6).

mod counted;

use std::hint::black_box;

use counted::{add, check, recorded, sum, telemetry_of};
use opentelemetry::Context;
use opentelemetry::trace::{SpanId, TraceContextExt as _};
use ringlight::otel::Interop;
use tracing::info_span;

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
