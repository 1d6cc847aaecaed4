//! What counting costs on channels, beside tokio's own: `cargo bench -p ringlight --bench channel --features profiling`.
//!
//! Nothing is done with the messages, so all of the time is the channels'. The ways take turns, round by round, in one
//! process; each round's ratio is of two runs one after the other.
//!
//! `... -- --instructions` counts instructions instead, by Valgrind, which a busy machine does not disturb. Of two threads
//! it has none: how often they wait for each other is chance. Other arguments are names of rows, for those alone. Where things
//! come to lie in memory is worth some percent and another in each process, so that several are to be run.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(
    clippy::expect_used,
    reason = "a benchmark may stop when its set-up fails"
)]

use std::hint::black_box;
use std::process::Command;

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

            /// Without waiting: a message at a time is there.
            pub(super) fn tried(runtime: &Runtime) {
                let (sender, mut receiver) = mpsc::channel(256);
                runtime.block_on(async {
                    for message in 0..MESSAGES_COUNT {
                        sender.try_send(message).expect("there is a place");
                        black_box(receiver.try_recv().expect("it was sent"));
                    }
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

struct Row {
    name: &'static str,
    threads_count: usize,
    plain: Way,
    counting: Way,
}

macro_rules! rows {
    ($($name:literal, $threads_count:literal, $way:ident;)*) => {
        [$(Row {
            name: $name,
            threads_count: $threads_count,
            plain: plain::$way,
            counting: counting::$way,
        }),*]
    };
}

static ROWS: [Row; 9] = rows![
    "mpsc", 1, bounded;
    "mpsc, two threads", 2, bounded_spawned;
    "mpsc, recv_many", 1, many;
    "mpsc, try_send and try_recv", 1, tried;
    "mpsc, unbounded", 1, unbounded;
    "mpsc and oneshot, there and back", 1, request;
    "oneshot", 1, once;
    "watch", 1, watched;
    "broadcast", 1, broadcast;
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["--run", row, way, rounds] => run(row, way, rounds),
        _ if arguments.contains(&"--instructions") => {
            println!("instructions of a message, tokio's channel and the one that counts:");
            rows(&arguments)
                .filter(|row| row.threads_count == 1)
                .for_each(count_row);
        }
        _ => {
            println!("CPU time of a message, tokio's channel and the one that counts, ns:");
            rows(&arguments).for_each(time_row);
        }
    }
}

/// Those of which the name is among the arguments, or all.
fn rows<'a>(arguments: &'a [&str]) -> impl Iterator<Item = &'static Row> + 'a {
    let is_named = |row: &&Row| arguments.contains(&row.name);
    let is_any = ROWS.iter().any(|row| is_named(&row));
    ROWS.iter().filter(move |row| !is_any || is_named(row))
}

fn runtime(row: &Row) -> Runtime {
    let mut builder = match row.threads_count {
        1 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    if row.threads_count > 1 {
        builder.worker_threads(row.threads_count);
    }
    builder.build().expect("a runtime")
}

/// The medians, and that of the ratios in the same round, with its 95 % confidence interval.
fn time_row(row: &Row) {
    let runtime = runtime(row);
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS_COUNT {
        // Each round begins with the other one.
        if round % 2 == 0 {
            before.push(timed(&runtime, row.plain));
            after.push(timed(&runtime, row.counting));
        } else {
            after.push(timed(&runtime, row.counting));
            before.push(timed(&runtime, row.plain));
        }
    }
    let ratios = sorted(before.iter().zip(&after).map(|(a, b)| b / a).collect());
    let middle = ROUNDS_COUNT / 2;
    // By order statistics: the binomial distribution of the ranks.
    let spread = (0.98 * (ROUNDS_COUNT as f64).sqrt()).ceil() as usize;
    println!(
        "  {:<33} {:>7.1} {:>7.1}   {:>+6.2} % [{:+.2}, {:+.2}]",
        row.name,
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

fn count_row(row: &Row) {
    let [plain, counting] = ["plain", "counting"].map(|way| {
        let of_messages = counted(row, way, 3) - counted(row, way, 1);
        of_messages as f64 / (2 * MESSAGES_COUNT) as f64
    });
    println!(
        "  {:<33} {plain:>7.1} {counting:>7.1}   {:>+5.1} {:>+6.2} %",
        row.name,
        counting - plain,
        percent(counting / plain),
    );
}

/// The instructions of a process that does nothing but so many rounds of one way.
fn counted(row: &Row, way: &str, rounds: usize) -> u64 {
    let program = std::env::current_exe().expect("a path");
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["--run", row.name, way, &rounds.to_string()])
        .output()
        .expect("`valgrind` starts");
    let said = String::from_utf8_lossy(&output.stderr);
    let (_, collected) = said.split_once("Collected :").expect("a count");
    let collected = collected.split_whitespace().next().expect("a count");
    collected.parse().expect("a number")
}

fn run(name: &str, way: &str, rounds: &str) {
    let row = ROWS.iter().find(|row| row.name == name).expect("a row");
    let way = if way == "plain" {
        row.plain
    } else {
        row.counting
    };
    let runtime = runtime(row);
    for _ in 0..rounds.parse().expect("a number") {
        way(&runtime);
    }
}

fn percent(ratio: f64) -> f64 {
    (ratio - 1.0) * 100.0
}
