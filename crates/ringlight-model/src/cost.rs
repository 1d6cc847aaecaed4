//! What observing costs a process, as the process measures it itself.

use std::time::Duration;

/// What observing has cost a process since its telemetry started, at one moment.
///
/// What is measured and what is not: `docs/overhead.md`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CostSnapshot {
    /// Nanoseconds that a recorded span takes on the application's threads: the sum, over its parts, of
    /// the mean of the measurements, of which the dearest 3 in 100 count no more than the dearest of the
    /// others; `None` while there is none.
    pub span_nano: Option<f64>,
    /// Spans that were measured.
    pub spans_measured: u64,
    /// The same of a log record.
    pub log_nano: Option<f64>,
    /// Log records that were measured.
    pub logs_measured: u64,
    /// Time that recording took on the application's threads: submitted records times what one takes.
    pub producer_time: Duration,
    /// CPU time of the collector's thread.
    pub collector_time: Duration,
    /// CPU time of the whole process, from its own start.
    pub process_time: Duration,
    /// Time since telemetry started.
    pub elapsed: Duration,
    /// Bytes of the bodies of all requests, repetitions and reports among them, before compression.
    pub sent_bytes: u64,
    /// Memory that telemetry holds now.
    pub memory: MemoryUse,
    /// The part of the traces that begin here, of those that sampler and rules would take, that the
    /// budget lets through: 1 unless it was exceeded.
    pub sampling_ratio: f64,
    /// The part of the process's CPU time that observing may take; `None` without a budget.
    pub budget_ratio: Option<f64>,
}

/// Bytes that telemetry holds, as it counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MemoryUse {
    /// Rings, full or not.
    pub rings_bytes: u64,
    /// Batches that are built, wait or are sent, and what tail sampling keeps back.
    pub buffers_bytes: u64,
    /// Places for open spans, taken or not.
    pub open_spans_bytes: u64,
}

impl MemoryUse {
    /// All of it.
    #[must_use]
    pub const fn total_bytes(&self) -> u64 {
        self.rings_bytes + self.buffers_bytes + self.open_spans_bytes
    }
}

impl CostSnapshot {
    /// CPU time that observing took: on the application's threads and on the collector's.
    #[must_use]
    pub const fn overhead_time(&self) -> Duration {
        self.producer_time.saturating_add(self.collector_time)
    }

    /// Which part of one core's time observing took since an earlier snapshot; 0 if no time has passed.
    #[must_use]
    pub fn core_ratio(&self, earlier: &Self) -> f64 {
        let elapsed = self.elapsed.saturating_sub(earlier.elapsed);
        ratio(self.overhead_since(earlier), elapsed)
    }

    /// Which part of the process's CPU time observing took since an earlier snapshot; 0 if it used none,
    /// 1 at most.
    #[must_use]
    pub fn process_ratio(&self, earlier: &Self) -> f64 {
        let process = self.process_time.saturating_sub(earlier.process_time);
        ratio(self.overhead_since(earlier), process).min(1.0)
    }

    fn overhead_since(&self, earlier: &Self) -> Duration {
        let overhead = self.overhead_time();
        overhead.saturating_sub(earlier.overhead_time())
    }
}

fn ratio(part: Duration, whole: Duration) -> f64 {
    if whole.is_zero() {
        0.0
    } else {
        part.as_secs_f64() / whole.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_those_of_the_time_between() {
        let at = |ms: u64| CostSnapshot {
            producer_time: Duration::from_millis(ms / 100),
            collector_time: Duration::from_millis(ms / 50),
            process_time: Duration::from_millis(ms / 2),
            elapsed: Duration::from_millis(ms),
            ..CostSnapshot::default()
        };
        let (core, process) = (
            at(2_000).core_ratio(&at(1_000)),
            at(2_000).process_ratio(&at(1_000)),
        );
        assert!((core - 0.03).abs() < 1e-9, "{core}");
        assert!((process - 0.06).abs() < 1e-9, "{process}");
        assert!(at(1_000).core_ratio(&at(1_000)).abs() < 1e-9);
        assert!(at(1_000).process_ratio(&at(2_000)).abs() < 1e-9);
    }
}
