//! The headers of requests, as the code or variables say.

use ringlight_model::Signal;

use super::Inputs;
use super::environment::{Reader, upper};
use super::otlp::{Level, Origin, Place};

const CODE: Origin = Origin::Application("`otlp_header` in code");
const GENERIC: &str = "OTEL_EXPORTER_OTLP_HEADERS";

/// The headers of a signal, and who named them.
pub(super) fn headers(
    reader: &mut Reader<'_>,
    inputs: &Inputs,
    signal: Signal,
    place: &Place,
) -> (Vec<(String, String)>, Origin) {
    if !inputs.headers.is_empty() {
        return (inputs.headers.clone(), CODE);
    }
    let per_signal = format!("OTEL_EXPORTER_OTLP_{}_HEADERS", upper(signal));
    let own = of_variable(reader, &per_signal, Level::Signal, place);
    if own.is_empty() {
        let headers = of_variable(reader, GENERIC, Level::All, place);
        (headers, reader.variable_origin(GENERIC))
    } else {
        (own, reader.variable_origin(&per_signal))
    }
}

/// The headers of a variable. None where they were set for an endpoint that another one stands in for: it would get to see
/// what authenticates there.
fn of_variable(
    reader: &mut Reader<'_>,
    name: &str,
    level: Level,
    place: &Place,
) -> Vec<(String, String)> {
    let is_variable = matches!(reader.variable_origin(name), Origin::Variable(_));
    if is_variable
        && reader.variable(name).is_some()
        && let Some(ignored) = place.stands_in_for(level)
    {
        withhold(reader, name, ignored, place.origin());
        return Vec::new();
    }
    pairs(reader, name)
}

/// Says that what a variable has is not sent where another endpoint stands in for the ignored variable's.
pub(super) fn withhold(reader: &mut Reader<'_>, name: &str, ignored: &str, origin: &Origin) {
    reader.say(format!(
        "`{name}` is not sent to the endpoint of {origin}: it was set for that of `{ignored}`, which is ignored"
    ));
}

/// The pairs of a variable. JSON, which a secret may be, is not shown.
fn pairs(reader: &mut Reader<'_>, name: &str) -> Vec<(String, String)> {
    if reader.text(name).is_some_and(|text| text.starts_with('{')) {
        reader.say(format!(
            "`{name}` is ignored: it is JSON, not `key=value` pairs; hint: JSON goes into a file that \
             `RINGLIGHT_OTLP_HEADERS_FILE` names, see docs/secrets.md"
        ));
        return Vec::new();
    }
    reader.pairs(name)
}
