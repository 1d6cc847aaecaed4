//! The tables, and the document made of them.

mod features;
mod method;
mod pairs;
mod shipping;

use std::fmt::Write as _;

use crate::{
    aims,
    pairs::{ALLOCATIONS, CHANNELS},
    plan::{Delivery, REQUEST, Shape, Subject, THREADS, THREADS_AIMED, UNSAMPLED, threads_case},
    results::{Figure, Results},
    ship,
};

use method::method;

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
    if results.has_bench("unsampled") {
        section(
            &mut text,
            "A span that is not sampled (`tree3`)",
            &unsampled_table(results),
        );
    }
    if results.has_bench("threads") {
        section(
            &mut text,
            "Producer CPU by threads that record together, ns a span (`tree3`)",
            &threads_table(results),
        );
    }
    if results.has_bench("axum") {
        section(
            &mut text,
            "CPU of an axum service, us a request",
            &requests_table(results),
        );
    }
    if results.has_bench("features") {
        section(
            &mut text,
            "What each feature costs",
            &features::costs(results),
        );
        section(
            &mut text,
            "What features cost over others",
            &features::additions(results),
        );
        section(&mut text, "What it may cost", &features::limits(results));
        section(&mut text, "Allocators", &features::allocators(results));
    }
    if results.has_bench(CHANNELS) {
        section(&mut text, "Channels", &pairs::channels(results));
    }
    if results.has_bench(ALLOCATIONS) {
        section(
            &mut text,
            "Counted allocations",
            &pairs::allocations(results),
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
    if aims::own_costs(results).iter().any(Option::is_some) {
        section(
            &mut text,
            "What Ringlight says of its own cost",
            &own_table(results),
        );
    }
    if results.has_bench("ship") {
        let text = &mut text;
        section(
            text,
            "Client CPU by compression, ns a delivered span",
            &shipping::packing(results, ship::CPU, 0),
        );
        section(
            text,
            "Bytes on the wire, a span",
            &shipping::batches(results),
        );
        section(
            text,
            "Client CPU with a spool, ns a delivered span",
            &shipping::keeping(results),
        );
        section(text, "The log on disk", &shipping::log(results));
        section(
            text,
            "What a kill loses with a spool in `overflow`, ms of spans",
            &shipping::window(results),
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
    let cases: Vec<&str> = Shape::BURSTS.iter().map(|shape| shape.name()).collect();
    let subjects = [
        &Subject::DELIVERING[..],
        &Subject::RECORDING,
        &[Subject::Micromegas],
        &Subject::REFERENCE,
    ]
    .concat();
    table(&cases, &subjects, |subject, case| {
        results
            .find(subject, case, unit)
            .map(|figure| interval(figure, decimals))
    })
}

fn unsampled_table(results: &Results) -> String {
    const COLUMNS: [&str; 3] = ["CPU, ns", "over tracing-empty, ns", "allocations"];
    let ns = |subject| results.find(subject, UNSAMPLED, "ns_cpu_per_span");
    let empty = ns(Subject::TracingEmpty);
    table(&COLUMNS, &Subject::UNSAMPLED, |subject, column| {
        match COLUMNS.iter().position(|name| *name == column) {
            Some(0) => ns(subject).map(|figure| interval(figure, 1)),
            Some(1) => {
                // Only where the macros are in both.
                let is_called = matches!(subject, Subject::OpentelemetrySdk | Subject::Fastrace);
                let over = ns(subject)?.median - empty?.median;
                (!is_called && over > 0.0).then(|| number(over, 1))
            }
            _ => results
                .find(subject, UNSAMPLED, "allocations_per_span")
                .map(|figure| interval(figure, 2)),
        }
    })
}

fn threads_table(results: &Results) -> String {
    const MOST: &str = "2 to 8 threads at most, times one";
    let of = |subject, case: &str| results.find(subject, case, "ns_cpu_per_span");
    let cases: Vec<&str> = THREADS
        .map(threads_case)
        .into_iter()
        .chain([MOST])
        .collect();
    table(&cases, &Subject::THREADED, |subject, case| {
        if case != MOST {
            return of(subject, case).map(|figure| interval(figure, 1));
        }
        let median = |threads| of(subject, threads_case(threads)).map(|figure| figure.median);
        let most = THREADS_AIMED
            .into_iter()
            .filter_map(median)
            .reduce(f64::max)?;
        Some(number(most / median(1)?, 2))
    })
}

fn requests_table(results: &Results) -> String {
    const COLUMNS: [&str; 3] = ["CPU, us", "times tracing-none", "delivered"];
    let us = |subject| results.find(subject, REQUEST, "us_cpu_per_request");
    let none = us(Subject::TracingNone);
    table(&COLUMNS, &Subject::SERVING, |subject, column| match COLUMNS
        .iter()
        .position(|name| *name == column)
    {
        Some(0) => us(subject).map(|figure| interval(figure, 2)),
        Some(1) => Some(number(us(subject)?.median / none?.median, 2)),
        _ => us(subject).filter(|_| subject.delivers()).map(delivered),
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

fn own_table(results: &Results) -> String {
    const WHAT: [&str; 2] = [
        "a span on the thread that records it (`tree3`), ns; from outside over `tracing-empty`",
        "a span at 100 k spans/s, recording and exporting, ns; from outside over `null`",
    ];
    let mut text = "| | says | from outside |\n|---|---:|---:|\n".to_owned();
    let cell = |measured: aims::Measured| {
        let aims::Measured { median, low, high } = measured;
        let [median, low, high] = [median, low, high].map(|value| number(value, 1));
        format!("{median} [{low}, {high}]")
    };
    for (what, costs) in WHAT.iter().zip(aims::own_costs(results)) {
        if let Some((own, outside)) = costs {
            let _ = writeln!(text, "| {what} | {} | {} |", cell(own), cell(outside));
        }
    }
    text
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
        "`trace-by-id`, the searches and `operations` are among {} spans.\n\n| | | |\n|---|---|---:|\n",
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

/// The same where it was measured.
fn cell(figure: Option<&Figure>, decimals: usize) -> String {
    figure.map_or_else(|| "-".to_owned(), |figure| interval(figure, decimals))
}

/// With thin spaces between thousands, as the numbers get long.
pub(crate) fn number(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let (sign, digits) = text.split_at(usize::from(text.starts_with('-')));
    let (whole, fraction) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut grouped = sign.to_owned();
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
    let subjects = Subject::DELIVERING.into_iter().chain(Subject::RECORDING);
    for subject in subjects.map(Subject::name).chain(["features"]) {
        if let Some(count) = results.compared.get(subject) {
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
                .chain(&Subject::RECORDING)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart_and_signs_are_no_digits() {
        let check = |value, decimals, expected: &str| assert_eq!(number(value, decimals), expected);
        check(1_234_567.0, 0, "1 234 567");
        check(999.95, 2, "999.95");
        check(-100.0, 0, "-100");
        check(-1_234.56, 1, "-1 234.6");
    }
}
