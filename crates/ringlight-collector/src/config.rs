//! Settings of a collector: one plain struct with presets, checked once by
//! [`CollectorConfig::validate`].

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use ringlight_clock::Clock;
use ringlight_model::{Limits, Resource, Scope};

use crate::Governor;
use crate::Notices;
use crate::Processing;
use crate::SpoolConfig;
use crate::TailSampling;
use crate::destination::LETTER_BYTES_MAX;
use crate::destination_config::DestinationSettings;
use crate::text::Readable;

pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const MS: Duration = Duration::from_millis(1);

/// Bytes a ring holds for each of its `2^ring_bits` nominal records.
pub(crate) const BYTES_PER_NOMINAL_RECORD: usize = 128;

/// The part of each ring that is kept for records that are worth more than most.
pub(crate) const HEADROOM_PART: usize = 16;

/// What a producer does when its ring has no room.
///
/// A sixteenth of each ring is kept for failed spans, spans that a trace begins with in this process,
/// and log records of errors: when others are dropped or wait, those still find room for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OverflowPolicy {
    /// Drop the new record and count it. The application never waits. The default.
    #[default]
    Drop,
    /// Wait until the collector has made room, or the pipeline shuts down.
    Block,
    /// Wait as [`Block`](Self::Block) does, but no longer than this; then drop and count.
    BlockFor(Duration),
}

/// How failed exports are repeated.
///
/// The wait before attempt *n* is `delay_first * 2^(n-1)`, at most `delay_max`, of which a random
/// part between one half and all is taken, so that many processes do not return in step. A delay
/// the backend asks for replaces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryConfig {
    /// Wait before the first repetition. Default 100 ms.
    pub delay_first: Duration,
    /// Longest wait between two attempts. Default 5 s, so that a backend that comes back is found
    /// soon.
    pub delay_max: Duration,
    /// A batch older than this when an attempt fails is dropped. Default 5 min.
    pub total_max: Duration,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            delay_first: Duration::from_millis(100),
            delay_max: Duration::from_secs(5),
            total_max: Duration::from_secs(300),
        }
    }
}

/// Settings of a [`SpanCollector`](crate::SpanCollector), an
/// [`AsyncSpanCollector`](crate::AsyncSpanCollector) or a [`Pipeline`](crate::Pipeline).
///
/// | field | default | [`low_latency`](Self::low_latency) | [`high_throughput`](Self::high_throughput) |
/// |---|---|---|---|
/// | `ring_bits` | 12 | 12 | 16 |
/// | `producers_max` | 16 | 16 | 32 |
/// | `batch_records_max` | 10 000 | 1 000 | 10 000 |
/// | `batch_delay` | 5 s | 1 s | 10 s |
/// | `drain_interval` | 100 ms | 50 ms | 200 ms |
/// | `batch_bytes_max` | 256 KiB | 256 KiB | 3 MiB |
/// | `queue_bytes_max` | 512 KiB | 512 KiB | 16 MiB |
///
/// The default keeps every buffer together under 10 MB (see
/// [`buffers_bytes_max`](Self::buffers_bytes_max)); rings are allocated when their producer
/// registers, so a small program uses far less. What counts is in the ledger in any case; whether
/// it is also reported to the backend is [`report_interval`](Self::report_interval).
///
/// ```
/// use std::time::Duration;
///
/// use ringlight_collector::CollectorConfig;
///
/// let config = CollectorConfig {
///     batch_delay: Duration::from_millis(200),
///     ..CollectorConfig::low_latency()
/// };
/// assert_eq!(config.validate(), Ok(()));
///
/// let wrong = CollectorConfig { ring_bits: 40, ..config };
/// let error = wrong.validate().unwrap_err();
/// assert_eq!(error.to_string(), "`ring_bits` is 40, allowed is 6 to 20");
/// ```
#[derive(Debug, Clone)]
pub struct CollectorConfig {
    /// A ring holds `2^ring_bits * 128` bytes of records. Range 6 to 20, default 12 (512 KiB).
    pub ring_bits: u8,
    /// Producers with a ring of their own at a time; further threads that
    /// [record](crate::Recorder) share one locked ring. Range 1 to 1024, default 16. The slot of a
    /// producer that is gone is used again.
    pub producers_max: usize,
    /// What a producer does when its ring is full. Default: drop the new record.
    pub policy: OverflowPolicy,
    /// A batch is sent when it holds this many records. Range 1 to 1 000 000, default 10 000.
    pub batch_records_max: usize,
    /// A batch is sent when it holds about this many bytes. Range 1 KiB to 60 MiB, default
    /// 256 KiB: an export request stays far under the 4 MiB that common receivers accept.
    pub batch_bytes_max: usize,
    /// A batch is sent when its oldest record has waited this long, and no other batch waits before it: under a
    /// destination that is slow it grows meanwhile. Range 1 ms to 1 h, default 5 s.
    pub batch_delay: Duration,
    /// Longest time between two looks at the rings while records come in, and eight times the shortest: in between it
    /// is as long as an eighth of a ring takes to come together. A ring that is half full calls by itself, so this bounds
    /// the wait of few records, not the throughput. Range 1 ms to 1 min, default 100 ms.
    pub drain_interval: Duration,
    /// Bytes of batches waiting for, or on their way to, one destination, or one of the places it
    /// sends signals to ([`Exporter::place`](crate::Exporter::place)). At least
    /// `batch_bytes_max`, at most 1 GiB, default 512 KiB. When it is exceeded the newest batch is
    /// dropped and counted.
    pub queue_bytes_max: usize,
    /// Requests under way to one destination at a time, at most: there is one at first, and more as long as that
    /// helps. Range 1 to 64, default 4.
    pub concurrent_exports_max: usize,
    /// How long one attempt to export may take. Range 1 ms to 1 h, default 10 s.
    pub export_timeout: Duration,
    /// How failed exports are repeated.
    pub retry: RetryConfig,
    /// How often the ledger is reported to the backend when it has changed; zero turns reports
    /// off. Default 2 s.
    pub report_interval: Duration,
    /// How long an attempt to send metrics may take, reports of the ledger among them. Range 1 ms to 1 h, default
    /// `export_timeout`.
    pub metrics_timeout: Option<Duration>,
    /// A Ringlight backend is told of spans that have been open for longer than this, every
    /// `report_interval`; zero turns that off. Up to 1 h, default 10 s.
    pub open_span_after: Duration,
    /// Whether spans and logs carry where in the source they come from, as the attributes
    /// `code.file.path` and `code.line.number`. Default no: it is the same for every record of a
    /// callsite and costs bytes on each.
    pub source_location: bool,
    /// Attributes of everything this process sends: `service.name` and so on.
    pub resource: Resource<'static>,
    /// The instrumentation scope of records that name none themselves. Default: without a name.
    pub scope: Scope<'static>,
    /// Which of the recorded traces are sent, judged once they are over. Default: all of them, at
    /// once.
    pub tail_sampling: Option<TailSampling>,
    /// Keeps on disk what cannot be sent, also for the next process. Default: it is kept in memory, as far as
    /// there is room.
    pub spool: Option<SpoolConfig>,
    /// What is redacted, renamed and left out before anything leaves the process. Default: nothing.
    pub processing: Processing,
    /// Limits on one record.
    pub limits: Limits,
    /// What spans are timed by. Default: the best clock there is. The collector's thread
    /// [keeps](Clock::keep) it.
    pub clock: Option<Arc<Clock>>,
    /// Told when a destination stops answering and when it answers again.
    pub notices: Notices,
    /// Keeps what observing costs within a budget. Default: there is none.
    pub governor: Governor,
}

impl Default for CollectorConfig {
    fn default() -> Self {
        Self {
            ring_bits: 12,
            producers_max: 16,
            policy: OverflowPolicy::Drop,
            batch_records_max: 10_000,
            batch_bytes_max: 256 * 1024,
            batch_delay: Duration::from_secs(5),
            drain_interval: Duration::from_millis(100),
            queue_bytes_max: 512 * 1024,
            concurrent_exports_max: 4,
            export_timeout: Duration::from_secs(10),
            retry: RetryConfig::default(),
            report_interval: Duration::from_secs(2),
            metrics_timeout: None,
            open_span_after: Duration::from_secs(10),
            source_location: false,
            resource: Resource::default(),
            scope: Scope::default(),
            tail_sampling: None,
            spool: None,
            processing: Processing::default(),
            limits: Limits::default(),
            clock: None,
            notices: Notices::default(),
            governor: Governor::default(),
        }
    }
}

/// A setting lies outside its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error("`{field}` is {value}, allowed is {allowed}")]
pub struct CollectorConfigError {
    /// The field of [`CollectorConfig`], or of the settings of a policy.
    pub field: &'static str,
    /// What it was set to.
    pub value: String,
    /// What it may be set to.
    pub allowed: String,
}

impl CollectorConfig {
    /// For spans that somebody watches arrive: small batches, often.
    #[must_use]
    pub fn low_latency() -> Self {
        Self {
            batch_records_max: 1_000,
            batch_delay: Duration::from_secs(1),
            drain_interval: Duration::from_millis(50),
            ..Self::default()
        }
    }

    /// For many spans whose arrival can wait: rings of 8 MiB, large batches, few wake-ups. Batches
    /// stay under the 4 MiB that common receivers accept.
    #[must_use]
    pub fn high_throughput() -> Self {
        Self {
            ring_bits: 16,
            producers_max: 32,
            batch_records_max: 10_000,
            batch_delay: Duration::from_secs(10),
            drain_interval: Duration::from_millis(200),
            batch_bytes_max: 3 << 20,
            queue_bytes_max: 16 << 20,
            ..Self::default()
        }
    }

    /// Checks every field against its documented range.
    ///
    /// # Errors
    /// Names the first field that is out of range, its value and the range.
    pub fn validate(&self) -> Result<(), CollectorConfigError> {
        number("ring_bits", self.ring_bits.into(), 6..=20)?;
        number("producers_max", self.producers_max, 1..=1024)?;
        number("batch_records_max", self.batch_records_max, 1..=1_000_000)?;
        number("batch_bytes_max", self.batch_bytes_max, 1024..=60 << 20)?;
        DestinationSettings::of(self).validate()?;
        duration("batch_delay", self.batch_delay, MS..=HOUR)?;
        duration("drain_interval", self.drain_interval, MS..=HOUR / 60)?;
        if let Some(tail) = &self.tail_sampling {
            tail.validate()?;
        }
        if let Some(spool) = &self.spool {
            spool.validate()?;
        }
        if let Some(timeout) = self.metrics_timeout {
            duration("metrics_timeout", timeout, MS..=HOUR)?;
        }
        let from_zero = Duration::ZERO..=HOUR;
        duration("open_span_after", self.open_span_after, from_zero.clone())?;
        duration("report_interval", self.report_interval, from_zero)
    }

    pub(crate) fn clock(&self) -> Arc<Clock> {
        let given = self.clock.clone();
        given.unwrap_or_else(|| Arc::new(Clock::system()))
    }

    /// Bytes of one ring.
    #[must_use]
    pub const fn ring_bytes(&self) -> usize {
        BYTES_PER_NOMINAL_RECORD << self.ring_bits
    }

    /// Upper bound of the bytes all buffers hold together with one destination of one place: every ring
    /// allocated, an open batch for each of traces and logs, a full queue, as much again on its way to disk where
    /// there is a spool, with what was refused and is to be kept there, and what tail sampling keeps back, which a
    /// flush makes batches of all at once.
    #[must_use]
    pub fn buffers_bytes_max(&self) -> usize {
        let kept_back = self.tail_sampling.map_or(0, |tail| 2 * tail.bytes_max);
        let to_disk = if self.spool.is_some() {
            self.queue_bytes_max + LETTER_BYTES_MAX
        } else {
            0
        };
        self.ring_bytes() * (self.producers_max + 1)
            + 2 * self.batch_bytes_max
            + self.queue_bytes_max
            + to_disk
            + kept_back
    }
}

pub(crate) fn validate_delays(retry: &RetryConfig) -> Result<(), CollectorConfigError> {
    duration("retry.delay_first", retry.delay_first, MS..=HOUR)?;
    duration("retry.delay_max", retry.delay_max, retry.delay_first..=HOUR)?;
    duration(
        "retry.total_max",
        retry.total_max,
        Duration::ZERO..=24 * HOUR,
    )
}

pub(crate) fn number(
    field: &'static str,
    value: usize,
    allowed: RangeInclusive<usize>,
) -> Result<(), CollectorConfigError> {
    if allowed.contains(&value) {
        return Ok(());
    }
    Err(CollectorConfigError {
        field,
        value: value.to_string(),
        allowed: format!("{} to {}", allowed.start(), allowed.end()),
    })
}

pub(crate) fn duration(
    field: &'static str,
    value: Duration,
    allowed: RangeInclusive<Duration>,
) -> Result<(), CollectorConfigError> {
    if allowed.contains(&value) {
        return Ok(());
    }
    Err(CollectorConfigError {
        field,
        value: Readable(value).to_string(),
        allowed: format!(
            "{} to {}",
            Readable(*allowed.start()),
            Readable(*allowed.end())
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_keeps_all_buffers_under_ten_megabytes() {
        assert!(CollectorConfig::default().buffers_bytes_max() < 10_000_000);
    }

    #[test]
    fn presets_are_valid_and_as_documented() {
        let check = |config: CollectorConfig, expected: (u8, usize, usize, u64, u64)| {
            assert_eq!(config.validate(), Ok(()));
            let found = (
                config.ring_bits,
                config.producers_max,
                config.batch_records_max,
                config.batch_delay.as_secs(),
                config.drain_interval.as_millis() as u64,
            );
            assert_eq!(found, expected);
        };
        check(CollectorConfig::default(), (12, 16, 10_000, 5, 100));
        check(CollectorConfig::low_latency(), (12, 16, 1_000, 1, 50));
        check(
            CollectorConfig::high_throughput(),
            (16, 32, 10_000, 10, 200),
        );
    }

    #[test]
    fn a_bad_value_names_field_value_and_range() {
        let check = |change: fn(&mut CollectorConfig), expected: &str| {
            let mut config = CollectorConfig::default();
            change(&mut config);
            assert_eq!(config.validate().unwrap_err().to_string(), expected);
        };
        check(
            |c| c.ring_bits = 40,
            "`ring_bits` is 40, allowed is 6 to 20",
        );
        check(
            |c| c.producers_max = 0,
            "`producers_max` is 0, allowed is 1 to 1024",
        );
        check(
            |c| c.queue_bytes_max = 1,
            "`queue_bytes_max` is 1, allowed is 262144 to 1073741824",
        );
        check(
            |c| c.batch_delay = Duration::ZERO,
            "`batch_delay` is 0 s, allowed is 1 ms to 3600 s",
        );
        check(
            |c| c.drain_interval = Duration::from_secs(61),
            "`drain_interval` is 61 s, allowed is 1 ms to 60 s",
        );
        check(
            |c| c.retry.delay_max = Duration::from_millis(1),
            "`retry.delay_max` is 1 ms, allowed is 100 ms to 3600 s",
        );
        let tail = |change: fn(&mut TailSampling), expected: &str| {
            let mut tail = TailSampling::default();
            change(&mut tail);
            let config = CollectorConfig {
                tail_sampling: Some(tail),
                ..CollectorConfig::default()
            };
            assert_eq!(config.validate().unwrap_err().to_string(), expected);
        };
        tail(
            |t| t.otherwise_ratio = f64::NAN,
            "`tail_sampling.otherwise_ratio` is NaN, allowed is 0 to 1",
        );
        tail(
            |t| t.bytes_max = 1,
            "`tail_sampling.bytes_max` is 1, allowed is 65536 to 1073741824",
        );
    }
}
