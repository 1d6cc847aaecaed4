//! How a destination is sent to.

use std::time::Duration;

use crate::Signal;

/// What a destination was sent of one signal, and how it is sent now. All zero before the first answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SignalDelivery {
    /// Requests it answered with success.
    pub requests: u64,
    /// Records in them.
    pub records: u64,
    /// Bytes of their bodies before compression.
    pub encoded_bytes: u64,
    /// Bytes of their bodies as they went over the wire, without headers; zero where the exporter does not say.
    pub wire_bytes: u64,
    /// The time a request takes until it is answered, smoothed.
    pub latency: Option<Duration>,
    /// Requests that may be under way at a time, by what it has answered so far.
    pub concurrency: u64,
    /// Bytes, before compression, that a batch may have, by what it has answered so far.
    pub batch_bytes: u64,
}

impl SignalDelivery {
    /// Bytes on the wire for each record; `None` where that is not known.
    #[must_use]
    pub fn wire_bytes_per_record(&self) -> Option<f64> {
        let is_known = self.records > 0 && self.wire_bytes > 0;
        is_known.then(|| self.wire_bytes as f64 / self.records as f64)
    }
}

/// How a destination is sent to, by signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeliverySnapshot {
    signals: [SignalDelivery; Signal::ALL.len()],
}

impl DeliverySnapshot {
    /// That of one signal.
    #[must_use]
    pub const fn signal(&self, signal: Signal) -> &SignalDelivery {
        &self.signals[signal as usize]
    }

    /// That of one signal, to change it.
    pub const fn signal_mut(&mut self, signal: Signal) -> &mut SignalDelivery {
        &mut self.signals[signal as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_a_record_are_known_where_there_are_both() {
        let of = |records, wire_bytes| {
            let delivery = SignalDelivery {
                records,
                wire_bytes,
                ..SignalDelivery::default()
            };
            delivery.wire_bytes_per_record()
        };
        assert_eq!(of(0, 0), None);
        assert_eq!(of(10, 0), None);
        assert_eq!(of(10, 405), Some(40.5));
    }
}
