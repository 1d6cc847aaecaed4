//! Policies of one's own within a pipeline.

use std::sync::Arc;
use std::time::Duration;

use ringlight_collector::{
    CircuitBreakerConfig, CircuitState, CollectorConfig, ExporterBoxed, Pipeline, Quota, RateUnit,
    ResilienceStats, ResilientExporter, ResilientExporterBuilder, SpoolConfig, TokenBucket,
};
use ringlight_model::{CallsiteRegistry, Signal};

use crate::support::{
    Answer, PATIENCE, Scripted, config, record_span, traces, wait_for, wait_for_traces,
};

fn start(config: CollectorConfig, exporter: &Arc<ResilientExporter<Scripted>>) -> Pipeline {
    let exporter = Arc::clone(exporter) as Arc<dyn ExporterBoxed>;
    let callsites = Arc::new(CallsiteRegistry::new());
    Pipeline::start(config, callsites, vec![exporter], Vec::new()).unwrap()
}

/// With a breaker that opens soon, and not for long.
fn guarded(backend: &Scripted) -> Arc<ResilientExporter<Scripted>> {
    let settings = CircuitBreakerConfig {
        failure_threshold: 2,
        reset_timeout: Duration::from_millis(20),
        ..CircuitBreakerConfig::default()
    };
    let builder = ResilientExporterBuilder::new(backend.clone());
    Arc::new(builder.circuit_breaker(settings).build().unwrap())
}

fn stats(exporter: &ResilientExporter<Scripted>) -> ResilienceStats {
    exporter.stats(Signal::Traces)
}

#[test]
fn the_pipeline_keeps_what_an_open_breaker_does_not_let_through() {
    let backend = Scripted::new("backend", Answer::Unreachable);
    let exporter = guarded(&backend);
    let pipeline = start(config(), &exporter);
    for number in 1..=100 {
        assert!(record_span(&pipeline.recorder(), number));
    }
    let breaker = || stats(&exporter).circuit_breaker.unwrap();
    wait_for(|| (breaker().opened >= 3).then_some(()));
    backend.set_default(Answer::Ok);
    wait_for_traces(&pipeline, |account| account.exported == 100);
    for number in 101..=200 {
        assert!(record_span(&pipeline.recorder(), number));
        pipeline.flush(PATIENCE).unwrap();
    }
    assert_eq!(breaker().state, CircuitState::Closed);
    let ledger = pipeline.shutdown(PATIENCE);
    assert!(ledger.balances());
    assert_eq!(ledger.account(Signal::Traces).exported, 200);
    assert_eq!(breaker().admitted, backend.attempts().len() as u64);
}

#[test]
fn an_open_breaker_is_a_reason_to_keep_batches_on_disk_and_not_to_drop_any() {
    let backend = Scripted::new("backend", Answer::Unreachable);
    let exporter = guarded(&backend);
    let folder = tempfile::tempdir().unwrap();
    let config = CollectorConfig {
        spool: Some(SpoolConfig::new(folder.path())),
        ..config()
    };
    let pipeline = start(config, &exporter);
    // What opens the breaker is a batch, and what comes then is another: the first is tried again and again, and those
    // behind it go to the disk.
    let mut count = 1;
    assert!(record_span(&pipeline.recorder(), count));
    wait_for(|| (stats(&exporter).circuit_breaker.unwrap().opened > 0).then_some(()));
    wait_for(|| {
        // As many as the ring has room for.
        if count < 1_000 {
            count += 1;
            assert!(record_span(&pipeline.recorder(), count));
        }
        (traces(&pipeline).spooled > 0).then_some(())
    });
    backend.set_default(Answer::Ok);
    wait_for_traces(&pipeline, |account| account.exported == count);
    let ledger = pipeline.shutdown(PATIENCE);
    let account = ledger.account(Signal::Traces);
    assert_eq!((account.submitted, account.exported), (count, count));
}

#[test]
fn the_pipeline_comes_back_when_a_limit_says_so() {
    let backend = Scripted::new("backend", Answer::Ok);
    let quota = Quota {
        unit: RateUnit::Requests,
        amount: 1,
        per: Duration::from_millis(50),
    };
    let exporter = ResilientExporterBuilder::new(backend.clone())
        .rate_limit(TokenBucket::new(quota, 1).unwrap())
        .rate_limit_wait_max(Duration::ZERO)
        .build()
        .unwrap();
    let exporter = Arc::new(exporter);
    let pipeline = start(config(), &exporter);
    for number in 1..=100_000 {
        assert!(record_span(&pipeline.recorder(), number));
        pipeline.flush(PATIENCE).unwrap();
        if stats(&exporter).rate_limit.unwrap().refused >= 5 {
            let ledger = pipeline.shutdown(PATIENCE);
            assert_eq!(ledger.account(Signal::Traces).exported, number);
            assert_eq!(backend.taken().len() as u64, number);
            return;
        }
    }
    panic!("no batch came before its turn");
}
