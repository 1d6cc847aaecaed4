//! What metrics were like over time.
//!
//! The series that match are found in memory first. Then the points of head and blocks are read in the
//! order they arrived, each source once, and each series is followed from point to point; only what the
//! windows of the answer come to is kept. A cumulative point that arrives later than one after it is
//! passed over.

mod cells;
mod follow;
mod reports;
mod sample;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use ringlight_model::{KeyValue, Metric, MetricKind, Temporality, Value};

use self::cells::{Group, Taken};
use self::follow::{Follower, Point, Rules};
use self::reports::{Instances, Reports};

use super::grid::Grid;
use super::source::{Loader, Rows, Source};
use crate::block::section::{Section, SectionSet};
use crate::query::{AttributeScope, Field, FieldValue, Fields, Intrinsic, QuerySignal};
use crate::series::{Fingerprint, Series};
use crate::state::Shared;
use crate::table::{MetricTable, nested};
use crate::{Aggregation, MetricAnswer, MetricSearch, MetricSummary, SearchError};

/// Keys of attributes that are listed of a metric.
const KEYS_MAX: usize = 100;
/// Windows of an answer.
const WINDOWS_MAX: usize = 11_000;
/// How long before and after the time asked for points are looked for at least: the neighbours of the
/// first and the last, Prometheus' staleness.
const NEIGHBOURS_NANO: u64 = 5 * 60 * 1_000_000_000;

/// All metrics, by name.
pub(crate) fn metrics(shared: &Shared) -> Vec<MetricSummary> {
    struct Found {
        metric: Arc<Metric<'static>>,
        series: u64,
        services: BTreeSet<String>,
        scopes: BTreeSet<String>,
        keys: BTreeSet<String>,
        last_unix_nano: u64,
    }
    let registry = shared.series();
    let mut found: BTreeMap<Likeness<'_>, Found> = BTreeMap::new();
    for (id, known) in registry.iter() {
        let metric = &known.series.metric;
        let entry = found.entry(likeness(metric)).or_insert_with(|| Found {
            metric: Arc::clone(metric),
            series: 0,
            services: BTreeSet::new(),
            scopes: BTreeSet::new(),
            keys: BTreeSet::new(),
            last_unix_nano: 0,
        });
        entry.series += u64::from(registry.is_current(id, known));
        if known.last_unix_nano >= entry.last_unix_nano {
            entry.last_unix_nano = known.last_unix_nano;
            entry.metric = Arc::clone(metric);
        }
        let service = known.series.resource.service_name();
        if !entry.services.contains(service) {
            entry.services.insert(service.to_owned());
        }
        let scope = &known.series.scope.name;
        if !entry.scopes.contains(&**scope) {
            entry.scopes.insert(scope.clone().into_owned());
        }
        for attribute in &known.series.attributes {
            if entry.keys.len() < KEYS_MAX && !entry.keys.contains(&*attribute.key) {
                entry.keys.insert(attribute.key.clone().into_owned());
            }
        }
    }
    let summaries = found.into_values().map(|found| MetricSummary {
        metric: (*found.metric).clone(),
        series_count: found.series,
        services: found.services.into_iter().collect(),
        scopes: found.scopes.into_iter().collect(),
        attribute_keys: found.keys.into_iter().collect(),
        last_unix_nano: found.last_unix_nano,
    });
    summaries.collect()
}

/// Answers what a metric was like.
pub(crate) fn search_metric(
    shared: &Shared,
    search: &MetricSearch,
) -> Result<MetricAnswer, SearchError> {
    if search.query.signal() != QuerySignal::Metrics {
        return Err(SearchError::WrongSignal {
            expected: QuerySignal::Metrics,
            found: search.query.signal(),
        });
    }
    let grid = Grid::new(
        search.from_unix_nano,
        search.to_unix_nano,
        search.step_nano,
        WINDOWS_MAX,
    )
    .map_err(|windows| SearchError::TooManyWindows {
        windows,
        windows_max: WINDOWS_MAX as u64,
    })?;
    let chosen = Chosen::of(shared, search)?;
    let allowed = Aggregation::allowed(chosen.metric.kind);
    let aggregation = search.aggregation.unwrap_or(allowed[0]);
    if !allowed.contains(&aggregation) {
        return Err(SearchError::Aggregation {
            asked: aggregation,
            kind: chosen.metric.kind,
            allowed,
        });
    }
    let Chosen {
        metric,
        numbers,
        followers,
        instances,
        labels,
        left_out,
    } = chosen;
    let mut groups = Groups {
        numbers,
        followers,
        reports: instances.reports(),
        groups: labels.iter().map(|_| Group::default()).collect(),
        taken: Taken::default(),
        rules: Rules { grid, aggregation },
        lowest: 0,
        highest: 0,
        not_read: 0,
    };
    let stats = groups.read(shared, search, metric.kind)?;
    let series = groups.groups.into_iter().zip(labels);
    let series = series.map(|(group, labels)| {
        let mut series = group.finish(&grid, aggregation);
        series.labels = labels;
        series
    });
    Ok(MetricAnswer {
        aggregation,
        series: series.collect(),
        series_left_out: left_out,
        stats,
        metric: (*metric).clone(),
    })
}

/// Attributes that series have in common.
type Labels = Vec<KeyValue<'static>>;

/// The series a search is about.
struct Chosen {
    metric: Arc<Metric<'static>>,
    numbers: Numbers,
    followers: Vec<Follower>,
    /// Those that count from a start on, with all of their series.
    instances: Instances,
    /// Of each group, sorted.
    labels: Vec<Labels>,
    left_out: u64,
}

/// Which follower the points of a series are for, by the number of the series. A series that was forgotten
/// and came again has several numbers and one follower.
type Numbers = HashMap<u64, usize, RandomState>;

impl Chosen {
    fn of(shared: &Shared, search: &MetricSearch) -> Result<Self, SearchError> {
        // Judged when the writer need not wait any more.
        let named: Vec<Named> = shared
            .series()
            .iter()
            .filter(|(_, known)| is_wanted(&known.series.metric, search))
            .map(|(id, known)| Named {
                id,
                fingerprint: known.fingerprint,
                last_unix_nano: known.last_unix_nano,
                series: Arc::clone(&known.series),
            })
            .collect();
        let newest = named.iter().max_by_key(|named| named.last_unix_nano);
        let Some(newest) = newest else {
            return Err(SearchError::NoSuchMetric {
                name: search.name.clone(),
                kind: search.kind.clone(),
                unit: search.unit.clone(),
            });
        };
        let metric = Arc::clone(&newest.series.metric);
        let mut groups: BTreeMap<Vec<u8>, (Labels, Vec<Named>)> = BTreeMap::new();
        let mut instances = Instances::default();
        for named in named {
            let series = &*named.series;
            if likeness(&series.metric) != likeness(&metric) {
                continue;
            }
            if is_taken_apart(series.metric.kind) {
                instances.add(named.id, series);
            }
            if !search.query.matches(&SeriesFields(series)) {
                continue;
            }
            let labels = labels_of(series, &search.by);
            let mut key = Vec::new();
            nested::write_attributes(&mut key, &labels);
            let (_, members) = groups.entry(key).or_insert_with(|| (labels, Vec::new()));
            members.push(named);
        }
        let limit = search.limit.clamp(1, 1000);
        let mut chosen = Self {
            metric,
            numbers: Numbers::default(),
            followers: Vec::new(),
            instances,
            labels: Vec::new(),
            left_out: groups.len().saturating_sub(limit) as u64,
        };
        let mut places: HashMap<Fingerprint, usize, RandomState> = HashMap::default();
        let groups = chosen_of(groups.into_values().collect(), limit, search.from_unix_nano);
        for (group, (labels, members)) in groups.into_iter().enumerate() {
            chosen.labels.push(labels);
            for member in members {
                let place = *places.entry(member.fingerprint).or_insert_with(|| {
                    let kind = member.series.metric.kind;
                    let follower = Follower::new(kind, group, member.id);
                    chosen.followers.push(follower);
                    chosen.followers.len() - 1
                });
                let follower = &mut chosen.followers[place];
                follower.number = follower.number.min(member.id);
                chosen.numbers.insert(member.id, place);
            }
        }
        Ok(chosen)
    }
}

/// So many of the groups at most, in their order. Those go first that were not seen since the time asked for
/// began, and have nothing to tell of it.
fn chosen_of(
    groups: Vec<(Labels, Vec<Named>)>,
    limit: usize,
    from_unix_nano: u64,
) -> Vec<(Labels, Vec<Named>)> {
    let is_recent = |members: &[Named]| {
        let mut members = members.iter();
        members.any(|named| named.last_unix_nano >= from_unix_nano)
    };
    let recent = groups.iter().filter(|(_, members)| is_recent(members));
    let mut room = limit.saturating_sub(recent.count());
    let chosen = groups.into_iter().filter(|(_, members)| {
        is_recent(members) || {
            let fits = room > 0;
            room = room.saturating_sub(1);
            fits
        }
    });
    chosen.take(limit).collect()
}

/// A series of the name asked for.
struct Named {
    id: u64,
    fingerprint: Fingerprint,
    last_unix_nano: u64,
    series: Arc<Series>,
}

fn is_wanted(metric: &Metric<'_>, search: &MetricSearch) -> bool {
    let kind = search.kind.as_deref();
    let unit = search.unit.as_deref();
    metric.name == search.name
        && kind.is_none_or(|kind| kind == metric.kind.as_str())
        && unit.is_none_or(|unit| unit == metric.unit)
        && search
            .is_monotonic
            .is_none_or(|is_monotonic| is_monotonic == metric.kind.is_monotonic())
}

/// Name, kind, whether it only grows, and unit.
type Likeness<'a> = (&'a str, &'static str, bool, &'a str);

// What the points of two metrics have in common that can be put together. Temporality does not matter, since
// what is put together is what was added meanwhile.
fn likeness<'a>(metric: &'a Metric<'_>) -> Likeness<'a> {
    let kind = metric.kind;
    (
        &metric.name,
        kind.as_str(),
        kind.is_monotonic(),
        &metric.unit,
    )
}

/// Whether what was added from one point to the next is worked out from what there is since a start.
fn is_taken_apart(kind: MetricKind) -> bool {
    let may_shrink = matches!(kind, MetricKind::Sum { .. }) && !kind.is_monotonic();
    kind.temporality() == Some(Temporality::Cumulative) && !may_shrink
}

fn labels_of(series: &Series, by: &[String]) -> Labels {
    let find = |attributes: &[KeyValue<'static>], key: &str| {
        let found = attributes.iter().find(|attribute| attribute.key == key);
        found.map(|attribute| attribute.value.clone())
    };
    let (point, resource) = (&series.attributes, &series.resource.attributes);
    let value = |by: &str| match (by.strip_prefix("point."), by.strip_prefix("resource.")) {
        (Some(key), _) => find(point, key),
        (_, Some(key)) => find(resource, key),
        _ => None,
    };
    let labels = by.iter().filter_map(|by| {
        let value = find(point, by)
            .or_else(|| find(resource, by))
            .or(value(by))?;
        (value != Value::Empty).then(|| KeyValue::new(by.clone(), value))
    });
    labels.collect()
}

/// A series as the query language sees it.
struct SeriesFields<'a>(&'a Series);

impl Fields for SeriesFields<'_> {
    fn any(&self, _: usize, field: &Field, test: &mut dyn FnMut(FieldValue<'_>) -> bool) -> bool {
        let series = self.0;
        let attributes = match field {
            Field::Intrinsic(Intrinsic::ScopeName) => {
                return test(FieldValue::Str(&series.scope.name));
            }
            Field::Intrinsic(Intrinsic::ScopeVersion) => {
                return test(FieldValue::Str(&series.scope.version));
            }
            Field::Attribute { scope, key } => match scope {
                AttributeScope::Point => Some((&series.attributes, key)),
                AttributeScope::Resource => Some((&series.resource.attributes, key)),
                _ => None,
            },
            Field::Intrinsic(_) => None,
        };
        let found = attributes.and_then(|(list, key)| list.iter().find(|kv| kv.key == *key));
        found.is_some_and(|attribute| match &attribute.value {
            Value::Bytes(_) | Value::Map(_) => test(FieldValue::Opaque),
            value => test(FieldValue::Value(value)),
        })
    }
}

/// A search under way.
struct Groups {
    numbers: Numbers,
    followers: Vec<Follower>,
    reports: Reports,
    groups: Vec<Group>,
    taken: Taken,
    rules: Rules,
    /// The numbers of all series lie between these.
    lowest: u64,
    highest: u64,
    /// The highest number of a series in the sources so far that were not read. As numbers are given upwards, a
    /// series with a higher one has no point in them.
    not_read: u64,
}

impl Groups {
    fn read(
        &mut self,
        shared: &Shared,
        search: &MetricSearch,
        kind: MetricKind,
    ) -> Result<crate::SearchStats, SearchError> {
        let numbers = self.numbers.keys().copied().chain(self.reports.numbers());
        (self.lowest, self.highest) = numbers.fold((u64::MAX, 0), |(lowest, highest), number| {
            (lowest.min(number), highest.max(number))
        });
        let snapshot = shared.snapshot::<MetricTable>();
        let mut sources = Source::newest_first(&snapshot, snapshot.last_seq);
        sources.sort_by_key(Source::first_seq);
        let mut loader = Loader::new(shared, snapshot.blocks.len());
        let mut sections = SectionSet::of([Section::Points, Section::Values, Section::Exemplars]);
        if !matches!(kind, MetricKind::Gauge | MetricKind::Sum { .. }) {
            sections.insert(Section::Extra);
        }
        let margin = NEIGHBOURS_NANO.max(search.step_nano.saturating_mul(2));
        let from = self.rules.grid.first_unix_nano().saturating_sub(margin);
        let to = self.rules.grid.end_unix_nano().saturating_add(margin);
        for source in &sources {
            search.cancel.check()?;
            let is_near = source.time_max() >= from && source.time_min() <= to;
            let table = (is_near && self.may_be_in(source))
                .then(|| self.load(&mut loader, source, sections))
                .flatten();
            match table {
                Some(table) => loader.stats.records_scanned += self.scan(&table, from, to)?,
                None => self.not_read = self.not_read.max(highest_number(source)),
            }
        }
        for follower in &mut self.followers {
            follower.finish(&mut self.groups[follower.group], &mut self.taken)?;
        }
        Ok(loader.stats)
    }

    fn may_be_in(&self, source: &Source<MetricTable>) -> bool {
        match source {
            Source::Chunk(_) => true,
            Source::Block(block) => {
                block.info.series_min() <= self.highest && block.info.series_max() >= self.lowest
            }
        }
    }

    // What is needed of a source, if anything is.
    fn load(
        &self,
        loader: &mut Loader<'_, MetricTable>,
        source: &Source<MetricTable>,
        sections: SectionSet,
    ) -> Option<Rows<MetricTable>> {
        let index = loader.rows(source, SectionSet::default())?;
        let mut ids = index.series.iter().map(|series| series.id);
        let sections = if ids.clone().any(|id| self.numbers.contains_key(&id)) {
            sections
        } else if ids.any(|id| self.reports.is_of(id)) {
            SectionSet::of([Section::Points])
        } else {
            return None;
        };
        // More of it is read where nobody else has it.
        drop(index);
        loader.rows(source, sections)
    }

    // Gives how many points were looked at.
    fn scan(&mut self, table: &MetricTable, from: u64, to: u64) -> Result<u64, SearchError> {
        let followers: Vec<Option<usize>> = table
            .series
            .iter()
            .map(|series| self.numbers.get(&series.id).copied())
            .collect();
        let follower_of = |row: usize| *followers.get(*table.of.get(row)? as usize)?;
        let mut new = followers.iter().flatten();
        let times = if new.any(|&place| self.followers[place].is_new()) {
            self.reports.times(table)
        } else {
            Vec::new()
        };
        let mut points = 0;
        for (row, value) in table.values.iter().enumerate() {
            let time = table.times[row];
            let Some(place) = follower_of(row).filter(|_| time <= to) else {
                continue;
            };
            let follower = &mut self.followers[place];
            if time < from {
                follower.pass(time);
                continue;
            }
            points += 1;
            let absent_at = if follower.is_new() && follower.number > self.not_read {
                self.reports.before(follower.number, time, &times)
            } else {
                0
            };
            let point = Point {
                start: table.starts[row],
                time,
                value,
                absent_at,
            };
            let group = &mut self.groups[follower.group];
            follower.follow(point, &self.rules, group, &mut self.taken)?;
        }
        self.reports.take(table);
        for (row, exemplar) in &table.exemplars {
            if let Some(window) = self.rules.grid.window_of(exemplar.time_unix_nano)
                && let Some(place) = follower_of(*row as usize)
            {
                let group = self.followers[place].group;
                self.groups[group].add_exemplar(window, exemplar);
            }
        }
        Ok(points)
    }
}

fn highest_number(source: &Source<MetricTable>) -> u64 {
    match source {
        Source::Chunk(chunk) => {
            let series = chunk.table.series.iter();
            series.map(|series| series.id).max().unwrap_or(0)
        }
        Source::Block(block) => block.info.series_max(),
    }
}
