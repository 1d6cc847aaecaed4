//! Asking an application to stop.

use std::io::Read as _;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Tells the parts of an application when it is time to stop.
///
/// Cheap to clone. Once requested, a stop stays requested.
#[derive(Debug, Clone)]
pub struct Stop {
    requested: watch::Receiver<bool>,
}

impl Stop {
    /// A stop and the sender that requests it by sending `true`; dropping the sender requests it
    /// too.
    #[must_use]
    pub fn new() -> (watch::Sender<bool>, Self) {
        let (sender, requested) = watch::channel(false);
        (sender, Self { requested })
    }

    /// Whether the stop was requested. May turn true at any moment after.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        *self.requested.borrow() || self.requested.has_changed().is_err()
    }

    /// Waits until the stop is requested.
    pub async fn requested(&self) {
        // An error means that the sender is gone, which is a request as well.
        let mut requested = self.requested.clone();
        drop(requested.wait_for(|stop| *stop).await);
    }
}

/// Waits for the first reason to stop: the deadline, a signal, or the end of standard input.
pub(crate) async fn first_reason(
    duration: Option<Duration>,
    until_stdin_closes: bool,
) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let deadline = async {
        match duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    let stdin_closed = async {
        if until_stdin_closes {
            stdin_closed().await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = deadline => {}
        () = stdin_closed => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}

/// Ends when standard input does, which is how a child learns that its parent is gone, however the
/// parent ended.
///
/// A plain thread reads, since a blocked read on the runtime's pool would hold its shutdown up.
async fn stdin_closed() {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let spawned = std::thread::Builder::new()
        .name("stdin-watch".to_owned())
        .spawn(move || {
            let mut buffer = [0_u8; 256];
            let mut stdin = std::io::stdin().lock();
            while stdin.read(&mut buffer).is_ok_and(|count| count > 0) {}
            // The receiver is gone when the application already stops for another reason.
            let _ = sender.send(());
        });
    if spawned.is_err() {
        std::future::pending::<()>().await;
    }
    let _ = receiver.await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stop_reaches_every_clone_and_stays() {
        let (sender, stop) = Stop::new();
        let other = stop.clone();
        assert!(!stop.is_requested());
        let waiting = tokio::spawn(async move { other.requested().await });
        sender.send(true).unwrap();
        waiting.await.unwrap();
        assert!(stop.is_requested());
        stop.requested().await;
    }

    #[tokio::test]
    async fn a_dropped_sender_is_a_stop() {
        let (sender, stop) = Stop::new();
        drop(sender);
        stop.requested().await;
        assert!(stop.is_requested());
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_stops() {
        first_reason(Some(Duration::from_secs(3_600)), false)
            .await
            .unwrap();
    }
}
