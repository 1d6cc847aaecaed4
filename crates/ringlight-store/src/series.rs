//! Series: which there are, within a bound.
//!
//! A series is a metric with a resource, a scope and attributes; its points are stored under a
//! number. The series of all that is stored are in memory, each once, so that a search judges them
//! before it reads anything, and so that an attribute with a new value in every point cannot take
//! the memory or the disk: points of series beyond the bound are refused.

use std::collections::BTreeMap;
use std::hash::Hash;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use ringlight_model::{KeyValue, Metric, Resource, Scope};
use twox_hash::XxHash3_128;

use crate::table::{MetricTable, nested};

/// Bytes of memory of all series together.
const SERIES_BYTES_MAX: usize = 64 << 20;

/// A metric with a resource, a scope and attributes.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Series {
    pub(crate) metric: Arc<Metric<'static>>,
    pub(crate) resource: Arc<Resource<'static>>,
    pub(crate) scope: Arc<Scope<'static>>,
    pub(crate) attributes: Vec<KeyValue<'static>>,
}

/// Tells series apart within a process: the seed is the process's, so that attributes cannot be
/// chosen to collide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(crate) struct Fingerprint(u128);

impl Fingerprint {
    /// Of what a series belongs to. The description of a metric is not among it.
    pub(crate) fn new(
        metric: &Metric<'_>,
        owners: &[u8],
        attributes: &[KeyValue<'_>],
        buffer: &mut Vec<u8>,
    ) -> Self {
        buffer.clear();
        buffer.push(kind_code(metric));
        buffer.extend_from_slice(metric.name.as_bytes());
        buffer.push(0xff);
        buffer.extend_from_slice(metric.unit.as_bytes());
        buffer.push(0xff);
        buffer.extend_from_slice(owners);
        if attributes.is_sorted_by(|a, b| a.key <= b.key) {
            nested::write_attributes(buffer, attributes);
        } else {
            let mut sorted: Vec<&KeyValue<'_>> = attributes.iter().collect();
            sorted.sort_by(|a, b| a.key.cmp(&b.key));
            nested::write_attribute_refs(buffer, &sorted);
        }
        Self(XxHash3_128::oneshot_with_seed(process_seed(), buffer))
    }

    /// Of a series.
    pub(crate) fn of(series: &Series) -> Self {
        let mut owners = Vec::new();
        nested::write_resource(&mut owners, &series.resource);
        nested::write_scope(&mut owners, &series.scope);
        Self::new(&series.metric, &owners, &series.attributes, &mut Vec::new())
    }
}

fn kind_code(metric: &Metric<'_>) -> u8 {
    crate::table::kind_code(metric.kind)
}

fn process_seed() -> u64 {
    use std::hash::BuildHasher as _;
    use std::sync::OnceLock;
    static SEED: OnceLock<u64> = OnceLock::new();
    *SEED.get_or_init(|| std::hash::RandomState::new().hash_one(0_u8))
}

/// A series that something is stored of.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) series: Arc<Series>,
    fingerprint: Fingerprint,
    /// Time of its newest point, Unix nanoseconds; after a start at least that of the block that
    /// lists it.
    pub(crate) last_unix_nano: u64,
    /// The newest slice with a point of it.
    last_slice: u32,
    /// The newest slice in which a block lists it; 0 for none.
    listed_in: u32,
    bytes: usize,
}

/// All series there are. Changed by the writer alone.
#[derive(Debug)]
pub(crate) struct Registry {
    by_fingerprint: HashMap<Fingerprint, u64, RandomState>,
    known: BTreeMap<u64, Known>,
    metrics: Shares<Metric<'static>>,
    resources: Shares<Vec<u8>, Resource<'static>>,
    scopes: Shares<Vec<u8>, Scope<'static>>,
    next_id: u64,
    bytes: usize,
    series_max: usize,
}

/// What many series have in common, each once.
type Shares<K, T = K> = HashMap<K, Arc<T>, RandomState>;

impl Registry {
    /// None, of at most so many.
    pub(crate) fn new(series_max: usize) -> Self {
        Self {
            by_fingerprint: HashMap::default(),
            known: BTreeMap::new(),
            metrics: HashMap::default(),
            resources: HashMap::default(),
            scopes: HashMap::default(),
            next_id: 1,
            bytes: 0,
            series_max,
        }
    }

    /// Series by their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Known)> {
        self.known.iter().map(|(&id, known)| (id, known))
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// Gives the series of a request their numbers, new ones where they are new. Those for which
    /// there is no room get none. `added` is what to [forget](Self::forget) if the request is not
    /// stored after all.
    pub(crate) fn resolve(&mut self, table: &mut MetricTable, slice: u32, added: &mut Vec<u64>) {
        for local in &mut table.series {
            let Some(series) = &local.series else {
                continue;
            };
            if let Some(&id) = self.by_fingerprint.get(&local.fingerprint)
                && let Some(known) = self.known.get_mut(&id)
            {
                known.last_slice = known.last_slice.max(slice);
                local.id = id;
                local.series = Some(Arc::clone(&known.series));
                continue;
            }
            let series = self.shared(series);
            if let Some(id) = self.insert(self.next_id, series, local.fingerprint, true) {
                if let Some(known) = self.known.get_mut(&id) {
                    known.last_slice = slice;
                    local.series = Some(Arc::clone(&known.series));
                }
                local.id = id;
                added.push(id);
            }
        }
    }

    /// Gives no new series a number up to this one.
    pub(crate) fn reserve(&mut self, id: u64) {
        self.next_id = self.next_id.max(id.saturating_add(1));
    }

    /// Takes over series that a block of a slice lists, whose earliest point is of this time.
    pub(crate) fn list(&mut self, slice: u32, listed: Vec<(u64, Series)>, time_min: u64) {
        for (id, series) in listed {
            if !self.known.contains_key(&id) {
                let series = self.shared(&series);
                let fingerprint = Fingerprint::of(&series);
                // What is stored is known, however much it is.
                self.insert(id, series, fingerprint, false);
            }
            if let Some(known) = self.known.get_mut(&id) {
                known.last_slice = known.last_slice.max(slice);
                known.listed_in = known.listed_in.max(slice);
                known.last_unix_nano = known.last_unix_nano.max(time_min);
            }
        }
    }

    fn insert(
        &mut self,
        id: u64,
        series: Series,
        fingerprint: Fingerprint,
        is_bounded: bool,
    ) -> Option<u64> {
        let bytes = memory_bytes(&series);
        let is_full = self.known.len() >= self.series_max || self.bytes + bytes > SERIES_BYTES_MAX;
        if is_bounded && is_full {
            return None;
        }
        self.by_fingerprint.insert(fingerprint, id);
        self.bytes += bytes;
        self.reserve(id);
        self.known.insert(
            id,
            Known {
                series: Arc::new(series),
                fingerprint,
                last_unix_nano: 0,
                last_slice: 0,
                listed_in: 0,
                bytes,
            },
        );
        Some(id)
    }

    // The same series, with what others have in common with it.
    fn shared(&mut self, series: &Series) -> Series {
        let mut resource = Vec::new();
        nested::write_resource(&mut resource, &series.resource);
        let mut scope = Vec::new();
        nested::write_scope(&mut scope, &series.scope);
        Series {
            metric: share(&mut self.metrics, (*series.metric).clone(), &series.metric),
            resource: share(&mut self.resources, resource, &series.resource),
            scope: share(&mut self.scopes, scope, &series.scope),
            attributes: series.attributes.clone(),
        }
    }

    /// Notes that points of a series are stored.
    pub(crate) fn saw(&mut self, id: u64, slice: u32, time_unix_nano: u64) {
        if let Some(known) = self.known.get_mut(&id) {
            known.last_unix_nano = known.last_unix_nano.max(time_unix_nano);
            known.last_slice = known.last_slice.max(slice);
        }
    }

    /// Whether no block of the slice lists a series yet.
    pub(crate) fn is_unlisted(&self, id: u64, slice: u32) -> bool {
        self.known
            .get(&id)
            .is_some_and(|known| known.listed_in < slice)
    }

    /// Notes that a block of the slice that was just written lists these series.
    pub(crate) fn set_listed(&mut self, ids: &[u64], slice: u32) {
        for id in ids {
            if let Some(known) = self.known.get_mut(id) {
                known.listed_in = slice;
            }
        }
    }

    /// Forgets series that were added for a request that is not stored after all.
    pub(crate) fn forget(&mut self, added: &[u64]) {
        for id in added {
            self.remove(*id);
        }
        self.drop_unshared();
    }

    /// Forgets series without points in a slice later than the one that was deleted.
    pub(crate) fn forget_slice(&mut self, deleted: u32) {
        let gone: Vec<u64> = self
            .known
            .iter()
            .filter(|(_, known)| known.last_slice <= deleted)
            .map(|(&id, _)| id)
            .collect();
        self.forget(&gone);
    }

    fn remove(&mut self, id: u64) {
        if let Some(known) = self.known.remove(&id) {
            self.bytes -= known.bytes;
            if self.by_fingerprint.get(&known.fingerprint) == Some(&id) {
                self.by_fingerprint.remove(&known.fingerprint);
            }
        }
    }

    fn drop_unshared(&mut self) {
        self.metrics.retain(|_, share| Arc::strong_count(share) > 1);
        self.resources
            .retain(|_, share| Arc::strong_count(share) > 1);
        self.scopes.retain(|_, share| Arc::strong_count(share) > 1);
    }
}

fn share<K: Hash + Eq, T: Clone>(shares: &mut Shares<K, T>, key: K, value: &Arc<T>) -> Arc<T> {
    Arc::clone(shares.entry(key).or_insert_with(|| Arc::clone(value)))
}

/// Bytes of memory of a series, roughly: with its part of what it shares, which is at most all of it.
fn memory_bytes(series: &Series) -> usize {
    const FIXED: usize = 400;
    let mut bytes = Vec::new();
    nested::write_attributes(&mut bytes, &series.attributes);
    let shared = if Arc::strong_count(&series.resource) > 2 {
        0
    } else {
        nested::write_resource(&mut bytes, &series.resource);
        series.metric.name.len() + series.metric.description.len()
    };
    FIXED + 3 * bytes.len() + shared
}
