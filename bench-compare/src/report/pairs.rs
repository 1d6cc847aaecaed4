//! What counting costs on channels and around allocators.

use std::fmt::Write as _;

use bench_workload::{Channels, Exchange};

use super::{cell, number};
use crate::{
    pairs::{
        Around, BYTES, COUNT, DOCUMENT, INSTRUCTIONS, MESSAGE, NS_OVER, OVER_TOKIO, PAIR,
        PAIR_CASES, PARSE, PARSE_CASES, PERCENT_OVER,
    },
    results::Results,
};

/// A message, in tokio's channels and in those that count.
pub(super) fn channels(results: &Results) -> String {
    let mut text = String::from(
        "CPU time of a message in nanoseconds, nothing being done with it: in tokio's channels and in those of `ringlight::channel` that count. \
         Both take turns in one process; what is over is reckoned round by round. Where time goes: \
         [channels.md](../channels.md#what-it-costs).\n\n\
         | | tokio | counted | over tokio's, % | instructions, tokio | more of them |\n\
         |---|---:|---:|---:|---:|---:|\n",
    );
    let [tokio, ours] = Channels::ALL.map(Channels::name);
    for exchange in Exchange::ALL {
        let find = |subject, unit| results.find(subject, exchange.name(), unit);
        let [before, after] = [tokio, ours].map(|subject| find(subject, INSTRUCTIONS));
        let more = before
            .zip(after)
            .map(|(before, after)| after.median - before.median);
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            exchange.what(),
            cell(find(tokio, MESSAGE), 1),
            cell(find(ours, MESSAGE), 1),
            cell(find(ours, OVER_TOKIO), 1),
            cell(before, 0),
            more.map_or_else(|| "-".to_owned(), |more| number(more, 0))
        );
    }
    text
}

/// An allocation, and parsing, with allocations counted.
pub(super) fn allocations(results: &Results) -> String {
    let of_document = |unit| {
        let figure = results.find(Around::System.name(), DOCUMENT, unit);
        figure.map_or(0.0, |figure| figure.median)
    };
    let mut text = format!(
        "CPU time of 64 bytes allocated and freed, and of {} KiB of JSON parsed to a `serde_json::Value` and dropped ({} allocations), with the \
         allocator that counts and with the one it is around. All take turns in one process; what is over is reckoned round by \
         round. Where time goes: [allocations.md](../allocations.md#what-it-costs).\n\n\
         | around | 64 bytes, ns | counted outside of spans, ns over | counted in a span, ns over | JSON, us | counted outside of spans, % over | \
         counted in a span, % over |\n|---|---:|---:|---:|---:|---:|---:|\n",
        number(of_document(BYTES) / 1024.0, 0),
        number(of_document(COUNT), 0),
    );
    for around in Around::ALL {
        let find = |case, unit| results.find(around.name(), case, unit);
        let [pair, pair_outside, pair_inside] = PAIR_CASES;
        let [parse, parse_outside, parse_inside] = PARSE_CASES;
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} |",
            around.name(),
            cell(find(pair, PAIR), 1),
            cell(find(pair_outside, NS_OVER), 2),
            cell(find(pair_inside, NS_OVER), 2),
            cell(find(parse, PARSE), 1),
            cell(find(parse_outside, PERCENT_OVER), 1),
            cell(find(parse_inside, PERCENT_OVER), 1)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{results::Figure, stats::Estimate};

    fn add(results: &mut Results, subject: &str, case: &str, unit: &str, value: f64) {
        let estimate = Estimate::of(&[value]);
        results
            .figures
            .push(Figure::new("", subject, (case, unit), estimate, (0, 0)));
    }

    #[test]
    fn every_kind_of_channel_has_a_row() {
        let mut results = Results::default();
        let case = Exchange::Mpsc.name();
        add(&mut results, "tokio", case, MESSAGE, 60.0);
        add(&mut results, "ringlight", case, MESSAGE, 51.0);
        add(&mut results, "ringlight", case, OVER_TOKIO, -15.0);
        add(&mut results, "tokio", case, INSTRUCTIONS, 449.0);
        add(&mut results, "ringlight", case, INSTRUCTIONS, 363.0);
        let text = channels(&results);
        let rows: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with('|'))
            .skip(2)
            .collect();
        assert_eq!(rows.len(), Exchange::ALL.len());
        assert!(
            rows[0].ends_with("| 60.0 | 51.0 | -15.0 | 449 | -86 |"),
            "{}",
            rows[0]
        );
        assert!(rows[1].ends_with("| - | - | - | - | - |"), "{}", rows[1]);
    }

    #[test]
    fn every_allocator_has_a_row() {
        let mut results = Results::default();
        add(&mut results, "glibc", DOCUMENT, BYTES, 39_954.0);
        add(&mut results, "glibc", DOCUMENT, COUNT, 4_007.0);
        add(&mut results, "mimalloc", PAIR_CASES[2], NS_OVER, 0.31);
        add(&mut results, "mimalloc", PARSE_CASES[2], PERCENT_OVER, 1.4);
        let text = allocations(&results);
        assert!(text.contains("of 39 KiB of JSON") && text.contains("(4 007 allocations)"));
        assert!(
            text.ends_with("| mimalloc | - | - | 0.31 | - | - | 1.4 |\n"),
            "{text}"
        );
    }
}
