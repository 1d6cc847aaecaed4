//! Bounds on what one record may hold.

/// Limits on attributes and values, with the defaults of the OpenTelemetry specification
/// (`common/README.md`, "Attribute Limits"; "Tracing SDK", "Span Limits").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Attributes a record may have. Default 128.
    pub attributes_max: usize,
    /// Bytes of a text value recorded by the application; longer text is cut at a character
    /// boundary and marked. Default 32 KiB: the specification sets no limit, a ring must.
    pub text_bytes_max: usize,
    /// Events a span may have. Default 128.
    pub events_max: usize,
    /// Links a span may have. Default 128.
    pub links_max: usize,
    /// Attributes an event of a span may have. Default 128.
    pub event_attributes_max: usize,
    /// Attributes a link of a span may have. Default 128.
    pub link_attributes_max: usize,
    /// Levels of nested lists and maps accepted from the network. Default 64.
    pub depth_max: usize,
    /// Bytes of a whole request after decompression. Default 64 MiB.
    pub request_bytes_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            attributes_max: 128,
            text_bytes_max: 32 * 1024,
            events_max: 128,
            links_max: 128,
            event_attributes_max: 128,
            link_attributes_max: 128,
            depth_max: 64,
            request_bytes_max: 64 * 1024 * 1024,
        }
    }
}
