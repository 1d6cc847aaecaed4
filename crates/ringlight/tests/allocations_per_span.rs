//! What is allocated in spans, exactly, whatever becomes of the spans (Z-6).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod counted;

use std::cell::RefCell;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::thread::ThreadId;

use counted::{Counts, add, all_recorded, check, check_record, recorded, sum, telemetry};
use tracing::instrument::Instrumented;
use tracing::{Instrument as _, info_span};

const NONE: Counts = [0; 4];

/// Allocates, grows, shrinks and frees; what is left to free has this many bytes.
fn work(bytes: usize) -> Vec<u8> {
    let mut vec = black_box(Vec::with_capacity(bytes));
    vec.reserve_exact(3 * bytes);
    vec.resize(2 * bytes, 1);
    drop(black_box(vec![0_u8; bytes]));
    vec.truncate(bytes);
    vec.shrink_to_fit();
    vec
}

#[test]
fn nested_spans_have_their_own_and_the_sum() {
    telemetry();
    let [mut outer, mut inner, mut innermost] = [NONE; 3];
    {
        let _outer = info_span!("nested outer", field = "before").entered();
        let kept = add(&mut outer, || work(100));
        {
            let _inner = info_span!("nested inner").entered();
            add(&mut inner, || drop(kept));
            info_span!("nested innermost").in_scope(|| add(&mut innermost, || drop(work(7))));
            info_span!("nested idle").in_scope(|| {});
            add(&mut inner, || drop(work(10)));
        }
        add(&mut outer, || drop(work(1000)));
    }
    assert_eq!(innermost, [4, 7 + 21 + 7 + 7, 4, 7 + 21 + 7 + 7]);
    check("nested innermost", innermost, innermost);
    check("nested inner", inner, sum(&[inner, innermost]));
    check("nested outer", outer, sum(&[outer, inner, innermost]));
    assert_eq!(recorded("nested outer").fields[0], "field=before");
    assert_eq!(
        recorded("nested inner").parent,
        recorded("nested outer").span
    );
    assert_eq!(recorded("nested idle").fields, [""; 0]);
}

#[test]
fn bytes_that_are_freed_may_be_more_than_those_allocated() {
    telemetry();
    let mut seen = NONE;
    let kept = black_box(vec![0_u8; 5000]);
    info_span!("freeing").in_scope(|| add(&mut seen, || drop(kept)));
    assert_eq!(seen, [0, 0, 1, 5000]);
    check("freeing", seen, seen);
}

#[test]
fn nothing_outside_of_spans_is_in_any() {
    telemetry();
    let span = info_span!("around");
    drop(work(10));
    span.in_scope(|| {});
    drop(work(10));
    drop(span);
    drop(work(10));
    assert_eq!(recorded("around").fields, [""; 0]);
}

#[test]
fn reallocations_and_zeroed_memory_are_counted() {
    telemetry();
    let mut seen = NONE;
    info_span!("realloc").in_scope(|| {
        add(&mut seen, || {
            let mut vec = black_box(vec![0_u8; 4096]);
            vec.reserve_exact(100_000);
            vec.truncate(1);
            vec.shrink_to_fit();
            black_box(vec);
        });
    });
    assert_eq!(seen, [3, 4096 + 104_096 + 1, 3, 4096 + 104_096 + 1]);
    check("realloc", seen, seen);
}

#[test]
fn a_span_that_is_entered_several_times_has_the_sum() {
    telemetry();
    let mut seen = NONE;
    let span = info_span!("several times");
    for bytes in 1..50 {
        span.in_scope(|| add(&mut seen, || drop(work(bytes))));
        drop(work(bytes));
    }
    // Within itself.
    span.in_scope(|| {
        add(&mut seen, || drop(work(3)));
        span.in_scope(|| add(&mut seen, || drop(work(4))));
        add(&mut seen, || drop(work(5)));
    });
    drop(span);
    check("several times", seen, seen);
}

#[test]
fn spans_may_be_left_in_any_order() {
    telemetry();
    let [mut first, mut second, mut third] = [NONE; 3];
    let entered = info_span!("order first").entered();
    add(&mut first, || drop(work(10)));
    let entered_second = info_span!("order second").entered();
    add(&mut second, || drop(work(20)));
    let entered_third = info_span!("order third").entered();
    add(&mut third, || drop(work(30)));
    let exited_second = entered_second.exit();
    add(&mut third, || drop(work(40)));
    let exited = entered.exit();
    add(&mut third, || drop(work(50)));
    drop(entered_third);
    drop(work(60));
    drop(exited_second);
    drop(exited);
    check("order third", third, third);
    check("order second", second, sum(&[second, third]));
    check("order first", first, sum(&[first, second, third]));
}

#[test]
fn leaving_a_span_that_was_not_entered_changes_nothing_and_is_counted() {
    let (telemetry, _) = telemetry();
    let exits = telemetry.ledger().unmatched_exits();
    let [mut around, mut other] = [NONE; 2];
    let span = info_span!("not entered");
    let leave = || {
        span.with_subscriber(|(id, dispatch)| dispatch.exit(id));
    };
    leave();
    info_span!("around it").in_scope(|| {
        add(&mut around, || drop(work(10)));
        leave();
        add(&mut around, || drop(work(20)));
    });
    leave();
    span.in_scope(|| add(&mut other, || drop(work(30))));
    leave();
    drop(span);
    // No other test here does such a thing.
    assert_eq!((exits, telemetry.ledger().unmatched_exits()), (0, 4));
    check("around it", around, around);
    check("not entered", other, other);
}

#[test]
fn deeply_nested_spans_have_their_own() {
    const DEPTH: usize = 100;
    telemetry();
    fn descend(depth: usize, sums: &mut Vec<Counts>) {
        let mut seen = NONE;
        let span = info_span!("deep", depth);
        let _entered = span.enter();
        add(&mut seen, || drop(work(depth)));
        if depth < DEPTH {
            descend(depth + 1, sums);
        }
        add(&mut seen, || drop(work(depth)));
        sums.push(seen);
    }
    let mut sums = Vec::with_capacity(DEPTH);
    let root = info_span!("deep root");
    root.in_scope(|| descend(1, &mut sums));
    drop(root);
    // What the vector of spans grew by beyond those at hand is not in them.
    check("deep root", NONE, sum(&sums));
}

#[test]
fn a_panic_that_passes_through_a_span_takes_nothing_away() {
    telemetry();
    let [mut outer, mut inner] = [NONE; 2];
    let span = info_span!("panic outer");
    span.in_scope(|| {
        add(&mut outer, || drop(work(10)));
        let caught = catch_unwind(AssertUnwindSafe(|| {
            let _inner = info_span!("panic inner").entered();
            add(&mut inner, || drop(work(20)));
            let payload = add(&mut inner, || Box::new(()));
            // What unwinding allocates is counted by the oracle as well, up to where the span is left.
            std::panic::resume_unwind(payload);
        }));
        assert!(caught.is_err());
    });
    span.in_scope(|| add(&mut outer, || drop(work(30))));
    drop(span);
    let fields = recorded("panic inner").fields;
    assert!(recorded("panic inner").failed);
    assert!(recorded("panic inner").status_message.is_some());
    let bytes: u64 = number(&fields, "alloc.bytes");
    // The exception object of the unwinder is on top.
    assert!(
        bytes >= inner[1] && bytes < inner[1] + 1000,
        "{bytes} {inner:?}"
    );
    let own: u64 = number(&recorded("panic outer").fields, "alloc.bytes");
    assert_eq!(own, outer[1]);
}

fn number(fields: &[String], name: &str) -> u64 {
    let value = fields
        .iter()
        .find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
    value.unwrap().parse().unwrap()
}

/// A future of which the oracle sees every poll.
struct Watched<F> {
    future: Option<Pin<Box<F>>>,
    seen: Counts,
    threads: Vec<ThreadId>,
}

impl<F: Future> Watched<F> {
    fn new(future: F) -> Self {
        Self {
            future: Some(Box::pin(future)),
            seen: NONE,
            threads: Vec::with_capacity(1000),
        }
    }
}

impl<F: Future> Future for Watched<F> {
    type Output = (Counts, Vec<ThreadId>);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.threads.push(std::thread::current().id());
        let poll = || {
            let future = this.future.as_mut()?;
            let is_ready = future.as_mut().poll(context).is_ready();
            // Dropped here, while it is watched.
            is_ready.then(|| this.future = None)
        };
        match add(&mut this.seen, poll) {
            Some(()) => Poll::Ready((this.seen, std::mem::take(&mut this.threads))),
            None => Poll::Pending,
        }
    }
}

/// Frees after each `pause` what it allocated before.
async fn hold_over<P: Future>(bytes: usize, pauses: usize, pause: impl Fn() -> P) {
    let mut kept = work(bytes);
    for more in 1..=pauses {
        pause().await;
        kept = work(bytes + more);
        async { drop(work(more)) }.await;
    }
    drop(kept);
}

#[test]
fn a_future_that_threads_hand_back_and_forth_has_the_sum() {
    type Handed = Pin<Box<Instrumented<Watched<Pin<Box<dyn Future<Output = ()> + Send>>>>>>;
    fn take_turns(from: &mpsc::Receiver<Handed>, to: &mpsc::Sender<Handed>) -> Option<Counts> {
        let mut context = Context::from_waker(Waker::noop());
        for mut future in from {
            match future.as_mut().poll(&mut context) {
                Poll::Ready((seen, _)) => return Some(seen),
                // The other one is there as long as the future is not ready.
                Poll::Pending => to.send(future).unwrap(),
            }
        }
        None
    }
    telemetry();
    let future: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(hold_over(10, 41, yield_once));
    let future = Box::pin(Watched::new(future).instrument(info_span!("handed over")));
    let (to_second, second) = mpsc::channel();
    let (to_first, first) = mpsc::channel();
    to_first.send(future).unwrap();
    let seen = std::thread::scope(|scope| {
        let one = scope.spawn(move || take_turns(&first, &to_second));
        let other = scope.spawn(move || take_turns(&second, &to_first));
        one.join().unwrap().or(other.join().unwrap())
    });
    let seen = seen.unwrap();
    assert_eq!(seen[0], 4 * (1 + 41 + 41));
    check("handed over", seen, seen);
}

#[test]
fn tasks_that_a_runtime_moves_between_threads_have_their_own() {
    const TASKS: usize = 64;
    telemetry();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .build()
        .unwrap();
    let root = info_span!("tasks");
    let tasks: Vec<_> = (0..TASKS)
        .map(|number| {
            let task = Watched::new(hold_over(number + 1, 200, tokio::task::yield_now));
            runtime.spawn(task.instrument(info_span!(parent: &root, "task", number)))
        })
        .collect();
    let done: Vec<_> = tasks
        .into_iter()
        .map(|task| runtime.block_on(task).unwrap())
        .collect();
    // The spans of the tasks have closed when the workers have ended.
    drop(runtime);
    drop(root);
    let has_moved = |threads: &[ThreadId]| threads.windows(2).any(|two| two[0] != two[1]);
    assert!(done.iter().any(|(_, threads)| has_moved(threads)));
    let seen: Vec<Counts> = done.iter().map(|(seen, _)| *seen).collect();
    check("tasks", NONE, sum(&seen));
    let records = all_recorded("task");
    assert_eq!(records.len(), TASKS);
    for record in records {
        let number = number(&record.fields, "number") as usize;
        check_record(&record, seen[number], seen[number]);
    }
}

/// Pending once.
async fn yield_once() {
    let mut is_ready = false;
    std::future::poll_fn(|_| {
        if std::mem::replace(&mut is_ready, true) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

#[test]
fn children_on_other_threads_are_in_the_total() {
    const THREADS: usize = 8;
    telemetry();
    let parent = info_span!("spread");
    let seen: Vec<Counts> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let parent = &parent;
                scope.spawn(move || {
                    let mut seen = NONE;
                    for bytes in 1..100 {
                        let child = info_span!(parent: parent, "spread child", thread);
                        child.in_scope(|| add(&mut seen, || drop(work(bytes))));
                    }
                    seen
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    drop(parent);
    check("spread", NONE, sum(&seen));
}

#[test]
fn a_span_on_several_threads_at_once_has_the_sum() {
    telemetry();
    let span = info_span!("at once");
    let seen: Vec<Counts> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut seen = NONE;
                    for bytes in 1..200 {
                        span.in_scope(|| add(&mut seen, || drop(work(bytes))));
                    }
                    seen
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).collect()
    });
    drop(span);
    check("at once", sum(&seen), sum(&seen));
}

#[test]
fn a_child_that_outlives_its_parent_is_in_no_total() {
    telemetry();
    let [mut own, mut late] = [NONE; 2];
    let parent = info_span!("short");
    let child = parent.in_scope(|| {
        add(&mut own, || drop(work(10)));
        info_span!("long")
    });
    drop(parent);
    // Others use the slot of the parent in the meantime.
    for _ in 0..200 {
        let other = info_span!("others");
        child.in_scope(|| add(&mut late, || drop(work(20))));
        drop(other);
    }
    drop(child);
    check("short", own, own);
    check("long", late, late);
}

/// Enters a span and allocates as it is dropped.
struct AtTheEnd(mpsc::Sender<Counts>, Vec<u8>);

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        let mut seen = NONE;
        let freed = std::mem::take(&mut self.1);
        info_span!("at the end").in_scope(|| {
            add(&mut seen, || {
                drop(freed);
                drop(work(123));
            });
        });
        // Nobody is left to be told if the test has failed.
        let _ = self.0.send(seen);
    }
}

#[test]
fn fault_41_spans_in_destructors_of_thread_locals_have_their_own() {
    thread_local! {
        static LOCAL: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) };
    }
    telemetry();
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        // Before the thread has any of ours, so that it is dropped after them.
        LOCAL.set(Some(AtTheEnd(sender, vec![0; 500])));
        info_span!("in the thread").in_scope(|| drop(work(1)));
    });
    thread.join().unwrap();
    let seen = receiver.recv().unwrap();
    assert_eq!(seen[3] - seen[1], 500);
    check("at the end", seen, seen);
}
