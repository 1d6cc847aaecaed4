//! Series: which there are, within a bound.
//!
//! A series is a metric with a resource, a scope and attributes; its points are stored under a
//! number. The series of all that is stored are in memory, each once, so that a search judges them
//! before it reads anything, and so that an attribute with a new value in every point cannot take
//! the memory or the disk. At the bound the series that nothing has come of for the longest time make
//! room, as every start of a process brings series of its own; where all are still written to, points of
//! further ones are refused.

use std::collections::BTreeMap;
use std::hash::Hash;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use ringlight_model::{KeyValue, Metric, Resource, Scope};
use twox_hash::XxHash3_128;

use crate::table::{LocalSeries, MetricTable, nested};

/// Bytes of memory of all series together.
const SERIES_BYTES_MAX: usize = 64 << 20;
/// How long nothing has come of a series that may make room for another: longer than the usual intervals
/// of reporting.
const IDLE_NANO: u64 = 15 * 60 * 1_000_000_000;
/// The part of all series that makes room at a time, so that finding the oldest costs each little.
const ROOM_PART: usize = 64;
/// How long there is no other look for idle series after one that found fewer than make room at a time.
const LOOK_PAUSE_NANO: u64 = 1_000_000_000;

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
    pub(crate) fingerprint: Fingerprint,
    /// Time of its newest point, Unix nanoseconds; after a start at least that of the block that
    /// lists it.
    pub(crate) last_unix_nano: u64,
    /// When its newest point arrived, Unix nanoseconds; after a start when the newest request of the
    /// newest block did that is known to have a point of it.
    received_unix_nano: u64,
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
    /// Series that made room for others, and those there was no room for at the start.
    forgotten: u64,
    /// When to look for idle series again at the earliest, Unix nanoseconds.
    look_from_unix_nano: u64,
}

/// Where and when points arrived.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    /// The slice they are stored in.
    pub(crate) slice: u32,
    /// When they arrived, Unix nanoseconds.
    pub(crate) received_unix_nano: u64,
    /// Whether they are stored already, so that their series are known however many there are.
    pub(crate) is_stored: bool,
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
            forgotten: 0,
            look_from_unix_nano: 0,
        }
    }

    /// Series by their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Known)> {
        self.known.iter().map(|(&id, known)| (id, known))
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    /// Series that are stored and not known, as they made room for others or there was none for them at
    /// the start.
    pub(crate) const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Whether a series has this number now; one that was forgotten and came again has several.
    pub(crate) fn is_current(&self, id: u64, known: &Known) -> bool {
        self.by_fingerprint.get(&known.fingerprint) == Some(&id)
    }

    /// Gives the series of a request their numbers, new ones where they are new. Those for which
    /// there is no room get none. `added` is what to [forget](Self::forget) if the request is not
    /// stored after all.
    pub(crate) fn resolve(
        &mut self,
        table: &mut MetricTable,
        arrival: Arrival,
        added: &mut Vec<u64>,
    ) {
        // First those that are known, so that none of them makes room for another of the same request.
        let mut new = Vec::new();
        for local in &mut table.series {
            if local.series.is_none() {
                continue;
            }
            match self.by_fingerprint.get(&local.fingerprint).copied() {
                Some(id) => self.take_up(id, local, arrival),
                None => new.push(local),
            }
        }
        for local in new {
            let Some(series) = &local.series else {
                continue;
            };
            let parts = Parts::of(series);
            if !self.makes_room(series, &parts, arrival.received_unix_nano) && !arrival.is_stored {
                continue;
            }
            let id = self.next_id;
            self.insert(id, series, parts, local.fingerprint);
            added.push(id);
            self.take_up(id, local, arrival);
        }
    }

    fn take_up(&mut self, id: u64, local: &mut LocalSeries, arrival: Arrival) {
        if let Some(known) = self.known.get_mut(&id) {
            known.last_slice = known.last_slice.max(arrival.slice);
            known.received_unix_nano = known.received_unix_nano.max(arrival.received_unix_nano);
            local.id = id;
            local.series = Some(Arc::clone(&known.series));
        }
    }

    /// Gives no new series a number up to this one.
    pub(crate) fn reserve(&mut self, id: u64) {
        self.next_id = self.next_id.max(id.saturating_add(1));
    }

    /// Takes over series that a block lists, whose earliest point is of the time `time_min`, as far as
    /// there is room: the newest block first. `left_out` gets the numbers of the others.
    pub(crate) fn list(
        &mut self,
        listed: Vec<(u64, Series)>,
        arrival: Arrival,
        time_min: u64,
        left_out: &mut HashSet<u64, RandomState>,
    ) {
        for (id, series) in listed {
            if !self.known.contains_key(&id) {
                let parts = Parts::of(&series);
                if !self.has_room(&series, &parts) {
                    left_out.insert(id);
                    continue;
                }
                let fingerprint = Fingerprint::of(&series);
                self.insert(id, &series, parts, fingerprint);
            }
            if let Some(known) = self.known.get_mut(&id) {
                known.listed_in = known.listed_in.max(arrival.slice);
            }
            self.saw(id, arrival, time_min);
        }
    }

    /// Notes how many series there was no room for at the start.
    pub(crate) fn set_left_out(&mut self, count: usize) {
        self.forgotten = count as u64;
    }

    // Whether there is room for a series, once those that are idle are gone.
    fn makes_room(&mut self, series: &Series, parts: &Parts, now_unix_nano: u64) -> bool {
        loop {
            if self.has_room(series, parts) {
                return true;
            }
            if !self.forget_idle(now_unix_nano) {
                return false;
            }
        }
    }

    // Forgets those that nothing has come of for the longest time. What is stored of them stays until its
    // slice is deleted. Gives whether there were any.
    fn forget_idle(&mut self, now_unix_nano: u64) -> bool {
        // A clock that was set back is not waited for.
        let pause = self.look_from_unix_nano.saturating_sub(now_unix_nano);
        if (1..=LOOK_PAUSE_NANO).contains(&pause) {
            return false;
        }
        let mut idle: Vec<(u64, u64)> = self
            .known
            .iter()
            .map(|(&id, known)| (known.received_unix_nano, id))
            .filter(|(received, _)| now_unix_nano.saturating_sub(*received) > IDLE_NANO)
            .collect();
        let wanted = (self.series_max / ROOM_PART).max(1);
        if idle.len() <= wanted {
            self.look_from_unix_nano = now_unix_nano.saturating_add(LOOK_PAUSE_NANO);
        }
        if idle.is_empty() {
            return false;
        }
        let count = wanted.min(idle.len());
        idle.select_nth_unstable(count - 1);
        idle.truncate(count);
        let gone: Vec<u64> = idle.into_iter().map(|(_, id)| id).collect();
        self.forget(&gone);
        self.forgotten += count as u64;
        true
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
        // Of several numbers the newest is listed first.
        self.by_fingerprint.entry(fingerprint).or_insert(id);
        self.reserve(id);
        self.known.insert(
            id,
            Known {
                series: Arc::new(series),
                fingerprint,
                last_unix_nano: 0,
                received_unix_nano: 0,
                last_slice: 0,
                listed_in: 0,
                bytes,
            },
        );
    }

    /// Notes that points of a series are stored, the latest of this time.
    pub(crate) fn saw(&mut self, id: u64, arrival: Arrival, time_unix_nano: u64) {
        if let Some(known) = self.known.get_mut(&id) {
            known.last_unix_nano = known.last_unix_nano.max(time_unix_nano);
            known.received_unix_nano = known.received_unix_nano.max(arrival.received_unix_nano);
            known.last_slice = known.last_slice.max(arrival.slice);
        }
    }

    /// Whether no block of the slice lists a series yet, as far as is known.
    pub(crate) fn is_unlisted(&self, id: u64, slice: u32) -> bool {
        // One that was forgotten since its points arrived has to be listed, or nothing would say what they are.
        let known = self.known.get(&id);
        known.is_none_or(|known| known.listed_in < slice)
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
mod tests;
