//! What a span says it is called, for rules of sampling, which are asked before anything of it is written.

use std::fmt;

use tracing_core::field::{Field, Visit};
use tracing_core::span::Attributes;

/// The value of `otel.name` that a span is opened with.
///
/// The value is formatted for that, and once more when the span is recorded, so this is for when somebody
/// asks. Code of the application may run in it, which may make spans of its own.
#[cold]
pub(super) fn otel_name(attributes: &Attributes<'_>) -> Option<String> {
    let mut visitor = NameVisitor {
        field: attributes.metadata().fields().field("otel.name")?,
        name: None,
    };
    attributes.record(&mut visitor);
    visitor.name
}

struct NameVisitor {
    field: Field,
    name: Option<String>,
}

impl Visit for NameVisitor {
    fn record_str(&mut self, field: &Field, value: &str) {
        if *field == self.field {
            self.name = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if *field == self.field {
            self.name = Some(format!("{value:?}"));
        }
    }
}
