//! From `tracing`'s metadata to callsites.

use ringlight_model::{Callsite, CallsiteKind, Severity};
use tracing_core::{Level, Metadata};

/// The number a callsite goes by: metadata are statics, so no two share an address.
#[inline]
pub(super) fn address(metadata: &'static Metadata<'static>) -> u64 {
    std::ptr::from_ref(metadata).addr() as u64
}

/// What is exported of a callsite.
pub(super) fn describe(metadata: &'static Metadata<'static>) -> Callsite {
    Callsite {
        kind: if metadata.is_span() {
            CallsiteKind::Span
        } else {
            CallsiteKind::Event
        },
        name: metadata.name(),
        target: metadata.target(),
        scope: None,
        severity: severity(*metadata.level()),
        module_path: metadata.module_path(),
        file: metadata.file(),
        line: metadata.line(),
        fields: metadata.fields().iter().map(|f| f.name()).collect(),
    }
}

/// The severity of a level.
pub(super) const fn severity(level: Level) -> Severity {
    match level {
        Level::TRACE => Severity::TRACE,
        Level::DEBUG => Severity::DEBUG,
        Level::INFO => Severity::INFO,
        Level::WARN => Severity::WARN,
        Level::ERROR => Severity::ERROR,
    }
}
