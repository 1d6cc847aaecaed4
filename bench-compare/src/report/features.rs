//! What each feature costs, beside what it may, and allocators.

use std::fmt::Write as _;

use super::{cell, interval, number};
use crate::{
    features::{
        BINARY, BINARY_SIZE, Build, Case, LINES_DROPPED, OFF, OVER_BASE, OVER_OFF, PACED_RATE,
        RESIDENT, ROWS, Row, SLICES_DROPPED,
    },
    results::Results,
};

/// What a process takes of a core, where it is paced.
const CORE: &str = "of one core, %";

/// Every feature, over nothing.
pub(super) fn costs(results: &Results) -> String {
    let mut text = format!(
        "CPU time of the whole process, per cent over `off`, of which the first row has the time itself: microseconds a \
         chunk, and a request. At {PACED_RATE} chunks a second the application does little, so that what a feature does now and \
         then is much of it: the last column has how much of one core the process takes then.\n\n"
    );
    header(&mut text, "| | what is on |", &[CORE]);
    for row in ROWS.iter().filter(|row| row.is_feature()) {
        let cells = Case::ALL.map(|case| {
            let (unit, decimals) = match row.name {
                OFF => (case.cpu_unit(), 2),
                _ => (OVER_OFF, 1),
            };
            cell(results.find(row, case.name(), unit), decimals)
        });
        let paced = Case::StreamingPaced;
        let us = results.find(row, paced.name(), paced.cpu_unit());
        let core = us.map(|figure| figure.median * f64::from(PACED_RATE) / 1e6 * 100.0);
        let core = core.map_or_else(|| "-".to_owned(), |percent| number(percent, 1));
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {core} |",
            row.name,
            row.what,
            cells.join(" | ")
        );
    }
    text.push_str(&apart());
    text.push_str(&missing(results));
    text
}

/// Why some features have no figure of the service.
fn apart() -> String {
    let rows = ROWS.iter();
    let names = rows
        .filter(|row| row.is_feature() && !row.is_in(Case::Axum))
        .map(|row| format!("`{}`", row.name));
    let names = names.collect::<Vec<_>>().join(", ");
    format!(
        "\nThe service has no channels that count and no metrics of its own: `metrics` and `metrics-profiling` send nothing \
         there. Measured on the streaming application alone: {names}.\n"
    )
}

/// What features cost over the row that has all but them.
pub(super) fn additions(results: &Results) -> String {
    let mut text = String::from(
        "CPU time of the whole process, per cent over the row that has all but that feature. Those of which it is laid down \
         what they may cost are in the next table.\n\n",
    );
    header(&mut text, "| | over |", &[]);
    let is_shown = |row: &&Row| row.is_feature() && row.base != OFF && row.ceiling.is_none();
    for row in ROWS.iter().filter(is_shown) {
        let cells = Case::ALL.map(|case| cell(results.find(row, case.name(), OVER_BASE), 1));
        let _ = writeln!(
            text,
            "| `{}` | `{}` | {} |",
            row.name,
            row.base,
            cells.join(" | ")
        );
    }
    text.push_str(
        "\nOne feature of Cargo, `profiling`, has counted channels and `#[ringlight::instrument]`, so that no build has either \
         alone: `otlp-profiling` over `otlp-channels` is what the spans of instrumented functions cost, `channels` what counting does. `tokio-console` has \
         no row: it sees tasks only in a program that is built with `--cfg tokio_unstable`, which changes tokio itself.\n",
    );
    text
}

/// Those features that may cost so much and no more.
pub(super) fn limits(results: &Results) -> String {
    let mut text = String::from(
        "CPU time of the whole process, per cent over the same without that feature. The ceiling is what is required \
         (Z-4), the aim what the design wants of the streaming application.\n\n",
    );
    header(&mut text, "| | over | ceiling | aim |", &[]);
    for row in ROWS.iter().filter(|row| row.ceiling.is_some()) {
        let at_most = |limit: Option<f64>| {
            limit.map_or_else(|| "-".to_owned(), |limit| format!("{} %", number(limit, 0)))
        };
        let cells = Case::ALL.map(|case| judged(results, row, case));
        let _ = writeln!(
            text,
            "| `{}` | `{}` | {} | {} | {} |",
            row.name,
            row.base,
            at_most(row.ceiling),
            at_most(row.aim),
            cells.join(" | ")
        );
    }
    text.push_str(
        "\nThe ceiling for the system's metrics is about those of the process: `process-metrics`, over the same build without \
         them. `system-metrics` is held against it as well, with all that a build with `profiling` counts and tells: the process, the runtime, and on \
         the streaming application its channels. What counting costs where nothing else is done is in [Channels](#channels) and \
         [Counted allocations](#counted-allocations); the aims for both are about that.\n",
    );
    text
}

fn judged(results: &Results, row: &Row, case: Case) -> String {
    let Some(figure) = results.find(row, case.name(), OVER_BASE) else {
        return "-".to_owned();
    };
    let over = |limit: &f64| figure.median > *limit;
    let aim = row.aim.filter(|_| case != Case::Axum);
    let ceiling = row.ceiling.filter(over).map(|limit| (limit, "ceiling"));
    let passed = ceiling.or_else(|| Some((aim.filter(over)?, "aim")));
    let verdict = passed.map_or_else(String::new, |(limit, what)| {
        // The interval says whether that may be chance.
        let doubt = if figure.low > limit { "" } else { ", perhaps" };
        format!(", **above the {what}**{doubt}")
    });
    format!("{}{verdict}", interval(figure, 1))
}

/// The same with OTLP, by allocator.
pub(super) fn allocators(results: &Results) -> String {
    let mut text = String::from("Both applications with OTLP, traces and logs.\n\n|");
    let mut columns = vec!["binary, KiB".to_owned()];
    for case in Case::ALL
        .into_iter()
        .filter(|case| *case != Case::StreamingPaced)
    {
        let unit = if case == Case::Axum {
            "a request"
        } else {
            "a chunk"
        };
        columns.push(format!("{}: CPU {unit}, us", case.title()));
        columns.push("over glibc's, %".to_owned());
        columns.push("most memory, MiB".to_owned());
    }
    let _ = writeln!(
        text,
        " | {} |\n|---|{}",
        columns.join(" | "),
        "---:|".repeat(columns.len())
    );
    let rows = ["otlp", "otlp-mimalloc", "otlp-jemalloc"];
    for row in ROWS.iter().filter(|row| rows.contains(&row.name)) {
        let mut cells = vec![cell(results.find(row, BINARY, BINARY_SIZE), 0)];
        for case in [Case::StreamingFlat, Case::Axum] {
            cells.push(cell(results.find(row, case.name(), case.cpu_unit()), 2));
            let over = results.find(row, case.name(), OVER_BASE);
            cells.push(cell(over.filter(|_| !row.is_feature()), 1));
            cells.push(cell(results.find(row, case.name(), RESIDENT), 1));
        }
        let name = if row.build == Build::Plain {
            "glibc"
        } else {
            row.what
        };
        let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
    }
    text
}

/// The rows whose files are not whole, which makes them look cheaper than they are.
fn missing(results: &Results) -> String {
    let mut text = String::new();
    for (case, row) in Case::ALL
        .iter()
        .flat_map(|case| ROWS.iter().map(move |row| (case, row)))
    {
        for (unit, what) in [
            (SLICES_DROPPED, "slices and events"),
            (LINES_DROPPED, "log lines"),
        ] {
            if let Some(figure) = results.find(row, case.name(), unit) {
                let _ = writeln!(
                    text,
                    "- `{}`, {}: {} {what} a process",
                    row.name,
                    case.title(),
                    interval(figure, 0)
                );
            }
        }
    }
    if text.is_empty() {
        return text;
    }
    format!("\nNot everything was written, which makes it look cheaper than it is:\n\n{text}")
}

/// Columns of text, then one of numbers for each case, and others.
fn header(text: &mut String, first: &str, last: &[&str]) {
    let titles = Case::ALL.map(Case::title);
    let titles: Vec<&str> = titles
        .iter()
        .map(String::as_str)
        .chain(last.iter().copied())
        .collect();
    let _ = writeln!(
        text,
        "{first} {} |\n|{}{}",
        titles.join(" | "),
        "---|".repeat(first.matches('|').count() - 1),
        "---:|".repeat(titles.len())
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{results::Figure, stats::Estimate};

    #[test]
    fn what_the_service_lacks_is_told() {
        let text = apart();
        let row = |name: &str| ROWS.iter().find(|row| row.name == name).unwrap();
        for name in ["channel-metrics", "channels", "otlp-channels"] {
            assert!(!row(name).is_in(Case::Axum), "{name}");
            assert!(text.contains(&format!("`{name}`")), "{text}");
        }
        for name in ["process-metrics", "runtime-metrics", "tracing-chrome"] {
            assert!(row(name).is_in(Case::Axum), "{name}");
            assert!(!text.contains(&format!("`{name}`")), "{text}");
        }
        assert!(!text.contains("`prometheus`"), "{text}");
        let system = row("system-metrics");
        assert!(system.is_in(Case::Axum) && row(system.base).is_in(Case::Axum));
    }

    #[test]
    fn what_is_over_its_limit_is_marked() {
        let row = ROWS.iter().find(|row| row.name == "trace-json");
        let row = row.unwrap();
        let check = |case: Case, samples: &[f64], expected: &str| {
            let mut results = Results::default();
            let case_and_unit = (case.name(), OVER_BASE);
            let figure = Figure::new(
                "features",
                row,
                case_and_unit,
                Estimate::of(samples),
                (0, 0),
            );
            results.figures.push(figure);
            assert_eq!(judged(&results, row, case), expected);
        };
        check(Case::StreamingFlat, &[2.9], "2.9");
        check(Case::StreamingFlat, &[3.5], "3.5, **above the aim**");
        let doubtful = "3.5 [2.0, 4.0], **above the aim**, perhaps";
        check(Case::StreamingFlat, &[2.0, 3.5, 4.0], doubtful);
        check(Case::StreamingPaced, &[8.2], "8.2, **above the ceiling**");
        check(Case::Axum, &[7.9], "7.9");
        assert_eq!(judged(&Results::default(), row, Case::Axum), "-");
    }
}
