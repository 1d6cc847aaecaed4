//! The channels of the applications, by what a backend has of them.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{APPLICATIONS, encoded};
use crate::common::{Backend, get, text, until};

/// A channel's name and type.
type Channel = (&'static str, &'static str);

/// Those of an application on which messages come and go all the time.
fn busy(application: &str) -> &'static [Channel] {
    match application {
        "streaming" => &[("chunks", "mpsc"), ("jobs", "mpsc")],
        _ => &[
            ("status", "mpsc"),
            ("skill_reload", "mpsc"),
            ("config_reload", "mpsc"),
            ("elicitation", "mpsc"),
            ("metrics", "mpsc"),
            ("cancel", "mpsc"),
            ("tokens", "mpsc"),
            ("mcp.lines", "mpsc"),
            ("mcp.answer", "oneshot"),
            ("elicited", "oneshot"),
            ("news", "broadcast"),
        ],
    }
}

/// Those that an application needs to end.
fn last(application: &str) -> &'static [Channel] {
    match application {
        "streaming" => &[("stop", "watch"), ("stdin_closed", "oneshot")],
        _ => &[
            ("stop", "watch"),
            ("stdin_closed", "oneshot"),
            ("ended", "mpsc_unbounded"),
        ],
    }
}

/// The last value alone is looked at, now and then.
const BOARD: Channel = ("board", "watch");

/// Waits until there are all five metrics of the applications' channels: of each what is sent, received and waiting, and
/// of some, as it happens, that senders wait for places, and that something is dropped.
pub(super) fn wait_for_metrics(backend: &Backend) {
    for application in APPLICATIONS {
        wait_for_messages(backend, application, busy(application));
        until(
            &format!("each channel of `{application}` has a depth"),
            || {
                let depths = series(backend, application, "channel.queue_depth", "max", "type");
                let found: BTreeSet<_> = depths
                    .into_iter()
                    .map(|(name, kind, _)| (name, kind))
                    .collect();
                let mut all = [busy(application), last(application)].concat();
                all.extend((application == "agent").then_some(BOARD));
                let all = all.into_iter().map(owned).collect();
                assert!(found.is_subset(&all), "{found:?}");
                (found == all).then_some(())
            },
        );
    }
    until("somebody waits for a place", || {
        let metric = "channel.backpressure_latency";
        let waits = series(backend, "streaming", metric, "count", "type");
        let is_known = |name: &str| ["chunks", "jobs"].contains(&name);
        let mut waits = waits.iter().filter(|(_, _, count)| *count > 0.0);
        waits.any(|(name, ..)| is_known(name)).then_some(())
    });
    until("the board is not always looked at", || {
        let dropped = series(backend, "agent", "channel.dropped", "sum", "drop_reason");
        let mut dropped = dropped.iter().filter(|(_, _, count)| *count > 0.0);
        dropped
            .any(|(name, reason, _)| name == BOARD.0 && reason == "overwritten")
            .then_some(())
    });
}

/// Those that the applications have needed to end, once they have.
pub(super) fn wait_for_the_last(backend: &Backend) {
    for application in APPLICATIONS {
        wait_for_messages(backend, application, last(application));
    }
}

fn wait_for_messages(backend: &Backend, application: &str, channels: &[Channel]) {
    for metric in ["channel.sent", "channel.received"] {
        until(
            &format!("`{metric}` of {channels:?} of `{application}`"),
            || {
                let counts = series(backend, application, metric, "sum", "type");
                let counts = counts.into_iter().filter(|(_, _, count)| *count > 0.0);
                let found: BTreeSet<_> = counts.map(|(name, kind, _)| (name, kind)).collect();
                // To look at a value of a `watch` is not to receive it.
                let is_counted = |kind: &str| metric == "channel.sent" || kind != "watch";
                let wanted = channels.iter().filter(|(_, kind)| is_counted(kind));
                let mut wanted = wanted.copied().map(owned);
                wanted.all(|channel| found.contains(&channel)).then_some(())
            },
        );
    }
}

fn owned((name, kind): Channel) -> (String, String) {
    (name.to_owned(), kind.to_owned())
}

/// A metric of an application's channels so far: the name of each, another attribute, of which this is the end, and the
/// values of all steps together.
fn series(
    backend: &Backend,
    application: &str,
    metric: &str,
    aggregation: &str,
    attribute: &str,
) -> Vec<(String, String, f64)> {
    let query = encoded(&format!("{{ resource.service.name = \"{application}\" }}"));
    let keys = ["channel.name".to_owned(), format!("channel.{attribute}")];
    let by = keys.join(",");
    let path = format!("/api/v1/metrics/{metric}?agg={aggregation}&by={by}&q={query}");
    let (status, body) = get(backend.ui, &path);
    // Nothing of it has come yet.
    if status == 404 {
        return Vec::new();
    }
    assert_eq!(status, 200, "{path}: {}", text(&body));
    let answer: Value = serde_json::from_slice(&body).unwrap();
    let found = answer["series"].as_array().unwrap().iter();
    found
        .map(|series| {
            let label = |key: &str| {
                let labels = series["labels"].as_array().unwrap();
                let label = labels.iter().find(|label| label["key"] == key);
                let value = label.and_then(|label| label["value"].as_str());
                value.unwrap_or_default().to_owned()
            };
            let points = series["points"].as_array().unwrap().iter();
            let values = points.filter_map(|point| point["value"].as_f64());
            (label(&keys[0]), label(&keys[1]), values.sum())
        })
        .collect()
}
