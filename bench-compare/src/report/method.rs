//! How it was measured, in words.

use crate::{
    backend::{
        PAGE_TRACES, SLOW_ONE_IN,
        data::{FAILED_ONE_IN, FIRST_ROUTE_ONE_IN, ROUTES_COUNT, SPANS_PER_TRACE},
    },
    plan::{BackendSizes, FeatureSizes, PairSizes, Sizes},
    requests::load::CONNECTIONS_COUNT,
};

use super::number;

pub(super) fn method(quick: bool) -> String {
    let sizes = if quick { Sizes::QUICK } else { Sizes::FULL };
    format!(
        "- Each sample is a process of its own, subjects taking turns, and an interval is of as many \
         samples as there were processes; those of `backend` are calls, loads or starts, see there. The \
         server is another process; its CPU time is in no figure.\n\
         - `flat`: a span without attributes. `flat3`: one with an integer, a string and a \
         `Display` value. `event`: one with an event of one attribute in it; the figure is for both \
         together. `tree`, `tree3`: a root and ten children, without and with the three \
         attributes.\n\
         - `record`: CPU time of the recording thread alone, in bursts of 1 000 spans every 10 ms \
         while the pipeline delivers, the thread staying awake in between; {} processes, each counting with the \
         median of its {} rounds of {} bursts. The peers' batch \
         processors were given queues of 65 536 spans, so that a burst always fits; what was \
         dropped nevertheless is listed above, and makes its subject look cheaper than it is.\n\
         {}\
         - `deliver`: CPU time of the whole process from the first span to the end of its \
         shutdown, by spans that the server received, shape `tree3`, OTLP over gRPC without \
         compression; {} processes each. `paced-100k`: {} bursts of 1 001 spans every 10 ms, the \
         same queues as above; `null` is the pacer without any span. `flat-drop`: {} bursts \
         without a pause from one thread, every default kept. `flat-block`: the same with \
         settings meant to lose nothing: Ringlight waits for room; the peers have no such policy, \
         so the SDK's queue was made as large as the run, and fastrace has nothing to set.\n\
         - `-lean` is tracing-opentelemetry without source location, threads, inactivity and \
         target. All `tracing` subjects record from level info; Ringlight writes no log lines.\n\
         - `ringlight-otel` is Ringlight as in a process that uses the OpenTelemetry API \
         (`Interop::Always`): the same macros, and every span has a context of that API, which is \
         attached while it is entered.\n\
         - `ringlight-native` is Ringlight without `tracing`: spans are timed and submitted with \
         `SpanTemplate`s, the third attribute is formatted into a text of the caller's; the event is \
         in a whole span, since a template has none. `ringlight-native-span` submits whole `Span`s by \
         reference (`SpanProducer::submit_span`), which the caller keeps and fills in anew for each, with \
         ids and times from the producer.\n\
         - `ship`: `deliver`'s `paced-100k` with compression, and with a spool beside the binary; {} processes each. \
         Bytes on the wire are those of request bodies, counted by Ringlight itself, in one process of {} bursts without a pause for each size of \
         batch. The log on disk: {} runs each, in one thread; what is read has been written just before and is in the page cache. \
         What a kill loses: a span a millisecond, `kill -9` at times spread over the delay of a batch, and then a process that drains the directory; what did not \
         arrive is counted.\n\
         {}\
         - The clients are built with cargo's own `release` profile and with the system's allocator; the \
         backend is the product's binary as its own `release` profile makes it.\n\
         - Again: `cargo run --release --manifest-path bench-compare/Cargo.toml -- all --report \
         docs/benchmarks`.\n",
        sizes.record_processes,
        sizes.record_rounds,
        sizes.record_bursts,
        lasting_method(&sizes),
        sizes.deliver_processes,
        sizes.paced_bursts,
        sizes.flat_bursts,
        sizes.ship_processes,
        sizes.batch_bursts,
        sizes.ship_processes,
        backend_method(&sizes.backend),
    )
}

fn lasting_method(sizes: &Sizes) -> String {
    format!(
        "- `micromegas` records into blocks of its own format and cannot send OTLP: nothing of it is \
         delivered or decoded. A sink counts that each span came out as a begin and an end, and drops \
         the blocks; its integer and its `Display` value become text, it makes no ids, and its event, \
         which names no span, is a log of the process.\n\
         - `unsampled`: as `record`, shape `tree3`, with the head sampler turned off (`always_off`; \
         fastrace, which has none, begins each trace as one that is not sampled). Whatever arrives fails the \
         bench. `opentelemetry-sdk` and `fastrace` are called without the macros of `tracing`, and make \
         the attributes before they know.\n\
         - `threads`: 1, 2, 4, 8 and 64 threads record `tree3` into one subject, all beginning their bursts of 1 001 spans at \
         the same time and sleeping in between so that they make 100 000 spans a second \
         together; CPU time of these threads alone; {} processes, each counting with the median of its {} rounds. A thread that has slept finds \
         the processor's caches cold, so that one thread costs more here than in `record`.\n\
         - `axum`: a service on the first core, on a runtime of one thread, its exporting included; who asks \
         and who receives share the other cores. {CONNECTIONS_COUNT} connections stay open, each asking again when all have \
         been answered. A request makes a root and two children by `#[tracing::instrument]` (fastrace: by `in_span`), each with the three \
         attributes, and an event in each child, which waits once. CPU time of the service's process \
         from before the first request to the end of its shutdown; {} processes of {} requests. Queues as in \
         `record`. `fmt-json` is `tracing-subscriber`'s: two lines a request into `/dev/null`, no spans \
         delivered. Whole requests are compared: each event has to have the ids and the number of its span.\n\
         {}\
         {}\
         - What Ringlight says of its own cost is what `Telemetry::cost` has at the end of the same processes \
         (`docs/overhead.md` says what is in it): the mean of the spans it timed itself, in `record`; that \
         for all of them and the CPU time of its collector, in `deliver`. It does not see what `tracing` does before it calls, \
         nor the system call that rouses the collector.\n",
        sizes.threads_processes,
        sizes.record_rounds,
        sizes.requests_processes,
        number(sizes.requests as f64, 0),
        features_method(&sizes.features),
        pairs_method(&sizes.pairs),
    )
}

fn features_method(sizes: &FeatureSizes) -> String {
    format!(
        "- `features`: the streaming application (`apps/streaming`) reads and processes the same {} chunks of 12 streams in \
         every process as fast as it goes, and {} at the rate its README has, in a runtime of two threads, each chunk making two spans and those \
         around it, sent through channels; the service is that of `axum`, on its core, {} requests. {} processes each, those of a round one after the other, \
         each round beginning with another row: what is over another row is reckoned round by round, and the median of that is \
         told. CPU time of the whole process from before the first chunk or request until everything is delivered and written. Rings \
         that are full are waited for, so that nothing is dropped; slices of trace files never wait, nor does what is drawn while the disk is slow: what a file lacks is told. Each row is a build with no more Cargo features than it \
         takes, and the system's allocator. Metrics are sent and scraped every second; what one row tells of and another one does not is left out by \
         a view, which has nobody ask for it. Log lines for \
         people and redaction are not measured at the usual rate, parts of the metrics not on the service, and what tells the cost of channels from that of functions flat out alone. The counting server \
         is on any core beside the streaming application. Whatever was not sent, not served or not written, and whatever was though it was not asked for, \
         fails the bench.\n",
        number(sizes.flat_chunks as f64, 0),
        number(sizes.paced_chunks as f64, 0),
        number(sizes.requests as f64, 0),
        sizes.processes,
    )
}

fn pairs_method(sizes: &PairSizes) -> String {
    format!(
        "- `channels`: 20 000 messages a turn, tokio's channels and those that count taking turns, {} rounds for each kind of channel, each round \
         beginning with the other one; in a runtime of one thread, where two are not named, around mimalloc. A sample is the median of a process's rounds; {} processes, since \
         where things come to lie in memory is worth some per cent and another in each. Instructions are callgrind's, of a process of 3 turns less one of 1; of two threads \
         it has none, since how often they wait for each other is chance.\n\
         - `allocations`: the allocator that counts and the one it is around taking turns, where JSON is parsed under a switch that both pass, {} rounds of 100 000 pairs and of 20 \
         documents each, in {} processes for each allocator. *In a span* is with the thread's ledger of allocations open, as entering a span does; recording is not in it.\n",
        sizes.channel_rounds, sizes.processes, sizes.allocation_rounds, sizes.processes,
    )
}

fn backend_method(sizes: &BackendSizes) -> String {
    format!(
        "- `backend`: `ringlight up` with default settings, data beside the bench's binary. `start`: \
         {} starts without data, each until `/api/v1/status` is answered. `idle`: after five \
         seconds. `ingest`: one client process with eight connections, each sending OTLP over gRPC, \
         1 100 spans a request, as soon as the last one was acknowledged; what is refused as too \
         much is sent again when the backend wants it (its `RetryInfo`, a second), which the rates \
         include. {} loads of {} requests without a pause between them, after one that warms up; \
         what a load puts off is in the CPU time of the next one, and that of the last load counts until \
         everything is sealed. The most memory is the system's own mark (`VmHWM`), reset before each \
         load.\n\
         {}\
         - `visible`: {} times a service with the default settings closes a span and asks the API \
         every 5 ms for its attribute, in the backend that was filled before, at rest. The page \
         itself is not in it: it asks every 500 ms. `trace-by-id`: {} \
         traces anywhere among all. Searches, {} calls each, a connection a call, {PAGE_TRACES} traces a page: \
         `search-newest` any trace; `search-attribute` the `id` of one span; `search-text` the \
         `took` of one root; `search-slow` a name and a duration that one root in {} to {} exceeds; \
         `search-failed` a failed span with the most frequent route; `search-nothing` a pattern that no \
         `took` matches; `operations` rate, failures and durations of every operation, of the last \
         hour, which has all spans. How many traces each first page has is reckoned from the data; another \
         number, a trace of other than {SPANS_PER_TRACE} spans, or operations of other than all spans, fails \
         the bench.\n",
        sizes.starts,
        sizes.loads,
        sizes.load_requests,
        backend_data(),
        sizes.visible,
        sizes.lookups,
        sizes.searches,
        SLOW_ONE_IN.0,
        SLOW_ONE_IN.1,
    )
}

fn backend_data() -> String {
    format!(
        "- The backend's data is drawn at random, but the same in every run: traces of a root and \
         ten children that end within the 100 ms before their request. Three attributes a span: \
         `id`, an integer of 31 bits; `route`, one of {ROUTES_COUNT} texts, the most frequent on one \
         span in {FIRST_ROUTE_ONE_IN}; `took`, the span's duration to the nanosecond as Rust prints \
         it (`15.123456ms`). Roots take 12 to 76 ms, children 0.01 to 1 ms, short ones being more \
         frequent. One span in {} failed, whatever its route. Ids of spans and traces are random.\n",
        number(FAILED_ONE_IN as f64, 0),
    )
}
