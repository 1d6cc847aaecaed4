//! Real threads at both ends, and a tally of what they really did beside what is counted.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::collections::HashSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::scope;

use tokio::runtime::Builder;
use tokio::sync::mpsc::error::TryRecvError;

use super::super::{broadcast, mpsc, oneshot, watch};
use super::{check, counted, group};

fn block_on<F: Future>(future: F) -> F::Output {
    let runtime = Builder::new_current_thread().enable_time().build();
    runtime.unwrap().block_on(future)
}

/// More threads at a time than have a sheet, of which those without one count most.
#[test]
fn every_thread_is_counted_also_those_without_a_place() {
    const THREADS: usize = 300;
    let (sender, mut receiver) = mpsc::named_unbounded("threads");
    let (events, _listener) = broadcast::named("threads that tell", 16);
    let number = group("threads").sent_number();
    let (all, sharing, sent) = (Barrier::new(THREADS), AtomicU64::new(0), AtomicU64::new(0));
    let mut received = 0;
    scope(|scope| {
        for _ in 0..THREADS {
            let (sender, events, all) = (sender.clone(), &events, &all);
            let (sharing, sent) = (&sharing, &sent);
            scope.spawn(move || {
                sender.send(0).unwrap();
                let is_sharing = number.here().is_none();
                sharing.fetch_add(u64::from(is_sharing), Ordering::Relaxed);
                all.wait();
                let count = if is_sharing { 3_000 } else { 10 };
                (1..count).for_each(|message| sender.send(message).unwrap());
                sent.fetch_add(count, Ordering::Relaxed);
                (0..100).for_each(|message| drop(events.send(message)));
            });
        }
        drop(sender);
        while receiver.blocking_recv().is_some() {
            received += 1;
        }
    });
    assert!(sharing.into_inner() >= 44);
    assert_eq!(received, sent.into_inner());
    check("threads", (received, received, 0), &[]);
    check("threads that tell", (30_000, 0, 16), &[]);
}

/// What a thread has counted is there when another one goes on in its place.
#[test]
fn threads_that_come_and_go_hand_their_counts_on() {
    let (sender, mut receiver) = mpsc::named_unbounded("generations");
    for _ in 0..50 {
        scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..20).for_each(|message| sender.send(message).unwrap()));
            }
            scope.spawn(|| (0..100).for_each(|_| assert!(receiver.blocking_recv().is_some())));
        });
    }
    check("generations", (8_000, 5_000, 3_000), &[]);
}

/// One of several ways to send; whether the value was sent.
fn send_somehow(sender: &mpsc::Sender<u64>, message: u64) -> (bool, u64) {
    match message % 6 {
        0 => (sender.blocking_send(message).is_ok(), 0),
        1 => match sender.try_send(message) {
            Ok(()) => (true, 0),
            Err(mpsc::error::TrySendError::Full(_)) => (false, 1),
            Err(mpsc::error::TrySendError::Closed(_)) => (false, 0),
        },
        2 => (block_on(sender.send(message)).is_ok(), 0),
        3 => {
            // Given up at its first or a later moment, perhaps with a place already.
            let is_sent = block_on(async {
                tokio::select! {
                    sent = sender.send(message) => sent.is_ok(),
                    () = tokio::task::yield_now() => false,
                }
            });
            (is_sent, 0)
        }
        4 => {
            let Ok(permit) = sender.clone().try_reserve_owned() else {
                return (false, 0);
            };
            let is_used = message.is_multiple_of(4);
            if is_used {
                drop(permit.send(message));
            }
            (is_used, 0)
        }
        _ => {
            let Ok(mut permits) = block_on(sender.reserve_many(2)) else {
                return (false, 0);
            };
            permits.next().unwrap().send(message);
            (true, 0)
        }
    }
}

#[test]
fn whatever_threads_do_with_a_channel_is_counted() {
    for round in 0..20 {
        let (sender, mut receiver) = mpsc::named("whatever", 8);
        let (sent, full, received) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
        let before = counted("whatever");
        scope(|scope| {
            for _ in 0..4 {
                let sender = sender.clone();
                let (sent, full) = (&sent, &full);
                scope.spawn(move || {
                    for message in 0..300 {
                        let (is_sent, was_full) = send_somehow(&sender, message);
                        sent.fetch_add(u64::from(is_sent), Ordering::Relaxed);
                        full.fetch_add(was_full, Ordering::Relaxed);
                    }
                });
            }
            drop(sender);
            // Every other receiver leaves early, with messages and waiting senders before it.
            let last = if round % 2 == 0 { u64::MAX } else { 200 };
            let received = &received;
            scope.spawn(move || {
                let mut count = 0;
                while count < last {
                    let taken = match count % 3 {
                        0 => u64::from(receiver.blocking_recv().is_some()),
                        1 => receiver.blocking_recv_many(&mut Vec::new(), 5) as u64,
                        _ => match receiver.try_recv() {
                            Ok(_) => 1,
                            Err(TryRecvError::Empty) => {
                                u64::from(receiver.blocking_recv().is_some())
                            }
                            Err(TryRecvError::Disconnected) => 0,
                        },
                    };
                    if taken == 0 {
                        break;
                    }
                    count += taken;
                }
                received.store(count, Ordering::Relaxed);
            });
        });
        let (sent, full, received) = (sent.into_inner(), full.into_inner(), received.into_inner());
        let dropped = |counted: &super::Counted, reason| {
            let mut found = counted.3.iter().filter(|(name, _)| *name == reason);
            found.next().map_or(0, |(_, count)| *count)
        };
        let after = counted("whatever");
        assert_eq!(after.0 - before.0, sent);
        assert_eq!(after.1 - before.1, received);
        assert_eq!(after.2, 0);
        assert_eq!(dropped(&after, "full") - dropped(&before, "full"), full);
        let unread = dropped(&after, "unread") - dropped(&before, "unread");
        assert_eq!(unread, sent - received);
    }
}

#[test]
fn single_values_are_counted_whoever_leaves_first() {
    let (ends, taken) = mpsc::named_unbounded("ends");
    let (sent, received) = (AtomicU64::new(0), AtomicU64::new(0));
    scope(|scope| {
        scope.spawn(|| {
            let mut taken = taken;
            while let Some((number, sender)) = taken.blocking_recv() {
                let sender: oneshot::Sender<u64> = sender;
                if number % 5 > 0 && sender.send(number).is_ok() {
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        for number in 0..20_000_u64 {
            let (sender, mut receiver) = oneshot::named("whoever");
            ends.send((number, sender)).unwrap();
            let is_received = match number % 3 {
                0 => receiver.blocking_recv().is_ok(),
                1 => receiver.try_recv().is_ok(),
                _ => false,
            };
            received.fetch_add(u64::from(is_received), Ordering::Relaxed);
            if number.is_multiple_of(10) {
                let (sender, unread) = oneshot::named("whoever");
                sender.send(number).unwrap();
                sent.fetch_add(1, Ordering::Relaxed);
                drop(unread);
            }
        }
        drop(ends);
    });
    let (sent, received) = (sent.into_inner(), received.into_inner());
    let unread = ("unread", sent - received);
    check("whoever", (sent, received, 0), &[unread]);
}

#[test]
fn every_value_of_a_watch_is_seen_or_overwritten_once() {
    const VALUES: u64 = 20_000;
    let (sender, receiver) = watch::named("watched by many", 0);
    let next = AtomicU64::new(0);
    let received = AtomicU64::new(0);
    let seen: HashSet<u64> = scope(|scope| {
        let receivers: Vec<_> = (0..3)
            .map(|_| {
                let mut receiver = receiver.clone();
                let received = &received;
                scope.spawn(move || {
                    let mut seen = HashSet::new();
                    while block_on(receiver.changed()).is_ok() {
                        received.fetch_add(1, Ordering::Relaxed);
                        let value = receiver.borrow_and_update();
                        // A newer one than that of which it was told.
                        received.fetch_add(u64::from(value.has_changed()), Ordering::Relaxed);
                        seen.insert(*value);
                    }
                    seen
                })
            })
            .collect();
        drop(receiver);
        let senders: Vec<_> = (0..2)
            .map(|_| {
                let (sender, next) = (sender.clone(), &next);
                scope.spawn(move || {
                    for _ in 0..VALUES / 2 {
                        let set = |value: &mut u64| {
                            *value = next.fetch_add(1, Ordering::Relaxed) + 1;
                        };
                        sender.send_modify(set);
                    }
                })
            })
            .collect();
        for sender in senders {
            sender.join().unwrap();
        }
        drop(sender);
        let seen = receivers.into_iter().map(|seen| seen.join().unwrap());
        seen.flatten().filter(|value| *value > 0).collect()
    });
    let (sent, counted, depth, dropped) = counted("watched by many");
    assert_eq!((sent, counted, depth), (VALUES, received.into_inner(), 0));
    let lost: u64 = dropped.iter().map(|(_, count)| count).sum();
    assert_eq!(seen.len() as u64 + lost, VALUES);
}

#[test]
fn a_broadcast_to_slow_receivers_is_received_lagged_or_unread() {
    const MESSAGES: u64 = 3_000;
    let (sender, first) = broadcast::named("slow", 16);
    let mut receivers = vec![first];
    receivers.resize_with(3, || sender.subscribe());
    let (received, lagged) = (AtomicU64::new(0), AtomicU64::new(0));
    scope(|scope| {
        for mut receiver in receivers {
            let (received, lagged) = (&received, &lagged);
            scope.spawn(move || {
                loop {
                    match receiver.blocking_recv() {
                        Ok(_) => received.fetch_add(1, Ordering::Relaxed),
                        Err(broadcast::error::RecvError::Lagged(count)) => {
                            lagged.fetch_add(count, Ordering::Relaxed)
                        }
                        Err(broadcast::error::RecvError::Closed) => break,
                    };
                }
            });
        }
        for _ in 0..2 {
            let sender = sender.clone();
            scope.spawn(move || {
                for message in 0..MESSAGES {
                    sender.send(message).unwrap();
                    if message.is_multiple_of(100) {
                        std::thread::yield_now();
                    }
                }
            });
        }
        drop(sender);
    });
    let lagged = lagged.into_inner();
    let (sent, counted, depth, dropped) = counted("slow");
    assert_eq!((sent, depth), (2 * MESSAGES, 0));
    assert_eq!(counted, received.into_inner());
    assert_eq!(counted + lagged, 3 * sent);
    let expected: Vec<_> = [("lagged", lagged)]
        .into_iter()
        .filter(|(_, n)| *n > 0)
        .collect();
    assert_eq!(dropped, expected);
}

/// What channels have counted goes over to their group when they end, in one piece.
#[test]
fn counts_never_go_back_while_channels_end() {
    let (sender, mut receiver) = broadcast::named("ending", 4);
    sender.send(0).unwrap();
    receiver.try_recv().unwrap();
    let _ = watch::named("ending values", 0).0.send_replace(1);
    let is_over = AtomicBool::new(false);
    scope(|scope| {
        scope.spawn(|| {
            let groups = [group("ending"), group("ending values")];
            let mut before = [[0; 2]; 2];
            while !is_over.load(Ordering::Relaxed) {
                for (group, before) in groups.iter().zip(&mut before) {
                    let now = [group.sent(), group.received()];
                    assert!(now[0] >= before[0] && now[1] >= before[1]);
                    *before = now;
                }
            }
        });
        for message in 0..2_000 {
            let (sender, mut receiver) = broadcast::named("ending", 4);
            sender.send(message).unwrap();
            receiver.try_recv().unwrap();
            let (values, _) = watch::named("ending values", 0);
            values.send_replace(message);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    check("ending", (2_001, 2_001, 0), &[]);
    check("ending values", (2_001, 0, 0), &[("unread", 2_001)]);
}
