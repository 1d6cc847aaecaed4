//! A log of batches on disk that outlives the process.
//!
//! A [`Spool`] is a directory that one process has for itself, with a [`Log`] for each signal of each
//! destination. A log is a row of segment files; what goes in is safe once [`Log::append`] returns, comes out in
//! its order, and is gone once it is [done](Log::done). The format is in `docs/spool-format.md`, byte by byte.
//!
//! It guarantees: what was acknowledged comes out after a crash at any moment, at least once; what is damaged is
//! noticed, skipped and counted, and nothing behind it is lost; nothing that was recorded can pass for a frame
//! of the log; files are for their owner alone, and symbolic links are not followed.
//!
//! It keeps in memory what is as long as its files are many: a line for each segment, and ranges of what is done.
//! All calls block.
//!
//! It must not know what a batch is, nor where it goes.
#![forbid(unsafe_code)]

mod disk;
mod format;
mod frame;
mod log;
mod ranges;
mod recover;
mod scan;
mod segment;
mod spool;

pub use disk::{Disk, DiskFile, SystemDisk};
pub use frame::{Entry, Frame};
pub use log::{Log, LogOptions, Lost, Read};
pub use recover::Recovered;
pub use spool::{Spool, SpoolError, file_name};

/// The example of the README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
