//! Requests that are not made of records: those of metrics, which somebody else aggregates and encodes, on their way
//! through a pipeline like any batch.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use ringlight_model::{DropReason, KeyValue, Signal};
use ringlight_ring::RingSender;

use crate::accounts::{Accounts, Fate};
use crate::processing::{Processing, Rules};
use crate::submit::Shared;
use crate::sync::unpoisoned;

/// Hands requests to a pipeline. Cheap to clone; may be used from any thread.
#[derive(Clone)]
pub struct RequestSender {
    pub(crate) requests: Arc<Requests>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) sender: RingSender,
    /// Indexes of the destinations in the accounts.
    pub(crate) destinations: Arc<[usize]>,
    pub(crate) resource: Arc<[u8]>,
}

/// The rules for attributes that are not those of records, as they are at present. Cheap to clone; may be used from any
/// thread.
#[derive(Debug, Clone, Default)]
pub struct AttributeRules {
    /// Its base may change.
    processing: Arc<Mutex<Processing>>,
}

impl AttributeRules {
    pub(crate) fn new(processing: Processing) -> Self {
        Self {
            processing: Arc::new(Mutex::new(processing)),
        }
    }

    /// Whether there are any.
    #[must_use]
    pub fn has_rules(&self) -> bool {
        self.rules().is_some()
    }

    /// Attributes of a metric's point as they may leave the process, by the rules of the
    /// [processing](crate::CollectorConfig::processing).
    #[must_use]
    pub fn processed<'a>(&self, mut attributes: Vec<KeyValue<'a>>) -> Vec<KeyValue<'a>> {
        if let Some(rules) = self.rules() {
            rules.record_attributes(&mut attributes);
        }
        attributes
    }

    fn rules(&self) -> Option<Arc<Rules>> {
        unpoisoned(self.processing.lock()).rules()
    }

    /// Has rules that are made from now on go by this.
    pub(crate) fn set_processing(&self, processing: Processing) {
        *unpoisoned(self.processing.lock()) = processing;
    }
}

impl RequestSender {
    /// What the process says about itself, as an encoded `Resource` message; requests begin with it.
    #[must_use]
    pub fn resource(&self) -> &[u8] {
        &self.resource
    }

    /// Sends an `ExportMetricsServiceRequest`, in protobuf, to every destination that takes metrics. Its records, in the
    /// ledger, are its data points.
    ///
    /// Never waits: where no room is left for it, or after the shutdown, it is dropped and counted. What does not decode
    /// or has no data points is left out, and in no ledger.
    pub fn send_metrics(&self, request: Vec<u8>) {
        let signal = Signal::Metrics;
        let records = ringlight_otlp::items(signal, &request).unwrap_or(0);
        // In a process that was forked from the pipeline's nobody takes it, and a lock may be held for ever.
        if records == 0 || !self.shared.has_collector() {
            return;
        }
        self.accounts.received(signal, records.into());
        match self.requests.add(Request {
            signal,
            bytes: request.into(),
            records,
        }) {
            Ok(()) => self.sender.wake(),
            Err(reason) => {
                let fate = Fate::Dropped(reason);
                let all = &self.destinations;
                self.accounts
                    .settle_batch(all, signal, records.into(), fate);
            }
        }
    }
}

impl fmt::Debug for RequestSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestSender").finish_non_exhaustive()
    }
}

/// One request and the number of its records.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) signal: Signal,
    pub(crate) bytes: Bytes,
    pub(crate) records: u32,
}

/// Those that the collector has not taken yet.
#[derive(Debug)]
pub(crate) struct Requests {
    waiting: Mutex<Waiting>,
    /// Bytes of them at most, but for one that is larger and alone.
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    requests: Vec<Request>,
    bytes: usize,
    is_closed: bool,
}

impl Requests {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            bytes_max,
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        unpoisoned(self.waiting.lock())
    }

    fn add(&self, request: Request) -> Result<(), DropReason> {
        let mut waiting = self.waiting();
        if waiting.is_closed {
            return Err(DropReason::Closed);
        }
        if waiting.bytes > 0 && waiting.bytes + request.bytes.len() > self.bytes_max {
            return Err(DropReason::QueueFull);
        }
        waiting.bytes += request.bytes.len();
        waiting.requests.push(request);
        Ok(())
    }

    /// All there are.
    pub(crate) fn take(&self) -> Vec<Request> {
        let mut waiting = self.waiting();
        waiting.bytes = 0;
        std::mem::take(&mut waiting.requests)
    }

    /// All there are; there will be no others.
    pub(crate) fn close(&self) -> Vec<Request> {
        self.waiting().is_closed = true;
        self.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_much_waits_as_there_is_room_for_but_for_one_alone() {
        let requests = Requests::new(10);
        let add = |bytes: usize| {
            requests.add(Request {
                signal: Signal::Metrics,
                bytes: vec![0; bytes].into(),
                records: 1,
            })
        };
        assert_eq!(add(20), Ok(()));
        assert_eq!(add(1), Err(DropReason::QueueFull));
        assert_eq!(requests.take().len(), 1);
        assert_eq!([add(4), add(6)], [Ok(()); 2]);
        assert_eq!(add(1), Err(DropReason::QueueFull));
        assert_eq!(requests.close().len(), 2);
        assert_eq!(add(1), Err(DropReason::Closed));
    }
}
