//! Points of metrics on disk.

use std::borrow::Cow;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use ringlight_model::{Exemplar, Metric, Number, PointValue, SpanId, TraceId};

use super::{LocalSeries, MetricTable, Stored, kind_code, kind_of_code};
use crate::block::section::Section;
use crate::codec::{Corrupt, Reader, put_bytes, put_deltas, put_varint, put_zigzag};
use crate::series::{Fingerprint, Series};
use crate::table::columns::{read_doubles, read_integers, write_doubles, write_integers};
use crate::table::{Owners, WantedKeys, nested};

/// Types of values. 3 to 5 are those of distributions.
const NONE: u8 = 0;
const INTEGER: u8 = 1;
const DOUBLE: u8 = 2;
const HISTOGRAM: u8 = 3;
const EXPONENTIAL: u8 = 4;
const SUMMARY: u8 = 5;

/// The rows of a table in the order a block has them.
#[derive(Debug)]
pub(crate) struct Order {
    /// By the number of their series, then by time.
    pub(super) rows: Vec<u32>,
    /// The number of each series, how many rows it has and the latest time of these.
    series: Vec<(u64, u32, u64)>,
}

impl Order {
    pub(crate) fn of(table: &MetricTable) -> Self {
        let mut rows: Vec<u32> = (0..table.rows() as u32).collect();
        rows.sort_by_key(|&row| (table.id(row as usize), table.times[row as usize]));
        let mut series: Vec<(u64, u32, u64)> = Vec::new();
        for &row in &rows {
            let (id, time) = (table.id(row as usize), table.times[row as usize]);
            match series.last_mut() {
                Some((known, count, last)) if *known == id => {
                    *count += 1;
                    *last = time;
                }
                _ => series.push((id, 1, time)),
            }
        }
        Self { rows, series }
    }

    /// The series of each row, as its place among the numbers.
    fn places(&self) -> impl Iterator<Item = usize> {
        let counts = self.series.iter().enumerate();
        counts.flat_map(|(place, &(_, count, _))| (0..count).map(move |_| place))
    }
}

impl MetricTable {
    /// The bytes of a section, before compression.
    pub(crate) fn write_section(&self, section: Section, order: &Order) -> Vec<u8> {
        let mut out = Vec::new();
        match section {
            Section::Core => {
                put_varint(&mut out, order.series.len() as u64);
                put_deltas(&mut out, order.series.iter().map(|&(id, ..)| id));
                for &(_, count, _) in &order.series {
                    put_varint(&mut out, u64::from(count));
                }
                put_deltas(&mut out, order.series.iter().map(|&(.., last)| last));
            }
            Section::Points => self.write_points(order, &mut out),
            Section::Values => self.write_values(order, &mut out),
            Section::Extra => {
                self.write_distributions(order, &order.places().collect::<Vec<_>>(), &mut out)
            }
            Section::Exemplars => self.write_exemplars(order, &mut out),
            _ => {}
        }
        out
    }

    /// The section that says what these series, whose numbers are sorted, are.
    pub(crate) fn write_listed(&self, listed: &[u64]) -> Vec<u8> {
        let mut owners = Owners::default();
        let mut metrics: Vec<&Metric<'_>> = Vec::new();
        let mut places: HashMap<&Metric<'_>, usize, RandomState> = HashMap::default();
        let (mut ids, mut rows) = (Vec::new(), Vec::new());
        let mut series: Vec<_> = self
            .series
            .iter()
            .filter(|one| listed.binary_search(&one.id).is_ok())
            .collect();
        series.sort_by_key(|one| one.id);
        for LocalSeries { id, series, .. } in series {
            let Some(series) = series else { continue };
            let metric = *places.entry(&series.metric).or_insert_with(|| {
                metrics.push(&series.metric);
                metrics.len() - 1
            });
            ids.push(*id);
            put_varint(&mut rows, metric as u64);
            put_varint(&mut rows, u64::from(owners.resource(&series.resource)));
            put_varint(&mut rows, u64::from(owners.scope(&series.scope)));
            nested::write_attributes(&mut rows, &series.attributes);
        }
        let mut out = Vec::new();
        owners.write(&mut out);
        put_varint(&mut out, metrics.len() as u64);
        for metric in metrics {
            out.push(kind_code(metric.kind));
            for text in [&metric.name, &metric.unit, &metric.description] {
                put_bytes(&mut out, text.as_bytes());
            }
        }
        put_varint(&mut out, ids.len() as u64);
        put_deltas(&mut out, ids);
        out.extend_from_slice(&rows);
        out
    }

    /// Adds the columns of a section of a block with so many rows. The core comes first.
    pub(crate) fn read_section(
        &mut self,
        section: Section,
        rows: usize,
        bytes: &[u8],
        _: &WantedKeys,
    ) -> Result<(), Corrupt> {
        let mut reader = Reader::new(bytes);
        match section {
            // What series are is known before any block is searched.
            Section::Dictionary => {
                self.loaded.insert(section);
                return Ok(());
            }
            Section::Core => self.read_core(rows, &mut reader)?,
            Section::Points => self.read_points(rows, &mut reader)?,
            Section::Values => self.read_values(rows, &mut reader)?,
            Section::Extra => self.read_distributions(&mut reader)?,
            Section::Exemplars => self.read_exemplars(rows, &mut reader)?,
            _ => return Err(Corrupt("section does not belong to metrics")),
        }
        self.loaded.insert(section);
        reader.end()
    }

    fn read_core(&mut self, rows: usize, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        let index = read_index(reader)?;
        let mut left = rows;
        for (place, &(id, count, _)) in index.iter().enumerate() {
            left = left
                .checked_sub(count as usize)
                .ok_or(Corrupt("series exceed the rows"))?;
            self.series.push(LocalSeries {
                id,
                fingerprint: Fingerprint::default(),
                series: None,
            });
            self.of.extend((0..count).map(|_| place as u32));
        }
        if left != 0 {
            return Err(Corrupt("series do not cover the rows"));
        }
        Ok(())
    }

    fn write_points(&self, order: &Order, out: &mut Vec<u8>) {
        let (mut previous, mut step, mut first) = (0_u64, 0_u64, 0_u64);
        let mut known = usize::MAX;
        for (&row, place) in order.rows.iter().zip(order.places()) {
            let time = self.times[row as usize];
            if place == known {
                let next = time.wrapping_sub(previous);
                put_zigzag(out, next.wrapping_sub(step).cast_signed());
                step = next;
            } else {
                put_zigzag(out, time.wrapping_sub(first).cast_signed());
                (known, first, step) = (place, time, 0);
            }
            previous = time;
        }
        put_deltas(out, order.rows.iter().map(|&row| self.starts[row as usize]));
    }

    fn read_points(&mut self, rows: usize, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        let differences = reader.zigzags(rows)?;
        let (mut previous, mut step, mut first) = (0_u64, 0_u64, 0_u64);
        let mut known = u32::MAX;
        for (difference, &place) in differences.into_iter().zip(&self.of) {
            let difference = difference.cast_unsigned();
            if place == known {
                step = step.wrapping_add(difference);
                previous = previous.wrapping_add(step);
            } else {
                previous = first.wrapping_add(difference);
                (known, first, step) = (place, previous, 0);
            }
            self.times.push(previous);
        }
        self.starts = reader.deltas(rows)?;
        Ok(())
    }

    fn write_values(&self, order: &Order, out: &mut Vec<u8>) {
        let values = || order.rows.iter().map(|&row| &self.values[row as usize]);
        out.extend(values().map(type_of));
        write_integers(
            || {
                values().filter_map(|value| match value {
                    Stored::Number(Number::Int(value)) => Some(*value),
                    _ => None,
                })
            },
            out,
        );
        write_doubles(
            || {
                values().filter_map(|value| match value {
                    Stored::Number(Number::Double(value)) => Some(*value),
                    _ => None,
                })
            },
            out,
        );
    }

    fn read_values(&mut self, rows: usize, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        let types = reader.take(rows)?;
        let count = |wanted: u8| types.iter().filter(|&&found| found == wanted).count();
        let mut integers = read_integers(count(INTEGER), reader)?.into_iter();
        let mut doubles = read_doubles(count(DOUBLE), reader)?.into_iter();
        for &value_type in types {
            self.values.push(match value_type {
                NONE => Stored::None,
                INTEGER => Stored::Number(Number::Int(integers.next().unwrap_or(0))),
                DOUBLE => Stored::Number(Number::Double(doubles.next().unwrap_or(0.0))),
                // Filled in when the distributions are read.
                HISTOGRAM => empty(PointValue::Histogram(Default::default())),
                EXPONENTIAL => empty(PointValue::Exponential(Default::default())),
                SUMMARY => empty(PointValue::Summary(Default::default())),
                _ => return Err(Corrupt("type of a point is unknown")),
            });
        }
        Ok(())
    }

    fn write_exemplars(&self, order: &Order, out: &mut Vec<u8>) {
        let mut places = vec![0_u32; order.rows.len()];
        for (place, &row) in order.rows.iter().enumerate() {
            places[row as usize] = place as u32;
        }
        let mut exemplars: Vec<_> = self
            .exemplars
            .iter()
            .map(|(row, exemplar)| (places[*row as usize], *row, exemplar))
            .collect();
        exemplars.sort_by_key(|&(place, ..)| place);
        put_varint(out, exemplars.len() as u64);
        put_deltas(out, exemplars.iter().map(|&(place, ..)| u64::from(place)));
        for (_, row, exemplar) in exemplars {
            let time = exemplar.time_unix_nano;
            put_zigzag(
                out,
                time.wrapping_sub(self.times[row as usize]).cast_signed(),
            );
            match exemplar.value {
                Number::Int(value) => {
                    out.push(INTEGER);
                    put_zigzag(out, value);
                }
                Number::Double(value) => {
                    out.push(DOUBLE);
                    out.extend_from_slice(&value.to_bits().to_le_bytes());
                }
            }
            out.extend_from_slice(&exemplar.trace_id.to_bytes());
            out.extend_from_slice(&exemplar.span_id.to_bytes());
            nested::write_attributes(out, &exemplar.attributes);
        }
    }

    // Needs the points.
    fn read_exemplars(&mut self, rows: usize, reader: &mut Reader<'_>) -> Result<(), Corrupt> {
        let count = reader.count()?;
        for row in reader.deltas(count)? {
            let row = u32::try_from(row).map_err(|_| Corrupt("exemplar of no row"))?;
            if row as usize >= rows {
                return Err(Corrupt("exemplar of no row"));
            }
            self.exemplars.push((row, Exemplar::default()));
        }
        for (row, exemplar) in &mut self.exemplars {
            let offset = reader.zigzag()?.cast_unsigned();
            let time = self.times.get(*row as usize).copied().unwrap_or(0);
            *exemplar = Exemplar {
                time_unix_nano: time.wrapping_add(offset),
                value: match reader.u8()? {
                    INTEGER => Number::Int(reader.zigzag()?),
                    DOUBLE => Number::Double(f64::from_bits(reader.u64()?)),
                    _ => return Err(Corrupt("type of an exemplar is unknown")),
                },
                trace_id: TraceId::from_bytes(reader.array()?),
                span_id: SpanId::from_bytes(reader.array()?),
                attributes: nested::read_attributes(reader)?,
            };
        }
        Ok(())
    }
}

fn empty(value: PointValue) -> Stored {
    Stored::Distribution(Box::new(value))
}

fn type_of(value: &Stored) -> u8 {
    match value {
        Stored::None => NONE,
        Stored::Number(Number::Int(_)) => INTEGER,
        Stored::Number(Number::Double(_)) => DOUBLE,
        Stored::Distribution(value) => match &**value {
            PointValue::Exponential(_) => EXPONENTIAL,
            PointValue::Summary(_) => SUMMARY,
            _ => HISTOGRAM,
        },
    }
}

/// The numbers of a block's series, how many rows each has and the latest time of these, from its
/// core.
pub(crate) fn read_index(reader: &mut Reader<'_>) -> Result<Vec<(u64, u32, u64)>, Corrupt> {
    let count = reader.count()?;
    let ids = reader.deltas(count)?;
    let counts = reader.varints_u32(count)?;
    let lasts = reader.deltas(count)?;
    let index = ids.into_iter().zip(counts).zip(lasts);
    Ok(index.map(|((id, count), last)| (id, count, last)).collect())
}

/// What [`MetricTable::write_listed`] wrote: series by their numbers.
pub(crate) fn read_listed(bytes: &[u8]) -> Result<Vec<(u64, Series)>, Corrupt> {
    let mut reader = Reader::new(bytes);
    if reader.is_empty() {
        return Ok(Vec::new());
    }
    let owners = Owners::read(&mut reader)?;
    let mut metrics = Vec::new();
    for _ in 0..reader.count()? {
        let kind = kind_of_code(reader.u8()?).ok_or(Corrupt("kind of a metric is unknown"))?;
        let mut text = || reader.text().map(|text| Cow::Owned(text.to_owned()));
        let (name, unit, description) = (text()?, text()?, text()?);
        metrics.push(Arc::new(Metric {
            name,
            description,
            unit,
            kind,
        }));
    }
    let count = reader.count()?;
    let mut listed = Vec::new();
    for id in reader.deltas(count)? {
        let metric = metrics.get(reader.varint_u32()? as usize);
        let series = Series {
            metric: metric.cloned().ok_or(Corrupt("series of no metric"))?,
            resource: owners.resource_at(reader.varint_u32()?),
            scope: owners.scope_at(reader.varint_u32()?),
            attributes: nested::read_attributes(&mut reader)?,
        };
        listed.push((id, series));
    }
    reader.end()?;
    Ok(listed)
}
