//! The metrics of channels, read from what they count.

use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Histogram, Meter};

use crate::channel::counts::{DropReason, Group, groups};
use crate::channel::wait::latency;

/// The scope of these metrics.
pub(super) const SCOPE: &str = "ringlight.channel";

/// From a wait that a context switch explains to one that a person notices, in seconds.
const LATENCY_BOUNDARIES: [f64; 16] = [
    0.000_005, 0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005,
    0.01, 0.025, 0.1, 0.5, 1.0, 10.0,
];

/// Adds the metrics of all channels to a meter. Waits are recorded as long as what is returned lives.
pub(super) fn register(meter: &Meter) -> Arc<Histogram<f64>> {
    counter(meter, "channel.sent", "Messages sent.", Group::sent);
    counter(
        meter,
        "channel.received",
        "Messages received.",
        Group::received,
    );
    dropped(meter);
    let depth = meter
        .u64_observable_gauge("channel.queue_depth")
        .with_unit("{message}");
    depth
        .with_description("Messages that are in channels.")
        .with_callback(|observer| {
            for group in groups() {
                observer.observe(group.queue_depth(), &latency::attributes(group));
            }
        })
        .build();
    let waits = meter
        .f64_histogram("channel.backpressure_latency")
        .with_unit("s")
        .with_description("How long senders waited that found a channel full.")
        .with_boundaries(LATENCY_BOUNDARIES.into());
    let waits = Arc::new(waits.build());
    latency::add(&waits);
    waits
}

fn counter(meter: &Meter, name: &'static str, description: &'static str, count: fn(&Group) -> u64) {
    let counter = meter
        .u64_observable_counter(name)
        .with_unit("{message}")
        .with_description(description);
    counter
        .with_callback(move |observer| {
            for group in groups() {
                observer.observe(count(group), &latency::attributes(group));
            }
        })
        .build();
}

fn dropped(meter: &Meter) {
    let counter = meter
        .u64_observable_counter("channel.dropped")
        .with_unit("{message}")
        .with_description("Messages that nobody received, by reason.");
    counter
        .with_callback(|observer| {
            for group in groups() {
                for reason in DropReason::ALL {
                    let count = group.dropped(reason);
                    if count > 0 {
                        let [name, kind] = latency::attributes(group);
                        let reason = KeyValue::new("channel.drop_reason", reason.as_str());
                        observer.observe(count, &[name, kind, reason]);
                    }
                }
            }
        })
        .build();
}
