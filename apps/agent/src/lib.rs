//! Sample application: an agent loop with tools, memory and a model provider.
//!
//! Several sessions run at once. A turn screens the user's input, prepares the context (memory is
//! recalled from SQLite), asks the model over HTTP, runs the tools it calls in a sandbox directory
//! until it answers, and remembers both sides. The model is a local stand-in of its own process that
//! speaks the chat-completions protocol, with tool calls, latency, rate limits and failures
//! ([`model`]); the trace continues in it by the W3C `traceparent` header.
//!
//! It guarantees that every named span encloses the work it names: nothing here waits for time. The
//! only sleeps of the application are the model server's, which stand for a model thinking.
//!
//! It must not know where its telemetry goes.
#![forbid(unsafe_code)]

mod app;
mod context;
mod corpus;
mod llm;
mod memory;
pub mod model;
mod prescreen;
mod propagation;
mod protocol;
mod session;
mod status;
mod tools;

pub use app::{Args, Work, main, run};
pub use context::prepare_context;
pub use llm::{Completion, LlmClient, LlmError};
pub use memory::{Memory, MemoryError, Recalled};
pub use prescreen::{Refusal, prescreen};
pub use protocol::{
    ChatRequest, ChatResponse, Choice, ErrorBody, ErrorResponse, FunctionCall, FunctionDefinition,
    Message, Role, ToolCall, ToolDefinition, Usage,
};
pub use session::{Session, TurnError, TurnOutcome};
pub use tools::{Sandbox, ToolError, Tools};
