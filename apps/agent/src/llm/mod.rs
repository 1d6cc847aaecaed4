//! Asking models, over HTTP.

mod chat;
mod client;
mod embed;
mod error;
mod extract;
mod provider;
mod router;
mod sse;
mod stream;

pub use chat::Completion;
pub use client::LlmClient;
pub use error::LlmError;
pub use provider::Provider;
pub use router::Router;
