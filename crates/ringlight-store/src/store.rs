//! The store itself: opening, and the operations it offers.

use std::sync::Arc;

use ringlight_model::{Decoder, TraceId};

use crate::directory::DataDirectory;
use crate::{
    AttributeKey, AttributeSearch, Ingest, IngestError, IngestReceipt, InstanceStored, LogPage,
    LogSearch, Run, SearchError, ServiceSummary, StoreConfig, StoreError, StoreStats, Trace,
    TracePage, TraceSearch, ValueSearch,
};

/// An open store. All operations may be called from any thread; they block, so an asynchronous
/// caller moves them to a thread that may.
pub struct Store {
    directory: DataDirectory,
    config: StoreConfig,
    decoder: Arc<dyn Decoder>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("directory", &self.directory)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the store of a directory, creating it if there is none, and begins a run.
    ///
    /// # Errors
    /// When a field of the configuration is out of range, the directory cannot be used or belongs
    /// to something else, another process has it open, or its format is newer.
    pub fn open(config: StoreConfig, decoder: Arc<dyn Decoder>) -> Result<Self, StoreError> {
        config.validate()?;
        let directory = DataDirectory::open(&config.data_dir)?;
        Ok(Self {
            directory,
            config,
            decoder,
        })
    }

    /// The directory it lives in.
    #[must_use]
    pub fn data_dir(&self) -> &std::path::Path {
        self.directory.path()
    }

    /// The number of the current run.
    #[must_use]
    pub fn run_id(&self) -> u64 {
        1
    }

    /// Stores a request. Returns once it is durable and searches see it.
    ///
    /// # Errors
    /// When the request does not decode, too much is waiting already, the disk is full, writing
    /// fails or the store is closed. [`IngestError`] says when to try again.
    pub fn ingest(&self, ingest: Ingest<'_>) -> Result<IngestReceipt, IngestError> {
        let _ = (ingest, &self.decoder);
        Err(IngestError::Closed)
    }

    /// Traces that match, newest first.
    ///
    /// # Errors
    /// When the query is not for traces or the cursor is not one of this store.
    pub fn search_traces(&self, search: &TraceSearch) -> Result<TracePage, SearchError> {
        let _ = search;
        Ok(TracePage::default())
    }

    /// A whole trace, if any span of it is stored.
    #[must_use]
    pub fn trace(&self, trace_id: TraceId) -> Option<Trace> {
        let _ = trace_id;
        None
    }

    /// Log records that match, newest first.
    ///
    /// # Errors
    /// When the query is not for logs or the cursor is not one of this store.
    pub fn search_logs(&self, search: &LogSearch) -> Result<LogPage, SearchError> {
        let _ = search;
        Ok(LogPage::default())
    }

    /// All services something is stored of, sorted by name.
    #[must_use]
    pub fn services(&self) -> Vec<ServiceSummary> {
        Vec::new()
    }

    /// All runs, newest first. A run of which nothing is stored any more is left out, except for the
    /// current one.
    #[must_use]
    pub fn runs(&self) -> Vec<Run> {
        Vec::new()
    }

    /// Keys that queries can use, intrinsics first, then sorted.
    #[must_use]
    pub fn attributes(&self, search: &AttributeSearch<'_>) -> Vec<AttributeKey> {
        let _ = search;
        Vec::new()
    }

    /// Values a key has in the newest records, sorted. Looks at a bounded number of them.
    #[must_use]
    pub fn attribute_values(
        &self,
        search: &ValueSearch<'_>,
    ) -> Vec<ringlight_model::Value<'static>> {
        let _ = search;
        Vec::new()
    }

    /// The state of the store.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        StoreStats::default()
    }

    /// What each instance of a service has stored since the store was opened. Bounded: beyond
    /// 10 000 instances the oldest are forgotten.
    #[must_use]
    pub fn stored_by_instance(&self) -> Vec<InstanceStored> {
        Vec::new()
    }

    /// Seals what is in memory, ends the run and closes the files. Does nothing the second time.
    /// Dropping the store does the same.
    pub fn close(&self) {}
}
