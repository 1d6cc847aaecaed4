//! What a trace file shows as counters: what the process uses, and how many messages are in channels.

#[cfg(target_os = "linux")]
use std::time::Instant;

use ringlight_tracefile::CounterSource;

use crate::channel::counts::groups;
#[cfg(target_os = "linux")]
use crate::process::{Reading, Source};

/// Reads them.
pub(crate) struct Counters {
    #[cfg(target_os = "linux")]
    process: Option<Process>,
}

#[cfg(target_os = "linux")]
struct Process {
    source: Source,
    /// For CPU time, which is shown as how much of it was used since.
    last: Option<(Instant, Reading)>,
}

impl Counters {
    pub(crate) fn new() -> Self {
        Self {
            #[cfg(target_os = "linux")]
            process: Source::open().map(|source| Process { source, last: None }),
        }
    }
}

impl CounterSource for Counters {
    fn read(&mut self, each: &mut dyn FnMut(&str, &str, f64)) {
        #[cfg(target_os = "linux")]
        if let Some(process) = &mut self.process {
            process.read(each);
        }
        for group in groups() {
            // Channels of several types may have one name.
            let name = format!("channel {} ({})", group.name(), group.kind().as_str());
            each(&name, "messages", group.queue_depth() as f64);
        }
    }
}

#[cfg(target_os = "linux")]
impl Process {
    fn read(&mut self, each: &mut dyn FnMut(&str, &str, f64)) {
        let Some(reading) = self.source.read() else {
            return;
        };
        let now = Instant::now();
        if let Some((then, before)) = self.last.replace((now, reading)) {
            let cpu = |reading: &Reading| reading.user_seconds + reading.system_seconds;
            let seconds = now.saturating_duration_since(then).as_secs_f64();
            let used = (cpu(&reading) - cpu(&before)).max(0.0);
            if seconds > 0.0 {
                each("CPU", "% of one processor", 100.0 * used / seconds);
            }
        }
        each("memory", "bytes", reading.resident_bytes as f64);
        each("threads", "threads", reading.threads as f64);
        if let Some(files) = reading.open_files {
            each("open files", "files", files as f64);
        }
    }
}
