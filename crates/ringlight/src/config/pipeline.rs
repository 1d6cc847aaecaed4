//! What holds of the pipeline: what variables and the file say, and then the code.

use std::time::Duration;

use ringlight_collector::{CollectorConfig, SpoolMode};
use ringlight_model::Limits;

use super::environment::Reader;
use super::limits::{BATCH_RECORDS_LEAST, BATCH_RECORDS_MOST};
use super::{Changes, redaction, spool, units};

/// What holds of it.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub(super) config: CollectorConfig,
    pub(super) redaction: redaction::Said,
    /// The settings that the code has changed by way of the configuration.
    pub(super) changed_by_code: Vec<&'static str>,
}

/// Puts it together. `is_disabled`: nothing is sent, so nothing is kept on disk; `is_look`: nothing is made there.
pub(super) fn pipeline(
    reader: &mut Reader<'_>,
    mut config: CollectorConfig,
    changes: Changes,
    is_disabled: bool,
    is_look: bool,
) -> Pipeline {
    batching(reader, &mut config);
    limits(reader, &mut config.limits);
    let redaction = redaction::Said::of(reader);
    config.processing = config.processing.base_redaction(redaction.redaction());
    // To look whether its directory can be used is to make it, which is not done for nothing.
    if let Some(spool) = spool::spool(reader).filter(|_| !is_disabled) {
        config.spool = Some(spool);
    }
    let spool_dir = config.spool.as_ref().map(|spool| spool.dir.clone());
    let changed_by_code = change(&mut config, changes);
    config.spool = match is_disabled {
        true => None,
        false => spool::usable(reader, config.spool, spool_dir, is_look),
    };
    Pipeline {
        config,
        redaction,
        changed_by_code,
    }
}

/// Lets the code change what variables and the file say. The settings that it has changed.
fn change(config: &mut CollectorConfig, changes: Changes) -> Vec<&'static str> {
    let before = shown(config);
    changes.apply(config);
    let after = shown(config).into_iter();
    let changed = after.filter(|now| !before.contains(now));
    changed.map(|(key, _)| key).collect()
}

/// Spans and logs share one pipeline, so of two settings for the same thing the shorter or smaller
/// holds for both.
fn batching(reader: &mut Reader<'_>, config: &mut CollectorConfig) {
    let delay = shorter(
        reader.millis("OTEL_BSP_SCHEDULE_DELAY"),
        reader.millis("OTEL_BLRP_SCHEDULE_DELAY"),
    );
    if let Some(delay) = delay.or(time_in_file(reader, "batch_delay")) {
        config.batch_delay = delay;
    }
    timeouts(reader, config);
    if let Some(interval) = reader.time_or_never("RINGLIGHT_REPORT_INTERVAL", "30s", "0s") {
        config.report_interval = interval;
    }
    let names = [
        "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
        "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE",
    ];
    let allowed = format!("{BATCH_RECORDS_LEAST} to {BATCH_RECORDS_MOST}");
    let records = reader.least(names, &allowed, |text| {
        let records: u64 = text.parse().ok()?;
        let is_allowed = (BATCH_RECORDS_LEAST..=BATCH_RECORDS_MOST).contains(&records);
        is_allowed.then_some(records as usize)
    });
    if let Some(records) = records {
        config.batch_records_max = records;
    }
}

/// How long one attempt may take, for spans and logs, and for metrics.
fn timeouts(reader: &mut Reader<'_>, config: &mut CollectorConfig) {
    let per_signal = shorter(
        reader.millis("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"),
        reader.millis("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT"),
    );
    let processors = shorter(
        reader.millis("OTEL_BSP_EXPORT_TIMEOUT"),
        reader.millis("OTEL_BLRP_EXPORT_TIMEOUT"),
    );
    let generic = reader.millis("OTEL_EXPORTER_OTLP_TIMEOUT");
    let in_file = time_in_file(reader, "otlp_timeout");
    if let Some(timeout) = per_signal.or(generic).or(processors).or(in_file) {
        config.export_timeout = timeout;
    }
    let metrics = reader.millis("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT");
    if let Some(timeout) = metrics.or(generic).or(in_file) {
        config.metrics_timeout = Some(timeout);
    }
}

/// How much of a record is kept.
fn limits(reader: &mut Reader<'_>, limits: &mut Limits) {
    let mut limit = |name: &str| reader.number(name, "a number", |n| usize::try_from(n).ok());
    let attributes = shorter(
        limit("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"),
        limit("OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT"),
    )
    .or(limit("OTEL_ATTRIBUTE_COUNT_LIMIT"));
    let text_bytes = shorter(
        limit("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT"),
        limit("OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT"),
    )
    .or(limit("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"));
    let events = limit("OTEL_SPAN_EVENT_COUNT_LIMIT");
    let links = limit("OTEL_SPAN_LINK_COUNT_LIMIT");
    let event_attributes = limit("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT");
    let link_attributes = limit("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT");
    for (said, place) in [
        (attributes, &mut limits.attributes_max),
        (text_bytes, &mut limits.text_bytes_max),
        (events, &mut limits.events_max),
        (links, &mut limits.links_max),
        (event_attributes, &mut limits.event_attributes_max),
        (link_attributes, &mut limits.link_attributes_max),
    ] {
        if let Some(count) = said {
            *place = count;
        }
    }
}

fn shorter<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    a.into_iter().chain(b).min()
}

fn time_in_file(reader: &Reader<'_>, key: &str) -> Option<Duration> {
    let (text, _) = reader.in_file(key)?;
    units::duration(&text)
}

/// The settings that code changes by way of the configuration, and what they are there.
pub(super) fn shown(config: &CollectorConfig) -> Vec<(&'static str, String)> {
    let limits = &config.limits;
    let mut shown = vec![
        ("otlp_timeout", units::written(config.export_timeout)),
        ("batch_delay", units::written(config.batch_delay)),
        ("report_interval", units::written(config.report_interval)),
        ("batch_records_max", config.batch_records_max.to_string()),
        ("attribute_count_limit", limits.attributes_max.to_string()),
        (
            "attribute_value_length_limit",
            limits.text_bytes_max.to_string(),
        ),
        ("span_event_count_limit", limits.events_max.to_string()),
        ("span_link_count_limit", limits.links_max.to_string()),
        (
            "event_attribute_count_limit",
            limits.event_attributes_max.to_string(),
        ),
        (
            "link_attribute_count_limit",
            limits.link_attributes_max.to_string(),
        ),
    ];
    if let Some(spool) = &config.spool {
        let mode = match spool.mode {
            SpoolMode::Always => "always",
            _ => "overflow",
        };
        shown.extend([
            ("spool_dir", spool.dir.display().to_string()),
            ("spool_mode", mode.to_owned()),
            ("spool_size_limit", units::written_size(spool.bytes_max)),
            ("spool_max_age", units::written(spool.age_max)),
        ]);
    }
    shown
}
