//! The ring against a plain queue: random lengths, abandoned reservations, partial drains, and
//! owners that come and go.
#![cfg(not(ringlight_loom))]

use std::collections::VecDeque;

use proptest::prelude::*;
use ringlight_ring::{ReserveError, RingConfig, channel};

#[derive(Debug, Clone)]
enum Step {
    /// Push a record of so many bytes.
    Push { length: usize },
    /// Reserve more than is committed.
    PushShort { reserved: usize, length: usize },
    /// Push an urgent record of so many bytes.
    PushUrgent { length: usize },
    /// Reserve and drop.
    Abandon { length: usize },
    /// Drain up to so many bytes.
    Drain { bytes_max: usize },
    /// Give the ring back and take it again.
    Reregister,
}

fn step(record_bytes_max: usize) -> impl Strategy<Value = Step> {
    let length = 0..record_bytes_max + 9;
    prop_oneof![
        6 => length.clone().prop_map(|length| Step::Push { length }),
        2 => (0..=record_bytes_max)
            .prop_flat_map(|reserved| (Just(reserved), 0..=reserved))
            .prop_map(|(reserved, length)| Step::PushShort { reserved, length }),
        2 => length.clone().prop_map(|length| Step::PushUrgent { length }),
        1 => length.prop_map(|length| Step::Abandon { length }),
        4 => (0..4 * record_bytes_max).prop_map(|bytes_max| Step::Drain { bytes_max }),
        1 => Just(Step::Reregister),
    ]
}

fn scenario() -> impl Strategy<Value = (usize, usize, Vec<Step>)> {
    let sizes = (6u32..11).prop_flat_map(|bits| {
        let ring_bytes = 1_usize << bits;
        (
            Just(ring_bytes),
            (0..=ring_bytes / 16).prop_map(|words| words * 8),
        )
    });
    sizes.prop_flat_map(|(ring_bytes, headroom_bytes)| {
        let record_bytes_max = (ring_bytes - headroom_bytes) / 2 - 8;
        (
            Just(ring_bytes),
            Just(headroom_bytes),
            prop::collection::vec(step(record_bytes_max), 1..200),
        )
    })
}

fn filled(length: usize, sequence: u8) -> Vec<u8> {
    (0..length)
        .map(|index| sequence.wrapping_add(index as u8))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: if cfg!(miri) { 4 } else { 512 },
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn behaves_as_a_queue((ring_bytes, headroom_bytes, steps) in scenario()) {
        let config = RingConfig::new(ring_bytes, 1).with_headroom(headroom_bytes);
        let (sender, mut receiver) = channel(config).unwrap();
        let ordinary_bytes = ring_bytes - headroom_bytes;
        let record_bytes_max = ordinary_bytes / 2 - 8;
        let mut producer = Some(sender.register().unwrap());
        let mut model: VecDeque<Vec<u8>> = VecDeque::new();
        // Bytes of the model's records with their framing, padding aside.
        let framed = |model: &VecDeque<Vec<u8>>| -> usize {
            model.iter().map(|record| 8 + record.len().next_multiple_of(8)).sum()
        };
        for (sequence, step) in steps.into_iter().enumerate() {
            let sequence = sequence as u8;
            match step {
                Step::Push { length } | Step::PushShort { length, .. } | Step::PushUrgent { length } => {
                    let reserved = match step {
                        Step::PushShort { reserved, .. } => reserved,
                        _ => length,
                    };
                    let Some(producer) = &mut producer else { continue };
                    let needed = 8 + reserved.next_multiple_of(8);
                    let is_urgent = matches!(step, Step::PushUrgent { .. });
                    let usable_bytes = if is_urgent { ring_bytes } else { ordinary_bytes };
                    let attempt = if is_urgent {
                        producer.reserve_urgent(reserved)
                    } else {
                        producer.reserve(reserved)
                    };
                    match attempt {
                        Ok(mut room) => {
                            prop_assert_eq!(room.len(), reserved);
                            prop_assert!(framed(&model) + needed <= usable_bytes);
                            let record = filled(length, sequence);
                            room[..length].copy_from_slice(&record);
                            room.commit(length).unwrap();
                            model.push_back(record);
                        }
                        Err(ReserveError::TooLarge) => prop_assert!(reserved > record_bytes_max),
                        Err(error) => {
                            prop_assert_eq!(error, ReserveError::Full);
                            // Padding wastes less than one record of this length, twice: before
                            // this record, and behind an earlier one.
                            prop_assert!(framed(&model) + 2 * record_bytes_max + 16 + needed > usable_bytes);
                            prop_assert!(!model.is_empty());
                        }
                    }
                }
                Step::Abandon { length } => {
                    if let Some(producer) = &mut producer
                        && let Ok(mut room) = producer.reserve(length)
                    {
                        room.fill(0xee);
                    }
                }
                Step::Drain { bytes_max } => {
                    let mut seen = Vec::new();
                    let drained = receiver.drain(bytes_max, |record| seen.push(record.to_vec()));
                    prop_assert_eq!(drained.records as usize, seen.len());
                    prop_assert!(!seen.is_empty() || model.is_empty());
                    for record in seen {
                        prop_assert_eq!(Some(record), model.pop_front());
                    }
                    prop_assert_eq!(drained.more, !model.is_empty());
                }
                Step::Reregister => {
                    drop(producer.take());
                    producer = sender.register().ok();
                    prop_assert!(producer.is_some() || receiver.pending_bytes() >= ring_bytes / 2);
                }
            }
            prop_assert_eq!(receiver.pending_records(), model.len() as u64);
            prop_assert!(receiver.pending_bytes() >= framed(&model));
            prop_assert!(receiver.pending_bytes() <= ring_bytes);
        }
        sender.close();
        let mut rest = VecDeque::new();
        while receiver.drain(usize::MAX, |record| rest.push_back(record.to_vec())).more {}
        prop_assert_eq!(rest, model);
    }
}
