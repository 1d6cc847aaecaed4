//! What records belong to: resources and scopes, each kept once.

use std::sync::Arc;

use hashbrown::HashMap;
use ringlight_model::{Resource, Scope};

use super::nested;
use crate::block::filter::{FilterBuilder, FilterScope};
use crate::codec::{Corrupt, Reader, put_varint};
use crate::query::{EqualityForm, equality_forms};

/// Distinct resources and scopes, referred to by number.
#[derive(Debug, Clone, Default)]
pub(crate) struct Owners {
    resources: Distinct<Resource<'static>>,
    scopes: Distinct<Scope<'static>>,
}

#[derive(Debug, Clone)]
struct Distinct<T> {
    items: Vec<Arc<T>>,
    // By their bytes. Empty after reading back: then nothing is added any more.
    numbers: HashMap<Box<[u8]>, u32, foldhash::fast::RandomState>,
}

impl<T> Default for Distinct<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            numbers: HashMap::default(),
        }
    }
}

impl<T> Distinct<T> {
    fn number(&mut self, bytes: Vec<u8>, item: impl FnOnce() -> Arc<T>) -> u32 {
        if let Some(&number) = self.numbers.get(bytes.as_slice()) {
            return number;
        }
        let number = self.items.len() as u32;
        self.items.push(item());
        self.numbers.insert(bytes.into_boxed_slice(), number);
        number
    }

    fn get(&self, number: u32) -> Option<&Arc<T>> {
        self.items.get(number as usize)
    }
}

impl Owners {
    /// The number of a resource, a new one if it was not there.
    pub(crate) fn resource(&mut self, resource: &Resource<'_>) -> u32 {
        let mut bytes = Vec::new();
        nested::write_resource(&mut bytes, resource);
        self.resources
            .number(bytes, || Arc::new(resource.clone().into_owned()))
    }

    /// The number of a scope, a new one if it was not there.
    pub(crate) fn scope(&mut self, scope: &Scope<'_>) -> u32 {
        let mut bytes = Vec::new();
        nested::write_scope(&mut bytes, scope);
        self.scopes
            .number(bytes, || Arc::new(scope.clone().into_owned()))
    }

    /// Adds those of another. Gives the number here of each of its resources, and of its scopes.
    pub(super) fn take(&mut self, from: &Self) -> (Vec<u32>, Vec<u32>) {
        let resources = from
            .resources()
            .iter()
            .map(|one| self.resource(one))
            .collect();
        let scopes = from.scopes().iter().map(|one| self.scope(one)).collect();
        (resources, scopes)
    }

    pub(crate) fn resource_at(&self, number: u32) -> Arc<Resource<'static>> {
        self.resources.get(number).cloned().unwrap_or_default()
    }

    pub(crate) fn scope_at(&self, number: u32) -> Arc<Scope<'static>> {
        self.scopes.get(number).cloned().unwrap_or_default()
    }

    pub(crate) fn resources(&self) -> &[Arc<Resource<'static>>] {
        &self.resources.items
    }

    pub(crate) fn scopes(&self) -> &[Arc<Scope<'static>>] {
        &self.scopes.items
    }

    /// Bytes of memory, roughly.
    pub(crate) fn memory_bytes(&self) -> usize {
        let bytes = |numbers: &HashMap<Box<[u8]>, u32, _>| {
            numbers.keys().map(|key| 3 * key.len() + 64).sum::<usize>()
        };
        bytes(&self.resources.numbers) + bytes(&self.scopes.numbers)
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        put_varint(out, self.resources.items.len() as u64);
        for resource in &self.resources.items {
            nested::write_resource(out, resource);
        }
        put_varint(out, self.scopes.items.len() as u64);
        for scope in &self.scopes.items {
            nested::write_scope(out, scope);
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Corrupt> {
        let mut owners = Self::default();
        for _ in 0..reader.count()? {
            let resource = Arc::new(nested::read_resource(reader)?);
            owners.resources.items.push(resource);
        }
        for _ in 0..reader.count()? {
            let scope = Arc::new(nested::read_scope(reader)?);
            owners.scopes.items.push(scope);
        }
        Ok(owners)
    }
}

/// Shows what belongs to resources and scopes to a filter.
pub(crate) fn filter_owners(owners: &Owners, filter: &mut FilterBuilder) {
    for resource in owners.resources() {
        for attribute in &resource.attributes {
            let key = filter.key(FilterScope::Resource, &attribute.key);
            equality_forms(&attribute.value, &mut |form| filter.form(key, &form));
        }
    }
    let name = filter.key(FilterScope::Intrinsic, "instrumentation:name");
    let version = filter.key(FilterScope::Intrinsic, "instrumentation:version");
    for scope in owners.scopes() {
        filter.form(name, &EqualityForm::text(&scope.name));
        filter.form(version, &EqualityForm::text(&scope.version));
    }
}
