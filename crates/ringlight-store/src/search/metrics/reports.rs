//! When the instances of a metric reported it.
//!
//! Who counts from a start on reports all that was counted so far, each time. A series that is missing in a
//! report began after it, however long before its process did.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use ringlight_model::{MetricKind, Resource, Scope};

use crate::series::Series;
use crate::table::MetricTable;

/// What tells instances apart: series share what they have in common.
type Instance = (*const Resource<'static>, *const Scope<'static>, MetricKind);

/// Gives the series of a metric the instances they come from.
#[derive(Debug, Default)]
pub(super) struct Instances {
    places: HashMap<Instance, usize, RandomState>,
    /// By the numbers of the series.
    of: HashMap<u64, usize, RandomState>,
}

impl Instances {
    /// Takes a series among those whose reports are looked at.
    pub(super) fn add(&mut self, number: u64, series: &Series) {
        let instance = (
            Arc::as_ptr(&series.resource),
            Arc::as_ptr(&series.scope),
            series.metric.kind,
        );
        let next = self.places.len();
        let place = *self.places.entry(instance).or_insert(next);
        self.of.insert(number, place);
    }

    /// What is known of their reports, which is nothing yet.
    pub(super) fn reports(self) -> Reports {
        Reports {
            newest: vec![[0; 2]; self.places.len()],
            of: self.of,
        }
    }
}

/// The reports of instances, from one source of points to the next.
#[derive(Debug)]
pub(super) struct Reports {
    /// The place of the instance in `newest`, by the numbers of its series.
    of: HashMap<u64, usize, RandomState>,
    /// Times of the newest report and of the one before it, in the sources so far; 0 where there is none.
    newest: Vec<[u64; 2]>,
}

impl Reports {
    /// The numbers of all series that are looked at.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.of.keys().copied()
    }

    pub(super) fn is_of(&self, number: u64) -> bool {
        self.of.contains_key(&number)
    }

    /// The times of the reports in a source, in order by instance.
    pub(super) fn times(&self, table: &MetricTable) -> Vec<(usize, u64)> {
        let mut times: Vec<(usize, u64)> = self.rows(table).collect();
        times.sort_unstable();
        times.dedup();
        times
    }

    /// The newest report before a time of the instance that a series comes from, in the sources so far or in
    /// the one whose times are given; 0 where none is known.
    pub(super) fn before(&self, number: u64, time: u64, times: &[(usize, u64)]) -> u64 {
        let Some(&place) = self.of.get(&number) else {
            return 0;
        };
        let earlier = &times[..times.partition_point(|&known| known < (place, time))];
        let in_source = earlier.last().filter(|(of, _)| *of == place);
        // A report may be in several requests, so that the newest may be of the same time.
        let so_far = self.newest[place].into_iter().find(|&known| known < time);
        let in_source = in_source.map(|&(_, known)| known);
        in_source.max(so_far).unwrap_or(0)
    }

    /// Takes the reports in a source into account.
    pub(super) fn take(&mut self, table: &MetricTable) {
        for (place, time) in self.rows(table) {
            let [last, before] = &mut self.newest[place];
            if time > *last {
                *before = std::mem::replace(last, time);
            } else if time < *last {
                *before = time.max(*before);
            }
        }
    }

    // Instance and time of each row.
    fn rows<'a>(&self, table: &'a MetricTable) -> impl Iterator<Item = (usize, u64)> + use<'a> {
        let places: Vec<Option<usize>> = table
            .series
            .iter()
            .map(|series| self.of.get(&series.id).copied())
            .collect();
        let rows = table.of.iter().zip(&table.times);
        rows.filter_map(move |(&series, &time)| Some(((*places.get(series as usize)?)?, time)))
    }
}
