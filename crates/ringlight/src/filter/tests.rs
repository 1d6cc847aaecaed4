use tracing_core::Level;

use super::*;

#[test]
fn directives_choose_by_target_and_level() {
    let check = |text: &str, target: &str, level: Level, expected: bool| {
        let (filter, bad) = Filter::parse(text);
        assert_eq!(bad, []);
        assert_eq!(
            filter.takes(target, level),
            expected,
            "{text}: {target} {level}"
        );
    };
    check("", "any", Level::INFO, true);
    check("", "any", Level::DEBUG, false);
    check("debug", "any", Level::DEBUG, true);
    check("warn,mine=trace", "mine::deep", Level::TRACE, true);
    check("warn,mine=trace", "other", Level::INFO, false);
    check("info,hyper=off", "hyper::client", Level::ERROR, false);
    check("off", "any", Level::ERROR, false);
    check("mine=debug", "other", Level::ERROR, false);
    check("mine=debug", "panic", Level::ERROR, true);
    check("mine=debug", "panicky", Level::ERROR, false);
    check("mine=debug,panic=off", "panic", Level::ERROR, false);
    check("mine=off", "panic", Level::ERROR, false);
    check("off,mine=debug", "panic", Level::ERROR, false);
    check(" mine=debug , ", "mine", Level::DEBUG, true);
}

#[test]
fn a_bad_directive_leaves_the_others() {
    let (filter, bad) = Filter::parse("info,mine=loud,other=debug");
    assert_eq!(bad.len(), 1);
    assert_eq!(bad[0].directive, "mine=loud");
    assert_eq!(filter.max_level(), LevelFilter::DEBUG);
}

#[test]
fn what_chooses_by_span_or_field_is_not_taken_silently() {
    let check = |text: &str, expected: &[&str]| {
        let (filter, bad) = Filter::parse(text);
        let bad: Vec<_> = bad.iter().map(|bad| bad.directive.as_str()).collect();
        assert_eq!(bad, expected);
        assert_eq!(filter.max_level(), LevelFilter::ERROR);
    };
    let span = "my_service[handle]=info";
    check("error,my_service[handle]=info", &[span]);
    check(
        "error,[handle],[{a=1,b=2}]=debug",
        &["[handle]", "[{a=1,b=2}]=debug"],
    );
    check(
        "my_service[{order_id}]=debug, error",
        &["my_service[{order_id}]=debug"],
    );
}

#[test]
fn an_unclosed_bracket_spoils_only_its_own_directive() {
    let check = |text: &str, expected: &str, max_level: LevelFilter| {
        let (filter, bad) = Filter::parse(text);
        let bad: Vec<_> = bad.iter().map(|bad| bad.directive.as_str()).collect();
        assert_eq!(bad, [expected]);
        assert_eq!(filter.max_level(), max_level);
    };
    check(
        "info,mine[req=debug,other=trace",
        "mine[req=debug",
        LevelFilter::TRACE,
    );
    check("mine[x,warn", "mine[x", LevelFilter::WARN);
    check(
        "warn,mine[{a=1]=debug",
        "mine[{a=1]=debug",
        LevelFilter::WARN,
    );
    check(
        "warn,mine]=trace,other=debug",
        "mine]=trace",
        LevelFilter::DEBUG,
    );
}

#[test]
fn nothing_but_bad_directives_means_the_default() {
    let (filter, bad) = Filter::parse("mine=loud");
    assert_eq!(bad.len(), 1);
    assert_eq!(filter.max_level(), LevelFilter::INFO);
}

#[test]
fn a_slip_of_the_finger_is_no_target() {
    for (word, level) in [
        ("inof", "info"),
        ("Inof", "info"),
        ("infos", "info"),
        ("debg", "debug"),
        ("wrn", "warn"),
        ("warm", "warn"),
        ("warning", "warn"),
        ("eror", "error"),
        ("tarce", "trace"),
    ] {
        let (filter, bad) = Filter::parse_any(word);
        assert!(filter.is_none());
        let [bad] = &bad[..] else {
            panic!("{word}: {bad:?}");
        };
        assert!(bad.reason.contains(&format!("`{level}`")), "{}", bad.reason);
        assert!(bad.reason.contains(&format!("`{word}=trace`")));
        assert!(Filter::parse_strictly(&format!("{word}=trace")).is_ok());
    }
    for target in [
        "my_crate", "hyper", "inform", "warp", "tracer", "bug", "race", "in", "INFO", "Warn", "0",
        "5",
    ] {
        let (filter, bad) = Filter::parse_any(target);
        assert!(filter.is_some() && bad.is_empty(), "{target}: {bad:?}");
    }
}

#[test]
fn a_slip_in_the_level_of_a_target_is_told_as_one() {
    let check = |directive: &str, expected: &str| {
        let (filter, bad) = Filter::parse_any(directive);
        assert!(filter.is_none());
        assert_eq!(bad[0].reason, expected, "{directive}");
    };
    check("shop=debg", "`debg` is no level, was `debug` meant?");
    check("shop=Warning", "`Warning` is no level, was `warn` meant?");
    check(
        "shop::db = traces",
        "`traces` is no level, was `trace` meant?",
    );
    check("shop=loud", "`loud` is no level");
    // The level is right, and something else is not.
    let (_, bad) = Filter::parse_any("a=b=info");
    assert!(!bad[0].reason.contains("is no level"), "{bad:?}");
}
