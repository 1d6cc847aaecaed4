//! What is sent twice is stored once.

use ringlight_model::Signal;

use super::*;

fn receipt(stored: u64, duplicates: u64) -> IngestReceipt {
    IngestReceipt {
        accepted: stored + duplicates,
        stored,
        duplicates,
        rejected: Vec::new(),
    }
}

#[test]
fn a_span_is_stored_once_in_head_in_blocks_and_across_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    let spans = [
        span(1, 1, "a", T0),
        span(1, 2, "b", T0),
        span(2, 1, "a", T0),
    ];
    assert_eq!(add(&store, "s", &spans), receipt(3, 0));
    assert_eq!(add(&store, "s", &spans), receipt(0, 3));
    let more = [
        span(2, 1, "a", T0),
        span(2, 2, "c", T0),
        span(2, 2, "c", T0),
    ];
    assert_eq!(add(&store, "s", &more), receipt(1, 2));
    flush(&store);
    assert_eq!(add(&store, "s", &more), receipt(0, 3));
    drop(store);
    let store = open(config(directory.path()));
    assert_eq!(add(&store, "s", &spans), receipt(0, 3));
    let later = [span(1, 1, "a", T0), span(1, 3, "d", T0 + SECOND)];
    assert_eq!(add(&store, "s", &later), receipt(1, 1));
    assert_eq!(store.stats().span_count, 5);
    assert_eq!(store.trace(TraceId::new(1)).unwrap().spans.len(), 3);
}

#[test]
fn a_span_in_the_intake_of_a_crashed_store_is_known_after_the_restart() {
    let directory = tempfile::tempdir().unwrap();
    let spans = [span(1, 1, "a", T0), span(1, 2, "b", T0)];
    let copy = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    assert_eq!(add(&store, "s", &spans[..1]), receipt(1, 0));
    assert_eq!(add(&store, "s", &spans), receipt(1, 1));
    copy_files(directory.path(), copy.path());
    let store = open(config(copy.path()));
    assert_eq!(store.stats().span_count, 2);
    assert_eq!(store.stats().head_records, 2);
    assert_eq!(add(&store, "s", &spans), receipt(0, 2));
    flush(&store);
    assert_eq!(store.trace(TraceId::new(1)).unwrap().spans.len(), 2);
}

#[test]
fn a_batch_is_stored_once_even_across_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let request = log_request(
        "s",
        &[log("a", Severity::INFO, T0), log("b", Severity::INFO, T0)],
    );
    let store = open(config(directory.path()));
    let send = |store: &Store, id| ingest(store, Signal::Logs, &request, id).unwrap();
    assert_eq!(send(&store, Some("i-1")), receipt(2, 0));
    assert_eq!(send(&store, Some("i-1")), receipt(0, 2));
    // Without an id the same records are new ones: log records have no identity.
    assert_eq!(send(&store, None), receipt(2, 0));
    drop(store);
    let store = open(config(directory.path()));
    assert_eq!(send(&store, Some("i-1")), receipt(0, 2));
    assert_eq!(send(&store, Some("i-2")), receipt(2, 0));
    assert_eq!(store.stats().log_count, 6);
    // A batch of spans is recognized by its id, too, before its spans are looked at.
    let spans = span_request("s", &[span(1, 1, "a", T0)]);
    let send = |id| ingest(&store, Signal::Traces, &spans, Some(id)).unwrap();
    assert_eq!(send("i-3"), receipt(1, 0));
    assert_eq!(send("i-3"), receipt(0, 1));
}

#[test]
fn halves_of_a_batch_that_is_stored_are_known() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    let send = |id, messages: &[&'static str]| {
        let logs: Vec<_> = messages
            .iter()
            .map(|m| log(m, Severity::INFO, T0))
            .collect();
        ingest(&store, Signal::Logs, &log_request("s", &logs), Some(id)).unwrap()
    };
    assert_eq!(send("i-1", &["a", "b", "c"]), receipt(3, 0));
    assert_eq!(send("i.1-1", &["a"]), receipt(0, 1));
    assert_eq!(send("i.2.1-1", &["b"]), receipt(0, 1));
    // Halves of other batches: of another number, of another process, of one that only sounds like it.
    assert_eq!(send("i.1-2", &["d"]), receipt(1, 0));
    assert_eq!(send("j.1-1", &["e"]), receipt(1, 0));
    assert_eq!(send("i.3-1", &["f"]), receipt(1, 0));
    // The other half of one of which a half was stored is new.
    assert_eq!(send("i.2-2", &["g"]), receipt(1, 0));
    assert_eq!(send("i.2.2-2", &["g"]), receipt(0, 1));
}

#[test]
fn instances_are_accounted_for() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(config(directory.path()));
    add(&store, "shop", &[span(1, 1, "a", T0), span(1, 2, "b", T0)]);
    add(&store, "shop", &[span(1, 2, "b", T0), span(1, 3, "b", T0)]);
    add_logs(&store, "bank", &[log("a", Severity::INFO, T0)]);
    let stored = store.stored_by_instance();
    let row = |i: usize| {
        let s = &stored[i];
        (s.instance.as_str(), s.service.as_str(), s.spans, s.logs)
    };
    assert_eq!(row(0), ("bank-1", "bank", 0, 1));
    assert_eq!(row(1), ("shop-1", "shop", 3, 0));
    assert_eq!(stored[1].spans_duplicate, 1);
}

pub(super) fn copy_files(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != "lock" {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}
