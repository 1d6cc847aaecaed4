//! What recording needs for itself is no allocation of the spans that are recorded.

/// Runs `body`, in which allocations are not counted.
#[cfg(feature = "profiling-alloc")]
pub(crate) use ringlight_context::uncounted;

/// Runs `body`. Nobody counts allocations in this build.
#[cfg(not(feature = "profiling-alloc"))]
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "it is nothing, and on the way of every record"
)]
pub(crate) fn uncounted<R>(body: impl FnOnce() -> R) -> R {
    body()
}
