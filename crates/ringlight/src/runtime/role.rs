//! Which threads are workers of which runtime.
//!
//! With `--cfg tokio_unstable` tokio tells which thread a worker runs on, and notes are not read. Without, a
//! thread is known for a worker if it polled a task when it first entered a span, or when it ran the
//! [probe](super::probe) of the runtime. Threads of `spawn_blocking`, and those that call `block_on` of a
//! runtime with many threads, do neither.

use ringlight_context::published_here;
use tokio::runtime::Handle;

/// What stands for a runtime in a thread's note; zero stands for none.
pub(super) fn of(runtime: &Handle) -> u64 {
    // Its text is all that tokio tells of a number.
    runtime.id().to_string().parse().unwrap_or(0)
}

/// The runtime that the calling thread, which is about to publish its spans, is a worker of.
pub(crate) fn role() -> u64 {
    #[cfg(not(tokio_unstable))]
    if let Ok(runtime) = Handle::try_current()
        && is_worker(&runtime)
    {
        return of(&runtime);
    }
    0
}

/// Notes what the calling thread is a worker of.
pub(super) fn note_role(role: u64) {
    if published_here().is_none() {
        crate::subscriber::publish();
    }
    if let Some(place) = published_here() {
        place.set_note(role);
    }
}

#[cfg(not(tokio_unstable))]
fn is_worker(runtime: &Handle) -> bool {
    use tokio::runtime::RuntimeFlavor;

    // What `block_on` polls is no task; on the only thread of a runtime that makes no difference.
    is_polling()
        && (runtime.runtime_flavor() == RuntimeFlavor::CurrentThread
            || tokio::task::try_id().is_some())
}

/// Whether a runtime polls something on the calling thread: only that has a budget that can be used up. It is used
/// up and given back, since nothing less tells.
#[cfg(not(tokio_unstable))]
fn is_polling() -> bool {
    use std::task::{Context, Poll, Waker};
    use tokio::task::coop::{has_budget_remaining, poll_proceed};

    /// More than tokio gives: 128.
    const BUDGET_MAX: usize = 256;

    fn is_bounded(context: &mut Context<'_>, depth: usize) -> bool {
        if !has_budget_remaining() {
            return true;
        }
        if depth == BUDGET_MAX {
            return false;
        }
        match poll_proceed(context) {
            // What was taken last is given back first.
            Poll::Ready(_taken) => is_bounded(context, depth + 1),
            Poll::Pending => true,
        }
    }
    is_bounded(&mut Context::from_waker(Waker::noop()), 0)
}

#[cfg(all(test, not(tokio_unstable)))]
mod tests {
    use tokio::runtime::{Builder, Runtime};
    use tokio::task::coop::{has_budget_remaining, poll_proceed};

    use super::*;

    fn threads() -> std::io::Result<Runtime> {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1).build()
    }

    fn is_role_of(runtime: &Runtime) -> impl Fn(u64) -> bool + use<> {
        let number = of(runtime.handle());
        move |role| role == number
    }

    #[test]
    fn workers_are_told_from_other_threads_of_a_runtime() {
        let runtime = threads().unwrap();
        let is_role = is_role_of(&runtime);
        let handle = runtime.handle().clone();
        assert_eq!(role(), 0);
        runtime.block_on(async {
            assert_eq!(role(), 0, "it is no worker that calls `block_on`");
            assert!(is_role(tokio::spawn(async { role() }).await.unwrap()));
            assert_eq!(tokio::task::spawn_blocking(role).await.unwrap(), 0);
            let in_place = tokio::spawn(async { tokio::task::block_in_place(role) });
            assert_eq!(in_place.await.unwrap(), 0);
        });
        let _entered = handle.enter();
        assert_eq!(role(), 0, "it is a plain thread");
    }

    #[test]
    fn a_runtime_of_one_thread_works_where_it_is_blocked_on() {
        let runtime = Builder::new_current_thread().build().unwrap();
        let is_role = is_role_of(&runtime);
        runtime.block_on(async {
            assert!(is_role(role()));
            assert!(is_role(tokio::spawn(async { role() }).await.unwrap()));
            assert_eq!(tokio::task::spawn_blocking(role).await.unwrap(), 0);
        });
        assert_eq!(role(), 0);
    }

    #[test]
    fn asking_leaves_the_budget_as_it_was() {
        /// How often a task may go on before it is to yield.
        async fn left(ask: bool) -> usize {
            std::future::poll_fn(|context| {
                if ask {
                    assert_ne!(role(), 0);
                }
                let mut count = 0;
                while has_budget_remaining() {
                    if let std::task::Poll::Ready(taken) = poll_proceed(context) {
                        taken.made_progress();
                    }
                    count += 1;
                }
                std::task::Poll::Ready(count)
            })
            .await
        }
        let runtime = threads().unwrap();
        let (without, with) = runtime.block_on(async {
            let without = tokio::spawn(left(false)).await.unwrap();
            (without, tokio::spawn(left(true)).await.unwrap())
        });
        assert!(without > 1);
        assert_eq!(with, without);
    }
}
