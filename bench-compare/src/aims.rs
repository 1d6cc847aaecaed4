//! What the design wants of these figures, and whether it has it.

use std::fmt::Write as _;

use bench_workload::{Channels, Exchange};

use crate::{
    backend::Search,
    features::{Case, OVER_BASE, ROWS, Row},
    pairs::{Around, NS_OVER, OVER_TOKIO, PAIR_CASES, PARSE_CASES, PERCENT_OVER},
    plan::{
        OWN_DELIVERED_SPAN, OWN_SPAN, REQUEST, Subject, THREADS_AIMED, UNSAMPLED, threads_case,
    },
    report::number,
    results::{Figure, Results},
    ship,
};

/// What this bench reads `flat cost from one to eight threads` as: the most a span costs several
/// threads, times what it costs one.
const THREADS_MAX: f64 = 1.25;

/// What this bench reads `flat memory` as: the most a later load takes, times the most an earlier
/// one took. It moves by a tenth and back from load to load.
const GROWTH_MAX: f64 = 1.25;

/// How long the page waits until it asks the API again: `REFRESH_MS` in `web/src/lib/list.svelte.ts`.
const PAGE_PAUSE_MS: f64 = 500.0;

/// An aim and how far the run is from it.
#[derive(Debug, Clone)]
struct Aim {
    what: String,
    limit: f64,
    better: Better,
    measured: Option<Measured>,
    decimals: usize,
}

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Better {
    Less,
    More,
    /// 1: the limit is how far from it is good enough.
    One,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Measured {
    fn of(figure: &Figure) -> Self {
        Self {
            median: figure.median,
            low: figure.low,
            high: figure.high,
        }
    }

    /// How many times `other` it is. The interval is as wide as both allow, which is wider than 95 %.
    fn over(self, other: Self) -> Self {
        Self {
            median: self.median / other.median,
            low: self.low / other.high,
            high: self.high / other.low,
        }
    }

    /// What is left without `other`, with an interval as wide.
    fn less(self, other: Self) -> Self {
        Self {
            median: self.median - other.median,
            low: self.low - other.high,
            high: self.high - other.low,
        }
    }

    fn times(figure: &Figure, other: &Figure) -> Self {
        Self::of(figure).over(Self::of(other))
    }

    fn later(self, ms: f64) -> Self {
        Self {
            median: self.median + ms,
            low: self.low + ms,
            high: self.high + ms,
        }
    }
}

impl Aim {
    fn at_most(limit: f64, what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            limit,
            better: Better::Less,
            measured: None,
            decimals: 0,
        }
    }

    fn at_least(limit: f64, what: impl Into<String>) -> Self {
        Self {
            better: Better::More,
            ..Self::at_most(limit, what)
        }
    }

    /// A ratio that should be 1, within `limit`.
    fn near_one(limit: f64, what: impl Into<String>) -> Self {
        Self {
            better: Better::One,
            ..Self::at_most(limit, what)
        }
    }

    /// What was measured, and with how many decimals to show it.
    fn is(self, measured: Option<Measured>, decimals: usize) -> Self {
        Self {
            measured,
            decimals,
            ..self
        }
    }

    fn aim(&self) -> String {
        let decimals = if self.limit.fract() == 0.0 { 0 } else { 2 };
        let sign = match (self.better, self.limit) {
            (Better::One, limit) => return format!("{:.2} to {:.2}", 1.0 - limit, 1.0 + limit),
            (Better::More, _) => ">= ",
            (Better::Less, 0.0) => "",
            (Better::Less, _) => "<= ",
        };
        format!("{sign}{}", number(self.limit, decimals))
    }

    fn verdict(&self) -> String {
        let Some(Measured { median, .. }) = self.measured else {
            return "not measured in this run".to_owned();
        };
        let met = match self.better {
            Better::More => median >= self.limit,
            Better::Less => median <= self.limit,
            Better::One => (median - 1.0).abs() <= self.limit,
        };
        if met {
            return "met".to_owned();
        }
        if self.better == Better::One {
            let percent = ((median - 1.0).abs() - self.limit) * 100.0;
            return format!("**missed** by {percent:.1} % of it");
        }
        if self.limit == 0.0 {
            return format!("**missed** by {}", number(median, 2));
        }
        let percent = (median / self.limit - 1.0).abs() * 100.0;
        format!("**missed** by {percent:.1} %")
    }

    fn measured_text(&self) -> String {
        let Some(Measured { median, low, high }) = self.measured else {
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
            aim.aim(),
            aim.measured_text(),
            aim.verdict()
        );
    }
    text.push_str(
        "\nWith `drop` the ledger is exact: in every process, what it counts as dropped and what \
         the server received are what was recorded, to the span; otherwise the bench fails. The \
         aim of the design for the profiler has no figure here yet. Where the time goes, and what was \
         tried where an aim is missed: [profile.md](profile.md).\n",
    );
    text
}

fn aims(results: &Results) -> Vec<Aim> {
    [
        record_aims(results),
        lasting_aims(results),
        feature_aims(results),
        pair_aims(results),
        deliver_aims(results),
        ship_aims(results),
        own_aims(results),
        backend_aims(results),
    ]
    .concat()
}

fn ours<'a>(results: &'a Results, case: &str, unit: &str) -> Option<&'a Figure> {
    results.find(Subject::Ringlight, case, unit)
}

fn record_aims(results: &Results) -> Vec<Aim> {
    let tree3 = ours(results, "tree3", "ns_cpu_per_span");
    let peer = |subject| results.find(subject, "tree3", "ns_cpu_per_span");
    let best_peer = Subject::PEERS
        .iter()
        .chain(&[Subject::Micromegas])
        .filter_map(|subject| peer(*subject))
        .min_by(|one, other| one.median.total_cmp(&other.median));
    let native = |unit| {
        let figure = results.find(Subject::RinglightNative, "tree3", unit);
        figure.map(Measured::of)
    };
    let ratio = |peer: Option<&Figure>| Some(Measured::times(peer?, tree3?));
    vec![
        Aim::at_most(60.0, "producer CPU a span through macros (`tree3`), ns")
            .is(tree3.map(Measured::of), 1),
        Aim::at_least(15.0, "that, times cheaper than tracing-opentelemetry")
            .is(ratio(peer(Subject::TracingOpentelemetry)), 1),
        Aim::at_least(
            3.0,
            "that, times cheaper than the best peer, micromegas included",
        )
        .is(ratio(best_peer), 1),
        Aim::at_most(0.0, "allocations a span while recording (`tree3`)").is(
            ours(results, "tree3", "allocations_per_span").map(Measured::of),
            3,
        ),
        Aim::at_most(50.0, "producer CPU a native span (`tree3`), ns")
            .is(native("ns_cpu_per_span"), 1),
        Aim::at_most(0.0, "allocations a native span (`tree3`)")
            .is(native("allocations_per_span"), 3),
    ]
}

/// What a service pays all the time: for traces that are not recorded, on all its threads, in every
/// request.
fn lasting_aims(results: &Results) -> Vec<Aim> {
    let of_threads = |threads| ours(results, threads_case(threads), "ns_cpu_per_span");
    let most = THREADS_AIMED
        .into_iter()
        .filter_map(of_threads)
        .max_by(|one, other| one.median.total_cmp(&other.median));
    let spread = || Some(Measured::times(most?, of_threads(1)?));
    let request = |subject| results.find(subject, REQUEST, "us_cpu_per_request");
    let overhead = || {
        let none = request(Subject::TracingNone)?;
        Some(Measured::times(request(Subject::Ringlight)?, none))
    };
    vec![
        Aim::at_most(
            15.0,
            "producer CPU a span that is not sampled (`tree3`, through macros), ns",
        )
        .is(
            ours(results, UNSAMPLED, "ns_cpu_per_span").map(Measured::of),
            1,
        ),
        Aim::at_most(
            THREADS_MAX,
            "producer CPU a span from 2, 4 or 8 threads, whichever is most, times that from one \
             (1.25 is how this bench reads `flat`)",
        )
        .is(spread(), 2),
        Aim::at_most(
            1.25,
            "CPU of an axum service a request of 3 spans and 2 events, exporting included, times \
             that without a subscriber",
        )
        .is(overhead(), 2),
    ]
}

/// What features may cost the streaming application. The report's table of them has the ceilings as well.
fn feature_aims(results: &Results) -> Vec<Aim> {
    let of_row = |row: &'static Row| {
        let aim = row.aim?;
        Some([Case::StreamingFlat, Case::StreamingPaced].map(|case| {
            let (title, what, base) = (case.title(), row.what, row.base);
            let over = results.find(row, case.name(), OVER_BASE);
            let what = format!("{title}: {what}, CPU over `{base}`, %");
            Aim::at_most(aim, what).is(over.map(Measured::of), 1)
        }))
    };
    ROWS.iter().filter_map(of_row).flatten().collect()
}

/// What counting may cost where nothing else is done: a message in a channel, memory while JSON is parsed.
fn pair_aims(results: &Results) -> Vec<Aim> {
    let of_exchange = |exchange: Exchange| {
        let over = results.find(Channels::Ringlight.name(), exchange.name(), OVER_TOKIO);
        let what = format!("a message: {}, CPU over tokio's, %", exchange.what());
        Aim::at_most(1.0, what).is(over.map(Measured::of), 1)
    };
    let of_parsing = |around: Around| {
        let over = results.find(around.name(), PARSE_CASES[2], PERCENT_OVER);
        let bare = results.find(around.name(), PAIR_CASES[2], NS_OVER);
        let bare = bare.map_or_else(String::new, |figure| {
            format!(
                "; {} ns an allocation with its deallocation",
                number(figure.median, 2)
            )
        });
        let what = format!(
            "parsing JSON in a span, allocations counted around {}, CPU over the same uncounted, %{bare}",
            around.name()
        );
        Aim::at_most(2.0, what).is(over.map(Measured::of), 1)
    };
    let exchanges = Exchange::ALL.into_iter().map(of_exchange);
    exchanges.chain(Around::ALL.map(of_parsing)).collect()
}

fn deliver_aims(results: &Results) -> Vec<Aim> {
    let figure = |case, unit| ours(results, case, unit).map(Measured::of);
    let delivered = ours(results, "flat-block", "ns_cpu_per_delivered_span").map(|figure| {
        let percent = 100.0 * figure.delivered as f64 / figure.produced as f64;
        Measured {
            median: percent,
            low: percent,
            high: percent,
        }
    });
    vec![
        Aim::at_most(400.0, "client CPU a delivered span at 100 k spans/s, ns")
            .is(figure("paced-100k", "ns_cpu_per_delivered_span"), 0),
        Aim::at_least(
            100.0,
            "delivered when producing flat out with `block` (`flat-block`), %",
        )
        .is(delivered, 2),
        Aim::at_least(1e6, "spans delivered a second meanwhile (`flat-block`)")
            .is(figure("flat-block", "delivered_spans_per_second"), 0),
        Aim::at_most(32.0, "resident memory meanwhile, MiB")
            .is(figure("flat-block", "resident_mib_max"), 1),
    ]
}

fn ship_aims(results: &Results) -> Vec<Aim> {
    let cached = ours(results, "append-cache", ship::log::WALL_RATE).map(Measured::of);
    let what = "what the spool appends to the page cache, MB a second";
    vec![Aim::at_least(500.0, what).is(cached, 0)]
}

/// What Ringlight says a span costs, with what was measured from outside less what is not
/// Ringlight's: of the recording thread, and of the process at 100 k spans/s.
pub(crate) fn own_costs(results: &Results) -> [Option<(Measured, Measured)>; 2] {
    let of = |case, own, unit, other| {
        let figure = |subject, unit| results.find(subject, case, unit).map(Measured::of);
        let outside = figure(Subject::Ringlight, unit)?.less(figure(other, unit)?);
        Some((figure(Subject::Ringlight, own)?, outside))
    };
    [
        of("tree3", OWN_SPAN, "ns_cpu_per_span", Subject::TracingEmpty),
        of(
            "paced-100k",
            OWN_DELIVERED_SPAN,
            "ns_cpu_per_delivered_span",
            Subject::Null,
        ),
    ]
}

fn own_aims(results: &Results) -> Vec<Aim> {
    let [span, delivered] =
        own_costs(results).map(|costs| costs.map(|(own, outside)| own.over(outside)));
    vec![
        Aim::near_one(
            0.1,
            "what Ringlight says a span costs the thread that records it (`tree3`), times what is \
             measured from outside over `tracing-empty`",
        )
        .is(span, 2),
        Aim::near_one(
            0.1,
            "what it says a span costs the process at 100 k spans/s, times what is measured from \
             outside over `null`",
        )
        .is(delivered, 2),
    ]
}

fn backend_aims(results: &Results) -> Vec<Aim> {
    let figure = |case, unit| ours(results, case, unit).map(Measured::of);
    let visible = figure("visible", "p95_ms");
    let mut aims = vec![
        Aim::at_most(60.0, "backend: start to first answer, ms")
            .is(figure("start", "ms_to_first_answer"), 0),
        Aim::at_most(25.0, "resident memory of an idle one, MiB")
            .is(figure("idle", "resident_mib"), 1),
        Aim::at_most(30.0, "its binary, MiB").is(figure("binary", "mib"), 1),
        Aim::at_least(
            200_000.0,
            "spans a second it takes in, load after load without a pause",
        )
        .is(figure("ingest", "spans_per_second_sustained"), 0),
        Aim::at_most(8.0, "CPU a span meanwhile, client included, us")
            .is(figure("ingest", "us_cpu_per_span"), 2),
        Aim::at_most(
            GROWTH_MAX,
            "its most memory during the later half of the loads, times the earlier (1.25 is how \
             this bench reads `flat`)",
        )
        .is(figure("ingest", "peak_growth"), 2),
        Aim::at_most(40.0, "bytes on disk a span").is(figure("ingest", "bytes_per_span"), 1),
        Aim::at_most(
            1_000.0,
            "span close until the API answers with it (p95), ms",
        )
        .is(visible, 0),
        Aim::at_most(
            1_000.0,
            "until the page has it, at most: that and the 500 ms between two questions of the \
             page; reckoned, without the drawing (docs/testing.md measures it in a browser)",
        )
        .is(visible.map(|visible| visible.later(PAGE_PAUSE_MS)), 0),
        Aim::at_most(10.0, "trace by id (p95), ms").is(figure("trace-by-id", "p95_ms"), 1),
    ];
    aims.extend(
        Search::ALL.map(|search| {
            Aim::at_most(200.0, search.what()).is(figure(search.name(), "p95_ms"), 1)
        }),
    );
    aims.push(
        Aim::at_most(
            200.0,
            "the Overview's operations, of all spans stored (p95), ms",
        )
        .is(figure("operations", "p95_ms"), 1),
    );
    aims
}

#[cfg(test)]
mod tests;
