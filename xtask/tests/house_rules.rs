//! The rules of the house that a compiler does not check. `CONTRIBUTING.md` says why each exists.

#![expect(
    clippy::unwrap_used,
    reason = "a test may stop at the first thing that is wrong"
)]

mod common;
mod reading;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use common::{output, root};
use reading::{
    allocators, anchors, dependencies_told, faults_of_examples, has_test, is_mimalloc, links,
    names_crate,
};

/// Which workspace crates a crate may depend on, outside of tests. Data flows one way; an edge that
/// is not here is a design decision and belongs in `ARCHITECTURE.md` first.
const ALLOWED_EDGES: &[(&str, &[&str])] = &[
    ("ringlight-clock", &[]),
    ("ringlight-context", &[]),
    ("ringlight-alloc", &["ringlight-context"]),
    ("ringlight-ring", &[]),
    ("ringlight-macros", &[]),
    ("ringlight-model", &[]),
    ("ringlight-spool", &[]),
    ("ringlight-otlp", &["ringlight-model"]),
    (
        "ringlight-collector",
        &[
            "ringlight-clock",
            "ringlight-model",
            "ringlight-otlp",
            "ringlight-ring",
            "ringlight-spool",
        ],
    ),
    (
        "ringlight-export",
        &[
            "ringlight-collector",
            "ringlight-model",
            "ringlight-otlp",
            "ringlight-secrets",
        ],
    ),
    ("ringlight-secrets", &[]),
    (
        "ringlight-tracefile",
        &["ringlight-collector", "ringlight-model"],
    ),
    (
        "ringlight",
        &[
            "ringlight-alloc",
            "ringlight-clock",
            "ringlight-collector",
            "ringlight-context",
            "ringlight-export",
            "ringlight-macros",
            "ringlight-model",
            "ringlight-otlp",
            "ringlight-secrets",
            "ringlight-tracefile",
            "ringlight-transparent",
        ],
    ),
    ("ringlight-transparent", &[]),
    ("ringlight-compat", &[]),
    ("ringlight-store", &["ringlight-model"]),
    ("ringlight-ui", &[]),
    (
        "ringlight-server",
        &[
            "ringlight-model",
            "ringlight-otlp",
            "ringlight-store",
            "ringlight-ui",
        ],
    ),
    ("ringlight-app-harness", &["ringlight"]),
    (
        "ringlight-app-agent",
        &["ringlight", "ringlight-app-harness"],
    ),
    (
        "ringlight-app-streaming",
        &["ringlight", "ringlight-app-harness"],
    ),
    (
        "ringlight-cli",
        &[
            "ringlight",
            "ringlight-app-agent",
            "ringlight-app-harness",
            "ringlight-app-streaming",
            "ringlight-otlp",
            "ringlight-server",
            "ringlight-store",
        ],
    ),
    ("ringlight-instructions", &["ringlight"]),
    ("ringlight-instrumented", &["ringlight"]),
    ("ringlight-soak", &["ringlight", "ringlight-testing"]),
    (
        "ringlight-testing",
        &["ringlight-model", "ringlight-otlp", "ringlight-spool"],
    ),
    ("xtask", &[]),
];

/// The only crates that may contain unsafe code, each for a reason its `lib.rs` gives.
const UNSAFE_CRATES: &[&str] = &[
    "ringlight-alloc",
    "ringlight-clock",
    "ringlight-ring",
    "ringlight-transparent",
];

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

struct Package {
    name: String,
    folder: PathBuf,
    manifest: Value,
}

fn packages() -> Vec<Package> {
    let metadata = output(
        env!("CARGO"),
        &["metadata", "--format-version", "1", "--no-deps"],
    );
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| Package {
            name: package["name"].as_str().unwrap().to_owned(),
            folder: Path::new(package["manifest_path"].as_str().unwrap())
                .parent()
                .unwrap()
                .to_owned(),
            manifest: package.clone(),
        })
        .collect()
}

/// Files under version control, or about to be, that end in one of `endings`.
fn files(endings: &[&str]) -> Vec<PathBuf> {
    let listed = output(
        "git",
        &["ls-files", "--cached", "--others", "--exclude-standard"],
    );
    let mut files: Vec<PathBuf> = listed
        .lines()
        .filter(|line| endings.iter().any(|ending| line.ends_with(ending)))
        .map(|line| root().join(line))
        .filter(|path| path.exists())
        .collect();
    files.sort();
    files
}

/// Whether a README shows code, or has three lines of text between its title and the last line,
/// which leads back to the project.
fn says_something(readme: &str) -> bool {
    let lines = readme.lines().filter(|line| !line.trim().is_empty());
    readme.contains("\n```") || lines.count() >= 5
}

fn module_doc(source: &str) -> String {
    source
        .lines()
        .map(str::trim_start)
        .take_while(|line| line.starts_with("//!") || line.is_empty())
        .collect::<Vec<_>>()
        .join("\n")
}

fn assert_none(rule: &str, offenders: &[String]) {
    assert!(
        offenders.is_empty(),
        "{rule}:\n  {}",
        offenders.join("\n  ")
    );
}

#[test]
fn dependencies_between_crates_point_one_way() {
    let allowed: BTreeMap<_, _> = ALLOWED_EDGES.iter().copied().collect();
    let names: BTreeSet<String> = packages().into_iter().map(|package| package.name).collect();
    let mut offenders = Vec::new();
    for package in packages() {
        let Some(edges) = allowed.get(package.name.as_str()) else {
            offenders.push(format!("{} is not in the list of crates", package.name));
            continue;
        };
        for dependency in package.manifest["dependencies"].as_array().unwrap() {
            let name = dependency["name"].as_str().unwrap();
            let in_tests_only = dependency["kind"] == "dev";
            if names.contains(name) && !in_tests_only && !edges.contains(&name) {
                offenders.push(format!("{} -> {name}", package.name));
            }
        }
    }
    assert_none("edges that are not allowed", &offenders);
}

/// What the page says of the applications, it says of all that is in `apps`.
#[test]
fn the_dependencies_that_are_told_are_those_there_may_be() {
    let short = |name: &str| match name.strip_prefix("ringlight-") {
        Some(rest) if rest.starts_with("app-") => "apps".to_owned(),
        Some(rest) => rest.to_owned(),
        None => name.to_owned(),
    };
    let mut allowed: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, edges) in ALLOWED_EDGES {
        let name = short(name);
        let edges = edges.iter().map(|edge| short(edge));
        let others = edges.filter(|edge| *edge != name).collect::<Vec<_>>();
        allowed.entry(name).or_default().extend(others);
    }
    let told = dependencies_told(&read(&root().join("ARCHITECTURE.md")));
    assert_eq!(told, allowed, "`ARCHITECTURE.md` on the left");
}

#[test]
fn every_crate_introduces_itself() {
    let mut offenders = Vec::new();
    let code_map = read(&root().join("ARCHITECTURE.md"));
    for package in packages() {
        let is_crate = package.folder.parent() == Some(&root().join("crates"));
        if is_crate && !code_map.contains(&format!("\n| `{}` | ", package.name)) {
            offenders.push(format!(
                "{}: no row in the code map of ARCHITECTURE.md",
                package.name
            ));
        }
        let manifest = read(&package.folder.join("Cargo.toml"));
        if !manifest.contains("[lints]\nworkspace = true") {
            offenders.push(format!(
                "{}: `[lints] workspace = true` is missing",
                package.name
            ));
        }
        if package.name == "xtask" {
            continue;
        }
        let readme = std::fs::read_to_string(package.folder.join("README.md")).unwrap_or_default();
        if !says_something(&readme) {
            offenders.push(format!(
                "{}: README.md is missing, or has neither code nor three lines of text",
                package.name
            ));
        }
        if package.folder.file_name().unwrap().to_str() != Some(package.name.as_str())
            && !package.name.starts_with("ringlight-app-")
        {
            offenders.push(format!("{}: the folder has another name", package.name));
        }
        for target in package.manifest["targets"].as_array().unwrap() {
            let path = Path::new(target["src_path"].as_str().unwrap());
            let kind = target["kind"][0].as_str().unwrap();
            let source = read(path);
            if matches!(kind, "lib" | "bin") && module_doc(&source).is_empty() {
                offenders.push(format!("{}: no module documentation", path.display()));
            }
            if matches!(kind, "lib" | "bin")
                && !UNSAFE_CRATES.contains(&package.name.as_str())
                && !source.contains("#![forbid(unsafe_code)]")
            {
                offenders.push(format!(
                    "{}: `#![forbid(unsafe_code)]` is missing",
                    path.display()
                ));
            }
        }
    }
    assert_none("crates that break a rule", &offenders);
}

#[test]
fn sources_keep_the_rules() {
    // Assembled at run time, so that this file does not offend against itself.
    let forbidden = [
        (["#[ign", "ore"].concat(), "a test that is not run"),
        (
            ["#[al", "low("].concat(),
            "`#[expect(.., reason = \"..\")]` instead",
        ),
        (
            ["#![al", "low("].concat(),
            "`#![expect(.., reason = \"..\")]` instead",
        ),
        (["to", "do!("].concat(), "unfinished code"),
        (["unimpl", "emented!("].concat(), "unfinished code"),
        (["TO", "DO"].concat(), "unfinished work belongs in an issue"),
        (
            ["FIX", "ME"].concat(),
            "unfinished work belongs in an issue",
        ),
    ];
    let mut offenders = Vec::new();
    for path in files(&[".rs", ".ts", ".svelte"]) {
        let source = read(&path);
        for (number, line) in source.lines().enumerate() {
            for (text, why) in &forbidden {
                if line.contains(text.as_str()) {
                    offenders.push(format!(
                        "{}:{}: `{text}`: {why}",
                        path.display(),
                        number + 1
                    ));
                }
            }
        }
        let lines = source.lines().count();
        if path.extension().is_some_and(|e| e == "rs")
            && lines > 800
            && !module_doc(&source).contains("one piece")
        {
            offenders.push(format!(
                "{}: {lines} lines, and no word on why one piece",
                path.display()
            ));
        }
    }
    assert_none("lines that break a rule", &offenders);
}

#[test]
fn tasks_ask_cargo_where_the_target_folder_is() {
    let offenders: Vec<String> = files(&[".rs"])
        .into_iter()
        .filter(|path| path.starts_with(root().join("xtask/src")))
        .filter(|path| {
            ["\"target/", "\"target\""]
                .iter()
                .any(|text| read(path).contains(text))
        })
        .map(|path| path.display().to_string())
        .collect();
    assert_none("a target folder that may be elsewhere", &offenders);
}

/// Allocators that programs of the project choose in place of mimalloc: the source, and the type.
const OTHER_ALLOCATORS: &[(&str, &str)] = &[
    // These are compared with mimalloc, and what the system has.
    (
        "bench-compare/features/src/main.rs",
        "ringlight::RinglightAllocator",
    ),
    (
        "bench-compare/features/src/main.rs",
        "tikv_jemallocator::Jemalloc",
    ),
    (
        "bench-compare/pairs/src/bin/bench-allocations-system.rs",
        "Switched<System>",
    ),
    // It counts what each of the peers allocates, of the allocator that a service has which chooses none.
    ("bench-compare/src/main.rs", "meter::CountingAllocator"),
];

#[test]
fn binaries_and_benches_use_mimalloc_and_nothing_else_chooses() {
    let chosen = "#[global_allocator]\n#[cfg(test)]\nstatic A: Counted<mimalloc::MiMalloc> =\n    1;\n\
                  #[global_allocator]\nstatic B: System = System;\n// `#[global_allocator]`\n";
    let chosen = allocators(chosen);
    assert_eq!(chosen, ["Counted<mimalloc::MiMalloc>", "System"]);
    assert!(is_mimalloc(&chosen[0]) && !is_mimalloc("NotMiMalloc"));

    let (mut missing, mut offenders, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for path in files(&[".rs"]) {
        let chosen = allocators(&read(&path));
        let path = path.strip_prefix(root()).unwrap().display().to_string();
        // Tests and examples may count allocations; the tasks of the project are not the product.
        let is_free = |folder: &str| path.contains(folder);
        if path.starts_with("xtask/") || ["/tests/", "/examples/"].into_iter().any(is_free) {
            continue;
        }
        let is_in = |folder: &str| {
            path.rsplit_once('/')
                .is_some_and(|(of, _)| of.ends_with(folder))
        };
        let should = path.ends_with("/src/main.rs") || is_in("/src/bin") || is_in("/benches");
        match (should, chosen.is_empty()) {
            (true, true) => missing.push(path),
            (false, false) => offenders.push(path),
            _ => {
                let chosen = chosen.into_iter().filter(|kind| !is_mimalloc(kind));
                others.extend(chosen.map(|kind| (path.clone(), kind)));
            }
        }
    }
    assert_none("binary or bench without `#[global_allocator]`", &missing);
    assert_none("`#[global_allocator]` in a library", &offenders);
    let expected = OTHER_ALLOCATORS.iter();
    let expected = expected.map(|(path, kind)| ((*path).to_owned(), (*kind).to_owned()));
    assert_eq!(
        others,
        expected.collect::<Vec<_>>(),
        "those that are not mimalloc, on the left"
    );
}

#[test]
fn the_default_build_has_one_version_of_each_big_dependency() {
    let tree = output(
        env!("CARGO"),
        &[
            "tree",
            "--workspace",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ],
    );
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in tree.lines() {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(version)) = (words.next(), words.next()) {
            versions.entry(name).or_default().insert(version);
        }
    }
    for name in [
        "tokio", "tower", "hyper", "rustls", "prost", "tonic", "http",
    ] {
        let found = versions.get(name).map_or(0, BTreeSet::len);
        assert!(
            found <= 1,
            "{name} is built in {found} versions: {:?}",
            versions[name]
        );
    }
}

/// Asserts that the facade with these arguments of `cargo tree` brings none of these crates.
fn assert_facade_brings_none(args: &[&str], names: &[&str]) {
    let tree = ["tree", "--package", "ringlight", "--prefix", "none"];
    let tree = output(env!("CARGO"), &[&tree[..], args].concat());
    for name in names {
        let found = tree
            .lines()
            .any(|line| line.split_whitespace().next() == Some(name));
        assert!(!found, "`ringlight` depends on `{name}`");
    }
}

#[test]
fn a_service_never_compiles_the_backend() {
    assert_facade_brings_none(
        &["--edges", "normal", "--all-features"],
        &[
            "ringlight-store",
            "ringlight-server",
            "ringlight-ui",
            "rusqlite",
        ],
    );
    // The server of `tokio-console` is one of tonic's, which brings it.
    let features = "age,b3,clap,jaeger,otel-config,profiling-alloc,vault,zstd";
    assert_facade_brings_none(&["--edges", "normal", "--features", features], &["axum"]);
}

/// What `docs/benchmarks/compile-time.md` says was taken out of every service's build.
#[test]
fn by_default_a_service_compiles_no_zstd_serde_or_tonic() {
    assert_facade_brings_none(
        &["--edges", "normal,build"],
        &[
            "zstd-sys",
            "serde",
            "serde_core",
            "serde_json",
            "tonic",
            "tower",
        ],
    );
}

/// How many tests a text names, as `path#name`, and those of them that do not exist.
fn named_tests(text: &str) -> (usize, Vec<String>) {
    let is_test = |text: &&str| {
        [".rs#", ".py#", ".ts#"]
            .iter()
            .any(|ending| text.contains(ending))
    };
    let exists = |test: &&str| {
        let (path, name) = test.split_once('#').unwrap();
        let source = std::fs::read_to_string(root().join(path)).unwrap_or_default();
        has_test(path, &source, name)
    };
    let tests: Vec<&str> = text.split('`').filter(is_test).collect();
    let missing = tests.iter().copied().filter(|test| !exists(test));
    (tests.len(), missing.map(str::to_owned).collect())
}

/// Dependencies that no source names, each with what it is there for.
const UNNAMED_DEPENDENCIES: &[(&str, &str)] = &[];

/// Outside of tests a dependency is named where the crate itself is, in tests wherever the package has Rust.
#[test]
fn every_dependency_is_used() {
    assert!(names_crate("use log;\nfn f() {}", "log"));
    assert!(names_crate("fn f() { ::log::info!(1) }", "log"));
    assert!(!names_crate(
        "use crate::log::f; let log = a.log::<u8>(); logs::f()",
        "log"
    ));

    let sources: Vec<_> = files(&[".rs"])
        .into_iter()
        .map(|path| (read(&path), path))
        .collect();
    let mut offenders = Vec::new();
    for package in packages() {
        for dependency in package.manifest["dependencies"].as_array().unwrap() {
            let name = dependency["name"].as_str().unwrap();
            let folder = match dependency["kind"].as_str() {
                Some("dev") => package.folder.clone(),
                Some("build") => package.folder.join("build.rs"),
                _ => package.folder.join("src"),
            };
            let renamed = dependency["rename"].as_str().unwrap_or(name);
            let in_code = renamed.replace('-', "_");
            let mut of_package = sources.iter().filter(|(_, path)| path.starts_with(&folder));
            let is_used = of_package.any(|(source, _)| names_crate(source, &in_code));
            let is_excepted = UNNAMED_DEPENDENCIES.contains(&(&package.name, name));
            if is_used == is_excepted {
                let kind = dependency["kind"].as_str().unwrap_or("all builds");
                offenders.push(format!("{}: {name} ({kind})", package.name));
            }
        }
    }
    assert_none("dependencies that nothing uses", &offenders);
}

/// Public async functions of the applications that are no span.
const WITHOUT_SPAN: &[(&str, &str)] = &[
    // These last as long as the process: a span of theirs would be told at its end.
    ("apps/agent/src/app.rs", "run"),
    ("apps/agent/src/model.rs", "serve"),
    ("apps/harness/src/stop.rs", "requested"),
    ("apps/streaming/src/app.rs", "run"),
    // These are its beginning and its end, of which nothing else is part.
    ("apps/agent/src/agent.rs", "finish"),
    ("apps/agent/src/agent.rs", "start"),
    // It is asked for the same list at every step of a turn, which has a span.
    ("apps/agent/src/tools/mod.rs", "definitions"),
];

#[test]
fn public_async_functions_of_the_applications_are_spans() {
    let mut without = Vec::new();
    let mut count = 0;
    for path in files(&[".rs"]) {
        let Ok(path) = path.strip_prefix(root()) else {
            continue;
        };
        if !path.starts_with("apps") || !path.components().any(|part| part.as_os_str() == "src") {
            continue;
        }
        let source = read(&root().join(path));
        let lines: Vec<_> = source.lines().map(str::trim).collect();
        for (number, line) in lines.iter().enumerate() {
            let Some(rest) = line.strip_prefix("pub async fn ") else {
                continue;
            };
            count += 1;
            let above = lines[..number].iter().rev();
            let mut above = above.take_while(|line| !line.is_empty() && **line != "}");
            if !above.any(|line| line.starts_with("#[") && line.contains("instrument")) {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
                let name = &rest[..end.unwrap_or(rest.len())];
                without.push((path.to_str().unwrap().to_owned(), name.to_owned()));
            }
        }
    }
    assert!(count > WITHOUT_SPAN.len(), "none were found");
    without.sort();
    let mut expected: Vec<_> = WITHOUT_SPAN
        .iter()
        .map(|(path, name)| ((*path).to_owned(), (*name).to_owned()))
        .collect();
    expected.sort();
    assert_eq!(without, expected, "those that are no span, on the left");
}

#[test]
fn only_what_is_run_is_a_test() {
    let source = "fn helper() {}\n#[test]\nfn plain() {\n    helper();\n}\n/// It waits.\n\
                  #[cfg(test)]\n#[tokio::test(start_paused = true)]\nasync fn waiting() {}\n\n\
                  #[cfg(test)]\nfn unmarked() {}\n";
    for (name, is_test) in [
        ("plain", true),
        ("waiting", true),
        ("helper", false),
        ("unmarked", false),
        ("absent", false),
    ] {
        assert_eq!(has_test("a.rs", source, name), is_test, "{name}");
    }
}

/// Every invariant has its number, in order, and names the tests or models that hold it.
#[test]
fn invariants_are_numbered_and_name_tests_that_exist() {
    let page = read(&root().join("docs/invariants.md"));
    let mut offenders = Vec::new();
    let mut last = 0;
    for row in page.lines().filter(|line| line.starts_with("| I-")) {
        let id = row.split('|').nth(1).unwrap_or_default().trim();
        last += 1;
        if id != format!("I-{last}") {
            offenders.push(format!("{id} stands where I-{last} belongs"));
        }
        let (count, missing) = named_tests(row);
        offenders.extend(
            missing
                .iter()
                .map(|test| format!("{id}: `{test}` does not exist")),
        );
        if count == 0 {
            offenders.push(format!("{id} names no test"));
        }
    }
    if last == 0 {
        offenders.push("there are none".to_owned());
    }
    assert_none("rows of docs/invariants.md that are not true", &offenders);
}

/// Every row of the requirements is listed, with a state, and every test it names exists.
#[test]
fn requirements_name_tests_that_exist() {
    let page = read(&root().join("docs/requirements.md"));
    let ids = (1..=8).map(|n| format!("M-{n}"));
    let ids = ids.chain((1..=8).map(|n| format!("C-{n}")));
    let ids = ids.chain((1..=11).map(|n| format!("S-{n}")));
    let ids = ids.chain((1..=15).map(|n| format!("Z-{n}")));
    let mut offenders = Vec::new();
    for id in ids {
        let row = page
            .lines()
            .find(|line| line.starts_with(&format!("| {id} |")));
        let Some(row) = row else {
            offenders.push(format!("{id} has no row"));
            continue;
        };
        let state = row.split('|').nth(3).unwrap_or_default().trim();
        if !matches!(state, "done" | "in part" | "open") {
            offenders.push(format!(
                "{id}: `{state}` is not one of `done`, `in part`, `open`"
            ));
        }
        let (count, missing) = named_tests(row);
        offenders.extend(
            missing
                .iter()
                .map(|test| format!("{id}: `{test}` does not exist")),
        );
        if state == "done" && count == 0 {
            offenders.push(format!("{id} is done but names no test"));
        }
    }
    assert_none("rows of docs/requirements.md that are not true", &offenders);
}

/// Tests of known faults are named after them, and `docs/faults.md` lists exactly those.
#[test]
fn every_known_fault_has_a_test_that_names_it() {
    let page = read(&root().join("docs/faults.md"));
    let listed: BTreeSet<u32> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse().ok())
        .collect();
    let mut tested = BTreeSet::new();
    // As a function in Rust, as a name in the tests of the UI.
    for (ending, beginning) in [(".rs", "fn fault_"), (".ts", "test('fault_")] {
        for path in files(&[ending]) {
            for rest in read(&path).split(beginning).skip(1) {
                let number: String = rest.chars().take_while(char::is_ascii_digit).collect();
                tested.extend(number.parse::<u32>());
            }
        }
    }
    assert_eq!(
        listed, tested,
        "docs/faults.md on the left, tests on the right"
    );
}

#[test]
fn examples_in_markdown_compile_as_they_are_shown() {
    let example = "```rust\nfn main() {\n    # let a = 1;\n    #\n}\n```\n```rust,no_run\nrun();\n```\n\
                   ```toml\n# a comment\n```\n```rust\n#[test]\nfn main() {}\n```\n";
    let faults = ["3: a hidden line", "4: a hidden line", "7: no `fn main`"];
    assert_eq!(faults_of_examples(example), faults);

    let mut offenders = Vec::new();
    for path in files(&[".md"]) {
        let faults = faults_of_examples(&read(&path)).into_iter();
        offenders.extend(faults.map(|fault| format!("{}:{fault}", path.display())));
    }
    assert_none("examples that cannot be copied", &offenders);
}

#[test]
fn links_between_documents_resolve() {
    let page = "# The `a_b` of c, d\n\n```sh\n# no heading\n```\n## A [link](there.md) — on\n### The a_b of c, d\n\
                See [one](#first), [two](a.md#second \"2\") and [three](b/c.md), not [four](https://d).\n";
    let expected = ["a-link--on", "the-a_b-of-c-d", "the-a_b-of-c-d-1"];
    assert_eq!(anchors(page).iter().collect::<Vec<_>>(), expected);
    let expected = [
        ("there.md", None),
        ("", Some("first")),
        ("a.md", Some("second")),
        ("b/c.md", None),
    ];
    assert_eq!(links(page), expected);

    let mut offenders = Vec::new();
    for path in files(&[".md"]) {
        let text = read(&path);
        for (target, anchor) in links(&text) {
            let to = match target {
                "" => path.clone(),
                _ => path.parent().unwrap().join(target),
            };
            let is_there = || {
                let anchor = anchor.filter(|_| target.is_empty() || target.ends_with(".md"));
                anchor.is_none_or(|anchor| anchors(&read(&to)).contains(anchor))
            };
            if !to.exists() || !is_there() {
                let anchor = anchor.map(|anchor| format!("#{anchor}"));
                let anchor = anchor.unwrap_or_default();
                offenders.push(format!("{}: {target}{anchor}", path.display()));
            }
        }
    }
    assert_none("links that lead nowhere", &offenders);
}
