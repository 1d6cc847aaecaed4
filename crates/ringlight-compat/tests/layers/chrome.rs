//! `tracing-chrome`: a trace file.

use serde_json::Value;
use tracing::{info, info_span};
use tracing_chrome::ChromeLayerBuilder;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::{Ours, Text};

fn work() {
    let outer = info_span!("outer", x = 1).entered();
    info_span!("inner").in_scope(|| info!("hello"));
    drop(outer);
}

/// The file is valid, and holds begin and end of both spans, in order.
fn check(text: &Text, ours: &Ours) {
    let events: Vec<Value> = serde_json::from_str(&text.take()).unwrap();
    let phases = |of: &str| -> Vec<(String, u64)> {
        let of_span = events.iter().filter(|event| event["name"] == of);
        of_span
            .map(|event| {
                let at = event["ts"].as_f64().unwrap();
                (event["ph"].as_str().unwrap().to_owned(), at as u64)
            })
            .collect()
    };
    let (outer, inner) = (phases("outer"), phases("inner"));
    for phases in [&outer, &inner] {
        let kinds: Vec<_> = phases.iter().map(|(kind, _)| kind.as_str()).collect();
        assert_eq!(kinds, ["B", "E"]);
    }
    assert!(outer[0].1 <= inner[0].1 && inner[1].1 <= outer[1].1);
    let begin = events.iter().find(|event| event["name"] == "outer");
    assert_eq!(begin.unwrap()["args"]["x"], "1");
    ours.assert_chain(&["outer", "inner"]);
}

#[test]
fn the_trace_file_is_whole_and_so_are_our_records() {
    let text = Text::default();
    let (builder, kept) = crate::builder();
    let (layer, guard) = ChromeLayerBuilder::new()
        .writer(text.clone())
        .include_args(true)
        .build();
    let builder = builder.beside(|registry| registry.with(layer));
    let (dispatch, telemetry) = builder.build().unwrap();
    tracing::dispatcher::with_default(&dispatch, work);
    drop(guard);
    check(&text, &Ours { telemetry, kept });

    let (builder, kept) = crate::builder();
    let (chrome, guard) = ChromeLayerBuilder::new()
        .writer(text.clone())
        .include_args(true)
        .build();
    let (layer, telemetry) = builder.layer().unwrap();
    let stack = tracing_subscriber::registry().with(chrome).with(layer);
    tracing::subscriber::with_default(stack, work);
    drop(guard);
    check(&text, &Ours { telemetry, kept });
}
