//! Spans beside an allocator that sees every call, below the one that counts for spans.

#[path = "../kept/mod.rs"]
mod kept;
#[path = "../../../ringlight-alloc/tests/oracle/mod.rs"]
mod oracle;

use std::sync::OnceLock;
use std::time::Duration;

use kept::{Kept, KeptRecord};
use oracle::{Oracle, calls};
use ringlight::{Builder, LogFormat, OverflowPolicy, RinglightAllocator, Telemetry};

#[global_allocator]
static ALLOCATOR: RinglightAllocator<Oracle> = RinglightAllocator::new(Oracle);

/// Allocations, their bytes, deallocations, their bytes.
pub(crate) type Counts = [u64; 4];

static TELEMETRY: OnceLock<(Telemetry, Kept)> = OnceLock::new();

/// The one subscriber of this process.
pub(crate) fn telemetry() -> &'static (Telemetry, Kept) {
    telemetry_of(ringlight::builder)
}

/// The same, made by this builder if it is not there yet.
pub(crate) fn telemetry_of(builder: fn() -> Builder) -> &'static (Telemetry, Kept) {
    TELEMETRY.get_or_init(|| {
        let kept = Kept::default();
        let telemetry = builder()
            .environment([("RUST_LOG", "trace")])
            .log_format(LogFormat::Off)
            .sink(kept.clone())
            .overflow(OverflowPolicy::Block)
            .init()
            .unwrap();
        (telemetry, kept)
    })
}

/// Runs `body`, adding what the oracle sees on this thread.
pub(crate) fn add<R>(seen: &mut Counts, body: impl FnOnce() -> R) -> R {
    let (result, calls) = calls(body);
    for (sum, count) in seen.iter_mut().zip(calls.counts()) {
        *sum += count;
    }
    result
}

pub(crate) fn sum(all: &[Counts]) -> Counts {
    std::array::from_fn(|at| all.iter().map(|counts| counts[at]).sum())
}

/// The records of all spans of that name.
pub(crate) fn all_recorded(name: &str) -> Vec<KeptRecord> {
    let (telemetry, kept) = telemetry();
    telemetry.flush(Duration::from_secs(20)).unwrap();
    kept.named(name)
}

/// The one record of a span.
pub(crate) fn recorded(name: &str) -> KeptRecord {
    let mut found = all_recorded(name);
    assert_eq!(found.len(), 1, "{name}");
    found.remove(0)
}

/// Makes sure that the one span of that name has these attributes.
pub(crate) fn check(name: &str, own: Counts, total: Counts) {
    check_record(&recorded(name), own, total);
}

/// Makes sure that a span has these attributes: of itself, and with what is within it.
pub(crate) fn check_record(record: &KeptRecord, own: Counts, total: Counts) {
    let net = |counts: Counts| counts[1].cast_signed() - counts[3].cast_signed();
    let expected = [
        format!("alloc.count={}", own[0]),
        format!("alloc.bytes={}", own[1]),
        format!("dealloc.count={}", own[2]),
        format!("dealloc.bytes={}", own[3]),
        format!("alloc.net_bytes={}", net(own)),
        format!("alloc.total.count={}", total[0]),
        format!("alloc.total.bytes={}", total[1]),
        format!("dealloc.total.count={}", total[2]),
        format!("dealloc.total.bytes={}", total[3]),
        format!("alloc.total.net_bytes={}", net(total)),
    ];
    let fields = record.fields.iter();
    let written: Vec<_> = fields.filter(|f| f.contains("alloc.")).collect();
    assert_eq!(written, expected.iter().collect::<Vec<_>>(), "{record:?}");
}
