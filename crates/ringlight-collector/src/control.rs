//! What the application's threads tell the thread of a pipeline or a relay, and how they wait for it.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use crate::open_spans::OpenSpanSource;
use crate::processing::Processing;
use crate::sync::unpoisoned;

/// What the collector thread is told.
pub(crate) enum Command {
    /// Send everything that is there now, then answer.
    Flush(Answer),
    /// Show the sinks everything that is there now, then answer.
    ShowSinks(Answer),
    /// Take nothing more, send what there is for at most this long, end.
    Shutdown(Duration),
    /// Report the open spans that this one knows.
    ReportOpen(Arc<dyn OpenSpanSource>),
    /// Go by these rules from now on.
    Process(Box<Processing>),
}

/// Where the answer to a flush goes. Dropping it tells who waits that there is none.
pub(crate) enum Answer {
    Thread {
        sender: SyncSender<()>,
        /// Gone with the thread's patience.
        waiter: Weak<()>,
    },
    Task(oneshot::Sender<()>),
}

/// What a thread waits for an answer with.
pub(crate) struct Answered {
    pub(crate) receiver: Receiver<()>,
    _waiter: Arc<()>,
}

impl Answer {
    pub(crate) fn to_thread() -> (Self, Answered) {
        let (sender, receiver) = sync_channel(1);
        let waiter = Arc::new(());
        let answer = Self::Thread {
            sender,
            waiter: Arc::downgrade(&waiter),
        };
        let answered = Answered {
            receiver,
            _waiter: waiter,
        };
        (answer, answered)
    }

    /// Whether somebody still waits for it.
    pub(crate) fn is_awaited(&self) -> bool {
        match self {
            Self::Thread { waiter, .. } => waiter.strong_count() > 0,
            Self::Task(sender) => !sender.is_closed(),
        }
    }

    /// Whoever gave up waiting does not hear it.
    pub(crate) fn send(self) {
        match self {
            Self::Thread { sender, .. } => {
                let _ = sender.try_send(());
            }
            Self::Task(sender) => {
                let _ = sender.send(());
            }
        }
    }
}

/// What application threads and the collector thread share besides rings and books.
#[derive(Default)]
pub(crate) struct Control {
    state: Mutex<ControlState>,
    /// For threads that wait for the end, and for tasks.
    ended: Condvar,
    ended_for_tasks: watch::Sender<bool>,
}

#[derive(Default)]
struct ControlState {
    commands: Vec<Command>,
    is_ended: bool,
}

impl Control {
    fn lock(&self) -> MutexGuard<'_, ControlState> {
        unpoisoned(self.state.lock())
    }

    pub(crate) fn take(&self) -> Vec<Command> {
        std::mem::take(&mut self.lock().commands)
    }

    /// False when nobody will take it any more.
    ///
    /// What has not been taken is bounded by who waits for it: flushes that nobody waits for any more
    /// make room, and of rules only the last ones are kept.
    pub(crate) fn send(&self, command: Command) -> bool {
        let mut state = self.lock();
        if state.is_ended {
            return false;
        }
        let has_rules = matches!(command, Command::Process(_));
        let is_wanted = |command: &Command| match command {
            Command::Flush(answer) | Command::ShowSinks(answer) => answer.is_awaited(),
            Command::Process(_) => !has_rules,
            Command::Shutdown(_) | Command::ReportOpen(_) => true,
        };
        state.commands.retain(is_wanted);
        state.commands.push(command);
        true
    }

    /// Everybody who waits for the end is let go. Commands not taken are dropped, which lets those
    /// who wait for them go as well.
    pub(crate) fn end(&self) {
        let commands = {
            let mut state = self.lock();
            state.is_ended = true;
            std::mem::take(&mut state.commands)
        };
        self.ended.notify_all();
        // Without the lock: this rouses tasks, on whatever thread they like.
        drop(commands);
        self.ended_for_tasks.send_replace(true);
    }

    pub(crate) async fn ended(&self) {
        let mut ended = self.ended_for_tasks.subscribe();
        // The sender is here, so it does not fail.
        let _ = ended.wait_for(|ended| *ended).await;
    }

    /// Waits for the end; whether it came in time.
    pub(crate) fn wait_ended(&self, timeout: Duration) -> bool {
        let until = Instant::now().checked_add(timeout);
        let mut state = self.lock();
        while !state.is_ended {
            let left = until.map_or(timeout, |until| {
                until.saturating_duration_since(Instant::now())
            });
            if left.is_zero() {
                return false;
            }
            state = unpoisoned(self.ended.wait_timeout(state, left)).0;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flushes_that_nobody_waits_for_do_not_add_up_before_they_are_taken() {
        let control = Control::default();
        for _ in 0..100 {
            let (answer, answered) = Answer::to_thread();
            assert!(control.send(Command::Flush(answer)));
            drop(answered);
            let (answer, answered) = oneshot::channel();
            assert!(control.send(Command::Flush(Answer::Task(answer))));
            drop(answered);
        }
        let (answer, _answered) = Answer::to_thread();
        assert!(control.send(Command::Flush(answer)));
        assert!(control.send(Command::Shutdown(Duration::ZERO)));
        let taken = control.take();
        assert!(matches!(
            taken[..],
            [Command::Flush(_), Command::Shutdown(_)]
        ));
    }
}
