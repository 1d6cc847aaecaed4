//! Signals sent to this process, and sending them on.

use std::io;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::origin::WithOrigin;
use signal_hook::low_level::siginfo::Cause;
use tokio::sync::mpsc;

/// How long after a signal another one is taken as impatience. Closer together they are one request
/// told more than once: `timeout`, for example, signals its child and then the group the child is in.
const REPEAT_AFTER: Duration = Duration::from_secs(1);

/// A signal this process was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) signal: Signal,
    /// Whether it came from the terminal, which sends it to all processes in the foreground, so
    /// that a program started from here has had it already.
    from_terminal: bool,
    at: Instant,
}

impl Received {
    /// Whether somebody pressed Ctrl-C, and did not send SIGINT to this process alone.
    pub(crate) fn is_ctrl_c(self) -> bool {
        self.from_terminal && self.signal == Signal::INT
    }
}

/// SIGINT, SIGTERM and SIGHUP, one after another, from the moment of [`Signals::listen`] on.
#[derive(Debug)]
pub(crate) struct Signals {
    received: mpsc::Receiver<Received>,
    /// When the last signal that was acted upon came.
    acted: Option<Instant>,
}

impl Signals {
    /// Takes the signals over from their default, which would end the process. SIGHUP stays ignored
    /// where it is, since then `nohup` or the like was asked for.
    pub(crate) fn listen() -> io::Result<Self> {
        let mut wanted = vec![SIGINT, SIGTERM];
        if !is_ignored(SIGHUP) {
            wanted.push(SIGHUP);
        }
        // Nobody sends more signals than this before they are looked at; more would mean the same.
        let (sender, received) = mpsc::channel(64);
        let mut signals = SignalsInfo::<WithOrigin>::new(&wanted)?;
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                for origin in signals.forever() {
                    let Some(signal) = Signal::from_named_raw(origin.signal) else {
                        continue;
                    };
                    // Full or closed, the process is ending anyway.
                    let _ = sender.try_send(Received {
                        signal,
                        from_terminal: origin.cause == Cause::Kernel,
                        at: Instant::now(),
                    });
                }
            })?;
        Ok(Self {
            received,
            acted: None,
        })
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) -> Received {
        let received = self.receive().await;
        self.acted = Some(received.at);
        received
    }

    /// Lets a Ctrl-C pass that another process in the foreground has acted on already: this one was
    /// sent it at the same time, but may see it later, at most so much. Whether another signal came
    /// instead.
    pub(crate) async fn let_ctrl_c_pass(&mut self, late_max: Duration) -> bool {
        let received = tokio::time::timeout(late_max, self.next()).await;
        received.is_ok_and(|received| !received.is_ctrl_c())
    }

    /// Waits for a signal that says not to wait any longer for what is ending: the second one, if
    /// it comes a second after the first, or later.
    pub(crate) async fn force(&mut self) {
        loop {
            let at = self.receive().await.at;
            match self.acted {
                Some(acted) if at.saturating_duration_since(acted) >= REPEAT_AFTER => {
                    self.acted = Some(at);
                    return;
                }
                Some(_) => {}
                None => self.acted = Some(at),
            }
        }
    }

    async fn receive(&mut self) -> Received {
        match self.received.recv().await {
            Some(received) => received,
            // The thread never ends, so neither does the channel.
            None => std::future::pending().await,
        }
    }
}

/// Whether the process was started with a signal ignored. Linux tells; elsewhere, no.
fn is_ignored(signal: i32) -> bool {
    let mask = std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let mask = status
                .lines()
                .find_map(|line| line.strip_prefix("SigIgn:"))?;
            u64::from_str_radix(mask.trim(), 16).ok()
        });
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// Sends a signal to a child that has not been waited for. A child that has ended is no error.
pub(crate) fn send(child: &tokio::process::Child, signal: Signal) {
    let pid = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = kill_process(pid, signal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of the signals that come at these times, in milliseconds, force the end. The first
    /// is waited for as such if `is_asked_to_end`.
    async fn check(is_asked_to_end: bool, times: &[u64], expected: usize) {
        let start = Instant::now();
        let (sender, received) = mpsc::channel(times.len());
        for time in times {
            let received = Received {
                signal: Signal::TERM,
                from_terminal: false,
                at: start + Duration::from_millis(*time),
            };
            sender.try_send(received).unwrap();
        }
        let mut signals = Signals {
            received,
            acted: None,
        };
        if is_asked_to_end {
            signals.next().await;
        }
        let mut forced = 0;
        while tokio::time::timeout(Duration::ZERO, signals.force())
            .await
            .is_ok()
        {
            forced += 1;
        }
        assert_eq!(forced, expected, "{times:?}");
    }

    #[tokio::test]
    async fn only_a_later_signal_forces_the_end() {
        check(true, &[0, 0], 0).await;
        check(true, &[0, 1, 999], 0).await;
        check(true, &[0, 1, 1000], 1).await;
        check(true, &[0, 400, 800, 1200], 1).await;
        // Forcing is told more than once as well.
        check(true, &[0, 1500, 1501], 1).await;
        check(true, &[0, 1500, 2500], 2).await;
        // It ends by itself already: the first signal changes nothing.
        check(false, &[0, 1], 0).await;
        check(false, &[0, 1000], 1).await;
    }
}
