//! The backend as a server: OTLP receivers, the query API and the web UI.
//!
//! [`Server::start`] binds three ports over one [`Store`](ringlight_store::Store): OTLP over gRPC,
//! OTLP over HTTP, and the UI with the API under `/api/v1` (described by the document the server
//! answers at `/api/v1/openapi.json`).
//!
//! It guarantees:
//! - What is acknowledged is stored; what cannot be taken now is refused with a time to come back,
//!   never queued without bound.
//! - Nothing but this machine is served until there are tokens to tell who may: every address must
//!   be a loopback one. The UI and the API answer only pages of their own.
//! - Every request that is refused is counted by reason, and the newest are shown by the API.
//! - Shutting down ends by a deadline.
//!
//! It must not know how the store stores.
#![forbid(unsafe_code)]

mod api;
mod config;
mod error;
mod forward;
mod listen;
mod open_spans;
mod otlp;
mod server;
mod state;

pub use api::clients::{
    ClientAccount, ClientStatus, ClientStored, CostStatus, DeliveryStatus, MemoryStatus,
    ThreadAccountStatus, ThreadStatus,
};
pub use api::status::{Listen, RecentRefusal, SignalStatus, Status, StoreStatus};
pub use config::ServerConfig;
pub use error::{Holder, ServerError};
pub use forward::{Forward, ForwardStatus};
pub use open_spans::{OPEN_BYTES_MAX, OPEN_CLIENTS_MAX, OPEN_SPANS_MAX};
pub use otlp::{Intake, Receiver, ReceiverConfig, ReceiverConfigError};
pub use server::{Addresses, BoundServer, Server};
pub use state::{
    CLIENTS_KEPT, Client, Listener, REFUSALS_KEPT, Refusal, RefusalReason, ServerState,
    SignalCounts,
};

/// The example of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
