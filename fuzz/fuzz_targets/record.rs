//! The records that lie in rings: any bytes are a record or an error, and a record can be read to
//! its end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringlight_collector::record::{Record, WORD_BYTES, item_words};

fuzz_target!(|bytes: &[u8]| {
    let Ok(record) = Record::parse(bytes) else {
        return;
    };
    // What reading says about everything, which touches every byte of it.
    let shown = format!("{record:?}");
    assert!(!shown.is_empty());
    for item in record.items() {
        let _ = format!("{item:?}");
    }
    if let Record::Log(log) = &record {
        for span in log.enclosing_spans() {
            span.items.for_each(|item| {
                let _ = format!("{item:?}");
            });
        }
    }
    // A record is whole words, and each item ends where the next begins.
    let (words, rest) = bytes.as_chunks::<WORD_BYTES>();
    assert!(rest.is_empty());
    let header = if matches!(record, Record::Span(_)) {
        8
    } else {
        6
    };
    let mut at = header;
    let mut count = 0;
    while at < words.len() {
        let word = u64::from_le_bytes(words[at]);
        at += item_words(word).expect("an item that was checked has a length");
        count += 1;
    }
    assert_eq!(at, words.len());
    assert!(record.items().count() <= count);
});
