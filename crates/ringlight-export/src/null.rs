//! Nowhere.

use ringlight_collector::{EncodedBatch, ExportError, ExportOutcome, Exporter};

/// Takes every batch and keeps none: for measurements, and where only the ledger counts.
#[derive(Debug, Clone, Copy, Default)]
pub struct NullExporter;

impl Exporter for NullExporter {
    async fn export(&self, _: EncodedBatch) -> Result<ExportOutcome, ExportError> {
        Ok(ExportOutcome::default())
    }

    fn name(&self) -> &str {
        "null"
    }
}
