//! Sample application: bounded-channel stream processing.
//!
//! Sources read binary chunks of many streams, at a steady rate with bursts in between, and send
//! them through bounded channels to shards. A shard groups what it received by stream and calls
//! [`process_stream`], which calls [`process_message`] for each chunk: parse and verify, [`compare`]
//! with the stream's previous chunk, keep statistics over a window, and [`schedule`] an analysis
//! where the signal changed. A scheduler runs the analyses, most urgent first.
//!
//! Every public async function but [`run`], which lasts as long as the application, is a span with
//! `stream_id` and `chunk_len`; those at a channel carry its fill ratio, and a full channel is
//! reported as a backpressure event. Some chunks arrive damaged or out of order; each is an error or
//! a warning on its span.
//!
//! It guarantees that no chunk is lost between source and shard (a full channel holds the source
//! back), and that processing a chunk allocates nothing that grows with the number of chunks.
//!
//! It must not know where its telemetry goes.
#![forbid(unsafe_code)]

mod analysis;
mod app;
mod channel;
mod chunk;
mod compare;
mod metrics;
mod process;
mod scheduler;
mod source;
mod statistics;

pub use analysis::{Analysis, analyze};
pub use app::{Args, Work, main, run};
pub use channel::bounded;
pub use chunk::{Chunk, ChunkBuilder, ChunkError, Samples, StreamId};
pub use compare::{Difference, compare};
pub use process::{StreamState, process_message, process_stream};
pub use scheduler::{Job, JobQueue, Priority, schedule};
pub use source::SourceConfig;
pub use statistics::Window;
