//! Texts that every match contains, looked for in a block before any of it is decoded.

use memchr::memmem;

use super::prune::Index;
use super::source::{Loader, Source};
use crate::block::filter::FilterScope;
use crate::block::is_listed;
use crate::query::{AttributeScope, Constraint, Constraints, EqualityForm};
use crate::table::Table;

/// A single byte is in nearly every block.
const TEXT_BYTES_MIN: usize = 2;

/// What the texts of a row's attributes have to contain.
pub(super) struct RequiredTexts(Vec<RequiredText>);

struct RequiredText {
    scope: AttributeScope,
    key: String,
    finder: memmem::Finder<'static>,
}

impl RequiredTexts {
    pub(super) fn of(constraints: &Constraints) -> Self {
        let required = constraints.all.iter().filter_map(|constraint| {
            let (scope, key, text): (_, _, &str) = match constraint {
                Constraint::Contains { scope, key, text } => (scope, key, text),
                Constraint::Equals {
                    scope,
                    key,
                    form: EqualityForm::Str(text),
                } => (scope, key, text),
                _ => return None,
            };
            // Those of resources and events are elsewhere.
            let is_own = matches!(
                scope,
                AttributeScope::Span | AttributeScope::Log | AttributeScope::Any
            );
            // Of other keys it is not known whether they have lists.
            let is_known = is_listed(key);
            (is_own && is_known && text.len() >= TEXT_BYTES_MIN).then(|| RequiredText {
                scope: *scope,
                key: key.clone(),
                finder: memmem::Finder::new(text.as_bytes()).into_owned(),
            })
        });
        Self(required.collect())
    }

    /// Whether a source may have a row with all of them. Worth asking only of one whose index does
    /// not rule it out.
    pub(super) fn may_be_in<T: Table>(
        &self,
        loader: &mut Loader<'_, T>,
        source: &Source<T>,
    ) -> bool {
        let Source::Block(block) = source else {
            return true;
        };
        if block.info.may_have_lists {
            return true;
        }
        let mut required = Vec::new();
        for text in &self.0 {
            let is_elsewhere = text.scope == AttributeScope::Any
                && loader.ask(source, |block, shared| {
                    Index::new(block, shared).may_have_key(FilterScope::Resource, &text.key)
                });
            if !is_elsewhere {
                required.push(&text.finder);
            }
        }
        required.is_empty()
            || loader.ask_values(block, |values| {
                let is_there = |finder: &&memmem::Finder<'_>| finder.find(values).is_some();
                required.iter().all(is_there)
            })
    }
}
