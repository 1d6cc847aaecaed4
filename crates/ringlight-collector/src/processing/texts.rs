//! What takes the place of a text.

use std::ops::Range;

use regex::{Regex, RegexSet, RegexSetBuilder};

use super::detect::{self, Scanner};
use super::redaction::{EXPRESSION_BYTES_MAX, PatternRule, Redaction, SensitiveData};
use super::replacement::Replacement;
use super::rules::Counts;

/// A word at the end of a text that was cut is left out unless it is longer: then what it is shows from its
/// beginning, if it is anything.
const CUT_WORD_BYTES_MAX: usize = 256;

/// Whole numbers from here on may be those of cards.
const CARD_MIN: u64 = 1_000_000_000_000;

/// Rules that look into texts.
pub(super) struct Texts {
    known: Vec<(&'static Scanner, Rule)>,
    patterns: Vec<(Regex, Rule)>,
    /// Says at once that none of the patterns has a match.
    any_pattern: Option<RegexSet>,
    /// The smallest number that is looked at.
    number_min: u64,
}

/// What takes the place of what is found, and where that is counted.
struct Rule {
    replacement: Replacement,
    count: usize,
}

/// Something that was found.
struct Found<'a> {
    place: Range<usize>,
    rule: &'a Rule,
}

impl Texts {
    pub(super) fn new(redaction: &Redaction, counts: &mut Counts) -> Self {
        let mut texts = Self {
            known: Vec::new(),
            patterns: Vec::new(),
            any_pattern: None,
            number_min: u64::MAX,
        };
        for (data, replacement) in &redaction.data {
            for scanner in detect::scanners(*data) {
                let rule = Rule {
                    replacement: replacement.clone(),
                    count: counts.index(data.as_str()),
                };
                texts.known.push((scanner, rule));
            }
            if *data == SensitiveData::CardNumbers {
                texts.number_min = CARD_MIN;
            }
        }
        for rule in &redaction.patterns {
            texts.number_min = 0;
            let count = counts.index(&format!("pattern {}", rule.name));
            let replacement = rule.replacement.clone();
            let found = Rule { replacement, count };
            texts.patterns.push((rule.expression.clone(), found));
        }
        texts.any_pattern = any_of(&redaction.patterns);
        texts
    }

    /// Whether something may be found in a text, by a look at its bytes.
    #[inline]
    pub(super) fn may_be_in(&self, text: &[u8]) -> bool {
        if !self.patterns.is_empty() {
            return true;
        }
        if text.len() < detect::TEXT_BYTES_MIN || self.known.is_empty() {
            return false;
        }
        let classes = detect::classes_of(text);
        let mut known = self.known.iter();
        known.any(|(scanner, _)| scanner.may_find(text.len(), classes))
    }

    /// Whether a number is looked into.
    #[inline]
    pub(super) const fn may_be_number(&self, number: u64) -> bool {
        number >= self.number_min
    }

    /// Whether there are no rules.
    const fn is_empty(&self) -> bool {
        self.known.is_empty() && self.patterns.is_empty()
    }

    /// What takes the place of a text that may have been cut; `None` where that is the text itself. How often
    /// each rule replaced something is counted if `counts` are given.
    pub(super) fn replaced(
        &self,
        text: &str,
        is_cut: bool,
        counts: Option<&Counts>,
    ) -> Option<String> {
        let looked_at = if is_cut && !self.is_empty() {
            whole_words(text)
        } else {
            text
        };
        let found = self.found(looked_at);
        if found.is_empty() {
            return (looked_at.len() < text.len()).then(|| looked_at.to_owned());
        }
        let mut out = String::with_capacity(looked_at.len());
        let mut end = 0;
        for Found { place, rule } in found {
            out.push_str(&looked_at[end..place.start]);
            let secret = &looked_at[place.clone()];
            rule.replacement.push(&mut out, secret.as_bytes());
            if let Some(counts) = counts {
                counts.add(rule.count);
            }
            end = place.end;
        }
        out.push_str(&looked_at[end..]);
        Some(out)
    }

    /// What takes the place of a number, if something does.
    pub(super) fn of_number(
        &self,
        number: u64,
        is_negative: bool,
        counts: Option<&Counts>,
    ) -> Option<String> {
        if !self.may_be_number(number) {
            return None;
        }
        let sign = if is_negative { "-" } else { "" };
        self.replaced(&format!("{sign}{number}"), false, counts)
    }

    /// Bytes as the text they may be; `None` where nothing is found in them.
    pub(super) fn of_bytes(
        &self,
        bytes: &[u8],
        is_cut: bool,
        counts: Option<&Counts>,
    ) -> Option<String> {
        self.replaced(&String::from_utf8_lossy(bytes), is_cut, counts)
    }

    /// Everything that is found, in order, without overlaps.
    fn found(&self, text: &str) -> Vec<Found<'_>> {
        let mut found = Vec::new();
        if text.len() >= detect::TEXT_BYTES_MIN && !self.known.is_empty() {
            self.find_known(text, &mut found);
        }
        let has_patterns = !self.patterns.is_empty();
        if has_patterns
            && self
                .any_pattern
                .as_ref()
                .is_none_or(|any| any.is_match(text))
        {
            for (expression, rule) in &self.patterns {
                find(expression, rule, text, &mut found);
            }
        }
        if found.len() > 1 {
            found.sort_by_key(|found| (found.place.start, usize::MAX - found.place.end));
            found.dedup_by(|later, kept| {
                let overlaps = later.place.start < kept.place.end;
                if overlaps {
                    kept.place.end = kept.place.end.max(later.place.end);
                }
                overlaps
            });
        }
        found
    }

    fn find_known<'a>(&'a self, text: &str, found: &mut Vec<Found<'a>>) {
        let classes = detect::classes_of(text.as_bytes());
        for (scanner, rule) in &self.known {
            if scanner.may_find(text.len(), classes) {
                scanner.find(text, |place| found.push(Found { place, rule }));
            }
        }
    }
}

/// Adds what a pattern finds: its first group that takes part, or all of it if it has none.
fn find<'a>(expression: &Regex, rule: &'a Rule, text: &str, found: &mut Vec<Found<'a>>) {
    // Which groups take part costs far more to tell than whether there is a match.
    if !expression.is_match(text) {
        return;
    }
    for captures in expression.captures_iter(text) {
        if let Some(group) = captures.iter().flatten().nth(1).or(captures.get(0))
            && !group.is_empty()
        {
            let place = group.range();
            found.push(Found { place, rule });
        }
    }
}

/// All patterns in one, if they are not too large together; each is searched for by itself then.
fn any_of(patterns: &[PatternRule]) -> Option<RegexSet> {
    let expressions = patterns.iter().map(|rule| rule.expression.as_str());
    let set = RegexSetBuilder::new(expressions)
        .size_limit(EXPRESSION_BYTES_MAX)
        .dfa_size_limit(EXPRESSION_BYTES_MAX)
        .build();
    set.ok().filter(|_| patterns.len() > 1)
}

/// What of a text that was cut ends before the cut: the last word, or a number in groups, may be the beginning of
/// something that only its end would show for what it is.
fn whole_words(text: &str) -> &str {
    let before = text.trim_end_matches(|c: char| !c.is_whitespace());
    let kept = if text.len() - before.len() <= CUT_WORD_BYTES_MAX {
        before
    } else {
        text
    };
    kept.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' ' || c == '-')
}
