//! A full disk, damage, overload, and data of unreasonable size.

use rusqlite::Connection;

use super::*;

fn limit_pages(store: &Store, is_limited: bool) {
    store.ask(|reply| Message::LimitPages(is_limited, reply));
}

fn hold_seals(store: &Store, is_holding: bool) {
    store.ask(|reply| Message::HoldSeals(is_holding, reply));
}

fn big_span(id: u64) -> Span<'static> {
    let noise: String = (0..60_000_u64)
        .map(|n| char::from(33 + ((n * n + id * 7919) % 90) as u8))
        .collect();
    with(
        span(id.into(), id, "big", T0 + id * MS),
        KeyValue::new("noise", noise),
    )
}

#[test]
fn fault_29_a_full_disk_refuses_requests_until_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    add(&store, "s", &[span(1, 1, "x", T0)]);
    limit_pages(&store, true);
    let mut stored = vec![1];
    let mut id = 100;
    let error = loop {
        let request = span_request("s", &[big_span(id)]);
        match ingest(&store, Signal::Traces, &request, Some(&id.to_string())) {
            Ok(_) => stored.push(u128::from(id)),
            Err(error) => break error,
        }
        id += 1;
        assert!(id < 200, "the disk never got full");
    };
    let IngestError::DiskFull { path, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(path, directory.path());
    assert!(error.to_string().contains("disk is full"), "{error}");
    assert!(store.stats().disk_full);
    // Queries go on, and see exactly what was acknowledged.
    stored.sort_unstable_by(|a, b| b.cmp(a));
    assert_eq!(found(&store, ""), stored);
    // Sealing waits, too, and loses nothing.
    flush(&store);
    assert_eq!(found(&store, ""), stored);
    limit_pages(&store, false);
    // The very request that was refused is welcome, and no duplicate.
    let request = span_request("s", &[big_span(id)]);
    let receipt = ingest(&store, Signal::Traces, &request, Some(&id.to_string())).unwrap();
    assert_eq!((receipt.stored, receipt.duplicates), (1, 0));
    assert!(!store.stats().disk_full);
    stored.insert(0, u128::from(id));
    drop(store);
    let store = open(config(directory.path()));
    assert_eq!(found(&store, ""), stored);
    assert_eq!(store.stats().corrupt, 0);
}

fn damage(directory: &Path, sql: &str) {
    let connection = Connection::open(directory.join("slice-00000001.db")).unwrap();
    let changed = connection.execute(sql, []).unwrap();
    assert!(changed > 0, "{sql}");
}

/// Two blocks of spans and one of logs.
fn three_blocks(directory: &Path) {
    let store = open(config(directory));
    add(&store, "s", &[span(1, 1, "first", T0)]);
    flush(&store);
    add(&store, "s", &[span(2, 1, "second", T0 + SECOND)]);
    flush(&store);
    add_logs(&store, "s", &[log("line", Severity::INFO, T0)]);
}

#[test]
fn damage_costs_the_block_and_is_counted() {
    let check = |sql: &str, query: &str, expected: &[u128], corrupt: u64| {
        let directory = tempfile::tempdir().unwrap();
        three_blocks(directory.path());
        damage(directory.path(), sql);
        let store = open(config(directory.path()));
        let page = search(&store, query);
        assert_eq!(ids(&page), expected, "{sql}");
        assert_eq!(store.stats().corrupt, corrupt, "{sql}");
        assert_eq!(found_logs(&store, ""), ["line"]);
        let _ = store.trace(TraceId::new(1));
        let _ = store.services();
        add(&store, "s", &[span(3, 1, "third", T0)]);
        flush(&store);
        assert!(found(&store, "").contains(&3));
    };
    // Each section of the first block: the row id is block * 16 + section.
    for section in [0, 1, 2] {
        let flip = format!("UPDATE section SET data = zeroblob(20) WHERE id = 16 + {section}");
        check(&flip, "", &[2], 1);
        let cut = format!(
            "UPDATE section SET data = substr(data, 1, length(data) - 1) WHERE id = 16 + {section}"
        );
        check(&cut, "", &[2], 1);
    }
    check("DELETE FROM section WHERE id = 17", "", &[2], 1);
    check(
        "UPDATE section SET data = x'' WHERE id = 24",
        "{ name = \"first\" }",
        &[],
        1,
    );
    check("UPDATE block SET info = x'00' WHERE id = 1", "", &[2], 1);
    check(
        "UPDATE block SET info = zeroblob(100) WHERE id = 1",
        "",
        &[2],
        1,
    );
    // A section this search does not need.
    check("DELETE FROM section WHERE id = 19", "", &[2, 1], 0);
}

#[test]
fn a_file_that_is_no_database_is_left_out() {
    let directory = tempfile::tempdir().unwrap();
    three_blocks(directory.path());
    std::fs::write(directory.path().join("slice-00000001.db"), "garbage").unwrap();
    let store = open(config(directory.path()));
    assert_eq!(store.stats().corrupt, 1);
    assert_eq!(found(&store, ""), Vec::<u128>::new());
    add(&store, "s", &[span(3, 1, "third", T0)]);
    drop(store);
    let store = open(config(directory.path()));
    assert_eq!(found(&store, ""), [3]);
    let garbage = std::fs::read(directory.path().join("slice-00000001.db")).unwrap();
    assert_eq!(garbage, b"garbage");
}

#[test]
fn a_slice_that_was_never_finished_is_begun_again() {
    let directory = tempfile::tempdir().unwrap();
    three_blocks(directory.path());
    // What a kill leaves between creating the file and committing its tables.
    let path = directory.path().join("slice-00000002.db");
    let connection = Connection::open(&path).unwrap();
    let set = "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL";
    connection.execute_batch(set).unwrap();
    drop(connection);
    std::fs::write(directory.path().join("slice-00000003.db"), "").unwrap();
    let store = open(config(directory.path()));
    assert_eq!((found(&store, ""), store.stats().corrupt), (vec![2, 1], 0));
    add(&store, "s", &[span(3, 1, "third", T0)]);
    drop(store);
    let store = open(config(directory.path()));
    assert_eq!(
        (found(&store, ""), store.stats().corrupt),
        (vec![2, 3, 1], 0)
    );
}

#[test]
fn a_damaged_catalogue_costs_only_the_names_of_runs() {
    let directory = tempfile::tempdir().unwrap();
    three_blocks(directory.path());
    std::fs::write(directory.path().join("catalogue.db"), [7; 5000]).unwrap();
    let store = open(config(directory.path()));
    assert_eq!(found(&store, ""), [2, 1]);
    assert_eq!(store.stats().corrupt, 1);
    // Its number is not that of a run that has data.
    assert_eq!(store.run_id(), 2);
}

#[test]
fn a_damaged_request_in_the_intake_costs_that_request() {
    let (directory, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(config(directory.path()));
    for n in 1..=3 {
        add(&store, "s", &[span(n, 1, "x", T0 + n as u64)]);
    }
    super::duplicates::copy_files(directory.path(), copy.path());
    let sql = "UPDATE intake_traces SET request = x'ff' WHERE seq = 2";
    damage(copy.path(), sql);
    let store = open(config(copy.path()));
    assert_eq!(found(&store, ""), [3, 1]);
    assert_eq!(store.stats().corrupt, 1);
    flush(&store);
    drop(store);
    let store = open(config(copy.path()));
    assert_eq!((found(&store, ""), store.stats().corrupt), (vec![3, 1], 0));
}

#[test]
fn fault_28_overload_is_refused_and_nothing_of_it_is_stored() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(open(StoreConfig {
        head_bytes_max: 1 << 20,
        ..config(directory.path())
    }));
    // While nothing is sealed the head fills up.
    hold_seals(&store, true);
    let (mut stored, mut refused) = (0_u64, 0_u64);
    for n in 0..200 {
        match ingest(
            &store,
            Signal::Traces,
            &span_request("s", &[big_span(n + 1)]),
            None,
        ) {
            Ok(receipt) => stored += receipt.stored,
            Err(IngestError::Overloaded { retry_after }) => {
                assert!(retry_after > Duration::ZERO);
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(stored > 0 && refused > 0, "{stored} {refused}");
    assert!(
        store.stats().head_bytes <= (1 << 20) + (1 << 18),
        "{:?}",
        store.stats()
    );
    assert_eq!(store.stats().span_count, stored);
    // What was refused made the store seal what it has, although it is neither old nor much.
    hold_seals(&store, false);
    while store.stats().head_bytes > 0 {
        std::thread::yield_now();
    }
    add(&store, "s", &[big_span(1000)]);
}

#[test]
fn fault_28_a_small_head_is_sealed_before_it_is_full() {
    const HEAD_BYTES_MAX: u64 = 1 << 20;
    let directory = tempfile::tempdir().unwrap();
    let store = open(StoreConfig {
        head_bytes_max: HEAD_BYTES_MAX as usize,
        ..config(directory.path())
    });
    // Sixteen times what the head may take, of both signals, in large and small requests.
    for n in 1..=128_u64 {
        let spans: Vec<_> = (1..=100)
            .map(|id| span(n.into(), id, "x", T0 + n))
            .collect();
        let line = log(&"x".repeat(60_000), Severity::INFO, T0 + n);
        for (signal, request) in [
            (Signal::Traces, span_request("s", &[big_span(10_000 + n)])),
            (Signal::Traces, span_request("s", &spans)),
            (Signal::Logs, log_request("s", &[line])),
        ] {
            while ingest(&store, signal, &request, None).is_err() {
                std::thread::yield_now();
            }
            assert!(
                store.stats().head_bytes <= HEAD_BYTES_MAX,
                "{:?}",
                store.stats()
            );
        }
    }
    let stats = store.stats();
    assert_eq!((stats.span_count, stats.log_count), (128 * 101, 128));
    assert!(stats.blocks > 16, "{stats:?}");
}

#[test]
fn fault_28_a_request_that_needs_the_whole_head_gets_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(StoreConfig {
        head_bytes_max: 1 << 20,
        ..config(directory.path())
    });
    // Too little to be sealed for what it takes.
    add(&store, "s", &[big_span(1)]);
    let spans: Vec<_> = (2..9).map(big_span).collect();
    let request = span_request("s", &spans);
    while ingest(&store, Signal::Traces, &request, None).is_err() {
        std::thread::yield_now();
    }
    assert_eq!(store.stats().span_count, 8);
}

#[test]
fn a_request_larger_than_the_head_is_taken_when_there_is_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(StoreConfig {
        head_bytes_max: 1 << 20,
        ..config(directory.path())
    });
    hold_seals(&store, true);
    let spans: Vec<_> = (1..60).map(big_span).collect();
    assert_eq!(add(&store, "s", &spans).stored, 59);
    assert!(matches!(
        ingest(
            &store,
            Signal::Traces,
            &span_request("s", &[span(1, 2, "x", T0)]),
            None
        ),
        Err(IngestError::Overloaded { .. })
    ));
}

#[test]
fn undecodable_requests_and_other_signals_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    assert!(matches!(
        ingest(&store, Signal::Traces, b"\xff\xff\xff", None),
        Err(IngestError::Decode(_))
    ));
    assert!(matches!(
        ingest(&store, Signal::Profiles, b"", None),
        Err(IngestError::UnsupportedSignal(Signal::Profiles))
    ));
    let receipt = ingest(&store, Signal::Traces, b"", None).unwrap();
    assert_eq!(receipt, IngestReceipt::default());
    let mixed = [span(0, 1, "no trace", T0), span(1, 1, "good", T0)];
    let receipt = ingest(&store, Signal::Traces, &span_request("s", &mixed), None).unwrap();
    assert_eq!(receipt.stored, 1);
    assert_eq!(
        receipt.rejected,
        [(ringlight_model::RejectReason::ZeroTraceId, 1)]
    );
    assert!(store.stats().head_bytes > 0);
    flush(&store);
    assert_eq!(store.stats().head_bytes, 0);
}

#[test]
fn fault_30_a_million_values_a_huge_attribute_and_many_keys_are_stored_and_found() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(StoreConfig {
        head_bytes_max: 256 << 20,
        block_records: 65_536,
        ..config(directory.path())
    });
    for part in 0..20_u64 {
        let spans: Vec<_> = (0..50_000_u64)
            .map(|n| {
                let id = part * 50_000 + n + 1;
                let user = KeyValue::new("user", format!("user-{id}"));
                with(span(id.into(), id, "x", T0 + id), user)
            })
            .collect();
        add(&store, "s", &spans);
        flush(&store);
    }
    let wanted = search(&store, "{ span.user = \"user-777777\" }");
    assert_eq!(ids(&wanted), [777_777]);
    assert!(wanted.stats.blocks_read <= 8, "{:?}", wanted.stats);
    let values = store.attribute_values(&crate::ValueSearch {
        signal: Signal::Traces,
        metric: None,
        scope: None,
        key: "user",
        prefix: "user-99",
        limit: 1_000_000,
    });
    assert_eq!(values.len(), 1000);

    let huge = KeyValue::new("huge", "x".repeat(10 << 20));
    let mut many = with(span(9_000_001, 1, "many", T0), huge);
    many.attributes
        .extend((0..10_000_i64).map(|n| KeyValue::new(format!("key-{n}"), n)));
    add(&store, "s", &[many]);
    let check = || {
        assert_eq!(found(&store, "{ span.key-9999 = 9999 }"), [9_000_001]);
        let trace = store.trace(TraceId::new(9_000_001)).unwrap();
        assert_eq!(trace.spans[0].span.attributes.len(), 10_001);
    };
    check();
    flush(&store);
    check();
    let keys = store.attributes(&crate::AttributeSearch {
        signal: Signal::Traces,
        metric: None,
        prefix: "key-",
        limit: 1_000_000,
    });
    assert!((400..=1000).contains(&keys.len()), "{}", keys.len());
}
