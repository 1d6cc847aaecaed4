//! State that is kept for each place an exporter sends to.

use ringlight_model::Signal;

use crate::export::Exporter;

/// One `T` for each [place](Exporter::place), so that a place that does not answer holds up no other. Signals
/// that are not taken share one.
pub(super) struct PerPlace<T> {
    /// Into `items`, by signal.
    index: [usize; Signal::ALL.len()],
    items: Vec<T>,
}

impl<T> PerPlace<T> {
    /// `make` is told how the place is called.
    pub(super) fn new(exporter: &impl Exporter, make: impl Fn(&str) -> T) -> Self {
        let mut places: Vec<Option<&str>> = Vec::new();
        let index = Signal::ALL.map(|signal| {
            let place = exporter.place(signal);
            let known = places.iter().position(|&known| known == place);
            known.unwrap_or_else(|| {
                places.push(place);
                places.len() - 1
            })
        });
        let name = |place: &Option<&str>| make(place.unwrap_or_else(|| exporter.name()));
        let items = places.iter().map(name).collect();
        Self { index, items }
    }

    pub(super) fn of(&self, signal: Signal) -> &T {
        &self.items[self.index[signal as usize]]
    }
}
