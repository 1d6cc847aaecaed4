//! Recording allocates nothing once a thread has its ring, its slots and its buffer (M-7).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod work;

#[test]
fn recording_allocates_nothing() {
    work::check(ringlight::builder());
}
