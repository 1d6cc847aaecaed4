//! Exemplars: single measurements with the span they were made in.
//!
//! OpenTelemetry's SDK for Rust aggregates without them, so they are kept beside it, a few of each instrument, and put to
//! their points when these are encoded.
//!
//! Source: OpenTelemetry specification, "Metrics SDK", "Exemplar".

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::metrics::data::MetricData;
use ringlight_model::{SpanId, TraceId};

use super::encode::OVERFLOW;
use crate::TraceContext;
use crate::sync::unpoisoned;
use crate::uncounted::uncounted;

/// Of each instrument, for each export.
const SLOTS: usize = 16;

/// Which measurements may become exemplars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum ExemplarFilter {
    /// Those made in a span that is recorded.
    #[default]
    TraceBased,
    AlwaysOn,
    AlwaysOff,
}

impl ExemplarFilter {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "trace_based" => Some(Self::TraceBased),
            "always_on" => Some(Self::AlwaysOn),
            "always_off" => Some(Self::AlwaysOff),
            _ => None,
        }
    }
}

/// A measurement's number, as it is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Int(i64),
    Double(f64),
}

impl From<u64> for Number {
    /// OTLP has signed numbers alone.
    fn from(value: u64) -> Self {
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Double(value)
    }
}

impl Number {
    pub(super) const fn as_f64(self) -> f64 {
        match self {
            Self::Int(value) => value as f64,
            Self::Double(value) => value,
        }
    }

    /// The slot of a number: by its order of magnitude, so that one that is unusual does not compete with those that
    /// are not.
    fn slot(self) -> usize {
        // The exponent, by twos.
        let exponent = self.as_f64().abs().to_bits() >> 53;
        exponent as usize % SLOTS
    }
}

/// One measurement.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Exemplar {
    pub(super) value: Number,
    pub(super) time_unix_nano: u64,
    pub(super) span: Option<(TraceId, SpanId)>,
    pub(super) attributes: Vec<KeyValue>,
}

/// The exemplars of one instrument.
#[derive(Debug, Default)]
pub(super) struct Reservoir {
    slots: [Mutex<Slot>; SLOTS],
}

#[derive(Debug, Default)]
struct Slot {
    seen: u32,
    kept: Option<Exemplar>,
}

impl Reservoir {
    /// Offers a measurement: of those of one slot each is as likely to be kept. Never waits: one that comes while
    /// another is put there is not kept.
    fn offer(&self, value: Number, attributes: &[KeyValue], span: Option<(TraceId, SpanId)>) {
        let Ok(mut slot) = self.slots[value.slot()].try_lock() else {
            return;
        };
        slot.seen = slot.seen.saturating_add(1);
        if slot.seen > 1 && fastrand::u32(..slot.seen) > 0 {
            return;
        }
        uncounted(|| {
            slot.kept = Some(Exemplar {
                value,
                time_unix_nano: ringlight_clock::wall_unix_nano(),
                span,
                attributes: attributes.to_vec(),
            });
        });
    }

    /// What is kept, which stays.
    #[cfg(feature = "prometheus")]
    fn look(&self) -> Vec<Exemplar> {
        let slots = self.slots.iter();
        slots
            .filter_map(|slot| unpoisoned(slot.lock()).kept.clone())
            .collect()
    }

    fn take(&self) -> Vec<Exemplar> {
        let slots = self.slots.iter();
        let taken = slots.map(|slot| std::mem::take(&mut *unpoisoned(slot.lock())));
        taken.filter_map(|slot| slot.kept).collect()
    }
}

/// The exemplars of each point of a metric, in the order of its points.
pub(super) type OfPoints<'e> = std::vec::IntoIter<Vec<&'e Exemplar>>;

/// Which exemplars are of which point: each of the one that has its attributes. A view may have left out those whose keys no
/// point has. Where there is no such point, what was measured went into the set of what is over the limit of sets, if there is
/// one; else it is newer than what was read, and of no point.
pub(super) fn of_points<'e, T>(data: &MetricData<T>, exemplars: &'e [Exemplar]) -> OfPoints<'e> {
    fn assign<'p, 'e, I: Iterator<Item = &'p KeyValue>>(
        points: impl Iterator<Item = I>,
        exemplars: &'e [Exemplar],
    ) -> OfPoints<'e> {
        if exemplars.is_empty() {
            return OfPoints::default();
        }
        let points: Vec<Vec<&KeyValue>> = points.map(Iterator::collect).collect();
        let keys: HashSet<_> = points.iter().flatten().map(|one| &one.key).collect();
        let has = |point: &[&KeyValue], key: &str| point.iter().any(|one| one.key.as_str() == key);
        let overflow = points.iter().position(|point| has(point, OVERFLOW));
        let mut of_points = vec![Vec::new(); points.len()];
        for exemplar in exemplars {
            let attributes = &exemplar.attributes;
            let found = points.iter().position(|point| {
                let mut kept = attributes.iter().filter(|one| keys.contains(&one.key));
                point.iter().all(|one| attributes.contains(one))
                    && kept.all(|one| has(point, one.key.as_str()))
            });
            if let Some(index) = found.or(overflow) {
                of_points[index].push(exemplar);
            }
        }
        of_points.into_iter()
    }
    match data {
        MetricData::Gauge(gauge) => assign(gauge.data_points().map(|p| p.attributes()), exemplars),
        MetricData::Sum(sum) => assign(sum.data_points().map(|p| p.attributes()), exemplars),
        MetricData::Histogram(of) => assign(of.data_points().map(|p| p.attributes()), exemplars),
        MetricData::ExponentialHistogram(of) => {
            assign(of.data_points().map(|p| p.attributes()), exemplars)
        }
    }
}

/// What an instrument is known by: its scope and its name, which has no case.
type Name = (InstrumentationScope, String);

/// Those of all instruments, one a name. They stay, as what the SDK keeps of an instrument does.
#[derive(Debug)]
pub(super) struct Reservoirs {
    filter: ExemplarFilter,
    all: Mutex<HashMap<Name, Arc<Reservoir>>>,
}

/// What was taken out of them.
pub(super) type Taken = HashMap<Name, Vec<Exemplar>>;

/// Adds newer ones to those that are there, each in the place of one of its order of magnitude: who looks less often than
/// they are taken finds one that is rare, too, and of an instrument there are never more than it has slots.
#[cfg(feature = "prometheus")]
pub(super) fn renew(seen: &mut Taken, newer: Taken) {
    for (name, newer) in newer {
        let kept = seen.entry(name).or_default();
        let is_newer =
            |one: &Exemplar| newer.iter().any(|new| new.value.slot() == one.value.slot());
        kept.retain(|one| !is_newer(one));
        kept.extend(newer);
    }
}

impl Reservoirs {
    pub(super) fn new(filter: ExemplarFilter) -> Self {
        Self {
            filter,
            all: Mutex::default(),
        }
    }

    /// The one of an instrument; `None` if there are to be no exemplars.
    pub(super) fn of(&self, scope: &InstrumentationScope, name: &str) -> Option<Arc<Reservoir>> {
        if self.filter == ExemplarFilter::AlwaysOff {
            return None;
        }
        let name = (scope.clone(), name.to_ascii_lowercase());
        let mut all = unpoisoned(self.all.lock());
        Some(Arc::clone(all.entry(name).or_default()))
    }

    /// Offers a measurement to a reservoir, if it may become an exemplar.
    pub(super) fn offer(&self, reservoir: &Reservoir, value: Number, attributes: &[KeyValue]) {
        let span = TraceContext::current()
            .filter(|context| context.is_sampled())
            .map(|context| (context.trace_id(), context.span_id()));
        if span.is_some() || self.filter == ExemplarFilter::AlwaysOn {
            reservoir.offer(value, attributes, span);
        }
    }

    /// All there are, which stay.
    #[cfg(feature = "prometheus")]
    pub(super) fn look(&self) -> Taken {
        let all = unpoisoned(self.all.lock());
        let seen = all.iter().map(|(name, one)| (name.clone(), one.look()));
        seen.filter(|(_, one)| !one.is_empty()).collect()
    }

    /// All there are, which are then no longer there.
    pub(super) fn take(&self) -> Taken {
        let all = unpoisoned(self.all.lock());
        let taken = all.iter().map(|(name, one)| (name.clone(), one.take()));
        taken.filter(|(_, one)| !one.is_empty()).collect()
    }
}
