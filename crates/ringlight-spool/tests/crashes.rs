//! Logs whose process dies, whose machine loses power, whose disk is damaged or full.

#![expect(
    clippy::unwrap_used,
    reason = "a test may stop at the first thing that is wrong"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use ringlight_spool::{Disk as _, Entry, Log, LogOptions, Lost, Recovered};
use ringlight_testing::{DiskOperation, FaultDisk};

const SMALL: LogOptions = LogOptions {
    segment_bytes: 600,
    sync: true,
};

fn dir() -> PathBuf {
    PathBuf::from("/spool/traces")
}

fn open(disk: &FaultDisk) -> (Log, Recovered) {
    disk.create_dir(&dir()).unwrap();
    Log::open(Arc::new(disk.clone()), &dir(), SMALL).unwrap()
}

/// Appends batches with these numbers, of which each has the number of records that its number ends with.
fn append(log: &mut Log, numbers: &[u64], out_count: usize, now_ms: u64) -> io::Result<Vec<u64>> {
    let bodies: Vec<_> = numbers.iter().map(|number| body(*number)).collect();
    let entries: Vec<_> = numbers
        .iter()
        .zip(&bodies)
        .map(|(number, body)| Entry {
            process: "p1",
            sequence: *number,
            records: records(*number),
            note: "",
            bytes: body,
        })
        .collect();
    log.append(&entries, out_count, now_ms)
        .map(Iterator::collect)
}

fn body(number: u64) -> Vec<u8> {
    (0..number % 97).map(|i| (number + i) as u8).collect()
}

fn records(number: u64) -> u32 {
    (number % 10) as u32 + 1
}

/// The numbers of all batches that wait, in their order.
fn drain(log: &mut Log) -> Vec<u64> {
    let mut found = Vec::new();
    loop {
        let read = log.read(300, 0);
        assert!(read.unreadable.is_empty(), "{read:?}");
        for frame in &read.frames {
            assert_eq!(frame.process, "p1");
            assert_eq!(frame.bytes, body(frame.sequence), "{frame:?}");
            assert_eq!(frame.records, records(frame.sequence));
            found.push(frame.sequence);
            assert!(log.done(frame.id));
        }
        if read.frames.is_empty() {
            assert!(!log.has_waiting());
            assert_eq!(log.waiting_records(), 0);
            return found;
        }
    }
}

/// A life of a log: what was acknowledged in it and is not done.
#[derive(Default)]
struct Life {
    safe: BTreeSet<u64>,
    /// Those of which it is not known whether they are in the log.
    unsure: BTreeSet<u64>,
}

impl Life {
    fn live(disk: &FaultDisk) -> Self {
        let mut life = Self::default();
        let _ = life.go(disk);
        life
    }

    fn go(&mut self, disk: &FaultDisk) -> io::Result<()> {
        disk.create_dir(&dir())?;
        let (mut log, _) = Log::open(Arc::new(disk.clone()), &dir(), SMALL)?;
        let mut number = 0;
        for round in 0..10_u64 {
            let group: Vec<u64> = (0..=round % 3 + 1).map(|i| number + i).collect();
            number += group.len() as u64;
            self.unsure.extend(&group);
            append(&mut log, &group, 0, round)?;
            self.safe.extend(&group);
            if round % 2 == 1 {
                let read = log.read(150, 0);
                for frame in read.frames.iter().skip((round % 3) as usize) {
                    // It may be forgotten that it is done, not that it is there.
                    self.safe.remove(&frame.sequence);
                    log.done(frame.id);
                }
                log.checkpoint()?;
            }
        }
        log.close()
    }

    fn check(&self, disk: &FaultDisk, what: &str) {
        let (mut log, recovered) = open(disk);
        assert_eq!(recovered.records, log.waiting_records(), "{what}");
        // What goes in later comes out, too: its number was not used before.
        let later = append(&mut log, &[1000], 0, 9).unwrap();
        let found = drain(&mut log);
        let set: BTreeSet<u64> = found.iter().copied().collect();
        assert_eq!(set.len(), found.len(), "{what}: {found:?}");
        for number in &self.safe {
            assert!(set.contains(number), "{what}: {number} of {found:?}");
        }
        for number in set {
            assert!(number == 1000 || self.unsure.contains(&number), "{what}");
        }
        assert_eq!(later.len(), 1);
        log.close().unwrap();
        let left = disk.paths();
        assert!(left.iter().all(|p| p.ends_with("checkpoint")), "{left:?}");
    }
}

#[test]
fn fault_19_what_was_acknowledged_comes_out_whenever_the_process_dies() {
    let whole = FaultDisk::new();
    let life = Life::live(&whole);
    life.check(&whole.after_death(), "undisturbed");
    let operations = whole.operations();
    assert!(operations > 40, "{operations}");
    let mut random = fastrand::Rng::with_seed(7);
    for at in 1..=operations {
        let disk = FaultDisk::new();
        disk.die_at(at);
        let life = Life::live(&disk);
        life.check(&disk.after_death(), &format!("killed in {at}"));
        for loss in 0..20 {
            let after = disk.after_power_loss(&mut random);
            life.check(&after, &format!("power lost in {at}, {loss}"));
        }
    }
}

#[test]
fn fault_19_a_process_that_dies_while_it_recovers_loses_nothing() {
    let first = FaultDisk::new();
    first.die_at(30);
    let life = Life::live(&first);
    for at in 1..20 {
        let second = first.after_death();
        second.die_at(at);
        let again = (|| -> io::Result<()> {
            let (mut log, _) = Log::open(Arc::new(second.clone()), &dir(), SMALL)?;
            append(&mut log, &[500], 0, 9)?;
            let _ = log.read(100, 0);
            log.close()
        })();
        let third = second.after_death();
        let mut life = Life {
            safe: life.safe.clone(),
            unsure: life.unsure.clone(),
        };
        life.unsure.insert(500);
        life.check(&third, &format!("{at}: {again:?}"));
    }
}

/// A log with these batches in one segment, and the path of the segment.
fn one_segment(numbers: &[u64]) -> (FaultDisk, PathBuf) {
    let disk = FaultDisk::new();
    let (mut log, _) = open(&disk);
    append(&mut log, numbers, 0, 1).unwrap();
    drop(log);
    let path = disk.paths().into_iter().next().unwrap();
    (disk.after_death(), path)
}

#[test]
fn fault_20_a_flipped_bit_costs_its_frame_and_no_other() {
    let numbers = [11, 12, 13, 14];
    let (disk, path) = one_segment(&numbers);
    let mut len = 0;
    disk.tamper(&path, |bytes| len = bytes.len());
    let mut offsets = vec![40];
    for number in numbers {
        offsets.push(offsets.last().unwrap() + 56 + 2 + body(number).len());
    }
    assert_eq!(*offsets.last().unwrap(), len);
    for at in 40..len {
        let disk = disk.after_death();
        disk.tamper(&path, |bytes| bytes[at] ^= 4);
        let (mut log, recovered) = open(&disk);
        let read = log.read(10_000, 0);
        let hit = offsets.partition_point(|offset| *offset <= at) - 1;
        let found: Vec<u64> = read.frames.iter().map(|f| f.sequence).collect();
        let mut expected = numbers.to_vec();
        let lost = expected.remove(hit);
        assert_eq!(found, expected, "byte {at}");
        // That the last frame was acknowledged cannot be known where its header is gone.
        let is_known = hit < 3 || at >= offsets[3] + 56;
        let counted = (read.damaged.frames, read.damaged.records);
        let known = (1, u64::from(records(lost)));
        assert_eq!(counted, if is_known { known } else { (0, 0) }, "byte {at}");
        let left: u64 = expected.iter().map(|n| u64::from(records(*n))).sum();
        assert_eq!(recovered.records, left + counted.1, "byte {at}");
        assert!(is_known || recovered.torn_bytes > 0);
        for frame in read.frames {
            log.done(frame.id);
        }
        assert!(!log.has_waiting());
        log.close().unwrap();
        assert!(disk.paths().iter().all(|p| p.ends_with("checkpoint")));
    }
}

#[test]
fn fault_20_a_torn_tail_is_no_frame_and_counts_as_none() {
    let (disk, path) = one_segment(&[21, 22]);
    let second = 40 + 56 + 2 + body(21).len();
    for cut in second..second + 56 + 2 + body(22).len() {
        let disk = disk.after_death();
        disk.tamper(&path, |bytes| bytes.truncate(cut));
        let (mut log, recovered) = open(&disk);
        assert_eq!(recovered.records, u64::from(records(21)), "{cut}");
        assert_eq!(recovered.torn_bytes, (cut - second) as u64);
        append(&mut log, &[23], 0, 2).unwrap();
        let read = log.read(10_000, 0);
        let found: Vec<u64> = read.frames.iter().map(|f| f.sequence).collect();
        assert_eq!((found, read.damaged.frames), (vec![21, 23], 0));
    }
}

#[test]
fn fault_20_a_frame_inside_of_a_record_is_not_taken_for_one() {
    let (disk, path) = one_segment(&[31, 32]);
    let mut frame = Vec::new();
    disk.tamper(&path, |bytes| frame = bytes[40..].to_vec());
    let disk = FaultDisk::new();
    let (mut log, _) = open(&disk);
    // Recorded by somebody who knows the format and has seen frames of another log.
    let entry = |sequence, bytes| Entry {
        process: "p1",
        sequence,
        records: 1,
        note: "",
        bytes,
    };
    log.append(&[entry(1, &frame), entry(2, b"last")], 0, 1)
        .unwrap();
    let path = disk.paths().into_iter().next().unwrap();
    disk.tamper(&path, |bytes| bytes[41] ^= 1);
    let read = log.read(10_000, 0);
    assert_eq!(read.frames.len(), 1);
    assert_eq!(&read.frames[0].bytes[..], b"last");
    assert_eq!((read.damaged.frames, read.damaged.records), (1, 1));
}

#[test]
fn fault_20_what_is_foreign_is_left_alone_and_named() {
    let (disk, path) = one_segment(&[41]);
    let dir = dir();
    let later = |id: u64| dir.join(format!("{id:020}.segment"));
    disk.put(&dir.join("notes.txt"), b"hello");
    disk.put(&later(70), &[7; 100]);
    let mut older = Vec::new();
    disk.tamper(&path, |bytes| older = bytes.clone());
    older[8] = 0;
    disk.put(&later(80), &older);
    disk.put(&later(90), &[0; 20]);
    let (mut log, recovered) = open(&disk);
    let reason = |name: &Path| {
        let found = recovered.ignored.iter().find(|(path, _)| path == name);
        found.map_or("-", |(_, reason)| reason.as_str())
    };
    assert_eq!(recovered.ignored.len(), 4, "{recovered:?}");
    assert!(reason(&dir.join("notes.txt")).contains("not belong"));
    assert!(reason(&later(70)).contains("not a file of a spool"));
    assert!(reason(&later(80)).contains("version 0, this build reads version 1"));
    assert!(reason(&later(90)).contains("never finished"));
    append(&mut log, &[42], 0, 1).unwrap();
    assert_eq!(drain(&mut log), [41, 42]);
    log.close().unwrap();
    assert_eq!(disk.paths().len(), 4);
    // A checkpoint that is none costs repetitions, nothing else.
    let (disk, _) = one_segment(&[51]);
    disk.put(&dir.join("checkpoint"), b"garbage");
    let (mut log, recovered) = open(&disk);
    assert_eq!(recovered.ignored.len(), 1);
    assert_eq!(drain(&mut log), [51]);
}

#[test]
fn fault_21_nothing_is_acknowledged_that_the_disk_did_not_take() {
    let failures = [
        (DiskOperation::Write, ErrorKind::StorageFull),
        (DiskOperation::Write, ErrorKind::Other),
        (DiskOperation::Sync, ErrorKind::Other),
        (DiskOperation::SyncDir, ErrorKind::Other),
        (DiskOperation::Create, ErrorKind::ReadOnlyFilesystem),
        (DiskOperation::Truncate, ErrorKind::Other),
    ];
    let mut random = fastrand::Rng::with_seed(3);
    for (operation, kind) in failures {
        for is_first in [true, false] {
            let disk = FaultDisk::new();
            let (mut log, _) = open(&disk);
            let mut safe = Vec::new();
            if !is_first {
                append(&mut log, &[61, 62], 0, 1).unwrap();
                safe.extend([61, 62]);
            }
            disk.fail(operation, kind);
            let mut unsure = BTreeSet::new();
            for number in 63..66 {
                match append(&mut log, &[number], 0, 1) {
                    Ok(_) => safe.push(number),
                    Err(_) => _ = unsure.insert(number),
                }
            }
            let is_met =
                is_first || !matches!(operation, DiskOperation::Create | DiskOperation::SyncDir);
            assert_eq!(
                !unsure.is_empty(),
                is_met && operation != DiskOperation::Truncate
            );
            disk.heal();
            append(&mut log, &[67], 0, 1).unwrap();
            safe.push(67);
            let what = format!("{operation:?} {kind:?} {is_first}");
            for after in [disk.after_death(), disk.after_power_loss(&mut random)] {
                let (mut next, _) = open(&after);
                let found = drain(&mut next);
                assert!(safe.iter().all(|n| found.contains(n)), "{what}: {found:?}");
                let known = |n: &u64| safe.contains(n) || unsure.contains(n);
                assert!(found.iter().all(known), "{what}: {found:?}");
            }
            assert_eq!(drain(&mut log), safe, "{what}");
        }
    }
}

#[test]
fn fault_22_the_oldest_are_given_up_and_counted() {
    let disk = FaultDisk::new();
    let (mut log, _) = open(&disk);
    for number in 0..40 {
        append(&mut log, &[number], 0, number).unwrap();
    }
    let whole = log.waiting_records();
    let read = log.read(30, 0);
    let out: u64 = read.frames.iter().map(|f| u64::from(f.records)).sum();
    assert!(out > 0);
    let before = log.bytes();
    let lost = log.drop_oldest().unwrap().unwrap();
    assert!(log.bytes() < before);
    assert_eq!(log.waiting_records() + out + lost.records, whole);
    // What is out stays, as long as there is anything else to give up.
    assert!(read.frames.iter().all(|frame| log.done(frame.id)));
    assert!(log.take_orphans().is_empty());
    let (aged, _) = log.drop_older(25);
    let rest = log.read(100_000, 25);
    assert!(rest.frames.iter().all(|frame| frame.sequence >= 25));
    let left: u64 = rest.frames.iter().map(|f| u64::from(f.records)).sum();
    assert!(aged.records > 0 && rest.aged.records > 0);
    assert_eq!(
        left + rest.aged.records + aged.records + out + lost.records,
        whole
    );
    assert_eq!(rest.frames.len(), 15);
}

#[test]
fn fault_22_what_is_out_and_given_up_is_said() {
    let disk = FaultDisk::new();
    let (mut log, _) = open(&disk);
    for number in 0..40 {
        append(&mut log, &[number], 0, number).unwrap();
    }
    let read = log.read(100_000, 0);
    let mut out: Vec<_> = read.frames.iter().map(|frame| frame.id).collect();
    assert_eq!(
        log.drop_older(u64::MAX).0,
        Lost::default(),
        "all of it is out"
    );
    let mut orphans = Vec::new();
    while let Some(lost) = log.drop_oldest().unwrap() {
        assert_eq!(lost, Lost::default(), "whoever has them has all of them");
        orphans.extend(log.take_orphans());
    }
    orphans.sort_unstable();
    out.sort_unstable();
    assert_eq!(orphans, out);
    assert!(out.iter().all(|id| !log.done(*id)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever is done to it, in whatever order: what was acknowledged and is not done is there, once, in its
    /// order, and counted.
    #[test]
    fn a_log_is_a_queue(steps in proptest::collection::vec((0_u8..9, 0_u64..6), 1..80)) {
        let mut disk = FaultDisk::new();
        let (mut log, _) = open(&disk);
        let mut number = 0;
        let mut waiting: Vec<u64> = Vec::new();
        let mut out: BTreeMap<u64, u64> = BTreeMap::new();
        for (step, n) in steps {
            match step {
                0..=2 => {
                    let group: Vec<u64> = (number..=number + n).collect();
                    number += n + 1;
                    let out_count = if step == 2 { n as usize / 2 } else { 0 };
                    let ids = append(&mut log, &group, out_count, number).unwrap();
                    for (index, (id, number)) in ids.iter().zip(&group).enumerate() {
                        if index < out_count {
                            out.insert(*id, *number);
                        } else {
                            waiting.push(*number);
                        }
                    }
                }
                3 | 4 => {
                    let read = log.read(100 * n as usize, 0);
                    for frame in read.frames {
                        prop_assert_eq!(frame.sequence, waiting.remove(0));
                        out.insert(frame.id, frame.sequence);
                    }
                }
                5 | 6 => {
                    let nth = out.keys().nth(n as usize).copied();
                    if let Some(id) = nth {
                        out.remove(&id);
                        prop_assert!(log.done(id));
                    }
                }
                7 => log.checkpoint().unwrap(),
                _ => {
                    if n % 2 == 0 {
                        log.close().unwrap();
                    } else {
                        // What is done and not written down comes out again.
                        log.checkpoint().unwrap();
                    }
                    disk = disk.after_death();
                    let (again, recovered) = open(&disk);
                    log = again;
                    waiting.extend(std::mem::take(&mut out).into_values());
                    waiting.sort_unstable();
                    prop_assert_eq!(recovered.frames, waiting.len() as u64);
                    prop_assert!(recovered.ignored.is_empty());
                }
            }
            let records = waiting.iter().map(|n| u64::from(records(*n))).sum::<u64>();
            prop_assert_eq!(log.waiting_records(), records);
            prop_assert_eq!(log.has_waiting(), !waiting.is_empty());
        }
    }
}
