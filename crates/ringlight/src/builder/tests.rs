use std::sync::{Arc, mpsc};

use ringlight_clock::{Clock, ManualTime};
use ringlight_collector::record::Record;
use ringlight_collector::{Notice, Notices};
use ringlight_model::CallsiteRegistry;
use tracing::dispatcher::with_default;

use super::*;
use crate::LogFormat;

/// Tells when the first span began, and has a notice given by a panic.
struct First(mpsc::Sender<u64>);

impl RecordSink for First {
    fn record(&mut self, record: &Record<'_>, _: &CallsiteRegistry) {
        if let Record::Span(span) = record {
            self.0.send(span.start_unix_nano()).unwrap();
            panic!("seen enough");
        }
    }

    fn flush(&mut self) {}
}

/// What was told, but that nobody counts allocations, which is told where that feature is on.
fn all_but_allocations(tellings: &mpsc::Receiver<Notice>) -> Vec<Notice> {
    let is_other = |notice: &Notice| !notice.to_string().contains("allocations are not counted");
    tellings.iter().filter(is_other).collect()
}

#[test]
fn notices_and_the_clock_of_the_pipeline_are_those_that_the_code_sets() {
    let (told, tellings) = mpsc::channel();
    let (began, beginnings) = mpsc::channel();
    let time = ManualTime::default();
    time.set_wall(7_000_000_000);
    let clock = Arc::new(Clock::manual(time));
    let none: [(&str, &str); 0] = [];
    let builder = crate::builder()
        .environment(none)
        .log_format(LogFormat::Off)
        .sink(First(began))
        .pipeline(move |config| {
            config.clock = Some(clock);
            config.notices = Notices::new(move |notice| {
                let _ = told.send(notice.clone());
            });
        });
    let (dispatch, telemetry) = builder.build().unwrap();
    with_default(&dispatch, || drop(tracing::info_span!("span")));
    telemetry.shutdown(Duration::from_secs(60));
    drop((dispatch, telemetry));
    assert_eq!(beginnings.iter().collect::<Vec<_>>(), [7_000_000_000]);
    let told = all_but_allocations(&tellings);
    assert!(
        matches!(told[..], [Notice::SinkPanicked { .. }]),
        "{told:?}"
    );
}

#[test]
fn whatever_there_is_to_say_goes_where_notices_go() {
    let (told, tellings) = mpsc::channel();
    let builder = crate::builder()
        .environment([("RUST_LOG_LINES", "shop=loud")])
        .log_format(LogFormat::Off)
        .beside(|_| tracing_subscriber::registry())
        .pipeline(move |config| {
            config.notices = Notices::new(move |notice| {
                let _ = told.send(notice.clone());
            });
        });
    let (dispatch, telemetry) = builder.build().unwrap();
    drop(dispatch);
    telemetry.shutdown(Duration::from_secs(60));
    drop(telemetry);
    let told = all_but_allocations(&tellings);
    let [
        Notice::Settings { message: setting },
        Notice::Recording { message: layers },
    ] = &told[..]
    else {
        panic!("{told:?}");
    };
    assert!(setting.contains("`shop=loud`"), "{setting}");
    assert!(layers.contains("given to `beside`"), "{layers}");
}

#[test]
fn a_span_that_is_left_out_of_order_is_told_of_once() {
    let (told, tellings) = mpsc::channel();
    let none: [(&str, &str); 0] = [];
    let builder = crate::builder()
        .environment(none)
        .log_format(LogFormat::Off)
        .sink(Ignored)
        .pipeline(move |config| {
            config.notices = Notices::new(move |notice| {
                let _ = told.send(notice.clone());
            });
        });
    let (dispatch, telemetry) = builder.build().unwrap();
    with_default(&dispatch, || {
        for _ in 0..2 {
            let outer = tracing::info_span!("outer").entered();
            let inner = tracing::info_span!("inner").entered();
            drop(outer);
            drop(inner);
        }
    });
    telemetry.shutdown(Duration::from_secs(60));
    drop((dispatch, telemetry));
    let told = all_but_allocations(&tellings);
    let [Notice::Recording { message }] = &told[..] else {
        panic!("{told:?}");
    };
    assert!(message.starts_with("span `outer` was left"), "{message}");
}

/// Wants spans, so that they are recorded.
struct Ignored;

impl RecordSink for Ignored {
    fn record(&mut self, _: &Record<'_>, _: &CallsiteRegistry) {}

    fn flush(&mut self) {}
}

#[cfg(feature = "otel")]
#[test]
fn intervals_of_metrics_are_ones_that_can_be_kept() {
    for (asked, kept) in [
        (Duration::ZERO, Duration::from_millis(1)),
        (Duration::from_secs(7), Duration::from_secs(7)),
        (Duration::MAX, Duration::from_secs(3600)),
    ] {
        let builder = crate::builder().metric_export_interval(asked);
        assert_eq!(builder.inputs.metrics.interval, Some(kept));
    }
}
