//! What a push costs, in nanoseconds a record: `cargo bench -p ringlight-ring`.
//!
//! Records have 96 bytes, rings the default size. `alone` drains on the same thread, between the
//! timed stretches; `drained` has a receiver thread that sleeps until it is roused at half a ring;
//! `counted` adds two counter updates a record, as the recording path does; `full` is the refusal.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(
    clippy::expect_used,
    reason = "a benchmark may stop when its set-up fails"
)]

use std::{
    hint::black_box,
    thread,
    time::{Duration, Instant},
};

use ringlight_ring::{RingConfig, RingProducer, channel};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const RECORD: [u8; 96] = [7; 96];
const ROUNDS_COUNT: usize = 15;
const RECORDS_COUNT: u32 = 1_000_000;

fn main() {
    report("alone", alone);
    report("drained", || drained(push));
    report("counted", || drained(push_counted));
    report("full", full);
}

fn report(name: &str, mut round_ns: impl FnMut() -> f64) {
    let mut rounds: Vec<f64> = (0..ROUNDS_COUNT).map(|_| round_ns()).collect();
    rounds.sort_by(f64::total_cmp);
    println!(
        "{name:8} {:6.2} ns a record (median of {ROUNDS_COUNT}; {:.2} to {:.2})",
        rounds[ROUNDS_COUNT / 2],
        rounds[0],
        rounds[ROUNDS_COUNT - 1]
    );
}

fn push(producer: &mut RingProducer) -> bool {
    producer.push(black_box(&RECORD)).is_ok()
}

fn push_counted(producer: &mut RingProducer) -> bool {
    producer.add(0, 1);
    producer.add(1, RECORD.len() as u64);
    push(producer)
}

fn alone() -> f64 {
    const STRETCH: u32 = 1_000;
    let (sender, mut receiver) = channel(RingConfig::default()).expect("the default is valid");
    let mut producer = sender.register().expect("a slot is free");
    let mut spent = Duration::ZERO;
    for _ in 0..RECORDS_COUNT / STRETCH {
        let start = Instant::now();
        for _ in 0..STRETCH {
            black_box(push(&mut producer));
        }
        spent += start.elapsed();
        receiver.drain(usize::MAX, |record| _ = black_box(record.len()));
    }
    spent.as_nanos() as f64 / f64::from(RECORDS_COUNT)
}

/// Time of the pushes only: a ring found full is waited for outside the sum.
fn drained(push: fn(&mut RingProducer) -> bool) -> f64 {
    let (sender, mut receiver) = channel(RingConfig::default()).expect("the default is valid");
    let mut producer = sender.register().expect("a slot is free");
    let wake = receiver.wake_handle();
    let consumer = thread::spawn(move || {
        let mut records = 0;
        while records < u64::from(RECORDS_COUNT) {
            wake.wait_timeout(Duration::from_millis(10));
            while {
                let drained = receiver.drain(usize::MAX, |record| _ = black_box(record.len()));
                records += drained.records;
                drained.more
            } {}
        }
    });
    let mut spent = Duration::ZERO;
    let mut pushed = 0;
    while pushed < RECORDS_COUNT {
        let start = Instant::now();
        while pushed < RECORDS_COUNT && push(&mut producer) {
            pushed += 1;
        }
        spent += start.elapsed();
        if pushed < RECORDS_COUNT {
            producer
                .wait_room(RECORD.len(), Duration::from_secs(1))
                .expect("room is made");
        }
    }
    sender.wake();
    consumer.join().expect("the consumer does not panic");
    spent.as_nanos() as f64 / f64::from(RECORDS_COUNT)
}

fn full() -> f64 {
    let (sender, _receiver) = channel(RingConfig::default()).expect("the default is valid");
    let mut producer = sender.register().expect("a slot is free");
    while push(&mut producer) {}
    let start = Instant::now();
    for _ in 0..RECORDS_COUNT {
        black_box(push(&mut producer));
    }
    start.elapsed().as_nanos() as f64 / f64::from(RECORDS_COUNT)
}
