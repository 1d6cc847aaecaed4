//! What recording costs a service: a process that answers requests over HTTP, and one that asks.

pub(crate) mod load;
pub(crate) mod service;
