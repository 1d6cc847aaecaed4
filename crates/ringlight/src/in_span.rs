//! Futures in a span that tells a cancelled one from one that has completed.

use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tracing::Span;
use tracing::instrument::{Instrument as _, Instrumented};

use crate::RinglightSubscriber;

/// The attribute of a span whose future was dropped before it was done.
const CANCELLED: &str = "ringlight.span.cancelled";

/// Runs futures in a span, as `tracing`'s `Instrument` does, and marks the span where the future is
/// cancelled.
///
/// A future is cancelled by dropping it before it is done: its task is aborted, a `select!` or a timeout
/// was quicker, the runtime has ended. The span then has the attribute `ringlight.span.cancelled`, `true`.
/// A panic is none: it makes the span fail.
///
/// ```
/// use ringlight::FutureExt as _;
///
/// # async fn run() {
/// let download = async { /* ... */ };
/// download.in_span(tracing::info_span!("download")).await;
/// # }
/// ```
pub trait FutureExt: Future + Sized {
    /// Enters the span whenever this is polled, and when it is dropped. The span is open as long as this
    /// exists.
    fn in_span(self, span: Span) -> InSpan<Self> {
        InSpan {
            future: self.instrument(span),
            is_pending: true,
        }
    }
}

impl<F: Future> FutureExt for F {}

pin_project! {
    /// A future in a span; see [`FutureExt::in_span`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless they are awaited"]
    pub struct InSpan<F> {
        #[pin]
        future: Instrumented<F>,
        // Whether the future was not done when it was left last; not so while it is polled, since what
        // leaves it then is a panic.
        is_pending: bool,
    }

    impl<F> PinnedDrop for InSpan<F> {
        fn drop(this: Pin<&mut Self>) {
            if this.is_pending {
                mark(this.future.span());
            }
        }
    }
}

impl<F: Future> Future for InSpan<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        *this.is_pending = false;
        let polled = this.future.poll(context);
        *this.is_pending = polled.is_pending();
        polled
    }
}

#[cold]
fn mark(span: &Span) {
    span.with_subscriber(|(id, dispatch)| RinglightSubscriber::mark(dispatch, id, CANCELLED));
}
