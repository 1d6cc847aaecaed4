//! A client that sends as fast as the backend takes it: traces of a root and ten children, each
//! span with three attributes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Instant, SystemTime},
};

use anyhow::{Context as _, Result, bail};
use bench_workload::process_cpu_ns;
use bytes::Bytes;
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status, status::StatusCode},
};
use prost::Message as _;
use serde::{Deserialize, Serialize};
use tonic::{Request, client::Grpc, codegen::http::uri::PathAndQuery, transport::Endpoint};
use tonic_types::StatusExt as _;

use super::data::{self, LoadSpan, SPANS_PER_TRACE};
use crate::codec::Raw;

/// Traces of a request: 1 100 spans.
pub(crate) const TRACES_PER_REQUEST: u64 = 100;
/// Requests under way at once, each on a connection of its own.
const CONNECTIONS: usize = 8;

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// What a `load` process found.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct LoadRun {
    /// CPU time of the process.
    pub(crate) cpu_ns: u64,
    /// From the first request to the last answer.
    pub(crate) elapsed_ns: u64,
    /// Spans sent, all of which were acknowledged.
    pub(crate) spans: u64,
    /// Requests that had to be sent again, because the backend was busy.
    pub(crate) refused: u64,
}

/// Sends so many requests, of the traces from `first_trace` on.
pub(crate) fn run(endpoint: &str, first_trace: u64, requests: u64) -> Result<LoadRun> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let next = Arc::new(AtomicU64::new(0));
    let endpoint = Endpoint::from_shared(endpoint.to_owned())?;
    let (started, cpu_before_ns) = (Instant::now(), process_cpu_ns());
    let refused = runtime.block_on(async {
        let senders: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let next = Arc::clone(&next);
                tokio::spawn(send(endpoint.clone(), next, first_trace, requests))
            })
            .collect();
        let mut refused = 0;
        for sender in senders {
            refused += sender.await??;
        }
        anyhow::Ok(refused)
    })?;
    Ok(LoadRun {
        cpu_ns: process_cpu_ns() - cpu_before_ns,
        elapsed_ns: u64::try_from(started.elapsed().as_nanos())?,
        spans: requests * TRACES_PER_REQUEST * SPANS_PER_TRACE,
        refused,
    })
}

/// Sends requests until all are taken, each when the one before was acknowledged. Says how often
/// one was refused.
async fn send(
    endpoint: Endpoint,
    next: Arc<AtomicU64>,
    first_trace: u64,
    requests: u64,
) -> Result<u64> {
    let mut client = Grpc::new(endpoint.connect().await?);
    let mut template = Template::new();
    let mut refused = 0;
    loop {
        // Relaxed: a number is all that is shared.
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= requests {
            return Ok(refused);
        }
        let bytes = template.encode(first_trace + number * TRACES_PER_REQUEST)?;
        loop {
            client.ready().await?;
            let request = Request::new(bytes.clone());
            let path = PathAndQuery::from_static(EXPORT);
            match client.unary(request, path, Raw).await {
                // Anything in the answer would be a partial success.
                Ok(answer) if answer.get_ref().is_empty() => break,
                Ok(_) => bail!("a request was taken in part"),
                Err(status) => {
                    let retry = status.get_details_retry_info();
                    let Some(delay) = retry.and_then(|retry| retry.retry_delay) else {
                        return Err(status).context("a request was refused for ever");
                    };
                    // As OTLP has it: not before the backend wants it again.
                    refused += 1;
                    tokio::time::sleep(delay).await;
                }
            }
        }
    }
}

/// A request that is filled in anew for each sending, which costs the client little more than
/// encoding it.
struct Template(ExportTraceServiceRequest);

impl Template {
    fn new() -> Self {
        let text = |text: &str| Value::StringValue(text.to_owned());
        let attribute = |key: &str, value| KeyValue {
            key: key.to_owned(),
            value: Some(AnyValue { value: Some(value) }),
            ..KeyValue::default()
        };
        let span = |name: &str| Span {
            trace_id: vec![0; 16],
            span_id: vec![0; 8],
            name: name.to_owned(),
            kind: 1,
            attributes: vec![
                attribute("id", Value::IntValue(0)),
                attribute("route", text("")),
                attribute("took", text("")),
            ],
            ..Span::default()
        };
        // A child is recorded when it ends, which is before its root does.
        let names = (1..=TRACES_PER_REQUEST * SPANS_PER_TRACE).map(|position| {
            match position.is_multiple_of(SPANS_PER_TRACE) {
                true => data::ROOT_NAME,
                false => data::CHILD_NAME,
            }
        });
        Self(ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(Resource {
                    attributes: vec![
                        attribute("service.name", text("bench-compare")),
                        attribute("service.instance.id", text("load")),
                    ],
                    ..Resource::default()
                }),
                scope_spans: vec![ScopeSpans {
                    spans: names.map(span).collect(),
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            }],
        })
    }

    /// The request with the traces from `first_trace` on, which end now.
    fn encode(&mut self, first_trace: u64) -> Result<Bytes> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
        let now = u64::try_from(now.as_nanos())?;
        let scopes = self.0.resource_spans.iter_mut();
        let spans = scopes.flat_map(|resource| &mut resource.scope_spans[0].spans);
        for (index, span) in (0..).zip(spans) {
            let trace = first_trace + index / SPANS_PER_TRACE;
            let place = (index + 1) % SPANS_PER_TRACE;
            fill(span, trace, place, now);
        }
        Ok(self.0.encode_to_vec().into())
    }
}

/// Makes a span the root (place 0) or a child of a trace.
fn fill(span: &mut Span, trace: u64, place: u64, now_unix_nano: u64) {
    let data = LoadSpan::new(trace, place);
    span.trace_id.copy_from_slice(&data::trace_id(trace));
    span.span_id.copy_from_slice(&data.span_id());
    if !data.is_root() {
        span.parent_span_id = LoadSpan::new(trace, 0).span_id().to_vec();
    }
    span.end_time_unix_nano =
        now_unix_nano - data::ended_ago_ns(trace) - data.ended_before_trace_ns();
    span.start_time_unix_nano = span.end_time_unix_nano - data.duration_ns();
    span.status = data.failed().then(|| Status {
        code: StatusCode::Error.into(),
        message: "the card was declined".to_owned(),
    });
    let values = [
        Value::IntValue(data.id()),
        Value::StringValue(data.route()),
        Value::StringValue(data.took()),
    ];
    for (attribute, value) in span.attributes.iter_mut().zip(values) {
        attribute.value = Some(AnyValue { value: Some(value) });
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_requests_share_an_id_and_every_trace_is_whole() {
        let mut template = Template::new();
        let mut ids = BTreeSet::new();
        for number in 0..3 {
            let bytes = template.encode(number * TRACES_PER_REQUEST).unwrap();
            let request = ExportTraceServiceRequest::decode(bytes).unwrap();
            let spans = &request.resource_spans[0].scope_spans[0].spans;
            for trace in spans.chunks(SPANS_PER_TRACE as usize) {
                let (root, children) = trace.split_last().unwrap();
                assert_eq!((&*root.name, root.parent_span_id.len()), ("root", 0));
                for span in trace {
                    assert_eq!(span.trace_id, root.trace_id);
                    assert!(span.start_time_unix_nano < span.end_time_unix_nano);
                    assert!(ids.insert((span.trace_id.clone(), span.span_id.clone())));
                }
                for child in children {
                    assert_eq!(child.parent_span_id, root.span_id);
                    assert!(child.start_time_unix_nano >= root.start_time_unix_nano);
                    assert!(child.end_time_unix_nano <= root.end_time_unix_nano + 50_000);
                }
            }
        }
        assert_eq!(ids.len() as u64, 3 * TRACES_PER_REQUEST * SPANS_PER_TRACE);
        let distinct_traces: BTreeSet<_> = ids.iter().map(|(trace, _)| trace).collect();
        assert_eq!(distinct_traces.len() as u64, 3 * TRACES_PER_REQUEST);
    }
}
