//! Which spans of one table match on their own.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::fields::{Places, SpanRow};
use crate::query::{AttributeScope, Field, Intrinsic, Query};
use crate::table::SpanTable;

/// Judges the spans of one table on their own.
pub(super) struct Judge<'a> {
    query: &'a Query,
    table: &'a SpanTable,
    places: Places,
    /// Verdicts by what [`Query`] looks at, if that is only what many spans share.
    verdicts: Option<HashMap<SharedFields, bool, RandomState>>,
}

/// Name, kind and status, resource, scope.
type SharedFields = (u32, [u8; 2], u32, u32);

impl<'a> Judge<'a> {
    pub(super) fn new(query: &'a Query, table: &'a SpanTable) -> Self {
        let is_shared = |field: &Field| match field {
            Field::Intrinsic(intrinsic) => matches!(
                intrinsic,
                Intrinsic::Name
                    | Intrinsic::Kind
                    | Intrinsic::Status
                    | Intrinsic::ScopeName
                    | Intrinsic::ScopeVersion
            ),
            Field::Attribute { scope, .. } => *scope == AttributeScope::Resource,
        };
        let all_shared = query.fields().iter().all(is_shared);
        Self {
            query,
            table,
            places: Places::of(query, &table.texts, &table.owners),
            verdicts: all_shared.then(HashMap::default),
        }
    }

    pub(super) fn matches(&mut self, row: usize) -> bool {
        let span = SpanRow {
            table: self.table,
            places: &self.places,
            row,
            facts: None,
        };
        let Some(verdicts) = &mut self.verdicts else {
            return self.query.matches(&span);
        };
        let table = self.table;
        let key = (
            table.names[row],
            [table.kinds[row], table.statuses[row]],
            table.resources[row],
            table.scopes[row],
        );
        *verdicts
            .entry(key)
            .or_insert_with(|| self.query.matches(&span))
    }

    pub(super) fn may_match(&self, row: usize) -> bool {
        let span = SpanRow {
            table: self.table,
            places: &self.places,
            row,
            facts: None,
        };
        self.query.judge(&span, |field| !field.is_of_trace()) != Some(false)
    }
}
