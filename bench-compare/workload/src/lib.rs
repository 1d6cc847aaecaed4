//! What the programs of this bench have in common: attributes of spans, clocks, the service whose requests are
//! measured, and what processes with features and those of pairs say.
//!
//! It must not know who records: it has `tracing`'s macros, and no subscriber.
#![forbid(unsafe_code)]

mod attributes;
mod cores;
mod feature;
mod meter;
pub mod orders;
mod pairs;

pub use attributes::{Took, id, route};
pub use cores::Cores;
pub use feature::{Outcome, Part, SignalOutcome, Telemetry};
pub use meter::{process_cpu_ns, resident_max_mib, thread_cpu_ns};
pub use pairs::{AllocationRun, Channels, Exchange, Turns};
