//! What is allocated in spans where trace files are drawn: what that takes is charged to none (Z-6).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[expect(dead_code, reason = "others look at more of a record")]
mod counted;

use counted::{Counts, add, check, sum, telemetry_of};
use ringlight::Builder;
use tracing::info_span;

fn builder() -> Builder {
    let folder = concat!(env!("CARGO_TARGET_TMPDIR"), "/allocations_traced");
    ringlight::builder().trace_file(folder)
}

/// Runs `body` on a thread that has no ring yet.
fn on_new_thread<R: Send + 'static>(body: fn() -> R) -> R {
    telemetry_of(builder);
    std::thread::spawn(body).join().unwrap()
}

fn allocate(seen: &mut Counts) {
    add(seen, || drop(std::hint::black_box(vec![0_u8; 100])));
}

#[test]
fn the_ring_that_a_thread_gets_with_its_first_slice_is_charged_to_no_span() {
    let seen = on_new_thread(|| {
        let mut seen = Counts::default();
        info_span!("alone").in_scope(|| allocate(&mut seen));
        seen
    });
    check("alone", seen, seen);
}

#[test]
fn the_ring_that_a_thread_gets_with_a_span_in_another_is_charged_to_neither() {
    let [outer, inner] = on_new_thread(|| {
        let [mut outer, mut inner] = [Counts::default(); 2];
        info_span!("outer").in_scope(|| {
            allocate(&mut outer);
            info_span!("inner").in_scope(|| allocate(&mut inner));
        });
        [outer, inner]
    });
    check("inner", inner, inner);
    check("outer", outer, sum(&[outer, inner]));
}
