//! What counting costs on channels, beside tokio's own: `cargo bench -p ringlight --bench channel --features profiling`.
//!
//! Nothing is done with the messages, so all of the time is the channels'. The ways take turns, round by round, in one
//! process; each round's ratio is of two runs one after the other.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(
    clippy::expect_used,
    reason = "a benchmark may stop when its set-up fails"
)]

use std::hint::black_box;

use rustix::time::{ClockId, clock_gettime};
use tokio::runtime::{Builder, Runtime};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS_COUNT: usize = 201;
const MESSAGES_COUNT: u64 = 20_000;

/// Each of these is once for tokio's channels and once for those that count, from the same code.
macro_rules! ways {
    ($module:ident, $channels:path) => {
        mod $module {
            use std::hint::black_box;

            use tokio::runtime::Runtime;
            use $channels::{broadcast, mpsc, oneshot, watch};

            use super::MESSAGES_COUNT;

            /// One task fills the channel, another one empties it.
            pub(super) fn bounded(runtime: &Runtime) {
                let (sender, mut receiver) = mpsc::channel(256);
                runtime.block_on(async {
                    let sending = async move {
                        for message in 0..MESSAGES_COUNT {
                            sender.send(message).await.expect("the receiver is there");
                        }
                    };
                    let receiving = async {
                        while let Some(message) = receiver.recv().await {
                            black_box(message);
                        }
                    };
                    tokio::join!(sending, receiving);
                });
            }

            /// The same on two threads.
            pub(super) fn bounded_spawned(runtime: &Runtime) {
                let (sender, mut receiver) = mpsc::channel(256);
                runtime.block_on(async {
                    let sending = tokio::spawn(async move {
                        for message in 0..MESSAGES_COUNT {
                            sender.send(message).await.expect("the receiver is there");
                        }
                    });
                    let receiving = tokio::spawn(async move {
                        while let Some(message) = receiver.recv().await {
                            black_box(message);
                        }
                    });
                    sending.await.expect("it does not panic");
                    receiving.await.expect("it does not panic");
                });
            }

            pub(super) fn many(runtime: &Runtime) {
                let (sender, mut receiver) = mpsc::channel(256);
                runtime.block_on(async {
                    let sending = async move {
                        for message in 0..MESSAGES_COUNT {
                            sender.send(message).await.expect("the receiver is there");
                        }
                    };
                    let receiving = async {
                        let mut messages = Vec::with_capacity(64);
                        while receiver.recv_many(&mut messages, 64).await > 0 {
                            black_box(&messages);
                            messages.clear();
                        }
                    };
                    tokio::join!(sending, receiving);
                });
            }

            pub(super) fn unbounded(runtime: &Runtime) {
                let (sender, mut receiver) = mpsc::unbounded_channel();
                runtime.block_on(async {
                    for message in 0..MESSAGES_COUNT {
                        sender.send(message).expect("the receiver is there");
                        if message % 64 == 63 {
                            for _ in 0..64 {
                                black_box(receiver.recv().await);
                            }
                        }
                    }
                });
            }

            /// There and back, a message at a time: each wakes a task.
            pub(super) fn request(runtime: &Runtime) {
                let (sender, mut receiver) = mpsc::channel::<oneshot::Sender<u64>>(16);
                runtime.block_on(async {
                    let asking = async move {
                        for _ in 0..MESSAGES_COUNT {
                            let (answer, answered) = oneshot::channel();
                            sender.send(answer).await.expect("the receiver is there");
                            black_box(answered.await.expect("there is an answer"));
                        }
                    };
                    let answering = async {
                        while let Some(answer) = receiver.recv().await {
                            answer.send(7).expect("somebody waits for it");
                        }
                    };
                    tokio::join!(asking, answering);
                });
            }

            pub(super) fn once(runtime: &Runtime) {
                runtime.block_on(async {
                    for message in 0..MESSAGES_COUNT {
                        let (sender, receiver) = oneshot::channel();
                        sender.send(message).expect("the receiver is there");
                        black_box(receiver.await.expect("it was sent"));
                    }
                });
            }

            pub(super) fn watched(runtime: &Runtime) {
                let (sender, mut receiver) = watch::channel(0);
                runtime.block_on(async {
                    for message in 0..MESSAGES_COUNT {
                        sender.send(message).expect("the receiver is there");
                        receiver.changed().await.expect("the sender is there");
                        black_box(*receiver.borrow_and_update());
                    }
                });
            }

            pub(super) fn broadcast(runtime: &Runtime) {
                let (sender, mut receiver) = broadcast::channel(64);
                runtime.block_on(async {
                    for message in 0..MESSAGES_COUNT {
                        sender.send(message).expect("the receiver is there");
                        black_box(receiver.recv().await.expect("it was sent"));
                    }
                });
            }
        }
    };
}

ways!(plain, tokio::sync);
ways!(counting, ringlight::channel);

type Way = fn(&Runtime);

fn main() {
    let alone = Builder::new_current_thread().build();
    let alone = alone.expect("a runtime");
    let spread = Builder::new_multi_thread().worker_threads(2).build();
    let spread = spread.expect("a runtime");
    println!("CPU time of a message, tokio's channel and the one that counts, ns:");
    let rows: [(&str, &Runtime, Way, Way); 8] = [
        ("mpsc", &alone, plain::bounded, counting::bounded),
        (
            "mpsc, two threads",
            &spread,
            plain::bounded_spawned,
            counting::bounded_spawned,
        ),
        ("mpsc, recv_many", &alone, plain::many, counting::many),
        (
            "mpsc, unbounded",
            &alone,
            plain::unbounded,
            counting::unbounded,
        ),
        (
            "mpsc and oneshot, there and back",
            &alone,
            plain::request,
            counting::request,
        ),
        ("oneshot", &alone, plain::once, counting::once),
        ("watch", &alone, plain::watched, counting::watched),
        ("broadcast", &alone, plain::broadcast, counting::broadcast),
    ];
    for (name, runtime, plain, counting) in rows {
        row(name, runtime, plain, counting);
    }
}

/// The medians, and that of the ratios in the same round, with its 95 % confidence interval.
fn row(name: &str, runtime: &Runtime, plain: Way, counting: Way) {
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS_COUNT {
        // Each round begins with the other one.
        if round % 2 == 0 {
            before.push(timed(runtime, plain));
            after.push(timed(runtime, counting));
        } else {
            after.push(timed(runtime, counting));
            before.push(timed(runtime, plain));
        }
    }
    let ratios = sorted(before.iter().zip(&after).map(|(a, b)| b / a).collect());
    let middle = ROUNDS_COUNT / 2;
    // By order statistics: the binomial distribution of the ranks.
    let spread = (0.98 * (ROUNDS_COUNT as f64).sqrt()).ceil() as usize;
    println!(
        "  {name:<33} {:>7.1} {:>7.1}   {:>+6.2} % [{:+.2}, {:+.2}]",
        sorted(before)[middle],
        sorted(after)[middle],
        percent(ratios[middle]),
        percent(ratios[middle - spread]),
        percent(ratios[middle + spread]),
    );
}

fn timed(runtime: &Runtime, way: Way) -> f64 {
    let began = cpu_nanos();
    black_box(way)(runtime);
    (cpu_nanos() - began) as f64 / MESSAGES_COUNT as f64
}

fn cpu_nanos() -> i64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_by(f64::total_cmp);
    values
}

fn percent(ratio: f64) -> f64 {
    (ratio - 1.0) * 100.0
}
