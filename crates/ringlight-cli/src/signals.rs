//! Signals sent to this process, and sending them on.

use std::io;

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::SignalsInfo;
use signal_hook::iterator::exfiltrator::origin::WithOrigin;
use signal_hook::low_level::siginfo::Cause;
use tokio::sync::mpsc;

/// A signal this process was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) signal: Signal,
    /// Whether it came from the terminal, which sends it to all processes in the foreground, so
    /// that a program started from here has had it already.
    pub(crate) from_terminal: bool,
}

/// SIGINT, SIGTERM and SIGHUP, one after another, from the moment of [`Signals::listen`] on.
#[derive(Debug)]
pub(crate) struct Signals {
    received: mpsc::Receiver<Received>,
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
                    });
                }
            })?;
        Ok(Self { received })
    }

    /// Waits for the next signal.
    pub(crate) async fn next(&mut self) -> Received {
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
