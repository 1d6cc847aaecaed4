//! Which spans and events are recorded: `RUST_LOG`.

use tracing_core::{LevelFilter, Metadata};
use tracing_subscriber::filter::Targets;

/// Directives such as `info,my_crate=debug,hyper=off`: a level for everything, and levels for
/// targets that begin with a path.
///
/// Decided once a callsite: what is filtered out costs the application a load and a branch.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    targets: Targets,
    max_level: LevelFilter,
}

/// A directive that was not understood; the others hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadDirective {
    pub(crate) directive: String,
    pub(crate) reason: String,
}

impl Filter {
    /// Reads directives separated by commas. Without any, `info` and above is recorded.
    pub(crate) fn parse(text: &str) -> (Self, Vec<BadDirective>) {
        let mut targets = Targets::new();
        let mut bad = Vec::new();
        let mut any = false;
        for directive in directives(text) {
            let parsed = if directive.contains(['[', ']', '{', '}']) {
                // `Targets` takes some of these and does nothing about them.
                Err("it cannot choose by span or field".to_owned())
            } else {
                directive
                    .parse::<Targets>()
                    .map_err(|error| error.to_string())
            };
            match parsed {
                Ok(parsed) => {
                    any = true;
                    if let Some(level) = parsed.default_level() {
                        targets = targets.with_default(level);
                    }
                    targets = targets.with_targets(parsed);
                }
                Err(reason) => bad.push(BadDirective {
                    directive: directive.to_owned(),
                    reason,
                }),
            }
        }
        if !any {
            targets = targets.with_default(LevelFilter::INFO);
        }
        let max_level = targets
            .iter()
            .map(|(_, level)| level)
            .chain(targets.default_level())
            .max()
            .unwrap_or(LevelFilter::OFF);
        (Self { targets, max_level }, bad)
    }

    /// Whether anything from such a callsite is recorded.
    pub(crate) fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= self.max_level
            && self
                .targets
                .would_enable(metadata.target(), metadata.level())
    }

    /// The most verbose level of all directives.
    pub(crate) const fn max_level(&self) -> LevelFilter {
        self.max_level
    }
}

/// What is separated by commas, other than those in brackets. A bracket that is never closed holds
/// nothing together, so that it spoils no directive but its own.
fn directives(text: &str) -> impl Iterator<Item = &str> {
    let mut parts = Vec::new();
    let (mut start, mut depth) = (0, 0_usize);
    for (at, c) in text.char_indices() {
        match c {
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    let last = &text[start..];
    if depth == 0 {
        parts.push(last);
    } else {
        parts.extend(last.split(','));
    }
    parts
        .into_iter()
        .map(str::trim)
        .filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use tracing_core::Level;

    use super::*;

    #[test]
    fn directives_choose_by_target_and_level() {
        let check = |text: &str, target: &str, level: Level, expected: bool| {
            let (filter, bad) = Filter::parse(text);
            assert_eq!(bad, []);
            let enabled = level <= filter.max_level && filter.targets.would_enable(target, &level);
            assert_eq!(enabled, expected, "{text}: {target} {level}");
        };
        check("", "any", Level::INFO, true);
        check("", "any", Level::DEBUG, false);
        check("debug", "any", Level::DEBUG, true);
        check("warn,mine=trace", "mine::deep", Level::TRACE, true);
        check("warn,mine=trace", "other", Level::INFO, false);
        check("info,hyper=off", "hyper::client", Level::ERROR, false);
        check("off", "any", Level::ERROR, false);
        check("mine=debug", "other", Level::ERROR, false);
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
}
