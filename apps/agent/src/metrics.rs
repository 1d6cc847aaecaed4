//! What turns take, by OpenTelemetry's API.

use std::sync::OnceLock;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram};
use ringlight::Builder;
use ringlight::channel::watch;
use ringlight::metrics::{Aggregation, Instrument, Stream};

use crate::session::Status;
use crate::upkeep::{Board, TurnMetrics};

const DURATION: &str = "agent.turn.duration";

/// Has the durations of turns in buckets that suit how long the stand-in models think, which whoever measures turns does not
/// know: the SDK's own are for milliseconds.
pub(crate) fn view(telemetry: Builder) -> Builder {
    telemetry.metric_view(|instrument: &Instrument| {
        let seconds = Stream::builder().with_aggregation(Aggregation::ExplicitBucketHistogram {
            boundaries: vec![0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0],
            record_min_max: true,
        });
        // Boundaries that rise are always taken.
        (instrument.name() == DURATION).then(|| seconds.build().ok())?
    })
}

/// The instruments of the agent.
struct Instruments {
    duration: Histogram<f64>,
    input_tokens: Counter<u64>,
    tool_calls: Counter<u64>,
}

/// Made with the first turn: by then telemetry has started.
fn instruments() -> &'static Instruments {
    static INSTRUMENTS: OnceLock<Instruments> = OnceLock::new();
    INSTRUMENTS.get_or_init(|| {
        let meter = opentelemetry::global::meter("agent");
        Instruments {
            duration: meter
                .f64_histogram(DURATION)
                .with_description("How long turns took.")
                .with_unit("s")
                .build(),
            input_tokens: meter
                .u64_counter("agent.input.tokens")
                .with_description("What models were given to read.")
                .with_unit("{token}")
                .build(),
            tool_calls: meter
                .u64_counter("agent.tool.calls")
                .with_description("Tools that models called.")
                .with_unit("{call}")
                .build(),
        }
    })
}

/// A turn is over. Called in a span of its trace, which points of the duration then lead to.
pub(crate) fn turn(turn: &TurnMetrics) {
    let instruments = instruments();
    let outcome = if turn.has_failed { "failed" } else { "done" };
    let outcome = [KeyValue::new("agent.turn.outcome", outcome)];
    instruments
        .duration
        .record(turn.duration.as_secs_f64(), &outcome);
    instruments.input_tokens.add(turn.input_tokens, &[]);
    instruments.tool_calls.add(turn.tool_calls, &[]);
}

/// Has the board of what sessions do read with each export.
pub(crate) fn sessions(board: watch::Receiver<Board>) {
    opentelemetry::global::meter("agent")
        .i64_observable_up_down_counter("agent.sessions")
        .with_description("Sessions, by what they do.")
        .with_unit("{session}")
        .with_callback(move |observer| {
            let Board(counts) = *board.borrow();
            for (status, count) in Status::ALL.into_iter().zip(counts) {
                let status = KeyValue::new("agent.session.status", status.as_str());
                observer.observe(count, &[status]);
            }
        })
        .build();
}
