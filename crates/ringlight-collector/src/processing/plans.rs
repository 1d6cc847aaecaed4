//! What is known of callsites and keys, so that rules for keys are asked once.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use ringlight_model::{Callsite, CallsiteId, CallsiteKind, CallsiteRegistry};

use super::condition::Origin;
use super::key::KeyPlan;
use super::rules::Rules;
use crate::record::{FieldRole, KeyRef};

/// Keys without a callsite that are remembered; then they are forgotten, all at once.
const NAMES_MAX: usize = 1024;

/// What becomes of the records of a callsite.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) callsite: Option<Arc<Callsite>>,
    pub(super) fields: Box<[Field]>,
    /// Rules, by index, by which a record may be left out.
    pub(super) conditions: Box<[usize]>,
}

/// A field of a callsite.
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) role: FieldRole,
    pub(super) plan: KeyPlan,
}

/// What is to be done with an attribute.
#[derive(Clone, Copy)]
pub(super) struct Attribute<'a> {
    pub(super) name: &'a str,
    pub(super) role: FieldRole,
    pub(super) plan: KeyPlan,
}

impl Attribute<'static> {
    pub(super) const fn of(field: &Field) -> Self {
        let Field { name, role, plan } = *field;
        Self { name, role, plan }
    }
}

/// The plans of all callsites, which are as many as the program's source has.
pub(super) struct Plans {
    registry: Arc<CallsiteRegistry>,
    by_id: HashMap<CallsiteId, Arc<Plan>, RandomState>,
    none: Arc<Plan>,
}

impl Plans {
    pub(super) fn new(registry: Arc<CallsiteRegistry>, rules: &Rules) -> Self {
        let origins = [CallsiteKind::Span, CallsiteKind::Event];
        Self {
            registry,
            by_id: HashMap::default(),
            none: Arc::new(Plan {
                conditions: conditions(rules, &origins.map(|kind| Origin { kind, target: "" })),
                ..Plan::default()
            }),
        }
    }

    /// The plan of a callsite. A record of one that nobody registered is not encoded and not shown with its
    /// fields, so that it does not matter what becomes of these.
    pub(super) fn of(&mut self, rules: &Rules, id: Option<CallsiteId>) -> Arc<Plan> {
        let Some(id) = id else {
            return Arc::clone(&self.none);
        };
        if let Some(plan) = self.by_id.get(&id) {
            return Arc::clone(plan);
        }
        let Some(callsite) = self.registry.lookup(id) else {
            return Arc::default();
        };
        let plan = Arc::new(Plan::of(rules, callsite));
        self.by_id.insert(id, Arc::clone(&plan));
        plan
    }
}

impl Plan {
    fn of(rules: &Rules, callsite: Arc<Callsite>) -> Self {
        let field = |name: &&'static str| {
            let role = FieldRole::of(callsite.kind, name);
            let plan = match role {
                FieldRole::Attribute => rules.keys.plan(name),
                _ => KeyPlan::default(),
            };
            Field { name, role, plan }
        };
        let origin = Origin {
            kind: callsite.kind,
            target: callsite.target,
        };
        Self {
            fields: callsite.fields.iter().map(field).collect(),
            conditions: conditions(rules, &[origin]),
            callsite: Some(callsite),
        }
    }

    pub(super) fn target(&self) -> &str {
        self.callsite
            .as_ref()
            .map_or("", |callsite| callsite.target)
    }

    /// What is to be done with an attribute; `None` for a key that is none, which is not encoded.
    pub(super) fn attribute<'a>(
        &'a self,
        rules: &Rules,
        names: &mut Names,
        key: KeyRef<'a>,
    ) -> Option<Attribute<'a>> {
        match key {
            KeyRef::Field(index) => self.fields.get(usize::from(index)).map(Attribute::of),
            KeyRef::Name(name) => {
                let name = std::str::from_utf8(name).ok()?;
                let role = FieldRole::Attribute;
                let plan = names.plan(rules, name);
                Some(Attribute { name, role, plan })
            }
        }
    }
}

fn conditions(rules: &Rules, origins: &[Origin<'_>]) -> Box<[usize]> {
    let all = rules.dropped_records.iter().enumerate();
    let may_mean = all.filter(|(_, (rule, _))| origins.iter().any(|origin| rule.may_mean(origin)));
    may_mean.map(|(index, _)| index).collect()
}

/// What becomes of attributes whose keys no callsite knows.
#[derive(Default)]
pub(super) struct Names(HashMap<Box<str>, KeyPlan, RandomState>);

impl Names {
    fn plan(&mut self, rules: &Rules, name: &str) -> KeyPlan {
        if let Some(plan) = self.0.get(name) {
            return *plan;
        }
        if self.0.len() >= NAMES_MAX {
            self.0.clear();
        }
        let plan = rules.keys.plan(name);
        self.0.insert(name.into(), plan);
        plan
    }
}
