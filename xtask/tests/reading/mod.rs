//! How the rules of the house read sources and documents: what is in a text, whatever file it is of.

use std::collections::{BTreeMap, BTreeSet};

/// Whether a source in Rust, Python or TypeScript, by the ending of its path, has a test of this name. A function that nobody
/// runs is none.
pub(crate) fn has_test(path: &str, source: &str, name: &str) -> bool {
    if path.ends_with(".ts") {
        return source.contains(&format!("test('{name}'"));
    }
    if path.ends_with(".py") {
        return name.starts_with("test") && source.contains(&format!("def {name}("));
    }
    let definition = format!("fn {name}(");
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    let mut defined = (lines.iter().enumerate()).filter(|(_, line)| line.contains(&definition));
    defined.any(|(number, _)| {
        let above = lines[..number].iter().rev();
        let mut above = above.take_while(|line| !line.is_empty() && **line != "}");
        above.any(|line| is_test_attribute(line))
    })
}

/// `#[test]`, or one such as `#[tokio::test(start_paused = true)]`.
fn is_test_attribute(line: &str) -> bool {
    let attribute = line.strip_prefix("#[").unwrap_or_default();
    let path = attribute.split([']', '(']).next().unwrap_or_default();
    path.rsplit("::").next() == Some("test")
}

/// The types of the global allocators that a source chooses.
pub(crate) fn allocators(source: &str) -> Vec<String> {
    let of_static = |rest: &str| {
        let (_, declared) = rest.split_once("static ")?;
        let (_, declared) = declared.split_once(':')?;
        let (kind, _) = declared.split_once('=')?;
        Some(kind.trim().to_owned())
    };
    // Not where it is only spoken of.
    let mut rests = source.split("\n#[global_allocator]\n");
    let before = rests.next().unwrap_or_default();
    let first = before.strip_prefix("#[global_allocator]\n").into_iter();
    first.chain(rests).filter_map(of_static).collect()
}

/// Whether an allocator is mimalloc, or counts around it.
pub(crate) fn is_mimalloc(kind: &str) -> bool {
    let mut names = kind.split(|c: char| !c.is_alphanumeric() && c != '_');
    names.any(|name| name == "MiMalloc")
}

/// The lines of a Markdown text that are no code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// The anchors of the headings of a Markdown text, as GitHub makes them.
pub(crate) fn anchors(text: &str) -> BTreeSet<String> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let headings = prose(text).filter_map(|line| {
        let heading = line.trim_start_matches('#');
        let level = line.len() - heading.len();
        let heading = heading.strip_prefix(' ')?;
        (1..=6).contains(&level).then_some(heading.trim())
    });
    let anchors = headings.map(|heading| {
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        let lower = without_targets(heading).to_lowercase();
        let anchor = lower.chars().filter(kept).collect::<String>();
        let anchor = anchor.replace(' ', "-");
        let count = counts.entry(anchor.clone()).or_default();
        *count += 1;
        match *count {
            1 => anchor,
            count => format!("{anchor}-{}", count - 1),
        }
    });
    anchors.collect()
}

/// A heading without where its links lead.
fn without_targets(heading: &str) -> String {
    let mut parts = heading.split("](");
    let first = parts.next().unwrap_or_default();
    let rest = parts.map(|part| part.split_once(')').map_or(part, |(_, after)| after));
    [first].into_iter().chain(rest).collect()
}

/// Where the links of a Markdown text lead that stay in the project: the path, and the anchor if there is one.
pub(crate) fn links(text: &str) -> Vec<(&str, Option<&str>)> {
    let targets = text.split("](").skip(1);
    let targets = targets.map(|rest| rest.split([')', ' ']).next().unwrap_or_default());
    let inside = targets.filter(|target| !target.is_empty() && !target.contains("://"));
    inside.map(split_anchor).collect()
}

fn split_anchor(target: &str) -> (&str, Option<&str>) {
    match target.split_once('#') {
        Some((path, anchor)) => (path, Some(anchor)),
        None => (target, None),
    }
}

/// The dependencies between crates that `ARCHITECTURE.md` tells, by crate.
pub(crate) fn dependencies_told(page: &str) -> BTreeMap<String, BTreeSet<String>> {
    let (_, told) = page
        .split_once("Dependencies, exactly: ")
        .unwrap_or_default();
    let (told, _) = told.split_once(". `xtask").unwrap_or_default();
    let names = |list: &str| {
        let names = list.split(|c: char| !c.is_alphanumeric());
        let names = names.filter(|name| !name.is_empty() && *name != "and");
        names.map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let mut dependencies = BTreeMap::new();
    for part in told.split(';') {
        if let Some(alone) = part.trim().strip_suffix(" on no other crate") {
            dependencies.extend(names(alone).into_iter().map(|name| (name, BTreeSet::new())));
        } else if let Some((of, on)) = part.split_once('→') {
            let of = names(of).into_iter();
            dependencies.extend(of.map(|name| (name, names(on))));
        }
    }
    dependencies
}

/// What is wrong with the blocks of Rust in a Markdown text, with their lines. A viewer of Markdown shows the lines that rustdoc hides,
/// and whoever copies a block wants it to compile: each is a whole program. Those that are not compiled may be a part of one.
pub(crate) fn faults_of_examples(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut lines = (1..).zip(text.lines().map(str::trim));
    while let Some((number, fence)) = lines.next() {
        let Some(language) = fence.strip_prefix("```") else {
            continue;
        };
        let block: Vec<_> = lines
            .by_ref()
            .take_while(|(_, line)| *line != "```")
            .collect();
        if !language.starts_with("rust") {
            continue;
        }
        let hidden = block
            .iter()
            .filter(|(_, line)| *line == "#" || line.starts_with("# "));
        faults.extend(hidden.map(|(number, _)| format!("{number}: a hidden line")));
        if !language.contains("ignore") && !block.iter().any(|(_, line)| line.contains("fn main("))
        {
            faults.push(format!("{number}: no `fn main`"));
        }
    }
    faults
}

/// Whether a source names a crate: its path, or all of it in a `use`.
pub(crate) fn names_crate(source: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    source.match_indices(name).any(|(at, _)| {
        let (before, after) = (&source[..at], &source[at + name.len()..]);
        // `::name` is a crate, `module::name` is not.
        let path = before.strip_suffix("::").unwrap_or(before);
        if path.ends_with(|c: char| is_part(c) || c == '.') {
            return false;
        }
        let used = before.ends_with("use ") || before.ends_with("extern crate ");
        after.starts_with("::") || used && !after.starts_with(is_part)
    })
}
