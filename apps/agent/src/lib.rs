//! Sample application: an agent loop with tools, memory and a model provider.
//!
//! Several sessions run at once, each on a channel of its own: a terminal, or a chat service. A turn
//! screens the user's input, prepares the context (memory is recalled from SQLite by words and by
//! vectors, a skill is matched, the conversation is summarized when it is long), has a router ask the
//! model over HTTP, runs the tools it calls in a sandbox directory or hands them over to an MCP server
//! until it answers, learns from it, and remembers both sides. Beside the turns, memory is
//! kept in order, the model writes skills, and settings adapt.
//!
//! The model is a local stand-in of its own process that speaks the chat-completions protocol, with
//! tool calls, streams, latency, rate limits and failures ([`model`]); the trace continues in it by the
//! W3C `traceparent` header.
//!
//! It guarantees that every named span encloses the work it names: nothing here waits for time. The
//! only sleeps of the application are the model server's, which stand for a model thinking. Which
//! spans there are, where, and with which attributes, is in `map.toml` beside this crate's manifest.
//!
//! It must not know where its telemetry goes.
#![forbid(unsafe_code)]

mod agent;
mod app;
mod channels;
mod code_index;
mod context;
mod corpus;
mod http_client;
mod llm;
mod mcp;
mod memory;
mod metrics;
pub mod model;
mod prescreen;
mod propagation;
mod protocol;
mod session;
mod settings;
mod skills;
mod status;
mod tools;
mod upkeep;
mod wires;

pub use agent::Agent;
pub use app::{Args, Work, main, run};
pub use channels::{Channel, ChannelError};
pub use http_client::HttpError;
pub use llm::{Completion, LlmClient, LlmError, Provider, Router};
pub use mcp::McpError;
pub use memory::{Memory, MemoryError, Recalled};
pub use prescreen::{Refusal, prescreen};
pub use protocol::{
    ChatChunk, ChatRequest, ChatResponse, Choice, ChunkChoice, Delta, Embedding, EmbeddingRequest,
    EmbeddingResponse, ErrorBody, ErrorResponse, FunctionCall, FunctionDefinition, Message, Role,
    StreamOptions, ToolCall, ToolDefinition, Usage,
};
pub use session::{Session, TurnError, TurnOutcome};
pub use tools::{Sandbox, ToolError, Tools};
