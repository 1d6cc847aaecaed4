//! Channels that are counted beside tokio's own. Nothing is done with the messages, so all of the time is the channels'.

use std::hint::black_box;

use anyhow::Result;
use bench_pairs::print_line;
use bench_workload::{Channels, Exchange, Turns, process_cpu_ns};
use clap::{Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Messages of a turn.
const MESSAGES_COUNT: u64 = 20_000;

/// Measures what counting costs on channels.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    work: Work,
}

#[derive(Debug, Subcommand)]
enum Work {
    /// Has both take turns, and prints for each exchange in order what a message took.
    Time {
        /// How often each has its turn.
        rounds: usize,
    },
    /// Does nothing but so many turns of one, for whoever counts their instructions, and prints how many messages that is.
    Repeat {
        exchange: Exchange,
        channels: Channels,
        turns: u64,
    },
}

fn main() -> Result<()> {
    match Arguments::parse().work {
        Work::Time { rounds } => {
            let turns: Result<Vec<Turns>> = Exchange::ALL
                .into_iter()
                .map(|exchange| time(exchange, rounds))
                .collect();
            print_line(&turns?)
        }
        Work::Repeat {
            exchange,
            channels,
            turns,
        } => {
            let runtime = runtime(exchange)?;
            let way = way(exchange, channels);
            for _ in 0..turns {
                way(&runtime);
            }
            print_line(&(turns * MESSAGES_COUNT))
        }
    }
}

fn time(exchange: Exchange, rounds: usize) -> Result<Turns> {
    let runtime = runtime(exchange)?;
    let timed = |channels| {
        let way = black_box(way(exchange, channels));
        let began_ns = process_cpu_ns();
        way(&runtime);
        (process_cpu_ns() - began_ns) as f64 / MESSAGES_COUNT as f64
    };
    let [first, second] = Channels::ALL;
    let mut ways: [&mut dyn FnMut() -> f64; 2] = [&mut || timed(first), &mut || timed(second)];
    Ok(Turns::take(rounds, &mut ways))
}

fn runtime(exchange: Exchange) -> Result<Runtime> {
    let runtime = match exchange.threads_count() {
        1 => Builder::new_current_thread().build(),
        threads_count => Builder::new_multi_thread()
            .worker_threads(threads_count)
            .build(),
    };
    Ok(runtime?)
}

type Way = fn(&Runtime);

fn way(exchange: Exchange, channels: Channels) -> Way {
    match channels {
        Channels::Tokio => plain::way(exchange),
        Channels::Ringlight => counting::way(exchange),
    }
}

/// Each of these is once for tokio's channels and once for those that count, from the same code.
macro_rules! ways {
    ($module:ident, $channels:path) => {
        mod $module {
            use std::hint::black_box;

            use bench_workload::Exchange;
            use tokio::runtime::Runtime;
            use $channels::{broadcast, mpsc, oneshot, watch};

            use super::{MESSAGES_COUNT, Way};

            pub(super) fn way(exchange: Exchange) -> Way {
                match exchange {
                    Exchange::Mpsc => bounded,
                    Exchange::MpscThreads => bounded_spawned,
                    Exchange::MpscMany => many,
                    Exchange::MpscTry => tried,
                    Exchange::Unbounded => unbounded,
                    Exchange::Request => request,
                    Exchange::Oneshot => once,
                    Exchange::Watch => watched,
                    Exchange::Broadcast => broadcast,
                }
            }

            /// One task fills the channel, another one empties it.
            fn bounded(runtime: &Runtime) {
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
            fn bounded_spawned(runtime: &Runtime) {
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

            fn many(runtime: &Runtime) {
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

            /// Without waiting: a message at a time is there.
            fn tried(runtime: &Runtime) {
                let (sender, mut receiver) = mpsc::channel(256);
                runtime.block_on(async {
                    for message in 0..MESSAGES_COUNT {
                        sender.try_send(message).expect("there is a place");
                        black_box(receiver.try_recv().expect("it was sent"));
                    }
                });
            }

            fn unbounded(runtime: &Runtime) {
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
            fn request(runtime: &Runtime) {
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

            fn once(runtime: &Runtime) {
                runtime.block_on(async {
                    for message in 0..MESSAGES_COUNT {
                        let (sender, receiver) = oneshot::channel();
                        sender.send(message).expect("the receiver is there");
                        black_box(receiver.await.expect("it was sent"));
                    }
                });
            }

            fn watched(runtime: &Runtime) {
                let (sender, mut receiver) = watch::channel(0);
                runtime.block_on(async {
                    for message in 0..MESSAGES_COUNT {
                        sender.send(message).expect("the receiver is there");
                        receiver.changed().await.expect("the sender is there");
                        black_box(*receiver.borrow_and_update());
                    }
                });
            }

            fn broadcast(runtime: &Runtime) {
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
