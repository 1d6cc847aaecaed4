use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::mpsc::error::{TryRecvError, TrySendError};

mod concurrent;
mod no_task;

use super::counts::{DropReason, Group, groups};
use super::{RecvInSpan as _, broadcast, mpsc, named, oneshot, watch};

/// What is counted under a name, which no other test uses: sent, received, waiting, and never received by reason.
type Counted = (u64, u64, u64, Vec<(&'static str, u64)>);

fn group(name: &str) -> &'static Group {
    let mut found = groups().filter(|group| group.name() == name);
    let Some(group) = found.next() else {
        panic!("no channel is called `{name}`");
    };
    assert!(found.next().is_none(), "`{name}` is there twice");
    group
}

fn counted(name: &str) -> Counted {
    let group = group(name);
    let dropped = DropReason::ALL.map(|reason| (reason.as_str(), group.dropped(reason)));
    let dropped = dropped.into_iter().filter(|(_, count)| *count > 0);
    (
        group.sent(),
        group.received(),
        group.queue_depth(),
        dropped.collect(),
    )
}

#[track_caller]
fn check(name: &str, expected: (u64, u64, u64), dropped: &[(&'static str, u64)]) {
    let (sent, received, depth, found) = counted(name);
    assert_eq!((sent, received, depth), expected);
    assert_eq!(found, dropped);
}

/// Polls once.
fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn what_is_sent_received_and_waiting_is_counted() {
    let (sender, mut receiver) = mpsc::named("counts", 4);
    sender.send(1).await.unwrap();
    sender.try_send(2).unwrap();
    sender
        .send_timeout(3, Duration::from_secs(60))
        .await
        .unwrap();
    check("counts", (3, 0, 3), &[]);
    assert_eq!(receiver.recv().await, Some(1));
    assert_eq!(receiver.try_recv(), Ok(2));
    check("counts", (3, 2, 1), &[]);
    let mut rest = Vec::new();
    assert_eq!(receiver.recv_many(&mut rest, 8).await, 1);
    drop(sender);
    assert_eq!(receiver.recv().await, None);
    assert_eq!(receiver.recv_many(&mut rest, 8).await, 0);
    drop(receiver);
    check("counts", (3, 3, 0), &[]);
}

/// There is no runtime here, and so no task: what is sent is there for whoever polls next, without anybody between.
#[test]
fn nothing_stands_between_the_ends() {
    fn now<F: Future>(future: F) -> Option<F::Output> {
        match poll(pin!(future)) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }
    let (sender, mut receiver) = mpsc::named("between", 2);
    let (unbounded, mut unbounded_receiver) = mpsc::named_unbounded("between");
    let (answer, answered) = oneshot::named("between");
    let (values, mut follower) = watch::named("between", 0);
    let (news, mut listener) = broadcast::named("between", 2);
    for message in 1..=3 {
        assert_eq!(now(sender.send(message)), Some(Ok(())));
        assert_eq!((sender.capacity(), receiver.len()), (1, 1));
        assert_eq!(now(receiver.recv()), Some(Some(message)));
        unbounded.send(message).unwrap();
        assert_eq!(now(unbounded_receiver.recv()), Some(Some(message)));
        values.send(message).unwrap();
        assert!(now(follower.changed()).is_some());
        assert_eq!(*follower.borrow(), message);
        news.send(message).unwrap();
        assert_eq!(news.len(), 1);
        assert_eq!(now(listener.recv()), Some(Ok(message)));
    }
    answer.send(4).unwrap();
    assert_eq!(now(answered), Some(Ok(4)));
}

#[tokio::test]
async fn a_sending_that_is_cancelled_wherever_it_waits_counts_for_nothing() {
    let (sender, mut receiver) = mpsc::named("cancelled", 1);
    let mut sent = 0;
    // What was done before the sending was dropped: nothing, a poll while the channel was full, or another one after a
    // place was given to it.
    for polls in 0..3 {
        sender.send(sent).await.unwrap();
        sent += 1;
        {
            let mut sending = pin!(sender.send(99));
            if polls > 0 {
                assert!(poll(sending.as_mut()).is_pending());
            }
            if polls > 1 {
                assert_eq!(receiver.recv().await, Some(sent - 1));
            }
        }
        if polls < 2 {
            assert_eq!(receiver.recv().await, Some(sent - 1));
        }
        assert_eq!(sender.capacity(), 1);
        check("cancelled", (sent, sent, 0), &[]);
    }
    // The same of each way to wait for places.
    sender.send(7).await.unwrap();
    let another = sender.clone();
    {
        let mut one = pin!(sender.reserve());
        let mut many = pin!(sender.reserve_many(1));
        let mut owned = pin!(another.reserve_owned());
        let mut timed = pin!(sender.send_timeout(8, Duration::from_secs(60)));
        assert!(poll(one.as_mut()).is_pending() && poll(many.as_mut()).is_pending());
        assert!(poll(owned.as_mut()).is_pending() && poll(timed.as_mut()).is_pending());
    }
    assert_eq!(receiver.recv().await, Some(7));
    check("cancelled", (sent + 1, sent + 1, 0), &[]);
}

#[tokio::test]
async fn a_receiving_that_is_cancelled_counts_for_nothing() {
    let (sender, mut receiver) = mpsc::named("cancelled receiving", 1);
    {
        let mut receiving = pin!(receiver.recv());
        assert!(poll(receiving.as_mut()).is_pending());
        sender.send(1).await.unwrap();
    }
    check("cancelled receiving", (1, 0, 1), &[]);
    assert_eq!(receiver.recv().await, Some(1));
    check("cancelled receiving", (1, 1, 0), &[]);
}

#[tokio::test]
async fn permits_count_when_they_are_used() {
    let (sender, mut receiver) = mpsc::named("permits", 4);
    drop(sender.reserve().await.unwrap());
    drop(sender.try_reserve_many(3).unwrap());
    let released = sender.clone().reserve_owned().await.unwrap().release();
    drop(released.try_reserve_owned().unwrap());
    check("permits", (0, 0, 0), &[]);

    sender.reserve().await.unwrap().send(1);
    let mut permits = sender.reserve_many(2).await.unwrap();
    permits.next().unwrap().send(2);
    drop(permits);
    let owned = sender.clone().try_reserve_owned().unwrap();
    assert!(owned.send(3).same_channel(&sender));
    check("permits", (3, 0, 3), &[]);
    for expected in 1..=3 {
        assert_eq!(receiver.recv().await, Some(expected));
    }
    check("permits", (3, 3, 0), &[]);
}

#[tokio::test]
async fn what_is_given_back_is_dropped_and_was_not_sent() {
    let (sender, receiver) = mpsc::named("full", 1);
    sender.try_send(1).unwrap();
    assert_eq!(sender.try_send(2), Err(TrySendError::Full(2)));
    let timeout = Duration::from_millis(1);
    assert!(sender.send_timeout(3, timeout).await.is_err());
    check("full", (1, 0, 1), &[("full", 2)]);
    drop(receiver);
    assert_eq!(sender.try_send(4), Err(TrySendError::Closed(4)));
    assert!(sender.send(5).await.is_err());
    check("full", (1, 0, 0), &[("full", 2), ("unread", 1)]);
}

#[tokio::test]
async fn what_a_receiver_leaves_is_dropped_with_it() {
    /// Counts how often it is dropped.
    struct Counting(Arc<AtomicUsize>);
    impl Drop for Counting {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let drops = Arc::new(AtomicUsize::new(0));
    let counting = || Counting(Arc::clone(&drops));
    let (sender, receiver) = mpsc::named_unbounded("left");
    for _ in 0..100 {
        sender.send(counting()).unwrap();
    }
    // A task that has had its share of work for now.
    tokio::spawn(async move {
        while tokio::task::coop::has_budget_remaining() {
            tokio::task::coop::consume_budget().await;
        }
        drop(receiver);
    })
    .await
    .unwrap();
    assert_eq!(drops.load(Ordering::Relaxed), 100);
    check("left", (100, 0, 0), &[("unread", 100)]);
    assert!(sender.send(counting()).is_err());
    check("left", (100, 0, 0), &[("unread", 100)]);
}

#[tokio::test]
async fn what_is_sent_by_a_permit_after_the_receiver_left_is_dropped_too() {
    let (sender, receiver) = mpsc::named("late", 4);
    let weak = sender.downgrade();
    let permit = sender.clone().reserve_owned().await.unwrap();
    let unused = sender.clone().reserve_owned().await.unwrap();
    sender.send(1).await.unwrap();
    drop(receiver);
    assert!(sender.is_closed());
    check("late", (1, 0, 0), &[("unread", 1)]);
    drop(permit.send(2));
    drop((unused, sender));
    assert!(weak.upgrade().is_none());
    check("late", (2, 0, 1), &[("unread", 1)]);
    drop(weak);
    check("late", (2, 0, 0), &[("unread", 2)]);
}

#[tokio::test]
async fn a_closed_channel_is_emptied_first() {
    let (sender, mut receiver) = mpsc::named("closed", 4);
    sender.send(1).await.unwrap();
    sender.send(2).await.unwrap();
    receiver.close();
    assert!(sender.send(3).await.is_err());
    assert_eq!(receiver.recv().await, Some(1));
    check("closed", (2, 1, 1), &[]);
    drop((sender, receiver));
    check("closed", (2, 1, 0), &[("unread", 1)]);
}

#[tokio::test]
async fn weak_senders_lead_to_the_same_channel() {
    let (sender, mut receiver) = mpsc::named("weak", 2);
    let weak = sender.downgrade();
    weak.upgrade().unwrap().send(1).await.unwrap();
    assert_eq!((sender.strong_count(), sender.weak_count()), (1, 1));
    drop(sender);
    assert!(weak.clone().upgrade().is_none());
    assert_eq!(receiver.recv().await, Some(1));
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
    check("weak", (1, 1, 0), &[]);
}

/// Where a task has had its share of work, it does not go on, though there is a place or a value.
#[tokio::test]
async fn sending_and_following_are_shares_of_a_tasks_work() {
    let (sender, mut receiver) = mpsc::named("shares", 8);
    let (values, mut follower) = watch::named("shared values", 0);
    values.send_replace(1);
    tokio::spawn(async move {
        while tokio::task::coop::has_budget_remaining() {
            tokio::task::coop::consume_budget().await;
        }
        {
            let mut sending = pin!(sender.send(1));
            let mut following = pin!(follower.changed());
            assert!(poll(sending.as_mut()).is_pending());
            assert!(poll(following.as_mut()).is_pending());
            check("shares", (0, 0, 0), &[]);
            check("shared values", (1, 0, 1), &[]);
            tokio::task::yield_now().await;
            assert_eq!(poll(sending.as_mut()), Poll::Ready(Ok(())));
            assert!(matches!(poll(following.as_mut()), Poll::Ready(Ok(()))));
        }
        receiver.try_recv().unwrap();
        // And so each is a share: of the many that follow now, some are too many.
        let mut done = 0;
        while tokio::task::coop::has_budget_remaining() && done < 10_000 {
            assert!(poll(pin!(sender.send(1))).is_ready());
            receiver.try_recv().unwrap();
            done += 1;
        }
        assert!((1..10_000).contains(&done));
        tokio::task::yield_now().await;
        done = 0;
        while tokio::task::coop::has_budget_remaining() && done < 10_000 {
            values.send_replace(2);
            assert!(poll(pin!(follower.changed())).is_ready());
            done += 1;
        }
        assert!((1..10_000).contains(&done));
    })
    .await
    .unwrap();
}

#[test]
fn channels_of_one_name_are_counted_together_and_outlive_themselves() {
    for round in 1..=3 {
        let (sender, receiver) = mpsc::named_unbounded("again");
        sender.send(()).unwrap();
        drop(sender);
        let depth = group("again").queue_depth();
        drop(receiver);
        assert_eq!(depth, 1);
        check("again", (round, 0, 0), &[("unread", round)]);
    }
    // Of another type it is another channel.
    let (sender, _receiver) = oneshot::named("again, but once");
    sender.send(()).unwrap();
    check("again, but once", (1, 0, 1), &[]);
}

#[tokio::test]
async fn a_channel_without_a_name_is_called_by_its_place() {
    let mut receivers = Vec::new();
    for _ in 0..2 {
        let (sender, receiver) = mpsc::channel(1);
        sender.send(()).await.unwrap();
        receivers.push(receiver);
    }
    let line = line!() - 4;
    let name = format!("{}:{line}", file!());
    check(&name, (2, 0, 2), &[]);
}

#[test]
fn channels_that_are_opened_on_one_line_are_counted_together() {
    let ends = [mpsc::channel(1), mpsc::channel(1)];
    let name = format!("{}:{}", file!(), line!() - 1);
    for (sender, _) in &ends {
        sender.try_send(()).unwrap();
    }
    check(&name, (2, 0, 2), &[]);
}

#[tokio::test]
async fn oneshots_are_sent_received_or_dropped() {
    let (sender, receiver) = oneshot::named("once");
    sender.send(1).unwrap();
    check("once", (1, 0, 1), &[]);
    assert_eq!(receiver.await, Ok(1));
    let (sender, mut receiver) = oneshot::named("once");
    sender.send(1).unwrap();
    assert_eq!(receiver.try_recv(), Ok(1));
    drop(receiver);
    let (sender, receiver) = oneshot::named("once");
    sender.send(1).unwrap();
    assert_eq!(
        tokio::task::spawn_blocking(|| receiver.blocking_recv())
            .await
            .unwrap(),
        Ok(1)
    );
    check("once", (3, 3, 0), &[]);
    let (sender, receiver) = oneshot::named("once");
    sender.send(1).unwrap();
    drop(receiver);
    check("once", (4, 3, 0), &[("unread", 1)]);
    let (sender, receiver) = oneshot::named("once");
    drop(receiver);
    assert_eq!(sender.send(1), Err(1));
    let (sender, receiver) = oneshot::named::<i32>("once");
    drop(sender);
    assert!(receiver.await.is_err());
    check("once", (4, 3, 0), &[("unread", 1)]);
}

#[tokio::test]
async fn what_single_values_carry_is_not_kept_when_they_are_gone() {
    let open = || named("carrying").spans().oneshot();
    let carried = || group("carrying").spans().carried_count();
    let (sender, receiver) = open();
    let (other, another) = open();
    sender.send(1).unwrap();
    other.send(2).unwrap();
    assert_eq!(carried(), 2);
    assert_eq!((another.await, receiver.await), (Ok(2), Ok(1)));
    assert_eq!(carried(), 0);
    let (sender, receiver) = open();
    sender.send(1).unwrap();
    drop(receiver);
    assert_eq!(carried(), 0);
    let (sender, receiver) = open();
    drop(receiver);
    assert_eq!(sender.send(1), Err(1));
    assert_eq!(carried(), 0);
    check("carrying", (3, 2, 0), &[("unread", 1)]);
}

#[tokio::test]
async fn values_of_a_watch_are_seen_or_overwritten() {
    let (sender, mut receiver) = watch::named("watch", 0);
    check("watch", (0, 0, 0), &[]);
    sender.send(1).unwrap();
    check("watch", (1, 0, 1), &[]);
    receiver.changed().await.unwrap();
    assert_eq!(*receiver.borrow_and_update(), 1);
    check("watch", (1, 1, 0), &[]);
    assert_eq!(*receiver.borrow_and_update(), 1);
    check("watch", (1, 1, 0), &[]);

    sender.send(2).unwrap();
    sender.send_modify(|value| *value = 3);
    check("watch", (3, 1, 1), &[("overwritten", 1)]);
    assert!(!sender.send_if_modified(|_| false));
    assert_eq!(*receiver.borrow_and_update(), 3);
    assert_eq!(*sender.subscribe().borrow_and_update(), 3);
    check("watch", (3, 2, 0), &[("overwritten", 1)]);

    assert_eq!(sender.send_replace(4), 3);
    assert_eq!(*receiver.wait_for(|value| *value == 4).await.unwrap(), 4);
    check("watch", (4, 3, 0), &[("overwritten", 1)]);
    sender.send(5).unwrap();
    drop(receiver);
    assert!(sender.send(6).is_err());
    drop(sender);
    check("watch", (5, 3, 0), &[("unread", 1), ("overwritten", 1)]);
}

#[tokio::test]
async fn a_broadcast_is_as_deep_as_its_receivers_are_behind() {
    let (sender, mut first) = broadcast::named("broadcast", 2);
    let mut second = sender.subscribe();
    sender.send(1).unwrap();
    assert_eq!(sender.send(2).unwrap(), 2);
    check("broadcast", (2, 0, 4), &[]);
    assert_eq!(first.recv().await, Ok(1));
    check("broadcast", (2, 1, 3), &[]);
    sender.send(3).unwrap();
    // Of three that the second has before it, two are there.
    check("broadcast", (3, 1, 4), &[]);
    let lagged = broadcast::error::TryRecvError::Lagged(1);
    assert_eq!(second.try_recv(), Err(lagged));
    check("broadcast", (3, 1, 4), &[("lagged", 1)]);
    assert_eq!(second.recv().await, Ok(2));
    let later = second.resubscribe();
    check("broadcast", (3, 2, 3), &[("lagged", 1)]);
    drop(first);
    check("broadcast", (3, 2, 1), &[("unread", 2), ("lagged", 1)]);
    drop((sender, later));
    assert_eq!(second.recv().await, Ok(3));
    assert!(second.recv().await.is_err());
    drop(second);
    check("broadcast", (3, 3, 0), &[("unread", 2), ("lagged", 1)]);
}

#[test]
fn receivers_of_a_broadcast_that_come_and_go_leave_no_depth() {
    let (sender, receiver) = broadcast::named("churn", 64);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..200 {
                let mut receiver = sender.subscribe();
                while receiver.try_recv() != Err(broadcast::error::TryRecvError::Empty) {}
            }
        });
        for message in 0..20_000 {
            sender.send(message).unwrap();
        }
    });
    drop(receiver);
    let (sent, _, depth, _) = counted("churn");
    assert_eq!((sent, depth), (20_000, 0));
}

#[tokio::test]
async fn what_is_polled_is_counted() {
    let (sender, mut receiver) = mpsc::named("polled", 4);
    sender.send(1).await.unwrap();
    sender.send(2).await.unwrap();
    sender.send(3).await.unwrap();
    assert_eq!(poll_fn(|cx| receiver.poll_recv(cx)).await, Some(1));
    let mut rest = Vec::new();
    let count = poll_fn(|cx| receiver.poll_recv_many(cx, &mut rest, 8)).await;
    assert_eq!((count, rest), (2, vec![2, 3]));
    check("polled", (3, 3, 0), &[]);
    drop(sender);
    assert!(receiver.recv_in_span().await.is_none());
}

#[test]
fn names_beyond_a_bound_are_counted_together() {
    // Of long names the beginning is kept.
    let long = "n".repeat(200);
    drop(named(&long).mpsc::<()>(1));
    assert_eq!(group(&long[..128]).name().len(), 128);
    let _ = mpsc::named::<()>("ü".repeat(100).as_str(), 1);
}
