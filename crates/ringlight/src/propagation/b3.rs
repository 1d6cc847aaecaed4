//! Zipkin's B3: one header or several.
//!
//! Source: <https://github.com/openzipkin/b3-propagation>, and OpenTelemetry's specification,
//! "Propagators API", "B3 Requirements".

use ringlight_model::{SpanId, TraceId};

use super::hex;
use crate::TraceContext;

const SINGLE: &str = "b3";
const TRACE_ID: &str = "x-b3-traceid";
const SPAN_ID: &str = "x-b3-spanid";
const SAMPLED: &str = "x-b3-sampled";
const FLAGS: &str = "x-b3-flags";

/// Reads the one header, or the several where that is not there or not right.
pub(super) fn read<'h>(get: &dyn Fn(&str) -> Option<&'h str>) -> Option<TraceContext> {
    get(SINGLE)
        .and_then(read_single)
        .or_else(|| read_multi(get))
}

/// `{trace}-{span}`, then perhaps `-{state}` and `-{parent}`; or a state alone.
fn read_single(header: &str) -> Option<TraceContext> {
    let header = header.trim();
    let mut parts = header.split('-');
    let (Some(trace), Some(span)) = (parts.next(), parts.next()) else {
        return without_ids(Some(header));
    };
    let is_sampled = match parts.next() {
        Some("d") => true,
        state => decision(state)?,
    };
    let parent_is_right = parts.next().is_none_or(|parent| id(parent).is_some());
    if parts.next().is_some() || !parent_is_right {
        return None;
    }
    context(trace, span, is_sampled)
}

fn read_multi<'h>(get: &dyn Fn(&str) -> Option<&'h str>) -> Option<TraceContext> {
    let get = |name| get(name).map(str::trim);
    let is_debug = get(FLAGS) == Some("1");
    let (trace, span) = (get(TRACE_ID), get(SPAN_ID));
    if trace.is_none() && span.is_none() && !is_debug {
        return without_ids(get(SAMPLED));
    }
    let is_sampled = is_debug || decision(get(SAMPLED))?;
    context(trace?, span?, is_sampled)
}

/// A sender may say of a trace only that it is not to be recorded. Any other state leaves the decision
/// here, where the trace begins.
fn without_ids(state: Option<&str>) -> Option<TraceContext> {
    (decision(state) == Some(false)).then(TraceContext::unsampled)
}

/// Whether the trace is recorded. Whoever says nothing leaves that to the receiver.
fn decision(state: Option<&str>) -> Option<bool> {
    match state {
        None | Some("1" | "true") => Some(true),
        Some("0" | "false") => Some(false),
        Some(_) => None,
    }
}

fn context(trace: &str, span: &str, is_sampled: bool) -> Option<TraceContext> {
    let is_trace_id = trace.len() == 32 || trace.len() == 16;
    let trace_id = TraceId::new(hex(trace, 32).filter(|_| is_trace_id)?);
    TraceContext::new(trace_id, id(span)?, is_sampled)
}

fn id(text: &str) -> Option<SpanId> {
    let number = hex(text, 16).filter(|_| text.len() == 16)?;
    Some(SpanId::new(number as u64))
}

pub(super) fn write_single(context: TraceContext, set: &mut dyn FnMut(&str, String)) {
    let state = state(context);
    let (trace, span) = (context.trace_id(), context.span_id());
    set(SINGLE, format!("{trace}-{span}-{state}"));
}

pub(super) fn write_multi(context: TraceContext, set: &mut dyn FnMut(&str, String)) {
    set(TRACE_ID, context.trace_id().to_string());
    set(SPAN_ID, context.span_id().to_string());
    set(SAMPLED, state(context).to_string());
}

fn state(context: TraceContext) -> u8 {
    u8::from(context.is_sampled())
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::tests::{read_as_traceparent, written};
    use super::*;

    // The examples of the specification.
    const TRACE: &str = "80f198ee56343ba864fe8b2a57d3eff7";
    const SPAN: &str = "e457b5a2e4d86bd1";

    fn check_single(header: &'static str, expected: Option<(&str, &str)>) {
        let expected = expected.map(|(trace, flags)| format!("00-{trace}-{SPAN}-{flags}"));
        for format in [Format::B3, Format::B3Multi] {
            let found = read_as_traceparent(format, &[(SINGLE, header)]);
            assert_eq!(found, expected, "{header}");
        }
    }

    #[test]
    fn one_header_is_read_as_the_specification_says() {
        let with_parent = "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90";
        check_single(with_parent, Some((TRACE, "01")));
        let without_state = "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1";
        check_single(without_state, Some((TRACE, "01")));
        let denied = "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-0";
        check_single(denied, Some((TRACE, "00")));
        let debug = "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-d";
        check_single(debug, Some((TRACE, "01")));
        let short = "64fe8b2a57d3eff7-e457b5a2e4d86bd1-1";
        let padded = "000000000000000064fe8b2a57d3eff7";
        check_single(short, Some((padded, "01")));
    }

    #[test]
    fn a_header_that_is_not_right_counts_as_absent() {
        for header in [
            "",
            "1",
            "d",
            "-",
            "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-2",
            "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3",
            "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90-1",
            "80F198EE56343BA864FE8B2A57D3EFF7-e457b5a2e4d86bd1-1",
            "80f198ee56343ba864fe8b2a57d3ef-e457b5a2e4d86bd1-1",
            "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86b-1",
            "00000000000000000000000000000000-e457b5a2e4d86bd1-1",
            "80f198ee56343ba864fe8b2a57d3eff7-0000000000000000-1",
            "80f198ee56343ba864fe8b2a57d3eff\u{e9}-e457b5a2e4d86bd1-1",
        ] {
            check_single(header, None);
        }
    }

    #[test]
    fn several_headers_are_read_where_the_one_is_missing() {
        let check = |headers: &[(&'static str, &'static str)], flags: Option<&str>| {
            let mut all = vec![(TRACE_ID, TRACE), (SPAN_ID, SPAN)];
            all.extend_from_slice(headers);
            let found = read_as_traceparent(Format::B3, &all);
            assert_eq!(found, flags.map(|f| format!("00-{TRACE}-{SPAN}-{f}")));
        };
        check(&[], Some("01"));
        check(&[(SAMPLED, "1")], Some("01"));
        check(&[(SAMPLED, "0")], Some("00"));
        check(&[(SAMPLED, "false")], Some("00"));
        check(&[(FLAGS, "1")], Some("01"));
        check(&[(FLAGS, "1"), (SAMPLED, "0")], Some("01"));
        check(&[(SAMPLED, "maybe")], None);
        check(&[(SINGLE, "not right"), (SAMPLED, "0")], Some("00"));
        let only_trace = read_as_traceparent(Format::B3, &[(TRACE_ID, TRACE)]);
        assert_eq!(only_trace, None);
    }

    #[test]
    fn a_trace_may_be_denied_without_being_named() {
        let check = |headers: &[(&'static str, &'static str)], is_denied: bool| {
            let found = read_as_traceparent(Format::B3, headers);
            assert_eq!(found.is_some(), is_denied, "{headers:?}");
            assert!(found.is_none_or(|f| f.ends_with("-00")), "{headers:?}");
        };
        check(&[(SINGLE, "0")], true);
        check(&[(SAMPLED, "0")], true);
        check(&[(SAMPLED, "false")], true);
        check(&[(SAMPLED, "1")], false);
        check(&[(FLAGS, "1"), (SAMPLED, "0")], false);
        check(&[(TRACE_ID, TRACE), (SAMPLED, "0")], false);
        let again = || read_as_traceparent(Format::B3, &[(SINGLE, "0")]);
        assert_ne!(again(), again());
    }

    #[test]
    fn it_is_written_as_the_specification_says() {
        for flags in [0, 1] {
            let traceparent = format!("00-{TRACE}-{SPAN}-0{flags}");
            let single = (SINGLE.to_owned(), format!("{TRACE}-{SPAN}-{flags}"));
            assert_eq!(written(Format::B3, &traceparent), [single]);
            let multi = [
                (TRACE_ID.to_owned(), TRACE.to_owned()),
                (SPAN_ID.to_owned(), SPAN.to_owned()),
                (SAMPLED.to_owned(), flags.to_string()),
            ];
            assert_eq!(written(Format::B3Multi, &traceparent), multi);
        }
    }
}
