//! Opening, closing, runs, slices and retention.

use super::*;
use crate::StoreError;

#[test]
fn everything_survives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    add(&store, "s", &[span(1, 1, "x", T0)]);
    add_logs(&store, "s", &[log("hello", Severity::INFO, T0)]);
    store.close();
    store.close();
    assert_eq!(found(&store, ""), [1]);
    assert!(matches!(
        ingest(
            &store,
            Signal::Traces,
            &span_request("s", &[span(2, 1, "x", T0)]),
            None
        ),
        Err(IngestError::Closed)
    ));
    drop(store);
    let store = open(config(directory.path()));
    assert_eq!(found(&store, ""), [1]);
    assert_eq!(found_logs(&store, ""), ["hello"]);
    let stats = store.stats();
    assert_eq!((stats.span_count, stats.log_count, stats.blocks), (1, 1, 2));
    assert_eq!(
        (stats.head_records, stats.head_bytes, stats.corrupt),
        (0, 0, 0)
    );
    assert_eq!(
        (stats.oldest_unix_nano, stats.newest_unix_nano),
        (T0, T0 + 10 * MS)
    );
}

#[test]
fn each_opening_is_a_run() {
    let directory = tempfile::tempdir().unwrap();
    for (n, command) in ["up", "demo --rate 5", "up -- shop"]
        .into_iter()
        .enumerate()
    {
        let store = open(StoreConfig {
            command: command.to_owned(),
            ..config(directory.path())
        });
        assert_eq!(store.run_id(), n as u64 + 1);
        if n != 1 {
            add(&store, "s", &[span(n as u128 + 1, 1, "x", T0)]);
            add_logs(
                &store,
                "s",
                &[log("a", Severity::INFO, T0), log("b", Severity::INFO, T0)],
            );
        }
    }
    let store = open(config(directory.path()));
    let runs = store.runs();
    let rows: Vec<_> = runs
        .iter()
        .map(|run| (run.id, run.command.as_str(), run.span_count, run.log_count))
        .collect();
    // The second has stored nothing.
    assert_eq!(
        rows,
        [(4, "test", 0, 0), (3, "up -- shop", 1, 2), (1, "up", 1, 2)]
    );
    assert_eq!(runs[0].ended_unix_nano, None);
    assert!(runs[1].ended_unix_nano.unwrap() >= runs[1].started_unix_nano);
}

#[test]
fn a_run_that_crashed_has_an_end() {
    let (directory, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(config(directory.path()));
    add(&store, "s", &[span(1, 1, "x", T0)]);
    flush(&store);
    super::duplicates::copy_files(directory.path(), copy.path());
    let store = open(config(copy.path()));
    let runs = store.runs();
    assert_eq!((runs[0].id, runs[1].id), (2, 1));
    assert!(runs[1].ended_unix_nano.unwrap() >= runs[1].started_unix_nano);
}

#[test]
fn fault_31_a_directory_has_one_store_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    let error =
        Store::open(config(directory.path()), Arc::new(OtlpDecoder::default())).unwrap_err();
    assert!(
        matches!(error, StoreError::Locked { pid: Some(pid), .. } if pid == std::process::id())
    );
    let text = format!("is in use by process {}", std::process::id());
    assert!(error.to_string().ends_with(&text), "{error}");
    assert!(error.hint().unwrap().contains("--data-dir"));
    drop(store);
    open(config(directory.path()));
}

#[test]
fn a_directory_of_something_else_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("thesis.txt"), "mine").unwrap();
    let error =
        Store::open(config(directory.path()), Arc::new(OtlpDecoder::default())).unwrap_err();
    assert!(
        matches!(error, StoreError::ForeignDirectory { .. }),
        "{error}"
    );
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[cfg(unix)]
#[test]
fn the_directory_is_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("a").join("b");
    let mode = || {
        let metadata = std::fs::metadata(&directory).unwrap();
        metadata.permissions().mode() & 0o777
    };
    drop(open(config(&directory)));
    assert_eq!(mode(), 0o700);
    std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o755)).unwrap();
    drop(open(config(&directory)));
    assert_eq!(mode(), 0o700);
}

#[test]
fn fields_out_of_range_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let check = |change: fn(&mut StoreConfig), expected: &str| {
        let mut config = config(directory.path());
        change(&mut config);
        let error = Store::open(config, Arc::new(OtlpDecoder::default())).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check(
        |config| config.size_limit_bytes = 5,
        "`size_limit_bytes` is `5`, allowed is at least 16 MiB",
    );
    check(
        |config| config.block_records = 1,
        "`block_records` is `1`, allowed is 64 to 65536",
    );
    check(
        |config| config.retention = Duration::from_secs(5),
        "`retention` is `5s`, allowed is at least one minute",
    );
    check(
        |config| config.head_bytes_max = 0,
        "`head_bytes_max` is `0`, allowed is at least 1 MiB",
    );
}

#[test]
fn a_newer_format_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(config(directory.path())));
    let path = directory.path().join("slice-00000001.db");
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch("PRAGMA user_version = 9").unwrap();
    drop(connection);
    let error =
        Store::open(config(directory.path()), Arc::new(OtlpDecoder::default())).unwrap_err();
    assert!(error.to_string().contains("format 9"), "{error}");
}

#[test]
fn earlier_formats_are_read_and_become_the_current_one() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    add(&store, "s", &[span(1, 1, "x", T0)]);
    drop(store);
    let version = |file: &str, change: &str| -> u32 {
        let connection = rusqlite::Connection::open(directory.path().join(file)).unwrap();
        connection.execute_batch(change).unwrap();
        connection
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .unwrap()
    };
    for earlier in 1..crate::slice::FORMAT {
        // None of them had metrics.
        let mark = format!("DROP TABLE intake_metrics; PRAGMA user_version = {earlier}");
        let plain = format!("PRAGMA user_version = {earlier}");
        for (file, mark) in [("slice-00000001.db", &mark), ("catalogue.db", &plain)] {
            assert_eq!(version(file, mark), earlier);
        }
        let store = open(config(directory.path()));
        assert_eq!((found(&store, ""), store.stats().corrupt), (vec![1], 0));
        let point = super::metrics::request(
            "s",
            r#"{"name":"m","gauge":{"dataPoints":[{"asInt":"1"}]}}"#,
        );
        assert_eq!(
            ingest(&store, Signal::Metrics, &point, None)
                .unwrap()
                .stored,
            1
        );
        drop(store);
        for file in ["slice-00000001.db", "catalogue.db"] {
            assert_eq!(version(file, ""), crate::slice::FORMAT);
        }
    }
}

fn maintain_at(store: &Store, now: u64) {
    store.ask(|reply| Message::Maintain(now, reply));
    // What was handed to the sealer because of it is written.
    flush(store);
    store.ask(|reply| Message::Maintain(now, reply));
}

#[test]
fn slices_are_deleted_by_age() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(StoreConfig {
        retention: Duration::from_secs(16 * 60),
        ..config(directory.path())
    });
    let now = crate::now_unix_nano();
    let minute = 60 * SECOND;
    for n in 0..40_u64 {
        add(&store, "s", &[span(n.into(), 1, "x", T0 + n * SECOND)]);
        maintain_at(&store, now + (n + 1) * minute + SECOND);
    }
    // 16 minutes are kept, in slices of a minute.
    let kept = found(&store, "");
    assert!((16..=18).contains(&kept.len()), "{kept:?}");
    assert_eq!(kept[0], 39);
    let files = std::fs::read_dir(directory.path())
        .unwrap()
        .filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_str().unwrap().ends_with(".db")
        });
    assert_eq!(files.count() as u64, store.stats().slices + 1);
    assert_eq!(store.services()[0].span_count, kept.len() as u64);
    drop(store);
    assert_eq!(found(&open(config(directory.path())), ""), kept);
}

#[test]
fn slices_are_deleted_by_size() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(StoreConfig {
        size_limit_bytes: 16 << 20,
        ..config(directory.path())
    });
    let mut random = 1_u64;
    let mut noise = |length: usize| {
        let byte = |_| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (random >> 56) as u8
        };
        (0..length).map(byte).collect::<Vec<u8>>()
    };
    for n in 0..50_u64 {
        let mut one = span(n.into(), 1, "x", T0 + n * SECOND);
        let bytes = ringlight_model::Value::Bytes(noise(600 << 10).into());
        one.attributes = vec![KeyValue::new("noise", bytes)];
        add(&store, "s", &[one]);
        flush(&store);
        store.ask(|reply| Message::Maintain(crate::now_unix_nano(), reply));
    }
    let stats = store.stats();
    assert!(stats.bytes <= (16 << 20) + (2 << 20), "{stats:?}");
    assert!(stats.slices > 4, "{stats:?}");
    let kept = found(&store, "");
    assert_eq!(kept[0], 49);
    assert!((10..40).contains(&kept.len()), "{}", kept.len());
}

#[test]
fn blocks_are_sealed_by_count_and_by_age() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(StoreConfig {
        block_records: 64,
        ..config(directory.path())
    });
    for n in 1..=640_u64 {
        add(&store, "s", &[span(n.into(), 1, "x", T0 + n)]);
    }
    flush(&store);
    let stats = store.stats();
    assert_eq!(
        (stats.blocks, stats.span_count, stats.head_records),
        (10, 640, 0)
    );
    drop(store);

    let directory = tempfile::tempdir().unwrap();
    let store = open(StoreConfig {
        block_age: Duration::from_millis(1),
        ..config(directory.path())
    });
    add(&store, "s", &[span(1, 1, "x", T0)]);
    while store.stats().blocks == 0 {
        std::thread::yield_now();
    }
    assert_eq!(found(&store, ""), [1]);
    assert_eq!(store.stats().head_records, 0);
}

#[test]
fn many_small_requests_are_sealed_although_they_have_few_records() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    for n in 1..=2100_u64 {
        add(&store, "s", &[span(n.into(), 1, "x", T0 + n)]);
    }
    while store.stats().blocks == 0 {
        std::thread::yield_now();
    }
    let stats = store.stats();
    assert_eq!(stats.span_count, 2100);
    assert!(stats.head_records < 2048, "{stats:?}");
}

#[test]
fn what_is_left_of_a_deleted_slice_is_deleted_at_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    drop(open(config(directory.path())));
    let left = ["-wal", "-shm"].map(|end| directory.path().join(format!("slice-00000000.db{end}")));
    for path in &left {
        std::fs::write(path, b"left").unwrap();
    }
    let kept = directory.path().join("slice-of-somebody.db-wal");
    std::fs::write(&kept, b"kept").unwrap();
    let store = open(config(directory.path()));
    assert!(left.iter().all(|path| !path.exists()));
    assert!(kept.exists());
    assert_eq!(store.stats().corrupt, 0);
}
