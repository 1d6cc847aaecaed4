//! Waiting for a future on a thread that may block.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use crate::uncounted::uncounted;

/// Panics, as tokio says it, in an asynchronous task.
#[track_caller]
pub(super) fn check_may_block() {
    // There is nothing to wait for, since nobody sends.
    let (_, mut receiver) = uncounted(|| tokio::sync::mpsc::channel::<()>(1));
    let _ = receiver.blocking_recv();
    uncounted(|| drop(receiver));
}

/// Runs the future on this thread, which sleeps while it is pending.
pub(super) fn block_on<F: Future>(mut future: Pin<&mut F>) -> F::Output {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = uncounted(|| Waker::from(Arc::new(Unpark(std::thread::current()))));
    let mut context = Context::from_waker(&waker);
    let output = loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            break output;
        }
        std::thread::park();
    };
    uncounted(|| drop(waker));
    output
}
