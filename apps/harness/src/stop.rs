//! Asking an application to stop.

use std::fmt;
use std::io::{IsTerminal as _, Read};
use std::time::Duration;

use ringlight::channel::{oneshot, watch};
use tokio::signal::unix::{SignalKind, signal};

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
        let (sender, requested) = watch::named("stop", false);
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

/// Why an application stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Its time is over.
    Deadline,
    /// Whoever started it asks for it, or is gone.
    StdinClosed,
    /// It was sent this signal.
    Signal(&'static str),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Deadline => "the time is over",
            Self::StdinClosed => "standard input closed",
            Self::Signal(name) => name,
        })
    }
}

/// Whether a person runs the application on a terminal, which ends it when it is closed. Elsewhere SIGHUP is a word to
/// read the settings again, and telemetry's.
pub(crate) fn is_on_terminal() -> bool {
    std::io::stdin().is_terminal()
}

/// Waits for the first reason to stop: the deadline, and standard input's end or a signal.
///
/// An application that stops when its standard input closes leaves signals to the process that
/// started it. They often reach both at once (`pkill`, a service manager, a machine that is
/// switched off), and the application that it has just not asked yet would look like one that
/// failed.
pub(crate) async fn first_reason(
    duration: Option<Duration>,
    until_stdin_closes: bool,
) -> std::io::Result<Reason> {
    // Taken over in either case: by default, each would end the process.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = match is_on_terminal() {
        true => Some(signal(SignalKind::hangup())?),
        false => None,
    };
    let terminal_closed = async {
        match &mut hangup {
            Some(hangup) => hangup.recv().await,
            None => std::future::pending().await,
        }
    };
    let deadline = async {
        match duration {
            Some(duration) => tokio::time::sleep(duration).await,
            None => std::future::pending().await,
        }
    };
    Ok(tokio::select! {
        () = deadline => Reason::Deadline,
        () = stdin_closed(), if until_stdin_closes => Reason::StdinClosed,
        _ = interrupt.recv(), if !until_stdin_closes => Reason::Signal("SIGINT"),
        _ = terminate.recv(), if !until_stdin_closes => Reason::Signal("SIGTERM"),
        _ = terminal_closed, if !until_stdin_closes => Reason::Signal("SIGHUP"),
    })
}

/// Ends when standard input does, which is how a child learns that its parent is gone, however the
/// parent ended.
///
/// A plain thread reads, since a blocked read on the runtime's pool would hold its shutdown up.
async fn stdin_closed() {
    let (sender, receiver) = oneshot::named("stdin_closed");
    let spawned = std::thread::Builder::new()
        .name("stdin-watch".to_owned())
        .spawn(move || {
            read_to_end(std::io::stdin().lock());
            // The receiver is gone when the application already stops for another reason.
            let _ = sender.send(());
        });
    if spawned.is_err() {
        std::future::pending::<()>().await;
    }
    let _ = receiver.await;
}

/// Reads until there is nothing more to come. A read that was interrupted is none of that;
/// one that fails otherwise will not tell the end either.
fn read_to_end(mut reader: impl Read) {
    let _ = std::io::copy(&mut reader, &mut std::io::sink());
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

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
        let reason = first_reason(Some(Duration::from_secs(3_600)), false).await;
        assert_eq!(reason.unwrap(), Reason::Deadline);
    }

    #[test]
    fn an_interrupted_read_is_not_the_end() {
        struct Interrupted(VecDeque<std::io::Result<usize>>);
        impl Read for Interrupted {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                self.0.pop_front().unwrap_or(Ok(0))
            }
        }
        let mut reads = Interrupted(VecDeque::from([
            Ok(1),
            Err(std::io::ErrorKind::Interrupted.into()),
            Ok(1),
            Ok(0),
            Ok(1),
        ]));
        read_to_end(&mut reads);
        assert_eq!(reads.0.len(), 1, "all up to the end, and nothing behind it");
    }
}
