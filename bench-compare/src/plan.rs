//! What is measured: subjects, shapes, cases and sizes.

mod sizes;

use std::{fmt, time::Duration};

use bench_workload::orders;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};

pub(crate) use self::sizes::{BackendSizes, FeatureSizes, PairSizes, Sizes};

/// Who is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Subject {
    /// The product, as `init` sets it up.
    Ringlight,
    /// The same with the OpenTelemetry API in use, so that every span has a context.
    RinglightOtel,
    /// Without `tracing`: native spans, by templates.
    RinglightNative,
    /// The same, handed over as whole spans.
    RinglightNativeSpan,
    /// `tracing-opentelemetry` on a registry, with the SDK's batch processor.
    TracingOpentelemetry,
    /// The same without source location, threads, inactivity and target.
    TracingOpentelemetryLean,
    /// The OpenTelemetry SDK's tracer, called directly.
    OpentelemetrySdk,
    /// fastrace with its OpenTelemetry reporter.
    Fastrace,
    /// micromegas-tracing, whose blocks of events a sink counts and drops: it has no OTLP.
    Micromegas,
    /// `tracing-subscriber`'s JSON lines of events, into `/dev/null`.
    FmtJson,
    /// Two readings of `std::time::Instant`: what a span costs that does nothing else.
    ClockInstant,
    /// Two readings of the time stamp counter.
    ClockTsc,
    /// `tracing` macros with no subscriber.
    TracingNone,
    /// `tracing` macros with a subscriber that does nothing.
    TracingEmpty,
    /// Nothing at all: what the pacer costs.
    Null,
}

impl Subject {
    /// Those that record and deliver.
    pub(crate) const DELIVERING: [Self; 6] = [
        Self::Ringlight,
        Self::RinglightNative,
        Self::TracingOpentelemetry,
        Self::TracingOpentelemetryLean,
        Self::OpentelemetrySdk,
        Self::Fastrace,
    ];

    /// Those that record and deliver, and whose recording alone is measured: as they leave the recording
    /// thread, their spans are those of others.
    pub(crate) const RECORDING: [Self; 2] = [Self::RinglightOtel, Self::RinglightNativeSpan];

    /// Those that deliver and are not the product.
    pub(crate) const PEERS: [Self; 4] = [
        Self::TracingOpentelemetry,
        Self::TracingOpentelemetryLean,
        Self::OpentelemetrySdk,
        Self::Fastrace,
    ];

    /// Those whose threads are counted.
    pub(crate) const THREADED: [Self; 5] = [
        Self::Ringlight,
        Self::RinglightNative,
        Self::TracingOpentelemetry,
        Self::OpentelemetrySdk,
        Self::Fastrace,
    ];

    /// Those that can be told not to record, and what bounds them from below.
    pub(crate) const UNSAMPLED: [Self; 6] = [
        Self::Ringlight,
        Self::TracingOpentelemetry,
        Self::OpentelemetrySdk,
        Self::Fastrace,
        Self::TracingNone,
        Self::TracingEmpty,
    ];

    /// Those that a service of requests runs with.
    pub(crate) const SERVING: [Self; 5] = [
        Self::TracingNone,
        Self::Ringlight,
        Self::TracingOpentelemetry,
        Self::Fastrace,
        Self::FmtJson,
    ];

    /// Those that only bound the others from below.
    pub(crate) const REFERENCE: [Self; 4] = [
        Self::ClockInstant,
        Self::ClockTsc,
        Self::TracingNone,
        Self::TracingEmpty,
    ];

    /// Whether it sends anything.
    pub(crate) fn delivers(self) -> bool {
        Self::DELIVERING.contains(&self) || Self::RECORDING.contains(&self)
    }

    /// The name in results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ringlight => "ringlight",
            Self::RinglightOtel => "ringlight-otel",
            Self::RinglightNative => "ringlight-native",
            Self::RinglightNativeSpan => "ringlight-native-span",
            Self::TracingOpentelemetry => "tracing-opentelemetry",
            Self::TracingOpentelemetryLean => "tracing-opentelemetry-lean",
            Self::OpentelemetrySdk => "opentelemetry-sdk",
            Self::Fastrace => "fastrace",
            Self::Micromegas => "micromegas",
            Self::FmtJson => "fmt-json",
            Self::ClockInstant => "clock-instant",
            Self::ClockTsc => "clock-tsc",
            Self::TracingNone => "tracing-none",
            Self::TracingEmpty => "tracing-empty",
            Self::Null => "null",
        }
    }
}

impl AsRef<str> for Subject {
    fn as_ref(&self) -> &str {
        self.name()
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is recorded: a unit is one span, or one tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Shape {
    /// A span without attributes.
    Flat,
    /// A span with three attributes: an integer, a string and a `Display` value.
    Flat3,
    /// A span without attributes and one event in it, with one attribute.
    Event,
    /// A root and ten children, one after the other, without attributes.
    Tree,
    /// The same, each with the three attributes.
    Tree3,
    /// What a request makes: a root and two children with the three attributes, and an event in each
    /// child.
    Request,
}

impl Shape {
    /// Those that are recorded in bursts.
    pub(crate) const BURSTS: [Self; 5] = [
        Self::Flat,
        Self::Flat3,
        Self::Event,
        Self::Tree,
        Self::Tree3,
    ];

    /// Children of a tree's root.
    pub(crate) const CHILDREN_COUNT: u64 = 10;

    /// The name in results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Flat => "flat",
            Self::Flat3 => "flat3",
            Self::Event => "event",
            Self::Tree => "tree",
            Self::Tree3 => "tree3",
            Self::Request => "request",
        }
    }

    /// Spans of one unit.
    pub(crate) fn spans_per_unit(self) -> u64 {
        match self {
            Self::Flat | Self::Flat3 | Self::Event => 1,
            Self::Tree | Self::Tree3 => 1 + Self::CHILDREN_COUNT,
            Self::Request => orders::SPANS_PER_REQUEST,
        }
    }

    /// Events of one unit.
    pub(crate) fn events_per_unit(self) -> u64 {
        match self {
            Self::Flat | Self::Flat3 | Self::Tree | Self::Tree3 => 0,
            Self::Event => 1,
            Self::Request => 2,
        }
    }

    /// Units of a burst: a thousand spans, rounded up to whole trees.
    pub(crate) fn units_per_burst(self) -> u64 {
        1_000_u64.div_ceil(self.spans_per_unit())
    }

    /// Spans of one burst.
    pub(crate) fn spans_per_burst(self) -> u64 {
        self.units_per_burst() * self.spans_per_unit()
    }

    /// Whether spans carry the three attributes.
    pub(crate) fn has_attributes(self) -> bool {
        matches!(self, Self::Flat3 | Self::Tree3 | Self::Request)
    }
}

/// What the head sampler says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Sampling {
    /// Every trace is recorded: the default of all subjects.
    AlwaysOn,
    /// None is.
    AlwaysOff,
}

/// How spans are produced for the delivery bench; all of shape `tree3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Delivery {
    /// 100 000 spans a second, in bursts of a thousand.
    #[value(name = "paced-100k")]
    Paced100k,
    /// As fast as it goes, with the subject's default settings.
    FlatDrop,
    /// As fast as it goes, with settings that lose nothing.
    FlatBlock,
}

impl Delivery {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Paced100k, Self::FlatDrop, Self::FlatBlock];

    /// The name in results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Paced100k => "paced-100k",
            Self::FlatDrop => "flat-drop",
            Self::FlatBlock => "flat-block",
        }
    }
}

/// How requests are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, ValueEnum)]
pub(crate) enum Packing {
    /// Not at all: the default of all subjects.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

impl Packing {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::None, Self::Gzip, Self::Zstd];

    /// The name in results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// Which batches go to disk, of the product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, ValueEnum)]
pub(crate) enum Keeping {
    /// There is no spool.
    #[default]
    Off,
    /// What cannot be sent, which is nothing here.
    Overflow,
    /// All, with `fsync`.
    Always,
    /// All, left to the page cache.
    AlwaysUnsynced,
}

impl Keeping {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [
        Self::Off,
        Self::Overflow,
        Self::Always,
        Self::AlwaysUnsynced,
    ];

    /// The name in results.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Off => "spool-off",
            Self::Overflow => "spool-overflow",
            Self::Always => "spool-always",
            Self::AlwaysUnsynced => "spool-always-unsynced",
        }
    }
}

/// How what was recorded leaves. The default is that of all subjects.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shipping {
    /// How requests are compressed.
    pub(crate) packing: Packing,
    /// What goes to disk; the peers have no spool.
    pub(crate) keeping: Keeping,
    /// Spans of a batch, at most; as the subject has it where there is none.
    pub(crate) batch_spans: Option<usize>,
}

/// Spans of a batch, where the bytes they take on the wire are compared.
pub(crate) const BATCHES: [usize; 4] = [10, 100, 500, 5_000];

/// How much room a subject is given between recording and exporting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Room {
    /// Its default settings.
    Default,
    /// Default settings, but a queue of 65 536 spans where there is a queue to size, so that a
    /// burst fits.
    Burst,
    /// Nothing is lost: the producer waits, or the queue holds the whole run.
    Lossless,
}

/// Spans a peer's queue holds with [`Room::Burst`].
pub(crate) const BURST_QUEUE_SPANS: usize = 65_536;

/// Time between the starts of two bursts: a thousand spans each make 100 000 a second.
pub(crate) const BURST_INTERVAL: Duration = Duration::from_millis(10);

/// Numbers of threads at which a span should cost what it costs one: more than one, and not many times
/// the processors.
pub(crate) const THREADS_AIMED: [usize; 3] = [2, 4, 8];

/// How many threads record at a time; the most are what a service with a pool for blocking work has.
pub(crate) const THREADS: [usize; 5] = [1, 2, 4, 8, THREADS_MAX];
pub(crate) const THREADS_MAX: usize = 64;

/// The name of such a case in results.
pub(crate) fn threads_case(threads_count: usize) -> &'static str {
    match threads_count {
        1 => "1-thread",
        2 => "2-threads",
        4 => "4-threads",
        8 => "8-threads",
        _ => "64-threads",
    }
}

/// The case of spans that are not recorded, in results.
pub(crate) const UNSAMPLED: &str = "unsampled";

/// What a subject says of its own cost, in nanoseconds: a span on the thread that records it, and a
/// delivered one in the process.
pub(crate) const OWN_SPAN: &str = "own_ns_per_span";
pub(crate) const OWN_DELIVERED_SPAN: &str = "own_ns_per_delivered_span";

/// The case of requests, in results.
pub(crate) const REQUEST: &str = "request";
