//! What is told of a sender that waits for a place.

use std::pin::Pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tracing::field::Value;
use tracing::span::Id;
use tracing::{Dispatch, Span};

use super::counts::Group;
use crate::RinglightSubscriber;

/// The target of events and spans.
pub(super) const TARGET: &str = "ringlight::channel";

/// A channel's events are at least so far apart: that senders wait is what a bound is for, and metrics say how often.
const EVENT_INTERVAL: Duration = Duration::from_secs(60);

/// A sender that found a channel full. The wait ends when this is dropped, also where the sending is given up.
pub(super) struct Wait {
    group: &'static Group,
    capacity: usize,
    began: Instant,
}

impl Wait {
    #[cold]
    pub(super) fn begin(group: &'static Group, capacity: usize) -> Self {
        set_fill_ratio(1.0);
        Self {
            group,
            capacity,
            began: Instant::now(),
        }
    }
}

impl Drop for Wait {
    #[cold]
    fn drop(&mut self) {
        let waited = self.began.elapsed();
        let waited_us = waited.as_micros() as u64;
        set_on_current_span(
            "channel.backpressure_latency_us",
            waited_us,
            RinglightSubscriber::set_u64,
        );
        #[cfg(feature = "otel")]
        crate::uncounted::uncounted(|| latency::record(self.group, waited));
        if let Some(unreported) = self.group.events.next() {
            tracing::warn!(
                target: TARGET,
                {
                    channel.name = self.group.name(),
                    channel.capacity = self.capacity,
                    channel.fill_ratio = 1.0,
                    channel.backpressure_latency_us = waited_us,
                    channel.unreported = unreported,
                },
                "backpressure: the channel was full, and the sender waited"
            );
        }
    }
}

/// Waits for places with a future that stays where it is, and tells of it. `is_full` is asked when that is pending.
pub(super) struct Waiting<'f, F, C> {
    reserve: Pin<&'f mut F>,
    group: &'static Group,
    /// How many places there are if none is left.
    is_full: C,
    wait: Option<Wait>,
}

impl<'f, F, C> Waiting<'f, F, C> {
    #[inline]
    pub(super) const fn new(reserve: Pin<&'f mut F>, group: &'static Group, is_full: C) -> Self {
        Self {
            reserve,
            group,
            is_full,
            wait: None,
        }
    }
}

// Nothing in it is pinned by it.
impl<F, C> Unpin for Waiting<'_, F, C> {}

impl<F: Future, C: Fn() -> Option<usize>> Future for Waiting<'_, F, C> {
    type Output = F::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let polled = this.reserve.as_mut().poll(context);
        if polled.is_pending()
            && this.wait.is_none()
            && let Some(capacity) = (this.is_full)()
        {
            this.wait = Some(Wait::begin(this.group, capacity));
        }
        polled
    }
}

/// When a channel may be spoken of again.
#[derive(Debug, Default)]
pub(super) struct Events {
    /// Nanoseconds since the first wait in the process. Whoever sets it speaks; `Relaxed`, since nothing else
    /// depends on it.
    next_nanos: AtomicU64,
    /// Waits since the last event.
    unreported: AtomicU64,
}

impl Events {
    /// Whether there is an event now, and of how many waits there was none before. What is claimed is claimed before
    /// the event is made, so that one that fills a channel itself does not make another.
    fn next(&self) -> Option<u64> {
        static BEGAN: OnceLock<Instant> = OnceLock::new();
        self.next_at(BEGAN.get_or_init(Instant::now).elapsed())
    }

    /// The same so long after the first wait in the process.
    fn next_at(&self, now: Duration) -> Option<u64> {
        let now = now.as_nanos() as u64;
        let next = self.next_nanos.load(Ordering::Relaxed);
        let later = now + EVENT_INTERVAL.as_nanos() as u64;
        let claim = || {
            self.next_nanos
                .compare_exchange(next, later, Ordering::Relaxed, Ordering::Relaxed)
        };
        if now < next || claim().is_err() {
            self.unreported.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.unreported.swap(0, Ordering::Relaxed))
    }
}

/// Says on the current span how full a channel is, 0..=1.
pub(super) fn set_fill_ratio(fill_ratio: f64) {
    let set = RinglightSubscriber::set_f64;
    set_on_current_span("channel.fill_ratio", fill_ratio, set);
}

/// As a field of the span if it has one of the name, which every subscriber understands; else `set` sets it.
fn set_on_current_span<V: Value>(name: &'static str, value: V, set: fn(&Dispatch, &Id, &str, V)) {
    let span = Span::current();
    if span.has_field(name) {
        span.record(name, value);
    } else {
        span.with_subscriber(|(id, dispatch)| {
            set(dispatch, id, name, value);
        });
    }
}

/// How long senders waited, as a metric.
#[cfg(feature = "otel")]
pub(crate) mod latency {
    use std::sync::{Arc, Weak};
    use std::time::Duration;

    use arc_swap::ArcSwapOption;
    use opentelemetry::KeyValue;
    use opentelemetry::metrics::Histogram;

    use super::Group;

    /// The histograms of all providers of this crate that are left.
    static HISTOGRAMS: ArcSwapOption<Vec<Weak<Histogram<f64>>>> = ArcSwapOption::const_empty();

    /// Waits are recorded in it as long as it lives.
    pub(crate) fn add(histogram: &Arc<Histogram<f64>>) {
        HISTOGRAMS.rcu(|histograms| {
            let before = histograms.iter().flat_map(|all| all.iter());
            let left = before.filter(|histogram| histogram.strong_count() > 0);
            let with = left.cloned().chain([Arc::downgrade(histogram)]);
            Some(Arc::new(with.collect::<Vec<_>>()))
        });
    }

    pub(super) fn record(group: &Group, waited: Duration) {
        if let Some(histograms) = &*HISTOGRAMS.load() {
            for histogram in histograms.iter().filter_map(Weak::upgrade) {
                histogram.record(waited.as_secs_f64(), &attributes(group));
            }
        }
    }

    /// What a channel is told by.
    pub(crate) fn attributes(group: &Group) -> [KeyValue; 2] {
        [
            KeyValue::new("channel.name", group.name().to_owned()),
            KeyValue::new("channel.type", group.kind().as_str()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_an_event_a_minute_which_says_how_many_there_were_not() {
        let events = Events::default();
        let at = |seconds| events.next_at(Duration::from_secs(seconds));
        for (seconds, unreported) in [
            (0, Some(0)),
            (0, None),
            (1, None),
            (59, None),
            (60, Some(3)),
            (119, None),
            // A minute after the last event, not the last wait.
            (120, Some(1)),
            (3_600, Some(0)),
        ] {
            assert_eq!(at(seconds), unreported, "after {seconds} s");
        }
    }
}
