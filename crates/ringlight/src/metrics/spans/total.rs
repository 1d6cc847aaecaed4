//! What spans come to since the start, where what is added up is taken with every export.

use std::collections::HashMap;
use std::sync::Arc;

use ringlight_model::{SpanKind, StatusCode};

use super::series::{SERIES_MAX, Series};

/// All that has been taken so far. It has as many series as a table has, and from then on one for all others.
#[derive(Debug, Clone, Default)]
pub(super) struct Total {
    series: Vec<Series>,
    overflow: Option<Series>,
    /// Where each one is among them.
    places: HashMap<(Arc<str>, SpanKind, StatusCode), usize>,
}

impl Total {
    /// Adds what was taken, in the order it has there: which ones find room is the same however often it is taken.
    pub(super) fn add(&mut self, taken: &[Series]) {
        for series in taken {
            self.place(series).merge(series);
        }
    }

    fn place(&mut self, series: &Series) -> &mut Series {
        let known = series.of.as_ref().and_then(|of| {
            let known = self.places.get(of).copied();
            known.or_else(|| {
                let at = self.series.len();
                if at >= SERIES_MAX {
                    return None;
                }
                self.places.insert(of.clone(), at);
                self.series.push(Series::new(Some(of.clone())));
                Some(at)
            })
        });
        match known {
            Some(at) => &mut self.series[at],
            None => self.overflow.get_or_insert_with(|| Series::new(None)),
        }
    }

    /// What it would be with these.
    pub(super) fn with(&self, further: &[Series]) -> Vec<Series> {
        let mut all = self.clone();
        all.add(further);
        let mut series = all.series;
        series.extend(all.overflow);
        series
    }
}
