//! The tables, and the document made of them.

use std::fmt::Write as _;

use crate::{
    aims,
    backend::{
        PAGE_TRACES, SLOW_ONE_IN,
        data::{FAILED_ONE_IN, FIRST_ROUTE_ONE_IN, ROUTES_COUNT, SPANS_PER_TRACE},
    },
    plan::{BackendSizes, Delivery, Shape, Sizes, Subject},
    results::{Figure, Results},
};

/// All tables, for a terminal.
pub(crate) fn tables(results: &Results) -> String {
    let mut text = String::new();
    if results.has_bench("record") {
        section(
            &mut text,
            "Producer CPU, ns a span",
            &record_table(results, "ns_cpu_per_span", 1),
        );
        section(
            &mut text,
            "Allocations of the producing thread, a span",
            &record_table(results, "allocations_per_span", 2),
        );
    }
    if results.has_bench("deliver") {
        section(
            &mut text,
            "Client CPU, ns a delivered span",
            &deliver_table(results, "ns_cpu_per_delivered_span", |figure| {
                interval(figure, 0)
            }),
        );
        section(
            &mut text,
            "Delivered",
            &deliver_table(results, "ns_cpu_per_delivered_span", delivered),
        );
        section(
            &mut text,
            "Delivered spans a second, flat out",
            &deliver_table(results, "delivered_spans_per_second", |figure| {
                interval(figure, 0)
            }),
        );
        section(
            &mut text,
            "Most memory resident, MiB",
            &deliver_table(results, "resident_mib_max", |figure| interval(figure, 0)),
        );
    }
    if results.has_bench("backend") {
        section(&mut text, "The backend", &backend_table(results));
    }
    text
}

/// The report.
pub(crate) fn document(results: &Results, quick: bool) -> String {
    let mut text = String::from(
        "# Ringlight beside its peers\n\n\
         Written by `bench-compare`, all numbers from one run; `results.jsonl` beside this page has \
         them one a line. Smaller is better unless a table says otherwise. Brackets hold the 95 % \
         confidence interval of the median.\n",
    );
    if quick {
        text.push_str("\n**A quick run: few and short samples, not for quoting.**\n");
    }
    if let Some(load) = results.machine.busy() {
        let _ = writeln!(text, "\n{}", busy_note(load));
    }
    section(&mut text, "The aims", &aims::table(results));
    section(&mut text, "The machine", &results.machine.to_string());
    text.push('\n');
    text.push_str(&tables(results));
    section(&mut text, "What arrived", &arrived(results));
    section(&mut text, "How it was measured", &method(quick));
    text
}

fn busy_note(load: f64) -> String {
    format!(
        "**The machine had other work: its load average was {load:.1} when the run began. CPU \
         times grow by that through caches and the scheduler; rates and deliveries suffer more, \
         and drops are those of processes that were kept from running.**"
    )
}

fn section(text: &mut String, title: &str, body: &str) {
    let separator = if text.is_empty() { "" } else { "\n" };
    // Writing to a string does not fail.
    let _ = writeln!(text, "{separator}## {title}\n\n{}", body.trim_end());
}

fn record_table(results: &Results, unit: &str, decimals: usize) -> String {
    let cases: Vec<&str> = Shape::ALL.iter().map(|shape| shape.name()).collect();
    let subjects = [&Subject::DELIVERING[..], &Subject::REFERENCE].concat();
    table(&cases, &subjects, |subject, case| {
        results
            .find(subject, case, unit)
            .map(|figure| interval(figure, decimals))
    })
}

fn deliver_table(results: &Results, unit: &str, cell: impl Fn(&Figure) -> String) -> String {
    let cases: Vec<&str> = Delivery::ALL
        .iter()
        .map(|delivery| delivery.name())
        .collect();
    let subjects = [&Subject::DELIVERING[..], &[Subject::Null]].concat();
    table(&cases, &subjects, |subject, case| {
        results.find(subject, case, unit).map(&cell)
    })
}

/// What the figures of `backend` are called, and how many decimals they have.
const BACKEND: [(&str, &str, usize); 15] = [
    (
        "ms_to_first_answer",
        "from its start to its first answer over HTTP, ms",
        1,
    ),
    ("mib", "size, MiB", 1),
    (
        "spans_per_second_sustained",
        "spans a second, from the start of the first load to the last answer of the last",
        0,
    ),
    ("spans_per_second", "spans a second, a load", 0),
    ("us_cpu_per_span", "CPU a span, backend and client, us", 2),
    ("us_cpu_per_span_backend", "CPU a span, backend, us", 2),
    ("us_cpu_per_span_client", "CPU a span, client, us", 2),
    (
        "refused_requests",
        "requests refused as too much, and sent again, a load",
        0,
    ),
    (
        "peak_mib_earlier",
        "most memory resident during a load, earlier half of the loads, MiB",
        1,
    ),
    ("peak_mib_later", "the same, later half, MiB", 1),
    (
        "peak_growth",
        "the highest of the later half, times that of the earlier",
        2,
    ),
    ("resident_mib", "memory resident at rest, MiB", 1),
    ("bytes_per_span", "bytes on disk a span", 1),
    ("p50_ms", "half are done within, ms", 2),
    ("p95_ms", "95 of 100 are done within, ms", 2),
];

fn backend_table(results: &Results) -> String {
    let stored = results.find(Subject::Ringlight, "ingest", "spans_per_second");
    let mut text = format!(
        "`trace-by-id` and the searches are among {} spans.\n\n| | | |\n|---|---|---:|\n",
        number(stored.map_or(0.0, |figure| figure.delivered as f64), 0)
    );
    for figure in &results.figures {
        let named = BACKEND.iter().find(|(unit, ..)| *unit == figure.unit);
        if let Some((_, what, decimals)) = named.filter(|_| figure.bench == "backend") {
            let _ = writeln!(
                text,
                "| `{}` | {what} | {} |",
                figure.case,
                interval(figure, *decimals)
            );
        }
    }
    text
}

/// Subjects down, cases across; a row or column without any figure is left out.
fn table(
    cases: &[&str],
    subjects: &[Subject],
    cell: impl Fn(Subject, &str) -> Option<String>,
) -> String {
    let filled = |case: &str| {
        subjects
            .iter()
            .any(|subject| cell(*subject, case).is_some())
    };
    let cases: Vec<&str> = cases.iter().copied().filter(|case| filled(case)).collect();
    let mut text = format!(
        "| | {} |\n|---|{}\n",
        cases.join(" | "),
        "---:|".repeat(cases.len())
    );
    for subject in subjects {
        let cells: Vec<Option<String>> = cases.iter().map(|case| cell(*subject, case)).collect();
        if cells.iter().any(Option::is_some) {
            let cells: Vec<String> = cells
                .into_iter()
                .map(|cell| cell.unwrap_or_else(|| "-".to_owned()))
                .collect();
            let _ = writeln!(text, "| {subject} | {} |", cells.join(" | "));
        }
    }
    text
}

fn interval(figure: &Figure, decimals: usize) -> String {
    let (median, low, high) = (
        number(figure.median, decimals),
        number(figure.low, decimals),
        number(figure.high, decimals),
    );
    if low == high {
        median
    } else {
        format!("{median} [{low}, {high}]")
    }
}

/// With thin spaces between thousands, as the numbers get long.
pub(crate) fn number(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let (whole, fraction) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        let left = whole.len() - index;
        if index > 0 && left.is_multiple_of(3) {
            grouped.push(' ');
        }
        grouped.push(digit);
    }
    grouped + fraction
}

fn delivered(figure: &Figure) -> String {
    if figure.delivered == figure.produced {
        return "100 %".to_owned();
    }
    let percent = 100.0 * figure.delivered as f64 / figure.produced as f64;
    // Never rounded up to what it is not.
    format!("{:.1} %", (percent * 10.0).floor() / 10.0)
}

fn arrived(results: &Results) -> String {
    let mut text = String::from(
        "The server counted every record; one trace in 32 it kept whole, decoded with \
         `opentelemetry-proto` and compared \
         with what was sent: ids, names, parents, order of times, the three attributes by value, \
         the event with the ids of its span. An event is a log record from `ringlight` and a span \
         event from the others; fastrace's attributes are text.\n\n\
         | | spans and logs compared |\n|---|---:|\n",
    );
    for subject in Subject::DELIVERING {
        if let Some(count) = results.compared.get(subject.name()) {
            let _ = writeln!(text, "| {subject} | {} |", number(*count as f64, 0));
        }
    }
    text.push_str(match results.differences.is_empty() {
        true => "\nNothing differed.\n",
        false => "\nWhat differed:\n\n",
    });
    for difference in &results.differences {
        let _ = writeln!(text, "- {difference}");
    }
    if results.has_bench("record") {
        text.push_str(&lost_while_recording(results));
    }
    text.push_str(
        "\nRinglight's own account of what it dropped, which with what was received makes exactly \
         what was recorded, in every process:\n\n",
    );
    for (run, account) in &results.dropped {
        let reasons: Vec<String> = account
            .iter()
            .map(|(reason, count)| format!("{count} {reason}"))
            .collect();
        if !reasons.is_empty() {
            let run = run.trim_start_matches("child-");
            let _ = writeln!(text, "- {run}: {}", reasons.join(", "));
        }
    }
    if results
        .dropped
        .values()
        .all(std::collections::BTreeMap::is_empty)
    {
        text.push_str("- nothing\n");
    }
    text
}

/// What was dropped although the bench means nothing to be: it makes spans look cheap.
fn lost_while_recording(results: &Results) -> String {
    let lossy = |figure: &&Figure| {
        figure.bench == "record"
            && figure.unit == "ns_cpu_per_span"
            && figure.delivered < figure.produced
            && Subject::DELIVERING
                .iter()
                .any(|subject| subject.name() == figure.subject)
    };
    let lossy: Vec<&Figure> = results.figures.iter().filter(lossy).collect();
    if lossy.is_empty() {
        return "\nIn `record` everything that was recorded was delivered.\n".to_owned();
    }
    let mut text = "\nIn `record`, not everything was delivered:\n\n".to_owned();
    for figure in lossy {
        let _ = writeln!(
            text,
            "- {} {}: {} of {} spans",
            figure.subject, figure.case, figure.delivered, figure.produced
        );
    }
    text
}

fn method(quick: bool) -> String {
    let sizes = if quick { Sizes::QUICK } else { Sizes::FULL };
    format!(
        "- Each sample is a process of its own, subjects taking turns. The server is another \
         process; its CPU time is in no figure.\n\
         - `flat`: a span without attributes. `flat3`: one with an integer, a string and a \
         `Display` value. `event`: one with an event of one attribute in it; the figure is for both \
         together. `tree`, `tree3`: a root and ten children, without and with the three \
         attributes.\n\
         - `record`: CPU time of the recording thread alone, in bursts of 1 000 spans every 10 ms \
         while the pipeline delivers, the thread staying awake in between; {} processes of {} rounds of {} bursts. The peers' batch \
         processors were given queues of 65 536 spans, so that a burst always fits; what was \
         dropped nevertheless is listed above, and makes its subject look cheaper than it is.\n\
         - `deliver`: CPU time of the whole process from the first span to the end of its \
         shutdown, by spans that the server received, shape `tree3`, OTLP over gRPC without \
         compression; {} processes each. `paced-100k`: {} bursts of 1 001 spans every 10 ms, the \
         same queues as above; `null` is the pacer without any span. `flat-drop`: {} bursts \
         without a pause from one thread, every default kept. `flat-block`: the same with \
         settings meant to lose nothing: Ringlight waits for room; the peers have no such policy, \
         so the SDK's queue was made as large as the run, and fastrace has nothing to set.\n\
         - `-lean` is tracing-opentelemetry without source location, threads, inactivity and \
         target. All `tracing` subjects record from level info; Ringlight writes no log lines.\n\
         - `ringlight-native` is Ringlight without `tracing`: spans are timed and submitted with \
         `SpanTemplate`s, the third attribute is formatted into a text of the caller's; the event is \
         in a whole span, since a template has none.\n\
         {}\
         - The clients are built with cargo's own `release` profile and with the system's allocator; the \
         backend is the product's binary as its own `release` profile makes it.\n\
         - Again: `cargo run --release --manifest-path bench-compare/Cargo.toml -- all --report \
         docs/benchmarks`.\n",
        sizes.record_processes,
        sizes.record_rounds,
        sizes.record_bursts,
        sizes.deliver_processes,
        sizes.paced_bursts,
        sizes.flat_bursts,
        backend_method(&sizes.backend),
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
         `took` matches. How many traces each first page has is reckoned from the data; another \
         number, or a trace of other than {SPANS_PER_TRACE} spans, fails the bench.\n",
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
