//! The series that spans are added up in: one for each name, kind and status.

use std::collections::HashMap;
use std::mem::take;
use std::sync::Arc;

use foldhash::fast::RandomState;
use ringlight_collector::record::{SpanRecord, Text};
use ringlight_model::{CallsiteId, CallsiteRegistry, SpanId, SpanKind, StatusCode, TraceId};

use super::histogram::Histogram;
use super::meaning::{Meaning, Roles, shown};

/// Series at most, as the sets of attributes of other metrics; what is beyond goes into one of its own.
pub(super) const SERIES_MAX: usize = 2000;

/// Bytes of a span's name in a series, at most: a span that is submitted whole may have a very long one. Names that
/// are the same up to there are one.
const NAME_BYTES_MAX: usize = 1024;

const KINDS: usize = 6;
const STATUSES: usize = 3;

/// Callsites that are found without hashing.
const RECENT: usize = 64;

/// The longest of some spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::metrics) struct Longest {
    pub(in crate::metrics) nano: u64,
    pub(in crate::metrics) end_unix_nano: u64,
    pub(in crate::metrics) trace_id: TraceId,
    pub(in crate::metrics) span_id: SpanId,
}

/// What is known of the spans of one name, kind and status.
#[derive(Debug, Clone)]
pub(in crate::metrics) struct Series {
    /// `None` for the one of all that found no room.
    pub(in crate::metrics) of: Option<(Arc<str>, SpanKind, StatusCode)>,
    /// How long they took.
    pub(in crate::metrics) duration: Histogram,
    /// How long they were entered, and how long they were not, where they say so.
    pub(in crate::metrics) busy: Histogram,
    pub(in crate::metrics) idle: Histogram,
    /// The longest one since the last time, where exemplars are wanted.
    pub(in crate::metrics) longest: Option<Longest>,
    /// The one that was the longest the last time there was one.
    #[cfg(feature = "prometheus")]
    longest_before: Option<Longest>,
    /// What is left of the spans that others stand for, since one counts as a whole number of them: 0..1.
    left: f64,
}

impl Series {
    pub(super) fn new(of: Option<(Arc<str>, SpanKind, StatusCode)>) -> Self {
        Self {
            of,
            duration: Histogram::new(),
            busy: Histogram::new(),
            idle: Histogram::new(),
            longest: None,
            #[cfg(feature = "prometheus")]
            longest_before: None,
            // By lot: where series begin anew with every export, each loses on average what it began with.
            left: fastrand::f64(),
        }
    }

    /// How often a span counts that stands for `weight` of them, one at least. Over all of a series it adds up to within one, and
    /// over many series on average.
    fn times(&mut self, weight: f64) -> u64 {
        if weight <= 1.0 {
            return 1;
        }
        let due = weight + self.left;
        self.left = due.fract();
        // A float beyond the range of the integer becomes the nearest one.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "as intended, see above"
        )]
        let times = due as u64;
        times
    }

    /// Those that were longest are another time's from now on.
    fn forget_longest(&mut self) {
        #[cfg(feature = "prometheus")]
        {
            self.longest_before = self.longest.or(self.longest_before);
        }
        self.longest = None;
    }

    /// Adds the spans of another one.
    #[cfg(feature = "prometheus")]
    pub(super) fn merge(&mut self, other: &Self) {
        self.duration.merge(&other.duration);
        self.busy.merge(&other.busy);
        self.idle.merge(&other.idle);
        self.longest = other.longest.or(self.longest);
    }

    #[inline]
    fn add(&mut self, span: &SpanRecord<'_>, meaning: &Meaning<'_>, has_exemplars: bool) {
        let times = self.times(meaning.weight);
        // It ends before it starts only by a defect of whoever made it, and takes no time then.
        let nano = span.end_unix_nano().saturating_sub(span.start_unix_nano());
        if has_exemplars && self.longest.is_none_or(|longest| longest.nano < nano) {
            self.longest = Some(Longest {
                nano,
                end_unix_nano: span.end_unix_nano(),
                trace_id: span.trace_id(),
                span_id: span.span_id(),
            });
        }
        self.duration.add(nano, times);
        if let Some(busy) = meaning.busy {
            self.busy.add(busy, times);
        }
        if let Some(idle) = meaning.idle {
            self.idle.add(idle, times);
        }
    }
}

/// The series of one name, by kind and status.
#[derive(Debug)]
struct OfName {
    name: Arc<str>,
    series: [Option<u32>; KINDS * STATUSES],
}

/// What is known of a callsite.
#[derive(Debug)]
struct Known {
    name: &'static str,
    /// Where the series of its name are, once there are any.
    of_name: Option<usize>,
    /// Where those of the last name are that a span of it had of its own.
    of_last: Option<usize>,
    roles: Roles,
}

/// All series, and what leads to them.
#[derive(Debug)]
pub(super) struct Table {
    series: Vec<Series>,
    overflow: Option<Series>,
    /// Whether the longest spans are kept as exemplars.
    has_exemplars: bool,
    names: Vec<OfName>,
    by_name: HashMap<Arc<str>, usize, RandomState>,
    /// The first one stands for records without a callsite. They are as many as the program's source has, and scopes
    /// of the OpenTelemetry API.
    callsites: Vec<Known>,
    by_callsite: HashMap<CallsiteId, usize, RandomState>,
    /// Callsites met lately, by a few bits of their address.
    recent: [Option<(CallsiteId, usize)>; RECENT],
}

impl Table {
    pub(super) fn new(has_exemplars: bool) -> Self {
        let none = Known {
            name: "",
            of_name: None,
            of_last: None,
            roles: Roles::default(),
        };
        Self {
            series: Vec::new(),
            overflow: None,
            has_exemplars,
            names: Vec::new(),
            by_name: HashMap::default(),
            callsites: vec![none],
            by_callsite: HashMap::default(),
            recent: [None; RECENT],
        }
    }

    /// Adds a span. One of a callsite that nobody knows is not sent either.
    #[inline]
    pub(super) fn add(
        &mut self,
        span: &SpanRecord<'_>,
        registry: &CallsiteRegistry,
        weight: Option<f64>,
    ) {
        let Some(callsite) = self.callsite(span.callsite(), registry) else {
            return;
        };
        let meaning = Meaning::of(span, &self.callsites[callsite].roles, weight);
        let of_name = match &meaning.name {
            None => self.name_of_callsite(callsite),
            Some(name) => self.name_of_span(callsite, *name),
        };
        let series = of_name.and_then(|name| self.series_of(name, meaning.kind, meaning.status));
        let series = match series {
            Some(index) => &mut self.series[index],
            None => self.overflow.get_or_insert_with(|| Series::new(None)),
        };
        series.add(span, &meaning, self.has_exemplars);
    }

    /// The index of a callsite, learning it if it is new.
    #[inline]
    fn callsite(&mut self, id: Option<CallsiteId>, registry: &CallsiteRegistry) -> Option<usize> {
        let Some(id) = id else { return Some(0) };
        // Metadata are statics of more than a hundred bytes.
        let address = id.get();
        let place = (address >> 5 ^ address >> 11) as usize % RECENT;
        if let Some((known, index)) = self.recent[place]
            && known == id
        {
            return Some(index);
        }
        let index = match self.by_callsite.get(&id) {
            Some(&index) => index,
            None => self.learn(id, registry)?,
        };
        self.recent[place] = Some((id, index));
        Some(index)
    }

    #[cold]
    fn learn(&mut self, id: CallsiteId, registry: &CallsiteRegistry) -> Option<usize> {
        let callsite = registry.lookup(id)?;
        let index = self.callsites.len();
        self.callsites.push(Known {
            name: callsite.name,
            of_name: None,
            of_last: None,
            roles: Roles::of(&callsite),
        });
        self.by_callsite.insert(id, index);
        Some(index)
    }

    #[inline]
    fn name_of_callsite(&mut self, callsite: usize) -> Option<usize> {
        let Known { name, of_name, .. } = self.callsites[callsite];
        if of_name.is_some() {
            return of_name;
        }
        let found = self.named(name);
        self.callsites[callsite].of_name = found;
        found
    }

    /// The series of a name that a span has of its own, often the same one as that before it.
    #[inline]
    fn name_of_span(&mut self, callsite: usize, name: Text<'_>) -> Option<usize> {
        let last = self.callsites[callsite].of_last;
        if let Some(last) = last
            && !name.cut
            && name.bytes == self.names[last].name.as_bytes()
        {
            return Some(last);
        }
        let found = self.named(&shown(name));
        self.callsites[callsite].of_last = found;
        found
    }

    /// The series of a name; `None` if it is new and there is no room.
    fn named(&mut self, name: &str) -> Option<usize> {
        let name = &name[..name.floor_char_boundary(NAME_BYTES_MAX)];
        if let Some(&index) = self.by_name.get(name) {
            return Some(index);
        }
        if self.series.len() >= SERIES_MAX {
            return None;
        }
        let index = self.names.len();
        let name: Arc<str> = name.into();
        self.names.push(OfName {
            name: Arc::clone(&name),
            series: [None; KINDS * STATUSES],
        });
        self.by_name.insert(name, index);
        Some(index)
    }

    #[inline]
    fn series_of(&mut self, name: usize, kind: SpanKind, status: StatusCode) -> Option<usize> {
        let of_name = &mut self.names[name];
        let known = &mut of_name.series[kind as usize * STATUSES + status as usize];
        if let Some(index) = *known {
            return Some(index as usize);
        }
        let index = self.series.len();
        if index >= SERIES_MAX {
            return None;
        }
        *known = Some(index as u32);
        let of = (Arc::clone(&of_name.name), kind, status);
        self.series.push(Series::new(Some(of)));
        Some(index)
    }

    /// All series as they are, for as long as they grow from the start. They have no exemplars any more.
    pub(super) fn copy(&mut self) -> Vec<Series> {
        let mut copy = self.series.clone();
        copy.extend(self.overflow.clone());
        for series in self.series.iter_mut().chain(&mut self.overflow) {
            series.forget_longest();
        }
        copy
    }

    /// All series as they are, which changes nothing. Their exemplars are the last there were.
    #[cfg(feature = "prometheus")]
    pub(super) fn look(&self) -> Vec<Series> {
        let all = self.series.iter().chain(&self.overflow);
        let series = all.map(|series| Series {
            longest: series.longest.or(series.longest_before),
            ..series.clone()
        });
        series.collect()
    }

    /// All series, which begin anew.
    pub(super) fn take(&mut self) -> Vec<Series> {
        let mut taken = take(&mut self.series);
        taken.extend(self.overflow.take());
        self.names.clear();
        self.by_name.clear();
        for callsite in &mut self.callsites {
            callsite.of_name = None;
            callsite.of_last = None;
        }
        taken
    }
}
