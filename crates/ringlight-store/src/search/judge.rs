//! Which spans of one table match on their own, and which can be the root of a trace that matches.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::fields::{Places, SpanRow};
use super::gather::service_of;
use crate::query::{AttributeScope, Field, FieldValue, Fields, Intrinsic, Query};
use crate::table::SpanTable;

/// Judges the spans of one table on their own.
pub(super) struct Judge<'a> {
    query: &'a Query,
    table: &'a SpanTable,
    places: Places,
    /// Verdicts by what [`Query`] looks at, if that is only what many spans share.
    verdicts: Option<HashMap<SharedFields, bool, RandomState>>,
    /// Whether a root fits, by name and resource.
    roots: HashMap<(u32, u32), bool, RandomState>,
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
            roots: HashMap::default(),
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
        self.may_match_by(row, |field| !field.is_of_trace())
    }

    /// Whether a span may match as far as the fields that are known tell.
    pub(super) fn may_match_by(&self, row: usize, is_known: impl Fn(&Field) -> bool) -> bool {
        let span = SpanRow {
            table: self.table,
            places: &self.places,
            row,
            facts: None,
        };
        self.query.judge(&span, is_known) != Some(false)
    }

    /// Whether a trace with the root in this row may match.
    pub(super) fn root_fits(&mut self, row: usize) -> bool {
        let (query, table) = (self.query, self.table);
        let key = (table.names[row], table.resources[row]);
        *self.roots.entry(key).or_insert_with(|| {
            let root = OnlyRoot {
                name: Some(table.name(row)),
                service: Some(service_of(table, row)),
            };
            root.may_match(query, is_of_root)
        })
    }
}

pub(super) fn is_of_root(field: &Field) -> bool {
    matches!(
        field,
        Field::Intrinsic(Intrinsic::RootName | Intrinsic::RootServiceName)
    )
}

/// A span of which only the root of its trace is known; neither if there is no root.
#[derive(Debug, Default)]
pub(super) struct OnlyRoot<'a> {
    pub(super) name: Option<&'a str>,
    pub(super) service: Option<&'a str>,
}

impl OnlyRoot<'_> {
    pub(super) fn may_match(&self, query: &Query, is_known: impl Fn(&Field) -> bool) -> bool {
        query.judge(self, is_known) != Some(false)
    }
}

impl Fields for OnlyRoot<'_> {
    fn any(&self, _: usize, field: &Field, test: &mut dyn FnMut(FieldValue<'_>) -> bool) -> bool {
        let text = match field {
            Field::Intrinsic(Intrinsic::RootName) => self.name,
            _ => self.service,
        };
        text.is_some_and(|text| test(FieldValue::Str(text)))
    }
}
