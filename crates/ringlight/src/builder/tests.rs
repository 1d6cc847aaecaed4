use std::sync::mpsc;

use ringlight_clock::ManualTime;
use ringlight_collector::record::Record;
use ringlight_collector::{Notice, Notices};
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
    let told: Vec<_> = tellings.iter().collect();
    assert!(
        matches!(told[..], [Notice::SinkPanicked { .. }]),
        "{told:?}"
    );
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
