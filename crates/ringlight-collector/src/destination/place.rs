//! The places an exporter sends to.

use ringlight_model::Signal;

use crate::accounts::SignalSet;
use crate::export::ExporterBoxed;

/// The signals that go to the destinations of a pipeline; of a relay all do.
pub(crate) const BY_PIPELINE: &[Signal] = &[Signal::Traces, Signal::Logs, Signal::Metrics];

/// One place an exporter sends to. What happens to one says nothing about another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) signals: SignalSet,
}

impl Place {
    /// The places of an exporter for these signals, which have none of them in common.
    pub(crate) fn of(
        exporter: &dyn ExporterBoxed,
        signals: impl IntoIterator<Item = Signal>,
    ) -> Vec<Self> {
        let mut places: Vec<Self> = Vec::new();
        for signal in signals {
            let Some(name) = exporter.place_boxed(signal) else {
                continue;
            };
            let known = places.iter().position(|place| place.name == name);
            let index = known.unwrap_or_else(|| {
                places.push(Self {
                    name: name.to_owned(),
                    signals: SignalSet::default(),
                });
                places.len() - 1
            });
            places[index].signals.insert(signal);
        }
        places
    }
}
