//! A backend that takes only so much in one request.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringlight_collector::{
    EncodedBatch, ExportError, ExportOutcome, Exporter, Pipeline, SpoolConfig, SpoolMode,
};
use ringlight_model::{CallsiteRegistry, DropReason};

use crate::support::{PATIENCE, config, decode, record_log, record_span, traces};

#[derive(Default)]
struct Seen {
    /// Sizes of the requests that were refused.
    refused: Vec<usize>,
    taken: Vec<EncodedBatch>,
}

/// Takes requests of up to so many bytes.
#[derive(Clone)]
struct Small {
    bytes_max: usize,
    /// Whether it answers nothing to larger ones, as over a line that is too slow, rather than refuse them.
    is_slow: bool,
    seen: Arc<Mutex<Seen>>,
}

impl Exporter for Small {
    async fn export(&self, batch: EncodedBatch) -> Result<ExportOutcome, ExportError> {
        let is_taken = {
            let mut seen = self.seen.lock().unwrap();
            let is_taken = batch.bytes.len() <= self.bytes_max;
            if is_taken {
                seen.taken.push(batch);
            } else {
                seen.refused.push(batch.bytes.len());
            }
            is_taken
        };
        if !is_taken && self.is_slow {
            std::future::pending::<()>().await;
        }
        if is_taken {
            return Ok(ExportOutcome::default());
        }
        Err(ExportError::TooLarge {
            reason: "message larger than max".to_owned(),
        })
    }

    fn name(&self) -> &str {
        "small"
    }
}

fn small(bytes_max: usize) -> Small {
    Small {
        bytes_max,
        is_slow: false,
        seen: Arc::default(),
    }
}

fn numbers(taken: &[EncodedBatch]) -> Vec<u64> {
    let spans = taken.iter().flat_map(|batch| decode(batch).spans);
    spans.map(|span| span.span_id.get()).collect()
}

#[test]
fn a_batch_that_is_too_large_goes_in_parts_and_the_next_are_not_tried_whole() {
    for spool in [None, Some(SpoolMode::Overflow), Some(SpoolMode::Always)] {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config();
        config.batch_delay = Duration::from_secs(60);
        config.spool = spool.map(|mode| SpoolConfig {
            mode,
            ..SpoolConfig::new(dir.path().join("spool"))
        });
        let small = small(1_000);
        let destinations = vec![Arc::new(small.clone())];
        let callsites = Arc::new(CallsiteRegistry::new());
        let pipeline = Pipeline::start(config, callsites, destinations, vec![]).unwrap();
        let recorder = pipeline.recorder();
        for number in 1..=100 {
            assert!(record_span(&recorder, number));
        }
        pipeline.flush(PATIENCE).unwrap();
        let refused = small.seen.lock().unwrap().refused.len();
        assert!(
            (1..=4).contains(&refused),
            "halved until it fits: {refused}"
        );
        for number in 101..=200 {
            assert!(record_span(&recorder, number));
        }
        pipeline.flush(PATIENCE).unwrap();
        let ledger = pipeline.shutdown(PATIENCE);
        let seen = small.seen.lock().unwrap();
        assert_eq!(seen.refused.len(), refused, "learned");
        assert_eq!(numbers(&seen.taken), (1..=200).collect::<Vec<_>>());
        let names: BTreeSet<_> = seen
            .taken
            .iter()
            .map(|batch| batch.id.to_string())
            .collect();
        assert_eq!(names.len(), seen.taken.len());
        assert_eq!(traces(&pipeline).exported, 200, "{ledger}");
        assert!(ledger.balances());
    }
}

#[test]
fn one_record_that_is_too_large_is_dropped_and_counted_and_no_other() {
    let small = small(600);
    let destinations = vec![Arc::new(small.clone())];
    let pipeline = Pipeline::start(config(), Arc::default(), destinations, vec![]);
    let pipeline = pipeline.unwrap();
    let recorder = pipeline.recorder();
    for text in ["short", &"long".repeat(200), "short again"] {
        assert!(record_log(&recorder, text));
    }
    let ledger = pipeline.shutdown(PATIENCE);
    let account = ledger.account(ringlight_model::Signal::Logs);
    assert_eq!(account.exported, 2, "{ledger}");
    assert_eq!(account.dropped[DropReason::TooLarge], 1, "{ledger}");
    assert!(ledger.balances());
}

#[test]
fn what_is_never_answered_in_time_goes_in_parts() {
    let slow = Small {
        is_slow: true,
        ..small(1_000)
    };
    let mut config = config();
    config.batch_delay = Duration::from_secs(60);
    config.batch_bytes_max = 4_096;
    config.export_timeout = Duration::from_millis(50);
    let destinations = vec![Arc::new(slow.clone())];
    let pipeline = Pipeline::start(config, Arc::default(), destinations, vec![]).unwrap();
    let recorder = pipeline.recorder();
    for number in 1..=100 {
        assert!(record_span(&recorder, number));
    }
    pipeline.flush(PATIENCE).unwrap();
    let delivery = pipeline.deliveries().remove(0).1;
    let delivery = *delivery.signal(ringlight_model::Signal::Traces);
    assert_eq!((delivery.records, delivery.wire_bytes), (100, 0));
    assert!(delivery.latency.is_some() && delivery.concurrency > 0);
    let ledger = pipeline.shutdown(PATIENCE);
    let seen = slow.seen.lock().unwrap();
    let mut numbers = numbers(&seen.taken);
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=100).collect::<Vec<_>>());
    assert_eq!(traces(&pipeline).exported, 100, "{ledger}");
    assert!(ledger.balances());
}
