//! Which blocks certainly hold no match.

use std::cell::OnceCell;

use ringlight_model::{Signal, TraceId};

use super::judge::OnlyRoot;
use crate::block::filter::{
    FilterScope, form_hash, key_hash, may_contain, trace_hash, trigram_hash, trigrams,
};
use crate::block::section::Section;
use crate::block::{BlockInfo, Names};
use crate::query::{
    AttributeScope, Constraint, Constraints, EqualityForm, Field, FieldValue, Fields, Intrinsic,
    Query,
};
use crate::slice::ReadError;
use crate::state::{Block, Shared};

/// A block's index, its filters read when first needed.
pub(crate) struct Index<'a> {
    block: &'a Block,
    shared: &'a Shared,
    filter: OnceCell<Vec<u8>>,
    body_filter: OnceCell<Vec<u8>>,
}

impl<'a> Index<'a> {
    pub(crate) fn new(block: &'a Block, shared: &'a Shared) -> Self {
        Self {
            block,
            shared,
            filter: OnceCell::new(),
            body_filter: OnceCell::new(),
        }
    }

    fn info(&self) -> &BlockInfo {
        &self.block.info
    }

    /// Whether the block may hold a row that meets all the conditions.
    pub(crate) fn may_match(&self, constraints: &Constraints) -> Result<bool, ReadError> {
        // What is in memory first, so that a filter is read only if it can still matter.
        for constraint in &constraints.all {
            if !self.may_match_in_memory(constraint) {
                return Ok(false);
            }
        }
        for constraint in &constraints.all {
            if !self.may_match_by_filter(constraint)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a span may match that has one of the names the block lists. For a query that looks at
    /// names, as others learn nothing from it.
    pub(crate) fn may_match_by_name(&self, query: &Query) -> bool {
        const NAME: Field = Field::Intrinsic(Intrinsic::Name);
        match &self.info().names {
            Names::All(names) => names
                .iter()
                .any(|name| query.judge(&OnlyName(name), |field| *field == NAME) != Some(false)),
            Names::Many => true,
        }
    }

    /// Whether the block may hold the root of a trace that matches.
    pub(crate) fn may_have_roots(
        &self,
        query: &Query,
        constraints: &Constraints,
    ) -> Result<bool, ReadError> {
        const NAME: Field = Field::Intrinsic(Intrinsic::RootName);
        const SERVICE: Field = Field::Intrinsic(Intrinsic::RootServiceName);
        let info = self.info();
        let name_fits = |name: &str| {
            let root = OnlyRoot {
                name: Some(name),
                service: None,
            };
            root.may_match(query, |field| *field == NAME)
        };
        let service_fits = |service: &str| {
            let root = OnlyRoot {
                name: None,
                service: Some(service),
            };
            root.may_match(query, |field| *field == SERVICE)
        };
        let may_fit = info.root_count > 0
            && info.services.iter().any(|known| service_fits(&known.name))
            && match &info.names {
                Names::All(names) => names.iter().any(|name| name_fits(name)),
                Names::Many => true,
            };
        if !may_fit {
            return Ok(false);
        }
        for constraint in &constraints.all {
            if let Constraint::Intrinsic(Intrinsic::RootName, name) = constraint
                && !self.may_have_intrinsic(Intrinsic::Name, name)?
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn may_match_in_memory(&self, constraint: &Constraint) -> bool {
        let info = self.info();
        match constraint {
            Constraint::Never => false,
            Constraint::Duration { min_nano, max_nano } => {
                info.duration_max >= *min_nano && info.duration_min <= *max_nano
            }
            Constraint::Status(code) => info.statuses & (1 << *code as u8) != 0,
            Constraint::Kind(kind) => info.kinds & (1 << *kind as u8) != 0,
            Constraint::Severity { min, max } => {
                info.severity_max >= *min && info.severity_min <= *max
            }
            Constraint::Intrinsic(Intrinsic::Name, name) => info.names.may_contain(name),
            Constraint::Number {
                scope,
                key,
                min,
                max,
            } => self.any_scope(*scope, |scope| {
                info.ranges.may_meet(key_hash(scope, key), *min, *max)
            }),
            Constraint::Equals {
                scope: AttributeScope::Resource,
                key,
                form: EqualityForm::Str(name),
            } if key == "service.name" => self.may_have_service(name),
            _ => true,
        }
    }

    // A resource whose service name is missing, empty or no text is listed under a stand-in.
    pub(crate) fn may_have_service(&self, name: &str) -> bool {
        self.info()
            .services
            .iter()
            .any(|known| *known.name == *name || *known.name == *"unknown_service")
    }

    fn may_match_by_filter(&self, constraint: &Constraint) -> Result<bool, ReadError> {
        Ok(match constraint {
            Constraint::TraceId(trace_id) => self.may_have_trace(*trace_id)?,
            Constraint::Intrinsic(
                intrinsic @ (Intrinsic::Name
                | Intrinsic::StatusMessage
                | Intrinsic::EventName
                | Intrinsic::ScopeName
                | Intrinsic::ScopeVersion
                | Intrinsic::SeverityText),
                text,
            ) => self.may_have_intrinsic(*intrinsic, text)?,
            Constraint::Present { scope, key } => {
                let filter = self.filter()?;
                self.any_scope(*scope, |scope| may_contain(filter, key_hash(scope, key)))
            }
            Constraint::Equals { scope, key, form } => {
                let filter = self.filter()?;
                self.any_scope(*scope, |scope| {
                    may_contain(filter, form_hash(key_hash(scope, key), form))
                })
            }
            Constraint::BodyContains(text) => self.may_have_body(text)?,
            Constraint::AnyOf(alternatives) => {
                for alternative in alternatives {
                    if self.may_match(alternative)? {
                        return Ok(true);
                    }
                }
                alternatives.is_empty()
            }
            _ => true,
        })
    }

    pub(crate) fn may_have_intrinsic(
        &self,
        intrinsic: Intrinsic,
        text: &str,
    ) -> Result<bool, ReadError> {
        let key = key_hash(FilterScope::Intrinsic, intrinsic.as_str());
        let hash = form_hash(key, &EqualityForm::text(text));
        Ok(may_contain(self.filter()?, hash))
    }

    /// Whether a key may be there in a scope.
    pub(crate) fn may_have_key(&self, scope: FilterScope, key: &str) -> Result<bool, ReadError> {
        Ok(may_contain(self.filter()?, key_hash(scope, key)))
    }

    pub(crate) fn may_have_trace(&self, trace_id: TraceId) -> Result<bool, ReadError> {
        let filter = self.shared.trace_filter(self.block)?;
        Ok(may_contain(&filter, trace_hash(trace_id)))
    }

    fn any_scope(&self, scope: AttributeScope, has: impl Fn(FilterScope) -> bool) -> bool {
        let own = match self.info().signal {
            Signal::Logs => FilterScope::Log,
            _ => FilterScope::Span,
        };
        match scope {
            AttributeScope::Any => has(own) || has(FilterScope::Resource),
            AttributeScope::Span => has(FilterScope::Span),
            AttributeScope::Resource => has(FilterScope::Resource),
            AttributeScope::Event => has(FilterScope::Event),
            AttributeScope::Log => has(FilterScope::Log),
            // No block of spans or log records has these.
            AttributeScope::Point => false,
        }
    }

    fn may_have_body(&self, text: &str) -> Result<bool, ReadError> {
        if text.len() < 3 {
            return Ok(true);
        }
        let filter = read_once(&self.body_filter, || {
            self.block.section(Section::BodyFilter)
        })?;
        Ok(trigrams(text).all(|trigram| may_contain(filter, trigram_hash(trigram))))
    }

    fn filter(&self) -> Result<&[u8], ReadError> {
        read_once(&self.filter, || self.block.section(Section::Filter))
    }
}

/// A span of which only the name is known.
struct OnlyName<'a>(&'a str);

impl Fields for OnlyName<'_> {
    fn any(&self, _: usize, _: &Field, test: &mut dyn FnMut(FieldValue<'_>) -> bool) -> bool {
        test(FieldValue::Str(self.0))
    }
}

fn read_once(
    cell: &OnceCell<Vec<u8>>,
    read: impl FnOnce() -> Result<Vec<u8>, ReadError>,
) -> Result<&[u8], ReadError> {
    if cell.get().is_none() {
        let _ = cell.set(read()?);
    }
    Ok(cell.get().map_or(&[], Vec::as_slice))
}
