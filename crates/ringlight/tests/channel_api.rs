//! Programs that use all there is of tokio's channels, compiled for those and for `ringlight::channel` in their place.
//! Without the feature `profiling` both are the same types; with it, the second count.

/// The same programs with the channels of this path.
macro_rules! programs {
    ($module:ident, $($channels:ident)::+) => {
        mod $module {
            use std::future::poll_fn;
            use std::panic::{RefUnwindSafe, UnwindSafe};
            use std::pin::Pin;
            use std::task::{Context, Poll, Waker};
            use std::time::Duration;

            use $($channels)::+::mpsc::error::{SendError, SendTimeoutError, TryRecvError, TrySendError};
            use $($channels)::+::{broadcast, mpsc, oneshot, watch};

            fn is_shared<T: Send + Sync + Unpin>() {}
            fn is_sent<T: Send>(value: T) -> T {
                value
            }
            fn is_unwind_safe<T: UnwindSafe + RefUnwindSafe>() {}

            #[test]
            fn ends_go_where_tokios_go() {
                is_shared::<mpsc::Sender<Vec<u8>>>();
                is_shared::<mpsc::WeakSender<Vec<u8>>>();
                is_shared::<mpsc::Receiver<Vec<u8>>>();
                is_shared::<mpsc::Permit<'_, Vec<u8>>>();
                is_shared::<mpsc::PermitIterator<'_, Vec<u8>>>();
                is_shared::<mpsc::OwnedPermit<Vec<u8>>>();
                is_shared::<mpsc::UnboundedSender<Vec<u8>>>();
                is_shared::<mpsc::WeakUnboundedSender<Vec<u8>>>();
                is_shared::<mpsc::UnboundedReceiver<Vec<u8>>>();
                is_shared::<oneshot::Sender<Vec<u8>>>();
                is_shared::<oneshot::Receiver<Vec<u8>>>();
                is_shared::<watch::Sender<Vec<u8>>>();
                is_shared::<watch::Receiver<Vec<u8>>>();
                is_shared::<broadcast::Sender<Vec<u8>>>();
                is_shared::<broadcast::WeakSender<Vec<u8>>>();
                is_shared::<broadcast::Receiver<Vec<u8>>>();
                is_unwind_safe::<mpsc::Sender<Vec<u8>>>();
                is_unwind_safe::<mpsc::UnboundedSender<Vec<u8>>>();
                is_unwind_safe::<broadcast::Sender<Vec<u8>>>();
                // What is not sent itself is not in the way of opening a channel.
                let (_sender, _receiver) = mpsc::channel::<std::rc::Rc<u8>>(1);
            }

            /// Messages may borrow from what outlives the channel.
            #[tokio::test]
            async fn messages_may_borrow() {
                let text = String::from("a b");
                let (sender, mut receiver) = mpsc::channel::<&str>(2);
                for word in text.split(' ') {
                    sender.send(word).await.unwrap();
                }
                let (events, mut listener) = broadcast::channel::<&str>(2);
                events.send(&text).unwrap();
                let (sight, _eye) = watch::channel::<&str>(&text);
                assert_eq!(receiver.recv().await, Some("a"));
                assert_eq!(listener.recv().await, Ok("a b"));
                assert_eq!(*sight.borrow(), "a b");
            }

            #[tokio::test]
            async fn bounded_sending() {
                let (sender, mut receiver): (mpsc::Sender<u8>, mpsc::Receiver<u8>) = mpsc::channel(2);
                assert!(!format!("{sender:?} {receiver:?}").is_empty());
                is_sent(sender.send(1)).await.unwrap();
                sender.try_send(2).unwrap();
                assert!(matches!(sender.try_send(3), Err(TrySendError::Full(3))));
                let timed = is_sent(sender.send_timeout(4, Duration::from_millis(1))).await;
                assert_eq!(timed, Err(SendTimeoutError::Timeout(4)));
                assert_eq!((sender.capacity(), sender.max_capacity()), (0, 2));
                assert_eq!((receiver.capacity(), receiver.max_capacity()), (0, 2));
                assert_eq!((receiver.len(), receiver.is_empty()), (2, false));
                assert!(!sender.is_closed() && !receiver.is_closed());
                assert_eq!(is_sent(receiver.recv()).await, Some(1));
                assert_eq!(receiver.try_recv(), Ok(2));
                assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
                sender.send_timeout(5, Duration::from_secs(60)).await.unwrap();
                receiver.close();
                is_sent(sender.closed()).await;
                assert_eq!(sender.send(6).await, Err(SendError(6)));
                let timed = sender.send_timeout(7, Duration::from_secs(60)).await;
                assert_eq!(timed, Err(SendTimeoutError::Closed(7)));
                assert_eq!(receiver.recv().await, Some(5));
                assert_eq!(receiver.recv().await, None);
                assert_eq!(receiver.try_recv(), Err(TryRecvError::Disconnected));
            }

            #[tokio::test]
            async fn bounded_permits() {
                let (sender, mut receiver) = mpsc::channel(4);
                let permit: mpsc::Permit<'_, u8> = is_sent(sender.reserve()).await.unwrap();
                assert!(!format!("{permit:?}").is_empty());
                permit.send(1);
                sender.try_reserve().unwrap().send(2);
                let mut permits = is_sent(sender.reserve_many(2)).await.unwrap();
                assert_eq!(permits.len(), 2);
                assert!(matches!(sender.try_reserve(), Err(TrySendError::Full(()))));
                permits.next().unwrap().send(3);
                drop(permits);
                let many: mpsc::PermitIterator<'_, u8> = sender.try_reserve_many(1).unwrap();
                assert!(!format!("{many:?}").is_empty());
                for permit in many {
                    permit.send(4);
                }
                assert!(sender.try_reserve_many(1).is_err());
                assert!(sender.reserve_many(5).await.is_err());

                let mut all = Vec::new();
                assert_eq!(is_sent(receiver.recv_many(&mut all, 8)).await, 4);
                assert_eq!(receiver.recv_many(&mut all, 0).await, 0);
                assert_eq!(all, [1, 2, 3, 4]);

                let owned: mpsc::OwnedPermit<u8> = is_sent(sender.clone().reserve_owned()).await.unwrap();
                let other = sender.clone().try_reserve_owned().unwrap();
                assert!(owned.same_channel(&other) && owned.same_channel_as_sender(&sender));
                assert!(!format!("{owned:?}").is_empty());
                let back: mpsc::Sender<u8> = owned.send(5);
                assert!(back.same_channel(&other.release()));
                assert_eq!(receiver.recv().await, Some(5));
                receiver.close();
                assert!(matches!(back.clone().try_reserve_owned(), Err(TrySendError::Closed(_))));
                assert!(back.reserve_owned().await.is_err());
                assert!(sender.reserve().await.is_err());
                assert!(matches!(sender.try_reserve_many(1), Err(TrySendError::Closed(()))));
            }

            #[tokio::test]
            async fn weak_senders() {
                let (sender, receiver) = mpsc::channel::<u8>(1);
                let weak: mpsc::WeakSender<u8> = sender.downgrade();
                assert!(!format!("{weak:?}").is_empty());
                let again = weak.clone();
                assert_eq!((weak.strong_count(), weak.weak_count()), (1, 2));
                assert_eq!((sender.strong_count(), sender.weak_count()), (1, 2));
                assert_eq!(receiver.sender_strong_count(), 1);
                assert_eq!(receiver.sender_weak_count(), 2);
                assert!(again.upgrade().unwrap().same_channel(&sender));
                drop(sender);
                assert!(weak.upgrade().is_none());

                let (sender, receiver) = mpsc::unbounded_channel::<u8>();
                let weak: mpsc::WeakUnboundedSender<u8> = sender.downgrade();
                assert!(!format!("{weak:?}").is_empty());
                let again = weak.clone();
                assert_eq!((weak.strong_count(), weak.weak_count()), (1, 2));
                assert_eq!((sender.strong_count(), sender.weak_count()), (1, 2));
                assert_eq!(receiver.sender_strong_count(), 1);
                assert_eq!(receiver.sender_weak_count(), 2);
                assert!(again.upgrade().unwrap().same_channel(&sender));
                drop(sender);
                assert!(weak.upgrade().is_none());
            }

            #[tokio::test]
            async fn unbounded() {
                let (sender, mut receiver): (mpsc::UnboundedSender<u8>, mpsc::UnboundedReceiver<u8>) =
                    mpsc::unbounded_channel();
                assert!(!format!("{sender:?} {receiver:?}").is_empty());
                for value in 1..=6 {
                    sender.clone().send(value).unwrap();
                }
                assert_eq!((receiver.len(), receiver.is_empty()), (6, false));
                assert_eq!(is_sent(receiver.recv()).await, Some(1));
                assert_eq!(receiver.try_recv(), Ok(2));
                let mut some = Vec::new();
                assert_eq!(is_sent(receiver.recv_many(&mut some, 2)).await, 2);
                assert_eq!(poll_fn(|cx| receiver.poll_recv(cx)).await, Some(5));
                assert_eq!(poll_fn(|cx| receiver.poll_recv_many(cx, &mut some, 2)).await, 1);
                assert_eq!(some, [3, 4, 6]);
                assert!(!sender.is_closed() && !receiver.is_closed());
                receiver.close();
                is_sent(sender.closed()).await;
                assert_eq!(sender.send(7), Err(SendError(7)));
                assert_eq!(receiver.recv().await, None);
            }

            #[tokio::test]
            async fn polled() {
                let (sender, mut receiver) = mpsc::channel(4);
                let mut context = Context::from_waker(Waker::noop());
                assert!(receiver.poll_recv(&mut context).is_pending());
                for value in 1..=3 {
                    sender.send(value).await.unwrap();
                }
                assert_eq!(receiver.poll_recv(&mut context), Poll::Ready(Some(1)));
                let mut some = Vec::new();
                let polled = receiver.poll_recv_many(&mut context, &mut some, 4);
                assert_eq!((polled, some), (Poll::Ready(2), vec![2, 3]));
                drop(sender);
                assert_eq!(receiver.poll_recv(&mut context), Poll::Ready(None));
            }

            #[test]
            fn blocking() {
                let (sender, mut receiver) = mpsc::channel(1);
                let (loose, mut caught) = mpsc::unbounded_channel();
                let (one, other) = oneshot::channel();
                let (event, mut listener) = broadcast::channel(4);
                let thread = std::thread::spawn(move || {
                    for value in 0..4 {
                        sender.blocking_send(value).unwrap();
                        loose.send(value).unwrap();
                    }
                    event.send(5).unwrap();
                    one.send(6).unwrap();
                });
                assert_eq!(receiver.blocking_recv(), Some(0));
                let mut some = Vec::new();
                while receiver.blocking_recv_many(&mut some, 4) > 0 {}
                assert_eq!(some, [1, 2, 3]);
                assert_eq!(caught.blocking_recv(), Some(0));
                while caught.blocking_recv_many(&mut some, 4) > 0 {}
                assert_eq!(some, [1, 2, 3, 1, 2, 3]);
                assert_eq!(listener.blocking_recv(), Ok(5));
                assert_eq!(other.blocking_recv(), Ok(6));
                thread.join().unwrap();
            }

            #[test]
            fn blocking_is_not_for_tasks() {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                let blocks = |run: fn()| {
                    let task = runtime.spawn(async move { run() });
                    runtime.block_on(task).unwrap_err().is_panic()
                };
                assert!(blocks(|| mpsc::channel(1).0.blocking_send(()).unwrap()));
                assert!(blocks(|| assert!(mpsc::channel::<()>(1).1.blocking_recv().is_none())));
                assert!(blocks(|| assert!(oneshot::channel::<()>().1.blocking_recv().is_err())));
                assert!(blocks(|| assert!(broadcast::channel::<()>(1).1.blocking_recv().is_err())));
            }

            #[tokio::test]
            async fn one_value() {
                let (mut sender, mut receiver): (oneshot::Sender<u8>, oneshot::Receiver<u8>) =
                    oneshot::channel();
                assert!(!format!("{sender:?} {receiver:?}").is_empty());
                let mut context = Context::from_waker(Waker::noop());
                assert!(sender.poll_closed(&mut context).is_pending());
                assert!(!sender.is_closed() && receiver.is_empty() && !receiver.is_terminated());
                assert_eq!(receiver.try_recv(), Err(oneshot::error::TryRecvError::Empty));
                assert!(Pin::new(&mut receiver).poll(&mut context).is_pending());
                sender.send(1).unwrap();
                assert!(!receiver.is_empty());
                assert_eq!((&mut receiver).await, Ok(1));
                assert!(receiver.is_terminated());

                let (mut sender, mut receiver) = oneshot::channel::<u8>();
                receiver.close();
                is_sent(sender.closed()).await;
                assert_eq!(sender.send(2), Err(2));
                let gone: Result<u8, oneshot::error::RecvError> = is_sent(receiver).await;
                assert!(gone.is_err());

                let (sender, mut receiver) = oneshot::channel::<u8>();
                sender.send(3).unwrap();
                assert_eq!(receiver.try_recv(), Ok(3));
                assert_eq!(receiver.try_recv(), Err(oneshot::error::TryRecvError::Closed));
            }

            #[tokio::test]
            async fn the_last_value() {
                let (sender, mut receiver): (watch::Sender<u8>, watch::Receiver<u8>) = watch::channel(0);
                assert!(!format!("{sender:?} {receiver:?}").is_empty());
                assert_eq!(*watch::Sender::<u8>::default().borrow(), 0);
                let second = watch::Sender::new(9);
                assert!(second.is_closed() && second.send(8).is_err());
                assert_eq!((second.send_replace(7), second.receiver_count()), (9, 0));
                assert!(!sender.same_channel(&second) && sender.same_channel(&sender.clone()));
                assert_eq!(sender.sender_count(), 1);

                sender.send(1).unwrap();
                assert!(receiver.has_changed().unwrap());
                assert!(receiver.borrow().has_changed());
                is_sent(receiver.changed()).await.unwrap();
                assert_eq!(*receiver.borrow_and_update(), 1);
                sender.send_modify(|value| *value += 1);
                assert!(!sender.send_if_modified(|_| false));
                assert!(sender.send_if_modified(|value| {
                    *value += 1;
                    true
                }));
                let found: watch::Ref<'_, u8> = receiver.wait_for(|value| *value == 3).await.unwrap();
                assert_eq!(*found, 3);
                drop(found);
                receiver.mark_changed();
                assert!(receiver.has_changed().unwrap());
                receiver.mark_unchanged();
                let other = receiver.clone();
                assert!(other.same_channel(&receiver) && !other.is_closed());
                let late = sender.subscribe();
                drop((other, late, receiver));
                is_sent(sender.closed()).await;
                let mut receiver = sender.subscribe();
                drop(sender);
                assert!(receiver.is_closed() && receiver.changed().await.is_err());
            }

            #[tokio::test]
            async fn to_everybody() {
                use broadcast::error::{RecvError, TryRecvError};
                let (sender, mut receiver): (broadcast::Sender<u8>, broadcast::Receiver<u8>) =
                    broadcast::channel(2);
                assert!(!format!("{sender:?} {receiver:?}").is_empty());
                let weak: broadcast::WeakSender<u8> = sender.downgrade();
                assert!(!format!("{:?}", weak.clone()).is_empty());
                assert_eq!((weak.strong_count(), weak.weak_count()), (1, 1));
                assert_eq!((sender.strong_count(), sender.weak_count()), (1, 1));
                assert_eq!(receiver.sender_strong_count(), 1);
                assert_eq!(receiver.sender_weak_count(), 1);
                assert!(weak.upgrade().unwrap().same_channel(&sender));
                assert!(sender.is_empty() && receiver.is_empty() && !receiver.is_closed());
                let mut second = sender.subscribe();
                assert_eq!((sender.send(1).unwrap(), sender.receiver_count()), (2, 2));
                assert_eq!((sender.len(), second.len()), (1, 1));
                assert_eq!(is_sent(receiver.recv()).await, Ok(1));
                assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty));
                let third = receiver.resubscribe();
                assert!(third.same_channel(&second));
                for value in 2..=4 {
                    sender.send(value).unwrap();
                }
                assert_eq!(second.recv().await, Err(RecvError::Lagged(2)));
                assert_eq!(second.try_recv(), Ok(3));
                drop((receiver, second, third));
                is_sent(sender.closed()).await;
                assert!(sender.clone().send(5).is_err());
                let mut last = broadcast::Sender::<u8>::new(1).subscribe();
                assert_eq!(last.recv().await, Err(RecvError::Closed));
            }
        }
    };
}

programs!(of_tokio, tokio::sync);
programs!(of_ringlight, ringlight::channel);

/// Those with names compile the same way in either build.
#[tokio::test]
async fn channels_with_names() {
    use ringlight::channel::{broadcast, mpsc, named, oneshot, watch};

    let (sender, mut receiver) = mpsc::named("jobs", 4);
    sender.send(1).await.unwrap();
    assert_eq!(receiver.recv().await, Some(1));
    let (sender, mut receiver) = mpsc::named_unbounded("jobs");
    sender.send(1).unwrap();
    assert_eq!(receiver.recv().await, Some(1));
    let (sender, receiver) = oneshot::named("answer");
    sender.send(1).unwrap();
    assert_eq!(receiver.await, Ok(1));
    let (sender, receiver) = watch::named("settings", 0);
    sender.send(1).unwrap();
    assert_eq!(*receiver.borrow(), 1);
    let (sender, mut receiver) = broadcast::named("events", 4);
    sender.send(1).unwrap();
    assert_eq!(receiver.recv().await, Ok(1));

    let (sender, mut receiver) = named("jobs").spans().fill_ratio().mpsc(4);
    sender.send(1).await.unwrap();
    assert_eq!(receiver.recv().await, Some(1));
    let _ = named("jobs").mpsc_unbounded::<u8>();
    let _ = named("answer").spans().oneshot::<u8>();
    let _ = named("settings").spans().watch(0);
    let _ = named("events").spans().fill_ratio().broadcast::<u8>(4);
}

/// So does what a received value brings along, which futures of ours take on.
#[cfg(any(feature = "otel", feature = "profiling"))]
#[tokio::test]
async fn values_are_received_in_a_span() {
    use ringlight::channel::{RecvInSpan as _, mpsc, named};

    let (sender, mut receiver) = mpsc::named_unbounded("jobs");
    sender.send(1).unwrap();
    assert_eq!(receiver.recv_in_span().await.unwrap().0, 1);
    let (sender, mut receiver) = named("jobs").spans().mpsc(4);
    sender.send(1).await.unwrap();
    let received = tokio::spawn(async move { receiver.recv_in_span().await.unwrap().0 });
    assert_eq!(received.await.unwrap(), 1);
}

/// Off means off: no type of ours is between.
#[cfg(not(feature = "profiling"))]
#[test]
fn without_profiling_they_are_tokios() {
    use std::any::TypeId;

    macro_rules! same {
        ($($name:ident)::+) => {
            assert_eq!(
                TypeId::of::<tokio::sync::$($name)::+<u8>>(),
                TypeId::of::<ringlight::channel::$($name)::+<u8>>()
            );
        };
    }
    same!(mpsc::Sender);
    same!(mpsc::WeakSender);
    same!(mpsc::Receiver);
    same!(mpsc::OwnedPermit);
    same!(mpsc::Permit);
    same!(mpsc::PermitIterator);
    same!(mpsc::UnboundedSender);
    same!(mpsc::WeakUnboundedSender);
    same!(mpsc::UnboundedReceiver);
    same!(oneshot::Sender);
    same!(oneshot::Receiver);
    same!(watch::Sender);
    same!(watch::Receiver);
    same!(watch::Ref);
    same!(broadcast::Sender);
    same!(broadcast::WeakSender);
    same!(broadcast::Receiver);
}
