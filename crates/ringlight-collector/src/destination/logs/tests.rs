use super::*;

const QUOTA: u64 = 1 << 20;

fn open(spool: &Spool, signals: &[Signal]) -> Logs {
    Logs::open(spool, "d", signals, QUOTA, false).unwrap().0
}

fn batch(signal: Signal, is_audit: bool, sequence: u64) -> EncodedBatch {
    EncodedBatch {
        signal,
        bytes: Bytes::from(vec![7; 64 << 10]),
        records: 1,
        id: BatchId::new("p".into(), sequence).of_audit(is_audit),
    }
}

fn write(logs: &mut Logs, batches: impl Iterator<Item = EncodedBatch>) -> Done {
    let write: Vec<_> = batches.collect();
    let done = logs.work(Work {
        now_ms: write[0].id.sequence(),
        write,
        ..Work::default()
    });
    assert!(done.error.is_none(), "{:?}", done.error);
    done
}

fn read(logs: &mut Logs) -> Vec<BatchId> {
    let done = logs.work(Work {
        read_bytes: 1 << 30,
        ..Work::default()
    });
    done.read.into_iter().map(|read| read.batch.id).collect()
}

fn lost(done: &Done, is_audit: bool) -> u64 {
    let lost = done.lost.iter();
    let of_kind = lost.filter(|(key, _, _)| key.is_audit == is_audit);
    of_kind.map(|(_, _, lost)| lost.records).sum()
}

#[test]
fn what_is_written_at_a_time_is_kept_to_the_quota() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path()).unwrap();
    let mut logs = open(&spool, &[Signal::Traces]);
    let batches = (1..=64).map(|sequence| batch(Signal::Traces, false, sequence));
    let done = write(&mut logs, batches);
    assert_eq!(done.written.len(), 64);
    let bytes = logs.bytes();
    assert!(bytes <= QUOTA + (64 << 10), "{bytes} bytes are on disk");
    // The newest are kept, and every one of the others is counted.
    let read = read(&mut logs);
    assert_eq!(read.len() as u64 + lost(&done, false), 64);
    assert_eq!(read.last().unwrap().sequence(), 64);
}

#[test]
fn audit_records_are_dropped_last_and_known_for_what_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path()).unwrap();
    let mut logs = open(&spool, &[Signal::Traces, Signal::Logs]);
    let batches = |signal, is_audit, sequences: std::ops::RangeInclusive<u64>| {
        sequences.map(move |sequence| batch(signal, is_audit, sequence))
    };
    // They are the oldest, and what makes room is younger.
    write(&mut logs, batches(Signal::Logs, true, 1..=4));
    for signal in [Signal::Traces, Signal::Logs] {
        let done = write(&mut logs, batches(signal, false, 5..=36));
        assert!(lost(&done, false) > 0);
        assert_eq!((lost(&done, true), done.refused.len()), (0, 0));
    }
    // The next process knows them.
    logs.close().unwrap();
    let mut logs = open(&spool, &[Signal::Traces, Signal::Logs]);
    let mut audit = read(&mut logs);
    audit.retain(BatchId::is_audit);
    let numbers: Vec<_> = audit.iter().map(BatchId::sequence).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);

    // Where there is nothing else, the oldest of them go, and are counted.
    let done = write(&mut logs, batches(Signal::Logs, true, 37..=68));
    assert!(lost(&done, true) > 0, "{:?}", done.lost);
    assert!(done.refused.is_empty());
    // Others get nothing then.
    let done = write(&mut logs, batches(Signal::Traces, false, 69..=72));
    assert_eq!((lost(&done, true), done.refused.len()), (0, 4));
    assert!(done.written.is_empty());
    assert!(logs.bytes() <= QUOTA + (64 << 10));
}

#[test]
fn what_an_earlier_version_kept_of_audit_records_comes_back_with_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path()).unwrap();
    // All in the log of their signal.
    let (mut log, _) = spool.log("d", "logs", LogOptions::default()).unwrap();
    let kept = batch(Signal::Logs, true, 1);
    log.append(&[entry(&kept, "")], 0, 1).unwrap();
    log.close().unwrap();
    let read = read(&mut open(&spool, &[Signal::Logs]));
    assert_eq!(read, [BatchId::new("p".into(), 1)]);
}
