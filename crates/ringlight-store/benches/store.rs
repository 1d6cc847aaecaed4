//! What storing and finding spans costs.
//!
//! `cargo bench -p ringlight-store -- [SPANS]` (two million by default) stores traces of a root and
//! ten children with three attributes each, in requests of 1100 spans from two threads, then reads
//! them back. CPU time is that of the whole process less what making the requests took.
#![expect(clippy::print_stdout, reason = "a benchmark reports to a terminal")]

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ringlight_model::{KeyValue, Resource, Scope, Signal, Span, SpanId, TraceId};
use ringlight_otlp::{OtlpDecoder, encode};
use ringlight_store::query::{Query, QuerySignal};
use ringlight_store::{
    Cancel, Durability, Ingest, OperationOrder, OperationSearch, Store, StoreConfig, TraceSearch,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CHILDREN: u64 = 10;
const TRACES_PER_REQUEST: u64 = 100;
const SPANS_PER_REQUEST: u64 = TRACES_PER_REQUEST * (CHILDREN + 1);
const T0: u64 = 1_790_000_000_000_000_000;
/// Traces begin this long after each other.
const STEP_NANO: u64 = 55_000;

fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

fn trace_id(trace: u64) -> TraceId {
    TraceId::new(u128::from(mix(trace)) << 64 | u128::from(mix(trace + 7)))
}

fn span(trace: u64, index: u64) -> Span<'static> {
    let id = |index: u64| SpanId::new(mix(trace * 31 + index + 1));
    let random = mix(trace * 17 + index);
    let start = T0 + trace * STEP_NANO + index * 1_000_000 + random % 50_000;
    let duration = match index {
        0 => 12_000_000 + random % 1_000_000,
        _ => 900_000 + random % 90_000,
    };
    Span {
        trace_id: trace_id(trace),
        span_id: id(index),
        parent_span_id: if index == 0 { SpanId::INVALID } else { id(0) },
        name: ["GET /cart", "query", "render", "pay"][(index % 4) as usize].into(),
        start_unix_nano: start,
        end_unix_nano: start + duration,
        attributes: vec![
            KeyValue::new("order.id", (random >> 40).cast_signed()),
            KeyValue::new(
                "http.route",
                ["/cart", "/pay", "/item/{id}"][(random % 3) as usize],
            ),
            KeyValue::new("cache.hit", random & 8 == 0),
        ],
        ..Span::default()
    }
}

fn request(number: u64) -> Vec<u8> {
    let resource = Resource {
        attributes: vec![
            KeyValue::new("service.name", "shop"),
            KeyValue::new("service.instance.id", "bench"),
        ],
        dropped_attributes_count: 0,
    };
    let traces = number * TRACES_PER_REQUEST..(number + 1) * TRACES_PER_REQUEST;
    // Children close before their root.
    let spans: Vec<_> = traces
        .flat_map(|trace| {
            (1..=CHILDREN)
                .chain([0])
                .map(move |index| span(trace, index))
        })
        .collect();
    encode::request(&resource, &Scope::default(), &spans)
}

/// CPU time of this process, to 10 ms.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |index: usize| -> u64 {
        fields
            .get(index)
            .and_then(|field| field.parse().ok())
            .unwrap_or(0)
    };
    Duration::from_millis(10 * (ticks(11) + ticks(12)))
}

fn resident_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib: u64 = line
        .and_then(|line| line.split_whitespace().nth(1))
        .and_then(|number| number.parse().ok())
        .unwrap_or(0);
    kib / 1024
}

fn open(directory: &Path) -> Store {
    let config = StoreConfig {
        durability: Durability::PowerLoss,
        ..StoreConfig::new(directory)
    };
    match Store::open(config, Arc::new(OtlpDecoder::default())) {
        Ok(store) => store,
        Err(error) => panic!("{error}"),
    }
}

fn store_all(store: &Store, requests: u64) -> u64 {
    let next = AtomicU64::new(0);
    let refused = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= requests {
                        return;
                    }
                    let bytes = request(number);
                    let ingest = Ingest {
                        signal: Signal::Traces,
                        request: &bytes,
                        batch_id: None,
                    };
                    while store.ingest(ingest).is_err() {
                        refused.fetch_add(1, Ordering::Relaxed);
                        std::thread::sleep(Duration::from_millis(1));
                    }
                }
            });
        }
    });
    refused.load(Ordering::Relaxed)
}

/// Calls something so many times and reports how long a call takes. The CPU time is exact to 10 ms
/// of all calls together.
fn report_times(what: impl Fn() -> String, calls: u64, mut call: impl FnMut(u64)) {
    let cpu = cpu_time();
    let mut times: Vec<Duration> = (0..calls)
        .map(|n| {
            let start = Instant::now();
            call(n);
            start.elapsed()
        })
        .collect();
    let cpu = (cpu_time() - cpu).as_secs_f64() * 1e3 / calls as f64;
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 100].as_secs_f64() * 1e3;
    println!(
        "p50 {:>8.2} ms   p95 {:>8.2} ms   CPU {cpu:>8.2} ms   {}",
        at(50),
        at(95),
        what()
    );
}

fn search(store: &Store, text: &str, from: Option<u64>) -> (usize, u64) {
    let search = TraceSearch {
        query: match Query::parse(text, QuerySignal::Traces) {
            Ok(query) => query,
            Err(error) => panic!("{error}"),
        },
        from_unix_nano: from,
        to_unix_nano: None,
        limit: 20,
        cursor: None,
        run: None,
        cancel: Cancel::default(),
    };
    match store.search_traces(&search) {
        Ok(page) => (page.traces.len(), page.stats.blocks_read),
        Err(error) => panic!("{error}"),
    }
}

fn operations(store: &Store, to_unix_nano: u64, attributes: &[&str]) -> (usize, u64) {
    let search = OperationSearch {
        service: None,
        entry_only: false,
        from_unix_nano: T0,
        to_unix_nano,
        step_nano: (to_unix_nano - T0) / 60,
        run: None,
        order: OperationOrder::Total,
        limit: 100,
        attributes: attributes.iter().map(ToString::to_string).collect(),
        cancel: Cancel::default(),
    };
    match store.search_operations(&search) {
        Ok(answer) => (answer.operations.len(), answer.stats.blocks_read),
        Err(error) => panic!("{error}"),
    }
}

/// CPU time of making the requests, from a sample of them, and their bytes a span.
fn cost_of_making(requests: u64) -> (Duration, u64) {
    let before = cpu_time();
    let sample = requests.min(200);
    let bytes: usize = (0..sample).map(|number| request(number).len()).sum();
    let making = (cpu_time() - before) * u32::try_from(requests / sample).unwrap_or(1);
    (making, bytes as u64 / (sample * SPANS_PER_REQUEST))
}

fn measure_storing(directory: &Path, requests: u64) {
    let spans = requests * SPANS_PER_REQUEST;
    let (making, wire_bytes) = cost_of_making(requests);
    println!("{spans} spans, {wire_bytes} bytes each on the wire");
    let store = open(directory);
    let (before, start) = (cpu_time(), Instant::now());
    let refused = store_all(&store, requests);
    let wall = start.elapsed();
    let resident = resident_mib();
    store.close();
    let cpu = cpu_time() - before;
    println!(
        "stored {:.0} spans/s, {:.2} us CPU a span ({:.2} with making them), {refused} refusals, {resident} MiB",
        spans as f64 / wall.as_secs_f64(),
        cpu.saturating_sub(making).as_secs_f64() * 1e6 / spans as f64,
        cpu.as_secs_f64() * 1e6 / spans as f64,
    );
    drop(store);
    let size: u64 = std::fs::read_dir(directory)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.metadata().ok())
        .map(|metadata| metadata.len())
        .sum();
    println!("{:.1} bytes a span on disk", size as f64 / spans as f64);
}

fn measure_reading(directory: &Path, traces: u64) {
    let start = Instant::now();
    let store = open(directory);
    let first = search(&store, "", None);
    println!(
        "opened and answered in {:.1} ms ({} traces), {} MiB",
        start.elapsed().as_secs_f64() * 1e3,
        first.0,
        resident_mib()
    );
    report_times(
        || "trace by id".to_owned(),
        200,
        |n| {
            let wanted = trace_id(mix(n) % traces);
            let found = store.trace(wanted).map_or(0, |trace| trace.spans.len());
            assert_eq!(found as u64, CHILDREN + 1);
        },
    );
    let middle = T0 + traces / 2 * STEP_NANO;
    let rare = span(mix(5) % traces, 3).attributes[0].value.to_string();
    for (text, from) in [
        ("", None),
        ("{ name = \"pay\" && duration > 980us }", None),
        (&*format!("{{ span.order.id = {rare} }}"), None),
        ("{ span.order.id > 16777210 }", None),
        ("{ name =~ \"nothing.*\" }", None),
        ("{ rootName =~ \"nothing.*\" }", None),
        ("{ status = error }", None),
        ("{ duration > 12900us }", Some(middle)),
        (
            "{ rootName = \"GET /cart\" && span.cache.hit = true }",
            None,
        ),
        // What no index helps with: each block is read.
        ("{ span.http.route =~ \".*nothing\" }", None),
        ("{ traceDuration > 13ms }", None),
        (
            "{ rootName = \"GET /cart\" && span.http.route = \"nothing\" }",
            None,
        ),
        ("{ name = \"query\" } | count() > 2", None),
        ("{ name = \"query\" } | count() > 3", None),
    ] {
        let found = Cell::new((0, 0));
        report_times(
            || format!("{text} [{} in {} blocks]", found.get().0, found.get().1),
            10,
            |_| found.set(search(&store, text, from)),
        );
    }
    let end = T0 + traces * STEP_NANO;
    for attributes in [&[][..], &["order.id"]] {
        let found = Cell::new((0, 0));
        report_times(
            || format!("operations, sums of {attributes:?} {:?}", found.get()),
            10,
            |_| found.set(operations(&store, end, attributes)),
        );
    }
    println!("{} MiB at the end", resident_mib());
}

fn main() {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let spans: u64 = std::env::args()
        .filter_map(|argument| argument.parse().ok())
        .next()
        .unwrap_or(if is_bench { 2_000_000 } else { 11_000 });
    let requests = spans.div_ceil(SPANS_PER_REQUEST);
    let directory = std::env::temp_dir().join(format!("ringlight-bench-{}", std::process::id()));
    measure_storing(&directory, requests);
    measure_reading(&directory, requests * TRACES_PER_REQUEST);
    if let Err(error) = std::fs::remove_dir_all(&directory) {
        println!("cannot remove `{}`: {error}", directory.display());
    }
}
