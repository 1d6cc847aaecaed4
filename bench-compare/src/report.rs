//! The tables, and the document made of them.

use std::fmt::Write as _;

use crate::{
    aims,
    parent::{Figure, Results},
    plan::{Delivery, Shape, Sizes, Subject},
};

/// All tables, for a terminal.
pub(crate) fn tables(results: &Results) -> String {
    let mut text = String::new();
    if has_bench(results, "record") {
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
    if has_bench(results, "deliver") {
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

fn has_bench(results: &Results, bench: &str) -> bool {
    results.figures.iter().any(|figure| figure.bench == bench)
}

/// The figure of a cell, if it was measured.
pub(crate) fn find<'a>(
    results: &'a Results,
    subject: Subject,
    case: &str,
    unit: &str,
) -> Option<&'a Figure> {
    results.figures.iter().find(|figure| {
        figure.subject == subject.name() && figure.case == case && figure.unit == unit
    })
}

fn record_table(results: &Results, unit: &str, decimals: usize) -> String {
    let cases: Vec<&str> = Shape::ALL.iter().map(|shape| shape.name()).collect();
    let subjects = [&Subject::DELIVERING[..], &Subject::REFERENCE].concat();
    table(&cases, &subjects, |subject, case| {
        find(results, subject, case, unit).map(|figure| interval(figure, decimals))
    })
}

fn deliver_table(results: &Results, unit: &str, cell: impl Fn(&Figure) -> String) -> String {
    let cases: Vec<&str> = Delivery::ALL
        .iter()
        .map(|delivery| delivery.name())
        .collect();
    let subjects = [&Subject::DELIVERING[..], &[Subject::Null]].concat();
    table(&cases, &subjects, |subject, case| {
        find(results, subject, case, unit).map(&cell)
    })
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
         the event with the ids of its span. An event is a log record from Ringlight and a span \
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
    if has_bench(results, "record") {
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
         while the pipeline delivers; {} processes of {} rounds of {} bursts. The peers' batch \
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
         - Everything built with cargo's own `release` profile, and with the system's allocator.\n\
         - Again: `cargo run --release --manifest-path bench-compare/Cargo.toml -- all --report \
         docs/benchmarks`.\n",
        sizes.record_processes,
        sizes.record_rounds,
        sizes.record_bursts,
        sizes.deliver_processes,
        sizes.paced_bursts,
        sizes.flat_bursts,
    )
}
