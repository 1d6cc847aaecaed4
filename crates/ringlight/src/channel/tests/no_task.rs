//! Nothing stands between the ends of a channel: no task, and no second queue.

use crate::channel::{RecvInSpan as _, broadcast, mpsc, named, oneshot, watch};

/// A task that handed messages on would be one of the runtime's while the channel is open, and would have to run between a
/// sending and its receipt, where there is nothing here that lets it.
#[test]
fn no_task_hands_messages_on() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let no_task = |what: &str| {
        assert_eq!(runtime.metrics().num_alive_tasks(), 0, "{what}");
    };
    runtime.block_on(async {
        let opened = [
            mpsc::channel(2),
            mpsc::named("no task", 2),
            named("no task, spans").spans().fill_ratio().mpsc(2),
        ];
        for (sender, mut receiver) in opened {
            no_task("an open channel");
            sender.send(1).await.unwrap();
            assert_eq!(receiver.try_recv(), Ok(1));
            sender.try_send(2).unwrap();
            assert_eq!(receiver.recv().await, Some(2));
            sender.reserve().await.unwrap().send(3);
            assert_eq!(receiver.recv_in_span().await.unwrap().0, 3);
            no_task("a used channel");
        }
        let opened = [
            mpsc::unbounded_channel(),
            mpsc::named_unbounded("no task"),
            named("no task, spans").spans().mpsc_unbounded(),
        ];
        for (sender, mut receiver) in opened {
            sender.send(1).unwrap();
            assert_eq!(receiver.try_recv(), Ok(1));
            sender.send(2).unwrap();
            assert_eq!(receiver.recv_in_span().await.unwrap().0, 2);
            no_task("a channel without a bound");
        }
        let opened = [
            oneshot::channel(),
            oneshot::named("no task"),
            named("no task, spans").spans().oneshot(),
        ];
        for (sender, mut receiver) in opened {
            no_task("an open channel of one value");
            sender.send(1).unwrap();
            assert_eq!(receiver.try_recv(), Ok(1));
            no_task("a channel of one value");
        }
        for (sender, mut receiver) in [watch::channel(0), watch::named("no task", 0)] {
            sender.send(1).unwrap();
            assert!(receiver.has_changed().unwrap());
            receiver.changed().await.unwrap();
            assert_eq!(*receiver.borrow(), 1);
            no_task("a channel of the last value");
        }
        for (sender, mut receiver) in [broadcast::channel(2), broadcast::named("no task", 2)] {
            let mut other = sender.subscribe();
            sender.send(1).unwrap();
            assert_eq!((receiver.try_recv(), other.try_recv()), (Ok(1), Ok(1)));
            sender.send(2).unwrap();
            assert_eq!((receiver.recv().await, other.recv().await), (Ok(2), Ok(2)));
            no_task("a channel for all");
        }
    });
}
