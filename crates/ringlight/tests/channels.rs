//! What channels tell, from the sender to what a backend decodes: metrics, waits, spans.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::iter::from_fn;
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
use ringlight::channel::broadcast::error::TryRecvError;
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
fn a_wait_is_told_on_the_span_it_is_in_and_the_first_in_an_event() {
    let seen = seen(|| {
        let (sender, mut receiver) = mpsc::named("jobs", 1);
        sender.try_send(0).unwrap();
        info_span!("undeclared").in_scope(|| wait_once(&sender, &mut receiver));
        info_span!(
            "declared",
            channel.fill_ratio = Empty,
            channel.backpressure_latency_us = Empty
        )
        .in_scope(|| {
            for _ in 0..3 {
                wait_once(&sender, &mut receiver);
            }
        });
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
            Some(Value::IntValue(waited)) => waited,
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
    let first = &events[0];
    assert_eq!(first.severity_text, "WARN");
    assert_eq!(attribute(&first.attributes, "channel.name"), text("jobs"));
    assert_eq!(int(first, "channel.capacity"), 1);
    assert_eq!(attribute(&first.attributes, "channel.fill_ratio"), full);
    // The only wait of its span, which has the same number.
    assert_eq!(first.span_id, span("undeclared").span_id);
    let waited = int(first, "channel.backpressure_latency_us");
    assert_eq!(waited, waited_us("undeclared"));
    assert_eq!(int(first, "channel.unreported"), 0);
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

/// Sends the number of the trace of a span of its own.
fn in_trace<R>(send: impl FnOnce(Vec<u8>) -> R) -> R {
    info_span!("sender").in_scope(|| {
        let context = ringlight::TraceContext::current().unwrap();
        send(context.trace_id().to_bytes().to_vec())
    })
}

/// The traces of the receipts on a channel, in their order on a thread that has all of them, each the child of a sending. And how many
/// sendings there were.
fn receipts(seen: &Seen, channel: &str) -> (Vec<Vec<u8>>, usize) {
    let spans = seen.spans();
    let all = |end: &str| {
        let name = format!("channel.{channel}_{end}");
        let found = spans.iter().filter(move |span| span.name == name);
        found.cloned().collect::<Vec<Span>>()
    };
    let sent = all("send");
    let traces = all("recv").into_iter().map(|received| {
        let parent = |sent: &&Span| sent.span_id == received.parent_span_id;
        let parent = sent.iter().find(parent).unwrap();
        assert_eq!(parent.trace_id, received.trace_id);
        let waited = attribute(&received.attributes, "channel.waited_us");
        assert!(matches!(waited, Some(Value::IntValue(_))), "{waited:?}");
        received.trace_id
    });
    (traces.collect(), sent.len())
}

#[test]
fn a_broadcast_is_received_in_the_trace_of_its_sending_by_each() {
    let mut received = Vec::new();
    let seen = seen(|| {
        // Which makes four places.
        let (sender, mut first) = named("news").spans().broadcast(3);
        let send = || in_trace(|trace| sender.send(trace).unwrap());
        send();
        send();
        let mut second = sender.subscribe();
        received.push(at_once(first.recv()).unwrap());
        (0..5).for_each(|_| assert_eq!(send(), 2));
        assert_eq!(first.try_recv(), Err(TryRecvError::Lagged(2)));
        received.push(first.blocking_recv().unwrap());
        assert_eq!(second.try_recv(), Err(TryRecvError::Lagged(1)));
        received.push(second.try_recv().unwrap());
        let mut third = second.resubscribe();
        send();
        for receiver in [&mut first, &mut second, &mut third] {
            received.extend(from_fn(|| receiver.try_recv().ok()));
        }
        drop((first, second, third));
        // Nobody has this one.
        in_trace(|trace| sender.send(trace).unwrap_err());
        let mut last = sender.subscribe();
        let mut context = Context::from_waker(Waker::noop());
        let mut receiving = pin!(last.recv());
        assert!(receiving.as_mut().poll(&mut context).is_pending());
        send();
        received.push(at_once(receiving).unwrap());
    });
    // By receiver: of the last four each has all that it was there for.
    assert_eq!(received.len(), 6 + 5 + 1 + 1);
    assert_eq!(receipts(&seen, "news"), (received, 10));
    let spans = seen.spans();
    let mut sent = spans.iter().filter(|span| span.name == "channel.news_send");
    let attributes = &sent.next().unwrap().attributes;
    assert_eq!(attribute(attributes, "channel.name"), text("news"));
    for (key, value) in [("channel.capacity", 4), ("channel.queue_depth", 0)] {
        assert_eq!(attribute(attributes, key), Some(Value::IntValue(value)));
    }
}

#[test]
fn what_the_spans_of_a_broadcast_carry_stays_with_its_message() {
    let mut received = Vec::new();
    let seen = seen(|| {
        let (sender, mut receiver) = named("carried news").spans().broadcast(256);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let (sender, dispatch) = (sender.clone(), tracing::Dispatch::default());
                scope.spawn(move || {
                    with_default(&dispatch, || {
                        for _ in 0..50 {
                            in_trace(|trace| sender.send(trace).unwrap());
                        }
                    });
                });
            }
            drop(sender);
            received.extend(from_fn(|| receiver.blocking_recv().ok()));
        });
    });
    assert_eq!(received.len(), 200);
    assert_eq!(receipts(&seen, "carried news"), (received, 200));
}

#[test]
fn a_value_of_a_watch_is_received_in_the_trace_of_its_sending() {
    let mut received = Vec::new();
    let seen = seen(|| {
        let (sender, mut receiver) = named("mode").spans().watch(Vec::new());
        in_trace(|trace| sender.send(trace).unwrap());
        at_once(receiver.changed()).unwrap();
        received.push(receiver.borrow().clone());
        in_trace(|trace| sender.send_modify(|value| *value = trace));
        received.push(receiver.borrow_and_update().clone());
        in_trace(|trace| {
            let is_sent = sender.send_if_modified(|value| {
                *value = trace;
                true
            });
            assert!(is_sent);
        });
        received.push(at_once(receiver.wait_for(|_| true)).unwrap().clone());
        // One that waits for it, and another one.
        let mut other = receiver.clone();
        {
            let mut context = Context::from_waker(Waker::noop());
            let mut following = pin!(receiver.changed());
            assert!(following.as_mut().poll(&mut context).is_pending());
            in_trace(|trace| sender.send_replace(trace));
            at_once(following).unwrap();
        }
        at_once(other.changed()).unwrap();
        let value = sender.borrow().clone();
        received.extend([value.clone(), value]);
        // Nothing is sent, and nothing is new.
        assert!(!sender.send_if_modified(|_| false));
        drop(at_once(receiver.wait_for(|_| true)).unwrap());
        assert_eq!(receiver.borrow_and_update().len(), 16);
        // Only the last one is received.
        in_trace(|trace| sender.send(trace).unwrap());
        in_trace(|trace| sender.send(trace).unwrap());
        received.push(receiver.borrow_and_update().clone());
        drop((receiver, other));
        in_trace(|trace| sender.send(trace).unwrap_err());
    });
    assert_eq!(receipts(&seen, "mode"), (received, 6));
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

#[test]
fn fill_ratios_of_a_broadcast_are_those_of_its_slowest_receiver() {
    let seen = seen(|| {
        let (sender, mut receiver) = named("filled news").spans().fill_ratio().broadcast(4);
        let mut quick = sender.subscribe();
        let send = || sender.send(()).unwrap();
        for _ in 0..3 {
            send();
            quick.try_recv().unwrap();
        }
        info_span!("taken").in_scope(|| receiver.try_recv().unwrap());
        (0..3).for_each(|_| _ = send());
        // The last one was one too many.
        info_span!("missed").in_scope(|| receiver.try_recv().unwrap_err());
        info_span!("taken late").in_scope(|| receiver.try_recv().unwrap());
        let unnamed = named("filled without spans").fill_ratio().broadcast(2);
        info_span!("sent").in_scope(|| unnamed.0.send(()).unwrap());
    });
    let spans = seen.spans();
    let ratios = |name: &str| {
        let spans = spans.iter().filter(|span| span.name == name);
        let ratios = spans.map(|span| attribute(&span.attributes, "channel.fill_ratio"));
        ratios.collect::<Vec<_>>()
    };
    let ratio = |ratio| Some(Value::DoubleValue(ratio));
    assert_eq!(
        ratios("channel.filled news_send"),
        [0.0, 0.25, 0.5, 0.5, 0.75, 1.0].map(ratio)
    );
    assert_eq!(ratios("taken"), [ratio(0.75)]);
    assert_eq!(ratios("missed"), [None]);
    assert_eq!(ratios("taken late"), [ratio(1.0)]);
    assert_eq!(ratios("sent"), [ratio(0.0)]);
}
