//! The thread that writes, and what it shares with the one that draws.
//!
//! The drawing is with one of them at a time: it is [`Lent`] to the collector's during a pass over the rings.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ringlight_collector::{Lent, mark_thread};
use ringlight_model::CallsiteRegistry;

use crate::config::{CounterSource, TraceFileConfig, TraceFileError, TraceFileNotice};
use crate::drawing::{Buffer, Drawing};
use crate::files::{self, Names, Output};
use crate::format::{Format, Process};

/// What is drawn is written at least this often.
const INTERVAL: Duration = Duration::from_millis(250);
const FILE_BYTES_MIN: u64 = 64 * 1024;
const FILE_TIME_MIN: Duration = Duration::from_secs(1);
/// How long a person is told no more of something, though it goes on.
const TELL_AGAIN: Duration = Duration::from_secs(60);
/// It is over when nothing has been lost for as long.
const QUIET: Duration = Duration::from_secs(5);

/// What both threads share.
#[derive(Debug)]
pub(crate) struct Shared {
    drawing: Lent<Box<Drawing>>,
    state: Mutex<State>,
    /// There is much to write; it is over; all is written.
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_roused: bool,
    is_over: bool,
    is_written: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // All of it is whole at any time.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The drawing, for a pass over the rings; to be [given back](Self::give_back).
    pub(crate) fn borrow_drawing(&self) -> Option<Box<Drawing>> {
        self.drawing.borrow()
    }

    /// Gives the drawing back at the end of a pass, and rouses the thread if so much is to be written.
    pub(crate) fn give_back(&self, drawing: Box<Drawing>, rouse_bytes: usize) {
        let is_much = drawing.len_bytes() >= rouse_bytes;
        self.drawing.give_back(drawing);
        if is_much {
            let mut state = self.lock();
            if !std::mem::replace(&mut state.is_roused, true) {
                self.changed.notify_all();
            }
        }
    }

    /// Calls with the drawing: at once, or at the end of the pass that goes on, which takes some milliseconds. What panics
    /// there gives nothing.
    fn with_drawing<R: Default + Send + 'static>(
        &self,
        call: impl FnOnce(&mut Drawing) -> R + Send + 'static,
    ) -> R {
        let answer = (self.drawing).ask(Duration::MAX, |drawing| call(drawing));
        answer.unwrap_or_default()
    }

    /// Has everything written, and waits for it, for so long.
    pub(crate) fn end(&self, patience: Duration) {
        let mut state = self.lock();
        state.is_over = true;
        self.changed.notify_all();
        let waits = |state: &mut State| !state.is_written;
        drop(self.changed.wait_timeout_while(state, patience, waits));
    }

    /// Waits until something is to be done; whether it is over.
    fn wait(&self) -> bool {
        let waits = |state: &mut State| !state.is_roused && !state.is_over;
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), INTERVAL, waits);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_roused = false;
        state.is_over
    }
}

/// Makes the first file and begins to write.
pub(crate) fn start(
    config: TraceFileConfig,
    callsites: Arc<CallsiteRegistry>,
) -> Result<Arc<Shared>, TraceFileError> {
    let mut writing = prepare(config, callsites)?;
    let shared = Arc::clone(&writing.shared);
    std::thread::Builder::new()
        .name("ringlight-tracefile".to_owned())
        .spawn(move || {
            mark_thread();
            writing.run();
        })
        .map_err(TraceFileError::Thread)?;
    Ok(shared)
}

/// Makes the first file.
fn prepare(
    config: TraceFileConfig,
    callsites: Arc<CallsiteRegistry>,
) -> Result<Writing, TraceFileError> {
    let zero_unix_nano = files::now_unix_nano();
    let process = Process {
        pid: std::process::id(),
        name: config.process,
        zero_unix_nano,
        zero_boot_nano: files::now_boot_nano().unwrap_or(zero_unix_nano),
    };
    let extension = config.format.extension();
    let mut names = Names::new(config.directory, config.session, extension);
    let mut drawing = Drawing::new(Format::new(config.format, process), config.include_args);
    let file_bytes_max = config.file_bytes_max.max(FILE_BYTES_MIN);
    let now = Instant::now();
    let made = files::make_directory(names.directory()).and_then(|()| {
        files::prune(&mut names, config.directory_bytes_max, file_bytes_max);
        Output::create(
            &mut names,
            now,
            files::now_unix_nano(),
            &drawing.beginning(),
        )
    });
    let output = made.map_err(|source| TraceFileError::Directory {
        directory: names.directory().to_owned(),
        source,
    })?;
    let shared = Arc::new(Shared {
        drawing: Lent::new(Box::new(drawing)),
        state: Mutex::default(),
        changed: Condvar::new(),
    });
    Ok(Writing {
        shared,
        callsites,
        output: Some(output),
        names,
        file_bytes_max,
        file_time_max: config.file_time_max.max(FILE_TIME_MIN),
        directory_bytes_max: config.directory_bytes_max,
        counters: config.counters,
        counter_interval: config.counter_interval,
        counters_at: Some(now),
        looked_at: now,
        on_notice: config.on_notice,
        is_failing: false,
        told: Told::default(),
        lost: 0,
        lost_at: now,
    })
}

/// The thread's own.
struct Writing {
    shared: Arc<Shared>,
    callsites: Arc<CallsiteRegistry>,
    /// `None` while none can be made.
    output: Option<Output>,
    names: Names,
    file_bytes_max: u64,
    file_time_max: Duration,
    directory_bytes_max: u64,
    counters: Option<Box<dyn CounterSource>>,
    counter_interval: Duration,
    /// When they are to be read next; `None` if that is further away than can be told.
    counters_at: Option<Instant>,
    looked_at: Instant,
    on_notice: Arc<dyn Fn(&TraceFileNotice) + Send + Sync>,
    /// Whether the last writing failed.
    is_failing: bool,
    told: Told,
    /// Events that are missing, and of which nobody was told.
    lost: u64,
    /// When the last of them came to be.
    lost_at: Instant,
}

/// What a person was told, and when.
#[derive(Debug, Default)]
struct Told {
    failing_at: Option<Instant>,
    lost_at: Option<Instant>,
    /// Whether they still take it that it fails.
    believes_failing: bool,
}

/// Says that all is written, however the thread ends.
struct Written<'a>(&'a Shared);

impl Drop for Written<'_> {
    fn drop(&mut self) {
        self.0.lock().is_written = true;
        self.0.changed.notify_all();
    }
}

impl Writing {
    fn run(&mut self) {
        let shared = Arc::clone(&self.shared);
        let _written = Written(&shared);
        let mut empty = Buffer::default();
        loop {
            let is_over = shared.wait();
            empty = self.pass(empty, is_over, Instant::now());
            if is_over {
                return self.finish();
            }
        }
    }

    /// Writes what there is at this time; what is drawn from now on goes into the empty buffer, of which another is
    /// returned.
    fn pass(&mut self, empty: Buffer, is_over: bool, now: Instant) -> Buffer {
        self.read_counters(now);
        self.look(is_over, now);
        let buffer = self.shared.with_drawing(|drawing| drawing.take(empty));
        self.write(&buffer, now);
        self.tell_lost(now);
        buffer.emptied()
    }

    /// Has what waits drawn that has waited long enough.
    fn look(&mut self, is_over: bool, now: Instant) {
        let callsites = Arc::clone(&self.callsites);
        if is_over {
            self.shared
                .with_drawing(move |drawing| drawing.finish(&callsites));
        } else if now.saturating_duration_since(self.looked_at) >= INTERVAL {
            self.looked_at = now;
            self.shared
                .with_drawing(move |drawing| drawing.look(&callsites));
        }
    }

    /// Reads counters if it is time. A source that panics is not asked again.
    fn read_counters(&mut self, now: Instant) {
        let is_time = self.counters_at.is_some_and(|at| now >= at);
        let Some(mut counters) = self.counters.take_if(|_| is_time) else {
            return;
        };
        self.counters_at = now.checked_add(self.counter_interval);
        let time = files::now_unix_nano();
        let mut read = Vec::new();
        let reading = catch_unwind(AssertUnwindSafe(|| {
            counters.read(&mut |name, unit, value| {
                read.push((name.to_owned(), unit.to_owned(), value));
            });
            counters
        }));
        self.counters = reading.ok();
        self.shared.with_drawing(move |drawing| {
            for (name, unit, value) in read {
                drawing.counter(&name, &unit, time, value);
            }
        });
    }

    fn write(&mut self, buffer: &Buffer, now: Instant) {
        self.note_lost(buffer.dropped, now);
        if self.is_full(buffer.bytes.len(), now) {
            self.rotate();
        }
        if buffer.bytes.is_empty() {
            return;
        }
        match self.append(&buffer.bytes, now) {
            Ok(()) => self.is_failing = false,
            Err(error) => {
                self.is_failing = true;
                self.note_lost(buffer.events, now);
                self.shared.with_drawing(Drawing::note_lost);
                self.tell_failing(error, now);
                self.leave_torn();
            }
        }
    }

    fn note_lost(&mut self, events: u64, now: Instant) {
        if events > 0 {
            self.lost += events;
            self.lost_at = now;
        }
    }

    /// Leaves a file as it is whose end could not be mended. The next one is begun where there is something to write.
    fn leave_torn(&mut self) {
        if self.output.take_if(|output| output.is_torn).is_some() {
            self.prune();
        }
    }

    fn append(&mut self, bytes: &[u8], now: Instant) -> std::io::Result<()> {
        let output = match &mut self.output {
            Some(output) => output,
            none => none.insert(Self::create(&mut self.names, &self.shared, now)?),
        };
        output.append(bytes)
    }

    fn create(names: &mut Names, shared: &Shared, now: Instant) -> std::io::Result<Output> {
        // Whoever took the directory away meant the files in it.
        files::make_directory(names.directory())?;
        let beginning = shared.with_drawing(|drawing| drawing.beginning());
        Output::create(names, now, files::now_unix_nano(), &beginning)
    }

    /// Whether the file is to be followed by another one, where so much is to be written.
    fn is_full(&self, more_bytes: usize, now: Instant) -> bool {
        self.output.as_ref().is_some_and(|output| {
            output.len_bytes + more_bytes as u64 > self.file_bytes_max
                || now.saturating_duration_since(output.since) >= self.file_time_max
                || !output.path.exists()
        })
    }

    /// Ends the file. The next one is begun where there is something to write.
    fn rotate(&mut self) {
        self.end_file();
        self.prune();
    }

    fn prune(&mut self) {
        let (limit, more) = (self.directory_bytes_max, self.file_bytes_max);
        files::prune(&mut self.names, limit, more);
    }

    fn end_file(&mut self) {
        let ending = self.shared.with_drawing(|drawing| drawing.ending());
        if let Some(mut output) = self.output.take() {
            // Without an end it can be read as well.
            let _ = output.append(&ending);
        }
    }

    fn finish(&mut self) {
        self.end_file();
        if self.lost > 0 {
            self.tell(&TraceFileNotice::Lost { events: self.lost });
        }
    }

    /// Tells that it cannot be written, unless that is known, or was said just now.
    fn tell_failing(&mut self, error: std::io::Error, now: Instant) {
        if self.told.believes_failing || !is_due(self.told.failing_at, now) {
            return;
        }
        self.told.believes_failing = true;
        self.told.failing_at = Some(now);
        let path = self.output.as_ref().map(|output| output.path.clone());
        let path = path.unwrap_or_else(|| self.names.directory().to_owned());
        self.tell(&TraceFileNotice::Failing { path, error });
    }

    /// Tells what is missing, where it can be written: at once, every minute while it goes on, and once it is over.
    fn tell_lost(&mut self, now: Instant) {
        if self.is_failing {
            return;
        }
        let is_over = now.saturating_duration_since(self.lost_at) >= QUIET;
        if self.lost > 0 && (is_over || is_due(self.told.lost_at, now)) {
            let events = std::mem::take(&mut self.lost);
            self.told.lost_at = Some(now);
            self.tell(&TraceFileNotice::Lost { events });
        }
        self.told.believes_failing &= self.lost > 0;
    }

    /// Whoever is told may panic.
    fn tell(&self, notice: &TraceFileNotice) {
        let _ = catch_unwind(AssertUnwindSafe(|| (self.on_notice)(notice)));
    }
}

/// Whether a person may be told again of what they were told then.
fn is_due(told_at: Option<Instant>, now: Instant) -> bool {
    told_at.is_none_or(|at| now.saturating_duration_since(at) >= TELL_AGAIN)
}

#[cfg(test)]
mod tests;
