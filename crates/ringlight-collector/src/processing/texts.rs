//! What takes the place of a text.

use std::ops::Range;

use regex::{Regex, RegexSet, RegexSetBuilder, bytes};

use super::detect::{self, CARD_DIGITS_MIN, class};
use super::redaction::{EXPRESSION_BYTES_MAX, PatternRule, Redaction, SensitiveData};
use super::replacement::{HASH_START, MASK, Replacement};
use super::rules::Counts;
use super::standard;

/// Texts shorter than this have nothing of what is known in them.
const KNOWN_BYTES_MIN: usize = 5;

/// A word at the end of a text that was cut is left out unless it is longer: then what it is shows from its
/// beginning, if it is anything.
const CUT_WORD_BYTES_MAX: usize = 256;

/// Whole numbers from here on may be those of cards.
const CARD_MIN: u64 = 1_000_000_000_000;

/// Rules that look into texts.
pub(super) struct Texts {
    cards: Option<Rule>,
    known: Vec<Known>,
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

/// An expression of our own, and what a text must have for it to be worth a search.
///
/// It goes by bytes, of which those above 127 are part of what is looked for or in no class at all: so it finds
/// whole characters, and is made ready in a tenth of the time that Unicode takes.
struct Known {
    expression: bytes::Regex,
    rule: Rule,
    bytes_min: usize,
    /// One class of each of these at least.
    needs: &'static [u8],
    is_real: fn(&[u8]) -> bool,
}

impl Known {
    #[inline]
    fn may_be_in(&self, len_bytes: usize, classes: u8) -> bool {
        len_bytes >= self.bytes_min && self.needs.iter().all(|any| classes & any != 0)
    }
}

/// Something that was found.
struct Found<'a> {
    place: Range<usize>,
    rule: &'a Rule,
}

impl Texts {
    pub(super) fn new(redaction: &Redaction, counts: &mut Counts) -> Self {
        let mut texts = Self {
            cards: None,
            known: Vec::new(),
            patterns: Vec::new(),
            any_pattern: None,
            number_min: u64::MAX,
        };
        for (data, replacement) in &redaction.data {
            let rule = || Rule {
                replacement: replacement.clone(),
                count: counts.index(data.as_str()),
            };
            texts.add_known(*data, rule);
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

    fn add_known(&mut self, data: SensitiveData, mut rule: impl FnMut() -> Rule) {
        use class::{AT, COLON, DIGIT, EQUALS, JOINER, PERCENT, SPACE, UPPER};
        let mut known = |expression, bytes_min, needs, is_real| {
            self.known
                .extend(built_in(expression).map(|expression| Known {
                    expression,
                    rule: rule(),
                    bytes_min,
                    needs,
                    is_real,
                }));
        };
        match data {
            SensitiveData::CardNumbers => {
                self.cards = Some(rule());
                self.number_min = self.number_min.min(CARD_MIN);
            }
            SensitiveData::Tokens => {
                const SCHEME: &[u8] = &[SPACE | COLON | PERCENT];
                const TOKEN: &[u8] = &[DIGIT | UPPER | JOINER];
                known(standard::BEARERS, 15, SCHEME, is_not_replaced);
                known(standard::BASICS, 14, SCHEME, is_encoded);
                known(standard::TOKENS, 13, TOKEN, |_| true);
            }
            SensitiveData::Emails => known(standard::EMAILS, 6, &[AT | PERCENT], |_| true),
            SensitiveData::Credentials => {
                known(standard::ASSIGNMENTS, 5, &[EQUALS | COLON], is_not_replaced);
                known(standard::URL_PASSWORDS, 6, &[AT, COLON], is_not_replaced);
            }
        }
    }

    /// Whether something may be found in a text, by a look at its bytes.
    #[inline]
    pub(super) fn may_be_in(&self, text: &[u8]) -> bool {
        if !self.patterns.is_empty() {
            return true;
        }
        if text.len() < KNOWN_BYTES_MIN || self.is_empty() {
            return false;
        }
        let classes = detect::classes_of(text);
        let may_be_card = self.cards.is_some() && may_be_card(text.len(), classes);
        may_be_card || (self.known.iter()).any(|known| known.may_be_in(text.len(), classes))
    }

    /// Whether a number is looked into.
    #[inline]
    pub(super) const fn may_be_number(&self, number: u64) -> bool {
        number >= self.number_min
    }

    /// Whether there are no rules.
    const fn is_empty(&self) -> bool {
        self.cards.is_none() && self.known.is_empty() && self.patterns.is_empty()
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
        if text.len() >= KNOWN_BYTES_MIN && (self.cards.is_some() || !self.known.is_empty()) {
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
        if let Some(rule) = &self.cards
            && may_be_card(text.len(), classes)
        {
            detect::cards(text.as_bytes(), |start, end| {
                let place = start..end;
                found.push(Found { place, rule });
            });
        }
        for known in &self.known {
            if known.may_be_in(text.len(), classes) {
                known.find(text, found);
            }
        }
    }
}

impl Known {
    fn find<'a>(&'a self, text: &str, found: &mut Vec<Found<'a>>) {
        let (expression, rule) = (&self.expression, &self.rule);
        // Which groups take part costs far more to tell than whether there is a match.
        if !expression.is_match(text.as_bytes()) {
            return;
        }
        for captures in expression.captures_iter(text.as_bytes()) {
            if let Some(group) = captures.iter().flatten().nth(1).or(captures.get(0))
                && (self.is_real)(group.as_bytes())
            {
                let start = text.floor_char_boundary(group.start());
                let place = start..text.ceil_char_boundary(group.end());
                found.push(Found { place, rule });
            }
        }
    }
}

fn may_be_card(len_bytes: usize, classes: u8) -> bool {
    len_bytes >= CARD_DIGITS_MIN && classes & class::DIGIT != 0
}

/// Adds what a pattern finds: its first group that takes part, or all of it if it has none.
fn find<'a>(expression: &Regex, rule: &'a Rule, text: &str, found: &mut Vec<Found<'a>>) {
    // As above.
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

/// One of our own expressions. That they can be built is what a test makes sure of.
fn built_in(expression: &str) -> Option<bytes::Regex> {
    let built = bytes::RegexBuilder::new(expression)
        .unicode(false)
        .size_limit(EXPRESSION_BYTES_MAX)
        .dfa_size_limit(EXPRESSION_BYTES_MAX)
        .build();
    debug_assert!(built.is_ok(), "{built:?}");
    built.ok()
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

/// Whether it is not what a rule has put there, so that replacing again changes nothing.
fn is_not_replaced(text: &[u8]) -> bool {
    let quotes = text
        .iter()
        .take_while(|byte| matches!(byte, b'"' | b'\'' | b'\\'));
    let text = &text[quotes.count()..];
    // A value that is not in quotes ends before the bracket.
    let mask = MASK.trim_end_matches(']');
    !text.starts_with(mask.as_bytes()) && !text.starts_with(HASH_START.as_bytes())
}

/// Whether it is more than a word of a sentence about basic authentication.
fn is_encoded(text: &[u8]) -> bool {
    text.iter().skip(1).any(|byte| !byte.is_ascii_lowercase())
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
