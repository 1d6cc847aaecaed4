//! What another thread meets for the first time while telemetry becomes the process's.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Once;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use ringlight::collector::CallsiteRegistry;
use ringlight::collector::record::Record;
use ringlight::{LogFormat, RecordSink};
use tracing::dispatcher::{Dispatch, with_default};
use tracing::subscriber::Interest;
use tracing::{Metadata, Subscriber, info_span};
use tracing_subscriber::Layer;
use tracing_subscriber::prelude::*;

/// Two callsites, of which nobody has asked before they are met.
fn met_before() {
    drop(info_span!("before"));
}

fn met_meanwhile() {
    drop(info_span!("meanwhile"));
}

/// Wants nothing. When it is asked about what was met before, another thread meets something.
struct Meanwhile(Once);

impl<S: Subscriber> Layer<S> for Meanwhile {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        self.0
            .call_once(|| std::thread::spawn(met_meanwhile).join().unwrap());
        Interest::never()
    }
}

/// Passes on what spans are called.
struct Names(Sender<&'static str>);

impl RecordSink for Names {
    fn record(&mut self, record: &Record<'_>, callsites: &CallsiteRegistry) {
        if let Record::Span(span) = record {
            let callsite = callsites.lookup(span.callsite().unwrap()).unwrap();
            self.0.send(callsite.name).unwrap();
        }
    }

    fn flush(&mut self) {}
}

#[test]
fn what_is_met_before_telemetry_is_the_process_s_is_recorded_later() {
    // As an earlier subscriber leaves it, callsites are asked about when they are met.
    let earlier = Dispatch::new(tracing_subscriber::registry());
    with_default(&earlier, met_before);
    drop(earlier);
    let (sender, names) = channel();
    let telemetry = ringlight::builder()
        .environment([("RUST_LOG", "trace")])
        .log_format(LogFormat::Off)
        .beside(|registry| registry.with(Meanwhile(Once::new())))
        .sink(Names(sender))
        .init()
        .unwrap();
    met_before();
    met_meanwhile();
    telemetry.flush(Duration::from_secs(20)).unwrap();
    let names: Vec<_> = names.try_iter().collect();
    assert_eq!(names, ["before", "meanwhile"]);
}
