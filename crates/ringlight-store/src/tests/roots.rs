//! Searches that look at the root of a trace: what they cost, and that bounds leave nothing out.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

const BLOCKS: u64 = 8;
const TRACES_PER_BLOCK: u64 = 25;
const NAMES: [&str; 3] = ["open", "pay", "close"];

/// A trace, as it is told apart in these tests.
struct Made {
    number: u64,
    start: u64,
    /// None for one of two spans without a root.
    root: Option<&'static str>,
    /// Whether its other span has the attribute `late`.
    is_late: bool,
}

fn all_made(has_root: impl Fn(u64) -> bool) -> Vec<Made> {
    (1..=BLOCKS * TRACES_PER_BLOCK)
        .map(|number| Made {
            number,
            // Newer ones have lower numbers, and some start at once.
            start: T0 + (1000 - number / 2) * MS,
            root: has_root(number).then(|| NAMES[number as usize % 3]),
            is_late: number.is_multiple_of(7),
        })
        .collect()
}

/// Each block has the first spans of some traces and the second ones of those of another block.
fn stored(made: &[Made]) -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    let blocks: Vec<_> = made.chunks(TRACES_PER_BLOCK as usize).collect();
    for (index, block) in blocks.iter().enumerate() {
        let mut spans = Vec::new();
        for one in *block {
            spans.push(match one.root {
                Some(name) => span(one.number.into(), 1, name, one.start),
                None => child(one.number.into(), 1, 9, "open", one.start),
            });
        }
        for one in blocks[(index + 3) % blocks.len()] {
            let other = child(one.number.into(), 2, 1, "step", one.start + 3 * MS);
            spans.push(match one.is_late {
                true => with(other, KeyValue::new("late", true)),
                false => other,
            });
        }
        add(&store, "s", &spans);
        flush(&store);
    }
    (directory, store)
}

fn expected(made: &[Made], is_wanted: impl Fn(&Made) -> bool) -> Vec<u128> {
    let mut wanted: Vec<_> = made.iter().filter(|one| is_wanted(one)).collect();
    wanted.sort_by_key(|one| std::cmp::Reverse((one.start, one.number)));
    wanted.iter().map(|one| one.number.into()).collect()
}

/// What every page of a search together has.
fn all_pages(store: &Store, search: &TraceSearch) -> Vec<u128> {
    let mut search = search.clone();
    let mut found = Vec::new();
    loop {
        let page = store.search_traces(&search).unwrap();
        found.extend(ids(&page));
        search.cursor = page.next;
        if search.cursor.is_none() {
            return found;
        }
    }
}

#[test]
fn bounds_leave_nothing_out() {
    // With few roots there are many more traces than the blocks say.
    for has_root in [
        |n: u64| !n.is_multiple_of(10),
        |n: u64| n.is_multiple_of(10),
    ] {
        let made = all_made(has_root);
        let (_directory, store) = stored(&made);
        let check = |query: &str, is_wanted: &dyn Fn(&Made) -> bool| {
            for limit in [9, 1000] {
                let search = TraceSearch {
                    limit,
                    ..traces_of(query)
                };
                let found = all_pages(&store, &search);
                assert_eq!(found, expected(&made, is_wanted), "{query}");
            }
            // The root of some lies outside.
            let (from, to) = (T0 + 930 * MS, T0 + 970 * MS);
            let window = TraceSearch {
                from_unix_nano: Some(from),
                to_unix_nano: Some(to),
                ..traces_of(&format!(
                    "{{ name = \"step\" && ({}) }}",
                    &query[2..query.len() - 2]
                ))
            };
            let is_inside = |one: &Made| (from..=to).contains(&(one.start + 3 * MS));
            let both = |one: &Made| is_inside(one) && is_wanted(one);
            assert_eq!(all_pages(&store, &window), expected(&made, both), "{query}");
        };
        check("{ rootName =~ \"p.*\" }", &|one| one.root == Some("pay"));
        check("{ rootName != \"pay\" }", &|one| {
            one.root.is_some_and(|root| root != "pay")
        });
        check("{ rootName = \"pay\" && span.late }", &|one| {
            one.root == Some("pay") && one.is_late
        });
        check("{ rootName != \"pay\" && span.late }", &|one| {
            one.root.is_some_and(|root| root != "pay") && one.is_late
        });
        check("{ rootName = nil && span.late }", &|one| {
            one.root.is_none() && one.is_late
        });
        check("{ !(rootName = \"pay\") && span.late }", &|one| {
            one.root != Some("pay") && one.is_late
        });
        check("{ rootServiceName =~ \"nothing\" }", &|_| false);
        check("{ span.late && traceDuration > 1ms }", &|one| one.is_late);
    }
}

#[test]
fn only_blocks_with_roots_that_can_match_are_read() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    for n in 1..=BLOCKS {
        let start = T0 + n * SECOND;
        let root = span(n.into(), 1, &format!("step {n}"), start);
        add(&store, &format!("service-{n}"), &[root]);
        flush(&store);
    }
    for (query, traces, blocks) in [
        ("{ rootName =~ \"nothing.*\" }", 0, 0),
        ("{ rootName =~ \"step [23]\" }", 2, 2),
        ("{ rootName !~ \"step [1-7]\" }", 1, 1),
        ("{ rootServiceName =~ \".*-[12]\" }", 2, 2),
        (
            "{ rootServiceName =~ \".*-1\" && rootName != \"step 1\" }",
            0,
            0,
        ),
    ] {
        let page = search(&store, query);
        let found = (page.traces.len(), page.stats.blocks_read);
        assert_eq!(found, (traces, blocks), "{query}");
    }
}

#[test]
fn traces_with_another_root_are_not_gathered() {
    let made = all_made(|_| true);
    let (_directory, store) = stored(&made);
    let asked = Arc::new(AtomicU64::new(0));
    let check = |query: &str, asked_max: u64| {
        asked.store(0, Ordering::Relaxed);
        let counter = Arc::clone(&asked);
        let search = TraceSearch {
            cancel: Cancel::when(move || {
                counter.fetch_add(1, Ordering::Relaxed);
                false
            }),
            ..traces_of(query)
        };
        let page = store.search_traces(&search).unwrap();
        assert_eq!((page.traces.len(), page.stats.blocks_read), (0, BLOCKS));
        let asked = asked.load(Ordering::Relaxed);
        assert!(asked <= asked_max, "{asked} for {query}");
    };
    // No trace is a candidate.
    let by_either = "(rootName =~ \"[a-z]*\" && rootServiceName != \"s\") || \
                     (rootName =~ \"(open|pay).+\" && rootServiceName = \"s\")";
    check(&format!("{{ {by_either} }}"), 3 * BLOCKS);
    // Every trace is one, as none needs a root, until what is known of their roots is put together.
    // How many are gathered before that varies with the order of hash tables; all would ask in every
    // block.
    let asked_max = made.len() as u64 * BLOCKS / 2;
    check("{ rootName = nil && name = \"step\" }", asked_max);
}
