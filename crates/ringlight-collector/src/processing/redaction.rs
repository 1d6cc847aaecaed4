//! Rules for what is secret or personal.

use std::borrow::Cow;

use regex::{Regex, RegexBuilder};

use super::replacement::Replacement;
use super::standard::KEYS;

/// Bytes an expression may take when it is ready, and as much for what it remembers while it searches.
pub(super) const EXPRESSION_BYTES_MAX: usize = 1 << 20;

/// What is secret or personal in records, and what takes its place. Off unless it is given to a pipeline.
///
/// There are two kinds of rules. One goes by the key of an attribute, and replaces its value, whatever that is. The
/// other looks into texts, wherever they are (attributes, names of spans and of their events, status and panic
/// messages, log messages, the resource), and replaces what it finds there. For keys, the rule that was added
/// last decides; what several of the others find in a text goes by the one that found the beginning.
///
/// ```
/// use ringlight_collector::{HashKey, Redaction, RedactionError, Replacement, SensitiveData};
///
/// let key = HashKey::new("from a secret store, the same in all services")?;
/// let redaction = Redaction::standard()
///     // Users can be told apart, but not be known.
///     .key("user.id", Replacement::Hash(key.clone()))
///     .data(SensitiveData::Emails, Replacement::Hash(key))
///     .key("customer.*", Replacement::Remove)
///     .pattern("employee", r"\bE-\d{6}\b", Replacement::Mask)?
///     .allow_key("support.email");
/// # Ok::<(), RedactionError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Redaction {
    /// Those that were added last come last.
    pub(super) keys: Vec<KeyRule>,
    pub(super) allowed: Vec<String>,
    pub(super) data: Vec<(SensitiveData, Replacement)>,
    pub(super) patterns: Vec<PatternRule>,
}

/// Replaces the values of keys.
#[derive(Debug, Clone)]
pub(super) struct KeyRule {
    pub(super) pattern: Cow<'static, str>,
    pub(super) replacement: Replacement,
}

/// Replaces what an expression finds.
#[derive(Debug, Clone)]
pub(super) struct PatternRule {
    pub(super) name: String,
    pub(super) expression: Regex,
    pub(super) replacement: Replacement,
}

/// What is known how to be found in texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SensitiveData {
    /// Numbers of payment cards: 13 to 19 digits, also in groups, that begin as the number of a network and
    /// have the right check digit (ISO/IEC 7812, Luhn). Also whole numbers that are such.
    CardNumbers,
    /// Tokens: bearer and basic authorization, JSON web tokens, keys of AWS, GitHub, GitLab, Google, Slack,
    /// Stripe, npm, `OpenAI`, Anthropic, Vault and age, private keys in PEM.
    Tokens,
    /// Email addresses.
    Emails,
    /// What is said to be a password or a token in a text, such as `password=...`, `"api_key": "..."`, and
    /// passwords in addresses, as in `postgres://user:...@host`.
    Credentials,
}

impl SensitiveData {
    /// All kinds.
    pub(super) const ALL: [Self; 4] = [
        Self::CardNumbers,
        Self::Tokens,
        Self::Emails,
        Self::Credentials,
    ];

    /// The name in counts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CardNumbers => "card_numbers",
            Self::Tokens => "tokens",
            Self::Emails => "emails",
            Self::Credentials => "credentials",
        }
    }
}

/// A rule cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RedactionError {
    /// The expression is none, or too large.
    #[error("redaction pattern `{name}` cannot be used")]
    Pattern {
        /// What the pattern is called.
        name: String,
        /// Why.
        source: Box<regex::Error>,
    },
    /// The expression finds an empty text, which is everywhere.
    #[error("redaction pattern `{name}` matches an empty text, which is everywhere")]
    EmptyMatch {
        /// What the pattern is called.
        name: String,
    },
    /// The key could be guessed.
    #[error("the key of a hash has {bytes} bytes, allowed are {bytes_min} and more")]
    ShortHashKey {
        /// How many it has.
        bytes: usize,
        /// How many it must have.
        bytes_min: usize,
    },
}

impl Redaction {
    /// No rules.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Everything that is known: all [`SensitiveData`], and keys such as `password`, `authorization`, `*.token`,
    /// `*secret*` and `*api_key`. All are masked.
    #[must_use]
    pub fn standard() -> Self {
        let key = |pattern: &'static str| KeyRule {
            pattern: Cow::Borrowed(pattern),
            replacement: Replacement::Mask,
        };
        Self {
            keys: KEYS.iter().copied().map(key).collect(),
            data: SensitiveData::ALL
                .map(|data| (data, Replacement::Mask))
                .into(),
            ..Self::default()
        }
    }

    /// Replaces the values of attributes with such a key, in any case of its letters. `*` stands for any text.
    #[must_use]
    pub fn key(mut self, pattern: impl Into<String>, replacement: Replacement) -> Self {
        self.keys.push(KeyRule {
            pattern: Cow::Owned(pattern.into().to_lowercase()),
            replacement,
        });
        self
    }

    /// Looks for data of this kind in texts, or changes what takes its place.
    #[must_use]
    pub fn data(mut self, data: SensitiveData, replacement: Replacement) -> Self {
        self.data.retain(|(known, _)| *known != data);
        self.data.push((data, replacement));
        self
    }

    /// Looks for what a [regular expression](regex#syntax) describes, in texts and in whole numbers. If the
    /// expression has a group, only what the first one is about is replaced.
    ///
    /// Its search takes time in proportion to the text, and memory up to a mebibyte. The name is for the counts;
    /// a pattern takes the place of one of the same name.
    ///
    /// # Errors
    /// The expression is none, is too large, or matches an empty text.
    pub fn pattern(
        mut self,
        name: impl Into<String>,
        expression: &str,
        replacement: Replacement,
    ) -> Result<Self, RedactionError> {
        let name = name.into();
        let built = RegexBuilder::new(expression)
            .size_limit(EXPRESSION_BYTES_MAX)
            .dfa_size_limit(EXPRESSION_BYTES_MAX)
            .build();
        let expression = match built {
            Ok(expression) => expression,
            Err(source) => {
                let source = Box::new(source);
                return Err(RedactionError::Pattern { name, source });
            }
        };
        if expression.is_match("") {
            return Err(RedactionError::EmptyMatch { name });
        }
        self.patterns.retain(|known| known.name != name);
        self.patterns.push(PatternRule {
            name,
            expression,
            replacement,
        });
        Ok(self)
    }

    /// Leaves attributes with such a key as they are, whatever the rules say. `*` stands for any text.
    #[must_use]
    pub fn allow_key(mut self, pattern: impl Into<String>) -> Self {
        self.allowed.push(pattern.into().to_lowercase());
        self
    }

    /// What takes the place of everything that the rules so far are about.
    #[must_use]
    pub fn replace_with(mut self, replacement: &Replacement) -> Self {
        let of_keys = self.keys.iter_mut().map(|rule| &mut rule.replacement);
        let of_data = self.data.iter_mut().map(|(_, replacement)| replacement);
        let of_patterns = self.patterns.iter_mut().map(|rule| &mut rule.replacement);
        for place in of_keys.chain(of_data).chain(of_patterns) {
            place.clone_from(replacement);
        }
        self
    }

    /// Whether there are no rules.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.data.is_empty() && self.patterns.is_empty()
    }

    /// Adds rules, as if they had been added by themselves.
    pub(super) fn add(&mut self, other: Self) {
        self.keys.extend(other.keys);
        self.allowed.extend(other.allowed);
        for (data, replacement) in other.data {
            self.data.retain(|(known, _)| *known != data);
            self.data.push((data, replacement));
        }
        for rule in other.patterns {
            self.patterns.retain(|known| known.name != rule.name);
            self.patterns.push(rule);
        }
    }
}
