//! What tokio counts, as metrics that are read when they are exported, and what the watchdog measures.

use std::sync::{Arc, Weak};
use std::time::Duration;

use opentelemetry::metrics::{Counter, Histogram, Meter};
use opentelemetry::{KeyValue, Value};
use tokio::runtime::RuntimeMetrics;

use super::{List, Watched};

/// The scope of these metrics.
pub(super) const SCOPE: &str = "ringlight.runtime";

/// What the watchdog measures.
#[derive(Debug)]
pub(super) struct Instruments {
    lag: Histogram<f64>,
    blocked: Counter<u64>,
    blocked_duration: Histogram<f64>,
}

/// Seconds, from a tenth of a millisecond on.
const LAG_BUCKETS: [f64; 14] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];
const BLOCKED_BUCKETS: [f64; 9] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

impl Instruments {
    pub(super) fn new(meter: &Meter, list: &Arc<List>) -> Self {
        // Metrics outlive what they are of.
        register(meter, &Arc::downgrade(list));
        let seconds = |name, about, buckets: &[f64]| {
            let histogram = meter.f64_histogram(name).with_unit("s");
            let histogram = histogram.with_description(about);
            histogram.with_boundaries(buckets.to_vec()).build()
        };
        let blocked = meter
            .u64_counter("tokio.worker.blocked")
            .with_unit("{block}")
            .with_description("Times a worker did not come back from its task for long.");
        Self {
            lag: seconds(
                "tokio.runtime.lag",
                "How long a task that is ready waits until it runs.",
                &LAG_BUCKETS,
            ),
            blocked: blocked.build(),
            blocked_duration: seconds(
                "tokio.worker.blocked_duration",
                "For how long workers did not come back from a task.",
                &BLOCKED_BUCKETS,
            ),
        }
    }

    pub(super) fn lag(&self, runtime: &Watched, lag: Duration) {
        self.lag.record(lag.as_secs_f64(), &attributes(runtime));
    }

    /// A worker is blocked, by a span of this name if it is known.
    pub(super) fn blocked(&self, runtime: &Watched, span: Option<&'static str>) {
        self.blocked.add(1, &with_span(runtime, span));
    }

    /// It no longer is.
    pub(super) fn unblocked(
        &self,
        runtime: &Watched,
        span: Option<&'static str>,
        blocked: Duration,
    ) {
        let seconds = blocked.as_secs_f64();
        self.blocked_duration
            .record(seconds, &with_span(runtime, span));
    }
}

fn attributes(runtime: &Watched) -> Vec<KeyValue> {
    let mut attributes = vec![KeyValue::new(
        "tokio.runtime.id",
        runtime.number.to_string(),
    )];
    if let Some(name) = runtime.name() {
        attributes.push(KeyValue::new("tokio.runtime.name", name.to_owned()));
    }
    attributes
}

fn with(
    mut attributes: Vec<KeyValue>,
    key: &'static str,
    value: impl Into<Value>,
) -> Vec<KeyValue> {
    attributes.push(KeyValue::new(key, value));
    attributes
}

fn with_span(runtime: &Watched, span: Option<&'static str>) -> Vec<KeyValue> {
    let attributes = attributes(runtime);
    match span {
        Some(name) => with(attributes, "span.name", name),
        None => attributes,
    }
}

/// A metric of each runtime: name, unit, and what it is.
type OfRuntime<T> = (
    &'static str,
    &'static str,
    &'static str,
    fn(&RuntimeMetrics) -> T,
);
/// The same of each worker.
type OfWorker<T> = (
    &'static str,
    &'static str,
    &'static str,
    fn(&RuntimeMetrics, usize) -> T,
);

const GAUGES: &[OfRuntime<u64>] = &[
    (
        "tokio.workers",
        "{worker}",
        "Workers of the runtime.",
        |m| m.num_workers() as u64,
    ),
    (
        "tokio.alive_tasks",
        "{task}",
        "Tasks that have not ended.",
        |m| m.num_alive_tasks() as u64,
    ),
    (
        "tokio.global_queue_depth",
        "{task}",
        "Tasks that wait in the queue for all workers.",
        |m| m.global_queue_depth() as u64,
    ),
    #[cfg(tokio_unstable)]
    (
        "tokio.blocking_threads",
        "{thread}",
        "Threads for what blocks.",
        |m| m.num_blocking_threads() as u64,
    ),
    #[cfg(tokio_unstable)]
    (
        "tokio.idle_blocking_threads",
        "{thread}",
        "Threads for what blocks that have nothing to do.",
        |m| m.num_idle_blocking_threads() as u64,
    ),
    #[cfg(tokio_unstable)]
    (
        "tokio.blocking_queue_depth",
        "{task}",
        "What waits for a thread to block on.",
        |m| m.blocking_queue_depth() as u64,
    ),
];

#[cfg(tokio_unstable)]
const COUNTERS: &[OfRuntime<u64>] = &[
    (
        "tokio.spawned_tasks_count",
        "{task}",
        "Tasks spawned.",
        RuntimeMetrics::spawned_tasks_count,
    ),
    (
        "tokio.remote_schedules",
        "{schedule}",
        "Tasks scheduled from outside the runtime.",
        RuntimeMetrics::remote_schedule_count,
    ),
    (
        "tokio.budget_forced_yields",
        "{yield}",
        "Times a task had to yield, its budget being used up.",
        RuntimeMetrics::budget_forced_yield_count,
    ),
    // There with tokio's feature `net`, which the exporters want.
    (
        "tokio.io_driver.fd_registrations",
        "{fd}",
        "File descriptors registered with the runtime.",
        RuntimeMetrics::io_driver_fd_registered_count,
    ),
    (
        "tokio.io_driver.fd_deregistrations",
        "{fd}",
        "File descriptors that no longer are.",
        RuntimeMetrics::io_driver_fd_deregistered_count,
    ),
    (
        "tokio.io_driver.fd_readies",
        "{event}",
        "Events of file descriptors.",
        RuntimeMetrics::io_driver_ready_count,
    ),
];
#[cfg(not(tokio_unstable))]
const COUNTERS: &[OfRuntime<u64>] = &[];

const WORKER_SECONDS: OfWorker<f64> = (
    "tokio.worker.busy_duration",
    "s",
    "Time the worker was busy.",
    |m, worker| m.worker_total_busy_duration(worker).as_secs_f64(),
);

const WORKER_COUNTERS: &[OfWorker<u64>] = &[
    (
        "tokio.worker.park_count",
        "{park}",
        "Times the worker parked.",
        RuntimeMetrics::worker_park_count,
    ),
    #[cfg(tokio_unstable)]
    (
        "tokio.worker.polls",
        "{poll}",
        "Polls of tasks.",
        RuntimeMetrics::worker_poll_count,
    ),
    #[cfg(tokio_unstable)]
    (
        "tokio.worker.noops",
        "{operation}",
        "Times the worker woke for nothing.",
        RuntimeMetrics::worker_noop_count,
    ),
    #[cfg(tokio_unstable)]
    (
        "tokio.worker.task_steals",
        "{task}",
        "Tasks taken from other workers.",
        RuntimeMetrics::worker_steal_count,
    ),
    #[cfg(tokio_unstable)]
    (
        "tokio.worker.steal_operations",
        "{operation}",
        "Times tasks were taken from other workers.",
        RuntimeMetrics::worker_steal_operations,
    ),
    #[cfg(tokio_unstable)]
    (
        "tokio.worker.local_schedules",
        "{schedule}",
        "Tasks scheduled from the worker itself.",
        RuntimeMetrics::worker_local_schedule_count,
    ),
    #[cfg(tokio_unstable)]
    (
        "tokio.worker.overflows",
        "{overflow}",
        "Times the worker's queue was full.",
        RuntimeMetrics::worker_overflow_count,
    ),
];

fn register(meter: &Meter, list: &Weak<List>) {
    for &(name, unit, about, value) in GAUGES {
        let list = Weak::clone(list);
        let gauge = meter.u64_observable_gauge(name).with_unit(unit);
        gauge
            .with_description(about)
            .with_callback(move |observer| {
                of_runtimes(&list, value, |value, at| observer.observe(value, at));
            })
            .build();
    }
    for &(name, unit, about, value) in COUNTERS {
        let list = Weak::clone(list);
        let counter = meter.u64_observable_counter(name).with_unit(unit);
        counter
            .with_description(about)
            .with_callback(move |observer| {
                of_runtimes(&list, value, |value, at| observer.observe(value, at));
            })
            .build();
    }
    for &(name, unit, about, value) in WORKER_COUNTERS {
        let list = Weak::clone(list);
        let counter = meter.u64_observable_counter(name).with_unit(unit);
        counter
            .with_description(about)
            .with_callback(move |observer| {
                of_workers(&list, value, |value, at| observer.observe(value, at));
            })
            .build();
    }
    let (name, unit, about, value) = WORKER_SECONDS;
    let of = Weak::clone(list);
    let counter = meter.f64_observable_counter(name).with_unit(unit);
    counter
        .with_description(about)
        .with_callback(move |observer| {
            of_workers(&of, value, |value, at| observer.observe(value, at));
        })
        .build();
    #[cfg(tokio_unstable)]
    unstable::register(meter, list);
}

fn of_runtimes<T>(
    list: &Weak<List>,
    value: fn(&RuntimeMetrics) -> T,
    mut observe: impl FnMut(T, &[KeyValue]),
) {
    for runtime in list.upgrade().iter().flat_map(|list| list.alive()) {
        observe(value(&runtime.handle.metrics()), &attributes(&runtime));
    }
}

fn of_workers<T>(
    list: &Weak<List>,
    value: fn(&RuntimeMetrics, usize) -> T,
    mut observe: impl FnMut(T, &[KeyValue]),
) {
    for runtime in list.upgrade().iter().flat_map(|list| list.alive()) {
        let metrics = runtime.handle.metrics();
        for worker in 0..metrics.num_workers() {
            let index = i64::try_from(worker).unwrap_or(i64::MAX);
            let attributes = with(attributes(&runtime), "tokio.worker.index", index);
            observe(value(&metrics, worker), &attributes);
        }
    }
}

/// What is a gauge of each worker, and what not every build or runtime has.
#[cfg(tokio_unstable)]
mod unstable {
    use super::*;

    pub(super) fn register(meter: &Meter, list: &Weak<List>) {
        let of = Weak::clone(list);
        let depth = meter.u64_observable_gauge("tokio.worker.local_queue_depth");
        depth
            .with_unit("{task}")
            .with_description("Tasks that wait in the worker's own queue.")
            .with_callback(move |observer| {
                let value = |m: &RuntimeMetrics, worker| m.worker_local_queue_depth(worker) as u64;
                of_workers(&of, value, |value, at| observer.observe(value, at));
            })
            .build();
        let of = Weak::clone(list);
        let mean = meter.f64_observable_gauge("tokio.worker.mean_poll_time");
        mean.with_unit("s")
            .with_description("How long a poll takes, on average of the last ones.")
            .with_callback(move |observer| {
                let value =
                    |m: &RuntimeMetrics, worker| m.worker_mean_poll_time(worker).as_secs_f64();
                of_workers(&of, value, |value, at| observer.observe(value, at));
            })
            .build();
        poll_time(meter, Weak::clone(list));
    }

    /// Tokio's own histogram, a counter for each bucket: OpenTelemetry has no histogram that is read. By the upper
    /// bound in seconds, below which the polls took.
    fn poll_time(meter: &Meter, list: Weak<List>) {
        let counter = meter.u64_observable_counter("tokio.worker.poll_time");
        counter
            .with_unit("{poll}")
            .with_description("Polls, by how long they took.")
            .with_callback(move |observer| {
                for runtime in list.upgrade().iter().flat_map(|list| list.alive()) {
                    let metrics = runtime.handle.metrics();
                    if !metrics.poll_time_histogram_enabled() {
                        continue;
                    }
                    for bucket in 0..metrics.poll_time_histogram_num_buckets() {
                        let polls = (0..metrics.num_workers())
                            .map(|worker| metrics.poll_time_histogram_bucket_count(worker, bucket));
                        let below = metrics.poll_time_histogram_bucket_range(bucket).end;
                        let bound = if below.as_secs() > 1_000_000 {
                            "+Inf".to_owned()
                        } else {
                            below.as_secs_f64().to_string()
                        };
                        let attributes = attributes(&runtime);
                        let attributes = with(attributes, "tokio.poll_time.bucket", bound);
                        observer.observe(polls.sum(), &attributes);
                    }
                }
            })
            .build();
    }
}
