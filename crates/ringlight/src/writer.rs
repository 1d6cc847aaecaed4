//! A thread that writes lines, those of log records or notices, so that a terminal that was stopped, or a pipe that nobody reads, holds
//! up nothing else.

mod output;

use std::fmt;
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use ringlight_collector::{Notice, Notices, mark_thread};

use self::output::Output;
#[cfg(feature = "fmt")]
pub(crate) use self::output::{end_of_line, lines_count};
use crate::sync::unpoisoned;

/// Bytes that wait to be written; as many may be on their way at the same time. What does not fit is
/// dropped, and a person is told how much once there is room again.
const QUEUE_BYTES_MAX: usize = 1 << 20;
/// The same for lines that are to be dropped last.
const QUEUE_BYTES_LAST: usize = QUEUE_BYTES_MAX + QUEUE_BYTES_MAX / 4;
/// Bytes of the buffers that are kept for what comes next.
const KEPT_BYTES_MAX: usize = 64 * 1024;
/// How long a flush waits for lines to be written. An output that takes longer is not waited for again
/// until it has taken something.
const PATIENCE: Duration = Duration::from_millis(100);
/// The same at the end.
const LAST_PATIENCE: Duration = Duration::from_secs(1);
/// How long it is tried again, on the thread that is there for it, while the output says that it would block: longer than
/// whoever reads a pipe pauses, as a rule.
const BLOCKED_MAX: Duration = Duration::from_secs(10);

/// Where lines are written, by a thread that begins with the first of them and ends with this.
pub(crate) struct Writer {
    shared: Arc<Shared>,
    thread_name: &'static str,
    has_thread: bool,
}

struct Shared {
    lines: &'static str,
    notices: Notices,
    state: Mutex<State>,
    /// There is something to write, or it is over; something has been written.
    changed: Condvar,
    /// Taken by the thread alone once there is one.
    output: Mutex<Output>,
}

#[derive(Default)]
struct State {
    queue: String,
    /// Lines that found no room in it.
    lost_count: usize,
    /// Lines that were lost since the output failed, which a person was told.
    failed_count: Option<u64>,
    /// Whether a line was written in part then, whose rest comes first.
    has_begun: bool,
    is_writing: bool,
    /// The output was waited for in vain and has taken nothing since.
    is_stalled: bool,
    is_over: bool,
}

impl Writer {
    /// What `lines` are called is said where they are lost.
    pub(crate) fn new(
        output: Box<dyn Write + Send>,
        thread_name: &'static str,
        lines: &'static str,
        notices: Notices,
    ) -> Self {
        Self {
            thread_name,
            shared: Arc::new(Shared {
                lines,
                notices,
                state: Mutex::default(),
                changed: Condvar::new(),
                output: Mutex::new(Output::new(output)),
            }),
            has_thread: false,
        }
    }

    /// Hands lines over to be written, as far as there is room for all of them; for some there is more. Waits for
    /// nothing.
    pub(crate) fn write(&mut self, text: &str, lines_count: usize, are_last: bool) {
        let mut state = self.shared.lock();
        let bytes_max = if are_last {
            QUEUE_BYTES_LAST
        } else {
            QUEUE_BYTES_MAX
        };
        let has_room = state.queue.is_empty() || state.queue.len() + text.len() <= bytes_max;
        if !has_room {
            state.lost_count += lines_count;
            return;
        }
        state.queue.push_str(text);
        drop(state);
        self.shared.changed.notify_all();
        if !self.has_thread {
            self.begin();
        }
    }

    /// Waits until everything is written, for a moment.
    pub(crate) fn flush(&self) {
        self.shared.wait_written(PATIENCE);
    }

    fn begin(&mut self) {
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name(self.thread_name.to_owned());
        let spawned = thread.spawn(move || {
            mark_thread();
            shared.run();
        });
        match spawned {
            Ok(_) => self.has_thread = true,
            // Without a thread they are written here and now, as well as that can be had.
            Err(_) => {
                let text = std::mem::take(&mut self.shared.lock().queue);
                self.shared.put(&text, Duration::ZERO);
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.wait_written(LAST_PATIENCE);
        let mut state = self.shared.lock();
        state.is_over = true;
        let has_begun = std::mem::take(&mut state.has_begun);
        let failed_count = state.failed_count.take().unwrap_or(0) + u64::from(has_begun);
        drop(state);
        self.shared.changed.notify_all();
        if failed_count > 0 {
            let lines = self.shared.lines;
            self.shared.tell(format_args!(
                "{failed_count} {lines} were lost: they could not be written until the end"
            ));
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        unpoisoned(self.state.lock())
    }

    fn tell(&self, message: fmt::Arguments<'_>) {
        self.notices.send(&Notice::LogLines {
            message: message.to_string(),
        });
    }

    /// Writes lines. A closed pipe or a full disk must not hurt: the lines are lost, and counted.
    fn put(&self, text: &str, blocked_max: Duration) {
        let outcome = unpoisoned(self.output.lock()).put(text, blocked_max);
        let lines = self.lines;
        let mut state = self.lock();
        match outcome {
            Ok(()) => {
                state.has_begun = false;
                let failed_count = state.failed_count.take();
                drop(state);
                if let Some(count) = failed_count {
                    self.tell(format_args!("{lines} are written again; {count} were lost"));
                }
            }
            Err(unwritten) => {
                state.has_begun = unwritten.has_begun;
                let is_first = state.failed_count.is_none();
                *state.failed_count.get_or_insert(0) += unwritten.lines_count;
                drop(state);
                if is_first {
                    let reason = unwritten.reason;
                    self.tell(format_args!(
                        "{lines} cannot be written and are lost until they can: {reason}"
                    ));
                }
            }
        }
    }

    fn run(&self) {
        let mut text = String::new();
        loop {
            let mut state = self.lock();
            while state.queue.is_empty() {
                if state.is_over {
                    return;
                }
                state = unpoisoned(self.changed.wait(state));
            }
            std::mem::swap(&mut text, &mut state.queue);
            state.is_writing = true;
            drop(state);

            self.put(&text, BLOCKED_MAX);
            text.clear();
            text.shrink_to(KEPT_BYTES_MAX);

            let lost_count = std::mem::take(&mut self.lock().lost_count);
            if lost_count > 0 {
                self.tell(format_args!(
                    "{lost_count} {} were not written: the output did not take them in time",
                    self.lines
                ));
            }
            let mut state = self.lock();
            state.is_writing = false;
            state.is_stalled = false;
            drop(state);
            self.changed.notify_all();
        }
    }

    fn wait_written(&self, patience: Duration) {
        let until = Instant::now() + patience;
        let mut state = self.lock();
        while !state.is_stalled && (state.is_writing || !state.queue.is_empty()) {
            let left = until.saturating_duration_since(Instant::now());
            state.is_stalled = left.is_zero();
            state = unpoisoned(self.changed.wait_timeout(state, left)).0;
        }
    }
}
