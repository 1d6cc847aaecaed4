//! Metrics that a person should know of: those with more sets of attributes than they may have, which are counted, too.

use std::fmt;
use std::sync::{Arc, Mutex};

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use ringlight_collector::{Notice, Notices};

use super::encode::OVERFLOW;
use crate::sync::unpoisoned;

/// The scope of what metrics say about themselves.
pub(super) const SCOPE: &str = "ringlight.metrics";

/// Metrics that have a row of their own, and that a person is told of; further ones share a row, and of them nothing is
/// said.
const METRICS_MAX: usize = 100;

/// What is known of them.
pub(super) struct Overflows {
    notices: Notices,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    overflowing: Vec<Overflow>,
    /// Times that others were.
    further: u64,
    /// Metrics that Prometheus has no name for.
    #[cfg(feature = "prometheus")]
    refused: Vec<String>,
}

#[derive(Debug)]
struct Overflow {
    scope: String,
    metric: String,
    /// How often it was read like this.
    times: u64,
}

impl Overflows {
    pub(super) fn new(notices: Notices) -> Self {
        Self {
            notices,
            known: Mutex::default(),
        }
    }

    /// Says something about a metric.
    pub(super) fn tell(&self, metric: &str, message: impl fmt::Display) {
        self.notices.send(&Notice::Metric {
            metric: metric.to_owned(),
            message: message.to_string(),
        });
    }

    /// Counts that a metric was read with an overflow; says so the first time.
    pub(super) fn count(&self, scope: &str, metric: &str) {
        self.count_and_tell(
            scope,
            metric,
            format_args!(
                "has more sets of attributes than it may, further ones are in one with `{OVERFLOW}`; hint: use attributes \
                 with few values, or raise the limit with a view"
            ),
        );
    }

    /// The same with what is said.
    pub(super) fn count_and_tell(&self, scope: &str, metric: &str, message: fmt::Arguments<'_>) {
        let mut known = unpoisoned(self.known.lock());
        let is_it = |one: &&mut Overflow| one.metric == metric && one.scope == scope;
        if let Some(one) = known.overflowing.iter_mut().find(is_it) {
            one.times += 1;
            return;
        }
        if known.overflowing.len() >= METRICS_MAX {
            known.further += 1;
            return;
        }
        known.overflowing.push(Overflow {
            scope: scope.to_owned(),
            metric: metric.to_owned(),
            times: 1,
        });
        drop(known);
        self.tell(metric, message);
    }

    /// Says once that a metric is not among those for Prometheus.
    #[cfg(feature = "prometheus")]
    pub(super) fn tell_refused(&self, metric: &str) {
        let mut known = unpoisoned(self.known.lock());
        if known.refused.len() >= METRICS_MAX || known.refused.iter().any(|told| told == metric) {
            return;
        }
        known.refused.push(metric.to_owned());
        drop(known);
        self.tell(
            metric,
            "is not shown to Prometheus, where another one of another kind has its name; hint: rename one of them, with a view",
        );
    }

    /// Adds the count to a meter: `ringlight.metrics.overflow`, by metric.
    pub(super) fn register(self: &Arc<Self>, meter: &Meter) {
        let of = Arc::clone(self);
        let counter = meter
            .u64_observable_counter("ringlight.metrics.overflow")
            .with_unit("{reading}")
            .with_description("Readings of a metric that had more sets of attributes than it may.");
        counter
            .with_callback(move |observer| {
                let known = unpoisoned(of.known.lock());
                for one in &known.overflowing {
                    let attributes = [
                        KeyValue::new("metric", one.metric.clone()),
                        KeyValue::new("scope", one.scope.clone()),
                    ];
                    observer.observe(one.times, &attributes);
                }
                if known.further > 0 {
                    observer.observe(known.further, &[]);
                }
            })
            .build();
    }
}

impl fmt::Debug for Overflows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Overflows").finish_non_exhaustive()
    }
}
