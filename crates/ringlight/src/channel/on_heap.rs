//! Futures that are on the heap for no reason of the application's.

use std::pin::Pin;
use std::task::{Context, Poll};

use crate::uncounted::uncounted;

/// A future on the heap, which is no allocation of the span it is made or dropped in; what the future allocates and frees
/// itself is.
#[derive(Debug)]
pub(super) struct OnHeap<F>(Option<Pin<Box<Option<F>>>>);

impl<F> OnHeap<F> {
    pub(super) fn new(future: F) -> Self {
        Self(Some(uncounted(|| Box::pin(Some(future)))))
    }
}

impl<F: Future> Future for OnHeap<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let place = self.0.as_mut();
        match place.and_then(|place| place.as_mut().as_pin_mut()) {
            Some(future) => future.poll(context),
            // It is there until this is dropped.
            None => Poll::Pending,
        }
    }
}

impl<F> Drop for OnHeap<F> {
    fn drop(&mut self) {
        if let Some(mut place) = self.0.take() {
            place.set(None);
            uncounted(|| drop(place));
        }
    }
}
