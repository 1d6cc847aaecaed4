//! Just enough of the protobuf wire format to count records and find their trace ids.
//!
//! Decoding every span with generated types costs the server more than most subjects spend, and on
//! a machine of two cores that would be taken from them. So all requests are walked, and only the
//! records of the sample are decoded.

/// Field number of the resource's part in a request, and the scopes' in that, and the records' in
/// those, for traces, logs and metrics alike.
const PATH: [u64; 3] = [1, 2, 2];

/// Calls `visit` with the bytes of every span or log record of a request. Says whether the request
/// could be walked to its end.
pub(crate) fn for_each_record<'a>(request: &'a [u8], visit: &mut impl FnMut(&'a [u8])) -> bool {
    walk(request, &PATH, visit)
}

/// The names of the scopes of a request's metrics.
pub(crate) fn metric_scopes(request: &[u8]) -> Vec<String> {
    const SCOPE: u64 = 1;
    const NAME: u64 = 1;
    let mut names = Vec::new();
    // What is broken is in nobody's way: such a scope is missing.
    walk(request, &PATH[..2], &mut |of_scope| {
        let has_metrics = bytes_field(of_scope, PATH[2]).is_some();
        let name = bytes_field(of_scope, SCOPE).and_then(|scope| bytes_field(scope, NAME));
        let name = name.filter(|_| has_metrics);
        names.extend(name.map(|name| String::from_utf8_lossy(name).into_owned()));
    });
    names
}

fn walk<'a>(message: &'a [u8], path: &[u64], visit: &mut impl FnMut(&'a [u8])) -> bool {
    let Some((wanted, deeper)) = path.split_first() else {
        visit(message);
        return true;
    };
    let mut fields = Fields(message);
    while let Some((number, bytes)) = fields.next_field() {
        if number == *wanted
            && let Some(bytes) = bytes
            && !walk(bytes, deeper, visit)
        {
            return false;
        }
    }
    fields.0.is_empty()
}

/// The bytes of a length-delimited field, the first time it occurs.
pub(crate) fn bytes_field(message: &[u8], wanted: u64) -> Option<&[u8]> {
    let mut fields = Fields(message);
    while let Some((number, bytes)) = fields.next_field() {
        if number == wanted {
            return bytes;
        }
    }
    None
}

/// The fields of a message, as far as they can be read.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// The next field's number and, if it is length-delimited, its bytes. `None` at the end, and
    /// where the message is broken, which leaves some of it.
    fn next_field(&mut self) -> Option<(u64, Option<&'a [u8]>)> {
        let before = self.0;
        let field = self.read_field();
        if field.is_none() {
            self.0 = before;
        }
        field
    }

    fn read_field(&mut self) -> Option<(u64, Option<&'a [u8]>)> {
        let tag = self.varint()?;
        let bytes = match tag & 7 {
            0 => {
                self.varint()?;
                None
            }
            1 => self.take(8).map(|_| None)?,
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Some(self.take(length)?)
            }
            5 => self.take(4).map(|_| None)?,
            _ => return None,
        };
        Some((tag >> 3, bytes))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = *self.take(1)?.first()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::{
        collector::{
            metrics::v1::ExportMetricsServiceRequest, trace::v1::ExportTraceServiceRequest,
        },
        common::v1::InstrumentationScope,
        metrics::v1::{Metric, ResourceMetrics, ScopeMetrics},
        trace::v1::{ResourceSpans, ScopeSpans, Span},
    };
    use prost::Message;

    use super::*;

    #[test]
    fn finds_every_span_of_a_request_and_none_in_a_broken_one() {
        let span = |id: u8| Span {
            trace_id: vec![id; 16],
            name: "x".repeat(300),
            start_time_unix_nano: 1,
            ..Span::default()
        };
        let scope = |ids: &[u8]| ScopeSpans {
            spans: ids.iter().map(|id| span(*id)).collect(),
            schema_url: "s".to_owned(),
            ..ScopeSpans::default()
        };
        let resource = |scopes| ResourceSpans {
            scope_spans: scopes,
            ..ResourceSpans::default()
        };
        let request = ExportTraceServiceRequest {
            resource_spans: vec![
                resource(vec![scope(&[1, 2]), scope(&[])]),
                resource(vec![scope(&[3])]),
            ],
        }
        .encode_to_vec();
        let mut found = Vec::new();
        assert!(for_each_record(&request, &mut |span| found
            .push(bytes_field(span, 1).unwrap()[0])));
        assert_eq!(found, [1, 2, 3]);
        assert!(for_each_record(&[], &mut |_| ()));
        assert!(!for_each_record(&request[..request.len() - 1], &mut |_| ()));
        assert!(!for_each_record(&[0x0f], &mut |_| ()));
    }

    #[test]
    fn scopes_with_metrics_are_named() {
        let scope = |name: &str, metrics: usize| ScopeMetrics {
            scope: Some(InstrumentationScope {
                name: name.to_owned(),
                ..InstrumentationScope::default()
            }),
            metrics: vec![Metric::default(); metrics],
            ..ScopeMetrics::default()
        };
        let resource = |scopes| ResourceMetrics {
            scope_metrics: scopes,
            ..ResourceMetrics::default()
        };
        let request = ExportMetricsServiceRequest {
            resource_metrics: vec![
                resource(vec![scope("one", 2), scope("empty", 0)]),
                resource(vec![scope("two", 1)]),
            ],
        };
        assert_eq!(metric_scopes(&request.encode_to_vec()), ["one", "two"]);
        assert!(metric_scopes(&[]).is_empty());
    }
}
