//! What telemetry has of each channel between the parts of the agent.
#![expect(clippy::unwrap_used, reason = "a test may panic, in its helpers too")]

#[path = "../src/wires.rs"]
mod wires;

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use ringlight::LogFormat;
use ringlight_testing::{Backend, attribute, int, named, points, text};
use tracing::dispatcher::with_default;
use wires::{Receiver, RecvInSpan as _, Sender, Wire};

const LONG: Duration = Duration::from_secs(60);

/// All there are, by the names that the source document gives their spans.
const WIRES: [(Wire, &str); 6] = [
    (wires::STATUS, "status"),
    (wires::SKILL_RELOAD, "skill_reload"),
    (wires::CONFIG_RELOAD, "config_reload"),
    (wires::ELICITATION, "elicitation"),
    (wires::METRICS, "metrics"),
    (wires::CANCEL, "cancel"),
];

/// A message is received for which another one waits, which is still there, and one is refused.
fn use_it(wire: Wire) -> (Sender<u8>, Receiver<u8>) {
    let (sender, mut receiver) = wires::open(wire, 1);
    sender.try_send(1).unwrap();
    sender.try_send(2).unwrap_err();
    let mut context = Context::from_waker(Waker::noop());
    {
        let mut sending = pin!(sender.send(3));
        assert!(sending.as_mut().poll(&mut context).is_pending());
        let received = pin!(receiver.recv_in_span()).poll(&mut context);
        assert!(matches!(received, Poll::Ready(Some((1, _)))));
        assert_eq!(sending.poll(&mut context), Poll::Ready(Ok(())));
    }
    (sender, receiver)
}

/// REQUIREMENTS Z-8.
#[test]
fn each_channel_has_the_five_metrics_and_both_spans() {
    let backend = Backend::start();
    let (dispatch, telemetry) = ringlight::builder()
        .environment([("", ""); 0])
        .otlp_endpoint(backend.url())
        .log_format(LogFormat::Off)
        .metric_export_interval(LONG)
        .build()
        .unwrap();
    let open = with_default(&dispatch, || WIRES.map(|(wire, _)| use_it(wire)));
    telemetry.shutdown(LONG);
    let seen = backend.stop();
    drop(open);
    let metrics = seen.metrics(|scope| scope == "ringlight.channel");
    let spans = seen.span_names();
    for (_, name) in WIRES {
        let of = |metric: &str| {
            let points = points(&named(&metrics, metric)).into_iter();
            let points = points.filter(|p| attribute(&p.attributes, "channel.name") == text(name));
            let values = points.map(|p| (attribute(&p.attributes, "channel.drop_reason"), int(&p)));
            values.collect::<Vec<_>>()
        };
        assert_eq!(of("channel.sent"), [(None, 2)], "{name}");
        assert_eq!(of("channel.received"), [(None, 1)], "{name}");
        assert_eq!(of("channel.queue_depth"), [(None, 1)], "{name}");
        assert_eq!(of("channel.dropped"), [(text("full"), 1)], "{name}");
        let Some(Data::Histogram(waits)) = named(&metrics, "channel.backpressure_latency").data
        else {
            panic!("{metrics:?}");
        };
        let waits = waits.data_points.iter();
        let waits = waits.filter(|p| attribute(&p.attributes, "channel.name") == text(name));
        let counts: Vec<u64> = waits.map(|point| point.count).collect();
        assert_eq!(counts, [1], "{name}");
        // What is refused was not sent.
        for (span, count) in [("send", 2), ("recv", 1)] {
            let span = format!("channel.{name}_{span}");
            assert_eq!(spans.get(&span), Some(&count), "{span} in {spans:?}");
        }
    }
}
