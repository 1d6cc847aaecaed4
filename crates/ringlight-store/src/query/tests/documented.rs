//! The guides: what they show is a query, or the error they show.

use super::super::{Query, QuerySignal};
use super::{logs, traces};

const GUIDE: &str = include_str!("../../../../../docs/query-language.md");
const PLAYBOOK: &str = include_str!("../../../../../docs/profiling-playbook.md");

/// The fenced blocks of a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let opening = format!("\n```{language}\n");
    GUIDE
        .split(&opening)
        .skip(1)
        .map(|rest| rest.split("\n```").next().unwrap())
        .collect()
}

#[test]
fn every_example_of_the_guide_is_a_query() {
    let (about_spans, about_logs) = (blocks("traceql"), blocks("traceql-logs"));
    assert!(about_spans.len() >= 8 && about_logs.len() >= 2);
    about_spans.iter().for_each(|text| drop(traces(text)));
    about_logs.iter().for_each(|text| drop(logs(text)));
}

#[test]
fn what_the_playbook_searches_logs_for_is_a_query() {
    let searches = PLAYBOOK.split("**Logs**: `").skip(1);
    let queries: Vec<&str> = searches
        .map(|rest| rest.split('`').next().unwrap())
        .collect();
    assert!(queries.len() >= 2, "{queries:?}");
    queries.iter().for_each(|text| drop(logs(text)));
}

#[test]
fn the_mistake_in_the_guide_is_answered_as_shown() {
    let [example] = blocks("text")[..] else {
        panic!("the guide shows one mistake");
    };
    let lines: Vec<&str> = example.lines().collect();
    let error = Query::parse(lines[0], QuerySignal::Traces).unwrap_err();
    let marks = format!("{}{}", " ".repeat(error.offset), "^".repeat(error.length));
    assert_eq!(lines[1], format!("{marks} {}", error.message));
    assert_eq!(
        lines[2].trim(),
        format!("expected {}", error.hint().unwrap())
    );
}

#[test]
fn every_field_in_the_tables_of_the_guide_is_a_field() {
    let (before, after) = GUIDE.split_once("### Fields every log record has").unwrap();
    let about_spans = before.split_once("### Fields every span has").unwrap().1;
    let about_logs = after.split_once("## Values").unwrap().0;
    let mut seen = 0;
    for (table, signal) in [
        (about_spans, QuerySignal::Traces),
        (about_logs, QuerySignal::Logs),
    ] {
        for row in table.lines().filter(|line| line.starts_with("| `")) {
            // The first two columns.
            let cells: String = row.split('|').skip(1).take(2).collect();
            for field in cells.split('`').skip(1).step_by(2) {
                let text = format!("{field} = nil");
                assert!(Query::parse(&text, signal).is_ok(), "`{text}`");
                seen += 1;
            }
        }
    }
    assert!(seen > 30, "{seen} fields in the tables");
}
