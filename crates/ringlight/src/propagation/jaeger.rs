//! Jaeger's header, `{trace}:{span}:{parent}:{flags}`.
//!
//! Source: <https://www.jaegertracing.io/sdk-migration/#propagation-format>.

use ringlight_model::{SpanId, TraceId};

use super::hex;
use crate::TraceContext;

const HEADER: &str = "uber-trace-id";
/// Flags: the trace is recorded, or is to be for the sake of debugging.
const SAMPLED: u128 = 1;
const DEBUG: u128 = 2;

/// Ids may have lost their leading zeros, and the header may be encoded for URLs.
pub(super) fn read<'h>(get: &dyn Fn(&str) -> Option<&'h str>) -> Option<TraceContext> {
    let header = get(HEADER)?.trim();
    let decoded = header.replace("%3A", ":").replace("%3a", ":");
    let mut parts = decoded.split(':');
    let (trace, span) = (parts.next()?, parts.next()?);
    let (_parent, flags) = (parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let trace_id = TraceId::new(hex(trace, 32)?);
    let span_id = SpanId::new(hex(span, 16)? as u64);
    let is_sampled = hex(flags, 2)? & (SAMPLED | DEBUG) != 0;
    TraceContext::new(trace_id, span_id, is_sampled)
}

/// The parent is no longer said: zero.
pub(super) fn write(context: TraceContext, set: &mut dyn FnMut(&str, String)) {
    let (trace, span) = (context.trace_id(), context.span_id());
    let flags = u8::from(context.is_sampled());
    set(HEADER, format!("{trace}:{span}:0:{flags:02x}"));
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::tests::{read_as_traceparent, written};
    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    fn check(header: &'static str, expected: Option<&str>) {
        let found = read_as_traceparent(Format::Jaeger, &[(HEADER, header)]);
        assert_eq!(found.as_deref(), expected, "{header}");
    }

    #[test]
    fn the_header_is_read_as_its_documentation_says() {
        let recorded = format!("00-{TRACE}-{SPAN}-01");
        let recorded = Some(recorded.as_str());
        check(
            "4bf92f3577b34da6a3ce929d0e0e4736:00f067aa0ba902b7:0:1",
            recorded,
        );
        check(
            "4bf92f3577b34da6a3ce929d0e0e4736:f067aa0ba902b7:0:01",
            recorded,
        );
        check(
            "4bf92f3577b34da6a3ce929d0e0e4736%3A00f067aa0ba902b7%3a0%3A3",
            recorded,
        );
        let debug = "4bf92f3577b34da6a3ce929d0e0e4736:00f067aa0ba902b7:1234:2";
        check(debug, recorded);
        let not_recorded = format!("00-{TRACE}-{SPAN}-00");
        let unsampled = "4bf92f3577b34da6a3ce929d0e0e4736:00f067aa0ba902b7:0:8";
        check(unsampled, Some(&not_recorded));
        let short = format!("00-000000000000000051729f13a64c2ef3-{SPAN}-01");
        check("51729f13a64c2ef3:00f067aa0ba902b7:0:1", Some(&short));
    }

    #[test]
    fn a_header_that_is_not_right_counts_as_absent() {
        for header in [
            "",
            ":::",
            "0:00f067aa0ba902b7:0:1",
            "51729f13a64c2ef3:0:0:1",
            "51729f13a64c2ef3:00f067aa0ba902b7:1",
            "51729f13a64c2ef3:00f067aa0ba902b7:0:1:1",
            "51729f13a64c2ef3:00f067aa0ba902b7:0:",
            "51729f13a64c2ef3:00f067aa0ba902b7:0:001",
            "51729f13a64c2ef3:g067aa0ba902b7:0:1",
            "04bf92f3577b34da6a3ce929d0e0e4736:00f067aa0ba902b7:0:1",
            "51729f13a64c2ef3:000f067aa0ba902b7:0:1",
            "51729f13a64c2ef\u{e9}:00f067aa0ba902b7:0:1",
        ] {
            check(header, None);
        }
    }

    #[test]
    fn it_is_written_as_its_documentation_says() {
        for flags in ["00", "01"] {
            let headers = written(Format::Jaeger, &format!("00-{TRACE}-{SPAN}-{flags}"));
            let expected = (HEADER.to_owned(), format!("{TRACE}:{SPAN}:0:{flags}"));
            assert_eq!(headers, [expected]);
        }
    }
}
