//! Models of the real ring, channel and wake-up, explored by loom.
//!
//! Run with `RUSTFLAGS="--cfg ringlight_loom" cargo test -p ringlight-ring --test loom --release`
//! and a target folder of its own. Bounds: two or three threads, rings of 64 bytes (each holds two
//! of the records below), at most three preemptions an execution (threads that block or end switch
//! freely), every value a load may return. loom does not let a timed wait time out, so a wake-up
//! that is lost shows as a deadlock.
#![cfg(ringlight_loom)]
#![expect(clippy::unwrap_used, reason = "a model stops where its set-up fails")]

use std::time::Duration;

use loom::thread;
use ringlight_ring::{
    RegisterError, ReserveError, RingConfig, RingProducer, RingReceiver, RingSender, WaitError,
    Wake, channel,
};

/// Longer than a model runs; loom never lets it pass.
const FOREVER: Duration = Duration::from_secs(1);

/// Preemptions an execution may have. All defects put into the code on purpose showed with three.
const PREEMPTIONS_MAX: usize = 3;

fn model(run: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS_MAX);
    builder.max_branches = 10_000;
    builder.check(run);
}

fn small(producers_max: usize) -> (RingSender, RingReceiver) {
    channel(RingConfig::new(64, producers_max)).unwrap()
}

/// A record of 16 bytes, 24 with its header, in which no two words are alike.
fn push(producer: &mut RingProducer, value: u64) -> Result<(), ReserveError> {
    let mut record = producer.reserve(16)?;
    record[..8].copy_from_slice(&value.to_le_bytes());
    record[8..].copy_from_slice(&(!value).to_le_bytes());
    record.commit(16).map_err(|_| ReserveError::Closed)
}

fn drain(receiver: &mut RingReceiver) -> Vec<u64> {
    let mut values = Vec::new();
    receiver.drain(usize::MAX, |record| {
        let value = u64::from_le_bytes(record[..8].try_into().unwrap());
        assert_eq!(
            u64::from_le_bytes(record[8..16].try_into().unwrap()),
            !value,
            "torn record"
        );
        values.push(value);
    });
    values
}

/// An urgent record finds the headroom that ordinary ones leave, and both come out in order.
#[test]
fn headroom() {
    model(|| {
        let config = RingConfig::new(64, 1).with_headroom(16);
        let (sender, mut receiver) = channel(config).unwrap();
        let mut producer = sender.register().unwrap();
        let thread = thread::spawn(move || {
            let mut pushed = Vec::new();
            for value in 0..4 {
                if push(&mut producer, value).is_ok() {
                    pushed.push(value);
                } else if let Ok(mut record) = producer.reserve_urgent(16) {
                    record[..8].copy_from_slice(&value.to_le_bytes());
                    record[8..].copy_from_slice(&(!value).to_le_bytes());
                    record.commit(16).unwrap();
                    pushed.push(value);
                }
            }
            pushed
        });
        let mut drained = drain(&mut receiver);
        drained.extend(drain(&mut receiver));
        let pushed = thread.join().unwrap();
        drained.extend(drain(&mut receiver));
        assert_eq!(drained, pushed);
        assert!(pushed.starts_with(&[0, 1]));
    });
}

/// Records come out complete and in order while the ring wraps and fills up.
#[test]
fn publish_and_drain() {
    model(|| {
        let (sender, mut receiver) = small(1);
        let mut producer = sender.register().unwrap();
        let thread = thread::spawn(move || {
            let mut pushed = Vec::new();
            for value in 0..5 {
                match push(&mut producer, value) {
                    Ok(()) => pushed.push(value),
                    Err(error) => assert_eq!(error, ReserveError::Full),
                }
            }
            pushed
        });
        let mut drained = drain(&mut receiver);
        drained.extend(drain(&mut receiver));
        let pushed = thread.join().unwrap();
        drained.extend(drain(&mut receiver));
        assert_eq!(drained, pushed);
    });
}

/// A reservation that is dropped publishes nothing and leaves the ring usable.
#[test]
fn abandoned_reservation() {
    model(|| {
        let (sender, mut receiver) = small(1);
        let mut producer = sender.register().unwrap();
        let thread = thread::spawn(move || {
            producer.reserve(24).unwrap().fill(0xff);
            push(&mut producer, 1).unwrap();
        });
        let mut drained = drain(&mut receiver);
        thread.join().unwrap();
        drained.extend(drain(&mut receiver));
        assert_eq!(drained, [1]);
    });
}

/// Closing races with pushing: what returned `Ok` is drained, what returned an error is not.
#[test]
fn close_against_push() {
    model(|| {
        let (sender, mut receiver) = small(1);
        let mut producer = sender.register().unwrap();
        let thread = thread::spawn(move || {
            (0..2)
                .filter(|value| push(&mut producer, *value).is_ok())
                .collect::<Vec<_>>()
        });
        sender.close();
        // The last drain: nothing may come after it.
        let drained = drain(&mut receiver);
        let pushed = thread.join().unwrap();
        assert_eq!(drained, pushed);
        assert_eq!(drain(&mut receiver), []);
        assert_eq!(sender.register().err(), Some(RegisterError::Closed));
    });
}

/// Closing races with registering: a thread gets a ring that is still drained, or an error.
#[test]
fn close_against_register() {
    model(|| {
        let (sender, mut receiver) = small(1);
        let other = sender.clone();
        let thread = thread::spawn(move || match other.register() {
            Ok(mut producer) => push(&mut producer, 7).is_ok(),
            Err(error) => {
                assert_eq!(error, RegisterError::Closed);
                false
            }
        });
        sender.close();
        let drained = drain(&mut receiver);
        let pushed = thread.join().unwrap();
        assert_eq!(drained.len(), usize::from(pushed));
    });
}

/// A thread that exits leaves its records, and its ring goes to whoever asks next.
#[test]
fn slot_reuse_after_thread_exit() {
    model(|| {
        let (sender, mut receiver) = small(1);
        let push_as = |sender: &RingSender, value| match sender.register() {
            Ok(mut producer) => {
                producer.add(0, 1);
                push(&mut producer, value).unwrap();
                1
            }
            // The other thread has the one slot just now.
            Err(error) => {
                assert_eq!(error, RegisterError::NoFreeSlot);
                0
            }
        };
        let other = sender.clone();
        let thread = thread::spawn(move || push_as(&other, 1));
        let mut drained = drain(&mut receiver);
        let second = push_as(&sender, 2);
        drained.extend(drain(&mut receiver));
        let first = thread.join().unwrap();
        drained.extend(drain(&mut receiver));
        drained.sort_unstable();
        assert_eq!(drained.len(), first + second);
        assert!(first + second > 0);
        drained.dedup();
        assert_eq!(drained.len() as u64, sender.counter_total(0));
    });
}

/// A ring handed from one thread to the next keeps the order of both while it is drained.
#[test]
fn slot_handed_over_in_order() {
    model(|| {
        let (sender, mut receiver) = small(1);
        let mut producer = sender.register().unwrap();
        let thread = thread::spawn(move || {
            push(&mut producer, 1).unwrap();
            drop(producer);
            if let Ok(mut producer) = sender.register() {
                push(&mut producer, 2).unwrap();
            }
        });
        let mut drained = drain(&mut receiver);
        thread.join().unwrap();
        drained.extend(drain(&mut receiver));
        assert_eq!(drained, [1, 2]);
    });
}

/// Threads without a slot share the overflow ring and lose nothing.
#[test]
fn overflow_ring() {
    model(|| {
        let (sender, mut receiver) = small(1);
        let _owner = sender.register().unwrap();
        let threads: Vec<_> = [1, 2]
            .map(|value| {
                let sender = sender.clone();
                thread::spawn(move || {
                    assert_eq!(sender.register().err(), Some(RegisterError::NoFreeSlot));
                    sender.overflow(|producer| {
                        producer.add(3, value);
                        push(producer, value).unwrap();
                    });
                })
            })
            .into();
        let mut drained = drain(&mut receiver);
        for thread in threads {
            thread.join().unwrap();
        }
        drained.extend(drain(&mut receiver));
        drained.sort_unstable();
        assert_eq!(drained, [1, 2]);
        assert_eq!(sender.counter_total(3), 3);
    });
}

/// What a producer counted before it committed is counted for whoever has drained the record.
#[test]
fn counters_before_records() {
    model(|| {
        let (sender, mut receiver) = small(1);
        let mut producer = sender.register().unwrap();
        let thread = thread::spawn(move || {
            for value in 0..2 {
                producer.add(0, 1);
                push(&mut producer, value).unwrap();
            }
        });
        let drained = drain(&mut receiver).len() as u64;
        assert!(sender.counter_total(0) >= drained);
        thread.join().unwrap();
    });
}

/// A permit is never lost, whether the wake-up comes before, during or after the wait begins.
#[test]
fn wake_against_blocking_wait() {
    model(|| {
        let wake = Wake::new();
        let waker = wake.clone();
        let thread = thread::spawn(move || waker.wake());
        assert!(wake.wait_timeout(FOREVER));
        thread.join().unwrap();
    });
}

/// The same for a task, with two wakers: they may share a permit but never leave the task asleep.
#[test]
fn wake_against_task() {
    model(|| {
        let wake = Wake::new();
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let waker = wake.clone();
                thread::spawn(move || waker.wake())
            })
            .collect();
        loom::future::block_on(wake.notified());
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

/// A future that is dropped while it waits takes no permit with it.
#[test]
fn wake_after_dropped_wait() {
    model(|| {
        let wake = Wake::new();
        let waker = wake.clone();
        let thread = thread::spawn(move || waker.wake());
        let mut notified = Box::pin(wake.notified());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let ready = notified.as_mut().poll(&mut context).is_ready();
        drop(notified);
        if !ready {
            assert!(wake.wait_timeout(FOREVER));
        }
        thread.join().unwrap();
    });
}

/// The receiver sleeps between drains and is roused by the watermark or by the close, nothing
/// else: it ends only if neither is lost, and has everything then.
#[test]
fn receiver_roused_by_watermark_and_close() {
    model(|| {
        let (sender, mut receiver) = small(1);
        let mut producer = sender.register().unwrap();
        let wake = receiver.wake_handle();
        let thread = thread::spawn(move || {
            let pushed = (0..4)
                .filter(|value| push(&mut producer, *value).is_ok())
                .collect();
            sender.close();
            pushed
        });
        let mut drained = Vec::new();
        while !receiver.is_closed() {
            assert!(wake.wait_timeout(FOREVER));
            drained.extend(drain(&mut receiver));
        }
        drained.extend(drain(&mut receiver));
        let pushed: Vec<u64> = thread.join().unwrap();
        assert_eq!(drained, pushed);
    });
}

/// The receiver listens and sleeps; each record comes before it listens or rouses it, and no other
/// thing does: both records together stay below the watermark.
#[test]
fn listening_receiver_roused_by_a_record() {
    model(|| {
        let (sender, mut receiver) = small(1);
        let mut producer = sender.register().unwrap();
        let wake = receiver.wake_handle();
        let thread = thread::spawn(move || {
            for value in 0..2 {
                push(&mut producer, value).unwrap();
            }
        });
        let mut drained = Vec::new();
        while drained.len() < 2 {
            if receiver.listen() {
                assert!(wake.wait_timeout(FOREVER));
            }
            drained.extend(drain(&mut receiver));
        }
        thread.join().unwrap();
        assert_eq!(drained, [0, 1]);
    });
}

/// A thread that comes while the receiver sleeps rouses it, though it was never asked to.
#[test]
fn listening_receiver_roused_by_a_new_thread() {
    model(|| {
        let (sender, mut receiver) = small(1);
        let wake = receiver.wake_handle();
        let thread = thread::spawn(move || {
            let mut producer = sender.register().unwrap();
            push(&mut producer, 7).unwrap();
        });
        let mut drained = Vec::new();
        while drained.is_empty() {
            if receiver.listen() {
                assert!(wake.wait_timeout(FOREVER));
            }
            drained.extend(drain(&mut receiver));
        }
        thread.join().unwrap();
        assert_eq!(drained, [7]);
    });
}

/// A ring may be handed on with the flag of a receiver that listened to its former owner: the next
/// one's record rouses that receiver all the same.
#[test]
fn listening_receiver_roused_through_a_ring_handed_on() {
    model(|| {
        let (sender, mut receiver) = small(1);
        let mut producer = sender.register().unwrap();
        let wake = receiver.wake_handle();
        // A new ring is listened to from the start; this one is past that.
        push(&mut producer, 1).unwrap();
        assert!(wake.wait_timeout(FOREVER));
        assert_eq!(drain(&mut receiver), [1]);
        let thread = thread::spawn(move || {
            drop(producer);
            let mut producer = sender.register().unwrap();
            push(&mut producer, 2).unwrap();
        });
        let mut drained = Vec::new();
        while drained.is_empty() {
            if receiver.listen() {
                assert!(wake.wait_timeout(FOREVER));
            }
            drained.extend(drain(&mut receiver));
        }
        thread.join().unwrap();
        assert_eq!(drained, [2]);
    });
}

/// Threads without a slot rouse a receiver that listens, whichever of them comes first.
#[test]
fn listening_receiver_roused_through_the_overflow_ring() {
    model(|| {
        let (sender, mut receiver) = small(1);
        let wake = receiver.wake_handle();
        let threads: Vec<_> = [1, 2]
            .map(|value| {
                let sender = sender.clone();
                thread::spawn(move || {
                    sender.overflow(|producer| push(producer, value).unwrap());
                })
            })
            .into();
        let mut drained = Vec::new();
        while drained.len() < 2 {
            if receiver.listen() {
                assert!(wake.wait_timeout(FOREVER));
            }
            drained.extend(drain(&mut receiver));
        }
        for thread in threads {
            thread.join().unwrap();
        }
        drained.sort_unstable();
        assert_eq!(drained, [1, 2]);
    });
}

/// What is counted without a record is seen by a receiver that listens, before it sleeps or because
/// it is roused.
#[test]
fn listening_receiver_roused_by_a_count() {
    model(|| {
        let (sender, mut receiver) = small(1);
        let mut producer = sender.register().unwrap();
        let wake = receiver.wake_handle();
        // A new ring is listened to from the start.
        producer.rouse_listener();
        assert!(wake.wait_timeout(FOREVER));
        let thread = thread::spawn(move || {
            producer.add(0, 1);
            producer.rouse_listener();
        });
        loop {
            assert!(receiver.listen());
            if sender.counter_total(0) == 1 {
                break;
            }
            assert!(wake.wait_timeout(FOREVER));
        }
        thread.join().unwrap();
    });
}

/// Closing races with a commit that finds the receiver listening.
#[test]
fn close_against_listening() {
    model(|| {
        let (sender, mut receiver) = small(1);
        let mut producer = sender.register().unwrap();
        let wake = receiver.wake_handle();
        let thread = thread::spawn(move || push(&mut producer, 7).is_ok());
        let closing = thread::spawn(move || sender.close());
        while !receiver.is_closed() {
            receiver.listen();
            assert!(wake.wait_timeout(FOREVER));
        }
        closing.join().unwrap();
        let drained = drain(&mut receiver);
        let pushed = thread.join().unwrap();
        assert_eq!(drained.len(), usize::from(pushed));
    });
}

/// A producer that waits for room is roused by the drain that makes it.
#[test]
fn producer_roused_by_room() {
    model(|| {
        let (sender, mut receiver) = small(1);
        let mut producer = sender.register().unwrap();
        let wake = receiver.wake_handle();
        let thread = thread::spawn(move || {
            for value in 0..4 {
                producer.wait_room(16, FOREVER).unwrap();
                push(&mut producer, value).unwrap();
            }
            sender.close();
        });
        let mut drained = Vec::new();
        while !receiver.is_closed() {
            assert!(wake.wait_timeout(FOREVER));
            drained.extend(drain(&mut receiver));
        }
        drained.extend(drain(&mut receiver));
        thread.join().unwrap();
        assert_eq!(drained, [0, 1, 2, 3]);
    });
}

/// A producer that waits for room is released by closing.
#[test]
fn producer_released_by_close() {
    model(|| {
        let (sender, receiver) = small(1);
        let mut producer = sender.register().unwrap();
        push(&mut producer, 0).unwrap();
        push(&mut producer, 1).unwrap();
        let thread = thread::spawn(move || {
            assert_eq!(producer.wait_room(16, FOREVER), Err(WaitError::Closed));
        });
        drop(receiver);
        thread.join().unwrap();
    });
}

/// A task that waits for room is roused by the drain that makes it, and by nothing else.
#[test]
fn producing_task_roused_by_room() {
    model(|| {
        let (sender, mut receiver) = small(1);
        let mut producer = sender.register().unwrap();
        let wake = receiver.wake_handle();
        let thread = thread::spawn(move || {
            for value in 0..4 {
                let room = std::future::poll_fn(|context| producer.poll_room(16, context));
                loom::future::block_on(room).unwrap();
                push(&mut producer, value).unwrap();
            }
            sender.close();
        });
        let mut drained = Vec::new();
        while !receiver.is_closed() {
            assert!(wake.wait_timeout(FOREVER));
            drained.extend(drain(&mut receiver));
        }
        drained.extend(drain(&mut receiver));
        thread.join().unwrap();
        assert_eq!(drained, [0, 1, 2, 3]);
    });
}

/// A task that waits for room is released by closing.
#[test]
fn producing_task_released_by_close() {
    model(|| {
        let (sender, receiver) = small(1);
        let mut producer = sender.register().unwrap();
        push(&mut producer, 0).unwrap();
        push(&mut producer, 1).unwrap();
        let thread = thread::spawn(move || {
            let room = std::future::poll_fn(|context| producer.poll_room(16, context));
            assert_eq!(loom::future::block_on(room), Err(WaitError::Closed));
        });
        drop(receiver);
        thread.join().unwrap();
    });
}
