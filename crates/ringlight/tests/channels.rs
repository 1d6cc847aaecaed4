//! What channels tell, from the sender to what a backend decodes: metrics, waits, spans.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::trace::v1::Span;
use ringlight::LogFormat;
use ringlight::channel::{RecvInSpan as _, mpsc, named, oneshot};
use ringlight_testing::{Backend, Seen, attribute, int, points, text};
use tracing::dispatcher::with_default;
use tracing::field::Empty;
use tracing::info_span;

const LONG: Duration = Duration::from_secs(20);

/// What arrives of what `body` does.
fn seen(body: impl FnOnce()) -> Seen {
    let backend = Backend::start();
    let (dispatch, telemetry) = ringlight::builder()
        .environment([("", ""); 0])
        .otlp_endpoint(backend.url())
        .log_format(LogFormat::Off)
        .metric_export_interval(Duration::from_secs(3600))
        .build()
        .unwrap();
    with_default(&dispatch, body);
    let ledger = telemetry.shutdown(LONG);
    assert!(ledger.balances(), "{ledger}");
    backend.stop()
}

/// The values of a metric for the channel of a name, with the reason if there is one.
fn values(metric: &Metric, channel: &str) -> Vec<(Option<Value>, i64)> {
    if let Some(Data::Sum(sum)) = &metric.data {
        assert!(sum.is_monotonic);
    }
    let points = points(metric);
    let of_channel =
        |attributes: &[KeyValue]| attribute(attributes, "channel.name") == text(channel);
    let points = points.iter().filter(|point| of_channel(&point.attributes));
    let values = points.map(|point| {
        let reason = attribute(&point.attributes, "channel.drop_reason");
        (reason, int(point))
    });
    values.collect()
}

/// Polls a sending that finds the channel full, makes room, and polls again.
fn wait_once(sender: &mpsc::Sender<u8>, receiver: &mut mpsc::Receiver<u8>) {
    let mut context = Context::from_waker(Waker::noop());
    let mut sending = pin!(sender.send(0));
    assert!(sending.as_mut().poll(&mut context).is_pending());
    receiver.try_recv().unwrap();
    assert_eq!(sending.poll(&mut context), Poll::Ready(Ok(())));
}

#[test]
fn channels_have_the_five_metrics() {
    let seen = seen(|| {
        let (sender, mut receiver) = mpsc::named("orders", 2);
        sender.try_send(0).unwrap();
        sender.try_send(0).unwrap();
        sender.try_send(0).unwrap_err();
        wait_once(&sender, &mut receiver);
        let (answer, answered) = oneshot::named("answers");
        answer.send(()).unwrap();
        drop(answered);
        std::mem::forget((sender, receiver));
    });
    let metrics = seen.metrics(|scope| scope == "ringlight.channel");
    let metric = |name: &str| ringlight_testing::named(&metrics, name);
    let all = |name: &str, channel: &str| {
        let metric = metric(name);
        assert_eq!(metric.unit, "{message}");
        values(&metric, channel)
    };
    assert_eq!(all("channel.sent", "orders"), [(None, 3)]);
    assert_eq!(all("channel.received", "orders"), [(None, 1)]);
    assert_eq!(all("channel.queue_depth", "orders"), [(None, 2)]);
    assert_eq!(all("channel.dropped", "orders"), [(text("full"), 1)]);
    assert_eq!(all("channel.sent", "answers"), [(None, 1)]);
    assert_eq!(all("channel.queue_depth", "answers"), [(None, 0)]);
    assert_eq!(all("channel.dropped", "answers"), [(text("unread"), 1)]);

    let latency = metric("channel.backpressure_latency");
    assert_eq!(latency.unit, "s");
    let Some(Data::Histogram(histogram)) = latency.data else {
        panic!("{latency:?}");
    };
    // Other tests of this process wait, too.
    let points = histogram.data_points.iter();
    let mut points = points.filter(|p| attribute(&p.attributes, "channel.name") == text("orders"));
    let point = points.next().unwrap();
    assert_eq!(point.count, 1);
    assert_eq!(attribute(&point.attributes, "channel.type"), text("mpsc"));
}

#[test]
fn a_wait_is_told_on_the_span_it_is_in_and_in_an_event_now_and_then() {
    let seen = seen(|| {
        let (sender, mut receiver) = mpsc::named("jobs", 1);
        sender.try_send(0).unwrap();
        info_span!("undeclared").in_scope(|| wait_once(&sender, &mut receiver));
        info_span!("declared", channel.fill_ratio = Empty).in_scope(|| {
            for _ in 0..3 {
                wait_once(&sender, &mut receiver);
            }
        });
        // So that whatever was told before is that long ago, and the last wait is told with all that were not.
        std::thread::sleep(Duration::from_secs(1));
        info_span!("last").in_scope(|| wait_once(&sender, &mut receiver));
        info_span!("free").in_scope(|| {
            receiver.try_recv().unwrap();
            sender.try_send(0).unwrap();
        });
    });
    let spans = seen.spans();
    let span = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let full = Some(Value::DoubleValue(1.0));
    let waited_us = |name: &str| {
        let attributes = &span(name).attributes;
        assert_eq!(attribute(attributes, "channel.fill_ratio"), full);
        match attribute(attributes, "channel.backpressure_latency_us") {
            Some(Value::DoubleValue(waited)) => waited,
            other => panic!("{other:?}"),
        }
    };
    waited_us("declared");
    assert_eq!(
        attribute(&span("free").attributes, "channel.fill_ratio"),
        None
    );

    let events = seen.log_records();
    let int = |event: &LogRecord, key: &str| match attribute(&event.attributes, key) {
        Some(Value::IntValue(value)) => value,
        other => panic!("{key}: {other:?}"),
    };
    for event in &events {
        assert_eq!(attribute(&event.attributes, "channel.name"), text("jobs"));
        assert_eq!(int(event, "channel.capacity"), 1);
        assert_eq!(attribute(&event.attributes, "channel.fill_ratio"), full);
    }
    let [first, .., last] = &events[..] else {
        panic!("{events:?}");
    };
    // The only wait of its span, which has the same number.
    for (event, name) in [(first, "undeclared"), (last, "last")] {
        assert_eq!(event.span_id, span(name).span_id);
        let waited = int(event, "channel.backpressure_latency_us");
        assert_eq!(waited as f64, waited_us(name));
    }
    assert_eq!(int(first, "channel.unreported"), 0);
    // Those between are told one by one if the machine stood still for a second, else by the last.
    let told = events.iter().map(|e| int(e, "channel.unreported") + 1);
    assert_eq!(told.sum::<i64>(), 5);
}

#[test]
fn a_sending_and_its_receipt_are_one_trace() {
    let seen = seen(|| {
        let (sender, mut receiver) = named("status").spans().mpsc(4);
        let (answer, answered) = named("answer").spans().oneshot();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        runtime.block_on(async {
            info_span!("turn").in_scope(|| sender.try_send(1).unwrap());
            sender.send(2).await.unwrap();
            sender.reserve().await.unwrap().send(3);
            sender.clone().reserve_owned().await.unwrap().send(4);
            let (_, span) = receiver.recv_in_span().await.unwrap();
            span.in_scope(|| info_span!("work").in_scope(|| answer.send(()).unwrap()));
            assert_eq!(receiver.recv().await, Some(2));
            assert_eq!(receiver.recv_many(&mut Vec::new(), 8).await, 2);
            answered.await.unwrap();
        });
    });
    let spans = seen.spans();
    let all = |name: &str| {
        let found: Vec<&Span> = spans.iter().filter(|span| span.name == name).collect();
        found
    };
    let (sent, received) = (all("channel.status_send"), all("channel.status_recv"));
    assert_eq!((sent.len(), received.len()), (4, 4));
    let receipt = |sent: &Span| {
        let mut found = received
            .iter()
            .filter(|span| span.parent_span_id == sent.span_id);
        *found.next().unwrap()
    };
    for sent in &sent {
        let received = receipt(sent);
        assert_eq!(received.trace_id, sent.trace_id);
        assert_eq!(attribute(&sent.attributes, "channel.name"), text("status"));
        for key in ["channel.queue_depth", "channel.waited_us"] {
            let value = attribute(&received.attributes, key);
            assert!(
                matches!(value, Some(Value::IntValue(_))),
                "{key}: {value:?}"
            );
        }
    }
    let [turn, work] = ["turn", "work"].map(|name| all(name)[0]);
    assert_eq!(sent[0].parent_span_id, turn.span_id);
    assert_eq!(work.parent_span_id, receipt(sent[0]).span_id);
    assert_eq!(all("channel.answer_send")[0].parent_span_id, work.span_id);
    let answer = all("channel.answer_recv")[0];
    assert_eq!(answer.parent_span_id, all("channel.answer_send")[0].span_id);
    assert_eq!(
        attribute(&sent[1].attributes, "channel.capacity"),
        Some(Value::IntValue(4))
    );
}

#[test]
fn what_spans_carry_stays_with_its_message() {
    let seen = seen(|| {
        let (sender, mut receiver) = named("carried").spans().mpsc(2);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let (sender, dispatch) = (sender.clone(), tracing::Dispatch::default());
                scope.spawn(move || {
                    with_default(&dispatch, || {
                        for _ in 0..50 {
                            let span = info_span!("sender");
                            let id = span.in_scope(ringlight::TraceContext::current);
                            span.in_scope(|| sender.blocking_send(id).unwrap());
                        }
                    });
                });
            }
            drop(sender);
            let runtime = tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap();
            while let Some((sent, span)) = runtime.block_on(receiver.recv_in_span()) {
                let here = span.in_scope(ringlight::TraceContext::current);
                assert_eq!(here.unwrap().trace_id(), sent.unwrap().trace_id());
            }
        });
    });
    assert_eq!(seen.span_names()["channel.carried_recv"], 200);
}

/// What need not be waited for.
fn at_once<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

#[test]
fn fill_ratios_are_on_spans_where_asked_for() {
    let seen = seen(|| {
        let (sender, mut receiver) = named("filled").fill_ratio().mpsc(4);
        info_span!("first").in_scope(|| sender.try_send(()).unwrap());
        info_span!("second").in_scope(|| sender.try_send(()).unwrap());
        info_span!("taken").in_scope(|| receiver.try_recv().unwrap());
        // A permit is a way to send, too.
        let kept = info_span!("one").in_scope(|| at_once(sender.reserve()).unwrap());
        let owned = info_span!("owned").in_scope(|| at_once(sender.clone().reserve_owned()));
        kept.send(());
        let sender = owned.unwrap().send(());
        receiver.try_recv().unwrap();
        drop(info_span!("many").in_scope(|| at_once(sender.reserve_many(2)).unwrap()));
        drop(info_span!("many at once").in_scope(|| sender.try_reserve_many(2).unwrap()));
        drop(info_span!("one at once").in_scope(|| sender.try_reserve().unwrap()));
        let owned = info_span!("owned at once").in_scope(|| sender.try_reserve_owned());
        drop(owned.unwrap());
    });
    let spans = seen.spans();
    for (name, ratio) in [
        ("first", 0.0),
        ("second", 0.25),
        ("taken", 0.5),
        ("one", 0.25),
        ("owned", 0.5),
        ("many", 0.5),
        ("many at once", 0.5),
        ("one at once", 0.5),
        ("owned at once", 0.5),
    ] {
        let span = spans.iter().find(|span| span.name == name).unwrap();
        let found = attribute(&span.attributes, "channel.fill_ratio");
        assert_eq!(found, Some(Value::DoubleValue(ratio)), "{name}");
    }
}
