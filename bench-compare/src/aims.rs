//! What the design wants of these figures, and whether it has it.

use std::fmt::Write as _;

use crate::{
    parent::{Figure, Results},
    plan::Subject,
    report::{find, number},
};

/// An aim and how far the run is from it.
struct Aim {
    what: &'static str,
    aim: String,
    /// Median, low, high, and whether more is better.
    measured: Option<(f64, f64, f64)>,
    limit: f64,
    more_is_better: bool,
    decimals: usize,
}

impl Aim {
    fn verdict(&self) -> String {
        let Some((median, ..)) = self.measured else {
            return "not measured in this run".to_owned();
        };
        let met = if self.more_is_better {
            median >= self.limit
        } else {
            median <= self.limit
        };
        if met {
            return "met".to_owned();
        }
        if self.limit == 0.0 {
            return format!("**missed** by {}", number(median, 2));
        }
        let percent = (median / self.limit - 1.0).abs() * 100.0;
        format!("**missed** by {percent:.1} %")
    }

    fn measured_text(&self) -> String {
        let Some((median, low, high)) = self.measured else {
            return "-".to_owned();
        };
        let text = |value| number(value, self.decimals);
        if text(low) == text(high) {
            text(median)
        } else {
            format!("{} [{}, {}]", text(median), text(low), text(high))
        }
    }
}

/// The aims this run can speak about.
pub(crate) fn table(results: &Results) -> String {
    let mut text = String::from("| what | aim | measured | |\n|---|---:|---:|---|\n");
    for aim in aims(results) {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            aim.what,
            aim.aim,
            aim.measured_text(),
            aim.verdict()
        );
    }
    text.push_str(
        "\nWith `drop` the ledger is exact: in every process, what it counts as dropped and what \
         the server received are what was recorded, to the span; otherwise the bench fails. The \
         other aims of the design (native spans, unsampled spans, requests, the backend, the \
         profiler) have no figure here yet.\n",
    );
    text
}

fn aims(results: &Results) -> Vec<Aim> {
    let ours = |case: &str, unit: &str| find(results, Subject::Ringlight, case, unit);
    let values = |figure: &Figure| (figure.median, figure.low, figure.high);
    let tree3 = ours("tree3", "ns_cpu_per_span");
    let peer = |subject| find(results, subject, "tree3", "ns_cpu_per_span");
    let best_peer = Subject::DELIVERING[1..]
        .iter()
        .filter_map(|subject| peer(*subject))
        .min_by(|one, other| one.median.total_cmp(&other.median));
    let ratio = |peer: Option<&Figure>| {
        let (ours, peer) = (tree3?, peer?);
        // As far apart as both intervals allow, which is wider than 95 %.
        Some((
            peer.median / ours.median,
            peer.low / ours.high,
            peer.high / ours.low,
        ))
    };
    let delivered = ours("flat-block", "ns_cpu_per_delivered_span").map(|figure| {
        let percent = 100.0 * figure.delivered as f64 / figure.produced as f64;
        (percent, percent, percent)
    });
    let aim = |what, aim: &str, measured, limit, more_is_better, decimals| Aim {
        what,
        aim: aim.to_owned(),
        measured,
        limit,
        more_is_better,
        decimals,
    };
    vec![
        aim(
            "producer CPU a span through macros (`tree3`), ns",
            "<= 60",
            tree3.map(values),
            60.0,
            false,
            1,
        ),
        aim(
            "that, times cheaper than tracing-opentelemetry",
            ">= 15",
            ratio(peer(Subject::TracingOpentelemetry)),
            15.0,
            true,
            1,
        ),
        aim(
            "that, times cheaper than the best peer",
            ">= 3",
            ratio(best_peer),
            3.0,
            true,
            1,
        ),
        aim(
            "allocations a span while recording (`tree3`)",
            "0",
            ours("tree3", "allocations_per_span").map(values),
            0.0,
            false,
            3,
        ),
        aim(
            "client CPU a delivered span at 100 k spans/s, ns",
            "<= 400",
            ours("paced-100k", "ns_cpu_per_delivered_span").map(values),
            400.0,
            false,
            0,
        ),
        aim(
            "delivered when producing flat out with `block`, %",
            "100",
            delivered,
            100.0,
            true,
            2,
        ),
        aim(
            "delivered spans a second, flat out, nothing lost",
            ">= 1 000 000",
            ours("flat-block", "delivered_spans_per_second").map(values),
            1e6,
            true,
            0,
        ),
        aim(
            "resident memory meanwhile, MiB",
            "<= 32",
            ours("flat-block", "resident_mib_max").map(values),
            32.0,
            false,
            1,
        ),
    ]
}
