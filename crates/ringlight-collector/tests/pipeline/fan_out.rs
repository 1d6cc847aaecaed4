//! Several destinations, each with settings of its own, over the same bytes.

use std::sync::Arc;
use std::time::Duration;

use ringlight_collector::record::Record;
use ringlight_collector::{
    DestinationConfig, DestinationSpoolMode, Notice, Notices, Pipeline, RetryConfig, SpoolConfig,
    SpoolMode,
};
use ringlight_model::{Account, CallsiteRegistry, DropReason, LedgerSnapshot, Signal};

use crate::support::{Answer, PATIENCE, Scripted, config, record_log, record_span, wait_for};

fn to(exporter: &Scripted) -> DestinationConfig {
    DestinationConfig::new(Arc::new(exporter.clone()))
}

fn start(
    config: ringlight_collector::CollectorConfig,
    destinations: Vec<DestinationConfig>,
) -> Pipeline {
    Pipeline::start(
        config,
        Arc::new(CallsiteRegistry::new()),
        destinations,
        vec![],
    )
    .unwrap()
}

fn traces(ledgers: &[(String, LedgerSnapshot)], name: &str) -> Account {
    let found = ledgers.iter().find(|(known, _)| known == name);
    *found.unwrap().1.account(Signal::Traces)
}

#[test]
fn destinations_share_the_bytes_unless_they_have_a_filter() {
    let [all, same, odd] = ["all", "same", "odd"].map(|name| Scripted::new(name, Answer::Ok));
    let is_odd = |record: &Record<'_>, _: &CallsiteRegistry| match record {
        Record::Span(span) => span.span_id().get() % 2 == 1,
        Record::Log(_) => false,
    };
    let odd_to = DestinationConfig {
        name: Some("the odd ones".to_owned()),
        filter: Some(Box::new(is_odd)),
        ..to(&odd)
    };
    let pipeline = start(config(), vec![to(&all), to(&same), odd_to]);
    let recorder = pipeline.recorder();
    for number in 1..=9 {
        assert!(record_span(&recorder, number));
    }
    assert!(record_log(&recorder, "not for the odd ones"));
    pipeline.flush(PATIENCE).unwrap();
    assert_eq!(all.span_numbers(), (1..=9).collect::<Vec<_>>());
    assert_eq!(odd.span_numbers(), [1, 3, 5, 7, 9]);
    assert!(
        odd.taken()
            .iter()
            .all(|batch| batch.signal == Signal::Traces)
    );
    let (of_all, of_same) = (all.taken(), same.taken());
    for (one, other) in of_all.iter().zip(&of_same) {
        assert_eq!(one.bytes.as_ptr(), other.bytes.as_ptr());
        assert_eq!(one.id, other.id);
    }
    // No two batches have one name, also where they are of different streams.
    let ids: std::collections::BTreeSet<_> = of_all
        .iter()
        .chain(&odd.taken())
        .map(|b| b.id.to_string())
        .collect();
    assert_eq!(ids.len(), of_all.len() + odd.taken().len());
    pipeline.shutdown(PATIENCE);
    let ledgers = pipeline.ledgers();
    for (name, ledger) in &ledgers {
        assert!(ledger.balances(), "{name}: {ledger}");
        assert_eq!(
            ledger.account(Signal::Traces).exported,
            9,
            "{name}: {ledger}"
        );
    }
    assert_eq!(ledgers[2].0, "the odd ones");
}

#[test]
fn signals_can_be_kept_from_a_destination() {
    let [all, logs] = ["all", "logs"].map(|name| Scripted::new(name, Answer::Ok));
    let logs_to = DestinationConfig {
        signals: Some(vec![Signal::Logs]),
        ..to(&logs)
    };
    let pipeline = start(config(), vec![to(&all), logs_to]);
    let recorder = pipeline.recorder();
    assert!(record_span(&recorder, 1) && record_log(&recorder, "text"));
    pipeline.flush(PATIENCE).unwrap();
    let signals = |scripted: &Scripted| {
        let taken = scripted.taken();
        taken.iter().map(|batch| batch.signal).collect::<Vec<_>>()
    };
    assert_eq!(signals(&logs), [Signal::Logs]);
    assert_eq!(signals(&all).len(), 2);
}

#[test]
fn fault_16_dead_slow_refusing_and_hanging_destinations_touch_no_other() {
    let dead = Scripted::new("dead", Answer::Unreachable);
    let busy = Scripted::new("busy", Answer::Retryable(Some(Duration::from_secs(50))));
    let refusing = Scripted::new("refusing", Answer::Permanent);
    let hanging = Scripted::new("hanging", Answer::Never);
    let panicking = Scripted::new("panicking", Answer::Panic);
    let well = Scripted::new("well", Answer::Ok);
    let bad = [&dead, &busy, &refusing, &hanging, &panicking];
    let mut destinations: Vec<_> = bad.map(to).into();
    destinations.push(to(&well));
    let mut config = config();
    config.batch_records_max = 10;
    // Small queues, so that those of the others are full soon.
    config.batch_bytes_max = 2048;
    config.queue_bytes_max = 4096;
    let pipeline = start(config, destinations);
    let recorder = pipeline.recorder();
    let count = 2_000;
    for number in 1..=count {
        assert!(record_span(&recorder, number));
        if number % 10 == 0 {
            // At its own pace, which only that of the healthy one sets.
            wait_for(|| {
                let exported = traces(&pipeline.ledgers(), "well").exported;
                (exported + 200 > number).then_some(())
            });
        }
    }
    wait_for(|| (traces(&pipeline.ledgers(), "well").exported == count).then_some(()));
    assert_eq!(well.span_numbers(), (1..=count).collect::<Vec<_>>());
    let ledgers = pipeline.ledgers();
    for (name, ledger) in &ledgers {
        assert!(ledger.balances(), "{name}: {ledger}");
    }
    assert_eq!(traces(&ledgers, "refusing").rejected, count);
    for name in ["dead", "busy", "hanging"] {
        let account = traces(&ledgers, name);
        assert_eq!(account.exported + account.rejected, 0, "{name}: {account}");
        assert!(
            account.dropped[DropReason::QueueFull] > 0,
            "{name}: {account}"
        );
    }
    pipeline.shutdown(Duration::from_millis(500));
}

#[test]
fn each_has_its_own_limits_and_its_own_part_of_the_spool() {
    let dir = tempfile::tempdir().unwrap();
    let (told, notices) = std::sync::mpsc::channel();
    let mut config = config();
    config.spool = Some(SpoolConfig::new(dir.path().join("spool")));
    config.notices = Notices::new(move |notice| {
        let _ = told.send(notice.clone());
    });
    let dead = |name| Scripted::new(name, Answer::Unreachable);
    let (kept, memory) = (dead("kept"), dead("memory"));
    let destinations = || {
        let kept = DestinationConfig {
            name: Some("kept".to_owned()),
            spool: Some(DestinationSpoolMode::On(SpoolMode::Always)),
            ..to(&kept)
        };
        let memory = DestinationConfig {
            name: Some("memory".to_owned()),
            spool: Some(DestinationSpoolMode::Off),
            retry: Some(RetryConfig {
                total_max: Duration::from_millis(20),
                ..config.retry
            }),
            concurrent_exports_max: Some(1),
            ..to(&memory)
        };
        vec![kept, memory]
    };
    let pipeline = start(config.clone(), destinations());
    assert!(record_span(&pipeline.recorder(), 1));
    pipeline.flush(PATIENCE).unwrap();
    let ledgers = pipeline.ledgers();
    assert_eq!(
        traces(&ledgers, "memory").dropped[DropReason::RetriesExhausted],
        1
    );
    assert_eq!(memory.under_way_max(), 1);
    pipeline.shutdown(PATIENCE);
    assert_eq!(traces(&pipeline.ledgers(), "kept").spooled, 1);
    drop(pipeline);
    let told: Vec<_> = notices.try_iter().collect();
    for expected in [
        Notice::Dropped {
            destination: Some("memory".to_owned()),
            reason: DropReason::RetriesExhausted,
            records: 1,
        },
        Notice::LeftOnDisk {
            destination: "kept".to_owned(),
            records: 1,
        },
    ] {
        assert!(told.contains(&expected), "{told:?}");
    }
    // The next process finds it by the name, whatever the address.
    kept.set_default(Answer::Ok);
    let pipeline = start(config.clone(), destinations());
    wait_for(|| (traces(&pipeline.ledgers(), "kept").exported == 1).then_some(()));
    assert_eq!(kept.span_numbers(), [1]);
    assert_eq!(traces(&pipeline.ledgers(), "kept").recovered, 1);
    let taken_over = Notice::TakenOver {
        destination: "kept".to_owned(),
        records: 1,
    };
    assert!(notices.try_iter().any(|notice| notice == taken_over));
    pipeline.shutdown(PATIENCE);
}

#[test]
fn a_process_that_ends_at_once_sends_what_the_one_before_left() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config();
    config.spool = Some(SpoolConfig::new(dir.path().join("spool")));
    let backend = Scripted::new("backend", Answer::Unreachable);
    let pipeline = start(config.clone(), vec![to(&backend)]);
    for number in 1..=50 {
        assert!(record_span(&pipeline.recorder(), number));
    }
    pipeline.shutdown(Duration::from_secs(2));
    assert_eq!(traces(&pipeline.ledgers(), "backend").spooled, 50);
    drop(pipeline);
    backend.set_default(Answer::Ok);
    let pipeline = start(config.clone(), vec![to(&backend)]);
    pipeline.shutdown(PATIENCE);
    let account = traces(&pipeline.ledgers(), "backend");
    assert_eq!((account.exported, account.spooled), (50, 0), "{account:?}");
    assert_eq!(account.exported_recovered, 50);
    assert_eq!(backend.span_numbers().len(), 50);
}

#[test]
fn a_setting_of_a_destination_that_is_out_of_range_is_an_error() {
    let bad = DestinationConfig {
        concurrent_exports_max: Some(0),
        ..to(&Scripted::new("bad", Answer::Ok))
    };
    let started = Pipeline::start(config(), Arc::default(), vec![bad], vec![]);
    let error = started.unwrap_err().to_string();
    assert_eq!(error, "`concurrent_exports_max` is 0, allowed is 1 to 64");
}

#[test]
fn two_destinations_cannot_have_one_part_of_the_spool() {
    let dir = tempfile::tempdir().unwrap();
    let [one, other] = ["one", "other"].map(|name| Scripted::new(name, Answer::Ok));
    let start = |names: [Option<&str>; 2], spool: Option<DestinationSpoolMode>| {
        let [first, second] = names.map(|name| name.map(str::to_owned));
        let first = DestinationConfig {
            name: first,
            ..to(&one)
        };
        let second = DestinationConfig {
            name: second,
            spool,
            ..to(&other)
        };
        Pipeline::start(
            ringlight_collector::CollectorConfig {
                spool: Some(SpoolConfig::new(dir.path().join("spool"))),
                ..config()
            },
            Arc::new(CallsiteRegistry::new()),
            vec![first, second],
            vec![],
        )
        .map(|pipeline| {
            pipeline.shutdown(PATIENCE);
        })
        .map_err(|error| error.to_string())
    };
    let same = start([Some("archive"), Some("archive")], None).unwrap_err();
    assert_eq!(
        same,
        "`destination.name` is `archive` twice, allowed is another one for each destination that has a part of the spool"
    );
    // The second one is called that where it has no name.
    assert!(start([Some("default-1"), None], None).is_err());
    let off = Some(DestinationSpoolMode::Off);
    assert_eq!(start([Some("archive"), Some("archive")], off), Ok(()));
    assert_eq!(start([Some("archive"), None], None), Ok(()));
}
