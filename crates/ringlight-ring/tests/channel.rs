//! The channel seen from outside: framing, limits, fairness, slots, closing, waiting, churn.
#![cfg(not(ringlight_loom))]
#![expect(clippy::unwrap_used, reason = "a test stops where its set-up fails")]

use std::{
    collections::BTreeMap,
    future::Future,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    task::{Context, Poll, Wake as TaskWake, Waker},
    thread,
    time::Duration,
};

use ringlight_ring::{
    COUNTERS, ConfigError, Owner, RegisterError, ReserveError, RingConfig, RingProducer,
    RingReceiver, RingSender, Visited, WaitError, Wake, channel,
};

/// Long enough that only a defect reaches it.
const FOREVER: Duration = Duration::from_secs(600);

/// Fewer under miri, which runs some thousand times slower.
const fn scaled(count: usize) -> usize {
    if cfg!(miri) { count / 200 + 5 } else { count }
}

fn open(ring_bytes: usize, producers_max: usize) -> (RingSender, RingReceiver) {
    channel(RingConfig::new(ring_bytes, producers_max)).unwrap()
}

fn drain_all(receiver: &mut RingReceiver) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    while receiver
        .drain(usize::MAX, |record| records.push(record.to_vec()))
        .more
    {}
    records
}

#[test]
fn refuses_bad_sizes_by_name() {
    for value in [0, 1, 32, 63, 100, 3 << 20, 1 << 31, usize::MAX] {
        let error = channel(RingConfig::new(value, 1)).unwrap_err();
        assert_eq!(error, ConfigError::RingBytes { value });
        assert_eq!(
            error.to_string(),
            format!("`ring_bytes` is {value}, it must be a power of two from 64 to 1073741824")
        );
    }
    for value in [0, 4097, usize::MAX] {
        let error = channel(RingConfig::new(64, value)).unwrap_err();
        assert_eq!(error, ConfigError::ProducersMax { value });
        assert_eq!(
            error.to_string(),
            format!("`producers_max` is {value}, it must be from 1 to 4096")
        );
    }
}

#[test]
fn takes_records_up_to_its_limit_and_says_which_limit() {
    let (sender, mut receiver) = open(256, 1);
    let mut producer = sender.register().unwrap();
    assert_eq!(producer.record_bytes_max(), 120);
    assert_eq!(producer.push(&[1; 121]), Err(ReserveError::TooLarge));
    assert_eq!(
        producer.reserve(usize::MAX).unwrap_err(),
        ReserveError::TooLarge
    );
    assert_eq!(producer.wait_room(121, FOREVER), Err(WaitError::TooLarge));
    // The longest record always fits into an empty ring, wherever the last one ended.
    for lead in 0..40 {
        producer.push(&[0; 3][..lead % 4]).unwrap();
        drain_all(&mut receiver);
        producer.push(&[lead as u8; 120]).unwrap();
        assert_eq!(drain_all(&mut receiver), [[lead as u8; 120]]);
    }
    producer.push(&[1; 120]).unwrap();
    producer.push(&[2; 100]).unwrap();
    assert_eq!(producer.push(&[3; 120]), Err(ReserveError::Full));
    drain_all(&mut receiver);
    assert_eq!(producer.push(&[3; 120]), Ok(()));
}

#[test]
fn commits_less_than_reserved_and_nothing_when_abandoned() {
    let (sender, mut receiver) = open(256, 1);
    let mut producer = sender.register().unwrap();
    let mut record = producer.reserve(40).unwrap();
    assert_eq!(record.as_ptr() as usize % 8, 0);
    record.fill(9);
    record.commit(3).unwrap();
    drop(producer.reserve(40).unwrap());
    producer.reserve(0).unwrap().commit(0).unwrap();
    assert_eq!(drain_all(&mut receiver), [vec![9, 9, 9], vec![]]);
    assert_eq!(receiver.pending_bytes(), 0);
}

#[test]
fn drains_by_turns_within_the_bound() {
    let (sender, mut receiver) = open(1024, 3);
    let mut producers: Vec<_> = (0..3).map(|_| sender.register().unwrap()).collect();
    for (index, producer) in producers.iter_mut().enumerate() {
        // The first one is busier than the others.
        for _ in 0..if index == 0 { 60 } else { 4 } {
            producer.push(&[index as u8; 8]).unwrap();
        }
    }
    assert_eq!(receiver.pending_records(), 68);
    let mut turns = Vec::new();
    loop {
        let mut turn = Vec::new();
        let drained = receiver.drain(32, |record| turn.push(record[0]));
        assert_eq!(
            (drained.records, drained.bytes),
            (turn.len() as u64, turn.len() * 8)
        );
        assert!(drained.bytes <= 32);
        turns.push(turn);
        if !drained.more {
            break;
        }
    }
    // One turn each before the busy one has its second.
    assert_eq!(turns[0], [0; 4]);
    assert_eq!(turns[1], [1; 4]);
    assert_eq!(turns[2], [2; 4]);
    assert!(turns[3..].iter().flatten().all(|index| *index == 0));
    assert_eq!(turns.iter().flatten().count(), 68);
}

#[test]
fn says_of_which_ring_records_are() {
    let (sender, mut receiver) = open(1024, 2);
    sender.overflow(|producer| producer.push(&[0]).unwrap());
    let mut producers = [1_u8, 2].map(|ring| (ring, sender.register().unwrap()));
    // The first one has more than a turn takes.
    for (ring, producer) in &mut producers {
        for _ in 0..if *ring == 1 { 60 } else { 4 } {
            producer.push(&[*ring; 8]).unwrap();
        }
    }
    let (mut turns, mut records) = (Vec::new(), 0);
    let drained = receiver.drain_turns(usize::MAX, |visited| match visited {
        Visited::Turn(ring) => turns.push(ring),
        Visited::Record(record) => {
            assert_eq!(turns.last(), Some(&usize::from(record[0])));
            records += 1;
        }
    });
    assert_eq!((drained.records, records), (65, 65));
    assert!(turns.len() > 3);
    turns.sort_unstable();
    turns.dedup();
    assert_eq!(turns, [0, 1, 2]);
}

#[test]
fn drains_one_record_whatever_the_bound() {
    let (sender, mut receiver) = open(1024, 1);
    let mut producer = sender.register().unwrap();
    producer.push(&[1; 100]).unwrap();
    producer.push(&[2; 100]).unwrap();
    let drained = receiver.drain(0, |_| ());
    assert_eq!(
        (drained.records, drained.bytes, drained.more),
        (1, 100, true)
    );
}

#[test]
fn leaves_what_is_published_during_a_drain_to_the_next() {
    let (sender, mut receiver) = open(1024, 1);
    let mut producer = sender.register().unwrap();
    producer.push(b"first").unwrap();
    let mut visits = 0;
    let drained = receiver.drain(usize::MAX, |_| {
        visits += 1;
        producer.push(b"later").unwrap();
    });
    assert_eq!((visits, drained.more), (1, false));
    assert_eq!(drain_all(&mut receiver), [b"later"]);
}

#[test]
fn a_visit_that_panics_loses_only_its_record() {
    let (sender, mut receiver) = open(1024, 1);
    let mut producer = sender.register().unwrap();
    for value in 0..4 {
        producer.push(&[value]).unwrap();
    }
    let mut seen = Vec::new();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        receiver.drain(usize::MAX, |record| {
            seen.push(record[0]);
            assert_ne!(record[0], 1, "on purpose");
        });
    }));
    assert!(outcome.is_err());
    assert_eq!(seen, [0, 1]);
    assert_eq!(drain_all(&mut receiver), [[2], [3]]);
}

#[test]
fn hands_slots_on_and_keeps_counting() {
    let (sender, mut receiver) = open(256, 2);
    let mut first = sender.register().unwrap();
    let second = sender.register().unwrap();
    assert_eq!(sender.register().unwrap_err(), RegisterError::NoFreeSlot);
    first.add(0, 5);
    first.push(&[1; 100]).unwrap();
    first.push(&[1; 20]).unwrap();
    drop(first);
    // More than half full of what its owner left: not handed on until it is drained.
    assert_eq!(sender.register().unwrap_err(), RegisterError::NoFreeSlot);
    assert_eq!(drain_all(&mut receiver).len(), 2);
    let mut third = sender.register().unwrap();
    third.push(&[3; 8]).unwrap();
    third.add(0, 1);
    drop(third);
    // Less than half full: handed on, and drained in order.
    let mut fourth = sender.register().unwrap();
    fourth.push(&[4; 8]).unwrap();
    fourth.add(0, 1);
    fourth.add(COUNTERS - 1, 2);
    drop(second);
    assert_eq!(drain_all(&mut receiver), [[3; 8], [4; 8]]);
    sender.overflow(|producer| producer.add(0, 10));
    assert_eq!(sender.counter_total(0), 17);
    assert_eq!(sender.counter_total(COUNTERS - 1), 2);
    assert_eq!(sender.counter_total(COUNTERS), 0);
}

#[test]
fn what_was_counted_is_told_apart_by_owner() {
    let (sender, mut receiver) = open(256, 2);
    let rings = |sender: &RingSender| {
        let mut rings = Vec::new();
        sender.visit_rings(|ring| {
            let owner = match ring.owner {
                Owner::Thread(thread) => thread.name.clone(),
                Owner::Shared => "shared".to_owned(),
                Owner::Nobody => "nobody".to_owned(),
            };
            let is_empty = ring.fill_bytes == 0;
            rings.push((owner, ring.counted[3], ring.counted_before[3], is_empty));
        });
        rings
    };
    let named = |name: &str| {
        let builder = std::thread::Builder::new().name(name.to_owned());
        let sender = sender.clone();
        let thread = builder.spawn(move || sender.register().unwrap()).unwrap();
        thread.join().unwrap()
    };
    let of = |owner: &str, counted, before, is_empty| (owner.to_owned(), counted, before, is_empty);
    let mut first = named("first");
    first.add(3, 5);
    first.push(&[1; 8]).unwrap();
    assert_eq!(
        rings(&sender),
        [of("shared", 0, 0, true), of("first", 5, 0, false)]
    );
    drop(first);
    sender.overflow(|producer| producer.add(3, 2));
    assert_eq!(
        rings(&sender),
        [of("shared", 2, 0, true), of("nobody", 0, 5, false)]
    );
    assert_eq!(drain_all(&mut receiver).len(), 1);
    let mut second = named("second");
    second.add(3, 1);
    assert_eq!(
        rings(&sender),
        [of("shared", 2, 0, true), of("second", 1, 5, true)]
    );
    assert_eq!(sender.counter_total(3), 8);
    assert_eq!(sender.memory_bytes(), 2 * sender.ring_bytes());
}

#[test]
fn a_thread_without_a_name_goes_by_its_number() {
    let (sender, _receiver) = open(256, 1);
    let owner = || {
        let mut owners = Vec::new();
        sender.visit_rings(|ring| {
            if let Owner::Thread(thread) = ring.owner {
                owners.push(thread.clone());
            }
        });
        owners.remove(0)
    };
    let (name, id) = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let _producer = sender.register().unwrap();
            let id = format!("{:?}", std::thread::current().id());
            (owner(), id)
        });
        let (owner, id) = thread.join().unwrap();
        assert_eq!(id, format!("ThreadId({})", owner.id));
        (owner.name, owner.id)
    });
    assert_eq!(name, format!("thread {id}"));
    let long = std::thread::Builder::new().name("ä".repeat(100));
    std::thread::scope(|scope| {
        let thread = long.spawn_scoped(scope, || {
            let _producer = sender.register().unwrap();
            owner().name
        });
        assert_eq!(thread.unwrap().join().unwrap(), "ä".repeat(64));
    });
}

thread_local! {
    static LOOKS: std::cell::Cell<u32> = const { std::cell::Cell::new(0) };
}

#[test]
fn a_producer_that_looks_calls_but_not_at_first() {
    let (sender, mut receiver) = open(1 << 20, 1);
    let mut producer = sender.register().unwrap();
    producer.set_on_look(|| LOOKS.set(LOOKS.get() + 1));
    let mut records = 0;
    while LOOKS.get() < 3 {
        producer.push(&[0; 248]).unwrap();
        records += 1;
    }
    // 64 KiB at a time, header included, and the one that does not fit any more.
    assert_eq!(records, 3 * 256 + 1);
    assert_eq!(drain_all(&mut receiver).len(), records);
}

#[test]
fn refuses_everything_after_closing_and_drains_the_rest() {
    let (sender, mut receiver) = open(256, 2);
    let mut producer = sender.register().unwrap();
    producer.push(b"kept").unwrap();
    let reservation = producer.reserve(8).unwrap();
    assert!(!sender.is_closed());
    sender.close();
    sender.close();
    assert!(sender.is_closed() && receiver.is_closed());
    reservation.commit(8).unwrap_err();
    assert_eq!(producer.push(b"late"), Err(ReserveError::Closed));
    assert_eq!(producer.reserve(1).unwrap_err(), ReserveError::Closed);
    assert_eq!(producer.wait_room(1, FOREVER), Err(WaitError::Closed));
    assert_eq!(sender.register().unwrap_err(), RegisterError::Closed);
    assert_eq!(
        sender.overflow(|producer| producer.push(b"late")),
        Err(ReserveError::Closed)
    );
    assert_eq!(drain_all(&mut receiver), [b"kept"]);
}

#[test]
fn closes_when_the_receiver_goes() {
    let (sender, receiver) = open(256, 1);
    let mut producer = sender.register().unwrap();
    producer.push(b"unread").unwrap();
    drop(receiver);
    assert_eq!(producer.push(b"late"), Err(ReserveError::Closed));
    assert!(sender.is_closed());
}

#[test]
fn rouses_the_receiver_at_half_a_ring_and_not_again_until_it_drained() {
    let (sender, mut receiver) = open(1024, 1);
    let mut producer = sender.register().unwrap();
    let wake = receiver.wake_handle();
    // The first record says that there is a new ring.
    producer.push(&[0; 24]).unwrap();
    assert!(wake.wait_timeout(Duration::ZERO));
    // 32 bytes a record with its header: the 17th reservation finds 512 bytes filled.
    for _ in 1..16 {
        producer.push(&[0; 24]).unwrap();
        assert!(!wake.wait_timeout(Duration::ZERO));
    }
    producer.push(&[0; 24]).unwrap();
    assert!(wake.wait_timeout(Duration::ZERO));
    while producer.push(&[0; 24]).is_ok() {}
    assert_eq!(producer.push(&[0; 24]), Err(ReserveError::Full));
    assert!(!wake.wait_timeout(Duration::ZERO));
    assert_eq!(drain_all(&mut receiver).len(), 32);
    for _ in 0..17 {
        producer.push(&[0; 24]).unwrap();
    }
    assert!(wake.wait_timeout(Duration::ZERO));
}

#[test]
fn a_listening_receiver_is_roused_once_by_each_producer() {
    let (sender, mut receiver) = open(1024, 2);
    let mut producers = [sender.register().unwrap(), sender.register().unwrap()];
    let wake = receiver.wake_handle();
    assert!(receiver.listen());
    for producer in &mut producers {
        for is_first in [true, false] {
            producer.push(b"record").unwrap();
            assert_eq!(wake.wait_timeout(Duration::ZERO), is_first);
        }
    }
    assert!(!receiver.listen(), "there are records to be drained");
    assert_eq!(drain_all(&mut receiver).len(), 4);
    assert!(receiver.listen());
    producers[1].rouse_listener();
    assert!(wake.wait_timeout(Duration::ZERO));
    producers[1].rouse_listener();
    producers[1].push(b"record").unwrap();
    assert!(!wake.wait_timeout(Duration::ZERO), "it was roused before");
}

#[test]
fn a_wait_for_room_times_out_on_a_ring_nobody_drains() {
    let (sender, _receiver) = open(64, 1);
    let mut producer = sender.register().unwrap();
    while producer.push(&[0; 16]).is_ok() {}
    assert_eq!(
        producer.wait_room(16, Duration::from_millis(1)),
        Err(WaitError::TimedOut)
    );
    assert_eq!(
        producer.wait_room(16, Duration::ZERO),
        Err(WaitError::TimedOut)
    );
}

#[test]
fn a_task_waits_for_room_and_is_roused_by_a_drain_and_by_the_end() {
    let (sender, mut receiver) = open(64, 1);
    let mut producer = sender.register().unwrap();
    let counting = Arc::new(Counting::default());
    let waker = Waker::from(Arc::clone(&counting));
    let mut context = Context::from_waker(&waker);
    assert_eq!(producer.poll_room(16, &mut context), Poll::Ready(Ok(())));
    let too_large = producer.record_bytes_max() + 1;
    assert_eq!(
        producer.poll_room(too_large, &mut context),
        Poll::Ready(Err(WaitError::TooLarge))
    );
    while producer.push(&[0; 16]).is_ok() {}
    assert_eq!(producer.poll_room(16, &mut context), Poll::Pending);
    assert_eq!(producer.poll_room(16, &mut context), Poll::Pending);
    assert_eq!(counting.0.load(Ordering::SeqCst), 0);
    drain_all(&mut receiver);
    assert_eq!(counting.0.load(Ordering::SeqCst), 1);
    assert_eq!(producer.poll_room(16, &mut context), Poll::Ready(Ok(())));
    while producer.push(&[0; 16]).is_ok() {}
    assert_eq!(producer.poll_room(16, &mut context), Poll::Pending);
    sender.close();
    assert_eq!(counting.0.load(Ordering::SeqCst), 2);
    assert_eq!(
        producer.poll_room(16, &mut context),
        Poll::Ready(Err(WaitError::Closed))
    );
}

#[test]
fn drains_as_many_records_as_it_is_asked_for() {
    let (sender, mut receiver) = open(1024, 2);
    let mut producers = [sender.register().unwrap(), sender.register().unwrap()];
    for producer in &mut producers {
        for sequence in 0..10_u8 {
            producer.push(&[sequence; 8]).unwrap();
        }
    }
    let mut drain = |records_max| {
        let mut visited = 0;
        let drained = receiver.drain_records(records_max, |_| visited += 1);
        assert_eq!(drained.records, visited);
        (drained.records, drained.more)
    };
    assert_eq!(drain(0), (0, true));
    assert_eq!(drain(3), (3, true));
    assert_eq!(drain(16), (16, true));
    assert_eq!(drain(5), (1, false));
    assert_eq!(drain(5), (0, false));
}

/// A waker that counts.
#[derive(Default)]
struct Counting(AtomicU32);

impl TaskWake for Counting {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_wake_stores_one_permit_and_rouses_tasks_and_threads() {
    let wake = Wake::new();
    wake.wake();
    wake.wake();
    assert!(wake.wait_timeout(FOREVER));
    assert!(!wake.wait_timeout(Duration::ZERO));

    let counting = Arc::new(Counting::default());
    let waker = Waker::from(Arc::clone(&counting));
    let mut context = Context::from_waker(&waker);
    let mut notified = pin!(wake.notified());
    assert_eq!(notified.as_mut().poll(&mut context), Poll::Pending);
    wake.clone().wake();
    assert_eq!(counting.0.load(Ordering::SeqCst), 1);
    assert_eq!(notified.as_mut().poll(&mut context), Poll::Ready(()));
    assert_eq!(notified.as_mut().poll(&mut context), Poll::Pending);

    let (asleep, is_asleep) = mpsc::channel();
    let other = wake.clone();
    let thread = thread::spawn(move || {
        asleep.send(()).unwrap();
        other.wait_timeout(Duration::MAX)
    });
    is_asleep.recv().unwrap();
    wake.wake();
    assert!(thread.join().unwrap());
}

/// Receives on its own thread until the channel is closed, and gives every record to `visit`.
fn receive(
    mut receiver: RingReceiver,
    mut visit: impl FnMut(&[u8]) + Send + 'static,
) -> thread::JoinHandle<u64> {
    let wake = receiver.wake_handle();
    thread::spawn(move || {
        let mut records = 0;
        loop {
            let closed = receiver.is_closed();
            let drained = receiver.drain(1 << 14, &mut visit);
            records += drained.records;
            if !drained.more {
                if closed {
                    return records;
                }
                // The timed wait stands for the deadline of a batch.
                wake.wait_timeout(Duration::from_millis(2));
            }
        }
    })
}

/// A record: the producer, its sequence number, and a filling that depends on both.
fn write(record: &mut [u8], producer: u32, sequence: u32) {
    record[..4].copy_from_slice(&producer.to_le_bytes());
    record[4..8].copy_from_slice(&sequence.to_le_bytes());
    record[8..].fill(sequence as u8 ^ producer as u8);
}

/// Checks a record and that it is the next one of its producer.
fn check_next(record: &[u8], next: &mut BTreeMap<u32, u32>) {
    let producer = u32::from_le_bytes(record[..4].try_into().unwrap());
    let sequence = u32::from_le_bytes(record[4..8].try_into().unwrap());
    assert!(
        record[8..]
            .iter()
            .all(|byte| *byte == sequence as u8 ^ producer as u8)
    );
    let expected = next.entry(producer).or_default();
    assert_eq!(sequence, *expected, "of producer {producer}");
    *expected += 1;
}

fn push_waiting(producer: &mut RingProducer, id: u32, sequence: u32) {
    let length = 8 + (sequence as usize * 7 + id as usize) % 90;
    loop {
        match producer.reserve(length) {
            Ok(mut record) => {
                write(&mut record, id, sequence);
                return record.commit(length).unwrap();
            }
            Err(error) => assert_eq!(error, ReserveError::Full),
        }
        producer.wait_room(length, FOREVER).unwrap();
    }
}

/// Sixteen producers of 25 000 records each through small rings: none lost, each in order.
#[test]
fn many_producers_lose_nothing_and_keep_their_order() {
    let producers_count: u32 = if cfg!(miri) { 3 } else { 16 };
    let records_count = scaled(25_000) as u32;
    let (sender, receiver) = open(1 << 12, 16);
    let mut next = BTreeMap::new();
    let consumer = receive(receiver, move |record| check_next(record, &mut next));
    thread::scope(|scope| {
        for id in 0..producers_count {
            let sender = &sender;
            scope.spawn(move || {
                let mut producer = sender.register().unwrap();
                for sequence in 0..records_count {
                    push_waiting(&mut producer, id, sequence);
                    producer.add(0, 1);
                }
            });
        }
    });
    sender.close();
    let expected = u64::from(producers_count * records_count);
    assert_eq!(consumer.join().unwrap(), expected);
    assert_eq!(sender.counter_total(0), expected);
}

/// Ten thousand short-lived threads on four slots and the overflow ring.
#[test]
fn fault_2_thread_churn_loses_nothing() {
    let threads_count = scaled(10_000) as u32;
    const AT_ONCE: u32 = 8;
    const RECORDS_COUNT: u32 = 3;
    let (sender, receiver) = open(1 << 12, 4);
    let mut next = BTreeMap::new();
    let consumer = receive(receiver, move |record| check_next(record, &mut next));
    thread::scope(|scope| {
        for first in 0..AT_ONCE {
            let sender = &sender;
            scope.spawn(move || {
                for id in (first..threads_count).step_by(AT_ONCE as usize) {
                    let sender = sender.clone();
                    thread::spawn(move || {
                        let work = |producer: &mut RingProducer| {
                            for sequence in 0..RECORDS_COUNT {
                                push_waiting(producer, id, sequence);
                                producer.add(1, 1);
                            }
                        };
                        match sender.register() {
                            Ok(mut producer) => work(&mut producer),
                            Err(error) => {
                                assert_eq!(error, RegisterError::NoFreeSlot);
                                sender.overflow(work);
                            }
                        }
                    })
                    .join()
                    .unwrap();
                }
            });
        }
    });
    sender.close();
    let expected = u64::from(threads_count * RECORDS_COUNT);
    assert_eq!(consumer.join().unwrap(), expected);
    assert_eq!(sender.counter_total(1), expected);
}

/// Under drop, with a close in the middle: exactly what returned `Ok` is received.
#[test]
fn closing_under_load_receives_exactly_what_was_accepted() {
    for _ in 0..scaled(200) {
        let (sender, receiver) = open(256, 2);
        let consumer = receive(receiver, |_| ());
        let accepted: u64 = thread::scope(|scope| {
            let threads: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        let work = |producer: &mut RingProducer| {
                            let mut accepted = 0;
                            loop {
                                match producer.push(&[1; 24]) {
                                    Ok(()) => accepted += 1,
                                    Err(ReserveError::Full) => thread::yield_now(),
                                    Err(error) => {
                                        assert_eq!(error, ReserveError::Closed);
                                        return accepted;
                                    }
                                }
                            }
                        };
                        match sender.register() {
                            Ok(mut producer) => work(&mut producer),
                            Err(RegisterError::NoFreeSlot) => sender.overflow(work),
                            Err(_) => 0,
                        }
                    })
                })
                .collect();
            thread::yield_now();
            sender.close();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .sum()
        });
        assert_eq!(consumer.join().unwrap(), accepted);
    }
}
