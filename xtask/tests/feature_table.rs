//! The table of Cargo features in the documentation of `ringlight` is true, and `docs/features.md` has the same.

#![expect(
    clippy::unwrap_used,
    reason = "a test may stop at the first thing that is wrong"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use common::{output, root};

/// One line of the table.
struct Row {
    feature: String,
    is_default: bool,
    /// What it gives, in Markdown.
    gives: String,
    /// The features and crates it brings.
    brings: String,
    /// Paths of guides, with or without an anchor.
    guides: Vec<String>,
}

fn cargo(args: &[&str]) -> String {
    output(env!("CARGO"), args)
}

/// What the crate's documentation says of features: the text before the table, and the table.
fn documented() -> (String, Vec<Row>) {
    let source = std::fs::read_to_string(root().join("crates/ringlight/src/lib.rs")).unwrap();
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    let lines = lines.map(|line| line.strip_prefix(' ').unwrap_or(line));
    let mut lines = lines.skip_while(|line| *line != "# Features").skip(1);
    let text: Vec<_> = lines
        .by_ref()
        .take_while(|line| !line.starts_with('|'))
        .collect();
    // The line below the names of the columns is no row.
    let rows = lines.skip(1).take_while(|line| line.starts_with('|'));
    let rows = rows.map(|line| {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [feature, default, gives, brings, guides] = cells[..] else {
            panic!("not five cells: {line}");
        };
        Row {
            feature: feature.trim_matches('`').to_owned(),
            is_default: default == "yes",
            gives: gives.to_owned(),
            brings: brings.to_owned(),
            guides: guides.split(", ").map(str::to_owned).collect(),
        }
    });
    (text.join("\n").trim().to_owned(), rows.collect())
}

/// The features that each feature of `ringlight` turns on, `default` among them.
fn features() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = cargo(&["metadata", "--format-version", "1", "--no-deps"]);
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let mut packages = metadata["packages"].as_array().unwrap().iter();
    let facade = packages.find(|package| package["name"] == "ringlight");
    let features = facade.unwrap()["features"].as_object().unwrap();
    let turned_on = features.iter().map(|(name, turns_on)| {
        let turns_on = turns_on.as_array().unwrap().iter();
        let turns_on = turns_on.filter_map(Value::as_str);
        let of_the_same = turns_on.filter(|name| features.contains_key(*name));
        (name.clone(), of_the_same.map(str::to_owned).collect())
    });
    turned_on.collect()
}

/// The crates that are compiled for a service with these flags.
fn crates(flags: &[&str]) -> BTreeSet<String> {
    let tree = [
        "tree",
        "--locked",
        "--package",
        "ringlight",
        "--prefix",
        "none",
        "--edges",
        "normal,build",
    ];
    let tree = cargo(&[&tree[..], flags].concat());
    let names = tree.lines().filter_map(|line| line.split(' ').next());
    names.map(str::to_owned).collect()
}

/// What stands between backticks.
fn names(text: &str) -> BTreeSet<String> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_table_has_every_feature_and_whether_it_is_a_default() {
    let features = features();
    let (_, rows) = documented();
    let told: Vec<_> = rows.iter().map(|row| row.feature.as_str()).collect();
    let told_once: BTreeSet<_> = told.iter().copied().collect();
    assert_eq!(told.len(), told_once.len(), "one is told twice: {told:?}");
    let expected = features.keys().map(String::as_str);
    assert_eq!(
        told_once,
        expected.filter(|name| *name != "default").collect(),
        "told on the left"
    );
    let defaults = rows.iter().filter(|row| row.is_default);
    let defaults: BTreeSet<_> = defaults.map(|row| row.feature.clone()).collect();
    assert_eq!(defaults, features["default"], "told on the left");
}

#[test]
fn what_a_feature_is_said_to_bring_it_brings() {
    let features = features();
    let (with_none, with_defaults) = (crates(&["--no-default-features"]), crates(&[]));
    let mut offenders = Vec::new();
    for Row {
        feature,
        is_default,
        brings,
        ..
    } in documented().1
    {
        let brought: BTreeSet<_> = if is_default {
            let with = crates(&["--no-default-features", "--features", &feature]);
            with.difference(&with_none).cloned().collect()
        } else {
            let with = crates(&["--features", &feature]);
            with.difference(&with_defaults).cloned().collect()
        };
        let told = names(&brings);
        let turned_on = &features[&feature];
        if let Some(missing) = turned_on.difference(&told).next() {
            offenders.push(format!("{feature}: it turns `{missing}` on"));
        }
        let is_brought = |name: &&String| turned_on.contains(*name) || brought.contains(*name);
        let wrong = told.iter().filter(|name| !is_brought(name));
        offenders.extend(wrong.map(|name| format!("{feature}: it does not bring `{name}`")));
        let count = brings.split_once(" crates").map_or(0, |(before, _)| {
            let (_, count) = before.rsplit_once(' ').unwrap();
            count.parse().unwrap()
        });
        let slack = if brings.contains("about ") {
            brought.len() / 5
        } else {
            0
        };
        let is_near = brought.len().abs_diff(count) <= slack;
        if !is_near || (brings == "nothing") != told.is_empty() {
            let (brought, crates) = (brought.len(), brought);
            offenders.push(format!("{feature}: it brings {brought} crates, {crates:?}"));
        }
    }
    assert!(offenders.is_empty(), "{}", offenders.join("\n"));
}

/// A link of rustdoc's is its text: there are no such pages in a repository.
fn without_links(text: &str) -> String {
    let mut parts = text.split("](");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let opening = plain.rfind("[`").or_else(|| plain.rfind('[')).unwrap();
        plain.remove(opening);
        plain.push_str(part.split_once(')').unwrap().1);
    }
    plain
}

/// Set `RINGLIGHT_UPDATE=1` to write the page instead of comparing it.
#[test]
fn the_page_of_features_is_the_table_with_links_to_the_guides() {
    assert_eq!(
        without_links("a [`#[b]`](macro@b), [c](d) and e"),
        "a `#[b]`, c and e"
    );
    let (text, rows) = documented();
    let mut page = format!(
        "# Cargo features\n\nMade from the documentation of the crate `ringlight` by a test; `RINGLIGHT_UPDATE=1 cargo test -p xtask \
         --test feature_table` writes it anew.\n\n{text}\n\n| feature | default | gives | brings | guide |\n|---|---|---|---|---|\n"
    );
    for row in rows {
        let guides = row.guides.iter().map(|guide| {
            let path = guide.strip_prefix("docs/").unwrap();
            let (name, _) = path.split_once(".md").unwrap();
            format!("[{name}]({path})")
        });
        page.push_str(&format!(
            "| `{}` | {} | {} | {} | {} |\n",
            row.feature,
            if row.is_default { "yes" } else { "no" },
            without_links(&row.gives),
            row.brings,
            guides.collect::<Vec<_>>().join(", ")
        ));
    }
    page.push_str(
        "\nWhat they cost while a service runs is in the [report](benchmarks/README.md#what-each-feature-costs), what the defaults take to \
         compile [beside it](benchmarks/compile-time.md).\n",
    );
    let path = root().join("docs/features.md");
    if std::env::var_os("RINGLIGHT_UPDATE").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == page,
        "docs/features.md is not what the crate's documentation says; hint: \
         `RINGLIGHT_UPDATE=1 cargo test -p xtask --test feature_table`"
    );
}
