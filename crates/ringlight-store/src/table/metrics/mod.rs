//! Points of metrics.

mod distributions;
mod sections;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use ringlight_model::{Exemplar, Metric, MetricKind, MetricPoint, Number, PointValue, Temporality};

use super::{Origins, Owners, TABLE_BYTES, at, nested};
use crate::block::section::SectionSet;
use crate::series::{Fingerprint, Series};

pub(crate) use sections::{Order, read_index, read_listed};

/// Points, one row each. In the head in the order they arrived; in a block all of a series together,
/// the series by their numbers.
///
/// A table read from a block knows its series only by their numbers, and has only the columns of the
/// sections that were loaded.
#[derive(Debug, Clone, Default)]
pub(crate) struct MetricTable {
    pub(crate) loaded: SectionSet,
    pub(crate) owners: Owners,
    pub(crate) origins: Origins,
    pub(crate) series: Vec<LocalSeries>,
    // Empty after reading back: then nothing is added any more.
    numbers: HashMap<Fingerprint, u32, RandomState>,
    /// Number in `series`, a row.
    pub(crate) of: Vec<u32>,
    /// Number in the owners' resources, a row. Not in blocks.
    pub(crate) resources: Vec<u32>,
    pub(crate) times: Vec<u64>,
    pub(crate) starts: Vec<u64>,
    pub(crate) values: Vec<Stored>,
    /// Exemplars by the row they belong to, increasing.
    pub(crate) exemplars: Vec<(u32, Exemplar<'static>)>,
    heap_bytes: usize,
}

/// A series in a table.
#[derive(Debug, Clone)]
pub(crate) struct LocalSeries {
    /// Its number in the store; 0 while it has none.
    pub(crate) id: u64,
    pub(crate) fingerprint: Fingerprint,
    /// What it is; `None` in a table read from a block.
    pub(crate) series: Option<Arc<Series>>,
}

/// The value of a row.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum Stored {
    /// Nothing was measured.
    #[default]
    None,
    Number(Number),
    Distribution(Box<PointValue>),
}

/// What the points of a request being read belong to.
#[derive(Debug, Default)]
pub(crate) struct PointOwners {
    pub(crate) resource: u32,
    pub(crate) scope: u32,
    /// Both as bytes, for telling series apart.
    pub(crate) bytes: Vec<u8>,
    buffer: Vec<u8>,
}

impl PointOwners {
    pub(crate) fn new(resource: u32, scope: u32, owners: &Owners) -> Self {
        let mut bytes = Vec::new();
        nested::write_resource(&mut bytes, &owners.resource_at(resource));
        nested::write_scope(&mut bytes, &owners.scope_at(scope));
        Self {
            resource,
            scope,
            bytes,
            buffer: Vec::new(),
        }
    }
}

impl MetricTable {
    pub(crate) fn rows(&self) -> usize {
        self.times.len()
    }

    /// Adds a point of the request being read, which was received at `received_unix_nano`: its time
    /// where it names none. The origins are set when the request is complete.
    pub(crate) fn push(
        &mut self,
        metric: &Metric<'_>,
        point: &MetricPoint<'_>,
        received_unix_nano: u64,
        owners: &mut PointOwners,
    ) {
        let fingerprint =
            Fingerprint::new(metric, &owners.bytes, &point.attributes, &mut owners.buffer);
        let number = match self.numbers.get(&fingerprint) {
            Some(&number) => number,
            None => {
                let series = Series {
                    metric: Arc::new(metric.clone().into_owned()),
                    resource: self.owners.resource_at(owners.resource),
                    scope: self.owners.scope_at(owners.scope),
                    attributes: point
                        .attributes
                        .iter()
                        .map(|attribute| attribute.clone().into_owned())
                        .collect(),
                };
                self.add_series(fingerprint, series)
            }
        };
        let row = self.rows() as u32;
        self.of.push(number);
        self.resources.push(owners.resource);
        self.times.push(match point.time_unix_nano {
            0 => received_unix_nano,
            time => time,
        });
        self.starts.push(point.start_unix_nano);
        self.push_value(Stored::of(&point.value));
        for exemplar in &point.exemplars {
            self.push_exemplar(row, exemplar.clone().into_owned());
        }
    }

    fn add_series(&mut self, fingerprint: Fingerprint, series: Series) -> u32 {
        let number = self.series.len() as u32;
        // Roughly what it takes, as long as the registry does not share it.
        let attributes: usize = series.attributes.iter().map(|kv| 64 + kv.key.len()).sum();
        self.heap_bytes += 300 + 2 * attributes + series.metric.name.len();
        self.series.push(LocalSeries {
            id: 0,
            fingerprint,
            series: Some(Arc::new(series)),
        });
        self.numbers.insert(fingerprint, number);
        number
    }

    fn push_value(&mut self, value: Stored) {
        self.heap_bytes += value.heap_bytes();
        self.values.push(value);
    }

    fn push_exemplar(&mut self, row: u32, exemplar: Exemplar<'static>) {
        self.heap_bytes += 64 * exemplar.attributes.len();
        self.exemplars.push((row, exemplar));
    }

    /// Whether the series of a row has a number.
    pub(crate) fn has_id(&self, row: usize) -> bool {
        self.id(row) != 0
    }

    /// The number of the series of a row.
    pub(crate) fn id(&self, row: usize) -> u64 {
        let number = at(&self.of, row) as usize;
        self.series.get(number).map_or(0, |series| series.id)
    }

    /// Adds those rows of another, whole table that are wanted, but not their origins.
    pub(crate) fn take(&mut self, from: &Self, keep: impl Fn(usize) -> bool) {
        let (resources, _) = self.owners.take(&from.owners);
        let mut numbers = vec![u32::MAX; from.series.len()];
        let mut exemplars = from.exemplars.iter().peekable();
        for row in 0..from.rows() {
            let is_kept = keep(row);
            let to = self.rows() as u32;
            while let Some((_, exemplar)) = exemplars.next_if(|(of, _)| *of as usize <= row) {
                if is_kept {
                    self.push_exemplar(to, exemplar.clone());
                }
            }
            if !is_kept {
                continue;
            }
            let number = from.of[row] as usize;
            if numbers[number] == u32::MAX {
                numbers[number] = self.take_series(&from.series[number]);
            }
            self.of.push(numbers[number]);
            self.resources
                .push(at(&resources, at(&from.resources, row) as usize));
            self.times.push(from.times[row]);
            self.starts.push(from.starts[row]);
            self.push_value(from.values[row].clone());
        }
    }

    fn take_series(&mut self, series: &LocalSeries) -> u32 {
        // One that was forgotten and came again meanwhile has another number in the store.
        if let Some(&number) = self.numbers.get(&series.fingerprint)
            && self.series.get(number as usize).map(|one| one.id) == Some(series.id)
        {
            return number;
        }
        let number = self.series.len() as u32;
        self.series.push(series.clone());
        self.numbers.insert(series.fingerprint, number);
        number
    }

    /// Adds the rows of another, whole table and their origins.
    pub(crate) fn take_all(&mut self, from: &Self) {
        self.take(from, |_| true);
        for (count, seq) in from.origins.iter() {
            self.origins.push(count, seq);
        }
    }

    /// Bytes of memory, roughly.
    pub(crate) fn memory_bytes(&self) -> usize {
        const ROW: usize = 2 * 8 + 2 * 4 + size_of::<Stored>();
        TABLE_BYTES
            + ROW * self.times.capacity()
            + size_of::<(u32, Exemplar<'_>)>() * self.exemplars.capacity()
            + (size_of::<LocalSeries>() + 40) * self.series.capacity()
            + self.heap_bytes
            + self.owners.memory_bytes()
    }
}

impl Stored {
    fn of(value: &PointValue) -> Self {
        match value {
            PointValue::None => Self::None,
            PointValue::Number(number) => Self::Number(*number),
            other => Self::Distribution(Box::new(other.clone())),
        }
    }

    fn heap_bytes(&self) -> usize {
        let Self::Distribution(value) = self else {
            return 0;
        };
        let lists = match &**value {
            PointValue::Histogram(value) => 8 * (value.bounds.len() + value.buckets.len()),
            PointValue::Exponential(value) => {
                8 * (value.positive.counts.len() + value.negative.counts.len())
            }
            PointValue::Summary(value) => 16 * value.quantiles.len(),
            PointValue::None | PointValue::Number(_) => 0,
        };
        size_of::<PointValue>() + lists
    }
}

/// The kind of a metric as one byte.
pub(crate) const fn kind_code(kind: MetricKind) -> u8 {
    const fn of(temporality: Temporality) -> u8 {
        match temporality {
            Temporality::Delta => 0,
            Temporality::Cumulative => 1,
        }
    }
    match kind {
        MetricKind::Gauge => 0,
        MetricKind::Sum {
            temporality,
            is_monotonic,
        } => 1 + of(temporality) + 2 * is_monotonic as u8,
        MetricKind::Histogram { temporality } => 5 + of(temporality),
        MetricKind::ExponentialHistogram { temporality } => 7 + of(temporality),
        MetricKind::Summary => 9,
    }
}

/// The kind that [`kind_code`] gave.
pub(crate) const fn kind_of_code(code: u8) -> Option<MetricKind> {
    let temporality = match code {
        1 | 3 | 5 | 7 => Temporality::Delta,
        _ => Temporality::Cumulative,
    };
    Some(match code {
        0 => MetricKind::Gauge,
        1..=4 => MetricKind::Sum {
            temporality,
            is_monotonic: code > 2,
        },
        5 | 6 => MetricKind::Histogram { temporality },
        7 | 8 => MetricKind::ExponentialHistogram { temporality },
        9 => MetricKind::Summary,
        _ => return None,
    })
}
