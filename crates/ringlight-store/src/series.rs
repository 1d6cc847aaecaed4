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
            let known = self.by_fingerprint.get(&local.fingerprint).copied();
            let id = match known {
                Some(id) => id,
                None => {
                    let parts = Parts::of(series);
                    if !self.has_room(series, &parts) {
                        continue;
                    }
                    let id = self.next_id;
                    self.insert(id, series, parts, local.fingerprint);
                    added.push(id);
                    id
                }
            };
            if let Some(known) = self.known.get_mut(&id) {
                known.last_slice = known.last_slice.max(slice);
                local.id = id;
                local.series = Some(Arc::clone(&known.series));
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
                // What is stored is known, however much it is.
                let fingerprint = Fingerprint::of(&series);
                self.insert(id, &series, Parts::of(&series), fingerprint);
            }
            if let Some(known) = self.known.get_mut(&id) {
                known.last_slice = known.last_slice.max(slice);
                known.listed_in = known.listed_in.max(slice);
                known.last_unix_nano = known.last_unix_nano.max(time_min);
            }
        }
    }

    fn has_room(&self, series: &Series, parts: &Parts) -> bool {
        let new = |is_shared: bool, bytes: usize| if is_shared { 0 } else { bytes };
        let bytes = memory_bytes(series)
            + new(
                self.metrics.contains_key(&*series.metric),
                metric_bytes(&series.metric),
            )
            + new(
                self.resources.contains_key(&parts.resource),
                share_bytes(&parts.resource),
            )
            + new(
                self.scopes.contains_key(&parts.scope),
                share_bytes(&parts.scope),
            );
        self.known.len() < self.series_max && self.bytes + bytes <= SERIES_BYTES_MAX
    }

    fn insert(&mut self, id: u64, series: &Series, parts: Parts, fingerprint: Fingerprint) {
        let bytes = memory_bytes(series);
        self.bytes += bytes;
        let series = Series {
            metric: share(
                &mut self.metrics,
                (*series.metric).clone(),
                &series.metric,
                &mut self.bytes,
                metric_bytes,
            ),
            resource: share(
                &mut self.resources,
                parts.resource,
                &series.resource,
                &mut self.bytes,
                |bytes| share_bytes(bytes),
            ),
            scope: share(
                &mut self.scopes,
                parts.scope,
                &series.scope,
                &mut self.bytes,
                |bytes| share_bytes(bytes),
            ),
            attributes: series.attributes.clone(),
        };
        self.by_fingerprint.insert(fingerprint, id);
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
        let mut bytes = 0;
        let mut keep = |count: usize, of: usize| {
            let is_shared = count > 1;
            bytes += if is_shared { 0 } else { of };
            is_shared
        };
        self.metrics
            .retain(|key, share| keep(Arc::strong_count(share), metric_bytes(key)));
        self.resources
            .retain(|key, share| keep(Arc::strong_count(share), share_bytes(key)));
        self.scopes
            .retain(|key, share| keep(Arc::strong_count(share), share_bytes(key)));
        self.bytes -= bytes;
    }
}

/// What a series shares with others, as bytes.
struct Parts {
    resource: Vec<u8>,
    scope: Vec<u8>,
}

impl Parts {
    fn of(series: &Series) -> Self {
        let mut parts = Self {
            resource: Vec::new(),
            scope: Vec::new(),
        };
        nested::write_resource(&mut parts.resource, &series.resource);
        nested::write_scope(&mut parts.scope, &series.scope);
        parts
    }
}

// Counts the bytes of what was not there before.
fn share<K: Hash + Eq, T>(
    shares: &mut Shares<K, T>,
    key: K,
    value: &Arc<T>,
    bytes: &mut usize,
    bytes_of: impl FnOnce(&K) -> usize,
) -> Arc<T> {
    if let Some(known) = shares.get(&key) {
        return Arc::clone(known);
    }
    *bytes += bytes_of(&key);
    shares.insert(key, Arc::clone(value));
    Arc::clone(value)
}

/// Bytes of memory of a series without what it shares, roughly.
fn memory_bytes(series: &Series) -> usize {
    const FIXED: usize = 320;
    let mut bytes = Vec::new();
    nested::write_attributes(&mut bytes, &series.attributes);
    FIXED + 3 * bytes.len()
}

/// Bytes of memory of a resource or a scope, roughly, from those it is written as.
const fn share_bytes(key: &[u8]) -> usize {
    160 + 4 * key.len()
}

fn metric_bytes(metric: &Metric<'_>) -> usize {
    300 + 2 * (metric.name.len() + metric.description.len() + metric.unit.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(number: usize) -> Series {
        Series {
            metric: Arc::new(Metric {
                name: format!("metric {}", number % 3).into(),
                ..Metric::default()
            }),
            resource: Arc::new(Resource {
                attributes: vec![KeyValue::new("host", (number % 5) as i64)],
                ..Resource::default()
            }),
            attributes: vec![KeyValue::new("n", number as i64)],
            ..Series::default()
        }
    }

    #[test]
    fn what_is_forgotten_leaves_nothing_behind() {
        let mut registry = Registry::new(100);
        let listed = (1..=50).map(|id| (id, series(id as usize))).collect();
        registry.list(1, listed, 7);
        assert_eq!(
            (
                registry.len(),
                registry.metrics.len(),
                registry.resources.len()
            ),
            (50, 3, 5)
        );
        registry.saw(9, 2, 8);
        registry.forget_slice(1);
        assert_eq!(
            (
                registry.len(),
                registry.metrics.len(),
                registry.resources.len()
            ),
            (1, 1, 1)
        );
        registry.forget_slice(2);
        assert_eq!((registry.len(), registry.bytes), (0, 0));
        assert!(registry.metrics.is_empty() && registry.scopes.is_empty());
        assert!(registry.by_fingerprint.is_empty());
        // A number is never used again.
        assert_eq!(registry.next_id, 51);
    }
}
