//! What every match of a regular expression contains.

use regex_syntax::hir::{Class, Hir, HirKind};

/// Characters a letter may stand for where case is ignored: `k` is `K` and the sign of Kelvin, too.
const CASES_MAX: usize = 4;
/// Letters that are looked for together: an index of bodies knows three bytes in sequence.
const WINDOW: usize = 3;

/// Texts that every match of the pattern contains: the literal parts of its outermost sequence.
pub(super) fn required_texts(pattern: &str) -> Vec<String> {
    fn collect(hir: &Hir, texts: &mut Vec<String>) {
        match hir.kind() {
            HirKind::Literal(literal) => {
                if let Ok(text) = std::str::from_utf8(&literal.0) {
                    texts.push(text.to_owned());
                }
            }
            HirKind::Capture(capture) => collect(&capture.sub, texts),
            HirKind::Repetition(repetition) if repetition.min > 0 => {
                collect(&repetition.sub, texts);
            }
            HirKind::Concat(items) => items.iter().for_each(|item| collect(item, texts)),
            _ => {}
        }
    }
    let mut texts = Vec::new();
    if let Ok(hir) = regex_syntax::parse(pattern) {
        collect(&hir, &mut texts);
    }
    texts.retain(|text| !text.is_empty());
    texts
}

/// What every match contains of the parts of the outermost sequence where a character may be one of
/// a few, as each letter is with `(?i)`: of each entry one of the ways to write three of them.
pub(super) fn required_in_any_case(pattern: &str) -> Vec<Vec<String>> {
    let mut runs = vec![Vec::new()];
    if let Ok(hir) = regex_syntax::parse(pattern) {
        collect_letters(&hir, &mut runs);
    }
    let windows = runs.iter().flat_map(|run| run.windows(WINDOW));
    windows
        // Those of one way to write them are among the required texts.
        .filter(|window| window.iter().any(|cases| cases.len() > 1))
        .map(ways_to_write)
        .collect()
}

/// Adds the characters of the pattern to the last of the runs; what is none of a few characters
/// begins a new one.
fn collect_letters(hir: &Hir, runs: &mut Vec<Vec<Vec<char>>>) {
    let mut add = |cases: Vec<char>| match runs.last_mut() {
        Some(run) => run.push(cases),
        None => runs.push(vec![cases]),
    };
    match hir.kind() {
        HirKind::Literal(literal) => {
            // A pattern is for text, so its literals are.
            let text = String::from_utf8_lossy(&literal.0);
            text.chars().for_each(|letter| add(vec![letter]));
        }
        HirKind::Class(Class::Unicode(class)) => {
            let letters = class.iter().flat_map(|range| range.start()..=range.end());
            let cases: Vec<char> = letters.take(CASES_MAX + 1).collect();
            if (1..=CASES_MAX).contains(&cases.len()) {
                add(cases);
            } else {
                runs.push(Vec::new());
            }
        }
        HirKind::Capture(capture) => collect_letters(&capture.sub, runs),
        HirKind::Concat(items) => items.iter().for_each(|item| collect_letters(item, runs)),
        _ => runs.push(Vec::new()),
    }
}

fn ways_to_write(window: &[Vec<char>]) -> Vec<String> {
    let mut ways = vec![String::new()];
    for cases in window {
        let longer = |way: &String| {
            let way = way.clone();
            cases.iter().map(move |letter| format!("{way}{letter}"))
        };
        ways = ways.iter().flat_map(longer).collect();
    }
    ways
}
