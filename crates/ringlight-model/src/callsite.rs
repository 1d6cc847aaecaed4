//! Callsites: the static part of a span or event, known by address.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, LockResult, Mutex, PoisonError, RwLock};

use foldhash::fast::RandomState;

use crate::{Scope, Severity};

/// The identity of a callsite: the address of its static metadata, which is even and never
/// dereferenced, or an odd number for one that is not in the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallsiteId(u64);

impl CallsiteId {
    /// An id from the address of a static item.
    #[must_use]
    pub const fn new(address: u64) -> Self {
        Self(address)
    }

    /// The id of a callsite that is not in the source; equal numbers below 2^63 are equal ids.
    #[must_use]
    pub const fn numbered(number: u64) -> Self {
        Self(number << 1 | 1)
    }

    /// The address or number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// Whether a callsite makes spans or events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallsiteKind {
    /// A span.
    Span,
    /// An event, that is a log record.
    Event,
}

/// An instrumentation scope of its own, in place of one that is named after the target.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CallsiteScope {
    /// The scope.
    pub scope: Scope<'static>,
    /// The URL of the schema that what is recorded there follows; may be empty.
    pub schema_url: Cow<'static, str>,
}

/// The static description of a span or event in the source.
#[derive(Debug, Clone, PartialEq)]
pub struct Callsite {
    /// Span or event.
    pub kind: CallsiteKind,
    /// Name of the span; for an event usually `event src/file.rs:line`.
    pub name: &'static str,
    /// Target: the module path unless the source says otherwise. Becomes the scope's name.
    pub target: &'static str,
    /// The scope, where it is more than the target.
    pub scope: Option<Box<CallsiteScope>>,
    /// Severity of the level.
    pub severity: Severity,
    /// The module, where known.
    pub module_path: Option<&'static str>,
    /// The source file, where known.
    pub file: Option<&'static str>,
    /// The line in that file, where known.
    pub line: Option<u32>,
    /// Names of the fields, in order; a record refers to them by index.
    pub fields: Vec<&'static str>,
}

/// All callsites the process has shown so far.
///
/// Written once a callsite, from whichever thread meets it first; read by the collector once a
/// callsite. Never on the recording path.
#[derive(Debug, Default)]
pub struct CallsiteRegistry {
    callsites: RwLock<HashMap<CallsiteId, Arc<Callsite>, RandomState>>,
    // Serializes the building of a callsite, so that it is built once.
    building: Mutex<()>,
}

impl CallsiteRegistry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes the callsite known, building its description only the first time.
    pub fn register(&self, id: CallsiteId, build: impl FnOnce() -> Callsite) {
        let _building = unpoisoned(self.building.lock());
        if self.lookup(id).is_none() {
            let callsite = Arc::new(build());
            unpoisoned(self.callsites.write()).insert(id, callsite);
        }
    }

    /// The description of a callsite, if it was registered.
    #[must_use]
    pub fn lookup(&self, id: CallsiteId) -> Option<Arc<Callsite>> {
        unpoisoned(self.callsites.read()).get(&id).cloned()
    }
}

/// What a lock guards, though a thread panicked while it held it: the map is whole at any time.
fn unpoisoned<G>(result: LockResult<G>) -> G {
    result.unwrap_or_else(PoisonError::into_inner)
}
