//! Which spans and events are recorded: `RUST_LOG`, and what single outputs want instead.

mod choice;
mod outputs;

#[cfg(test)]
mod tests;

pub(crate) use choice::{Choice, LOG_CALLSITE, LOG_TARGET};
pub use outputs::Output;
pub(crate) use outputs::{AUDIT_LEVEL, Filters, is_audit};

use tracing_core::{Level, LevelFilter, Metadata};
use tracing_subscriber::filter::Targets;

/// Directives such as `info,my_crate=debug,hyper=off`: a level for everything, and levels for
/// targets that begin with a path.
///
/// Decided once a callsite: what is filtered out costs the application a load and a branch.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Filter {
    targets: Targets,
    max_level: LevelFilter,
}

/// The target of panics.
pub(crate) const PANIC_TARGET: &str = "panic";

/// What a directive may be.
pub(crate) const ALLOWED: &str = "write `level`, `target` or `target=level`, for instance \
                                  `info,my_crate=debug`; levels are `off`, `error`, `warn`, \
                                  `info`, `debug` and `trace`";

/// A directive that was not understood; the others hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadDirective {
    pub(crate) directive: String,
    pub(crate) reason: String,
}

impl Filter {
    /// Reads directives separated by commas. Without any, `info` and above is recorded.
    #[cfg(test)]
    pub(crate) fn parse(text: &str) -> (Self, Vec<BadDirective>) {
        let (filter, bad) = Self::parse_any(text);
        (filter.unwrap_or_default(), bad)
    }

    /// Reads directives separated by commas; `None` if there are none.
    pub(crate) fn parse_any(text: &str) -> (Option<Self>, Vec<BadDirective>) {
        let mut targets = Targets::new();
        let mut bad = Vec::new();
        let mut any = false;
        for directive in directives(text) {
            let parsed = if directive.contains(['[', ']', '{', '}']) {
                // `Targets` takes some of these and does nothing about them.
                Err("it cannot choose by span or field".to_owned())
            } else if let Some(level) = meant_level(directive) {
                Err(format!(
                    "it is no level, was `{level}` meant? A target of that name is written `{directive}=trace`"
                ))
            } else {
                directive
                    .parse::<Targets>()
                    .map_err(|error| no_level(directive).unwrap_or_else(|| error.to_string()))
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
        let max_level = targets
            .iter()
            .map(|(_, level)| level)
            .chain(targets.default_level())
            .max()
            .unwrap_or(LevelFilter::OFF);
        (any.then_some(Self { targets, max_level }), bad)
    }

    /// Reads directives none of which may be bad; `None` if there are none.
    pub(crate) fn parse_strictly(text: &str) -> Result<Option<Self>, BadDirective> {
        let (filter, bad) = Self::parse_any(text);
        match bad.into_iter().next() {
            Some(bad) => Err(bad),
            None => Ok(filter),
        }
    }

    /// Whether anything from such a callsite is recorded.
    pub(crate) fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.takes(metadata.target(), *metadata.level())
    }

    /// The same by what is looked at. Where there are directives for single targets alone, none of which is about
    /// panics, those are recorded: nobody thinks of them in `my_crate=debug`.
    pub(crate) fn takes(&self, target: &str, level: Level) -> bool {
        level <= self.max_level
            && (self.targets.would_enable(target, &level)
                || target == PANIC_TARGET && self.says_nothing_of_panics())
    }

    fn says_nothing_of_panics(&self) -> bool {
        let mut targets = self.targets.iter();
        self.targets.default_level().is_none()
            && !targets.any(|(target, _)| PANIC_TARGET.starts_with(target))
    }

    /// The most verbose level of all directives.
    pub(crate) const fn max_level(&self) -> LevelFilter {
        self.max_level
    }
}

impl Default for Filter {
    /// `info` and above.
    fn default() -> Self {
        Self {
            targets: Targets::new().with_default(LevelFilter::INFO),
            max_level: LevelFilter::INFO,
        }
    }
}

/// What is wrong with the level of a target, if that is what is wrong with a directive.
fn no_level(directive: &str) -> Option<String> {
    let (_, level) = directive.rsplit_once('=')?;
    let level = level.trim();
    if level.parse::<LevelFilter>().is_ok() {
        return None;
    }
    Some(match slip_of_level(&level.to_ascii_lowercase()) {
        Some(meant) => format!("`{level}` is no level, was `{meant}` meant?"),
        None => format!("`{level}` is no level"),
    })
}

const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// The level that a single word is meant to be which is almost one. As a target, which it would be
/// otherwise, it would have nothing else recorded.
fn meant_level(directive: &str) -> Option<&'static str> {
    let word = directive.to_ascii_lowercase();
    if LEVELS.contains(&word.as_str()) {
        return None;
    }
    match word.as_str() {
        // Almost levels, and what crates and modules are called.
        "warp" | "tracer" | "traces" | "errors" => None,
        word => slip_of_level(word),
    }
}

/// The level that a word in lower case is almost.
fn slip_of_level(word: &str) -> Option<&'static str> {
    match word {
        "warning" => Some("warn"),
        "err" => Some("error"),
        _ => LEVELS
            .into_iter()
            .find(|level| is_slip(word.as_bytes(), level.as_bytes())),
    }
}

/// Whether a word became another one by a slip of the finger behind its first letter: a letter too many, one too few, a wrong one, or two
/// that changed places.
fn is_slip(word: &[u8], other: &[u8]) -> bool {
    let same = word.iter().zip(other).take_while(|(a, b)| a == b).count();
    let (word, other) = (&word[same..], &other[same..]);
    same > 0
        && match (word, other) {
            ([_, rest @ ..], _) if rest == other => true,
            (_, [_, rest @ ..]) if rest == word => true,
            ([_, word @ ..], [_, other @ ..]) if word == other => true,
            ([a, b, word @ ..], [c, d, other @ ..]) => (a, b) == (d, c) && word == other,
            _ => false,
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
