//! What tokio counts of a runtime in a program that is built with `--cfg tokio_unstable`, as it arrives.

#![cfg(tokio_unstable)]
#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{Metric, NumberDataPoint, number_data_point};
use ringlight::{LogFormat, Signal};
use ringlight_testing::{Backend, Seen};
use tokio::net::UdpSocket;
use tokio::runtime::{Builder, RuntimeMetrics};

const LONG: Duration = Duration::from_secs(20);
const WORKERS: usize = 2;

/// What tokio says itself, of a runtime or of all its workers.
type Count = fn(&RuntimeMetrics) -> f64;

/// The sum over all workers.
fn sum(metrics: &RuntimeMetrics, of_worker: impl Fn(usize) -> u64) -> f64 {
    (0..metrics.num_workers()).map(of_worker).sum::<u64>() as f64
}

/// By name and unit: what only grows.
const COUNTERS: [(&str, &str, Count); 14] = [
    ("tokio.spawned_tasks_count", "{task}", |m| {
        m.spawned_tasks_count() as f64
    }),
    ("tokio.remote_schedules", "{schedule}", |m| {
        m.remote_schedule_count() as f64
    }),
    ("tokio.budget_forced_yields", "{yield}", |m| {
        m.budget_forced_yield_count() as f64
    }),
    ("tokio.io_driver.fd_registrations", "{fd}", |m| {
        m.io_driver_fd_registered_count() as f64
    }),
    ("tokio.io_driver.fd_deregistrations", "{fd}", |m| {
        m.io_driver_fd_deregistered_count() as f64
    }),
    ("tokio.io_driver.fd_readies", "{event}", |m| {
        m.io_driver_ready_count() as f64
    }),
    ("tokio.worker.park_count", "{park}", |m| {
        sum(m, |worker| m.worker_park_count(worker))
    }),
    ("tokio.worker.polls", "{poll}", |m| {
        sum(m, |worker| m.worker_poll_count(worker))
    }),
    ("tokio.worker.noops", "{operation}", |m| {
        sum(m, |worker| m.worker_noop_count(worker))
    }),
    ("tokio.worker.task_steals", "{task}", |m| {
        sum(m, |worker| m.worker_steal_count(worker))
    }),
    ("tokio.worker.steal_operations", "{operation}", |m| {
        sum(m, |worker| m.worker_steal_operations(worker))
    }),
    ("tokio.worker.local_schedules", "{schedule}", |m| {
        sum(m, |worker| m.worker_local_schedule_count(worker))
    }),
    ("tokio.worker.overflows", "{overflow}", |m| {
        sum(m, |worker| m.worker_overflow_count(worker))
    }),
    ("tokio.worker.poll_time", "{poll}", |m| {
        let buckets = 0..m.poll_time_histogram_num_buckets();
        let polls = |bucket| {
            sum(m, |worker| {
                m.poll_time_histogram_bucket_count(worker, bucket)
            })
        };
        buckets.map(polls).sum()
    }),
];

/// What goes up and down. A runtime that has nothing to do has these.
const GAUGES: [(&str, &str, f64); 4] = [
    ("tokio.blocking_threads", "{thread}", 3.0),
    ("tokio.idle_blocking_threads", "{thread}", 3.0),
    ("tokio.blocking_queue_depth", "{task}", 0.0),
    ("tokio.worker.local_queue_depth", "{task}", 0.0),
];

/// The last that arrived of each metric of runtimes, but for what ringlight measures itself.
fn last(seen: &Seen) -> BTreeMap<String, Metric> {
    let requests = seen.requests.iter().filter(|r| r.signal == Signal::Metrics);
    let resources = requests.flat_map(|request| request.metrics().resource_metrics);
    let scopes = resources.flat_map(|resource| resource.scope_metrics);
    let scopes = scopes.filter(|scope| scope.scope.as_ref().unwrap().name == "ringlight.runtime");
    let metrics = scopes.flat_map(|scope| scope.metrics);
    let metrics = metrics.filter(|metric| !matches!(metric.data, Some(Data::Histogram(_))));
    metrics
        .map(|metric| (metric.name.clone(), metric))
        .collect()
}

fn points(metric: &Metric) -> &[NumberDataPoint] {
    match metric.data.as_ref().unwrap() {
        Data::Gauge(gauge) => &gauge.data_points,
        Data::Sum(sum) => &sum.data_points,
        other => panic!("{other:?}"),
    }
}

fn number(point: &NumberDataPoint) -> f64 {
    match point.value {
        Some(number_data_point::Value::AsInt(value)) => value as f64,
        Some(number_data_point::Value::AsDouble(value)) => value,
        None => panic!("{point:?}"),
    }
}

/// Different values of an attribute.
fn attributes(metric: &Metric, key: &str) -> BTreeSet<String> {
    let of_point = |point: &NumberDataPoint| {
        let mut attributes = point.attributes.iter();
        let found = attributes.find(|attribute| attribute.key == key).unwrap();
        match found.value.as_ref().unwrap().value.as_ref().unwrap() {
            Value::StringValue(text) => text.clone(),
            Value::IntValue(number) => number.to_string(),
            other => panic!("{other:?}"),
        }
    };
    points(metric).iter().map(of_point).collect()
}

/// Work of every kind that is counted, and sockets that are still open after it.
async fn work() -> [UdpSocket; 2] {
    // Woken from outside of the runtime, and by the worker itself, of whose queue some are stolen and some find no room.
    let parent = tokio::spawn(async {
        let children: Vec<_> = (0..1_000)
            .map(|_| tokio::spawn(tokio::task::yield_now()))
            .collect();
        for child in children {
            child.await.unwrap();
        }
        // More than a task may do at a time.
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        (0..1_000).for_each(|n| sender.send(n).unwrap());
        for _ in 0..1_000 {
            receiver.recv().await.unwrap();
        }
    });
    parent.await.unwrap();
    let gate = std::sync::Arc::new(std::sync::Barrier::new(3));
    let held: Vec<_> = (0..3)
        .map(|_| {
            let gate = std::sync::Arc::clone(&gate);
            tokio::task::spawn_blocking(move || gate.wait())
        })
        .collect();
    for held in held {
        held.await.unwrap();
    }
    for _ in 0..50 {
        UdpSocket::bind("127.0.0.1:0").await.unwrap();
    }
    let [sender, receiver] = [
        UdpSocket::bind("127.0.0.1:0"),
        UdpSocket::bind("127.0.0.1:0"),
    ];
    let [sender, receiver] = [sender.await.unwrap(), receiver.await.unwrap()];
    let to = receiver.local_addr().unwrap();
    sender.send_to(b"a", to).await.unwrap();
    receiver.recv(&mut [0; 1]).await.unwrap();
    [sender, receiver]
}

/// Each lies between what tokio says itself before and after. Not among them is how long tasks waited to be polled, which
/// tokio counts with its feature `schedule-latency` alone.
#[test]
fn what_tokio_counts_by_itself_arrives_as_it_says_it() {
    let backend = Backend::start();
    let builder = ringlight::builder()
        .environment([("", ""); 0])
        .otlp_endpoint(backend.url())
        .log_format(LogFormat::Off)
        .metric_export_interval(Duration::from_secs(3600));
    let (_dispatch, telemetry) = builder.build().unwrap();
    let runtime = Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .enable_metrics_poll_time_histogram()
        .thread_keep_alive(LONG)
        .build()
        .unwrap();
    telemetry.watch_runtime(runtime.handle());
    let _open = runtime.block_on(async { tokio::spawn(work()).await.unwrap() });

    let deadline = Instant::now() + LONG;
    while runtime.metrics().num_idle_blocking_threads() < 3 {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    let count = || COUNTERS.map(|(_, _, count)| count(&runtime.metrics()));
    let before = count();
    telemetry.flush(LONG).unwrap();
    let after = count();
    let found = last(&backend.seen());
    for (index, (name, unit, _)) in COUNTERS.into_iter().enumerate() {
        let metric = &found[name];
        assert_eq!(metric.unit, unit, "{name}");
        assert!(matches!(metric.data, Some(Data::Sum(_))), "{name}");
        let sum: f64 = points(metric).iter().map(number).sum();
        let (least, most) = (before[index], after[index]);
        assert!(
            (least..=most).contains(&sum),
            "{name}: {least} {sum} {most}"
        );
    }
    for (name, unit, expected) in GAUGES {
        let metric = &found[name];
        assert_eq!(metric.unit, unit, "{name}");
        assert!(matches!(metric.data, Some(Data::Gauge(_))), "{name}");
        let sum: f64 = points(metric).iter().map(number).sum();
        assert_eq!(sum, expected, "{name}");
    }
    let mean = &found["tokio.worker.mean_poll_time"];
    assert_eq!(mean.unit, "s");
    assert!(points(mean).iter().map(number).sum::<f64>() > 0.0);
    for (name, metric) in &found {
        let id = BTreeSet::from([runtime.handle().id().to_string()]);
        assert_eq!(attributes(metric, "tokio.runtime.id"), id, "{name}");
        if name.starts_with("tokio.worker.") && name != "tokio.worker.poll_time" {
            let workers = BTreeSet::from(["0", "1"].map(str::to_owned));
            assert_eq!(attributes(metric, "tokio.worker.index"), workers, "{name}");
        }
    }
    let bounds = attributes(&found["tokio.worker.poll_time"], "tokio.poll_time.bucket");
    assert_eq!(
        bounds.len(),
        runtime.metrics().poll_time_histogram_num_buckets()
    );
    assert!(bounds.contains("+Inf"), "{bounds:?}");
    // That there was something to count, so that one is not taken for another.
    for name in [
        "tokio.spawned_tasks_count",
        "tokio.remote_schedules",
        "tokio.budget_forced_yields",
        "tokio.io_driver.fd_registrations",
        "tokio.io_driver.fd_deregistrations",
        "tokio.io_driver.fd_readies",
        "tokio.worker.polls",
        "tokio.worker.local_schedules",
        "tokio.worker.overflows",
        "tokio.worker.poll_time",
    ] {
        let sum: f64 = points(&found[name]).iter().map(number).sum();
        assert!(sum > 0.0, "{name}");
    }
    telemetry.shutdown(LONG);
}
