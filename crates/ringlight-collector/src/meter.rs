//! What observing costs this process.
//!
//! Whoever records on the application's threads measures one span in some eight hundred and
//! [adds](Meter::add) what it took; the collector's thread reads its own CPU time. Both write here, and
//! whoever asks, the reports among them, reads. All counters are `Relaxed`: each stands for itself, and
//! a snapshot that is a measurement behind is as good.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ringlight_model::{CostSnapshot, MemoryUse, Signal};
use ringlight_ring::RingSender;

use crate::accounts::Counted;
use crate::spread::Spread;
use crate::sync::unpoisoned;

/// What of recording was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Measured {
    /// A span was opened.
    Open = 0,
    /// A span was entered and left.
    Enter = 1,
    /// Values were recorded to an open span.
    Record = 2,
    /// A span was closed.
    Close = 3,
    /// A log record was made.
    Log = 4,
}

const PARTS: usize = 5;

/// Sums up what observing costs.
pub struct Meter {
    sender: RingSender,
    started: Instant,
    /// Nanoseconds that each of [`Measured`] took.
    parts: [Spread; PARTS],
    priced: Mutex<Priced>,
    open_spans_bytes: AtomicU64,
    buffers_bytes: AtomicU64,
    collector_nano: AtomicU64,
    sent_bytes: AtomicU64,
    /// Bits of an `f64`.
    sampling_ratio: AtomicU64,
    governor: Governor,
}

impl Meter {
    pub(crate) fn new(sender: RingSender, governor: Governor) -> Arc<Self> {
        Arc::new(Self {
            sender,
            started: Instant::now(),
            parts: std::array::from_fn(|_| Spread::new()),
            priced: Mutex::default(),
            open_spans_bytes: AtomicU64::new(0),
            buffers_bytes: AtomicU64::new(0),
            collector_nano: AtomicU64::new(0),
            sent_bytes: AtomicU64::new(0),
            sampling_ratio: AtomicU64::new(1.0_f64.to_bits()),
            governor,
        })
    }

    /// Adds what one part of recording took on a thread of the application.
    pub fn add(&self, part: Measured, nanos: u64) {
        self.parts[part as usize].add(nanos);
    }

    /// Says that there are more places for open spans.
    pub fn add_open_spans(&self, bytes: usize) {
        let bytes = bytes as u64;
        self.open_spans_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Whether there is a budget.
    pub(crate) const fn is_governed(&self) -> bool {
        self.governor.is_set()
    }

    /// Has the budget kept; whether it has to be looked after though nothing may be recorded.
    pub(crate) fn govern(&self) -> bool {
        let ratio = self.governor.ask(&self.snapshot());
        self.sampling_ratio
            .store(ratio.to_bits(), Ordering::Relaxed);
        ratio < 1.0
    }

    pub(crate) fn add_sent(&self, bytes: usize) {
        self.sent_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// To be called on the collector's thread.
    pub(crate) fn note_collector(&self, buffers_bytes: usize) {
        let nanos = u64::try_from(cpu_time(Cpu::Thread).as_nanos()).unwrap_or(u64::MAX);
        self.collector_nano.store(nanos, Ordering::Relaxed);
        let bytes = buffers_bytes as u64;
        self.buffers_bytes.store(bytes, Ordering::Relaxed);
    }

    /// What it comes to now.
    #[must_use]
    pub fn snapshot(&self) -> CostSnapshot {
        let part = |part: Measured| self.parts[part as usize].mean_and_count();
        let span = part(Measured::Open).zip(part(Measured::Close));
        let span_nano = span.map(|((open, _), (close, closed))| {
            let (enter, _) = part(Measured::Enter).unwrap_or_default();
            let (record, recorded) = part(Measured::Record).unwrap_or_default();
            // Some spans are recorded to, once or often: it is spread over all that were measured.
            open + enter + close + record * recorded as f64 / closed as f64
        });
        let spans_measured = span.map_or(0, |(_, (_, closed))| closed);
        let log = part(Measured::Log);
        let log_nano = log.map(|(nano, _)| nano);
        let producer_nano = {
            let mut priced = unpoisoned(self.priced.lock());
            priced.add(&self.sender, [span_nano, log_nano]);
            priced.nano
        };
        CostSnapshot {
            span_nano,
            spans_measured,
            log_nano,
            logs_measured: log.map_or(0, |(_, logged)| logged),
            producer_time: Duration::try_from_secs_f64(producer_nano / 1e9).unwrap_or_default(),
            collector_time: Duration::from_nanos(self.collector_nano.load(Ordering::Relaxed)),
            process_time: cpu_time(Cpu::Process),
            elapsed: self.started.elapsed(),
            sent_bytes: self.sent_bytes.load(Ordering::Relaxed),
            memory: MemoryUse {
                rings_bytes: self.sender.memory_bytes() as u64,
                buffers_bytes: self.buffers_bytes.load(Ordering::Relaxed),
                open_spans_bytes: self.open_spans_bytes.load(Ordering::Relaxed),
            },
            sampling_ratio: f64::from_bits(self.sampling_ratio.load(Ordering::Relaxed)),
            budget_ratio: self.governor.budget_ratio(),
        }
    }
}

/// What recording came to, summed up from one look to the next: a measurement says what records cost from
/// then on. If it changed what those before it cost, the first one, or one that moves the mean, would be
/// seen as work of the second it came in.
#[derive(Debug, Default)]
struct Priced {
    /// Spans and log records, as their counters were at the last look.
    submitted: [u64; 2],
    nano: f64,
}

impl Priced {
    /// Adds what was submitted since the last look, at what a span and a log record cost now. What
    /// nobody has measured yet costs nothing.
    fn add(&mut self, sender: &RingSender, nano_each: [Option<f64>; 2]) {
        let signals = [Signal::Traces, Signal::Logs];
        for (at, (signal, nano)) in signals.into_iter().zip(nano_each).enumerate() {
            let total = sender.counter_total(Counted::Submitted.index(signal));
            let before = std::mem::replace(&mut self.submitted[at], total);
            self.nano += total.wrapping_sub(before) as f64 * nano.unwrap_or(0.0);
        }
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter")
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}

/// Whose CPU time.
enum Cpu {
    Thread,
    Process,
}

#[cfg(unix)]
fn cpu_time(whose: Cpu) -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    let time = clock_gettime(match whose {
        Cpu::Thread => ClockId::ThreadCPUTime,
        Cpu::Process => ClockId::ProcessCPUTime,
    });
    // A CPU time is not negative.
    Duration::try_from(time).unwrap_or_default()
}

/// Not known: it shows as none.
#[cfg(not(unix))]
const fn cpu_time(_: Cpu) -> Duration {
    Duration::ZERO
}

/// Keeps what observing costs within a budget: shown about once a second, on the collector's thread, what
/// it costs, it says which part of the traces are to be let through. It has to see to that itself, and
/// must not block.
///
/// While it says less than 1 it is asked again though nothing is recorded; else a process that records
/// nothing is left to sleep.
#[derive(Clone, Default)]
pub struct Governor(Option<Arc<Governing>>);

struct Governing {
    budget_ratio: f64,
    govern: Box<Govern>,
}

type Govern = dyn Fn(&CostSnapshot) -> f64 + Send + Sync;

impl Governor {
    /// One with a budget, as a part of the process's CPU time, that goes by this function.
    pub fn new(
        budget_ratio: f64,
        govern: impl Fn(&CostSnapshot) -> f64 + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(Governing {
            budget_ratio,
            govern: Box::new(govern),
        })))
    }

    fn budget_ratio(&self) -> Option<f64> {
        self.0.as_ref().map(|governing| governing.budget_ratio)
    }

    /// Whether it is one that governs.
    #[must_use]
    pub const fn is_set(&self) -> bool {
        self.0.is_some()
    }

    /// Which part of the traces is let through from now on.
    pub(crate) fn ask(&self, cost: &CostSnapshot) -> f64 {
        let Some(governing) = &self.0 else { return 1.0 };
        // One that panics lets through what it did before.
        let ask = AssertUnwindSafe(|| (governing.govern)(cost));
        catch_unwind(ask).unwrap_or(cost.sampling_ratio)
    }
}

impl fmt::Debug for Governor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Governor")
            .field(&self.budget_ratio())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use ringlight_ring::{RingConfig, channel};

    use super::*;

    #[test]
    fn a_span_costs_the_sum_of_what_its_parts_take() {
        let (sender, _receiver) = channel(RingConfig::new(4096, 2)).unwrap();
        let meter = Meter::new(sender.clone(), Governor::default());
        assert_eq!(meter.snapshot().span_nano, None);
        meter.add(Measured::Open, 30);
        meter.add(Measured::Open, 30);
        assert_eq!(meter.snapshot().span_nano, None, "none has closed");
        meter.add(Measured::Enter, 5);
        meter.add(Measured::Close, 30);
        // An interruption is none of it.
        meter.add(Measured::Close, u64::MAX);
        let cost = meter.snapshot();
        assert_eq!(cost.span_nano.map(f64::round), Some(65.0));
        assert_eq!((cost.spans_measured, cost.logs_measured), (1, 0));
        meter.add(Measured::Log, 100);
        sender.overflow(|producer| {
            producer.add(Counted::Submitted.index(Signal::Traces), 1_000);
            producer.add(Counted::Submitted.index(Signal::Logs), 10);
        });
        let producer_time = meter.snapshot().producer_time;
        assert_eq!(producer_time.as_micros(), 66);
    }

    #[test]
    fn a_measurement_says_what_comes_after_it_costs() {
        let (sender, _receiver) = channel(RingConfig::new(4096, 2)).unwrap();
        let meter = Meter::new(sender.clone(), Governor::default());
        // Microseconds that so many records more add to the time, and nanoseconds each, if some took so long.
        let mut before = Duration::ZERO;
        let mut added = |measured: &[u64], records: u64| {
            for nanos in measured {
                meter.add(Measured::Log, *nanos);
            }
            sender.overflow(|producer| {
                producer.add(Counted::Submitted.index(Signal::Logs), records);
            });
            let cost = meter.snapshot();
            let added = cost.producer_time.saturating_sub(before).as_nanos() as f64;
            before = cost.producer_time;
            (added / 1e3, cost.log_nano.unwrap_or(0.0))
        };
        let check = |(added, nano): (f64, f64), expected: f64| {
            assert!((added - expected * nano).abs() < 1.0, "{added} at {nano}");
        };
        check(added(&[], 1_000_000), 0.0);
        // Late, and nothing of what was before.
        check(added(&[100], 1_000), 1.0);
        check(added(&[], 5_000), 5.0);
        let dearer = added(&[10_000; 100], 1_000);
        assert!(dearer.1 > 5_000.0, "{dearer:?}");
        check(dearer, 1.0);
    }

    #[test]
    fn memory_is_that_of_the_parts() {
        let (sender, _receiver) = channel(RingConfig::new(4096, 2)).unwrap();
        let meter = Meter::new(sender.clone(), Governor::default());
        let _producer = sender.register().unwrap();
        meter.add_open_spans(100);
        meter.note_collector(7);
        let cost = meter.snapshot();
        assert_eq!(cost.memory.rings_bytes, 2 * 4096);
        assert_eq!(cost.memory.total_bytes(), 2 * 4096 + 107);
        assert!(cost.collector_time > Duration::ZERO);
    }

    #[test]
    fn a_governor_says_what_is_let_through_and_whether_to_look_again() {
        let (sender, _receiver) = channel(RingConfig::new(4096, 2)).unwrap();
        let asked = AtomicU64::new(0);
        let governor = Governor::new(0.02, move |cost| {
            assert_eq!(cost.budget_ratio, Some(0.02));
            match asked.fetch_add(1, Ordering::Relaxed) {
                0 => 0.5,
                1 => panic!("it is broken"),
                _ => 1.0,
            }
        });
        let meter = Meter::new(sender, governor);
        let ratio = |meter: &Meter| meter.snapshot().sampling_ratio;
        assert!(meter.govern() && ratio(&meter) < 0.6);
        assert!(meter.govern() && ratio(&meter) < 0.6);
        assert!(!meter.govern() && ratio(&meter) > 0.9);
    }
}
