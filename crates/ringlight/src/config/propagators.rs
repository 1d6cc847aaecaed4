//! How trace context is in headers.

use super::environment::Reader;
use crate::propagation::Format;

/// `OTEL_PROPAGATORS`: names separated by commas, or `none`. What is not known is left out.
pub(super) fn formats(reader: &mut Reader<'_>) -> Vec<Format> {
    const VARIABLE: &str = "OTEL_PROPAGATORS";
    const KNOWN: &str = "`tracecontext`, `baggage`, `b3`, `b3multi`, `jaeger`, `none`";
    let Some(text) = reader.text(VARIABLE) else {
        return Format::DEFAULT.to_vec();
    };
    let mut formats = Vec::new();
    let names = text.split(',').map(str::trim).filter(|n| !n.is_empty());
    for name in names {
        match Format::from_name(name) {
            Some(format) if formats.contains(&format) => {}
            Some(format) => formats.push(format),
            None if name == "none" => {}
            None => match Format::feature_of(name) {
                Some(feature) => {
                    let what = format!("`{name}` of {}", reader.origin(VARIABLE));
                    reader.say_without(&what, feature);
                }
                None => reader.warn(VARIABLE, name, KNOWN),
            },
        }
    }
    formats
}
