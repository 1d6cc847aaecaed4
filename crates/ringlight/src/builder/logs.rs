//! Settings of logs: lines and where they go, audit events, panics, the crate `log`.

use std::io;

use super::Builder;
use crate::{LogColor, LogFile, LogFormat};

impl Builder {
    /// How log lines look. Default: text on stderr.
    pub fn log_format(mut self, format: LogFormat) -> Self {
        self.inputs.lines.format = Some(format);
        self
    }

    /// Whether lines for people are in colour. Default: as `RINGLIGHT_LOG_COLOR` says, else
    /// [as is usual](LogColor::Auto).
    pub fn log_color(mut self, color: LogColor) -> Self {
        self.inputs.lines.color = Some(color);
        self
    }

    /// Whether lines name the spans around them. Default: as `RINGLIGHT_LOG_SPANS` says, else yes. The ids of the
    /// trace and the span are there in any case.
    pub fn log_spans(mut self, spans: bool) -> Self {
        self.inputs.lines.spans = Some(spans);
        self
    }

    /// Writes log lines to a file, too, which is rotated; a path stands for the [defaults](LogFile). Default: as
    /// `RINGLIGHT_LOG_FILE` says, else there is none. The guide is `docs/logs.md`.
    ///
    /// A thread of its own opens the file and writes to it: up to 1 MiB of lines wait for the disk, and what finds
    /// no room is dropped. Where lines are lost, because of that or since the disk is full, a person is told once,
    /// and how many when they are written again.
    ///
    /// ```no_run
    /// use ringlight::{LogFile, LogRotation};
    ///
    /// # fn main() -> Result<(), ringlight::InitError> {
    /// let mut file = LogFile::new("/var/log/shop/shop.jsonl");
    /// file.rotation = LogRotation::Daily;
    /// file.files_kept = 14;
    /// let _telemetry = ringlight::builder().log_file(file).init()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn log_file(mut self, file: impl Into<LogFile>) -> Self {
        self.inputs.lines.file = Some(file.into());
        self
    }

    /// Log lines go here, without colour unless that is asked for, instead of to stderr or stdout. It is written to on a thread of
    /// its own, and may block: up to 1 MiB of lines wait for it, and what finds no room is dropped.
    pub fn log_writer(mut self, writer: impl io::Write + Send + 'static) -> Self {
        self.log_writer = Some(Box::new(writer));
        self
    }

    /// The target of audit events, and of those below it (`audit::login`). Default: as `RINGLIGHT_AUDIT_TARGET` says,
    /// else `audit`; `none` or nothing: there are none.
    ///
    /// Such events at level `info` or a more severe one are always recorded, for log lines and for export, whatever
    /// directives, samplers and [rules](Self::process) say; and they are the last to be dropped: where a ring is full,
    /// the thread waits up to a second for room, also with [`OverflowPolicy::Drop`](crate::OverflowPolicy::Drop), and in a destination's queue
    /// others make room for them. How many do not arrive all the same:
    /// [`LedgerSnapshot::audit_lost`](crate::LedgerSnapshot::audit_lost).
    pub fn audit_target(mut self, target: impl Into<String>) -> Self {
        self.inputs.audit_target = Some(target.into());
        self
    }

    /// Whether [`init`](Self::init) has records of the crate `log` come here, as events of their target, level and
    /// place, with their key-value pairs. Default: yes. Where another logger is set, nothing happens.
    ///
    /// Where a crate turns on `tracing`'s feature `log-always`, its events come twice: turn it off there, or this
    /// here.
    #[cfg(feature = "log")]
    pub fn bridge_log(mut self, bridge: bool) -> Self {
        self.bridges_log = bridge;
        self
    }

    /// Whether what is recorded of a panic has a backtrace. Default: as `RINGLIGHT_PANIC_BACKTRACE` says, else yes,
    /// unless `RUST_LIB_BACKTRACE` or, without that, `RUST_BACKTRACE` is `0`.
    ///
    /// A backtrace takes the panicking thread milliseconds, the first one longer, while the binary's symbols are
    /// read, and as much memory as a debug build is large, up to 180 MB.
    pub fn panic_backtrace(mut self, backtrace: bool) -> Self {
        self.inputs.panic_backtrace = Some(backtrace);
        self
    }
}
