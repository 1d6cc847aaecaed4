//! Where requests go besides the store.

use std::collections::BTreeMap;
use std::fmt;

use ringlight_model::{DeliverySnapshot, LedgerSnapshot, Signal};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::clients::{ClientAccount, DeliveryStatus};

/// Passes on what a server has taken, of every signal.
pub trait Forward: fmt::Debug + Send + Sync + 'static {
    /// Takes a copy of a request, `Export*ServiceRequest` in protobuf. Must not wait: the client is answered after it.
    fn forward(&self, signal: Signal, request: &[u8]);

    /// Where they go, without anything secret.
    fn destination(&self) -> &str;

    /// What became of the records.
    fn ledger(&self) -> LedgerSnapshot;

    /// How they are sent.
    fn delivery(&self) -> DeliverySnapshot;
}

/// What became of what the server passes on, as it counts it itself. Records of metrics are data points.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ForwardStatus {
    /// Where it goes.
    pub destination: String,
    /// The accounts of signals that were passed on: `traces`, `logs`, `metrics`, `profiles`.
    pub signals: BTreeMap<&'static str, ClientAccount>,
    /// How they are sent.
    pub delivery: BTreeMap<&'static str, DeliveryStatus>,
}

impl ForwardStatus {
    pub(crate) fn of(forward: &dyn Forward) -> Self {
        let (ledger, delivery) = (forward.ledger(), forward.delivery());
        let is_used = |signal: &Signal| {
            let account = ledger.account(*signal);
            account.submitted + account.recovered > 0
        };
        let used: Vec<_> = Signal::ALL.into_iter().filter(is_used).collect();
        let accounts = used.iter().map(|s| (s.as_str(), ledger.account(*s).into()));
        let deliveries = used
            .iter()
            .map(|s| (s.as_str(), delivery.signal(*s).into()));
        Self {
            destination: forward.destination().to_owned(),
            signals: accounts.collect(),
            delivery: deliveries.collect(),
        }
    }
}
