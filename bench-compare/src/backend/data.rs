//! The spans that fill the backend, each by its number alone, so that whoever asks for them knows
//! what there is to find.
//!
//! Values are drawn, not counted: what counts up compresses to nothing, and an index excludes it by
//! its smallest and largest value.

use std::time::Duration;

use crate::plan::Shape;

/// Spans of a trace.
pub(crate) const SPANS_PER_TRACE: u64 = 1 + Shape::CHILDREN_COUNT;
/// The name of a trace's first span, and of the others.
pub(crate) const ROOT_NAME: &str = "root";
pub(crate) const CHILD_NAME: &str = "child";
/// One span in so many has failed.
pub(crate) const FAILED_ONE_IN: u64 = 10_000;
/// How many texts there are for `route`.
pub(crate) const ROUTES_COUNT: u64 = (RESOURCES.len() * PARTS.len()) as u64;
/// One span in so many has the most frequent of them, which is the first.
pub(crate) const FIRST_ROUTE_ONE_IN: u64 = ROUTES_COUNT.isqrt();

/// Roots take this and up to [`ROOT_SPREAD_NS`] longer.
const ROOT_MIN_NS: u64 = 12_000_000;
const ROOT_SPREAD_NS: u64 = 64_000_000;
/// Children take this and up to [`CHILD_SPREAD_NS`] longer: together less than their root.
const CHILD_MIN_NS: u64 = 10_000;
const CHILD_SPREAD_NS: u64 = 990_000;
/// How often what a span takes beyond the least is halved: not at all to five times.
const HALVINGS: u64 = 6;

const RESOURCES: [&str; 12] = [
    "orders",
    "customers",
    "invoices",
    "products",
    "carts",
    "payments",
    "shipments",
    "returns",
    "suppliers",
    "warehouses",
    "vouchers",
    "reviews",
];
const PARTS: [&str; 3] = ["", "/{id}", "/{id}/history"];

/// Spreads numbers over all of 64 bits (the finalizer of SplitMix64).
pub(crate) fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// The id of a trace, by its number.
pub(crate) fn trace_id(trace: u64) -> [u8; 16] {
    // Never zero: `mix` is zero for zero alone.
    let mut id = [0; 16];
    id[..8].copy_from_slice(&mix(2 * trace + 1).to_be_bytes());
    id[8..].copy_from_slice(&mix(2 * trace + 2).to_be_bytes());
    id
}

/// How much earlier than its request is made a trace ends.
pub(crate) fn ended_ago_ns(trace: u64) -> u64 {
    draw(trace, 5) % 100_000_000
}

/// A span of the load.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoadSpan {
    /// The number of its trace.
    trace: u64,
    /// 0 for the root, 1 to 10 for the children, in the order of their ends.
    place: u64,
}

impl LoadSpan {
    pub(crate) fn new(trace: u64, place: u64) -> Self {
        Self { trace, place }
    }

    /// All spans of a trace.
    pub(crate) fn of_trace(trace: u64) -> impl Iterator<Item = Self> {
        (0..SPANS_PER_TRACE).map(move |place| Self::new(trace, place))
    }

    fn number(self) -> u64 {
        self.trace * SPANS_PER_TRACE + self.place
    }

    pub(crate) fn is_root(self) -> bool {
        self.place == 0
    }

    pub(crate) fn span_id(self) -> [u8; 8] {
        mix(!self.number()).to_be_bytes()
    }

    /// The integer attribute: any of 31 bits, as a row of a large table has it.
    pub(crate) fn id(self) -> i64 {
        (draw(self.number(), 1) >> 33).cast_signed()
    }

    /// The attribute of few texts, some far more frequent than others.
    pub(crate) fn route(self) -> String {
        // The square of an even draw: the first of n texts has a share of one in root n.
        let even = draw(self.number(), 2) % 3_600;
        route((even * even * ROUTES_COUNT / (3_600 * 3_600)) as usize)
    }

    /// The attribute of many texts: how long the span took, as Rust prints it.
    pub(crate) fn took(self) -> String {
        format!("{:?}", Duration::from_nanos(self.duration_ns()))
    }

    /// From its start to its end; short ones are more frequent.
    pub(crate) fn duration_ns(self) -> u64 {
        let (min, spread) = match self.is_root() {
            true => (ROOT_MIN_NS, ROOT_SPREAD_NS),
            false => (CHILD_MIN_NS, CHILD_SPREAD_NS),
        };
        let random = draw(self.number(), 3);
        min + (((random >> 8) % spread) >> (random % HALVINGS))
    }

    /// How much earlier than its trace it ends, and a little later than planned.
    pub(crate) fn ended_before_trace_ns(self) -> u64 {
        // Ten children one after the other, a millisecond each, within the root.
        let planned = 1_000_000 * (SPANS_PER_TRACE - self.place) * u64::from(!self.is_root());
        planned + 50_000 - draw(self.number(), 4) % 50_000
    }

    pub(crate) fn failed(self) -> bool {
        draw(self.number(), 6).is_multiple_of(FAILED_ONE_IN)
    }
}

/// A text of `route`, the most frequent first.
pub(crate) fn route(rank: usize) -> String {
    let resource = RESOURCES[rank % RESOURCES.len()];
    let part = PARTS[rank / RESOURCES.len()];
    format!("/{resource}{part}")
}

/// A number out of all of 64 bits; what is drawn for different purposes has nothing in common.
fn draw(number: u64, purpose: u64) -> u64 {
    mix(mix(number + 1).wrapping_add(purpose.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    const TRACES: u64 = 50_000;

    fn spans() -> impl Iterator<Item = LoadSpan> {
        (0..TRACES).flat_map(LoadSpan::of_trace)
    }

    /// Whether `count` of `of` is one in `one_in`, give or take four standard deviations.
    fn check_share(count: u64, of: u64, one_in: f64) {
        let expected = of as f64 / one_in;
        let off = (count as f64 - expected).abs();
        assert!(off < 4.0 * expected.sqrt(), "{count} of {of}: {expected}");
    }

    #[test]
    fn routes_are_as_frequent_as_the_report_says() {
        let mut routes = BTreeMap::<String, u64>::new();
        for span in spans() {
            *routes.entry(span.route()).or_default() += 1;
        }
        let (all, first) = (TRACES * SPANS_PER_TRACE, routes[&route(0)]);
        assert_eq!(routes.len() as u64, ROUTES_COUNT);
        assert_eq!(routes.values().max(), Some(&first));
        check_share(first, all, FIRST_ROUTE_ONE_IN as f64);
    }

    #[test]
    fn failed_spans_are_as_frequent_as_the_report_says_and_of_all_routes() {
        let traces = 6 * TRACES;
        let all = (0..traces).flat_map(LoadSpan::of_trace);
        let failed: Vec<String> = all
            .filter(|span| span.failed())
            .map(LoadSpan::route)
            .collect();
        let failed_count = failed.len() as u64;
        check_share(failed_count, traces * SPANS_PER_TRACE, FAILED_ONE_IN as f64);
        // Either condition of the search filters.
        let first = failed.iter().filter(|text| **text == route(0)).count();
        check_share(first as u64, failed_count, FIRST_ROUTE_ONE_IN as f64);
        assert!(BTreeSet::from_iter(failed).len() > 20);
    }

    #[test]
    fn values_do_not_count_up() {
        let ids: Vec<i64> = spans().map(LoadSpan::id).collect();
        let distinct: BTreeSet<_> = ids.iter().collect();
        assert!(distinct.len() > ids.len() * 999 / 1_000);
        let rises = ids.windows(2).filter(|pair| pair[0] < pair[1]).count();
        check_share(rises as u64, ids.len() as u64, 2.0);
        // Every thousand in a row, and so every block, spans nearly all of the range.
        for ids in ids.chunks_exact(1_000) {
            assert!(ids.iter().max() > Some(&(i64::from(i32::MAX) / 100 * 98)));
            assert!(ids.iter().min() < Some(&(i64::from(i32::MAX) / 100 * 2)));
        }
        let texts: BTreeSet<String> = spans().map(LoadSpan::took).collect();
        assert!(texts.len() > 200_000, "{}", texts.len());
    }
}
