//! With the feature `profiling` off, nothing of a span is in a binary, and nothing of any feature that is off.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;

use serde_json::Value;

/// The names given in `ringlight-instrumented`: of the spans, a target and a field.
const NAMES: [&str; 6] = [
    "span-of-a-method",
    "span-of-a-function",
    "span-of-an-async-function",
    "span-of-a-boxed-future",
    "target-of-a-function",
    "field_of_a_method",
];

/// The names that `tracing` gives the static that is a callsite, and the one in it with its metadata.
const CALLSITE: &str = "__CALLSITE";
const METADATA: &str = "META";

/// What the feature `profiling` brings, as it is in symbols, however those are mangled: of a module its path, each part behind
/// its length.
const OF_PROFILING: [&str; 6] = [
    "ringlight_context",
    "ringlight_tracefile",
    "9ringlight7channel4wait",
    "9ringlight7channel6counts",
    "9ringlight7process",
    "9ringlight7runtime",
];

/// What the features bring that are on by default.
const OF_DEFAULTS: [&str; 7] = [
    "ringlight_export",
    "ringlight_secrets",
    "13opentelemetry",
    "17opentelemetry_sdk",
    "9ringlight10log_bridge",
    "9ringlight4otel",
    "9ringlight5lines",
];

/// What it takes both of these for.
const OF_BOTH: [&str; 2] = ["9ringlight7metrics7process", "9ringlight7metrics8channels"];

/// What other features bring.
const OF_OTHERS: [&str; 3] = [
    "console_subscriber",
    "ringlight_alloc",
    "9ringlight7metrics10prometheus",
];

/// Builds the program, optimized as this says, and gives the texts of the binary with its symbols.
///
/// What it depends on is built as for every other test, and so has mostly been built already: nothing of it is looked
/// for. All of it is in the lock file.
fn build(features: &str, opt_level: u8) -> String {
    // All of them have one place.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock();
    let profile = "profile.dev.package.ringlight-instrumented.opt-level";
    let output = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--locked", "--config"])
        .arg(format!("{profile}={opt_level}"))
        .args(["--config", "profile.dev.strip=false"])
        .args(["--package", "ringlight-instrumented"])
        .args(["--features", features, "--message-format", "json"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let text = String::from_utf8(output.stdout).unwrap();
    let messages = text.lines().map(|line| line.parse::<Value>().unwrap());
    let binary = messages
        .filter_map(|message| message["executable"].as_str().map(PathBuf::from))
        .next_back()
        .unwrap();
    // The functions give the same either way.
    let code = Command::new(&binary).status().unwrap().code();
    assert_eq!(code, Some(3 + 4 + 8 + 16));
    String::from_utf8_lossy(&std::fs::read(binary).unwrap()).into_owned()
}

/// How many callsites the program itself has by its symbols, not what it depends on.
fn callsites(binary: &str) -> usize {
    let names = binary.split('\0');
    let is_it = |name: &&str| {
        let is_callsite = name.contains(CALLSITE) && !name.contains(METADATA);
        is_callsite && name.contains("ringlight_instrumented")
    };
    names.filter(is_it).collect::<BTreeSet<_>>().len()
}

/// What the compiler does not optimize is as it was written: if something is not there then, it is in no other
/// build. Optimized is what a service ships.
#[test]
fn off_nothing_of_a_span_is_in_the_binary() {
    for opt_level in [0, 3] {
        let on = build("profiling", opt_level);
        // Else the search would find nothing anywhere.
        for name in NAMES {
            assert!(on.contains(name), "`{name}` is not there when it is on");
        }
        // One for each span, and one each for `ret` and `err`.
        assert_eq!(callsites(&on), 6, "on, at level {opt_level}");

        for features in ["", "defaults"] {
            let off = build(features, opt_level);
            for name in NAMES {
                assert!(!off.contains(name), "`{name}` is there with `{features}`");
            }
            assert_eq!(callsites(&off), 0, "`{features}`, at level {opt_level}");
        }
    }
}

/// In code that is not optimized, which leaves out no more than what nothing leads to.
#[test]
fn nothing_of_a_feature_that_is_off_is_in_the_binary() {
    let names: [(&str, &[&str]); 4] = [
        ("profiling", &OF_PROFILING),
        ("defaults", &OF_DEFAULTS),
        ("both", &OF_BOTH),
        ("others", &OF_OTHERS),
    ];
    for (features, brought) in [
        ("", &[][..]),
        ("profiling", &["profiling"]),
        ("defaults", &["defaults"]),
        ("defaults,profiling", &["defaults", "profiling", "both"]),
        ("everything", &["defaults", "profiling", "both", "others"]),
    ] {
        let binary = build(features, 0);
        for (of, names) in names {
            for name in names {
                let is_there = binary.contains(name);
                assert_eq!(
                    is_there,
                    brought.contains(&of),
                    "`{name}` with `{features}`"
                );
            }
        }
    }
}
